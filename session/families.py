"""Requests without an id, each in its turn: of a family one at a time is out, for nothing tells their answers apart.

The next leaves when TWS has answered, when nobody wants the answer any more, or when the silence has lasted for as long
as it takes to be noticed: one that TWS has dropped must not keep the others from being asked. It is repeated in its
turn, too, and an answer counts for the one whose turn it is. Our own lists of orders have a turn as well.

Not in here: the time, which is asked at a pace of its own (`Waiting.clocks`), and what has no end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Key, Request
from backstay.session.ledger import REQ_CURRENT_TIME, Entry, Ledger

if TYPE_CHECKING:
    from backstay.session.pacing import Item

NEVER_DUE = float("inf")

UNPROVED_SECONDS = 1.0
"""Until the next look where nothing at all has arrived since: the gateway may hang, and answer when it goes on."""


def _family(request: Request) -> str | None:
    goes_in_turn = request.key is Key.NONE and request.end is not None and request.id != REQ_CURRENT_TIME
    return request.conn_family if goes_in_turn else None


FAMILIES: Mapping[int, str] = {
    request.id: family for request in REQUESTS.values() if (family := _family(request)) is not None
}
"""The family of a request that goes in turn, by message id."""

ENDS: Mapping[str, int] = {family: end for number, family in FAMILIES.items() if (end := REQUESTS[number].end)}
"""The message that ends a turn of each family; all requests of one have the same."""

_ENDED_BY = {end: family for family, end in ENDS.items()}


def alike(number: int) -> frozenset[int]:
    """The requests of the same family."""
    return frozenset(other for other, family in FAMILIES.items() if family == FAMILIES.get(number))


@dataclass(frozen=True, slots=True)
class Turn:
    """Which request of a family is out, and for how long the others wait for its answer."""

    entry: Entry | None  # None: it is one of our own
    began: float
    until: float  # if nothing of its answer has come
    at_last: float  # if only a part has


@dataclass(slots=True)
class Families:
    """Whose turn it is, and who waits for theirs. The caller bounds how many wait."""

    turns: dict[str, Turn] = field(default_factory=dict[str, Turn])
    heard_at: float = 0.0  # when the last byte has arrived
    lines: dict[str, deque[Item]] = field(default_factory=dict[str, deque["Item"]])  # none of them empty

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def begin(self, entry: Entry, now: float, *, longest_seconds: float) -> None:
        """It leaves, and the silence it may meet is looked at when it is `due`. Nothing if it goes in no turn."""
        family = FAMILIES.get(entry.request.id)
        if family is not None:
            self._end(family)
            at_last = now + longest_seconds
            self.turns[family] = Turn(entry, now, min(entry.due, at_last), at_last)
            entry.has_turn = True

    def begin_ours(self, number: int, now: float, *, seconds: float) -> None:
        """A question of our own leaves; a round may be begun anew before it is answered."""
        family = FAMILIES.get(number)
        if family is not None:
            self._end(family)
            self.turns[family] = Turn(None, now, now + seconds, now + seconds)

    def heard(self, number: int) -> None:
        """A message has arrived that may be the answer to somebody whose turn it is."""
        self._end(_ENDED_BY.get(number, ""))

    def is_free(self, family: str, now: float, ledger: Ledger) -> bool:
        """Whether it is nobody's turn, or has been for long enough on a link that speaks."""
        return self._over_at(family, now, ledger) <= now

    def put(self, family: str, item: Item) -> None:
        """Let a request wait for its turn."""
        self.lines.setdefault(family, deque()).append(item)

    def take(self, is_free: Callable[[str], bool], is_wanted: Callable[[Item], bool]) -> Item | None:
        """The next whose turn has come. What is wanted no longer is forgotten."""
        self.purge(is_wanted)
        family = next(filter(is_free, self.lines), None)
        if family is None:
            return None
        line = self.lines[family]
        item = line.popleft()
        if not line:
            del self.lines[family]
        return item

    def due(self, now: float, ledger: Ledger, *, is_ours: Callable[[str], bool]) -> float:
        """When somebody's turn comes whether or not there is an answer. `is_ours`: it is our own turn."""
        moments = (self._over_at(family, now, ledger) for family in self.lines if not is_ours(family))
        return min(moments, default=NEVER_DUE)

    def purge(self, is_wanted: Callable[[Item], bool]) -> None:
        """Forget what is wanted no longer."""
        lines = {family: deque(filter(is_wanted, line)) for family, line in self.lines.items()}
        self.lines = {family: line for family, line in lines.items() if line}

    def clear(self) -> None:
        """The socket is gone: all are asked again with the rest."""
        for family in tuple(self.turns):
            self._end(family)
        self.lines.clear()

    def _end(self, family: str) -> None:
        turn = self.turns.pop(family, None)
        if turn is not None and turn.entry is not None:
            turn.entry.has_turn = False

    def _over_at(self, family: str, now: float, ledger: Ledger) -> float:
        turn = self.turns.get(family)
        if turn is None:
            return float("-inf")
        entry = turn.entry
        if entry is not None and (entry.queued or not _is_wanted(entry, ledger)):
            return float("-inf")
        until = turn.at_last if entry is not None and entry.heard else turn.until
        return until if self.heard_at > turn.began else max(until, now + UNPROVED_SECONDS)


def _is_wanted(entry: Entry, ledger: Ledger) -> bool:
    """Whether its answer is still awaited: by it, or by what has taken its slot."""
    present = ledger.entries.get(entry.slot)
    return present is entry or (present is not None and present.shadowed is entry)
