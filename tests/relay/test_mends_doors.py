"""A door stays open: through passing trouble, through restarts; and it is closed first when backstay stops."""

from __future__ import annotations

import errno
import socket
import threading

import pytest

from backstay import manager as hall

SPELL = 3


def failing_accepts(monkeypatch, address, number: int, times: int) -> threading.Event:
    """The next accepts at this address fail with this error; the event is set when the spell is over."""
    left, over, original = [times], threading.Event(), socket.socket.accept

    def accept(self):
        if left[0] and self.getsockname() == address:
            left[0] -= 1
            raise OSError(number, "made up")
        over.set()
        return original(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    return over


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ENETUNREACH"])
def test_a_spell_of_failing_accepts_is_told_once_and_ends_nothing(build, simulator, monkeypatch, name):
    house = build(simulator.address)
    good = house.client().connect(7)
    over = failing_accepts(monkeypatch, house.manager.address("paper"), getattr(errno, name), SPELL)
    late = house.client().connect(8)
    assert over.is_set()
    for client in (good, late):
        client.market_data(11)
        client.expect(1, 11)
    assert len(house.told("accept_failed")) == 1
    assert not [exit_ for exit_ in house.told("child_exited") if exit_["id"] == "relay-paper"]


def test_a_second_spell_is_told_again(build, simulator, monkeypatch):
    house = build(simulator.address)
    for client_id in (7, 8):
        failing_accepts(monkeypatch, house.manager.address("paper"), errno.EMFILE, SPELL)
        house.client().connect(client_id)
    assert len(house.told("accept_failed")) == 2


def test_a_stop_does_not_wait_for_the_end_of_a_spell(build, simulator, monkeypatch):
    house = build(simulator.address)
    monkeypatch.setattr("backstay.relay.listener.PAUSE_SECONDS", 3600.0)
    told, log = threading.Event(), house.manager.log
    house.manager.root._log = lambda event, **fields: (log(event, **fields), event == "accept_failed" and told.set())
    failing_accepts(monkeypatch, house.manager.address("paper"), errno.EMFILE, 1_000_000)
    house.client()
    assert told.wait(10)
    assert house.manager.stop(5.0)


@pytest.mark.parametrize(("path", "child"), [("root/relays", "relay-paper"), ("", "relays")])
def test_a_restarted_listener_accepts_again_and_again(build, simulator, path, child):
    house = build(simulator.address)
    good = house.client().connect(1)
    for client_id in (2, 3, 4):
        assert house.manager.root.restart_child(path, child) is None
        client = house.client().connect(client_id)
        client.market_data(11)
        client.expect(1, 11)
    good.market_data(11)
    good.expect(1, 11)
    assert not [exit_ for exit_ in house.told("child_exited") if exit_["kind"] == "crash"]


def test_a_client_that_knocks_while_the_listener_is_away_is_let_in_by_the_next_one(build, simulator):
    house = build(simulator.address)
    waiting = threading.Event()
    original = house.manager._admit

    def admit(*args, **kwargs):
        waiting.wait(5)  # holds the first life until the second client has knocked
        return original(*args, **kwargs)

    house.manager._admit = admit
    assert house.manager.root.restart_child("root/relays", "relay-paper") is None
    first, second = house.client(), house.client()
    waiting.set()
    assert house.manager.root.restart_child("root/relays", "relay-paper") is None
    assert first.connect(1).version == second.connect(2).version == 200


def test_no_client_is_let_in_while_the_others_are_drained(build, simulator):
    house = build(simulator.address)
    house.client().connect(7)
    address = house.manager.address("paper")
    draining, release = threading.Event(), threading.Event()
    original = house.manager.wait_until

    def wait_until(condition, timeout):
        draining.set()
        release.wait(10)
        return original(condition, timeout)

    house.manager.wait_until = wait_until
    stopper = threading.Thread(target=house.manager.stop, args=(10.0,))
    stopper.start()
    assert draining.wait(10)
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
    finally:
        release.set()
        stopper.join(20)
    assert not stopper.is_alive()


def test_a_client_that_was_accepted_as_backstay_began_to_stop_is_refused_with_that_reason(build, simulator):
    house = build(simulator.address)
    house.manager._stopping = True
    house.client().expect_closed()
    assert [fields["reason"] for fields in house.told("client_refused")] == ["backstay is stopping"]


def test_a_client_that_knocks_before_start_has_returned_is_let_in(build, simulator, monkeypatch):
    clients, original = [], hall.start_root

    def slow(*args, **kwargs):
        root = original(*args, **kwargs)
        house_address = doors[0]["paper"].sock.getsockname()
        clients.append(socket.create_connection(house_address, timeout=5))
        clients[0].sendall(b"API\0\0\0\0\x09v100..200")
        clients[0].settimeout(10)
        clients.append(clients[0].recv(4))
        return root

    doors = []
    opened = hall.open_doors

    def keep(relays):
        doors.append(opened(relays))
        return doors[0]

    monkeypatch.setattr(hall, "open_doors", keep)
    monkeypatch.setattr(hall, "start_root", slow)
    build(simulator.address)
    assert len(clients[1]) == 4, "a frame of the answer to the greeting"
    clients[0].close()
