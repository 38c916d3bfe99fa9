"""Thirty-two clients are sent as much as they take: operators are answered meanwhile, and nobody is left waiting."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from backstay.actors.turnstile import PROCESS_TURNSTILE, TICKETS
from backstay.control.client import ControlClient
from backstay.control.server import ControlServer
from backstay.protocol.framing import text
from backstay.status import status_as_dict

PATIENCE = 60.0
CLIENTS = 32
ENOUGH_BYTES = 1_000_000
"""For each client: some fifteen full reads, all but the first of which take a ticket."""

BLOCK = b"".join(text(1, 6, 11, tick % 8, 100.0 + tick, 100, 0) for tick in range(500))


class Flood:
    """Pushes into all of these, and takes from all of those."""

    def __init__(self, into: list[socket.socket], out_of: list[socket.socket]) -> None:
        self.taken = dict.fromkeys(out_of, 0)
        self._moved = threading.Condition()
        self._stopped = False
        self._threads = [threading.Thread(target=self._push, args=(into,)), threading.Thread(target=self._take)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def wait_more(self) -> None:
        """Until each of them has got as much again."""
        with self._moved:
            marks = {sock: taken + ENOUGH_BYTES for sock, taken in self.taken.items()}
            assert self._moved.wait_for(lambda: all(self.taken[one] >= mark for one, mark in marks.items()), PATIENCE)

    def _push(self, into: list[socket.socket]) -> None:
        rest = dict.fromkeys(into, memoryview(BLOCK))
        with selectors.DefaultSelector() as found:
            for sock in into:
                sock.setblocking(False)
                found.register(sock, selectors.EVENT_WRITE)
            while not self._stopped:
                for key, _ in found.select(0.1):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    sent = sock.send(rest[sock])
                    rest[sock] = rest[sock][sent:] or memoryview(BLOCK)

    def _take(self) -> None:
        with selectors.DefaultSelector() as found:
            for sock in self.taken:
                sock.setblocking(False)
                found.register(sock, selectors.EVENT_READ)
            while not self._stopped:
                for key, _ in found.select(0.1):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    size_bytes = len(sock.recv(1 << 18))
                    with self._moved:
                        self.taken[sock] += size_bytes
                        self._moved.notify_all()


class Desk:
    """What the control server asks of the hall."""

    def __init__(self, house) -> None:
        self._house = house

    def status(self):
        return status_as_dict(self._house.manager.status())

    def handler(self, _name: str):
        return None


@pytest.fixture
def flooded(build, gateway) -> Iterator:
    """A house whose clients are all connected, and what floods them."""
    house = build(gateway.address, relays={"paper": {"max_clients": CLIENTS, "client_ids": f"0-{CLIENTS - 1}"}})
    for number in range(CLIENTS):
        connecting = threading.Thread(target=house.client().connect, args=(number,))
        connecting.start()
        gateway.welcome()
        connecting.join(PATIENCE)
        assert not connecting.is_alive()
    house.wait_state(*["ready"] * CLIENTS)
    with Flood(gateway.opened, [client.sock for client in house.clients]) as flood:
        flood.wait_more()
        yield house, flood


def test_operators_are_answered_while_thirty_two_clients_stream_and_the_streams_go_on(flooded, tmp_path: Path):
    house, flood = flooded
    with ExitStack() as stack:
        server = ControlServer(tmp_path / "x.sock", Desk(house))
        server.start()
        stack.callback(server.stop)
        client = ControlClient(server.path)
        for _ in range(20):
            assert [one["state"] for one in client.status()["connections"]] == ["ready"] * CLIENTS
        flood.wait_more()
    PROCESS_TURNSTILE.hold()  # a server that dies in the middle of an answer
    flood.wait_more()


def test_tickets_that_are_never_given_back_stop_nobody(flooded):
    _, flood = flooded
    for number in range(TICKETS):
        PROCESS_TURNSTILE.enter(f"lost {number}")
    flood.wait_more()
