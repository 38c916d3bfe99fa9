"""Accepts clients: one listening socket, one actor that blocks in `accept`, one supervised connection a client."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from backstay.relay.outlet import shut
from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import ExitKind, ExitReason
from backstay.supervisor.specs import Context

BACKLOG = 64
"""Clients that may knock at once: twice as many as a TWS takes."""


class Accept:
    """To the listener, from itself: accept clients."""


class Listener(Actor):
    """Hands each accepted socket to `admit`. The socket is bound before, by whoever can say that a port is taken."""

    may_block = True

    def __init__(self, context: Context, *, sock: socket.socket, admit: Callable[[socket.socket, str], object]) -> None:
        super().__init__(context)
        self._sock = sock
        self._sock.listen(BACKLOG)
        self._admit = admit

    def begin(self) -> None:
        """Go to work."""
        self.book.send(self.context.id, Accept())

    def receive(self, message: Any) -> None:
        """Accept until the socket is shut down."""
        del message
        while not self.stopping:
            try:
                sock, address = self._sock.accept()
            except ConnectionAbortedError:
                continue  # the client was faster to leave than we to accept
            except OSError:
                if self.stopping:
                    return  # `interrupt` has shut the listening socket down
                raise
            self._admit(sock, f"{address[0]}:{address[1]}")

    def end(self, reason: ExitReason) -> None:
        """The port is free once nobody will listen again; a crash leaves it open for the next life."""
        if reason.kind is not ExitKind.CRASH:
            self._sock.close()

    def interrupt(self) -> None:
        """Called from any thread."""
        shut(self._sock)
