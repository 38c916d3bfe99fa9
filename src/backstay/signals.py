"""Reasons to stop, or to do something else, that reach the main thread: signals, and what other threads put there.

Waiting in a lock is not enough: a signal that arrives between the last look at pending signals and the lock's sleep is
noted, and then nobody wakes up to see it until the next one comes. So the wait is a read from a pair of sockets, into
which the interpreter itself writes a byte when a signal arrives, in whichever thread.
"""

from __future__ import annotations

import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

STOPPING = ("SIGTERM", "SIGINT")


class Calls:
    """A queue whose `next` belongs to the main thread; `put` may be called in any, and in a signal handler."""

    def __init__(self, reader: socket.socket, writer: socket.socket) -> None:
        self._reader, self._writer = reader, writer
        self._reasons: deque[str] = deque()

    def put(self, reason: str) -> None:
        """Add a reason; never blocks."""
        self._reasons.append(reason)
        with suppress(OSError):  # full: there is enough to wake it; closed: nobody waits any more
            self._writer.send(b"\0")

    def next(self) -> str:
        """Wait for the next reason. Main thread only."""
        while not self._reasons:
            self._reader.recv(1)
        return self._reasons.popleft()


@contextmanager
def calls(*, others: Sequence[str] = ()) -> Generator[Calls]:
    """The names of SIGTERM, SIGINT and `others` as they arrive; a second one of the first two ends the process at once.

    SIGHUP does nothing unless it is among the others. Main thread only.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)  # or a handler could wait for its own reader
    queue = Calls(reader, writer)

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, leave)
        queue.put(signal.Signals(number).name)

    def tell(number: int, _frame: FrameType | None) -> None:
        queue.put(signal.Signals(number).name)

    def leave(number: int, _frame: FrameType | None) -> None:
        os._exit(128 + number)

    handlers: dict[str, Callable[[int, FrameType | None], Any] | signal.Handlers] = {"SIGHUP": signal.SIG_IGN}
    handlers |= {**dict.fromkeys(STOPPING, stop), **dict.fromkeys(others, tell)}
    waking = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    before = {name: signal.signal(signal.Signals[name], handler) for name, handler in handlers.items()}
    try:
        yield queue
    finally:
        for name, handler in before.items():
            signal.signal(signal.Signals[name], handler)
        signal.set_wakeup_fd(waking)
        reader.close()
        writer.close()
