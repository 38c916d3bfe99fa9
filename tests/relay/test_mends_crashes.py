"""A bug costs the message that met it and nothing else: not what waited behind it, not a connection that nobody has."""

from __future__ import annotations

import socket
import threading
from collections import deque

import pytest

from backstay.actors.connector import Connector
from backstay.actors.dispatcher import Dispatcher
from backstay.actors.messages import Finish
from backstay.actors.traffic import Wire
from backstay.relay.outlet import Outlet
from backstay.session.client_words import ClientAsked, ClientLeft
from backstay.session.core import Core
from backstay.session.vocabulary import Deliver
from backstay.supervisor.book import Book

SETTING = (59, 1, 1)


class Trap:
    """Holds the call of a method with a certain argument until `spring`, which then raises in it."""

    def __init__(self, monkeypatch, owner, name, when):
        self.caught, self.sprung = threading.Event(), threading.Event()
        self.left = 0
        original, trap = getattr(owner, name), self

        def wrapped(this, *args, **kwargs):
            if trap.left and when(*args):
                trap.left -= 1
                trap.caught.set()
                trap.sprung.wait(10)
                raise RuntimeError("a bug")
            return original(this, *args, **kwargs)

        monkeypatch.setattr(owner, name, wrapped)

    def arm(self, times: int = 1) -> None:
        self.left = times

    def spring(self) -> None:
        self.sprung.set()


def asked(event, *_):
    return isinstance(event, ClientAsked)


def wait_taken(message_kind, monkeypatch, *, name="session", times=1):
    """An event that is set when the book has taken so many messages of this kind for an actor."""
    taken, original, left = threading.Event(), Book.send, [times]

    def send(self, to, message):
        sent = original(self, to, message)
        if sent and to == name and isinstance(message, message_kind):
            left[0] -= 1
            if not left[0]:
                taken.set()
        return sent

    monkeypatch.setattr(Book, "send", send)
    return taken


def wait_logged(house, event, **fields):
    """An event that is set when the tree has told this."""
    told, log = threading.Event(), house.manager.root._log

    def watch(name, /, **given):
        log(name, **given)
        if name == event and fields.items() <= given.items():
            told.set()

    house.manager.root._log = watch
    return told


def test_a_writer_that_dies_ends_its_connection_and_the_id_is_free(build, simulator, monkeypatch):
    outlets, original = [], Outlet.__init__
    monkeypatch.setattr(Outlet, "__init__", lambda self, *args: (outlets.append(self), original(self, *args))[1])
    trap = Trap(monkeypatch, Outlet, "pump", lambda *_: True)
    trap.spring()
    house = build(simulator.address)
    client = house.client().connect(7)
    gone = wait_logged(house, "child_exited", id=house.manager.root.book.inner_names()[-1], kind="normal")
    trap.arm()
    outlets[0]._filled.set()
    client.expect_closed()
    assert gone.wait(10), "no upstream connection for nobody"
    house.wait(lambda status: not status.connections)
    simulator.wait_for(lambda state: state["clients"]["7"]["sockets"] == 0)
    house.client().connect(7)


def test_requests_behind_the_one_that_killed_the_session_are_carried_out(build, simulator, monkeypatch):
    house = build(simulator.address, pulse={"idle_seconds": 10.0})
    trap = Trap(monkeypatch, Core, "step", asked)
    client = house.client().connect(7)
    house.wait_state("ready")
    trap.arm()
    client.send(*SETTING)
    assert trap.caught.wait(10)
    taken = wait_taken(ClientAsked, monkeypatch)
    client.market_data(11)
    assert taken.wait(10)
    client.market_data(12)
    trap.spring()
    client.expect(1, 11)
    client.expect(1, 12)
    assert "reqMarketDataType" not in simulator.state()["clients"]["7"]["requests"], "the poison is not taken twice"


def test_a_client_that_left_behind_the_request_that_killed_the_session_ends_it(build, simulator, monkeypatch):
    house = build(simulator.address)
    trap = Trap(monkeypatch, Core, "step", asked)
    client = house.client().connect(7)
    house.wait_state("ready")
    trap.arm()
    client.send(*SETTING)
    assert trap.caught.wait(10)
    left = wait_taken(ClientLeft, monkeypatch)
    client.close()
    assert left.wait(10)
    trap.spring()
    house.wait(lambda status: not status.connections)
    simulator.wait_for(lambda state: state["clients"]["7"]["sockets"] == 0)
    house.client().connect(7)


