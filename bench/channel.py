"""The side channel between a client and the gateway: start, acknowledgements with their times, results.

It is a socket of its own because an acknowledgement sent as an API request would measure the client's pacing.
"""

import json
import socket
import struct
import time
from typing import Any, Final, Self

_HEADER = struct.Struct(">qq")
_RESULT: Final = -1
"""In the place of a mark's number: the second value is the length of the JSON text that follows."""


def pair(host: str, port: int) -> "Channel":
    """Connect to a gateway's side channel."""
    return Channel(socket.create_connection((host, port), timeout=30))


class Channel:
    """One end of the side channel."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def settimeout(self, seconds: float) -> None:
        """Bound every later ``receive``."""
        self._connection.settimeout(seconds)

    def acknowledge(self, number: int) -> None:
        """Say that everything up to this mark has reached the callback, and when (monotonic nanoseconds)."""
        self._connection.sendall(_HEADER.pack(number, time.monotonic_ns()))

    def go(self) -> None:
        """Ask for the stream: the client is ready and has subscribed."""
        self.acknowledge(0)

    def finish(self, result: dict[str, Any]) -> None:
        """Hand over what the client itself has measured; the last thing it says."""
        text = json.dumps(result).encode()
        self._connection.sendall(_HEADER.pack(_RESULT, len(text)) + text)

    def receive(self) -> tuple[int, int]:
        """Wait for the next acknowledgement: number and monotonic nanoseconds.

        Raises ConnectionError when the client has gone, TimeoutError when it says nothing in time.
        """
        number, stamp = _HEADER.unpack(self._read(_HEADER.size))
        return number, stamp

    def receive_result(self) -> dict[str, Any]:
        """Wait for the client's result, passing over acknowledgements that are still under way."""
        while True:
            number, length = self.receive()
            if number == _RESULT:
                result: dict[str, Any] = json.loads(self._read(length))
                return result

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._connection.recv(count - len(data))
            if not more:
                raise ConnectionError("the benchmarked client has gone")
            data += more
        return data
