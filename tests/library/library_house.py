"""A manager in this process with one kept connection to a simulated gateway, or to one whose every byte a test says."""

from __future__ import annotations

import socket
import time
from typing import Any

import backstay
from backstay.protocol.framing import Splitter, text

PATIENCE = 20.0
AAPL = backstay.Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
CHEAP = backstay.Order(action="BUY", quantity=10, order_type="LMT", limit_price=1.0)

QUICK: dict[str, Any] = {
    "http": {"enabled": False},
    "backoff": {"first_seconds": 0.02, "base_seconds": 0.02, "cap_seconds": 0.2},
    "pulse": {"idle_seconds": 1.0, "probe_seconds": 1.1, "probes": 2},
    "orders": {"settle_seconds": 1.0},
}


class House:
    """A manager under test, its connection, and what was logged."""

    def __init__(self, manager: backstay.Manager, logged: list[tuple[str, dict[str, Any]]]) -> None:
        self.manager = manager
        self.logged = logged
        self.connection = manager.connection("keeper")

    def ready(self) -> backstay.Connection:
        assert self.connection.wait_ready(PATIENCE), self.connection.state()
        return self.connection

    def wait_state(self, *states: str) -> None:
        assert self.manager.wait_until(lambda status: status.connections[0].state in states, PATIENCE)

    def told(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in list(self.logged) if name == event]


def until(stream: backstay.Subscription, *kinds: type) -> list[Any]:
    """Events up to the first of these kinds, which is the last in the list."""
    deadline = time.monotonic() + PATIENCE
    seen: list[Any] = []
    while not (seen and isinstance(seen[-1], kinds)):
        seen.append(stream.next_event(max(0.001, deadline - time.monotonic())))
    return seen


class Lines:
    """A gateway whose every byte the test says; it greets, and answers probes and questions about orders by itself."""

    def __init__(self, version: int = 176) -> None:
        self.version = version
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.opened: list[socket.socket] = []
        self.splitter = Splitter()
        self.waiting: list[bytes] = []
        self.seen: list[int] = []  # the numbers of the frames of this socket, in order

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.listener.getsockname()[:2]
        return host, port

    @property
    def sock(self) -> socket.socket:
        return self.opened[-1]

    def accept(self) -> None:
        sock, _ = self.listener.accept()
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened.append(sock)
        self.splitter, self.waiting, self.seen = Splitter(), [], []
        assert sock.recv(4, socket.MSG_WAITALL) == b"API\0"
        self.frame()

    def frame(self) -> list[bytes]:
        """The fields of the next frame, whatever it is."""
        while not self.waiting:
            data = self.sock.recv(65536)
            assert data, "hung up"
            chunk = self.splitter.push(data)
            self.waiting += [] if chunk is None else chunk.payloads()
        fields = self.waiting.pop(0).split(b"\0")[:-1]
        self.seen += [int(fields[0])] if fields and fields[0].isdigit() else []
        return fields

    def receive(self, number: int) -> list[bytes]:
        """The fields of the next request with this number; probes and lists of orders are answered on the way."""
        answers = {b"49": text(49, 1, 1_785_600_000), b"5": text(53, 1), b"16": text(53, 1), b"99": text(102)}
        while True:
            fields = self.frame()
            if fields[0] == b"%d" % number:
                return fields
            if fields[0] == b"7":
                self.say(55, 1, int(fields[2]))
            elif fields[0] in answers:
                self.sock.sendall(answers[fields[0]])

    def welcome(self, next_id: int = 1) -> None:
        """Accept, and go through the start up to the first probe."""
        self.accept()
        self.say(self.version, "20260401 12:00:00 EST")
        self.receive(71)
        self.sock.sendall(text(15, 1, "DU1234567") + text(9, 1, next_id))
        assert self.frame()[0] == b"49"
        self.say(49, 1, 1_785_600_000)

    def say(self, *fields: object) -> None:
        self.sock.sendall(text(*fields))

    def close(self) -> None:
        for sock in (self.listener, *self.opened):
            sock.close()


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge(merged[key], value) if isinstance(merged.get(key), dict) else value
    return merged
