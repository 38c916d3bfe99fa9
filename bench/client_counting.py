"""A client without a library: receives and counts windows and bytes. Usage: client_counting.py PLAN.

Connected to the gateway itself it is the floor; connected to the relay it measures the relay: its own share of the
work is small and runs on the other core.
"""

import socket
import struct
import sys
from contextlib import ExitStack
from typing import Final

import channel
import scene
from chunks import GENERIC, find_marks, split
from measure import Meter
from plan import Plan, Suite
from scene import frame
from scraping import scrape_seconds

_LENGTH = struct.Struct(">I")
_RECEIVE_BYTES: Final = 65536
_RESTORED: Final = (b"1101", b"1102")


class Reconnect(Exception):  # noqa: N818 - not an error: the gateway has cut the connection, as planned
    """The connection has ended while the sample goes on."""


class Application:
    """Speaks just enough of the protocol to be served, and counts."""

    def __init__(self, plan: Plan, meter: Meter) -> None:
        self._plan = plan
        self._meter = meter
        self._started = False
        self._tail = b""
        self._connection = socket.socket()
        self._others: list[socket.socket] = []

    def crowd(self) -> None:
        """Hold many connections at once, each under a client id of its own."""
        with ExitStack() as stack:
            for client_id in range(self._plan.connections):
                address = (self._plan.host, self._plan.port)
                self._connection = stack.enter_context(socket.create_connection(address, timeout=self._plan.timeout))
                self._tail = b""
                self._greet(client_id)
                if not client_id:
                    self._meter.start()
            self._meter.crowded()

    def _gather(self) -> None:
        """Open the other connections, which hold still until the process ends."""
        ours, tail = self._connection, self._tail
        for number in range(1, self._plan.connections):
            self._connection = socket.create_connection((self._plan.host, self._plan.port), timeout=self._plan.timeout)
            self._others.append(self._connection)
            self._tail = b""
            self._greet(scene.CLIENT_ID + number)
        self._connection, self._tail = ours, tail

    def live(self) -> None:
        """Connect, count, and connect again when the connection ends, until the sample is over."""
        while not self._meter.done:
            with socket.create_connection((self._plan.host, self._plan.port), timeout=self._plan.timeout) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connection = connection
                self._tail = b""
                try:
                    self._enter()
                    self._count()
                except Reconnect:
                    continue

    def _greet(self, client_id: int) -> None:
        version = b"v100..%d" % scene.SERVER_VERSION
        self._connection.sendall(b"API\0" + _LENGTH.pack(len(version)) + version)
        self._next_frame()
        self._connection.sendall(frame(71, 2, client_id, ""))
        wanted = {b"9", b"15"}
        while wanted:
            wanted.discard(self._next_frame().partition(b"\0")[0])

    def _enter(self) -> None:
        self._greet(scene.CLIENT_ID)
        if self._started:
            self._meter.ready()
            return
        self._started = True
        if self._plan.subscribes:
            self._connection.sendall(b"".join(scene.subscriptions()))
        if self._plan.suite is Suite.SCRAPE:
            self._gather()
            self._meter.scrapes(scrape_seconds(self._plan))
        self._meter.start()

    def _count(self) -> None:
        take = {Suite.LATENCY: self._stamps, Suite.SCRAPE: self._stamps, Suite.RECOVERY: self._restored}.get(
            self._plan.suite, self._marks
        )
        meter = self._meter
        while not meter.done:
            data = self._receive()
            meter.received_bytes += len(data)
            self._tail = take(self._tail + data)

    def _marks(self, data: bytes) -> bytes:
        numbers, tail = find_marks(data)
        for number in numbers:
            self._meter.mark(number)
        return tail

    def _stamps(self, data: bytes) -> bytes:
        payloads, tail = split(data)
        for payload in payloads:
            if payload.startswith(GENERIC):
                self._meter.stamp(int(payload.split(b"\0")[4]))
        return tail

    def _restored(self, data: bytes) -> bytes:
        payloads, tail = split(data)
        for payload in payloads:
            fields = payload.split(b"\0")
            if fields[0] == b"4" and fields[3] in _RESTORED:
                self._meter.ready()
        return tail

    def _next_frame(self) -> bytes:
        data = self._tail
        while len(data) < 4 or len(data) < 4 + _LENGTH.unpack_from(data)[0]:
            data += self._receive()
        end = 4 + _LENGTH.unpack_from(data)[0]
        self._tail = data[end:]
        return data[4:end]

    def _receive(self) -> bytes:
        try:
            data = self._connection.recv(_RECEIVE_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Reconnect
        return data


def main() -> None:
    """Play one sample."""
    plan = Plan.from_argument(sys.argv[1])
    with channel.pair(plan.host, plan.channel_port) as side:
        application = Application(plan, Meter(plan, side))
        if plan.suite is Suite.MANY:
            application.crowd()
        else:
            application.live()


if __name__ == "__main__":
    main()
