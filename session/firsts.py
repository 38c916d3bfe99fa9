"""Which requests have not had their first answer, and when to do something about it.

TWS drops requests while it is still joining IB's servers, and does not say so. It does answer reqCurrentTime, so a link
that answers while a request stays silent has lost that request: it is sent again, after growing waits. A stream that
has flowed before and falls silent behind a break is another matter: it is cancelled first, then asked for again.

A wait grows with what answers of this kind have taken lately, so that a slow service is not taken for a deaf one.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from enum import Enum, unique

from backstay.session.ledger import Entry
from backstay.session.request_life import Happening
from backstay.session.settings import VerifySettings

NEVER_DUE = float("inf")
HEAP_SLACK = 64
"""So many that are over may lie among those that are looked after, beside as many as there are of these."""

FORGETS = 0.7
"""How much of the slowest answer's time is left after the next: three quick ones, and it counts no longer."""

FULL_BUDGET, BUDGET_REFUND = 10.0, 0.1
"""Repeats that may be answered by errors before repeating stops; an answer gives a tenth of one back (as gRPC does)."""


@unique
class Silence(Enum):
    """What is to be done about a request whose time has come."""

    REPEAT = "send it again"
    RENEW = "cancel it, then ask again"
    EXPIRE = "tell the client that there is no answer"


@dataclass(slots=True)
class Firsts:
    """See the module. Belongs to one connection's core; begins anew with each."""

    settings: VerifySettings
    next_due: float = NEVER_DUE
    budget: float = FULL_BUDGET
    _heap: list[tuple[float, int, Entry]] = field(default_factory=list[tuple[float, int, Entry]])
    _room: int = HEAP_SLACK
    _slowest: dict[int, float] = field(default_factory=dict[int, float])

    def sent(self, entry: Entry, now: float) -> None:
        """It has been written: await its first answer."""
        entry.heard = False
        entry.sent_at = now
        limits = self.settings
        patience = min(2 * self._slowest.get(entry.request.id, 0.0), limits.longest_seconds)
        wait = min(max(limits.first_seconds, patience) * 2**entry.repeats, max(limits.longest_seconds, patience))
        if entry.repeats >= limits.repeats and not entry.is_stream:
            wait = NEVER_DUE  # it has to wait for its deadline; a stream is given up at its last look
        self.plan(entry, self._by_deadline(entry, now + wait))

    def _sweep(self) -> None:
        """Forget what has been answered or given up: it is not kept until it would have been due."""
        self._heap = [row for row in self._heap if row[2].due == row[0]]
        heapq.heapify(self._heap)
        self._room = 2 * len(self._heap) + HEAP_SLACK

    def _by_deadline(self, entry: Entry, due: float) -> float:
        if entry.is_stream:
            return due
        limits = self.settings
        return min(due, max(entry.sent_at + limits.first_seconds, entry.born_at + limits.deadline_seconds))

    def plan(self, entry: Entry, due: float) -> None:
        """Look at it again then; this replaces what was planned for it."""
        entry.due = due
        if due < NEVER_DUE:
            if len(self._heap) >= self._room:
                self._sweep()
            heapq.heappush(self._heap, (due, entry.sequence, entry))
            self.next_due = self._heap[0][0]

    def heard(self, entry: Entry, now: float, *, over: bool = False) -> None:
        """Something arrived that answers it. `over`: that was all of it."""
        if not entry.heard:
            took, kind = now - entry.sent_at, entry.request.id
            self._slowest[kind] = max(took, FORGETS * self._slowest.get(kind, 0.0))
            self.budget = min(FULL_BUDGET, self.budget + BUDGET_REFUND)
        if not over:
            entry.happens(Happening.SHOWN)
        entry.heard = True
        entry.flowed = True
        rows_deadline = entry.born_at + self.settings.rows_deadline_seconds
        first = entry.due < rows_deadline
        if over or entry.is_stream:
            entry.due = NEVER_DUE
        elif first:
            self.plan(entry, rows_deadline)

    def refused(self, entry: Entry) -> None:
        """An error answers it. If it had been repeated, repeating may be what is wrong."""
        entry.heard = True
        if entry.repeats:
            self.budget = max(0.0, self.budget - 1.0)

    def refused_unnamed(self, entry: Entry) -> None:
        """An error that names no request answers it: it is not sent again, and a read ends at its deadline."""
        entry.repeats = self.settings.repeats
        if not entry.is_stream:
            self.plan(entry, entry.born_at + self.settings.deadline_seconds)

    def watch(self, entry: Entry, now: float, seconds: float) -> None:
        """It should flow, and perhaps does not: give it so long to show."""
        entry.happens(Happening.DOUBTED)
        entry.heard = False
        entry.sent_at = now
        self.plan(entry, now + seconds)

    def take_due(self, now: float) -> list[Entry]:
        """Entries whose time has come, oldest first. What becomes of each, `verdict` says."""
        due: list[Entry] = []
        while self._heap and self._heap[0][0] <= now:
            moment, _, entry = heapq.heappop(self._heap)
            if entry.due == moment:
                entry.due = NEVER_DUE
                due.append(entry)
        self.next_due = self._heap[0][0] if self._heap else NEVER_DUE
        return due

    def verdict(self, entry: Entry, now: float) -> Silence | None:
        """What to do about an entry whose time has come on a healthy link; None: nothing any more."""
        limits = self.settings
        if not entry.is_stream:
            limit = limits.rows_deadline_seconds if entry.rows else limits.deadline_seconds
            if now >= entry.born_at + limit:
                return Silence.EXPIRE
        if entry.renew_wanted:
            return Silence.RENEW
        if entry.heard:
            return None
        if entry.is_stream and entry.flowed:
            return Silence.RENEW
        if entry.repeats >= limits.repeats or self.budget < 1.0:
            return None
        return Silence.REPEAT

    def forget_all(self) -> None:
        """The socket is gone: whatever is asked on the next one is awaited from then on."""
        self._heap.clear()
        self.next_due = NEVER_DUE
