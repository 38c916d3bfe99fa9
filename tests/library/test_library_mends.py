"""What goes wrong inside: a part that crashes costs a gap and nothing else, and nothing is kept of what is over."""

from __future__ import annotations

import gc
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest
from library_house import AAPL, CHEAP, PATIENCE, until

import backstay
from backstay import Gap, Resumed, events
from backstay.actors.connector import Connector
from backstay.actors.traffic import Credit
from backstay.deadlines import Deadlines
from backstay.pending import Pending
from backstay.protocol.events import SnapshotEnd
from backstay.protocol.requests import REQUESTS
from backstay.session.client_words import ClientAsked
from backstay.session.core import Core
from backstay.session.sieve import Sieve
from backstay.session.vocabulary import Write


class Bomb:
    """Raises once when armed, in whatever thread calls it; otherwise does what it replaces."""

    def __init__(self, monkeypatch, owner, name, *, when=lambda *_: True):
        self.armed: BaseException | None = None
        original, bomb = getattr(owner, name), self

        def wrapped(this, *args, **kwargs):
            if bomb.armed is not None and when(*args):
                error, bomb.armed = bomb.armed, None
                raise error
            return original(this, *args, **kwargs)

        monkeypatch.setattr(owner, name, wrapped)


def is_request(event: object, *_: object) -> bool:
    return isinstance(event, ClientAsked)


CRASHES = {
    "reader": (Credit, "take", lambda *_: True),
    "dispatcher": (Sieve, "sift", lambda *_: True),
    "connector": (Connector, "_write", lambda message: isinstance(message, Write)),
    "session": (Core, "step", is_request),
}


@pytest.mark.parametrize("actor", CRASHES)
def test_a_crash_is_a_gap_and_what_died_with_it_is_asked_for_again(house, monkeypatch, actor):
    connection = house.ready()
    with connection.subscribe("market_data", contract=AAPL) as before:
        until(before, events.TickPrice)
        owner, name, when = CRASHES[actor]
        bomb = Bomb(monkeypatch, owner, name, when=when)
        bomb.armed = RuntimeError("a bug")
        asked = connection.submit("contract_details", contract=AAPL)
        with connection.subscribe("market_data", contract=AAPL) as after:
            marks = [type(event) for event in until(before, Resumed) if isinstance(event, Gap | Resumed)]
            assert marks == [Gap, Resumed]
            until(after, events.TickPrice)
        assert asked.result(PATIENCE)[0].contract.symbol == "AAPL"
    crashed = {fields["id"] for fields in house.told("child_exited") if fields["kind"] == "crash"}
    assert crashed - {"reader"} == {actor} - {"reader"}, "a reader without a dispatcher gives up as well"


def test_a_stream_whose_request_died_with_the_session_flows_all_the_same(house, monkeypatch):
    connection = house.ready()
    bomb = Bomb(monkeypatch, Core, "step", when=is_request)
    bomb.armed = RuntimeError("a bug")
    with connection.subscribe("market_data", contract=AAPL) as stream:
        until(stream, events.TickPrice)


def test_an_order_that_died_with_the_session_has_not_been_sent_and_says_so(house, simulator, monkeypatch):
    connection = house.ready()
    bomb = Bomb(monkeypatch, Core, "step", when=is_request)
    bomb.armed = RuntimeError("a bug")
    trade = connection.place_order(AAPL, CHEAP)
    with pytest.raises(backstay.NotReadyError, match="was not sent"):
        trade.wait(timeout=PATIENCE)
    assert trade.done
    assert not simulator.state()["orders"]
    house.ready()
    assert connection.place_order(AAPL, CHEAP).wait(timeout=PATIENCE).order_id == 2


def test_nothing_is_left_after_a_stop(build, simulator):
    threads, files = threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir())
    house = build(simulator.address)
    connection = house.ready()
    streams = [connection.subscribe("market_data", contract=AAPL, callback=lambda _: None) for _ in range(5)]
    connection.request("contract_details", contract=AAPL)
    house.manager.stop()
    for stream in streams:
        assert stream.closed
    for thread in threading.enumerate():
        if thread.name.startswith("backstay-"):
            thread.join(PATIENCE)
    simulator.wait_for(lambda state: not any(client["sockets"] for client in state["clients"].values()))
    assert threading.active_count() == threads
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= files


def test_nothing_is_kept_of_requests_that_are_over_however_they_ended(build, simulator):
    house = build(simulator.address, pacing={"messages_per_second": 1000})
    connection = house.ready()
    desk = connection._desk

    def rounds(count: int) -> None:
        for _ in range(count):
            connection.submit("historical_bars", contract=AAPL, bar_size="1 hour", duration="1 D").cancel()
            connection.subscribe("market_data", contract=AAPL).close()
            connection.request("matching_symbols", pattern="AAP")
            connection.submit("market_rule", rule_id=26).result(PATIENCE)

    rounds(50)
    assert not desk.keyed
    assert not desk.hot
    assert not desk.families

    def kept() -> list[type]:
        gc.collect()
        return [type(one) for one in gc.get_objects() if isinstance(one, Pending | backstay.Subscription)]

    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while len(kept()) >= 5 and time.monotonic() < deadline:  # the last ones are still at hand for a moment
        pause.wait(0.05)
    assert len(kept()) < 5
    assert len(connection._deadlines._heap) < 5


def test_deadlines_act_in_their_order_and_not_at_all_when_cancelled():
    deadlines = Deadlines()
    acted: list[int] = []
    done = threading.Event()
    numbers = [deadlines.add(0.01 * (5 - number), lambda number=number: acted.append(number)) for number in range(5)]
    deadlines.cancel(numbers[2])
    deadlines.add(0.1, done.set)
    assert done.wait(PATIENCE)
    assert acted == [4, 3, 1, 0]
    late = deadlines.add(60.0, done.clear)
    deadlines.stop()
    deadlines.cancel(late)
    again = threading.Event()
    deadlines.add(0.0, again.set)
    assert again.wait(PATIENCE)
    deadlines.stop()


def test_an_order_that_changes_while_it_is_listed_is_in_the_list_once_as_it_is_now():
    def row(order_id: int, limit: float) -> events.OpenOrder:
        return events.OpenOrder(order_id, AAPL, "BUY", Decimal(1), "LMT", limit, None, "DAY", "DU1", "", 7, order_id)

    pending = Pending("open_orders", REQUESTS[5], key=None, values={})
    pending.ends = frozenset({53})
    for message_id, event in ((5, row(1, 1.0)), (5, row(2, 1.0)), (5, row(1, 2.0)), (53, SnapshotEnd(53, None))):
        pending.take(message_id, event, final=message_id == 53)
    assert [(one.order_id, one.limit_price) for one in pending.future.result()] == [(1, 2.0), (2, 1.0)]
