"""Each fault of the link, seen from a bare socket."""

import socket
import time
from statistics import median

import pytest

from backstay.protocol.handshake import VersionRange, greeting

pytestmark = pytest.mark.timeout(60)

APPLE = (265598, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "")


def ask_time(client):
    client.send(105)
    return client.read(109)


def test_eof_ends_every_socket_with_end_of_file(simulator, dial):
    clients = [dial(simulator).ready(client_id) for client_id in (1, 2)]
    clients[0].stream().read(81)
    simulator.faults.eof()
    assert [client.ended() for client in clients] == ["eof", "eof"]
    assert simulator.state()["sockets"]["open"] == 0


def test_eof_is_end_of_file_also_when_input_is_unread(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.freeze(client_id=1)
    client.sock.sendall(b"\0" * 100_000)
    simulator.faults.eof()
    assert client.ended() == "eof"


def test_eof_of_one_client_leaves_the_others(simulator, dial):
    one, other = dial(simulator).ready(1), dial(simulator).ready(2)
    simulator.faults.eof(client_id=1)
    assert one.ended() == "eof"
    assert ask_time(other)


def test_reset_is_a_reset(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.reset()
    assert client.ended() == "reset"


def test_frozen_is_silent_with_sockets_open_and_thaw_goes_on(simulator, dial):
    client = dial(simulator).ready()
    client.stream()
    simulator.faults.freeze()
    client.send(105)
    deadline = time.monotonic() + 5
    while not client.silent(0.1):  # what was on its way
        client.next()
        assert time.monotonic() < deadline
    newcomer = socket.create_connection(simulator.address, timeout=5)  # the kernel still takes connections
    newcomer.close()
    assert simulator.state()["faults"]["frozen"]
    simulator.faults.thaw()
    assert client.read(109)
    assert client.read(1)


def test_one_client_alone_can_be_frozen(simulator, dial):
    frozen, other = dial(simulator).ready(1), dial(simulator).ready(2)
    simulator.faults.freeze(client_id=1)
    frozen.send(105)
    assert ask_time(other)
    assert frozen.silent(0.1)
    simulator.faults.thaw(client_id=1)
    assert frozen.read(109)


def test_refuse_refuses_newcomers_and_keeps_who_is_there(simulator, dial):
    client = dial(simulator).ready(1)
    simulator.faults.refuse()
    with pytest.raises(ConnectionRefusedError):
        dial(simulator)
    assert ask_time(client)
    simulator.faults.accept()
    assert dial(simulator).ready(2)


def test_split_cuts_the_stream_into_small_segments(simulator, dial):
    simulator.faults.split(bytes=3)
    client = dial(simulator).ready()
    client.send(9, 8, 12, *APPLE, 0, "", "", "")
    assert client.read(52)
    assert median(client.read_sizes) <= 3, "a reader that is held up finds several pieces at once, now and then"
    simulator.faults.split(bytes=0)
    client.read_sizes.clear()
    client.send(9, 8, 13, *APPLE, 0, "", "", "")
    client.read(52)
    assert len(client.read_sizes) <= 2


def test_slow_writes_no_faster_than_asked(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.slow(bytes_per_second=4000)
    begin = time.monotonic()
    client.send(9, 8, 12, *APPLE, 0, "", "", "")  # about 500 bytes
    client.send(9, 8, 13, *APPLE, 0, "", "", "")
    client.read(52)
    client.read(52)
    assert 0.1 < time.monotonic() - begin < 3


def test_lasting_faults_of_one_client_wait_for_it_to_come_back(simulator, dial):
    simulator.faults.split(bytes=1, client_id=4)
    slow, other = dial(simulator).ready(4), dial(simulator).ready(5)
    slow.read_sizes.clear()
    other.read_sizes.clear()
    ask_time(slow)
    ask_time(other)
    assert len(slow.read_sizes) > len(other.read_sizes)


def test_a_bad_frame_has_an_unbelievable_length(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.bad_frame()
    with pytest.raises(ValueError, match=str(0x7FFFFFFF)):
        client.read(999)


def test_a_client_that_does_not_read_costs_bounded_memory(tws_simulator_factory, dial, monkeypatch):
    monkeypatch.setattr("backstay.simulator.world.STREAM_BACKLOG_BYTES", 100_000)
    simulator = tws_simulator_factory(tick_seconds=0.001)
    lazy, eager = dial(simulator).ready(1), dial(simulator).ready(2)
    lazy.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for request_id in range(100):
        lazy.send(1, 11, 1000 + request_id, *APPLE, 0, "", 0, 0, "")
    deadline = time.monotonic() + 20
    while not simulator.state()["ticks_withheld"]:
        ask_time(eager)
        assert time.monotonic() < deadline
    assert simulator.state()["clients"]["1"]["backlog"] < 300_000


def test_an_answer_can_be_cut_in_half(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.cut_after(message_id=10, count=2)
    client.send(9, 8, 5, 0, "AAPL", *[""] * 10, 0, "", "", "")
    client.send(9, 8, 6, 0, "AAPL", *[""] * 10, 0, "", "", "")
    assert [client.next()[0], client.next()[0]] == ["10", "10"]
    assert client.ended() == "eof"
    assert not simulator.state()["clients"]["1"]["sockets"]


def test_strangers_are_hung_up_on_without_an_answer(simulator, dial):
    simulator.faults.hang_up()
    client = dial(simulator)
    client.sock.sendall(greeting(VersionRange(100, 200)))
    with pytest.raises(EOFError):
        client.next()
    assert dial(simulator).ready()


def test_clients_can_be_sent_elsewhere(simulator, dial):
    simulator.faults.redirect(address="otherhost:4001")
    client = dial(simulator)
    client.sock.sendall(greeting(VersionRange(100, 200)))
    assert client.next() == ["-1", "otherhost:4001"]
    assert client.ended() == "eof"
    assert dial(simulator).ready()
