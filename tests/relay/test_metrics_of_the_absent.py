"""Gateways that nobody gets through to, orders of clients that have left, and names that are gone: what is told."""

from __future__ import annotations

import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from trader import limit_order

from backstay.control.explaining import explain
from backstay.manager import Manager
from backstay.meters import GONE_SECONDS, MAX_ABSENT, MAX_GONE, UNSERVED_SECONDS, Meters, client_of, whose
from backstay.metrics.blocks import ConnectionMeter
from backstay.metrics.exporter import readiness
from backstay.protocol.framing import frame
from backstay.session.lifecycle import Event
from backstay.simulator import Simulator

PATIENCE = 15.0


def greet(house):
    client = house.client()
    client.sock.sendall(b"API\0" + frame(b"v100..200"))
    return client


def try_in_vain(house):
    """As a program does that gives up after a while."""
    client = greet(house)
    house.wait(lambda status: [one.state for one in status.connections] == ["waiting"])
    client.close()
    house.wait(lambda status: not status.connections)


def wanted(house):
    return {meter.name: meter.expected for meter in house.manager.meters() if meter.expected}


@pytest.fixture
def closed(gateway):
    address = gateway.address
    gateway.listener.close()
    return address


# -- a gateway that is away while clients come and go ------------------------------------------------------------------


def test_a_gateway_is_wanted_without_a_break_while_clients_come_and_go_in_vain(build, closed):
    house = build(closed)
    for _ in range(3):
        try_in_vain(house)
        assert wanted(house) == {"paper/waiting": True}
    (meter,) = house.manager.meters()
    assert not readiness(meter).ok
    assert "refused" in readiness(meter).detail
    (row,) = house.manager.status().absent
    assert (row.name, row.wanted, row.state) == ("paper/waiting", True, "absent")
    told = explain(asdict(row), None, now=time.time())
    assert "Clients of this relay get no gateway: refused" in str(told["why"])
    assert told["todo"]


def test_a_gateway_that_was_known_and_is_away_is_wanted_without_a_break_too(build, simulator):
    """A client is then greeted with what the gateway said last, and has a name, before it finds nobody there."""
    house = build(simulator.address)
    house.client().connect(7).close()
    house.wait(lambda status: not status.connections)
    simulator.faults.refuse()
    simulator.faults.eof()
    for _ in range(2):
        client = house.client()
        client.greet()
        client.start(7)
        house.wait(lambda status: [(one.name, one.state) for one in status.connections] == [("paper/7", "waiting")])
        assert wanted(house) == {"paper/7": True}, "who is there is not counted twice"
        client.close()
        house.wait(lambda status: not status.connections)
        assert wanted(house) == {"paper/waiting": True}


def test_a_relay_is_no_longer_wanted_minutes_after_the_last_client_has_left_and_no_later(build, closed, monkeypatch):
    house = build(closed)
    try_in_vain(house)
    assert wanted(house) == {"paper/waiting": True}
    (meter,) = house.manager.meters()
    monkeypatch.setattr("backstay.meters.UNSERVED_SECONDS", 0.0)
    assert wanted(house) == {}
    assert readiness(meter).ok
    assert house.manager.status().absent == ()


def test_the_time_in_which_a_gateway_was_wanted_in_vain_ends_when_it_has_run_out_and_not_at_the_next_look():
    door = SimpleNamespace(config=SimpleNamespace(gateway="paper"), waiting=set(), unserved_at=100.0, trouble="refused")
    meters = Meters(lambda _: False)
    for now in (110.0, 5000.0):
        meters.look_at_doors({"paper": door}, (), now)
    (meter,) = meters.all()
    assert meter.availability(9000.0) == (UNSERVED_SECONDS - 10.0, UNSERVED_SECONDS - 10.0)


def test_a_relay_is_no_longer_wanted_once_its_gateway_answers_somebody(build, closed):
    house = build(closed)
    try_in_vain(house)
    with Simulator(listen=closed):
        client = house.client().connect(9)
        house.wait_state("ready")
        client.close()
        house.wait(lambda status: not status.connections)
        assert wanted(house) == {}


def test_an_operator_who_holds_the_client_down_has_seen_to_it(build, simulator):
    house = build(simulator.address)
    client = house.client().connect(7)
    house.wait_state("ready")
    simulator.faults.refuse()
    simulator.faults.eof()
    house.wait_state("waiting")
    assert wanted(house) == {"paper/7": True}
    house.manager.order("paper/7", Event.PAUSE, "known")
    house.wait_state("paused")
    assert wanted(house) == {}
    client.close()
    house.wait(lambda status: not status.connections)
    assert wanted(house) == {}


def test_planned_downtime_counts_for_who_has_left_as_well(build, closed):
    house = build(closed, gateways={"paper": {"maintenance": ["00:00-12:00 UTC", "12:00-00:00 UTC"]}})
    try_in_vain(house)
    assert wanted(house) == {}


def test_a_gateway_that_turns_a_client_away_is_there(build, simulator):
    house = build(simulator.address)
    simulator.faults.client_id_in_use(1000)
    client = house.client()
    client.greet()
    client.start(7)
    house.wait(lambda status: [(one.name, one.state) for one in status.connections] == [("paper/7", "waiting")])
    assert wanted(house) == {"paper/7": True}
    client.close()
    house.wait(lambda status: not status.connections)
    assert wanted(house) == {}


