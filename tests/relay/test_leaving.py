"""Clients that leave, and a daemon that stops, with orders and cancels on their way: none is lost without a word."""

from __future__ import annotations

from collections import Counter

import pytest
from trader import cancel, limit_order

from backstay.simulator import Simulator

ORDERS = 60
SLOW = {"pacing": {"messages_per_second": 20}}


@pytest.fixture
def simulator():
    with Simulator(tick_seconds=0.02) as running:
        yield running


def resting(client, simulator: Simulator, count: int) -> None:
    client.start(7)
    client.expect(9)
    client.sock.sendall(b"".join(limit_order(key, ref=f"r{key}") for key in range(1, count + 1)))
    simulator.wait_for(lambda state: len(state["orders"]) == count)


def statuses(state) -> Counter[str]:
    return Counter(order["status"] for order in state["orders"])


def test_cancels_that_wait_for_the_pace_when_their_client_leaves_arrive(build, simulator) -> None:
    client = build(simulator.address, **SLOW).client()
    client.greet()
    resting(client, simulator, ORDERS)
    client.sock.sendall(b"".join(cancel(key) for key in range(1, ORDERS + 1)))
    client.close()
    simulator.wait_for(lambda state: statuses(state) == {"Cancelled": ORDERS})


def test_a_cancel_that_waits_for_the_gateway_when_its_client_leaves_arrives(build, simulator) -> None:
    client = build(simulator.address).client()
    client.greet()
    resting(client, simulator, 1)
    simulator.faults.refuse()
    simulator.faults.eof()
    client.expect_error(1100)
    client.sock.sendall(cancel(1))
    client.close()
    simulator.faults.accept()
    simulator.wait_for(lambda state: statuses(state) == {"Cancelled": 1})


def test_a_stop_tells_each_order_that_did_not_leave(build, simulator) -> None:
    house = build(simulator.address, lifecycle={"drain_seconds": 0.2}, **SLOW)
    client = house.client()
    client.greet()
    resting(client, simulator, 1)
    client.sock.sendall(b"".join(limit_order(key, ref=f"r{key}") for key in range(2, ORDERS + 2)))
    simulator.wait_for(lambda state: len(state["orders"]) > 1)
    house.manager.stop()
    client.expect_closed()
    told = {key for key, code in client.errors() if code == 201}
    arrived = {order["order_id"] for order in simulator.state()["orders"]}
    assert len(arrived) < ORDERS
    assert told == set(range(1, ORDERS + 2)) - arrived
