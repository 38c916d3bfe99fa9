"""The way from a library's connection to its session: in order, bounded, and over restarts of the session."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backstay.actors.messages import SESSION, wire_bytes
from backstay.actors.session import Charge
from backstay.session.owed import View
from backstay.session.vocabulary import ClientAsked
from backstay.status import ConnectionStatus
from backstay.supervisor.book import Book

WINDOW_BYTES = 256 * 1024
"""Requests given to the session and not yet sent, answered or stored: about a thousand. Then who asks has to wait."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection stands in the tree, and how it looks. None of these but `wait` waits."""

    charge: Charge
    view: Callable[[], View]
    status: Callable[[], ConnectionStatus | None]
    wait: Callable[[Callable[[], bool], float], bool]


class Line:
    """See the module. Any thread; only `reserve` waits."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._book: Book | None = None
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._room = threading.Condition()
        self._used = 0

    def settle(self, book: Book) -> None:
        """The tree stands, and the session with it: there it is reached."""
        self._book = book

    def tell(self, message: Any) -> bool:
        """Put a message into the session's inbox. False: not now."""
        book = self._book
        return book is not None and book.send(SESSION, message)

    def reserve(self, size_bytes: int, timeout: float) -> bool:
        """Wait for room for a request of this size, and take it. False when there was none in time."""
        with self._room:
            if not self._room.wait_for(lambda: self._used < WINDOW_BYTES, timeout):
                return False
            self._used += size_bytes
            return True

    def owe(self, size_bytes: int) -> None:
        """Take room without waiting: for threads that must not, and what they ask is bounded otherwise."""
        with self._room:
            self._used += size_bytes

    def refund(self, size_bytes: int) -> None:
        """The session has dealt with so much. In its thread."""
        with self._room:
            self._used = max(0, self._used - size_bytes)
            self._room.notify_all()

    def send(self, payload: bytes) -> None:
        """Ask the session; room has been taken. While it is being restarted this waits for its next life."""
        with self._lock:
            self._waiting.append(payload)
            self._flush()

    def present(self, up: bool) -> None:
        """The session takes messages, or does not. In its thread."""
        if up:
            with self._lock:
                self._flush()

    def _flush(self) -> None:
        while self._waiting and self.tell(ClientAsked((self._waiting[0],))):
            self._waiting.popleft()


def size_of(payload: bytes) -> int:
    """What a request takes of the window."""
    return wire_bytes((payload,))
