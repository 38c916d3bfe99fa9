"""From the greeting to the first answer, and who gets in."""

import socket

import pytest

from backstay.protocol.handshake import VersionRange, greeting

pytestmark = pytest.mark.timeout(60)


def test_the_version_is_the_lower_of_both_highest(tws_simulator_factory, dial):
    simulator = tws_simulator_factory(server_version=178)
    assert dial(simulator, versions=(100, 226)).greet().version == 178
    assert dial(simulator, versions=(100, 157)).greet().version == 157


def test_a_client_that_wants_a_newer_server_is_closed_without_an_answer(tws_simulator_factory, dial):
    simulator = tws_simulator_factory(server_version=150)
    client = dial(simulator, versions=(157, 178))
    client.sock.sendall(greeting(VersionRange(157, 178)))
    assert client.ended() == "eof"


def test_the_greeting_may_come_byte_by_byte_and_carry_options(simulator, dial):
    client = dial(simulator)
    for byte in greeting(VersionRange(100, 226), b"+PACEAPI"):
        client.sock.sendall(bytes([byte]))
    assert client.next()[0] == "200"


def test_a_stranger_is_closed(simulator, dial):
    client = dial(simulator)
    client.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert client.ended() in ("eof", "reset")


def test_accounts_then_the_next_id_then_the_farms(simulator, dial):
    client = dial(simulator).greet().start(7)
    assert client.next() == ["15", "1", "DU1234567"]
    assert client.next() == ["9", "1", "1"]
    codes = [client.next()[2] for _ in range(6)]
    assert codes == ["2104"] * 4 + ["2106", "2158"]


@pytest.mark.parametrize("request_fields", [(49, 1), (61, 1), (1, 2, 3)], ids=str)
def test_a_request_before_start_api_closes(simulator, dial, request_fields):
    client = dial(simulator).greet()
    client.send(*request_fields)
    assert client.ended() == "eof"


def test_a_request_before_the_session_is_ready_closes(simulator, dial):
    simulator.faults.delay_ready(seconds=60)
    client = dial(simulator).greet().start(1)
    client.send(49, 1)
    assert client.ended() == "eof"


def test_a_client_id_in_use_is_told_so_and_closed(simulator, dial):
    first = dial(simulator).ready(5)
    second = dial(simulator).greet().start(5)
    assert second.error(326)[0] == -1
    assert second.ended() == "eof"
    first.send(49, 1)
    assert first.read(49)
    assert simulator.state()["clients"]["5"]["sockets_max"] == 2


def test_a_client_id_is_free_as_soon_as_its_socket_is_closed(simulator, dial):
    for _ in range(50):
        client = dial(simulator).ready(5)
        client.sock.shutdown(socket.SHUT_RDWR)
        client.close()
    state = simulator.wait_for(lambda state: state["clients"]["5"]["sockets"] == 0)
    assert state["clients"]["5"] | {"sockets_max": 1, "connects": 50} == state["clients"]["5"]


def test_a_client_that_dials_anew_while_its_old_end_is_unread_gets_in(simulator, dial):
    old = dial(simulator).ready(5)
    simulator.faults.freeze(client_id=5)
    old.send(49, 1)  # what the frozen end never reads
    old.close()
    dial(simulator).ready(5)
    assert simulator.state()["clients"]["5"]["sockets_max"] == 1


def test_the_thirty_third_client_is_closed_without_an_answer(simulator, dial):
    for client_id in range(32):
        dial(simulator).ready(client_id)
    late = dial(simulator)
    late.sock.sendall(greeting(VersionRange(100, 200)))
    assert late.ended() == "eof"


def test_the_time_is_told_once_a_second(simulator, dial):
    client = dial(simulator).ready()
    client.send(49, 1)
    assert client.read(49)[1] == "1"
    client.send(49, 1)
    client.send(105)
    assert client.read(109)
    assert client.silent(0.1)


def test_the_time_can_be_told_always(tws_simulator_factory, dial):
    client = dial(tws_simulator_factory(time_once_a_second=False)).ready()
    for _ in range(3):
        client.send(49, 1)
        assert client.read(49)


def test_an_unknown_request_is_refused_not_ignored(simulator, dial):
    client = dial(simulator).ready()
    client.send(999, 1)
    assert client.error(320)[0] == -1


def test_a_request_newer_than_the_version_is_refused(simulator, dial):
    client = dial(simulator, versions=(150, 150)).ready()
    client.send(104, 1)  # reqUserInfo exists from 167
    assert client.error(320)[0] == -1


def test_a_request_with_too_few_fields_is_refused_on_its_id(simulator, dial):
    client = dial(simulator).ready()
    client.send(9, 8, 77, "AAPL")
    assert client.error(320)[0] == 77


def test_every_event_is_told_to_hooks(simulator, dial):
    seen = []
    simulator.events.append(seen.append)
    client = dial(simulator).ready(3)
    client.send(49, 1)
    client.read(49)
    client.close()
    simulator.wait_for(lambda state: state["clients"]["3"]["sockets"] == 0)
    assert [event.kind for event in seen] == ["accepted", "started", "ready", "request", "closed"]
    assert (seen[3].name, seen[3].client_id) == ("reqCurrentTime", 3)


def test_requests_are_counted_and_logged_by_client(simulator, dial):
    client = dial(simulator).ready(3)
    client.send(91, 26)
    client.send(9, 8, 12, *(0, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", ""), 0, "", "", "")
    client.read(52)
    record = simulator.state()["clients"]["3"]
    assert record["requests"] == {"reqMarketRule": 1, "reqContractDetails": 1}
    assert [(row["name"], row["key"]) for row in record["log"]] == [
        ("reqMarketRule", None),
        ("reqContractDetails", 12),
    ]


def test_wait_for_says_what_it_saw_instead(simulator):
    with pytest.raises(TimeoutError, match="server_version"):
        simulator.wait_for(lambda state: state["clients"]["9"], timeout=0.05)


def test_options_that_make_no_sense_are_refused(tws_simulator_factory):
    with pytest.raises(ValueError, match="server_version"):
        tws_simulator_factory(server_version=227)
    with pytest.raises(ValueError, match="tick_seconds"):
        tws_simulator_factory(tick_seconds=0)