def test_a_session_that_dies_of_the_word_that_its_client_left_does_not_dial_again(build, simulator, monkeypatch):
    house = build(simulator.address)
    trap = Trap(monkeypatch, Core, "step", lambda event, *_: isinstance(event, ClientLeft))
    client = house.client().connect(7)
    house.wait_state("ready")
    trap.arm()
    trap.spring()
    client.close()
    house.wait(lambda status: not status.connections)
    simulator.wait_for(lambda state: state["clients"]["7"]["sockets"] == 0)
    assert simulator.state()["clients"]["7"]["connects"] == 1


def test_the_window_of_a_client_is_whole_again_after_crashes_of_its_session(build, simulator, monkeypatch):
    windows = []
    monkeypatch.setattr("backstay.relay.intake.Guest.session_present", keep_window(windows))
    house = build(simulator.address, pulse={"idle_seconds": 10.0})
    trap = Trap(monkeypatch, Core, "step", asked)
    client = house.client().connect(7)
    house.wait_state("ready")
    for round_number in range(2):
        trap.caught.clear()
        trap.sprung.clear()
        trap.arm()
        client.send(*SETTING)
        assert trap.caught.wait(10)
        client.market_data(100 + round_number)
        trap.spring()
        client.expect(1, 100 + round_number)
        house.wait_state("ready")
    client.send(49, 1)
    client.expect(49)
    assert windows[0].used_bytes == 0


def keep_window(windows):
    def session_present(self, up):
        windows.append(self.window)
        if up:
            self.session_up.set()
        else:
            self.session_up.clear()

    return session_present


def test_what_backstay_says_while_its_dispatcher_dies_is_said_by_the_next_one_in_order(build, simulator, monkeypatch):
    house = build(simulator.address, relays={"paper": {"read_only": True}}, pulse={"idle_seconds": 10.0})
    trap = Trap(monkeypatch, Dispatcher, "_deliver", lambda *_: True)
    client = house.client().connect(7)
    house.wait_state("ready")
    trap.arm()
    client.send(3, 1, 0, "AAPL", "STK")  # refused by a word, which is the one that kills
    assert trap.caught.wait(10)
    waiting = wait_taken(Deliver, monkeypatch, name="dispatcher", times=18)
    for order_id in range(2, 20):
        client.send(3, order_id, 0, "AAPL", "STK")
    assert waiting.wait(10)
    trap.spring()
    told = [client.expect_error(321).id for _ in range(2, 20)]
    assert told == list(range(2, 20))


@pytest.mark.parametrize("said_meanwhile", [[], [Deliver(b"c")]])
def test_words_left_over_come_before_those_said_meanwhile(said_meanwhile):
    unsaid: deque[Deliver] = deque(said_meanwhile)
    dispatcher = Dispatcher.__new__(Dispatcher)
    dispatcher._unsaid = unsaid
    lost = dispatcher.bury([Deliver(b"a"), Finish(), Deliver(b"b")])
    assert lost == [Finish()]
    assert list(unsaid) == [Deliver(b"a"), Deliver(b"b"), *said_meanwhile]


def test_dials_that_became_stale_while_the_resolver_hung_are_not_carried_out(build, simulator, monkeypatch):
    monkeypatch.setattr("backstay.session.core.RESOLVE_SECONDS", 0.05)
    hang, real = threading.Event(), socket.getaddrinfo
    held, hold = [], Wire.hold
    monkeypatch.setattr(Wire, "hold", lambda self, sock, grip: (held.append(sock), hold(self, sock, grip))[1])

    def getaddrinfo(*args, **kwargs):
        if threading.current_thread().name.endswith("connector"):
            hang.wait(20)
        return real(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    dials, dial = [], Connector._dial
    monkeypatch.setattr(Connector, "_dial", lambda self, message: (dial(self, message), dials.append(message))[0])
    house = build(simulator.address, lifecycle={"dial_seconds": 0.2})
    client = house.client()
    client.sock.sendall(b"API\0\0\0\0\x09v100..200")
    house.wait(lambda status: bool(status.connections) and status.connections[0].epoch >= 5)
    hang.set()
    client.version = int(client.next_frame().split(b"\0")[0])
    client.start(7)
    client.expect(9)
    assert len(dials) >= 4
    assert len(held) <= 2, "the one in which it hung may have become the wanted one again"
