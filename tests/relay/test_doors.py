"""Who may come in, what they are told when they may not, and that nobody else suffers."""

from __future__ import annotations

import socket
import threading

import pytest
from trader import limit_order

from backstay.config import Config
from backstay.errors import StartError
from backstay.live import MAX_STRANGERS
from backstay.manager import Manager
from backstay.protocol.framing import frame, text
from backstay.relay.lobby import Lobby
from backstay.simulator import Simulator


def test_a_second_client_with_the_same_id_gets_326_and_is_closed_while_the_first_goes_on(build, simulator):
    house = build(simulator.address)
    first = house.client().connect(7)
    first.market_data(11)
    first.expect(1, 11)
    second = house.client()
    second.greet()
    second.start(7)
    assert second.expect_error(326, -1).text.startswith("backstay:")
    second.expect_closed()
    first.expect(1, 11)
    house.wait(lambda status: len(status.connections) == 1)


def test_the_id_of_a_client_that_left_is_free_again(build, simulator):
    house = build(simulator.address)
    for _ in range(3):
        house.client().connect(7).close()
        house.wait(lambda status: not status.connections)


def test_a_client_id_that_is_not_allowed_gets_326_with_the_reason(build, simulator):
    house = build(simulator.address, relays={"paper": {"client_ids": "0-3"}})
    client = house.client()
    client.greet()
    client.start(7)
    assert "7 is not among" in client.expect_error(326, -1).text
    client.expect_closed()


def test_a_read_only_relay_answers_orders_with_321_and_sends_none(build, simulator):
    house = build(simulator.address, relays={"paper": {"read_only": True}})
    client = house.client().connect(7)
    client.send(3, 101, 0, "AAPL", "STK")
    assert "read-only" in client.expect_error(321, 101).text
    client.send(58, "", 2147483647)
    client.expect_error(321, -1)
    client.market_data(11)
    client.expect(1, 11)
    assert "placeOrder" not in simulator.state()["clients"]["7"]["requests"]


def test_a_request_before_startapi_ends_the_client_with_a_word(build, simulator):
    client = build(simulator.address).client()
    client.greet()
    client.send(49, 1)
    assert "startApi" in client.expect_error(504).text
    client.expect_closed()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"API\0" + frame(b"not a version"),
        b"API\0\x7f\xff\xff\xff",
    ],
    ids=["http", "tls", "no version", "2 GiB greeting"],
)
def test_garbage_instead_of_a_greeting_is_closed_with_one_line_in_the_log_and_hurts_nobody(build, simulator, garbage):
    house = build(simulator.address)
    good = house.client().connect(7)
    good.market_data(11)
    good.expect(1, 11)
    bad = house.client()
    bad.sock.sendall(garbage)
    bad.expect_closed()
    house.wait(lambda status: len(status.connections) == 1)
    refusals = house.told("client_refused")
    assert len(refusals) == 1
    assert refusals[0]["reason"]
    assert refusals[0]["address"].startswith("127.0.0.1:")
    good.expect(1, 11)


def test_a_frame_of_two_gigabytes_from_a_client_ends_only_that_client(build, simulator):
    house = build(simulator.address)
    good = house.client().connect(7)
    bad = house.client().connect(8)
    bad.sock.sendall(b"\x7f\xff\xff\xffgarbage")
    assert "length 2147483647" in bad.expect_error(507).text
    bad.expect_closed()
    good.market_data(11)
    good.expect(1, 11)


def test_a_gateway_that_speaks_http_is_named_as_not_being_tws(build, gateway):
    house = build(gateway.address)
    house.client().sock.sendall(b"API\0" + frame(b"v100..200"))
    gateway.accept()
    gateway.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    house.wait(lambda status: status.connections and status.connections[0].state == "waiting")
    failure = house.told("connect_failed")[0]
    assert failure["cause"] == "not_tws"
    assert "HTTP/1.1 400" in failure["detail"]


def test_a_version_below_what_the_client_offers_parks_the_connection_with_the_reason(build, gateway):
    house = build(gateway.address)
    house.client().sock.sendall(b"API\0" + frame(b"v176..200"))
    gateway.accept()
    gateway.say(text(99, "20260401 12:00:00 EST"))
    house.wait_state("parked")
    assert "99" in house.manager.status().connections[0].reason


def test_a_port_in_use_is_said_with_the_key_and_the_address(simulator):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = Config.model_validate(
            {
                "gateways": {"paper": {"endpoints": [f"127.0.0.1:{simulator.port}"]}},
                "relays": {"paper": {"gateway": "paper", "listen": f"127.0.0.1:{port}"}},
                "http": {"enabled": False},
            }
        )
        with pytest.raises(StartError, match=rf"relays\.paper\.listen: .*127\.0\.0\.1:{port}.*in use"):
            Manager(config).start()


def test_more_clients_than_allowed_are_turned_away(build, simulator):
    house = build(simulator.address, relays={"paper": {"max_clients": 2}})
    first, second = house.client().connect(1), house.client().connect(2)
    third = house.client()
    third.greet()
    assert "as many clients as it may" in third.expect_error(507).text
    third.expect_closed()
    assert "as many clients as it may" in house.told("client_refused")[0]["reason"]
    for client in (first, second):
        client.market_data(11)
        client.expect(1, 11)


def test_an_order_sent_just_before_the_client_closes_reaches_the_gateway(build, simulator):
    house = build(simulator.address)
    client = house.client().connect(7)
    house.wait_state("ready")
    client.market_data(11)
    client.send(49, 1)
    client.sock.sendall(limit_order(1, ref="last"))
    client.close()
    simulator.wait_for(lambda state: state["clients"]["7"]["requests"].get("placeOrder") == 1)


