"""Dials, greets, writes: the only one that puts bytes on the upstream socket, and the one that closes it."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
from typing import Any

from backstay.actors.messages import READER, SESSION, Finish, Finished, Read
from backstay.actors.traffic import Credit, Wire, limit_sends
from backstay.metrics.blocks import ConnectionMeter
from backstay.session.causes import Cause
from backstay.session.vocabulary import Connected, Dial, DialFailed, HangUp, Write
from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import ExitReason
from backstay.supervisor.specs import Context

WRITE_SECONDS = 10.0
"""A peer that takes no byte for so long with its buffers full does not read any more."""

KEEPALIVE_IDLE_SECONDS, KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_PROBES = 10, 5, 3
"""For links that vanish; a frozen peer needs the application's own probes."""

USER_TIMEOUT_MILLISECONDS = 20_000

LAST_WORDS_SECONDS = 1.0
"""What was written no longer ago may not have been read yet: a few round trips to another continent. Less than
`FINISH_SECONDS` of a session that ends."""

_PEER_CLOSED: int = getattr(select, "POLLRDHUP", select.POLLHUP)

_CAUSES: tuple[tuple[type[OSError], Cause], ...] = (
    (ConnectionRefusedError, Cause.REFUSED),
    (socket.gaierror, Cause.DNS),
    (TimeoutError, Cause.DIAL_TIMEOUT),
    (ConnectionResetError, Cause.RESET),
)


class StaleDialError(Exception):
    """The session has given this dial up; it does not wait to hear of it."""


class Connector(Actor):
    """See the module. `interrupt` breaks a dial or a write that blocks."""

    def __init__(self, context: Context, *, wire: Wire, credit: Credit, meter: ConnectionMeter) -> None:
        super().__init__(context)
        self._wire = wire
        self._grip = wire.renew()
        self._credit = credit
        self._meter = meter
        self._sock: socket.socket | None = None
        self._epoch = 0
        self._written_at = -LAST_WORDS_SECONDS  # monotonic seconds; the greeting does not count

    def receive(self, message: Any) -> None:
        """Dial, write, hang up or finish."""
        if isinstance(message, Write):
            self._write(message)
        elif isinstance(message, Dial):
            self._dial(message)
        elif isinstance(message, HangUp):
            self._hang_up()
        elif isinstance(message, Finish):
            self.book.send(SESSION, Finished(self.context.id))

    def end(self, reason: ExitReason) -> None:
        """No socket outlives its owner."""
        del reason
        self._hang_up()

    def interrupt(self) -> None:
        """Called from any thread."""
        self._wire.cut()

    def let_go(self) -> None:
        """See `Actor`: nobody reads or writes this socket any more."""
        self._wire.close(self._grip)

    def _dial(self, dial: Dial) -> None:
        self._hang_up()
        try:
            with self.excused(dial.timeout_seconds):
                sock = self._connect(dial)
        except StaleDialError:
            self._wire.close(self._grip)
            return
        except OSError as error:
            self._wire.close(self._grip)
            self.book.send(SESSION, DialFailed(dial.epoch, _cause(error), f"{dial.host}:{dial.port}: {_words(error)}"))
            return
        self._sock, self._epoch = sock, dial.epoch
        self.book.send(SESSION, Connected(dial.epoch))
        self._send(dial.greeting)
        self.book.send(READER, Read(dial.epoch, sock))

    def _connect(self, dial: Dial) -> socket.socket:
        deadline = self.now() + dial.timeout_seconds
        error: OSError = TimeoutError("no address answered in time")
        self._check(dial)
        for family, kind, protocol, _, address in socket.getaddrinfo(dial.host, dial.port, type=socket.SOCK_STREAM):
            self._check(dial)
            remaining = deadline - self.now()
            if remaining <= 0.0:
                break
            sock = socket.socket(family, kind, protocol)
            if not self._wire.hold(sock, self._grip):
                sock.close()
                raise ConnectionAbortedError("stopped while dialling")
            try:
                sock.settimeout(remaining)
                sock.connect(address)
                _tune(sock)
            except OSError as trouble:
                self._wire.close(self._grip)
                error = trouble
            else:
                self._check(dial)
                return sock
        raise error

    def _check(self, dial: Dial) -> None:
        """A name server or a peer that hangs holds us while the session goes on to later epochs."""
        if self._wire.wanted_epoch != dial.epoch:
            raise StaleDialError

    def _write(self, write: Write) -> None:
        if self._sock is None or write.epoch != self._epoch:
            return
        self._meter.messages_sent += write.messages
        self._send(write.data)
        self._written_at = self.now()

    def _send(self, data: bytes) -> None:
        assert self._sock is not None  # noqa: S101  # both callers have looked
        try:
            with self.excused(WRITE_SECONDS):
                self._sock.sendall(data)
        except OSError as error:
            # The Reader tells the session, behind everything it has read: one loss, and in order.
            self._wire.shut((Cause.WRITE_FAILED, _words(error)), self._grip)
        else:
            self._meter.sent_bytes += len(data)

    def _hang_up(self) -> None:
        if self._sock is not None:
            self._let_read(self._sock)
        self._sock = None
        if self._wire.close(self._grip):
            self._credit.kick()

    def _let_read(self, sock: socket.socket) -> None:
        """Say that nothing more comes, and let the other side read what it has not yet, until it closes.

        A socket closed with something unread in it ends with a reset, which may throw away what the other side has not
        read: the last orders and cancels. The Reader goes on meanwhile, so that nothing is left unread.
        """
        remaining = self._written_at + LAST_WORDS_SECONDS - self.now()
        if remaining <= 0.0:
            return
        self.excused_until = self.now() + remaining
        with contextlib.suppress(OSError, ValueError):  # it has ended by itself, or was cut
            sock.shutdown(socket.SHUT_WR)
            look = select.poll()
            look.register(sock, _PEER_CLOSED)
            look.poll(remaining * 1_000)
        self.excused_until = 0.0


def _tune(sock: socket.socket) -> None:
    sock.settimeout(None)
    limit_sends(sock, WRITE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MILLISECONDS)


def _cause(error: OSError) -> Cause:
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.UNREACHABLE)


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
