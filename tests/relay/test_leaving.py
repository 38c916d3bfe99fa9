"""Clients that leave, and a daemon that stops, with orders and cancels on their way: none is lost without a word."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
from collections import Counter

import pytest
from trader import cancel, limit_order

import backstay.actors.connector
from backstay.protocol.framing import text
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


def unacknowledged_bytes(sock: socket.socket) -> int:
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


def test_what_a_client_says_is_acknowledged_before_it_is_dealt_with(build, simulator) -> None:
    """Nagle's algorithm is on here, as in the official ibapi: a second request would be kept back until then."""
    client = build(simulator.address).client()
    client.greet()
    client.start(7)
    client.expect(9)
    kinds = []
    simulator.events.append(lambda event: kinds.append(event.name) if event.kind == "request" else None)
    for count in range(1, 6):
        client.send(59, 1, 3)  # a setting: no answer carries the acknowledgement
        simulator.wait_for(lambda _, count=count: kinds.count("reqMarketDataType") == count)
        assert unacknowledged_bytes(client.sock) == 0


def test_a_gateway_that_still_talks_can_read_the_last_requests_of_a_client_that_left(
    build, gateway, monkeypatch
) -> None:
    monkeypatch.setattr(backstay.actors.connector, "LAST_WORDS_SECONDS", 30.0)
    house = build(gateway.address)
    client = house.client()
    client.sock.sendall(b"API\0" + b"\0\0\0\x09v100..200")
    gateway.accept()
    gateway.say(text(176, "20260401 12:00:00 EST"))
    client.next_frame()
    client.start(7)
    gateway.receive_id(71)
    gateway.say(text(15, 1, "DU1234567") + text(9, 1, 1))
    gateway.receive_id(49)
    gateway.say(text(49, 1, 1_785_600_000))
    client.version = 176
    client.expect(9)
    client.send(1, 11, 1, 0, "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "", 0, "", 0, 0, "")
    gateway.receive_id(1)
    client.send(2, 2, 1)
    client.close()
    look = select.poll()
    look.register(gateway.sock, select.POLLRDHUP)
    assert look.poll(15_000)
    for _ in range(3):  # a socket that was closed would answer the first with a reset
        gateway.say(text(1, 6, 1, 1, "100.0", 1, 0))
    assert gateway.receive_id(2)[2] == b"1"
    with pytest.raises(EOFError):
        gateway.receive()
    gateway.sock.close()
    house.wait(lambda status: not status.connections)


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
