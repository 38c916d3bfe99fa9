"""Which of a gateway's endpoints is dialled next: in order, then round again, each with its own record of failures.

A port that TWS itself has named (1300) takes the place of the one before, which stays in the list, behind it. What one
connection heard holds for all of its gateway: `moved` is what they know together.

An endpoint that failed does not make another one wait: what is known of it, and the least delay that its cause asks
for, is its own. Only where a socket that had been ready breaks is the same one dialled again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backstay.session.causes import Cause

Endpoint = tuple[str, int]

MAX_ENDPOINTS = 64
"""Twice as many as can be configured; a gateway that keeps naming new ports replaces the last."""

THIS_MACHINE = frozenset(("localhost", "127.0.0.1"))
"""Names that always mean the same. Whatever else two names lead to may change hands: addresses are given anew."""

Moves = Mapping[Endpoint, Endpoint]
"""Where the gateway is now, by where it was before."""

NO_MOVES: Moves = {}


def is_same(one: Endpoint, other: Endpoint) -> bool:
    """Whether two endpoints are certainly the same gateway."""
    return one == other or (one[1] == other[1] and one[0] in THIS_MACHINE and other[0] in THIS_MACHINE)


@dataclass(frozen=True, slots=True)
class Moved:
    """The gateway is here now; if both are the same, it has answered where it was thought to have gone from."""

    before: Endpoint
    after: Endpoint


def learn(moves: Moves, moved: Moved) -> Moves:
    """What is known after one more move. Chains are followed; of too many the oldest is forgotten."""
    known = {old: moved.after if new == moved.before else new for old, new in moves.items()}
    known[moved.before] = moved.after
    known = {old: new for old, new in known.items() if old != new}
    return dict(list(known.items())[-MAX_ENDPOINTS:])


@dataclass(slots=True)
class Record:
    """How often in a row it failed for this cause, and for how long from then on it is not to be dialled."""

    cause: Cause | None = None
    streak: int = 0
    failed_at: float = 0.0
    rest_seconds: float = 0.0


NO_RECORD = Record()


@dataclass(slots=True)
class Endpoints:
    """See the module. `index` is that of the present one: dialled now, or next."""

    listed: list[Endpoint]
    index: int = 0
    last: Endpoint | None = None
    records: dict[Endpoint, Record] = field(default_factory=dict[Endpoint, Record])
    moved: Moves = field(default_factory=lambda: NO_MOVES)

    @property
    def present(self) -> Endpoint:
        """The one that is dialled now, or next."""
        return self.listed[self.index]

    def failed(self, cause: Cause, now: float) -> None:
        """The present one failed, or its socket broke."""
        record, self.last = self._record(), self.present
        record.streak = record.streak + 1 if record.cause is cause else 1
        record.cause = cause
        floor = cause.row.floor
        record.failed_at, record.rest_seconds = now, floor.seconds if record.streak >= floor.after else 0.0

    def rest_last(self, seconds: float, now: float) -> None:
        """The one that failed last needs a person: leave it alone for so long."""
        record = self.records.setdefault(self.last or self.present, Record())
        record.failed_at, record.rest_seconds = now, seconds

    def streak_of(self, cause: Cause) -> int:
        """How often in a row the present one has failed for this cause."""
        record = self._record()
        return record.streak if record.cause is cause else 0

    def wait_seconds(self, now: float) -> float:
        """The least delay before the present one is dialled."""
        record = self._record()
        return max(0.0, record.rest_seconds - (now - record.failed_at))

    def turn(self) -> None:
        """On to the next one."""
        self.index = (self.index + 1) % len(self.listed)

    def choose(self, endpoint: Endpoint, before: Endpoint | None = None) -> None:
        """This one is next; the gateway has named it: it takes the place of the one before, which comes behind it."""
        if endpoint != before:
            others = [one for one in self.listed if one != endpoint]
            place = others.index(before) if before in others else len(others)
            if len(others) == MAX_ENDPOINTS:
                del others[min(place, MAX_ENDPOINTS - 1)]
            self.listed = [*others[:place], endpoint, *others[place:]]
        self.index = self.listed.index(endpoint)

    def follow(self) -> None:
        """If the gateway has moved from the present one, dial where it is now, unless that has failed since."""
        after = self.moved.get(self.present)
        if after is not None and not self.records.get(after, NO_RECORD).streak:
            self.choose(after, self.present)

    def forget(self) -> None:
        """A connection has proved itself: what failed before does not count any more."""
        self.records.clear()

    def _record(self) -> Record:
        return self.records.setdefault(self.present, Record())
