"""Blocks in `recv`, splits into frames, hands on one message a chunk. It decodes nothing and counts no frame."""

from __future__ import annotations

import socket
from typing import Any

from backstay.actors.messages import DISPATCHER, SESSION, Arrived, Ended, LinkStarted, Read
from backstay.actors.traffic import Credit, Traffic, Wire
from backstay.actors.turnstile import PROCESS_TURNSTILE, Turnstile
from backstay.protocol.framing import BadFrame, Splitter
from backstay.session.causes import Cause
from backstay.supervisor.actor import Actor
from backstay.supervisor.specs import Context

RECEIVE_BYTES = 65_536
"""Larger reads were measured to be slower: they fall out of the cache."""

BUSY_BYTES = RECEIVE_BYTES // 2
"""After a read of so much (a thousand ticks) there is likely to be more, and the Reader takes turns with others."""


class DispatcherAwayError(RuntimeError):
    """Frames have nowhere to go; a new epoch asks for them again, a silent gap would not."""


class Reader(Actor):
    """See the module. While it reads, its inbox waits; the end of the socket, or `interrupt`, brings it back."""

    def __init__(
        self,
        context: Context,
        *,
        wire: Wire,
        credit: Credit,
        traffic: Traffic,
        turnstile: Turnstile = PROCESS_TURNSTILE,
    ) -> None:
        super().__init__(context)
        self._turnstile = turnstile
        self._ticket = 0
        self._wire = wire
        self._credit = credit
        self._traffic = traffic

    def begin(self) -> None:
        """The last of the link to start: sockets of before are gone, and dials may come."""
        self.book.urge(SESSION, LinkStarted())

    def receive(self, message: Any) -> None:
        """Read a socket to its end."""
        if isinstance(message, Read):
            try:
                ended = self._read(message)
            finally:
                self._turnstile.leave(self._ticket)
            self.book.send(DISPATCHER, ended)

    def interrupt(self) -> None:
        """Called from any thread."""
        self._wire.cut()
        self._credit.kick()

    def _read(self, read: Read) -> Ended:
        epoch, sock, busy = read.epoch, read.sock, False
        kicks = self._credit.kicks  # whoever kicks has closed the socket before: one of the two is noticed
        splitter, traffic, now = Splitter(), self._traffic, self.now
        received = False
        while True:
            self.turns += 1
            try:
                data = self._receive_in_turn(sock) if busy else sock.recv(RECEIVE_BYTES)
            except OSError as error:
                return self._ended(epoch, Cause.RESET, error.strerror or str(error), received=received)
            finally:
                self.turns += 1
            if not data:
                return self._ended(epoch, Cause.EOF, "", received=received)
            received, busy = True, len(data) >= BUSY_BYTES
            traffic.heard_at = at = now()
            chunk = splitter.push(data)
            if chunk is not None:
                size_bytes = len(chunk.data)
                if not self.book.send(DISPATCHER, Arrived(epoch, chunk, at, self._ticket)):
                    raise DispatcherAwayError
                self._ticket = 0  # the Dispatcher's now
                self.turns += 1
                has_credit = self._credit.take(size_bytes, kicks)
                self.turns += 1
                if not has_credit:
                    return self._ended(epoch, Cause.EOF, "hung up while the client was slow", received=True)
            elif self._ticket:
                self._turnstile.leave(self._ticket)  # a piece of a frame goes nowhere yet
            if splitter.broken is not None:
                return self._ended(epoch, Cause.BAD_FRAME, _words(splitter.broken), received=True)

    def _receive_in_turn(self, sock: socket.socket) -> bytes:
        """With a ticket in hand if there is something to read; it is not for waiting with."""
        self._ticket = self._turnstile.enter(self.context.path)
        try:
            return sock.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._turnstile.leave(self._ticket)
            self._ticket = 0
        return sock.recv(RECEIVE_BYTES)

    def _ended(self, epoch: int, cause: Cause, detail: str, *, received: bool) -> Ended:
        verdict = self._wire.verdict
        if verdict is not None:
            cause, detail = verdict
        return Ended(epoch, cause, detail, received)


def _words(broken: BadFrame) -> str:
    return f"length {broken.length} announced, beginning with {broken.head!r}"
