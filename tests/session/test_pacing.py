"""Lanes and the sliding window."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from backstay.session.pacing import WINDOW_SECONDS, Item, Lane, Outbox, Waiting

times = st.lists(st.floats(0.0, 0.5, allow_nan=False), min_size=1, max_size=60)


def drained(outbox: Outbox, now: float) -> list[bytes]:
    found = []
    while (item := outbox.pop(now)) is not None:
        found.append(item.payload)
    return found


@given(st.integers(1, 7), times, st.data())
def test_no_second_wherever_it_begins_sees_more_than_the_limit(limit, gaps, data):
    """Whatever leaves, by the lanes or past them, as long as it asks first."""
    outbox, now, sent = Outbox(limit), 0.0, []
    for gap in gaps:
        now += gap
        for _ in range(data.draw(st.integers(0, 10))):
            outbox.push(data.draw(st.sampled_from(Lane)), Item(b"x"))
        if outbox.wait_seconds(now) == 0.0 and data.draw(st.booleans()):
            outbox.note_sent(now)
            sent.append(now)
        sent += [now] * len(drained(outbox, now))
    for first in sent:
        assert sum(first <= moment < first + WINDOW_SECONDS for moment in sent) <= limit


@given(st.integers(1, 5), times)
def test_what_waits_leaves_as_soon_as_the_window_allows(limit, gaps):
    """After the announced wait at least one item can go: no timer rings in vain."""
    outbox, now = Outbox(limit), 0.0
    for gap in gaps:
        now += gap
        outbox.push(Lane.BULK, Item(b"x"))
        outbox.push(Lane.BULK, Item(b"x"))
        drained(outbox, now)
        if len(outbox):
            wait = outbox.wait_seconds(now)
            assert 0.0 < wait <= WINDOW_SECONDS + 1e-9
            now += wait + 1e-9
            assert outbox.pop(now) is not None


def test_lanes_are_served_in_their_order_and_the_last_two_take_turns():
    outbox = Outbox(100)
    for turn in (b"1", b"2"):
        for lane in reversed(Lane):
            outbox.push(lane, Item(lane.name.encode() + turn))
    assert drained(outbox, 0.0) == [
        b"SETTINGS1",
        b"SETTINGS2",
        b"ORDERS1",
        b"ORDERS2",
        b"INTERACTIVE1",
        b"BULK1",
        b"INTERACTIVE2",
        b"BULK2",
    ]


def test_what_went_past_the_lanes_counts_even_beyond_the_limit():
    outbox = Outbox(2)
    for moment in (0.0, 0.1, 0.2):
        outbox.note_sent(moment)
    outbox.push(Lane.ORDERS, Item(b"x"))
    assert outbox.wait_seconds(0.3) == 0.1 + WINDOW_SECONDS - 0.3
    assert outbox.pop(1.05) is None
    assert outbox.pop(1.15) is not None


def test_what_did_not_leave_after_all_does_not_count():
    outbox = Outbox(1)
    outbox.push(Lane.BULK, Item(b"unwanted"))
    outbox.push(Lane.BULK, Item(b"wanted"))
    assert outbox.pop(0.0) is not None
    outbox.take_back()
    assert drained(outbox, 0.0) == [b"wanted"]


def test_a_moment_that_is_reserved_is_not_for_the_lanes():
    outbox = Outbox(10)
    outbox.push(Lane.SETTINGS, Item(b"x"))
    outbox.reserved = True
    assert outbox.pop(0.0) is None
    assert outbox.wait_seconds(0.0) == 0.0
    assert [item.payload for item in outbox.clear()] == [b"x"]
    assert not outbox.reserved
    assert outbox.pop(0.0) is None


def test_an_heir_owes_no_credit_for_what_it_finds():
    items = [Item(b"x", refund=5) for _ in range(3)]
    waiting = Waiting(Outbox(1), deque(items[:1]), deque(items[1:2]))
    waiting.outbox.push(Lane.ORDERS, items[2])
    waiting.inherit(7)
    assert [item.refund for item in items] == [0, 0, 0]
    assert waiting.outbox.per_second == 7


def test_a_cancel_does_not_wait_for_a_burst_of_reads_to_be_a_second_old():
    outbox = Outbox(45)
    for _ in range(5_000):
        outbox.push(Lane.BULK, Item(b"read"))
    assert drained(outbox, 0.0) == [b"read"] * 45
    outbox.push(Lane.ORDERS, Item(b"cancel"))
    assert drained(outbox, 0.1) == [b"cancel"]


@given(st.lists(st.tuples(st.floats(0.0, 0.3), st.integers(0, 60), st.integers(0, 4)), min_size=1, max_size=80))
def test_whatever_is_urgent_no_second_sees_more_than_tws_takes(bursts):
    outbox, now, sent = Outbox(45), 0.0, []
    for gap, reads, cancels in bursts:
        now += gap
        for _ in range(reads):
            outbox.push(Lane.BULK, Item(b"x"))
        for _ in range(cancels):
            outbox.push(Lane.ORDERS, Item(b"c"))
        sent += [now] * len(drained(outbox, now))
    for first in sent:
        assert sum(first <= moment < first + WINDOW_SECONDS for moment in sent) <= 48
