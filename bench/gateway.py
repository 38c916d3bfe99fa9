"""A minimal scripted gateway in a process of its own: greeting, startApi, accounts, order id, then the plan's frames.

Usage: gateway.py PLAN. Prints one JSON line with its ports, and one with what it measured.
"""

import itertools
import json
import queue
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import scene
import stream
from channel import Channel
from plan import Plan, Suite
from scene import WINDOW_FRAMES, frame

_LENGTH = struct.Struct(">I")
_RECEIVE_BYTES: Final = 65536
_GREETING: Final = b"API\0"
_IN_FLIGHT: Final = 2
"""Windows that may be unacknowledged in the steady suite."""

_SETTLE_SECONDS: Final = 1.5
"""Between a recovery and the next cut: TWS answers one reqCurrentTime a second, so who probes before he trusts a
connection must not be cut again within that second; a real gateway is not."""

_REQUESTS: Final = {b"1", b"3", b"10", b"20", b"97"}
"""Message ids of the scene's requests: data, order, depth, history, tick-by-tick."""

_KEY_FIELD: Final = {b"1": 2, b"3": 1, b"10": 2, b"20": 1, b"97": 1}


def _started(_: list[bytes]) -> bytes:
    return frame(15, 1, scene.ACCOUNT) + frame(9, 1, 1)


_ANSWERS: Final[dict[bytes, Callable[[list[bytes]], bytes]]] = {
    b"71": _started,
    b"49": lambda _: frame(49, 1, int(time.time())),
    b"5": lambda _: frame(53, 1),
    b"16": lambda _: frame(53, 1),
    b"7": lambda fields: frame(55, 1, fields[2].decode()),
    b"8": lambda _: frame(9, 1, 1),
    b"17": lambda _: frame(15, 1, scene.ACCOUNT),
    b"61": lambda _: frame(62, 1),
    b"99": lambda _: frame(102),
    b"6": lambda _: frame(54, 1, scene.ACCOUNT),
    b"76": lambda fields: frame(74, 1, fields[2].decode()),
}


