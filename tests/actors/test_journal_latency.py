"""What a commit costs. Figures for people: nothing is asserted about time, since that would measure the machine."""

import time

import pytest
from journal_orders import page

from backstay.actors.journal_store import Durability, JournalStore

COMMITS = 1_000


@pytest.mark.parametrize("durability", list(Durability), ids=lambda durability: durability.value)
@pytest.mark.parametrize("pages", [1, 50])
def test_commits_are_measured(tmp_path, durability, pages, record_property, capsys):
    store = JournalStore(tmp_path / "orders.db", durability)
    store.open()
    seconds = []
    commits = COMMITS // pages
    for round_number in range(commits):
        first = round_number * pages + 1
        batch = [page(order_id) for order_id in range(first, first + pages)]
        begun = time.perf_counter()
        store.write(batch)
        seconds.append(time.perf_counter() - begun)
    assert len(store.read().intents) == commits * pages
    store.close()
    seconds.sort()
    middle, high = seconds[commits // 2] * 1e6, seconds[min(commits - 1, commits * 99 // 100)] * 1e6
    record_property("p50_us", round(middle))
    record_property("p99_us", round(high))
    with capsys.disabled():
        print(f"\n{durability.value}, {pages} a commit: p50 {middle:.0f} us, p99 {high:.0f} us", end=" ")  # noqa: T201
