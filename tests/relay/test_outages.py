"""What a client of the relay sees when the gateway breaks."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from backstay.control.explaining import explain
from backstay.protocol.framing import text

FAULTS = {
    "eof": ("eof", 507),
    "reset": ("reset", 507),
    "bad_frame": ("bad_frame", 507),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_ticks_again_after_a_cut_and_the_client_keeps_its_socket(build, simulator, fault):
    house = build(simulator.address)
    client = house.client().connect(7)
    client.market_data(11)
    client.expect(1, 11)
    getattr(simulator.faults, fault)()
    cause, code = FAULTS[fault]
    assert f"({code}," in client.expect_error(1100, -1).text
    client.expect_error(1102, -1)
    client.expect(1, 11)
    assert client.count(9) == 1
    assert client.count(15) == 1
    assert [entry["cause"] for entry in house.told("connection_lost")] == [cause]
    assert not {code for _, code in client.errors()} & {102, 322, 326}
    assert simulator.state()["clients"]["7"]["sockets_max"] == 1


def test_a_frozen_gateway_is_found_out_by_probes_alone(build, simulator):
    house = build(simulator.address)
    client = house.client().connect(7)
    client.market_data(11)
    client.expect(1, 11)
    simulator.faults.freeze()
    client.expect_error(1100, -1)
    simulator.faults.thaw()
    client.expect_error(1102, -1)
    client.expect(1, 11)
    assert [entry["cause"] for entry in house.told("connection_lost")] == ["silent"]


def test_a_refusing_gateway_is_dialled_until_it_accepts(build, simulator):
    house = build(simulator.address)
    client = house.client().connect(7)
    house.wait_state("ready")
    simulator.faults.refuse()
    simulator.faults.eof()
    client.expect_error(1100, -1)
    house.wait(lambda status: status.connections[0].epoch >= 4)
    assert {entry["cause"] for entry in house.told("connect_failed")} == {"refused"}
    simulator.faults.accept()
    client.expect_error(1102, -1)


def test_a_client_id_still_in_use_is_waited_for_and_the_client_never_hears_of_it(build, gateway, monkeypatch):
    house = build(gateway.address)
    client = house.client()
    welcome_both(gateway, client)
    house.wait_state("ready")
    gateway.sock.close()
    client.expect_error(1100)
    gateway.accept()
    gateway.say(text(176, "20260401 12:00:00 EST"))
    gateway.receive_id(71)
    gateway.say(text(4, 2, -1, 326, "Unable to connect as the client id is already in use.", ""))
    house.wait(lambda status: status.connections[0].state == "waiting")
    assert house.manager.status().connections[0].next_attempt_wall > 0
    assert "client_id_taken" in house.manager.status().connections[0].reason
    assert client.errors() == [(-1, 1100)]


def welcome_both(gateway, client, **options):
    """The scripted gateway answers while the client connects; both from this thread, step by step."""
    client.sock.sendall(b"API\0" + framed(b"v100..200"))
    gateway.accept()
    version = options.get("version", 176)
    gateway.say(text(version, "20260401 12:00:00 EST"))
    client.version = int(client.next_frame().split(b"\0")[0])
    client.start(options.get("client_id", 7))
    gateway.receive_id(71)
    gateway.say(text(15, 1, "DU1234567") + text(9, 1, 1))
    assert gateway.receive().split(b"\0")[0] == b"49"
    gateway.say(text(49, 1, 1_785_600_000))
    client.expect(9)


def framed(payload):
    return len(payload).to_bytes(4, "big") + payload


def test_settings_go_out_before_streams_and_streams_before_reads(build, gateway):
    house = build(gateway.address)
    client = house.client()
    welcome_both(gateway, client)
    client.send(9, 8, 31, 0, "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "", 0, "", "", "")
    client.market_data(11)
    client.send(61, 1)
    client.send(59, 1, 3)
    assert sorted(gateway.receive().split(b"\0")[0] for _ in range(4)) == [b"1", b"59", b"61", b"9"]
    gateway.sock.close()
    assert gateway.welcome() == b"v176"
    asked = [gateway.receive().split(b"\0")[0] for _ in range(4)]
    assert asked == [b"59", b"61", b"1", b"9"]
    client.expect_error(1102)


def test_a_cancelled_stream_does_not_come_back(build, gateway):
    house = build(gateway.address)
    client = house.client()
    welcome_both(gateway, client)
    client.market_data(11)
    client.market_data(12)
    gateway.receive_id(1), gateway.receive_id(1)
    client.send(2, 2, 11)
    gateway.receive_id(2)
    gateway.sock.close()
    client.expect_error(1100)
    client.send(2, 2, 12)
    client.market_data(13)
    house.wait(lambda status: status.connections[0].streams == 1)
    gateway.welcome()
    assert gateway.receive_id(1)[2] == b"13"


def test_cancels_that_waited_follow_the_settings_and_precede_the_streams(build, gateway):
    house = build(gateway.address)
    client = house.client()
    welcome_both(gateway, client)
    client.market_data(11)
    client.send(59, 1, 3)
    assert sorted(gateway.receive().split(b"\0")[0] for _ in range(2)) == [b"1", b"59"]
    gateway.sock.close()
    client.expect_error(1100)
    client.send(4, 1, 101, "")
    house.wait(lambda status: status.connections[0].held == 1)
    gateway.welcome()
    assert [gateway.receive().split(b"\0")[0] for _ in range(3)] == [b"59", b"4", b"1"]


def test_orders_are_refused_while_the_gateway_is_away_and_cancels_go_first_when_it_is_back(build, gateway):
    house = build(gateway.address)
    client = house.client()
    welcome_both(gateway, client)
    client.market_data(11)
    gateway.receive_id(1)
    client.send(3, 101, 0, "AAPL", "STK")
    gateway.receive_id(3)
    gateway.say(text(3, 101, "Submitted", 0, 10, 0, 1, 0, 0, 7, "", 0))
    client.expect(3, 101)
    gateway.sock.close()
    client.expect_error(1100)
    client.send(3, 102, 0, "AAPL", "STK")
    client.send(3, 101, 0, "AAPL", "STK")
    client.send(4, 1, 101, "")
    assert "not sent" in client.expect_error(201, 102).text
    change = client.expect_error(2164, 101)
    assert "stands as it was" in change.text
    house.wait(lambda status: status.connections[0].held == 1)
    gateway.welcome()
    assert [gateway.receive().split(b"\0")[0] for _ in range(2)] == [b"4", b"1"]


def test_an_order_without_an_answer_is_told_to_be_in_doubt_with_a_code_that_ends_nothing(build, gateway):
    house = build(gateway.address)
    client = house.client()
    welcome_both(gateway, client)
    client.send(3, 101, 0, "AAPL", "STK")
    gateway.receive_id(3)
    gateway.sock.close()
    assert 2100 <= client.expect_error(2165, 101).code < 2170
    assert gateway.welcome() == b"v176"
    client.send(49, 1)
    assert gateway.receive().split(b"\0")[0] == b"49", "the order must not be sent again"
    client.expect_error(1102)
    assert house.told("connection_lost")


def test_a_half_delivered_read_ends_with_an_error_and_an_unanswered_one_is_asked_again(build, gateway):
    house = build(gateway.address)
    client = house.client()
    welcome_both(gateway, client)
    stock = (0, "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "", 0, "", "", "")
    client.send(9, 8, 31, *stock)
    client.send(9, 8, 32, *stock)
    gateway.receive_id(9), gateway.receive_id(9)
    gateway.say(text(10, 31, "AAPL", "STK"))
    client.expect(10, 31)
    gateway.sock.close()
    client.expect_error(504, 31)
    gateway.welcome()
    assert gateway.receive_id(9)[2] == b"32"
    gateway.say(text(10, 32, "AAPL", "STK") + text(52, 1, 32))
    client.expect(52, 32)
    house.wait(lambda status: status.connections[0].reads == 0)


def test_probes_and_their_answers_never_reach_the_client_but_its_own_question_does(build, gateway):
    house = build(gateway.address, pulse={"idle_seconds": 10.0})
    client = house.client()
    welcome_both(gateway, client)
    client.send(49, 1)
    assert gateway.receive().split(b"\0")[0] == b"49"
    gateway.say(text(49, 1, 1_785_600_777))
    assert client.expect(49)[-1] == b"1785600777"
    assert client.count(49) == 1
    assert house.manager.status().connections[0].state == "ready"


def test_a_client_that_comes_while_the_gateway_is_down_is_answered_from_the_last_hello(build, simulator):
    house = build(simulator.address)
    house.client().connect(7).close()
    house.wait(lambda status: not status.connections)
    simulator.faults.refuse()
    client = house.client()
    assert client.greet() == 200
    client.start(7)
    client.expect_error(1100, -1)
    simulator.faults.accept()
    client.expect(9)
    client.expect_error(1102, -1)


def test_a_client_that_comes_while_the_gateway_was_never_seen_waits_in_silence(build, simulator):
    simulator.faults.refuse()
    house = build(simulator.address)
    client = house.client()
    client.sock.sendall(b"API\0" + framed(b"v100..200"))
    house.wait(lambda status: status.connections and status.connections[0].epoch >= 3)
    simulator.faults.accept()
    assert client.next_frame().startswith(b"200\0")


def test_a_redirect_to_another_port_of_the_same_host_is_followed(build, gateway, simulator):
    house = build(gateway.address)
    client = house.client()
    client.sock.sendall(b"API\0" + framed(b"v100..200"))
    gateway.accept()
    gateway.say(text(-1, f"127.0.0.1:{simulator.port}"))
    assert client.next_frame().startswith(b"200\0")
    assert house.manager.status().connections[0].endpoint == f"127.0.0.1:{simulator.port}"


def test_a_redirect_to_a_stranger_is_refused_by_name(build, gateway):
    house = build(gateway.address)
    house.client().sock.sendall(b"API\0" + framed(b"v100..200"))
    gateway.accept()
    gateway.say(text(-1, "203.0.113.9:4001"))
    house.wait(lambda status: status.connections and "redirected" in status.connections[0].reason)
    assert "203.0.113.9:4001" in house.manager.status().connections[0].reason


def test_1300_moves_the_connection_to_the_new_port_and_is_not_passed_on(build, gateway, simulator):
    house = build(gateway.address)
    client = house.client()
    welcome_both(gateway, client, version=200)
    house.wait_state("ready")
    gateway.say(text(4, -1, 1300, f"The port has changed; use {simulator.port}", "", 0))
    client.expect_error(1100)
    client.expect_error(1102)
    assert (-1, 1300) not in client.errors()
    assert house.told("connection_lost")[0]["code"] == 1300
    assert house.manager.status().connections[0].endpoint.endswith(str(simulator.port))


def test_a_newcomer_goes_to_the_port_that_another_client_has_heard_of(build, gateway, simulator):
    house = build(gateway.address)
    client = house.client()
    welcome_both(gateway, client, version=200)
    house.wait_state("ready")
    gateway.say(text(4, -1, 1300, f"The port has changed; use {simulator.port}", "", 0))
    client.expect_error(1102)
    house.client().connect(8)
    rows = house.manager.status().connections
    configured = "{}:{}".format(*gateway.address)
    assert [(row.endpoint.endswith(str(simulator.port)), row.moved_from) for row in rows] == [(True, configured)] * 2
    assert configured in explain(asdict(rows[1]), None, now=0.0)["todo"][0]


def test_1100_from_the_gateway_is_passed_on_and_keeps_the_socket(build, simulator):
    house = build(simulator.address)
    client = house.client().connect(7)
    client.market_data(11)
    client.expect(1, 11)
    simulator.faults.upstream_lost()
    client.expect_error(1100, -1)
    house.wait_state("degraded")
    simulator.faults.upstream_restored(data_lost=True)
    client.expect_error(1101, -1)
    client.expect(1, 11)
    house.wait_state("ready")
    assert house.manager.status().connections[0].epoch == 1
    assert not {code for _, code in client.errors()} & {102, 300, 322}