def test_sockets_that_say_nothing_keep_no_client_out_and_the_oldest_of_them_yields(build, simulator):
    house = build(simulator.address, relays={"paper": {"max_clients": 2}})
    silent = [house.client() for _ in range(MAX_STRANGERS + 3)]
    for client_id in (1, 2):
        client = house.client().connect(client_id)
        client.market_data(11)
        client.expect(1, 11)
    for client in silent[:3]:
        client.expect_closed()
    silent[-1].greet()
    silent[-1].expect_error(507)


@pytest.mark.parametrize("offer", [b"v300..400", b"v50..99", b"v99"])
def test_versions_that_cannot_be_met_close_the_client_at_once_with_one_line(build, simulator, offer):
    house = build(simulator.address)
    client = house.client()
    client.sock.sendall(b"API\0" + frame(offer))
    client.expect_closed()
    house.wait(lambda status: not status.connections)
    (told,) = house.told("client_refused")
    assert "100 to 226" in told["reason"]
    assert house.told("retry_planned") == []


def test_that_a_client_left_is_told_under_its_public_name(build, simulator):
    house = build(simulator.address)
    house.client().connect(7).close()
    house.wait(lambda status: not status.connections)
    assert [told["connection"] for told in house.told("client_left")] == ["paper/7"]


def test_clients_that_no_gateway_answers_count_as_one_connection_that_is_wanted_and_not_up(build, gateway):
    address = gateway.address
    gateway.listener.close()
    house = build(address)
    clients = [house.client() for _ in range(2)]
    for client in clients:
        client.sock.sendall(b"API\0" + frame(b"v100..200"))
    house.wait(lambda status: len([c for c in status.connections if c.state == "waiting"]) == 2)
    (meter,) = house.manager.meters()
    assert (meter.name, meter.gateway, meter.expected, meter.up) == ("paper/waiting", "paper", True, False)
    clients[0].close()
    house.wait(lambda status: len(status.connections) == 1)
    assert meter.expected
    clients[1].close()
    house.wait(lambda status: not status.connections)
    assert house.manager.meters() == (meter,)


def test_a_client_whose_greeting_a_gateway_does_not_answer_counts_once_that_lasts(build, gateway, monkeypatch):
    house = build(gateway.address)
    house.client().sock.sendall(b"API\0" + frame(b"v100..200"))
    gateway.accept()
    house.wait_state("handshaking")
    monkeypatch.setattr("backstay.meters.BRIEF_SECONDS", 3600.0)
    assert house.manager.meters() == ()
    monkeypatch.setattr("backstay.meters.BRIEF_SECONDS", 0.0)
    (meter,) = house.manager.meters()
    assert (meter.name, meter.expected, meter.up, meter.reason) == ("paper/waiting", True, False, "handshaking")


def test_a_client_that_waited_and_is_answered_counts_under_its_own_name(build, gateway):
    address = gateway.address
    gateway.listener.close()
    house = build(address)
    client = house.client()
    client.sock.sendall(b"API\0" + frame(b"v100..200"))
    house.wait(lambda status: [c.state for c in status.connections] == ["waiting"])
    with Simulator(listen=address):
        client.version = int(client.next_frame().split(b"\0")[0])
        client.start(7)
        client.expect(9)
        house.wait_state("ready")
        expected = {meter.name: meter.expected for meter in house.manager.meters()}
        assert expected == {"paper/waiting": False, "paper/7": True}


def test_a_client_that_reconnects_at_once_waits_for_the_end_of_its_own_last_connection(build, simulator, monkeypatch):
    """The last connection is held up just before it gives the id back."""
    house = build(simulator.address)
    release, held, going_on = Lobby.release, threading.Event(), threading.Event()

    def slow(self, name):
        held.set()
        assert going_on.wait(10)
        release(self, name)

    asked = threading.Event()
    comes_free = Lobby.comes_free
    monkeypatch.setattr(Lobby, "release", slow)
    monkeypatch.setattr(Lobby, "comes_free", lambda self, client_id: (comes_free(self, client_id), asked.set())[0])
    house.client().connect(7).close()
    assert held.wait(10)
    second = house.client()
    second.greet()
    second.start(7)
    assert asked.wait(10)
    going_on.set()
    second.expect(9)
    assert (-1, 326) not in second.errors()


def test_a_client_that_left_and_never_ends_keeps_its_id_for_a_bounded_time(build, simulator, monkeypatch):
    house = build(simulator.address)
    monkeypatch.setattr("backstay.relay.intake.LEAVING_SECONDS", 0.0)
    monkeypatch.setattr("backstay.relay.intake.LEAVING_MARGIN_SECONDS", -1.9)
    monkeypatch.setattr(Lobby, "release", lambda _self, _name: None)
    house.client().connect(7).close()
    house.wait(lambda _status: bool(house.told("client_left")))
    second = house.client()
    second.greet()
    second.start(7)
    second.expect_error(326, -1)
    second.expect_closed()


@pytest.mark.parametrize("linger_seconds", [0.0, 30.0])
def test_a_client_whose_end_has_not_been_read_yet_has_left_all_the_same(build, simulator, linger_seconds):
    house = build(simulator.address, relays={"paper": {"linger_seconds": linger_seconds}})
    first = house.client().connect(7)
    first.market_data(11)
    first.expect(1, 11)
    for _ in range(20):
        first.close()
        first = house.client().connect(7)
        first.market_data(11)
    assert not house.told("client_refused")
