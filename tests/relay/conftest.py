"""A relay in front of a simulated or scripted gateway, and a small client that speaks bytes."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backstay.config import Config
from backstay.manager import Manager
from backstay.protocol.errors import ErrorMessage, read_error
from backstay.protocol.framing import Splitter, frame, raw, text
from backstay.protocol.messages import body_fields, message_id
from backstay.protocol.wire import find_varint, varint_field
from backstay.session.orders import FIRST_RESERVED_ID
from backstay.simulator import Simulator

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)  # the modules beside these tests can be imported by name

PATIENCE = 15.0

LISTS = {b"5": text(53, 1), b"16": text(53, 1), b"99": text(102)}
RAW_LISTS = {205: raw(253, b""), 216: raw(253, b""), 299: raw(302, b"")}
"""Lists of orders, and the end of each."""

ASKED_OF_ITSELF = 308


def list_end(payload: bytes) -> bytes | None:
    """The answer to what backstay asks on its own account: there are no orders."""
    if payload[0] == 0:
        number = int.from_bytes(payload[:4], "big")
        if number == ASKED_OF_ITSELF:
            return b""  # it says nothing
        key = find_varint(payload, 1, 4) if number == 207 else None
        if key is not None and key >= FIRST_RESERVED_ID:
            return raw(255, varint_field(1, key))
        return RAW_LISTS.get(number)
    fields = payload.split(b"\0")
    if fields[0] == b"7" and int(fields[2]) >= FIRST_RESERVED_ID:
        return text(55, 1, int(fields[2]))
    return LISTS.get(fields[0])


class RawClient:
    """A TWS client that hides nothing: frames as they come, in order."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address, timeout=PATIENCE)
        self.sock.settimeout(PATIENCE)
        self.splitter = Splitter()
        self.version = 0
        self.waiting: list[bytes] = []
        self.seen: list[bytes] = []
        self.eof = False

    def greet(self, offer: bytes = b"v100..200", options: bytes = b"") -> int:
        self.sock.sendall(b"API\0" + frame(offer + (b" " + options if options else b"")))
        self.version = int(self.next_frame().split(b"\0")[0])
        return self.version

    def start(self, client_id: int, capabilities: str = "") -> None:
        self.send(71, 2, client_id, capabilities)

    def connect(self, client_id: int, offer: bytes = b"v100..200") -> RawClient:
        self.greet(offer)
        self.start(client_id)
        self.expect(9)
        return self

    def send(self, *fields: object) -> None:
        self.sock.sendall(text(*fields))

    def next_frame(self, patience: float = PATIENCE) -> bytes:
        deadline = time.monotonic() + patience
        while not self.waiting:
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            data = self.sock.recv(65536)
            if not data:
                self.eof = True
                raise EOFError
            chunk = self.splitter.push(data)
            if chunk is not None:
                self.waiting += chunk.payloads()
        payload = self.waiting.pop(0)
        self.seen.append(payload)
        return payload

    def expect(self, number: int, *values: object, patience: float = PATIENCE) -> list[bytes]:
        """The fields of the next frame with this id whose fields include all of these values."""
        wanted = [str(value).encode() for value in values]
        deadline = time.monotonic() + patience
        while True:
            payload = self.next_frame(max(0.001, deadline - time.monotonic()))
            if message_id(payload, self.version) == number:
                fields = body_fields(payload, self.version)
                if all(value in fields for value in wanted):
                    return fields

    def expect_error(self, code: int, request_id: int | None = None) -> ErrorMessage:
        while True:
            payload = self.next_frame()
            error = read_error(payload, self.version)
            if error is not None and error.code == code and request_id in (None, error.id):
                return error

    def errors(self) -> list[tuple[int, int]]:
        found = (read_error(payload, self.version) for payload in self.seen if message_id(payload, self.version) == 4)
        return [(error.id, error.code) for error in found if error is not None]

    def count(self, number: int) -> int:
        return sum(message_id(payload, self.version) == number for payload in self.seen)

    def market_data(self, request_id: int, symbol: str = "AAPL") -> None:
        stock = (0, symbol, "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")
        self.send(1, 11, request_id, *stock, 0, "", 0, 0, "")

    def expect_closed(self) -> None:
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                self.next_frame()

    def close(self) -> None:
        self.sock.close()


