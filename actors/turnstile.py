"""Lets few connections at a time move bytes at full speed, so that everybody else soon gets hold of the interpreter.

Threads that want the interpreter stand in one line. With 32 connections at full speed a hundred do, and an operator's
question, a timer or the tick of a quiet connection waits behind all of them. So whoever has more to move than one read
takes a ticket first, and waits for it outside that line. Whoever reads little never comes here.

Alone, nobody waits: the limit is for those who are not the only one inside.

A ticket lasts until the chunk is in its sink's hands. One that is not given back in time is void: whoever holds it
hangs or is slow, and that is nobody else's trouble.

While somebody outside is being answered it can be held: for that moment no ticket is given out.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import NamedTuple

TICKETS = 4
"""At one time: a Reader and a Dispatcher each of two connections. Only one of them all can hold the interpreter."""

TICKET_SECONDS = 0.05
"""A chunk takes a millisecond or two; only hanging and very slow sinks need longer than this."""

HOLD_SECONDS = 0.05
"""The longest hold. An answer takes a few milliseconds, and what only begins (a restart, a stream of events) waits for
nobody any more."""

HOLD_SHARE = 0.25
"""Of all time, so that somebody who asks again and again cannot keep the data out."""


class _Visitor(NamedTuple):
    ticket: int
    owner: Hashable
    bell: threading.Lock


class Turnstile:
    """See the module. First come, first served. All methods may be called from any thread."""

    def __init__(
        self, tickets: int = TICKETS, seconds: float = TICKET_SECONDS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._tickets = tickets
        self._seconds = seconds
        self._lock = threading.Lock()
        self._inside: OrderedDict[int, tuple[float, Hashable]] = OrderedDict()
        self._owners: Counter[Hashable] = Counter()
        self._waiting: deque[_Visitor] = deque()  # a place for each thread that is in `enter`
        self._last = 0
        self._held_until = 0.0
        self._allowance_seconds = HOLD_SECONDS
        self._allowed_at = self._clock()

    @property
    def inside(self) -> int:
        """Tickets that are out now."""
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """Threads that wait for one."""
        return len(self._waiting)

    @property
    def held(self) -> bool:
        """Whether it gives out none at the moment."""
        return self._clock() < self._held_until

    def enter(self, owner: Hashable) -> int:
        """Wait for a ticket: through a hold, and at most `seconds` for every `tickets` that are ahead of it."""
        bell = threading.Lock()
        bell.acquire()
        with self._lock:
            self._last += 1
            ticket = self._last
            self._waiting.append(_Visitor(ticket, owner, bell))
            self._let_in()
        while not bell.acquire(timeout=self._seconds):
            with self._lock:
                self._void()
                self._let_in()
        return ticket

    def leave(self, ticket: int) -> None:
        """Give it back. One that is void, was given back before or is 0 does no harm."""
        with self._lock:
            if ticket in self._inside:
                self._take_out(ticket)
                self._let_in()

    def hold(self) -> None:
        """Give out no ticket until `release`, or until the allowance for it is used up."""
        with self._lock:
            now = self._clock()
            if now < self._held_until:
                return
            earned = HOLD_SHARE * (now - self._allowed_at)
            self._held_until = now + min(HOLD_SECONDS, self._allowance_seconds + earned)
            self._allowance_seconds, self._allowed_at = 0.0, now

    def release(self) -> None:
        """Go on; what is left of the allowance is kept for the next hold."""
        with self._lock:
            rest = self._held_until - self._clock()
            if rest > 0:
                self._allowance_seconds, self._held_until = rest, 0.0
            self._let_in()

    def _void(self) -> None:
        past = self._clock() - self._seconds
        while self._inside:
            ticket, (entered_at, _) = next(iter(self._inside.items()))
            if entered_at > past:
                return
            self._take_out(ticket)

    def _take_out(self, ticket: int) -> None:
        _, owner = self._inside.pop(ticket)
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]

    def _let_in(self) -> None:
        while self._waiting and self._has_room(self._waiting[0].owner):
            now = self._clock()
            if now < self._held_until:
                return
            ticket, owner, bell = self._waiting.popleft()
            self._inside[ticket] = (now, owner)
            self._owners[owner] += 1
            bell.release()

    def _has_room(self, owner: Hashable) -> bool:
        return len(self._inside) < self._tickets or self._owners.keys() == {owner}


PROCESS_TURNSTILE = Turnstile()
"""One for the process, as there is one interpreter."""
