"""A connection is drained under its client: nothing new, nothing lost, and the socket stays."""

from __future__ import annotations

import pytest

from backstay.commanding import give
from backstay.protocol.framing import frame, text
from backstay.session.lifecycle import Event
from backstay.session.vocabulary import Drain

ACCOUNTS = text(15, 1, "DU1234567") + text(9, 1, 1)
TIME = text(49, 1, 1_785_600_000)


@pytest.fixture
def served(build, gateway):
    """A client that streams as 1, and has asked for something as 2 that is not answered yet."""
    house = build(gateway.address, pulse={"idle_seconds": 60.0})
    client = house.client()
    client.sock.sendall(b"API\0" + frame(b"v100..176"))
    gateway.accept()
    gateway.say(text(176, "20260401 12:00:00 EST"))
    client.next_frame()
    client.version = 176
    client.start(7)
    gateway.receive_id(71)
    gateway.say(ACCOUNTS)
    gateway.receive_id(49)
    gateway.say(TIME)
    client.expect(9)
    house.wait_state("ready")
    client.market_data(1)
    gateway.receive_id(1)
    gateway.say(text(1, 6, 1, 1, "9.5", 100, 0))
    client.expect(1)
    client.send(9, 8, 2)
    gateway.receive_id(9)
    return house, client


def drain(house, seconds: float = 600.0) -> None:
    live = house.manager._find("paper/7")
    give(house.manager.root, live, Drain("gateway moves", seconds))
    house.wait_state("draining")


def test_a_client_under_a_drain_is_refused_what_is_new_and_keeps_all_else(served, gateway):
    house, client = served
    drain(house)
    assert not house.manager.status().connections[0].wanted, "whatever becomes of it, nobody has to get up for it"
    client.market_data(3)
    client.send(9, 8, 4)
    client.send(3, 500)
    client.send(4, 1, 77)
    assert "drains the connection" in client.expect_error(504, 3).text
    client.expect_error(504, 4)
    client.expect_error(201, 500)
    assert gateway.receive().split(b"\0")[:3] == [b"4", b"1", b"77"], "the cancel, and nothing before it"
    gateway.say(text(1, 6, 1, 1, "9.6", 100, 0))
    client.expect(1, "9.6")
    gateway.say(text(4, 2, 77, 10147, "no such order"))
    client.expect_error(10147, 77)
    assert house.manager.status().connections[0].state == "draining"
    gateway.say(text(52, 1, 2))
    client.expect(52)
    client.expect_error(1100)
    house.wait_state("paused")
    (meter,) = house.manager.meters()
    assert meter.requests_rejected["draining"] == 3
    assert [fields["to"] for fields in house.told("state_changed")][-2:] == ["draining", "paused"]

    house.manager.order("paper/7", Event.RESUME)
    gateway.accept()
    gateway.say(text(176, "20260401 12:00:00 EST"))
    gateway.receive_id(71)
    gateway.say(ACCOUNTS)
    gateway.receive_id(49)
    gateway.say(TIME)
    assert gateway.receive_id(1)[2] == b"1"
    client.expect_error(1102)
    assert client.count(9) == 1
    assert not client.eof


def test_a_session_that_dies_under_a_drain_leaves_it_to_its_successor(served, gateway):
    house, client = served
    drain(house)
    live = house.manager._find("paper/7")
    assert house.manager.root.restart_child(f"root/connections/{live.id}", "session", reason="a test") is None
    gateway.accept()
    gateway.say(text(176, "20260401 12:00:00 EST"))
    gateway.receive_id(71)
    gateway.say(ACCOUNTS)
    gateway.receive_id(49)
    gateway.say(TIME)
    house.wait_state("draining")
    client.send(9, 8, 4)
    client.expect_error(504, 4)
    assert gateway.receive_id(9)[2] == b"2", "what was asked before the drain, once more"
    gateway.say(text(52, 1, 2))
    house.wait_state("paused")


def test_what_takes_too_long_is_paused_and_stays_so_also_for_a_session_that_begins_anew(served, gateway):
    house, client = served
    drain(house, 0.2)
    house.wait(lambda status: status.connections[0].unfinished)
    client.expect_error(1100)
    live = house.manager._find("paper/7")
    assert house.manager.root.restart_child(f"root/connections/{live.id}", "session", reason="a test") is None
    assert not live.charge.wanted
    house.manager.order("paper/7", Event.RESUME)
    gateway.accept()
    assert live.view.epoch == 2, "and not one more, dialled by nobody's order"
