"""A gateway that tells when it restarts, over real sockets: it is planned downtime for all that use it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from test_orders import await_status, place
from translated import Translated

from backstay.control.explaining import explain
from backstay.live import line_of
from backstay.protocol.messages import message_id
from backstay.simulator import Configuration, Simulator
from backstay.status import status_as_dict


def now() -> str:
    return f"{datetime.now(UTC):%H:%M}"


def translated(house, client_id: int):
    """A client whose session speaks protobuf."""
    house.over = Translated
    client = house.client().connect(client_id)
    house.over = lambda sock: sock
    return client


def test_a_restart_that_is_told_closes_orders_alarms_nobody_and_counts_for_text_clients_too(build):
    moment = now()
    with Simulator(server_version=226, exit_at=moment) as simulator:
        house = build(simulator.address)
        asker, other = translated(house, 7), house.client().connect(8)
        house.wait(lambda status: [bool(row.downtime) for row in status.connections] == [True, True])
        for client in (asker, other):
            place(client, 101)
            assert "UTC, told by the gateway" in client.expect_error(201, 101).text
            assert client.count(110) == 0
        simulator.faults.refuse()
        simulator.faults.eof()
        house.wait_state("waiting", "waiting")
        for row in status_as_dict(house.manager.status())["connections"]:
            assert (row["wanted"], row["admin"]) == (False, "up")
            assert "told by the gateway" in str(explain(row, None, now=time.time())["why"])
        simulator.faults.accept()
        house.wait_state("ready", "ready")
        told = house.told("gateway_told")
        assert {event["connection"] for event in told} == {"paper/7"}
        assert len(told) == 1
        assert told[0]["ends"] == f"restarts each day at {moment} UTC"


def test_who_was_told_and_has_left_is_not_missed_while_the_gateway_restarts(build):
    with Simulator(server_version=226, exit_at=now()) as simulator:
        house = build(simulator.address)
        client = translated(house, 7)
        house.wait(lambda status: [bool(row.downtime) for row in status.connections] == [True])
        assert house.manager._meters.planned("paper")
        client.close()
        house.wait(lambda status: not status.connections)
        assert house.manager._meters.planned("paper")


def test_a_restart_outside_the_configured_downtime_is_explained(build):
    moment = datetime.now(UTC)
    window = f"{moment + timedelta(hours=3):%H:%M}-{moment + timedelta(hours=4):%H:%M} UTC"
    with Simulator(server_version=226, exit_at=now()) as simulator:
        house = build(simulator.address, gateways={"paper": {"maintenance": [window]}})
        client = translated(house, 7)
        house.wait_state("ready")
        house.wait_told("gateway_told")
        (live,) = house.manager._live.values()
        (row,) = status_as_dict(house.manager.status())["connections"]
        told = explain(row, None, now=time.time(), line=line_of(live))
        assert "restarts each day at" in told["why"]
        assert "maintenance" in told["todo"][0]
        place(client, 101)
        await_status(client, 101, "Submitted")


def test_a_gateway_that_refuses_or_says_nothing_is_asked_once_and_nothing_follows(build):
    for manner in (Configuration.REFUSED, Configuration.SILENT):
        with Simulator(server_version=226, configuration=manner, exit_at=now()) as simulator:
            house = build(simulator.address)
            client = translated(house, 7)
            client.market_data(11)
            client.expect(1, 11)
            simulator.wait_for(lambda state: state["clients"]["7"]["requests"]["reqConfig"] == 1)
            place(client, 101)
            await_status(client, 101, "Submitted")
            assert [code for _, code in client.errors() if code in (321, 322)] == []
            assert 110 not in {message_id(payload, client.version) for payload in client.seen}
            state = simulator.state()
            assert state["clients"]["7"]["requests"]["reqConfig"] == 1
            (meter,) = (one for one in house.manager.meters() if one.name == "paper/7")
            assert not sum(meter.api_errors.values())
            client.close()
            house.manager.stop()
