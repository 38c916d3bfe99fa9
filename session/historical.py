"""IB's limits on historical queries, kept in advance; a query that has to wait stands on a shelf, in nobody's way.

Rules kept: no identical query within 15 s; fewer than 6 for the same contract, exchange and kind of data within 2 s; at
most 60 within 10 minutes; one for BID_ASK counts twice. What was sent is remembered over sockets and restarts of the
session, since TWS remembers it as well. The memory is bounded by the limit itself.

IB counts by login. What all connections of a gateway have asked is known to each as of the beginning of its step
(`learn`), and what it asks itself to the others once the step is over. Each lets out one query a step then, and leaves
room for one more, which is what another one may send in the same instant.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backstay.protocol.historical import HistoricalQuery

if TYPE_CHECKING:
    from backstay.session.pacing import Item

JITTER_SECONDS = 0.25
"""What leaves so far apart as the rule wants may arrive closer together."""

LONG_SECONDS, LONG_LIMIT = 600.0 + JITTER_SECONDS, 60
SAME_SECONDS, SAME_LIMIT = 2.0 + JITTER_SECONDS, 5
IDENTICAL_SECONDS = 15.0 + JITTER_SECONDS

HEAVIEST = 2
"""For how many queries one may count. Where a login is shared each leaves only where so many have room: nobody who
counts twice is overtaken for ever, and there is room for what another connection sends in the same instant."""

COURTESY_SECONDS = 0.1
"""So much longer than needed waits the connection that has asked last of all: another one that waits comes first."""

NOW, NEVER_DUE = float("-inf"), float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """A query that has left. One of two that are alike is not the other."""

    at: float
    query: HistoricalQuery


Asked = tuple[Sent, ...]
"""What all connections of a login have asked lately, in the order of time."""


def noted(asked: Asked, sent: Sent) -> Asked:
    """What has been asked after one more. Of more than there may be the latest say all that the older ones would."""
    recent = (one for one in (*asked, sent) if one.at + LONG_SECONDS > sent.at)
    return tuple(sorted(recent, key=_when)[-LONG_LIMIT:])


def _when(sent: Sent) -> float:
    return sent.at


@dataclass(slots=True, eq=False)
class Shelved:
    """A query that waits, and since when."""

    item: Item
    query: HistoricalQuery
    since: float


@dataclass(slots=True)
class Historical:
    """What has been sent within ten minutes, and what waits. `due`: when to look at the shelf again."""

    sent: deque[Sent] = field(default_factory=deque[Sent])
    shelf: deque[Shelved] = field(default_factory=deque[Shelved])
    due: float = NEVER_DUE
    asked: Asked | None = None  # by all who share the login, as of the last `learn`; None: nobody does
    spent: bool = False  # one has left since the last `learn`
    latest: Sent | None = None  # that it has asked itself

    def learn(self, asked: Asked) -> None:
        """What all connections of the login have asked, at the beginning of a step. Shares what was sent with them."""
        self.spent = False
        if asked is self.asked:
            return
        self.asked, known = asked, set(self.sent)
        others = [one for one in asked if one not in known]
        if others:
            self.sent = deque(sorted((*self.sent, *others), key=_when)[-LONG_LIMIT:])

    def admits(self, query: HistoricalQuery, now: float) -> bool:
        """Whether a query may leave now; it counts as sent from then on."""
        # Who waits for the ten minutes to pass may count twice, and must not be overtaken for ever.
        weight = HEAVIEST if self.shelf else self._weight(query)
        if self.spent or max(self._long(weight, now), self._short(query, now)) > now:
            return False
        self._note(query, now)
        return True

    def put(self, item: Item, query: HistoricalQuery, now: float) -> None:
        """Let a query wait. The caller bounds how many there are."""
        self.shelf.append(Shelved(item, query, now))
        self.due = min(self.due, max(now, self._long(self._weight(query), now), self._short(query, now)))

    def take(self, now: float, is_wanted: Callable[[Item], bool]) -> Shelved | None:
        """The next that may leave; it counts as sent. What is wanted no longer is forgotten."""
        if now < self.due or self.spent:
            return None
        self.purge(is_wanted)
        self.due = NEVER_DUE
        for index, shelved in enumerate(self.shelf):
            long, short = self._long(self._weight(shelved.query), now), self._short(shelved.query, now)
            if max(long, short) <= now:
                del self.shelf[index]
                self._note(shelved.query, now)
                self.due = now  # the next may leave as well
                return shelved
            self.due = min(self.due, max(long, short))
            if long > now:
                break  # all behind it wait for the same
        return None

    def purge(self, is_wanted: Callable[[Item], bool]) -> None:
        """Forget what is wanted no longer."""
        self.shelf = deque(shelved for shelved in self.shelf if is_wanted(shelved.item))

    def clear(self) -> None:
        """The socket is gone: what waits is asked again with the rest. What was sent is not forgotten."""
        self.shelf.clear()
        self.due = NEVER_DUE

    def _note(self, query: HistoricalQuery, now: float) -> None:
        self.latest = Sent(now, query)
        self.sent.append(self.latest)
        self.spent = self.asked is not None

    def _weight(self, query: HistoricalQuery) -> int:
        return query.weight if self.asked is None else HEAVIEST

    def _long(self, weight: int, now: float) -> float:
        """When the ten minutes have room for so many."""
        while self.sent and self.sent[0].at + LONG_SECONDS <= now:
            self.sent.popleft()
        moment = _free_at(self.sent, weight - LONG_LIMIT, LONG_SECONDS)
        asked_last = self.asked is not None and bool(self.sent) and self.sent[-1] is self.latest
        return moment + COURTESY_SECONDS if asked_last else moment

    def _short(self, query: HistoricalQuery, now: float) -> float:
        """When the rules for the same contract, and for the same question, allow this one."""
        alike = [one for one in self.sent if one.query.subject == query.subject and one.at + SAME_SECONDS > now]
        moment = _free_at(alike, query.weight - SAME_LIMIT, SAME_SECONDS)
        for one in reversed(self.sent):
            if one.at + IDENTICAL_SECONDS <= now:
                break
            if query.identity is not None and one.query.identity == query.identity:
                return max(moment, one.at + IDENTICAL_SECONDS)
        return moment


def _free_at(sent: Iterable[Sent], excess: int, seconds: float) -> float:
    """When enough of these are forgotten; `excess`: what is too much without them."""
    weights = [(one.at, one.query.weight) for one in sent]
    excess += sum(weight for _, weight in weights)
    moment = NOW
    for at, weight in weights:
        if excess <= 0:
            break
        excess -= weight
        moment = at + seconds
    return moment
