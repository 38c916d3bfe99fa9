"""Accepts clients: one listening socket, one actor that waits at it, one supervised connection a client.

The socket belongs to whoever opened it, and outlives every life of this actor: nothing here shuts it down or closes
it. A wait is broken by a second socket, the bell, which each life has for itself.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from typing import Any

from backstay.actors.traffic import shut
from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import ExitReason
from backstay.supervisor.specs import Context

PAUSE_SECONDS = 0.1
"""After an accept that failed: what is short comes free when somebody leaves, and the client waits in the backlog."""

PASSING = frozenset(
    getattr(errno, name)
    for name in (
        *("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"),
        # Trouble of the network that was on the new socket already; accept(2) says to try again.
        *("ENETDOWN", "EPROTO", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH"),
        *("EPERM", "ETIMEDOUT", "ECONNRESET"),
    )
    if hasattr(errno, name)
)
"""Errors of `accept` that say nothing about the listening socket."""


class Accept:
    """To the listener, from itself: accept clients."""


class Listener(Actor):
    """Hands each accepted socket to `admit`. The socket is bound before, by whoever can say that a port is taken."""

    def __init__(self, context: Context, *, sock: socket.socket, admit: Callable[[socket.socket, str], object]) -> None:
        super().__init__(context)
        self._sock = sock
        self._sock.setblocking(False)  # a client that leaves between the look and the accept must not hold us
        self._admit = admit
        self._bell, self._ear = socket.socketpair()
        self._failing = False

    def begin(self) -> None:
        """Go to work."""
        self.book.send(self.context.id, Accept())

    def receive(self, message: Any) -> None:
        """Accept until somebody asks this actor to stop."""
        del message
        door, bell = select.poll(), select.poll()
        for poll in (door, bell):
            poll.register(self._ear, select.POLLIN)
        door.register(self._sock, select.POLLIN)
        while not self.stopping:
            self.turns += 1
            door.poll()
            self.turns += 1
            if not self.stopping and not self._accept():
                bell.poll(PAUSE_SECONDS * 1_000)

    def _accept(self) -> bool:
        """Take one client, if there is one. False if there should be a pause."""
        try:
            sock, address = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return True  # the client was faster to leave than we to accept
        except OSError as error:
            if error.errno not in PASSING:
                raise
            self._tell(error)
            return False
        self._failing = False
        self._let_in(sock, f"{address[0]}:{address[1]}")
        return True

    def _tell(self, error: OSError) -> None:
        """Once a spell: it may last, and ten lines a second help nobody."""
        if not self._failing:
            self.context.log("accept_failed", relay=self.context.id, reason=error.strerror or str(error))
        self._failing = True

    def _let_in(self, sock: socket.socket, address: str) -> None:
        try:
            sock.setblocking(True)
            self._admit(sock, address)
        except OSError as error:
            sock.close()
            self.context.log("client_refused", relay=self.context.id, address=address, reason=str(error))

    def end(self, reason: ExitReason) -> None:
        """Only what is this life's own."""
        del reason
        self._bell.close()
        self._ear.close()

    def interrupt(self) -> None:
        """Called from any thread. The mark lasts: an ear that was shut is ready for ever."""
        shut(self._ear)
