"""What waits to be sent, in which order, and how fast it may leave.

Lanes, not priorities: whatever waits in an earlier lane goes first, and each lane keeps its order. The rate is a
sliding window over the moments of the last sends, so that no second, wherever it begins, sees more than the limit;
a token bucket would let twice as many through around its refill. Rule kept: TWS takes 50 messages a second over all
kinds, cancels included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from backstay.session.families import Families
from backstay.session.historical import Historical

if TYPE_CHECKING:
    from backstay.session.intents import IntentKey
    from backstay.session.ledger import Entry

WINDOW_SECONDS = 1.0

SLOW_SECONDS = 60.0
"""How long half the rate has to do after TWS said that it was too much."""

URGENT_SHARE = 15
"""One more in so many for orders, cancels and probes: they need not wait for a burst of reads to be a second old. With
45 a second that makes 48, still below TWS's 50, so that a jolt of the network does not make them 51."""

BURST_SHARE = 0.5
"""So much of a second's messages may be bulk that leaves at once. The rest of it is spread over the second, so that
what is urgent finds room at any moment."""

JOLT_SECONDS = 0.1
"""So long a burst may be held up on its way: what follows a full second is spread, or there would be two in one."""

PAUSE_SECONDS = 1.0
"""TWS counts by the second; the third violation costs the socket."""


class Lane(IntEnum):
    """The lanes in the order in which they are served."""

    SETTINGS = 0  # of a new socket: what follows is meant under them
    ORDERS = 1
    INTERACTIVE = 2
    BULK = 3


@dataclass(slots=True)
class Item:
    """One frame's payload that waits; `refund` bytes of the client's credit come free when it leaves."""

    payload: bytes
    refund: int = 0
    entry: Entry | None = None
    since: float = 0.0
    queued_at: float = 0.0  # when it began to wait for the pace
    is_order: bool = False
    fail_fast: bool = False  # does not wait for a gateway that is away
    repeats: int = 0  # so often it has been written before, without an answer
    restores: bool = False  # part of putting back what a lost socket took
    intent: IntentKey | None = None  # of an order that has a record
    is_preview: bool = False  # an order that is none: what it would cost is asked
    is_change: bool = False  # of an order that was announced before
    token: int = 0  # of the page that has to be kept before this may leave