class Session:
    """One API connection: answers requests in a thread of its own while the main thread pushes frames."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._sending = threading.Lock()
        self._keys: set[bytes] = set()
        self._subscribed = threading.Event()
        self._buffer = b""
        self._reader = threading.Thread(target=self._serve, daemon=True)
        self._greet()
        self._reader.start()

    def send(self, data: bytes) -> None:
        """Push whole frames."""
        with self._sending:
            self._connection.sendall(data)

    def wait_subscribed(self, seconds: float) -> None:
        """Wait until every request of the scene has arrived; TimeoutError if they do not."""
        if not self._subscribed.wait(seconds):
            raise TimeoutError(f"only {len(self._keys)} of {scene.REQUESTS} requests arrived")

    def cut(self) -> None:
        """End the connection as a gateway does that goes away: the client sees end of file."""
        self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        self._reader.join(5)

    def _greet(self) -> None:
        while not self._buffer.startswith(_GREETING) or len(self._buffer) < len(_GREETING) + 4:
            self._receive()
        self._buffer = self._buffer[len(_GREETING) :]
        self._next_frame()
        self.send(frame(scene.SERVER_VERSION, "20260401 12:00:00 EST"))

    def _serve(self) -> None:
        try:
            while True:
                self._answer(self._next_frame().split(b"\0")[:-1])
        except OSError:
            return  # the connection is over, by either side

    def _answer(self, fields: list[bytes]) -> None:
        kind = fields[0]
        answer = _ANSWERS.get(kind)
        if answer is not None:
            self.send(answer(fields))
        elif kind in _REQUESTS:
            self._keys.add(fields[_KEY_FIELD[kind]])
            if len(self._keys) == scene.REQUESTS:
                self._subscribed.set()

    def _next_frame(self) -> bytes:
        while len(self._buffer) < 4:
            self._receive()
        (length,) = _LENGTH.unpack_from(self._buffer)
        while len(self._buffer) < 4 + length:
            self._receive()
        payload = self._buffer[4 : 4 + length]
        self._buffer = self._buffer[4 + length :]
        return payload

    def _receive(self) -> None:
        data = self._connection.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionError("closed by the client")
        self._buffer += data


class Gateway:
    """The two listening sockets and the scripts of the suites."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._windows = stream.read(Path(plan.stream))[: plan.windows] if plan.windows else []
        self._listener = socket.create_server((plan.host, 0), backlog=256)
        self._channel_listener = socket.create_server((plan.host, 0))
        self._channel_listener.settimeout(plan.timeout)
        self._sessions: queue.SimpleQueue[Session] = queue.SimpleQueue()
        threading.Thread(target=self._admit, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._channel_listener.close()

    def ports(self) -> dict[str, int]:
        """Where to find it."""
        return {"port": self._listener.getsockname()[1], "channel_port": self._channel_listener.getsockname()[1]}

    def play(self) -> dict[str, Any]:
        """Serve one client through the plan's suite and return what was measured."""
        scripts = {
            Suite.STEADY: self._steady,
            Suite.BLAST: self._blast,
            Suite.LATENCY: self._latency,
            Suite.RECOVERY: self._recovery,
            Suite.SLOW: self._slow,
            Suite.SCRAPE: self._latency,
            Suite.MANY: self._many,
        }
        connection, _ = self._channel_listener.accept()
        with Channel(connection) as channel:
            channel.settimeout(self._plan.timeout)
            session = self._next_session()
            channel.receive()
            if self._plan.subscribes:
                session.wait_subscribed(self._plan.timeout)
            measured = scripts[self._plan.suite](session, channel)
            return {**measured, "pushed_bytes": sum(map(len, self._windows))}

    def _admit(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed: the sample is over
            try:
                self._sessions.put(Session(connection))
            except OSError:
                connection.close()  # gone before it had greeted

    def _next_session(self) -> Session:
        return self._sessions.get(timeout=self._plan.timeout)

    def _steady(self, session: Session, channel: Channel) -> dict[str, Any]:
        started = time.monotonic_ns()
        acknowledged = 0
        stamp = started
        for sent, window in enumerate(self._windows):
            while sent - acknowledged >= _IN_FLIGHT:
                acknowledged, stamp = channel.receive()
            session.send(window)
        while acknowledged < len(self._windows):
            acknowledged, stamp = channel.receive()
        return {"seconds": (stamp - started) / 1e9, "client": channel.receive_result()}

    def _blast(self, session: Session, channel: Channel) -> dict[str, Any]:
        blast = b"".join(self._windows)
        started = time.monotonic_ns()
        session.send(blast)
        accepted = time.monotonic_ns()
        first = acknowledged = 0
        stamp = started
        while acknowledged < len(self._windows):
            acknowledged, stamp = channel.receive()
            first = first or stamp
        return {
            "seconds": (stamp - started) / 1e9,
            "accepted_seconds": (accepted - started) / 1e9,
            "first_window_seconds": (first - started) / 1e9,
            "client": channel.receive_result(),
        }

    def _latency(self, session: Session, channel: Channel) -> dict[str, Any]:
        period = 1 / self._plan.rate
        started = due = time.monotonic()
        for number in range(self._plan.frames):
            due += period
            remaining = due - time.monotonic()
            if remaining > 0:
                time.sleep(remaining)
            key = scene.TICKERS[number % len(scene.TICKERS)]
            session.send(stream.stamped(key, time.monotonic_ns()))
        return {"seconds": time.monotonic() - started, "client": channel.receive_result()}

    def _recovery(self, session: Session, channel: Channel) -> dict[str, Any]:
        seconds: list[float] = []
        for _ in range(self._plan.cycles):
            time.sleep(_SETTLE_SECONDS)
            cut = time.monotonic_ns()
            session.cut()
            session = self._next_session()
            _, ready = channel.receive()
            seconds.append((ready - cut) / 1e9)
        return {"recoveries": seconds, "client": channel.receive_result()}

    def _slow(self, session: Session, channel: Channel) -> dict[str, Any]:
        period = WINDOW_FRAMES / self._plan.rate
        started = due = time.monotonic()
        sent = 0
        for window in itertools.cycle(self._windows):
            if due - started >= self._plan.seconds:
                break
            due += period
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                session.send(window)
            except OSError:
                break  # the client has measured for long enough and left
            sent += 1
        seconds = time.monotonic() - started
        return {"accepted_per_second": sent * WINDOW_FRAMES / seconds, "client": channel.receive_result()}

    def _many(self, _: Session, channel: Channel) -> dict[str, Any]:
        return {"client": channel.receive_result()}


def main() -> None:
    """Serve one sample."""
    with Gateway(Plan.from_argument(sys.argv[1])) as gateway:
        print(json.dumps(gateway.ports()), flush=True)
        print(json.dumps(gateway.play()), flush=True)


if __name__ == "__main__":
    main()
