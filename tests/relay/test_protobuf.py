"""The same promises for sessions whose bodies are protobuf: server version 226 as a current gateway negotiates it."""

from __future__ import annotations

import pytest

from backstay.protocol.commands import start_api
from backstay.protocol.errors import ErrorMessage, write_error, write_managed_accounts, write_next_valid_id
from backstay.protocol.framing import frame, raw, text
from backstay.protocol.messages import message_id, request_key
from backstay.protocol.wire import bytes_field, varint_field

MARKET_DATA, CANCEL_MARKET_DATA, PLACE_ORDER, CURRENT_TIME, START_API = 201, 202, 203, 249, 271


def number_of(payload: bytes) -> int:
    return int.from_bytes(payload[:4], "big")


def welcome(gateway, version):
    gateway.say(text(version, "20260401 12:00:00 EST"))


def identify(gateway, version):
    assert message_id(gateway.receive(), version) == 71
    gateway.say(write_managed_accounts(b"DU1234567", version) + write_next_valid_id(1, version))
    assert message_id(gateway.receive(), version) == 49
    answer = raw(CURRENT_TIME, varint_field(1, 1_785_600_000)) if version >= 213 else raw(49, b"1\x001785600000\x00")
    gateway.say(answer)


def connect(house, gateway, version):
    client = house.client()
    client.sock.sendall(b"API\0" + frame(b"v100..226"))
    assert gateway.accept() == b"v100..226"
    welcome(gateway, version)
    client.version = int(client.next_frame().split(b"\0")[0])
    client.sock.sendall(start_api(version, 7, b""))
    identify(gateway, version)
    while message_id(client.next_frame(), version) != 9:
        pass
    house.wait_state("ready")
    return client


def market_data(request_id: int) -> bytes:
    return raw(MARKET_DATA, varint_field(1, request_id) + bytes_field(2, bytes_field(2, b"AAPL")))


def tick(request_id: int) -> bytes:
    return raw(202, varint_field(1, request_id) + varint_field(2, 0) + bytes_field(3, b"300"))


@pytest.mark.parametrize("version", [206, 213, 226])
def test_streams_come_back_under_their_ids_and_the_client_hears_of_the_outage(build, gateway, version):
    house = build(gateway.address)
    client = connect(house, gateway, version)
    client.sock.sendall(market_data(11) + market_data(12))
    for request_id in (11, 12):
        assert request_key(gateway.receive(), version) == request_id
    gateway.say(tick(11))
    assert frame(client.next_frame()) == tick(11)
    client.sock.sendall(raw(CANCEL_MARKET_DATA, varint_field(1, 12)))
    assert number_of(gateway.receive()) == CANCEL_MARKET_DATA
    gateway.sock.close()
    assert client.expect_error(1100).text.startswith("backstay:")
    assert gateway.accept() == b"v%d" % version
    welcome(gateway, version)
    identify(gateway, version)
    assert request_key(gateway.receive(), version) == 11
    client.expect_error(1102)
    gateway.say(tick(11))
    assert frame(client.next_frame()) == tick(11)
    assert not [p for p in client.seen if message_id(p, version) == 49], "a probe's answer reached the client"
    assert sum(message_id(p, version) == 9 for p in client.seen) == 1


def test_an_order_in_a_protobuf_session_is_refused_while_the_gateway_is_away(build, gateway):
    house = build(gateway.address)
    client = connect(house, gateway, 226)
    gateway.sock.close()
    client.expect_error(1100)
    client.sock.sendall(raw(PLACE_ORDER, varint_field(1, 101)))
    assert "not sent" in client.expect_error(201, 101).text


def test_an_error_that_ends_a_stream_is_understood_in_protobuf(build, gateway):
    house = build(gateway.address)
    client = connect(house, gateway, 226)
    client.sock.sendall(market_data(11))
    gateway.receive()
    gateway.say(write_error(ErrorMessage(11, 200, "No security definition", "", 1), 226))
    client.expect_error(200, 11)
    house.wait(lambda status: status.connections[0].streams == 0)
