"""Fills while nobody looks reach the client once each, with their commissions and the final status of the order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from trader import limit_order

from backstay.protocol.messages import body_fields, message_id
from backstay.simulator import Simulator

EXECUTION, COMMISSION, STATUS = 11, 59, 3


def fill(simulator: Simulator) -> None:
    """In two parts."""
    simulator.faults.fill_order(7, 1, quantity=4)
    simulator.faults.fill_order(7, 1)


def while_ib_is_away(simulator: Simulator) -> None:
    simulator.faults.upstream_lost()
    fill(simulator)
    simulator.faults.upstream_restored(data_lost=False)


def while_the_gateway_is_away(simulator: Simulator) -> None:
    simulator.faults.refuse()
    simulator.faults.eof()
    fill(simulator)
    simulator.faults.accept()


def between_the_new_socket_and_ready(simulator: Simulator) -> None:
    simulator.faults.delay_ready(0.5)
    simulator.faults.eof()
    simulator.wait_for(lambda state: state["clients"]["7"]["state"] == "starting")
    fill(simulator)


def in_part_before_and_in_part_after_the_cut(simulator: Simulator) -> None:
    simulator.faults.fill_order(7, 1, quantity=4)
    simulator.faults.eof()
    simulator.faults.fill_order(7, 1)


def during_a_restart(simulator: Simulator) -> None:
    simulator.faults.restart(0.5)
    fill(simulator)


OUTAGES = (
    while_ib_is_away,
    while_the_gateway_is_away,
    between_the_new_socket_and_ready,
    in_part_before_and_in_part_after_the_cut,
    during_a_restart,
)


@pytest.mark.parametrize("outage", OUTAGES, ids=[outage.__name__ for outage in OUTAGES])
def test_a_fill_while_nobody_looks_is_told_once(outage: Callable[[Simulator], None], build, simulator):
    client = build(simulator.address).client().connect(7)
    client.sock.sendall(limit_order(1, ref="one"))
    client.expect(STATUS, 1, "Submitted")
    outage(simulator)
    client.expect_error(1102)
    simulator.faults.delay_ready(0.0)
    simulator.faults.eof()  # all is listed once more
    client.expect_error(1102)
    client.send(49, 1)
    client.expect(49)
    told = {number: Counter[bytes]() for number in (EXECUTION, COMMISSION, STATUS)}
    for payload in client.seen:
        number = message_id(payload, client.version)
        if number in told:
            fields = body_fields(payload, client.version)
            told[number][fields[{EXECUTION: 13, COMMISSION: 1, STATUS: 1}[number]]] += 1
    assert len(told[EXECUTION]) == 2
    assert set(told[EXECUTION].values()) == {1}
    assert set(told[COMMISSION].values()) == {1}
    assert len(told[COMMISSION]) == 2
    assert told[STATUS][b"Filled"] == 1
