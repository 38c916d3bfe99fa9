"""Clients that do not wait for the hello before they say who they are."""

from __future__ import annotations

import socket

import pytest

from backstay.protocol.framing import frame, text

HELLO = text(176, "20260401 12:00:00 EST")
GREETING = b"API\0" + frame(b"v100..200")
START = text(71, 2, 7, "")
ASKED = text(59, 1, 3)
WHOLE = GREETING + START + ASKED


def say_in_pieces(sock: socket.socket, *cuts: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start, end in zip((0, *cuts), (*cuts, len(WHOLE)), strict=True):
        sock.sendall(WHOLE[start:end])


def takes_it_up(client, gateway) -> None:
    """The gateway hears of everything in its order, and the client gets its answers."""
    gateway.accept()
    gateway.say(HELLO)
    assert gateway.receive_id(71)[2] == b"7"
    gateway.say(text(15, 1, "DU1234567") + text(9, 1, 1))
    gateway.receive_id(49)
    gateway.say(text(49, 1, 1_785_600_000))
    assert gateway.receive_id(59)[2] == b"3"
    assert client.next_frame() == HELLO[4:]
    client.version = 176
    client.expect(9)


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
def test_a_client_may_say_all_before_the_hello_cut_at_any_byte(build, gateway, cut):
    client = build(gateway.address).client()
    say_in_pieces(client.sock, cut)
    takes_it_up(client, gateway)


def test_a_client_may_say_all_before_the_hello_byte_by_byte(build, gateway):
    client = build(gateway.address).client()
    say_in_pieces(client.sock, *range(1, len(WHOLE)))
    takes_it_up(client, gateway)


def test_what_a_client_says_before_a_gateway_is_there_waits_for_it(build, gateway):
    port = gateway.address[1]
    house = build(gateway.address)
    gateway.listener.close()
    client = house.client()
    say_in_pieces(client.sock)
    house.wait(lambda status: any(c.state == "waiting" for c in status.connections))
    gateway.listener = socket.create_server(("127.0.0.1", port))
    gateway.listener.settimeout(15.0)
    takes_it_up(client, gateway)


def test_a_client_that_leaves_before_the_hello_is_let_go(build, gateway):
    house = build(gateway.address)
    client = house.client()
    say_in_pieces(client.sock)
    gateway.accept()
    client.close()
    house.wait(lambda status: not status.connections)
    assert not house.told("client_refused")


def test_what_is_no_start_is_refused_once_it_can_be_read(build, gateway):
    house = build(gateway.address)
    client = house.client()
    client.sock.sendall(GREETING + ASKED)
    gateway.accept()
    gateway.say(HELLO)
    client.next_frame()
    client.version = 176
    assert "startApi" in client.expect_error(504).text
    client.expect_closed()


def test_a_house_with_a_client_that_waits_so_stops_at_once(build, gateway):
    house = build(gateway.address)
    client = house.client()
    say_in_pieces(client.sock)
    gateway.accept()
    assert house.manager.stop(5.0)
    client.expect_closed()
