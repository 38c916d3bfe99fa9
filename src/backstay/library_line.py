"""The way from a library's connection to its session: in order, bounded, and over restarts of the session."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backstay.actors.charge import Charge
from backstay.actors.messages import SESSION, wire_bytes
from backstay.session.client_words import ClientAsked
from backstay.session.owed import View
from backstay.status import ConnectionStatus
from backstay.supervisor.book import Book

WINDOW_BYTES = 256 * 1024
"""Requests given to the session and not yet sent, answered or stored: about a thousand. Then the next wait here."""

MAX_WAITING = 10_000
"""Requests that wait here: nearly four minutes at the usual pace. Whoever asks for more is told no."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection stands in the tree, and how it looks. None of these but `wait` waits."""

    charge: Charge
    view: Callable[[], View]
    status: Callable[[], ConnectionStatus | None]
    wait: Callable[[Callable[[], bool], float], bool]


class Line:
    """See the module. Any thread, and none of them waits: what there is no room for yet is sent when there is."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._book: Book | None = None
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._used_bytes = 0

    def settle(self, book: Book) -> None:
        """The tree stands, and the session with it: there it is reached."""
        self._book = book

    def tell(self, message: Any) -> bool:
        """Put a message into the session's inbox. False: not now."""
        book = self._book
        return book is not None and book.send(SESSION, message)

    @property
    def is_full(self) -> bool:
        """Whether too much waits already for anything to be added."""
        return len(self._waiting) >= MAX_WAITING

    def send(self, payload: bytes) -> None:
        """Have the session asked, in the order in which this is called; also over a restart of the session."""
        with self._lock:
            self._waiting.append(payload)
            self._flush()

    def refund(self, size_bytes: int) -> None:
        """The session has dealt with so much. In its thread."""
        with self._lock:
            self._used_bytes = max(0, self._used_bytes - size_bytes)
            self._flush()

    def present(self, up: bool) -> None:
        """The session takes messages, or does not. In its thread."""
        if up:
            with self._lock:
                self._flush()

    def _flush(self) -> None:
        while self._waiting and self._used_bytes < WINDOW_BYTES:
            payload = self._waiting[0]
            if not self.tell(ClientAsked((payload,))):
                return
            self._waiting.popleft()
            self._used_bytes += wire_bytes((payload,))
