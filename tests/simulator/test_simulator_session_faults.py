"""Faults of sessions and of IB's servers behind TWS, seen from a bare socket."""

import time

import pytest

from backstay.protocol.handshake import VersionRange, greeting

pytestmark = pytest.mark.timeout(60)

APPLE = (265598, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "")
EURO = (12087792, "EUR", "CASH", "", 0, "", "", "IDEALPRO", "", "USD", "", "")


def test_a_delayed_session_waits_for_its_accounts_and_id(simulator, dial):
    simulator.faults.delay_ready(seconds=0.2)
    begin = time.monotonic()
    dial(simulator).ready()
    assert time.monotonic() - begin >= 0.2


def test_the_dialog_leaves_the_greeting_unanswered_until_a_person_agrees(simulator, dial):
    simulator.faults.dialog()
    client = dial(simulator)
    client.sock.sendall(greeting(VersionRange(100, 200)))
    assert client.silent(0.1)
    simulator.faults.accept_dialog()
    assert client.next()[0] == "200"


def test_a_clock_that_is_wrong_is_told_to_whoever_asks(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.clock(seconds=-3600)
    client.send(105)
    assert abs(int(client.read(109)[-1]) / 1000 - (time.time() - 3600)) < 60
    client.send(49, 1)
    assert abs(int(client.read(49)[-1]) - (time.time() - 3600)) < 60
    assert simulator.state()["faults"]["clock"] == -3600


def test_dropped_requests_get_no_answer_but_the_time_does(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.drop_requests(seconds=60)
    client.send(91, 26)
    client.send(49, 1)
    assert client.read(49)
    assert client.silent(0.05)
    simulator.faults.drop_requests(seconds=0)
    client.send(91, 26)
    assert client.read(93)


def test_requests_are_dropped_for_a_while_after_the_next_id(simulator, dial):
    simulator.faults.drop_requests(seconds=0.3)
    simulator.wait_for(lambda _: True)
    client = dial(simulator).ready()
    answered = None
    begin = time.monotonic()
    while answered is None:
        client.send(91, 26)
        try:
            answered = client.read(93, seconds=0.05)
        except TimeoutError:
            assert time.monotonic() - begin < 5
    assert time.monotonic() - begin > 0.2


def test_the_next_sessions_are_told_their_id_is_in_use(simulator, dial):
    simulator.faults.client_id_in_use(count=2)
    for client_id in (1, 2):
        client = dial(simulator).greet().start(client_id)
        assert client.error(326)
        assert client.ended() == "eof"
    assert dial(simulator).ready(1)


def test_one_client_id_alone_can_be_in_use(simulator, dial):
    simulator.faults.client_id_in_use(count=1, client_id=8)
    assert dial(simulator).ready(7)
    assert dial(simulator).greet().start(8).error(326)


def test_a_changed_port_is_told_and_moved_to(simulator, dial):
    client = dial(simulator).ready()
    old = simulator.port
    simulator.faults.port_changed()
    text = client.error(1300)[1]
    assert client.ended() == "eof"
    assert text.endswith(f": {simulator.port}")
    assert simulator.port != old
    assert dial(simulator).ready()


def test_too_many_messages_are_rejected_and_the_third_time_ends_the_session(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.pacing_reject(messages_per_second=5)
    for _ in range(7):
        client.send(91, 26)
    assert client.error(100)[0] == -1
    client.send(105)  # still the same second, and the same violation
    assert client.error(100)
    begin = time.monotonic()
    while True:
        try:
            client.send(91, 26)
            client.next(5)
        except (EOFError, ConnectionError):
            break
        assert time.monotonic() - begin < 20
    assert time.monotonic() - begin > 1


def test_a_restart_ends_sessions_keeps_orders_and_may_forget_ids(simulator, dial):
    client = dial(simulator).ready(3)
    client.place(41)
    client.read(3)
    simulator.faults.restart(seconds=0.1)
    assert client.ended() == "eof"
    with pytest.raises(ConnectionRefusedError):
        dial(simulator)
    simulator.wait_for(lambda state: state["listening"])
    client = dial(simulator).greet().start(3)
    assert client.read(9)[2] == "42"
    simulator.faults.restart(order_ids_fall_back=True)
    simulator.wait_for(lambda state: state["listening"])
    client = dial(simulator).greet().start(3)
    assert client.read(9)[2] == "1"
    assert simulator.state()["orders"][0]["status"] == "Submitted"


def test_a_lost_upstream_is_told_again_and_again_and_ends_data(simulator, dial):
    client = dial(simulator).ready()
    client.stream()
    client.read(81)
    simulator.faults.upstream_lost()
    for _ in range(3):
        assert client.error(1100)[0] == -1
    client.send(49, 1)
    while (message := client.next())[0] != "49":
        assert message[0] == "4", "no ticks"
    client.send(9, 8, 5, *APPLE, 0, "", "", "")
    client.send(91, 26)
    assert client.rows(10, 93) == []  # definitions come from IB, market rules from TWS


def test_an_upstream_that_comes_back_with_data_goes_on(simulator, dial):
    client = dial(simulator).ready()
    client.stream()
    client.read(81)
    simulator.faults.upstream_lost()
    client.stream(12)
    simulator.faults.upstream_restored()
    assert "farms are connected: usfarm" in client.error(1102)[1]
    assert client.read(81)[1] == "12"
    assert {client.read(1)[2] for _ in range(20)} == {"11", "12"}


def test_an_upstream_that_lost_the_data_leaves_streams_silent_and_ids_taken(simulator, dial):
    client = dial(simulator).ready()
    client.stream()
    client.read(81)
    simulator.faults.upstream_lost()
    simulator.faults.upstream_restored(data_lost=True)
    assert client.error(1101)
    assert client.silent(0.1)
    client.stream()
    assert client.error(322) == (11, "Error processing request. Duplicate ticker id")
    client.send(2, 2, 11)
    client.stream()
    assert client.read(81)


def test_a_broken_farm_stops_its_streams_only(simulator, dial):
    client = dial(simulator).ready()
    client.stream(11)
    client.stream(12, EURO)
    client.read(81)
    client.read(81)
    simulator.faults.farm(name="usfarm", up=False)
    assert client.error(2103)[1] == "Market data farm connection is broken:usfarm"
    assert {client.read(1)[2] for _ in range(10)} == {"12"}
    simulator.faults.farm(name="usfarm", up=True)
    assert client.error(2104)[1].endswith(":usfarm")
    assert {client.read(1)[2] for _ in range(10)} == {"11", "12"}


def test_a_farm_may_come_back_with_dead_streams(simulator, dial):
    client = dial(simulator).ready()
    client.stream()
    client.read(81)
    simulator.faults.farm(name="usfarm", up=False, streams_die=True)
    simulator.faults.farm(name="usfarm", up=True)
    client.error(2104)
    assert client.silent(0.1)


@pytest.mark.parametrize(("name", "broken", "up"), [("ushmds", 2105, 2106), ("secdefil", 2157, 2158)])
def test_the_code_tells_the_kind_of_farm(simulator, dial, name, broken, up):
    client = dial(simulator).ready()
    client.send(105)
    client.read(109)  # the notices of the start are behind us
    simulator.faults.farm(name=name, up=False)
    assert client.error(broken)
    simulator.faults.farm(name=name, up=True)
    assert client.error(up)


def test_history_is_not_answered_while_its_farm_is_away(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.farm(name="ushmds", up=False)
    client.error(2105)
    client.send(87, 5, *APPLE, 0, 1, "TRADES", 1)
    assert client.silent(0.1)
