"""What the threads of one connection share besides messages: the socket in use, bytes under way, the last sign of life.

Each has one writing thread or a lock of its own; none of them decides anything.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

from backstay.session.causes import Cause

CREDIT_BYTES = 1024 * 1024
"""Bytes read and not yet taken by the client. Sixteen full reads: enough never to stall a client that keeps up."""


class Credit:
    """A bound on bytes under way: TCP slows the sender down instead of this process growing.

    `take` belongs to one thread, the one that reads; the rest may be called from any.
    """

    def __init__(self, limit_bytes: int = CREDIT_BYTES) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._noted = 0
        self._changed = threading.Condition()
        self._kicks = 0
        self.waiting = False

    @property
    def kicks(self) -> int:
        """How often `kick` was called. Whoever is going to wait reads it before the reason to kick can arise."""
        return self._kicks

    def take(self, size_bytes: int, kicks: int) -> bool:
        """Use up credit, and wait while there is too little. False if kicked since it was `kicks`."""
        with self._changed:
            self._used += size_bytes
            return self._has_room() or self._wait(kicks)

    def wait(self, kicks: int) -> bool:
        """Wait while there is too little credit. False if kicked since it was `kicks`."""
        with self._changed:
            return self._has_room() or self._wait(kicks)

    def _wait(self, kicks: int) -> bool:
        self.waiting = True
        try:
            self._changed.wait_for(lambda: self._has_room() or self._kicks != kicks)
        finally:
            self.waiting = False
        return self._kicks == kicks

    def _has_room(self) -> bool:
        return self._used + self._noted <= self._limit

    def owe(self, size_bytes: int) -> None:
        """Use up credit without waiting: for bytes that are made here, not read."""
        with self._changed:
            self._used += size_bytes

    def give(self, size_bytes: int) -> None:
        """Give credit back."""
        with self._changed:
            self._used -= size_bytes
            if self.waiting:
                self._changed.notify_all()

    def note(self, size_bytes: int) -> None:
        """Use up credit without waiting: for a copy that goes to the session."""
        with self._changed:
            self._noted += size_bytes

    def noted(self, size_bytes: int) -> None:
        """The session has dealt with a copy."""
        with self._changed:
            self._noted = max(0, self._noted - size_bytes)
            if self.waiting:
                self._changed.notify_all()

    def forget_notes(self) -> None:
        """The session that had the copies is gone."""
        with self._changed:
            self._noted = 0
            self._changed.notify_all()

    def restart(self, used_bytes: int) -> None:
        """The thread that moved bytes along has died with some in hand: count anew. Copies count on.

        Whoever gives credit for the bytes that are left must not be able to do so meanwhile.
        """
        with self._changed:
            self._used = used_bytes
            self._changed.notify_all()

    def kick(self) -> None:
        """Let a waiting `take` go: what it waited for has become pointless."""
        with self._changed:
            self._kicks += 1
            self._changed.notify_all()

    @property
    def used_bytes(self) -> int:
        """Bytes under way now."""
        return self._used


class Wire:
    """The one upstream socket of a connection.

    The Connector puts sockets in and takes them out; the Reader reads from the one it was told of. `cut` breaks the
    wait of both from any thread. A verdict given before the cut explains to the Reader why its socket ended.

    Each Connector has a grip on it of its own, and that of an earlier one holds nothing any more: a thread that was
    left behind in a dial comes back to find the wire with its successor.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._cut = False
        self._grip = 0
        self.wanted_epoch = 0
        """The epoch that the session wants a socket for now, 0 for none. Written by its thread."""
        self.verdict: tuple[Cause, str] | None = None

    def renew(self) -> int:
        """A new owner: sockets may come in again. Returns its grip."""
        with self._lock:
            self._drop()
            self._cut = False
            self._grip += 1
            return self._grip

    def hold(self, sock: socket.socket, grip: int) -> bool:
        """Keep this socket, from before it is connected. False (and not kept) once cut for good."""
        with self._lock:
            if self._cut or grip != self._grip:
                return False
            assert self._sock is None, "one socket at a time"  # noqa: S101  # promise 2
            self._sock = sock
            self.verdict = None
            return True

    def shut(self, verdict: tuple[Cause, str], grip: int) -> None:
        """Shut the socket down in both directions: whoever reads or writes it finds out at once."""
        with self._lock:
            if self._sock is not None and grip == self._grip:
                self.verdict = self.verdict or verdict
                shut(self._sock)

    def close(self, grip: int) -> bool:
        """Shut down and close. Only `shutdown` wakes a thread that is blocked in `recv`; only `close` frees the id.

        False if this grip holds nothing any more.
        """
        with self._lock:
            if grip != self._grip:
                return False
            self._drop()
            return True

    def _drop(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            shut(sock)
            sock.close()

    def cut(self) -> None:
        """Shut down, and let no other socket in: the owner is being stopped."""
        with self._lock:
            self._cut = True
            if self._sock is not None:
                shut(self._sock)


def shut(sock: socket.socket) -> None:
    """Shut down in both directions, if it is still open: whoever waits on it finds out at once."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def limit_sends(sock: socket.socket, seconds: float) -> None:
    """Have a send fail that the other side takes nothing of for so long."""
    whole = int(seconds)
    timeval = whole.to_bytes(8, sys.byteorder) + int((seconds - whole) * 1e6).to_bytes(8, sys.byteorder)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


class Traffic:
    """When the last byte came (monotonic seconds). Written by the Reader, read by the Session."""

    __slots__ = ("heard_at",)

    def __init__(self) -> None:
        self.heard_at = 0.0
