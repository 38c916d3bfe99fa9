"""The listening socket, which can close and come back on the same port."""

import selectors
import socket
from collections.abc import Callable
from contextlib import suppress

from backstay.simulator.loop import Loop
from backstay.simulator.ports import free_port

BACKLOG = 128
"""Connections the kernel keeps waiting: four times what TWS serves."""

TRIES = 5
"""Free ports tried before the system's choice is taken: others may bind one between our look and our bind."""


class Listener:
    """Accepts connections; loop thread, or any thread while the loop does not run."""

    def __init__(self, loop: Loop, address: tuple[str, int], accepted: Callable[[socket.socket], None]) -> None:
        self.host, self.port = address
        self._loop = loop
        self._accepted = accepted
        self._sock: socket.socket | None = None

    @property
    def listening(self) -> bool:
        """Whether a connection would be accepted now."""
        return self._sock is not None

    def open(self) -> None:
        """Listen; ``OSError`` when the port is taken. Port 0 becomes a free one, ours even while we do not listen."""
        if self._sock is not None:
            return
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._bind(sock)
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise
        sock.setblocking(False)
        self.port = sock.getsockname()[1]
        self._sock = sock
        self._loop.watch(sock, selectors.EVENT_READ, self._ready)

    def _bind(self, sock: socket.socket) -> None:
        for _ in range(TRIES if self.port == 0 else 0):
            with suppress(OSError):  # taken since it was looked at
                sock.bind((self.host, free_port()))
                return
        sock.bind((self.host, self.port))

    def move(self, port: int) -> None:
        """Listen on another port from now on; the old one is given up last, so that a free one is a different one."""
        old, self._sock = self._sock, None
        before, self.port = self.port, port
        try:
            self.open()
        except OSError:
            self._sock, self.port = old, before
            raise
        if old is not None:
            self._loop.watch(old, 0, self._ready)
            old.close()

    def close(self) -> None:
        """Stop listening; who waits in the backlog is reset."""
        if self._sock is not None:
            self._loop.watch(self._sock, 0, self._ready)
            self._sock.close()
            self._sock = None

    def _ready(self, _events: int) -> None:
        while self._sock is not None:
            try:
                sock, _ = self._sock.accept()
            except OSError:  # nobody left, or gone again already
                return
            self._accepted(sock)