@dataclass(slots=True)
class Outbox:
    """The lanes and the rate window of one session."""

    per_second: int
    reserved: bool = False  # the next free moment belongs to a probe; the lanes wait behind it
    bulk_turn: bool = False
    crowded: bool = False  # something has had to wait for the pace, and something waits ever since
    now: float = 0.0  # of the present step; set by its owner
    slow_until: float = float("-inf")
    paused_until: float = float("-inf")
    lanes: tuple[deque[Item], ...] = field(default_factory=lambda: tuple(deque[Item]() for _ in Lane))
    sent_at: deque[float] = field(default_factory=deque[float])

    def __len__(self) -> int:
        return sum(map(len, self.lanes))

    def push(self, lane: Lane, item: Item) -> None:
        """Put an item at the end of its lane. The caller bounds what it pushes (credit, held limits)."""
        item.queued_at = self.now
        self.lanes[lane].append(item)

    def wait_seconds(self, now: float, *, urgent: bool = False) -> float:
        """How long until something may leave; 0 if it may leave now. `urgent`: an order, a cancel, a probe."""
        while self.sent_at and self.sent_at[0] + WINDOW_SECONDS + JOLT_SECONDS <= now:
            self.sent_at.popleft()
        moment = now
        while (due := self._due(moment, urgent=urgent)) > moment:
            moment = due  # by then older ones count no more, and what is left is spread anew
        return moment - now

    def _due(self, now: float, *, urgent: bool) -> float:
        sent_at, limit = self.sent_at, self.per_second if now >= self.slow_until else max(1, self.per_second // 2)
        old = next((index for index, at in enumerate(sent_at) if at + WINDOW_SECONDS > now), len(sent_at))
        recent, allowed = len(sent_at) - old, limit + limit // URGENT_SHARE if urgent else limit
        if recent >= allowed:
            return max(self.paused_until, sent_at[-allowed] + WINDOW_SECONDS)
        due, spreads = self.paused_until, not urgent and self._has_only_bulk and recent > limit * BURST_SHARE
        if sent_at and (self.crowded or spreads or len(sent_at) >= limit):
            due = max(due, sent_at[-1] + WINDOW_SECONDS / limit)
        if spreads:
            frees_at = sent_at[old] + WINDOW_SECONDS
            due = max(due, sent_at[-1] + (frees_at - sent_at[-1]) / (limit - recent + 1))
        return due

    def slow_down(self, now: float) -> None:
        """TWS says that it was too much: nothing for a second, half the rate for a minute."""
        self.slow_until = now + SLOW_SECONDS
        self.paused_until = now + PAUSE_SECONDS

    def pop(self, now: float) -> Item | None:
        """The next item, if there is one and the rate allows it."""
        if self.reserved:
            return None
        if not any(self.lanes):
            self.crowded = False
            return None
        if self.wait_seconds(now, urgent=self.has_urgent) > 0.0:
            self.crowded = True
            return None
        self.sent_at.append(now)
        return self._next_lane().popleft()

    @property
    def has_urgent(self) -> bool:
        """Whether an order or a cancel is next."""
        return bool(self.lanes[Lane.ORDERS]) and not self.lanes[Lane.SETTINGS]

    @property
    def _has_only_bulk(self) -> bool:
        return not any(self.lanes[: Lane.BULK])

    def _next_lane(self) -> deque[Item]:
        interactive, bulk = self.lanes[Lane.INTERACTIVE], self.lanes[Lane.BULK]
        for lane in (self.lanes[Lane.SETTINGS], self.lanes[Lane.ORDERS]):
            if lane:
                return lane
        # Turn by turn: a client that never stops asking must not keep its own streams from being put back.
        self.bulk_turn = bool(bulk) and (self.bulk_turn or not interactive)
        chosen = bulk if self.bulk_turn else interactive
        self.bulk_turn = not self.bulk_turn
        return chosen

    def take_back(self) -> None:
        """What was popped last did not leave after all: it does not count against the rate."""
        self.sent_at.pop()

    def note_sent(self, now: float) -> None:
        """Something left past the lanes (startApi, probes): it counts against the rate all the same."""
        self.sent_at.append(now)

    def clear(self) -> list[Item]:
        """Empty all lanes; returns what was waiting, in the order in which it would have left."""
        self.reserved = self.crowded = False
        items = [item for lane in self.lanes for item in lane]
        for lane in self.lanes:
            lane.clear()
        return items


@dataclass(slots=True)
class Waiting:
    """What waits to be written. It outlives a core: an order in here has an end even if the session fails."""

    outbox: Outbox
    clocks: deque[Item] = field(default_factory=deque[Item])
    trades: deque[Item] = field(default_factory=deque[Item])  # orders and their cancels, as the client gave them
    historical: Historical = field(default_factory=Historical)
    families: Families = field(default_factory=Families)

    def inherit(self, messages_per_second: int, unkept: Iterable[Item] = ()) -> None:
        """A new core has begun, and the client's window with it: there is no credit to be given back for these.

        `unkept`: orders that wait for their record.
        """
        self.outbox.per_second = messages_per_second
        for item in (*(item for lane in self.outbox.lanes for item in lane), *self.clocks, *self.trades, *unkept):
            item.refund = 0


def carried_over(waiting: Waiting | None, messages_per_second: int, unkept: Iterable[Item] = ()) -> Waiting:
    """What a new core has waiting: what its predecessor left, if there was one. `unkept`: as for `inherit`."""
    if waiting is None:
        return Waiting(Outbox(messages_per_second))
    waiting.inherit(messages_per_second, unkept)
    return waiting
