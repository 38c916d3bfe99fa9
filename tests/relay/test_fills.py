"""Fills while nobody looks reach the client once each, with their commissions and the final status of the order."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from trader import limit_order

from backstay.protocol.commands import current_time, next_ids, start_api
from backstay.protocol.framing import LAST_TEXT_VERSION, PROTOBUF_OFFSET, raw
from backstay.protocol.messages import body_fields, is_protobuf, message_id
from backstay.protocol.wire import bytes_field, find_bytes, varint, varint_field
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


TEXT, MIXED, PROTOBUF = 200, 203, 226
"""Mixed: orders and executions are protobuf, their commissions are text."""

CASES = (
    *((outage, version) for outage in OUTAGES for version in (TEXT, PROTOBUF)),
    (in_part_before_and_in_part_after_the_cut, MIXED),
)

FIELDS = {EXECUTION: 13, COMMISSION: 1, STATUS: 1}
"""Where text has an execution's id, a commission's, and the status."""


def placed(version: int) -> bytes:
    if version <= LAST_TEXT_VERSION:
        return limit_order(1, ref="one")
    contract = bytes_field(2, b"AAPL") + bytes_field(3, b"STK") + bytes_field(8, b"SMART") + bytes_field(10, b"USD")
    order = bytes_field(5, b"BUY") + bytes_field(6, b"10") + bytes_field(8, b"LMT") + bytes_field(28, b"one")
    order += varint(9 << 3 | 1) + struct.pack("<d", 1.0) + varint_field(66, 1)
    return raw(3 + PROTOBUF_OFFSET, varint_field(1, 1) + bytes_field(2, contract) + bytes_field(3, order))


def told_of(payload: bytes, version: int) -> tuple[int, bytes]:
    """The kind of a message, and an execution's id, that of a commission, or the status."""
    number = message_id(payload, version)
    if number not in FIELDS:
        return number, b""
    if not is_protobuf(payload, version):
        return number, body_fields(payload, version)[FIELDS[number]]
    inside = find_bytes(payload, 3, 4) or b"" if number == EXECUTION else payload[4:]
    return number, find_bytes(inside, 1 if number == COMMISSION else 2) or b""


@pytest.fixture
def simulator(version: int) -> Iterator[Simulator]:
    with Simulator(server_version=version, tick_seconds=0.02) as running:
        yield running


@pytest.mark.parametrize(("outage", "version"), CASES, ids=[f"{case[0].__name__}-{case[1]}" for case in CASES])
def test_a_fill_while_nobody_looks_is_told_once(
    outage: Callable[[Simulator], None], version: int, build, simulator
) -> None:
    client = build(simulator.address).client()
    assert client.greet(b"v100..226") == version
    client.sock.sendall(start_api(version, 7))
    client.expect(9)
    client.sock.sendall(placed(version))
    while told_of(client.next_frame(), version) != (STATUS, b"Submitted"):
        pass
    outage(simulator)
    client.expect_error(1102)
    simulator.faults.delay_ready(0.0)
    simulator.faults.eof()  # all is listed once more
    client.expect_error(1102)
    client.sock.sendall(current_time(version))
    client.expect(49)
    told = {number: Counter[bytes]() for number in FIELDS}
    for payload in client.seen:
        number, word = told_of(payload, version)
        if number in told:
            told[number][word] += 1
    assert len(told[EXECUTION]) == 2
    assert set(told[EXECUTION].values()) == {1}
    assert set(told[COMMISSION].values()) == {1}
    assert len(told[COMMISSION]) == 2
    assert told[STATUS][b"Filled"] == 1


@pytest.mark.parametrize("version", [TEXT, PROTOBUF])
def test_a_fill_of_an_earlier_session_is_not_told_after_a_cut(version: int, build, simulator, monkeypatch) -> None:
    monkeypatch.setattr("backstay.session.ordering.CLOCK_STEP_SECONDS", -3600.0)  # as if it had been made long before
    house = build(simulator.address)
    for session in range(2):
        client = house.client()
        assert client.greet(b"v100..226") == version
        client.sock.sendall(start_api(version, 7))
        client.expect(9)
        if session == 0:
            client.sock.sendall(placed(version))
            while told_of(client.next_frame(), version) != (STATUS, b"Submitted"):
                pass
            simulator.faults.fill_order(7, 1)
            while told_of(client.next_frame(), version) != (STATUS, b"Filled"):
                pass
            for _ in range(2):  # two round trips: what came before them has been noted
                client.sock.sendall(next_ids(version))
                client.expect(9)
            client.close()
    simulator.faults.eof()
    client.expect_error(1102)
    simulator.faults.eof()
    client.expect_error(1102)
    client.sock.sendall(current_time(version))
    client.expect(49)
    assert not [payload for payload in client.seen if told_of(payload, version)[0] in (EXECUTION, COMMISSION)]
