"""One accepted socket: batched writes, and the ways in which they can be made bad."""

import selectors
import socket
import struct
from collections.abc import Callable

from backstay.simulator.loop import Loop, Timer

READ_BYTES = 65536
"""One read: more than any burst of requests a client sends at once."""

WRITE_BYTES = 262144
"""One write: about what a loopback socket takes, so that a long backlog is not copied over and over."""

BACKLOG_BYTES_MAX = 64 * 1024 * 1024
"""A client that asks and never reads is cut off here; four of the largest frames."""

LINGER_SECONDS = 1.0
"""How long a closed socket is still read from: closing over unread input would turn the FIN into a RST."""

SPLIT_PAUSE_SECONDS = 0.0002
"""Between two pieces of a split stream: long enough that a reader on the same machine wakes up in between."""

SLOW_STEP_SECONDS = 0.05
"""A slowed stream is written in steps of this length."""

PEER_CLOSED = (7, 8)
"""TCP states CLOSE and CLOSE_WAIT, the first byte of TCP_INFO."""

_RESET = struct.pack("ii", 1, 0)


class Channel:
    """Reads and writes one socket; loop thread only.

    ``heard`` is called with received bytes, ``lost`` once when the peer has gone. After ``close`` neither is called.
    """

    def __init__(
        self, loop: Loop, sock: socket.socket, *, heard: Callable[[bytes], None], lost: Callable[[str], None]
    ) -> None:
        self.frozen = False
        self.split_bytes = 0
        self.slow_bytes_per_second = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self._loop = loop
        self._sock = sock
        self._heard = heard
        self._lost = lost
        self._open = True
        self._batch: list[bytes] = []
        self._out = bytearray()
        self._flushing = False
        self._blocked = False
        self._step: Timer | None = None
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    @property
    def backlog(self) -> int:
        """Bytes written but not yet taken by the kernel, the current batch not counted."""
        return len(self._out)

    def send(self, data: bytes) -> None:
        """Queue bytes; what is queued in one round of the loop leaves in one write."""
        self._batch.append(data)
        if not self._flushing:
            self._flushing = True
            self._loop.soon(self._flush)

    def peer_gone(self) -> bool:
        """Whether the peer has closed although that was not read yet; a client that dials anew may be that fast."""
        if hasattr(socket, "TCP_INFO"):  # also when unread input lies before the end
            return self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in PEER_CLOSED
        try:
            return self._sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def set_frozen(self, *, frozen: bool) -> None:
        """Stop (or go on) reading and writing this one socket."""
        self.frozen = frozen
        self._watch()
        if not frozen:
            self._write()

    def close(self) -> None:
        """Send what is queued as far as it goes, then FIN; input is read and thrown away for a moment."""
        if not self._open:
            return
        self._stop()
        sock = self._sock
        try:
            sock.send(bytes(self._out) + b"".join(self._batch))
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._release()
            return
        self._loop.watch(sock, selectors.EVENT_READ, self._discard)
        self._step = self._loop.after(LINGER_SECONDS, self._release)

    def reset(self) -> None:
        """Drop what is queued and send RST."""
        if not self._open:
            return
        self._stop()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._release()

    def release(self) -> None:
        """Close at once, for the end of the simulator."""
        if self._open:
            self._stop()
        self._release()

    def _watch(self) -> None:
        if not self._open:
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._blocked else 0)
        self._loop.watch(self._sock, 0 if self.frozen else wanted, self._ready)

    def _ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._blocked = False
            self._watch()
            self._write()
        if events & selectors.EVENT_READ and self._open:
            self._read()

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(type(error).__name__)
            return
        if not data:
            self._fail("eof")
            return
        self.bytes_in += len(data)
        self._heard(data)

    def _flush(self) -> None:
        self._flushing = False
        self._out += b"".join(self._batch)
        self._batch.clear()
        if len(self._out) > BACKLOG_BYTES_MAX and self._open:
            self._fail("a backlog nobody reads")
        self._write()

    def _write(self) -> None:
        if self.frozen or self._blocked or not self._open or self._step is not None:
            return
        if self.split_bytes or self.slow_bytes_per_second:
            self._write_step()
            return
        while self._out:
            if not self._send_some(WRITE_BYTES):
                return

    def _write_step(self) -> None:
        """Write one piece and come back for the next."""
        self._step = None
        if self.frozen or not self._open or not self._out:
            return
        size, pause = len(self._out), SPLIT_PAUSE_SECONDS
        if self.slow_bytes_per_second:
            pause = SLOW_STEP_SECONDS
            size = max(1, int(self.slow_bytes_per_second * pause))
            pause = size / self.slow_bytes_per_second
        if self.split_bytes:
            size = min(size, self.split_bytes)
            if self.slow_bytes_per_second:
                pause = size / self.slow_bytes_per_second
        if self._send_some(size) and self._out:
            self._step = self._loop.after(pause, self._next_step)

    def _next_step(self) -> None:
        self._step = None
        self._write()

    def _send_some(self, size: int) -> bool:
        """Send up to ``size`` bytes; False when the kernel takes no more or the peer has gone."""
        try:
            sent = self._sock.send(memoryview(self._out)[:size].tobytes())
        except BlockingIOError:
            self._blocked = True
            self._watch()
            return False
        except OSError as error:
            self._fail(type(error).__name__)
            return False
        self.bytes_out += sent
        del self._out[:sent]
        return True

    def _fail(self, reason: str) -> None:
        self._stop()
        self._release()
        self._lost(reason)

    def _stop(self) -> None:
        self._open = False
        self._loop.watch(self._sock, 0, self._ready)
        if self._step is not None:
            self._step.cancel()
            self._step = None

    def _discard(self, _events: int) -> None:
        try:
            if self._sock.recv(READ_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._release()

    def _release(self) -> None:
        if self._step is not None:
            self._step.cancel()
            self._step = None
        if self._sock.fileno() >= 0:
            self._loop.watch(self._sock, 0, self._ready)
            self._sock.close()
