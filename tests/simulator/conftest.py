"""A client made of bare sockets, so that tests see what is on the wire and nothing else."""

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from backstay.protocol.commands import start_api
from backstay.protocol.errors import read_error
from backstay.protocol.framing import PROTOBUF_OFFSET, Splitter, raw, text
from backstay.protocol.handshake import VersionRange, greeting
from backstay.protocol.messages import message_id

SECONDS = 10.0
"""Longest wait for anything that should happen at once; only a failing test waits so long."""

APPLE = (265598, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "")


class RawClient:
    """One socket to a simulator; messages are lists of text fields, the message id first."""

    def __init__(self, address, *, versions=(100, 200)):
        self.sock = socket.create_connection(address, timeout=SECONDS)
        self.version = 0
        self.read_sizes = []
        self._versions = VersionRange(*versions)
        self._splitter = Splitter()
        self._inbox = []

    def greet(self):
        """Exchange versions."""
        self.sock.sendall(greeting(self._versions))
        self.version = int(self.next()[0])
        return self

    def start(self, client_id=1):
        """Send startApi."""
        self.send(71, 2, client_id, "")
        return self

    def ready(self, client_id=1):
        """Do all that must be done before requests."""
        self.greet().start(client_id)
        self.read(15)
        self.read(9)
        self.last_notice()
        return self

    def last_notice(self):
        """Pass over the notices of the start."""
        while not {"2158", "2157", "1100"} & set(self.read(4)):
            pass

    def send(self, *fields):
        self.sock.sendall(text(*fields))

    def stream(self, request_id=11, contract=APPLE):
        """Ask for market data."""
        self.send(1, 11, request_id, *contract, 0, "", 0, 0, "")
        return self

    def place(self, order_id, *, kind="LMT", limit=100, action="BUY", quantity=10, changes=()):
        """Send placeOrder at server version 200; ``changes`` are further fields by index behind the message id."""
        fields = [order_id, *APPLE, "", "", action, quantity, kind, limit, "", "DAY", "", "", "", 0, "ref", 1, 0]
        fields += [0] * 6 + [""] * 8 + [0, "", -1, 0, "", "", 0, "", "", 0, 0, "", 0] + [""] * 5 + [0, "", "", "", ""]
        fields += [0] + [""] * 10 + [0, "", "", 0, 0, "", "", 0, "", 0, 0, 0, 0] + [""] * 6 + [0] + [""] * 8
        fields += [0, 0, 0, "", "", "", 0, "", "", "", 0, 0, "", 0]
        for index, value in dict(changes).items():
            fields[index] = value
        self.send(3, *fields)
        return self

    def next(self, seconds=SECONDS):
        """The next message, whatever it is; EOFError at the end."""
        deadline = time.monotonic() + seconds
        while not self._inbox:
            self._receive(deadline)
        return self._inbox.pop(0)

    def read(self, message_id, *, seconds=SECONDS):
        """The next message of a kind; others are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.next(max(0.0, deadline - time.monotonic()))
            if message[0] == str(message_id):
                return message

    def error(self, code):
        """The next error with a code, as (id, text)."""
        while True:
            body = self.read(4)[1:]
            if self.version < 194:
                body = body[1:]
            if body[1] == str(code):
                return int(body[0]), body[2]

    def rows(self, message_id, end_id):
        """All messages of a kind up to an end marker."""
        rows = []
        while True:
            message = self.next()
            if message[0] == str(end_id):
                return rows
            if message[0] == str(message_id):
                rows.append(message)

    def silent(self, seconds):
        """Whether nothing at all arrives for so long."""
        return not self._inbox and not select.select([self.sock], [], [], seconds)[0]

    def ended(self):
        """How the connection ends: eof or reset; what comes before is passed over."""
        try:
            while True:
                self.next()
        except EOFError:
            return "eof"
        except ConnectionResetError:
            return "reset"

    def close(self):
        self.sock.close()

    def _receive(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.sock], [], [], left)[0]:
            raise TimeoutError("the simulator said nothing")
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.read_sizes.append(len(data))
        chunk = self._splitter.push(data)
        if self._splitter.broken:
            raise ValueError(f"a bad frame of {self._splitter.broken.length}")
        for payload in chunk.payloads() if chunk else ():
            self._inbox.append(self.opened(payload))

    def opened(self, payload):
        """What ``next`` returns of a payload."""
        return payload.decode().split("\0")[:-1]


class RawIdClient(RawClient):
    """One socket of a session above 200; messages are payloads."""

    def __init__(self, simulator, version):
        super().__init__(simulator.address, versions=(100, version))

    def ready(self, client_id=1):
        self.greet()
        self.sock.sendall(start_api(self.version, client_id))
        self.read(9)
        return self

    def ask(self, number, body):
        """Send a protobuf request."""
        self.sock.sendall(raw(number + PROTOBUF_OFFSET, body))

    def read(self, number, **options):
        while True:
            payload = self.next(**options)
            if message_id(payload, self.version) == number:
                return payload

    def refusal(self, code):
        while True:
            error = read_error(self.read(4), self.version)
            if error.code == code:
                return error

    def opened(self, payload):
        return payload if self.version else super().opened(payload)


Dial = Callable[..., RawClient]


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Open raw connections that are closed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def connect(simulator, **options):
            client = RawClient(simulator.address, **options)
            stack.callback(client.close)
            return client

        yield connect


@pytest.fixture
def simulator(tws_simulator_factory):
    """A simulator that beats fast, so that tests do not wait."""
    return tws_simulator_factory(tick_seconds=0.01, bar_seconds=0.02, pnl_seconds=0.02, upstream_repeat_seconds=0.05)


@pytest.fixture
def connect(tws_simulator_factory):
    """Start a simulator above version 200 and connect to it."""
    clients = []

    def dial(version, **options):
        simulator = tws_simulator_factory(server_version=version, tick_seconds=0.02, **options)
        clients.append(RawIdClient(simulator, version))
        return simulator, clients[-1].ready()

    yield dial
    for client in clients:
        client.close()
