"""What waits to be sent, in which order, and how fast it may leave.

Lanes, not priorities: whatever waits in an earlier lane goes first, and each lane keeps its order. The rate is a
sliding window over the moments of the last sends, so that no second, wherever it begins, sees more than the limit;
a token bucket would let twice as many through around its refill. Rule kept: TWS takes 50 messages a second over all
kinds, cancels included.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.session.ledger import Entry

WINDOW_SECONDS = 1.0


class Lane(IntEnum):
    """The lanes in the order in which they are served."""

    CONTROL = 0
    ORDERS = 1
    SETTINGS = 2
    INTERACTIVE = 3
    BULK = 4


@dataclass(slots=True)
class Item:
    """One frame's payload that waits; `refund` bytes of the client's credit come free when it leaves."""

    payload: bytes
    refund: int = 0
    entry: Entry | None = None
    since: float = 0.0


@dataclass(slots=True)
class Outbox:
    """The lanes and the rate window of one session."""

    per_second: int
    lanes: tuple[deque[Item], ...] = field(default_factory=lambda: tuple(deque[Item]() for _ in Lane))
    sent_at: deque[float] = field(default_factory=deque[float])

    def __len__(self) -> int:
        return sum(map(len, self.lanes))

    def push(self, lane: Lane, item: Item) -> None:
        """Put an item at the end of its lane. The caller bounds what it pushes (credit, held limits)."""
        self.lanes[lane].append(item)

    def wait_seconds(self, now: float) -> float:
        """How long until the next item may leave; 0 if one may leave now."""
        while self.sent_at and self.sent_at[0] <= now - WINDOW_SECONDS:
            self.sent_at.popleft()
        if len(self.sent_at) < self.per_second:
            return 0.0
        return self.sent_at[0] + WINDOW_SECONDS - now

    def pop(self, now: float) -> Item | None:
        """The next item, if there is one and the rate allows it."""
        if self.wait_seconds(now) > 0.0:
            return None
        for lane in self.lanes:
            if lane:
                self.sent_at.append(now)
                return lane.popleft()
        return None

    def note_sent(self, now: float) -> None:
        """Something left past the lanes (startApi, probes): it counts against the rate all the same."""
        self.sent_at.append(now)

    def clear(self) -> list[Item]:
        """Empty all lanes; returns what was waiting, in the order in which it would have left."""
        items = [item for lane in self.lanes for item in lane]
        for lane in self.lanes:
            lane.clear()
        return items
