"""The last events, for whoever wants to follow: a bounded ring that any thread may write to and any may read."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

CAPACITY = 1_000
"""Enough to see how an outage began after it has flapped for hours; a kilobyte each at the most."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `number` rises by one with each event; `wall`: seconds since 1970."""

    number: int
    wall: float
    name: str
    fields: Mapping[str, object]


class Keeper(Protocol):
    """Keeps more events than a ring does, and longer than the process lives. Any thread; raises nothing."""

    def keep(self, event: Event) -> object:
        """Take one, without blocking."""
        ...

    def last(self, count: int) -> Sequence[Event]:
        """The last ones, oldest first."""
        ...

    def all(self) -> Sequence[Event]:
        """All there are, oldest first."""
        ...


class EventRing:
    """Keeps the last events and wakes those who follow. A slow follower misses events and is told how many.

    With a keeper it begins with what an earlier process has left, and goes on with its numbers.
    """

    def __init__(
        self, capacity: int = CAPACITY, *, clock: Callable[[], float] = time.time, keeper: Keeper | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._keeper = keeper
        self._events: deque[Event] = deque(keeper.last(capacity) if keeper is not None else (), maxlen=capacity)
        self._clock = clock
        self._last = self._events[-1].number if self._events else 0
        self._followers: dict[int, Callable[[], None]] = {}
        self._tickets = 0

    @property
    def last(self) -> int:
        """The number of the latest event, 0 before the first."""
        return self._last

    def publish(self, name: str, fields: Mapping[str, object] | None = None) -> None:
        """Add an event; values must be JSON-able. Any thread; never blocks for long, never raises for a follower."""
        with self._lock:
            self._last += 1
            event = Event(self._last, self._clock(), name, dict(fields or {}))
            self._events.append(event)
            if self._keeper is not None:
                self._keeper.keep(event)
            followers = tuple(self._followers.items())
        for ticket, wake in followers:
            try:
                wake()
            except Exception:  # noqa: BLE001  # its loop is closed: it is gone, and that is nobody's failure here
                self._forget(ticket)

    def since(self, number: int) -> tuple[tuple[Event, ...], int]:
        """The events after this number, and how many of them are lost already.

        A number from the future (of an earlier process) begins anew.
        """
        with self._lock:
            if number > self._last:
                number = 0
            events = tuple(event for event in self._events if event.number > number)
            return events, self._last - number - len(events)

    def of(self, since_wall: float) -> Sequence[Event]:
        """The events of this moment and later, as far back as they are kept; may read files."""
        with self._lock:
            events = tuple(self._events)
        first = events[0] if events else None
        older: Sequence[Event] = ()
        if self._keeper is not None and (first is None or since_wall < first.wall):
            older = tuple(one for one in self._keeper.all() if first is None or one.number < first.number)
        return tuple(one for one in (*older, *events) if one.wall >= since_wall)

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` after each event, from the publishing thread, until the returned function is called."""
        with self._lock:
            self._tickets += 1
            ticket = self._tickets
            self._followers[ticket] = wake
        return lambda: self._forget(ticket)

    def _forget(self, ticket: int) -> None:
        with self._lock:
            self._followers.pop(ticket, None)
