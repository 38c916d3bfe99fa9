"""The way out to a client: a send at once when nothing waits, else a bounded queue with a writer of its own."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from backstay.actors.traffic import Credit, shut
from backstay.protocol.framing import MAX_PAYLOAD, PREFIX_BYTES
from backstay.session.own_words import OwnWord
from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import ExitReason
from backstay.supervisor.specs import Context

MAX_PENDING_BYTES = 2 * MAX_PAYLOAD
"""Credit stops the Reader long before, unless a single frame is larger than it; the largest possible one has to fit,
and beside it what backstay itself says. A client that lets more than that pile up is cut off."""

WRITER = "writer"


def _nobody(_count: int) -> None:
    """The default for whoever is not interested."""


def frames_of(piece: bytes | memoryview) -> int:
    """How many frames this ends; of bytes that begin with a frame it is the rest, or the whole."""
    whole = piece.obj if isinstance(piece, memoryview) else piece
    assert isinstance(whole, bytes)  # noqa: S101  # only bytes are put
    sent, at, count = len(whole) - len(piece), 0, 0
    while at < len(whole):
        at += PREFIX_BYTES + int.from_bytes(whole[at : at + PREFIX_BYTES], "big")
        count += at > sent
    return count


class Outlet:
    """Writes to one client's socket. `put` and `finish`: the Dispatcher's thread; `pump`: the writer's."""

    def __init__(self, sock: socket.socket, credit: Credit, lost: Callable[[int], object] = _nobody) -> None:
        """`lost` hears how many frames a client has missed that was cut off because it did not read, in any thread."""
        self._sock = sock
        self._lost = lost
        self._credit = credit
        self._lock = threading.Lock()
        self._queue: deque[bytes | memoryview] = deque()
        self._pending_bytes = 0
        self._filled = threading.Event()
        self._broken = False
        self._callbacks: list[Callable[[], object]] = []

    @property
    def pending_bytes(self) -> int:
        """Bytes taken and not yet sent."""
        return self._pending_bytes

    def recount(self) -> None:
        """See `Sink`. Under the lock under which all credit is given back: none is counted twice."""
        with self._lock:
            self._credit.restart(self._pending_bytes)

    def tell(self, word: OwnWord) -> None:
        """A client behind a socket is told in frames."""

    def put(self, data: bytes, starts: list[int] | None = None) -> bool:
        """Send now as much as the socket takes; queue the rest. False: nobody is there to take it."""
        del starts
        with self._lock:
            sent = 0
            if not self._queue and not self._broken:
                sent = self._try(data)
            rest = len(data) - sent
            if rest and not self._broken and self._pending_bytes + rest <= MAX_PENDING_BYTES:
                self._queue.append(memoryview(data)[sent:] if sent else data)
                self._pending_bytes += rest
                self._filled.set()
            elif rest:
                if not self._broken:
                    self._lose(memoryview(data)[sent:])
                sent = len(data)
                self._break()
            if sent:
                self._credit.give(sent)
            return not self._broken

    def give(self, data: bytes) -> None:
        """Put what was made here, not read. In place of the Dispatcher, while there is none."""
        self._credit.owe(len(data))
        self.put(data)

    def _try(self, data: bytes) -> int:
        try:
            return self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:
            self._break()
            return 0

    def finish(self, done: Callable[[], object]) -> None:
        """Call `done` once all that was put is sent, or cannot be."""
        with self._lock:
            if self._queue and not self._broken:
                self._callbacks.append(done)
                return
        done()

    def wait_filled(self) -> None:
        """Block until there is something to pump, or the outlet is broken."""
        self._filled.wait()

    def pump(self) -> bool:
        """Send one piece, blocking. False once broken."""
        with self._lock:
            if self._broken:
                return False
            if not self._queue:
                self._filled.clear()
                return True
            piece, sock = self._queue[0], self._sock
        try:
            sent = sock.send(piece)
        except OSError as error:
            with self._lock:
                if sock is self._sock:
                    if isinstance(error, BlockingIOError):  # the client has taken nothing for the send time-out
                        self._lose()
                    self._break()
            return False
        self._account(sock, piece, sent)
        return True

    def _account(self, sock: socket.socket, piece: bytes | memoryview, sent: int) -> None:
        callbacks: list[Callable[[], object]] = []
        with self._lock:
            if self._broken or sock is not self._sock:
                return  # everything pending then, this piece too, has been counted as gone
            self._pending_bytes -= sent
            if sent == len(piece):
                self._queue.popleft()
            else:
                self._queue[0] = memoryview(piece)[sent:]
            if not self._queue:
                callbacks, self._callbacks = self._callbacks, []
            self._credit.give(sent)
        for done in callbacks:
            done()

    def _lose(self, *more: memoryview) -> None:
        """The client is to be cut off although it is there: what waits for it is lost."""
        if not self._broken:
            self._lost(sum(map(frames_of, (*self._queue, *more))))

    def _break(self) -> None:
        """The client is lost; its reading side finds out by the shutdown."""
        if self._broken:
            return
        self._broken = True
        self._queue.clear()
        released, self._pending_bytes = self._pending_bytes, 0
        self._credit.give(released)
        shut(self._sock)
        self._filled.set()

    def detach(self) -> socket.socket:
        """The client has left, or moves on: drop what it has not taken. Returns its socket, which is not closed."""
        with self._lock:
            sock = self._sock
            self._sock = NO_SOCKET
            self._break()
        return sock

    def attach(self, sock: socket.socket) -> None:
        """A client has come (back): what is put from now on is for it. The writer has to be told to pump."""
        with self._lock:
            self._sock.close()
            self._sock = sock
            self._broken = False
            self._filled.clear()

    def close(self) -> None:
        """Break for good and close the socket."""
        with self._lock:
            self._break()
            callbacks, self._callbacks = self._callbacks, []
        self._sock.close()
        for done in callbacks:
            done()

    def interrupt(self) -> None:
        """End every wait on this client, from any thread."""
        shut(self._sock)
        self._filled.set()


NO_SOCKET = socket.socket()
"""Stands where a socket was: closed, so that every use of it fails as a lost client does. One for all: there may be no
descriptor left for another."""
NO_SOCKET.close()


class Pump:
    """To the writer, from itself: serve the outlet."""


class Writer(Actor):
    """Pumps what the Dispatcher could not send at once. First of its connection to start, last to stop."""

    def __init__(self, context: Context, *, outlet: Outlet, gone: Callable[[], object]) -> None:
        super().__init__(context)
        self._outlet = outlet
        self._gone = gone

    def begin(self) -> None:
        """Go to work."""
        self.book.send(self.context.id, Pump())

    def receive(self, message: Any) -> None:
        """Serve the outlet until it breaks or this actor is stopped."""
        del message
        while not self.stopping:
            self.turns += 1  # also for the send: the socket has a limit of its own
            self._outlet.wait_filled()
            going_on = self._outlet.pump()
            self.turns += 1
            if not going_on:
                return

    def end(self, reason: ExitReason) -> None:
        """The client's socket goes with its last actor, and then somebody else may have its place."""
        del reason
        self.let_go()

    def interrupt(self) -> None:
        """Called from any thread."""
        self._outlet.interrupt()

    def let_go(self) -> None:
        """See `Actor`."""
        self._outlet.close()
        self._gone()
