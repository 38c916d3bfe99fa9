"""A connection whose actors crash again and again: parked by itself, with its reason; its client's socket stays."""

from __future__ import annotations

import threading
from dataclasses import asdict

import pytest

from backstay.control.explaining import explain
from backstay.protocol.builders_orders import place_order
from backstay.protocol.builders_terms import Contract, Order
from backstay.protocol.framing import frame
from backstay.session.client_words import ClientAsked
from backstay.session.core import Core
from backstay.session.lifecycle import Event

PATIENCE = 15.0


class Bug:
    """A request of a client that makes its session fail, as long as `armed`."""

    def __init__(self, monkeypatch) -> None:
        self.armed = False
        self.met = threading.Semaphore(0)
        original = Core.step

        def step(core, event, *args, **options):
            if self.armed and isinstance(event, ClientAsked):
                self.armed = False
                self.met.release()
                raise RuntimeError("a bug")
            return original(core, event, *args, **options)

        monkeypatch.setattr(Core, "step", step)


@pytest.fixture
def poisoned(build, simulator, monkeypatch):
    """A house with two clients, of which the second has crashed its session until it was parked."""
    house = build(simulator.address, connections={"keeper": {"gateway": "paper", "client_id": 900}})
    good = house.client().connect(7)
    bad = house.client().connect(8)
    bad.market_data(11)
    bad.expect(1, 11)
    bug = Bug(monkeypatch)
    for number in range(4):
        bug.armed = True
        bad.send(59, 1, number)  # never the same one: that would be set aside
        assert bug.met.acquire(timeout=PATIENCE)
    house.wait(lambda status: row(status, "paper/8").state == "parked")
    return house, good, bad


def row(status, name):
    return next(one for one in status.connections if one.name == name)


def test_a_connection_that_crashes_for_ever_is_parked_alone_with_its_reason(poisoned):
    house, good, bad = poisoned
    bad.expect_error(1100, -1)
    good.market_data(11)
    good.expect(1, 11)
    found = row(house.manager.status(), "paper/8")
    assert (found.wanted, found.reason) == (
        True,
        "session_died: more than 3 restarts in 300 s, the last of session (RuntimeError: a bug)",
    )
    assert found.next_attempt_wall > found.since_wall
    meter = next(meter for meter in house.manager.meters() if meter.name == "paper/8")
    assert (meter.circuit_open, meter.expected, meter.up, meter.state) == (True, True, False, "parked")
    told = explain(asdict(found), None, now=found.since_wall)
    assert told["why"] == found.reason
    assert told["next"].startswith("It is tried again in 60 s")
    assert told["todo"][-1].startswith("When that is done: backstay reset paper/8")


@pytest.mark.parametrize("event", [Event.RESET, Event.RESTART, Event.RESUME])
def test_an_operator_brings_a_parked_connection_back_on_the_same_socket(poisoned, event):
    house, _, bad = poisoned
    bad.send(9, 1)  # unanswered for the time being
    assert house.manager.order("paper/8", event, "mended")
    bad.expect_error(1102, -1)
    bad.expect(1, 11)
    house.wait(lambda status: row(status, "paper/8").state == "ready")
    meter = next(meter for meter in house.manager.meters() if meter.name == "paper/8")
    assert not meter.circuit_open


def test_a_parked_connection_can_be_paused_and_resumed(poisoned):
    house, _, bad = poisoned
    assert house.manager.order("paper/8", Event.PAUSE, "let it be")
    house.wait(lambda status: row(status, "paper/8").state == "paused")
    assert house.manager.order("paper/8", Event.RESUME)
    bad.expect_error(1102, -1)


def test_a_client_leaves_a_parked_connection_and_its_id_comes_free(poisoned):
    house, _, bad = poisoned
    bad.send(59, 1, 1)
    bad.close()
    house.wait(lambda status: all(one.name != "paper/8" for one in status.connections))
    house.client().connect(8)


def test_a_house_with_a_parked_connection_stops_in_time(poisoned):
    house, _, bad = poisoned
    threads = {thread.name for thread in threading.enumerate() if thread.name.startswith("root")}
    assert threads
    assert house.manager.stop(5.0)
    bad.expect_closed()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("root")]


def test_orders_sent_to_a_parked_connection_are_refused_as_it_comes_back(poisoned, simulator):
    house, _, bad = poisoned
    bad.expect_error(1100, -1)
    apple = Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
    order = Order(action="BUY", quantity=1, order_type="LMT", limit_price=1.0)
    bad.sock.sendall(frame(place_order(apple, order, order_id=5, version=bad.version)))
    assert house.manager.order("paper/8", Event.RESET)
    error = bad.expect_error(201, 5)
    assert "not sent" in error.text
    assert simulator.state()["clients"]["8"]["requests"].get("placeOrder", 0) == 0