class ScriptedGateway:
    """A gateway of which every byte is said by the test."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.sock: socket.socket | None = None
        self.splitter = Splitter()
        self.waiting: list[bytes] = []
        self.opened: list[socket.socket] = []

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.listener.getsockname()[:2]
        return host, port

    def accept(self) -> bytes:
        """Take the next dial; returns the version text offered."""
        self.sock, _ = self.listener.accept()
        self.opened.append(self.sock)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(PATIENCE)
        self.splitter, self.waiting = Splitter(), []
        head = b""
        while len(head) < 4:
            head += self.sock.recv(4 - len(head))
        assert head == b"API\0"
        return self.receive()

    def receive(self) -> bytes:
        """The next request; what backstay asks about orders on its own account is answered on the way: none."""
        assert self.sock is not None
        while True:
            while not self.waiting:
                data = self.sock.recv(65536)
                if not data:
                    raise EOFError
                chunk = self.splitter.push(data)
                if chunk is not None:
                    self.waiting += chunk.payloads()
            payload = self.waiting.pop(0)
            end = list_end(payload)
            if end is None:
                return payload
            self.say(end)

    def receive_id(self, number: int) -> list[bytes]:
        """The fields of the next request with this id; answers probes on the way."""
        while True:
            fields = self.receive().split(b"\0")[:-1]
            if fields[0] == str(number).encode():
                return fields
            if fields[0] == b"49":
                self.say(text(49, 1, 1_785_600_000))

    def say(self, data: bytes) -> None:
        assert self.sock is not None
        self.sock.sendall(data)

    def welcome(self, version: int = 176, *, next_id: int = 1) -> bytes:
        """Accept, answer the greeting and startApi, answer the first probe."""
        offer = self.accept()
        self.say(text(version, "20260401 12:00:00 EST"))
        self.receive_id(71)
        self.say(text(15, 1, "DU1234567") + text(9, 1, next_id))
        assert self.receive().split(b"\0")[0] == b"49"
        self.say(text(49, 1, 1_785_600_000))
        return offer

    def close(self) -> None:
        for sock in (self.listener, *self.opened):
            sock.close()


class House:
    """A manager under test and what it told."""

    def __init__(self, manager: Manager, events: list[tuple[str, dict[str, Any]]], logged: threading.Condition) -> None:
        self.manager = manager
        self.events = events
        self.logged = logged
        self.clients: list[RawClient] = []
        self.over: Callable[[Any], Any] = lambda sock: sock

    def client(self) -> RawClient:
        client = RawClient(self.manager.address("paper"))
        client.sock = self.over(client.sock)
        self.clients.append(client)
        return client

    def wait(self, condition: Callable[[Any], bool], patience: float = PATIENCE) -> None:
        assert self.manager.wait_until(condition, patience), self.manager.status()

    def wait_state(self, *states: str) -> None:
        self.wait(lambda status: [c.state for c in status.connections] == list(states))

    def wait_told(self, event: str) -> dict[str, Any]:
        """The first event of this name, once there is one."""
        with self.logged:
            assert self.logged.wait_for(lambda: any(name == event for name, _ in self.events), PATIENCE), event
        return self.told(event)[0]

    def told(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in list(self.events) if name == event]


QUICK: dict[str, Any] = {
    "http": {"enabled": False},
    "backoff": {"first_seconds": 0.02, "base_seconds": 0.02, "cap_seconds": 0.2},
    "pulse": {"idle_seconds": 1.0, "probe_seconds": 1.1, "probes": 2},
}


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge(merged[key], value) if isinstance(merged.get(key), dict) else value
    return merged


@pytest.fixture
def build(tmp_path) -> Iterator[Callable[..., House]]:
    """Start a manager with one relay `paper` in front of this gateway; keywords are merged over the sections."""
    with contextlib.ExitStack() as stack:

        def make(address: tuple[str, int], **over: Any) -> House:
            tree: dict[str, Any] = {
                **QUICK,
                "journal": {"path": str(tmp_path / "backstay.db")},
                "gateways": {"paper": {"endpoints": [f"{address[0]}:{address[1]}"]}},
                "relays": {"paper": {"gateway": "paper", "listen": "127.0.0.1:0"}},
            }
            events: list[tuple[str, dict[str, Any]]] = []
            logged = threading.Condition()

            def log(event: str, /, **fields: Any) -> None:
                with logged:
                    events.append((event, fields))
                    logged.notify_all()

            house = House(Manager(Config.model_validate(merge(tree, over)), log=log), events, logged)
            stack.callback(lambda: [client.close() for client in house.clients])
            stack.enter_context(house.manager)
            return house

        yield make


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    scripted = ScriptedGateway()
    yield scripted
    scripted.close()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(server_version=200, tick_seconds=0.02) as running:
        yield running


@pytest.fixture
def simulator_that_forgot() -> Iterator[Simulator]:
    """A gateway whose order ids have fallen back to the first."""
    with Simulator() as running:
        yield running