# -- orders in doubt of clients that are gone --------------------------------------------------------------------------


def in_doubt(manager):
    return {meter.name: meter.orders_in_doubt for meter in manager.meters() if meter.orders_in_doubt}


def test_orders_in_doubt_are_told_when_their_client_has_left_and_after_a_restart_until_they_are_settled(
    build, simulator, tmp_path
):
    house = build(simulator.address)
    client = house.client().connect(7)
    house.wait_state("ready")
    simulator.faults.lose_orders(1, then_eof=True)
    simulator.faults.refuse()
    client.sock.sendall(limit_order(1, ref="lost"))
    client.expect_error(1100)
    assert in_doubt(house.manager) == {"paper/7": 1}
    client.close()
    house.wait(lambda status: not status.connections)
    assert in_doubt(house.manager) == {"paper/7": 1}
    (row,) = [row for row in house.manager.status().absent if not row.wanted]
    assert (row.name, row.reason) == ("paper/7", "1 order in doubt")
    assert "backstay orders paper/7" in str(explain(asdict(row), None, now=time.time())["todo"])
    (intent,) = house.manager.keeping.recall(*client_of(house.manager.config, "paper/7"))
    assert intent.key.order_id == 1
    house.manager.stop()
    with Manager(house.manager.config) as after:
        after.keeping.recall("paper", 7)  # answered: it has read the file
        assert in_doubt(after) == {"paper/7": 1}


def test_a_name_is_found_from_whose_orders_these_are_and_the_other_way_round(build, closed):
    config = build(
        closed,
        gateways={"live": {"endpoints": ["127.0.0.1:1"]}},
        relays={"paper": {"client_ids": "0-31"}},
        connections={"keeper": {"gateway": "live", "client_id": 900, "start": "manual"}},
    ).manager.config
    for name, owner in (("paper/7", ("paper", 7)), ("keeper", ("live", 900)), ("live/8", ("live", 8))):
        assert whose(config, *owner) == name
        assert client_of(config, name) == owner
    for name in ("paper/waiting", "paper", "nowhere/7", "paper/-1", "paper/99999999999"):
        assert client_of(config, name) is None


def test_names_with_orders_in_doubt_are_bounded_and_no_order_is_left_out(build, closed):
    config = build(closed, relays={"paper": {"client_ids": "0-9999"}}).manager.config
    meters = Meters(lambda _: False)
    meters.look_at_orders({("paper", client_id): 2 for client_id in range(MAX_ABSENT + 5)}, (), config)
    counts = {meter.name: meter.orders_in_doubt for meter in meters.all()}
    assert len(counts) == MAX_ABSENT + 1
    assert counts["paper/other"] == 10
    assert sum(counts.values()) == 2 * (MAX_ABSENT + 5)
    meters.forget((), (), 1e6)
    assert len(meters.all()) == MAX_ABSENT + 1, "nothing is forgotten that somebody has to look at"
    meters.look_at_orders({}, (), config)
    assert not any(meter.orders_in_doubt for meter in meters.all())
    assert meters.absent() == ()


# -- names that are gone -----------------------------------------------------------------------------------------------


def test_what_has_gone_is_shown_for_a_while_and_of_many_the_latest():
    meters = Meters(lambda _: False)
    for number in range(MAX_GONE + 10):
        meters.go_on(f"paper/{number}", ConnectionMeter(name=f"paper/{number}"))
        meters.go_on(f"keeper{number}", ConnectionMeter(name=f"keeper{number}"))
        meters.forget((), (), float(number))
    there = {meter.name for meter in meters.all()}
    latest = range(10, MAX_GONE + 10)
    assert there == {f"paper/{number}" for number in latest} | {f"keeper{number}" for number in latest}
    meters.forget((), (), 20.0 + GONE_SECONDS)
    assert {meter.name for meter in meters.all()} == there - {
        name for number in range(21) for name in (f"paper/{number}", f"keeper{number}")
    }
    meters.forget((), (), 1e6)
    assert meters.all() == ()


def test_clients_that_take_another_id_each_time_leave_a_bounded_number_of_names(build, simulator, monkeypatch):
    monkeypatch.setattr("backstay.meters.MAX_GONE", 3)
    house = build(simulator.address, relays={"paper": {"client_ids": "0-9999"}})
    stays = house.client().connect(5000)
    for client_id in range(8):
        house.client().connect(client_id).close()
        house.wait(lambda status: [one.client_id for one in status.connections] == [5000])
    names = {meter.name for meter in house.manager.meters()}
    assert names == {"paper/5000", "paper/5", "paper/6", "paper/7"}
    stays.close()


def test_who_comes_back_under_its_id_soon_goes_on_counting(build, simulator):
    house = build(simulator.address)
    for attempts in (1, 2):
        house.client().connect(7).close()
        house.wait(lambda status: not status.connections)
        assert [meter.connect_attempts for meter in house.manager.meters()] == [attempts]


def test_a_client_is_wanted_for_as_long_as_an_alert_needs_to_be_sure():
    """BackstayGatewayDown waits for two minutes, and the last look at a series counts for one more."""
    assert UNSERVED_SECONDS >= 240.0
