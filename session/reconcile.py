"""What has become of our orders, according to TWS: asks for everything it knows of, and judges each intent by it.

A round asks for open orders, all open orders, and only then for completed orders and executions: an order that ends
meanwhile is on the first lists or on the last, and never between. It is over when each list has said its end on the
socket of this epoch. What is found proves itself, whenever it comes. What is *not* found proves something only if
the round is settled: it was asked once the gateway's link had been up for `settle_seconds`, with nothing written for
that order as long, so that nothing of it can still be on its way. Rounds are repeated until every intent is decided.

Nobody else's question for the same list may be out with one of ours: their ends do not say whose they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, unique

from backstay.protocol.order_fields import ExecutionFacts, OrderFacts
from backstay.protocol.order_layouts import COMPLETED_ORDERS_END, EXECUTIONS_END, OPEN_ORDERS_END
from backstay.session.evidence import Evidence, Executions, Ground, Verdict, VerdictKind, judge
from backstay.session.intents import Intent, IntentState, Moment

MAX_LISTED = 50_000
"""Completed orders remembered as listed before; beyond it the oldest are forgotten, which makes verdicts milder."""

MAX_DOUBLINGS = 10
"""Of the wait for lists that do not come; it has reached its longest before."""


@unique
class Source(Enum):
    """One question to TWS. The value is what an operator reads."""

    OPEN = "open orders"
    ALL_OPEN = "all open orders"
    COMPLETED = "completed orders"
    EXECUTIONS = "executions"


@unique
class Phase(Enum):
    """What a reconciliation is doing."""

    IDLE = "idle"
    ASKING = "asking"
    WAITING = "waiting"


ENDS: dict[int, tuple[Source, ...]] = {
    OPEN_ORDERS_END: (Source.OPEN, Source.ALL_OPEN),
    COMPLETED_ORDERS_END: (Source.COMPLETED,),
    EXECUTIONS_END: (Source.EXECUTIONS,),
}
"""End messages, and whose end each may be; the two questions for open orders share one, and follow each other."""

FOLLOWERS: dict[Source, tuple[Source, ...]] = {
    Source.OPEN: (Source.ALL_OPEN,),
    Source.ALL_OPEN: (Source.COMPLETED, Source.EXECUTIONS),
}
"""What is asked once another list has ended."""

OPEN_SOURCES = frozenset((Source.OPEN, Source.ALL_OPEN))
HISTORY_SOURCES = frozenset((Source.COMPLETED, Source.EXECUTIONS))


@dataclass(frozen=True, slots=True)
class ReconcileSettings:
    """Delays of a reconciliation."""

    settle_seconds: float = 10.0  # from a link that is up, or a write, to a list that has to show what came of it
    ask_seconds: float = 5.0  # lists come within one; the end of the executions is known to stay away at times
    longest_ask_seconds: float = 20.0  # what that grows to where lists have come only after they were asked for again
    asks: int = 3
    first_retry_seconds: float = 5.0  # after a round in which a list did not come: until one does, orders are refused
    retry_seconds: float = 60.0  # what that grows to, and the wait for what a whole round can not decide


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this question now. Executions get a request id that was never used before."""

    source: Source


@dataclass(frozen=True, slots=True)
class Judged:
    """A round has ended. `missing` are lists that did not come; nothing is concluded from their silence."""

    verdicts: tuple[Verdict, ...]
    missing: frozenset[Source]
    settled: bool


ReconcileEffect = Ask | Judged


@dataclass(slots=True)
class _Question:
    due: float
    asks: int = 1


@dataclass(slots=True)
class _Round:
    """What a round has asked and heard so far."""

    asked_at: float
    evidence: Evidence = field(default_factory=Evidence)
    waiting: dict[Source, _Question] = field(default_factory=dict[Source, _Question])
    missing: set[Source] = field(default_factory=set[Source])
    silence: bool = False  # a question was given up
    heard: bool = False  # a list has come
    woken: bool = False  # and that behind a question that was given up
    repeated: bool = False  # an unkeyed list was asked twice: which of its ends is which can not be told


class Reconciliation:
    """See the module. One for each connection; belongs to one thread. `intents` gives those that are not concluded.

    `owner_of` tells whose a permanent id is, as (client id, order id).
    """

    first: tuple[Source, ...] = (Source.OPEN,)
    followers: Mapping[Source, tuple[Source, ...]] = FOLLOWERS

    def __init__(
        self,
        settings: ReconcileSettings,
        intents: Callable[[], Sequence[Intent]],
        owner_of: Callable[[int], tuple[int, int] | None],
    ) -> None:
        self.settings = settings
        self.executions = Executions()
        """All fills this process has heard of."""
        self.reconciled = False
        """Whether a round was complete since the socket or the link came back: orders may flow."""
        self.due: float | None = None
        """When `tick` wants to be called (monotonic seconds)."""
        self.missing: frozenset[Source] = frozenset()
        """The lists that did not come in the last round. Replaced as a whole: others may look."""
        self.retry_wall = 0.0
        """When those are asked for again (seconds since 1970)."""
        self._retries = 0
        self._patience = settings.ask_seconds
        self._intents = intents
        self._owner_of = owner_of
        self._epoch = 0
        self._has_completed = True
        self._reaches_back_to = 0.0
        self._link_up_at: float | None = None
        self._round: _Round | None = None
        self._first_listed: dict[int, float] = {}  # permanent id -> when it was first listed as completed

    @property
    def phase(self) -> Phase:
        """What it is doing."""
        if self._round is not None:
            return Phase.ASKING
        return Phase.IDLE if self.due is None else Phase.WAITING

    def awaits(self, message_id: int) -> bool:
        """Whether a list of ours is asked for that this message ends."""
        waiting = () if self._round is None else self._round.waiting
        return any(source in waiting for source in ENDS.get(message_id, ()))

    # -- what happens to the connection ------------------------------------------------------------------------------

    def begin(
        self, epoch: int, at: Moment, *, link_up: bool, reaches_back_to: float, has_completed: bool = True
    ) -> list[ReconcileEffect]:
        """A new socket is ready to be asked.

        `reaches_back_to` (seconds since the epoch): TWS lists executions and completed orders of the day only, so of
        what was sent before this day began, their silence proves nothing. `has_completed`: the server knows
        completed orders (version 150 and up).
        """
        self.lost()
        self._epoch = epoch
        self._reaches_back_to = reaches_back_to
        self._has_completed = has_completed
        self._link_up_at = at.now if link_up else None
        return self._start(at)

    def nothing_owed(self, epoch: int, at: Moment, *, link_up: bool) -> None:
        """A new socket for a client that nothing is known of: there is nothing to ask about."""
        self.lost()
        self._epoch = epoch
        self._link_up_at = at.now if link_up else None
        self.reconciled = True

    def ask_anew(self, at: Moment) -> list[ReconcileEffect]:
        """Somebody wants to know how things stand."""
        return self._start(at)

    def lost(self) -> None:
        """The socket is gone."""
        self.reconciled = False
        self.due = None
        self.missing, self._retries = frozenset(), 0
        self._patience = self.settings.ask_seconds
        self._round = None

    def link(self, at: Moment, *, up: bool) -> list[ReconcileEffect]:
        """The gateway lost its link to IB (1100, 2110), or has it back (1101, 1102)."""
        self.reconciled = False
        self.missing, self._retries = frozenset(), 0
        self._link_up_at = at.now if up else None
        if up:
            return self._start(at)
        if self._round is None:
            self.due = None
        return []

    def doubt(self, at: Moment, written_at: float) -> None:
        """An order has come into doubt on a healthy connection: look once what was written then has settled."""
        if self.phase is not Phase.ASKING and self._link_up_at is not None:
            settled_at = max(written_at, self._link_up_at) + self.settings.settle_seconds
            self.due = max(at.now, settled_at if self.due is None else min(self.due, settled_at))

    # -- what TWS says -----------------------------------------------------------------------------------------------

    def hear_order(self, facts: OrderFacts) -> None:
        """An openOrder, orderStatus or completedOrder arrived, asked for or not."""
        if self._round is not None:
            self._round.evidence.add_order(facts)

    def shows_open(self, client_id: int, order_id: int) -> bool:
        """Whether this round has shown an order to be open so far."""
        return self._round is not None and self._round.evidence.shows_open(client_id, order_id)

    def hear_execution(self, facts: ExecutionFacts) -> bool:
        """A fill arrived, asked for or not. True if it says something that this process had not heard."""
        if self._round is not None:
            self._round.evidence.add_execution(facts)
        return self.executions.add(facts)

    def ended(self, message_id: int, at: Moment) -> list[ReconcileEffect]:
        """An end marker arrived on the socket of this epoch; of executions, the one of the last request id."""
        waiting = {} if self._round is None else self._round.waiting
        source = next((source for source in ENDS.get(message_id, ()) if source in waiting), None)
        if source is None:
            return []
        assert self._round is not None  # noqa: S101  # it is waited for
        self._round.heard, self._round.woken = True, self._round.silence
        if waiting[source].asks > 1:  # it was dropped, or this gateway is slow
            self._patience = min(2 * self._patience, self.settings.longest_ask_seconds)
        return self._close(source, at)

    def refused(self, source: Source, at: Moment) -> list[ReconcileEffect]:
        """TWS refused this question (321 on a read-only API)."""
        if self._round is None or source not in self._round.waiting:
            return []
        self._round.missing.add(source)
        return self._close(source, at)

    def tick(self, at: Moment) -> list[ReconcileEffect]:
        """Time has passed: call it at `due`, or at any time."""
        if self.due is None or at.now < self.due:
            return []
        if self._round is None:
            return self._start(at)
        overdue = [(source, asked) for source, asked in self._round.waiting.items() if at.now >= asked.due]
        return [effect for source, question in overdue for effect in self._ask_again(source, question, at)]

    # -- inside ------------------------------------------------------------------------------------------------------

    def _start(self, at: Moment) -> list[ReconcileEffect]:
        self._round = _Round(at.now, repeated=self._round is not None)
        return self._ask(self.first, at)

    def _ask(self, sources: tuple[Source, ...], at: Moment) -> list[ReconcileEffect]:
        assert self._round is not None  # noqa: S101  # asked in a round only
        asked = [source for source in sources if self._has_completed or source is not Source.COMPLETED]
        self._round.waiting.update((source, _Question(at.now + self._patience)) for source in asked)
        self._plan_asking()
        return [Ask(source) for source in asked]

    def _ask_again(self, source: Source, question: _Question, at: Moment) -> list[ReconcileEffect]:
        assert self._round is not None  # noqa: S101  # nobody is waited for otherwise
        if question.asks >= self.settings.asks:
            self._round.missing.add(source)
            self._round.silence = True
            return self._close(source, at)
        question.asks += 1
        question.due = at.now + self._patience
        self._round.repeated |= source is not Source.EXECUTIONS
        self._plan_asking()
        return [Ask(source)]

    def _plan_asking(self) -> None:
        assert self._round is not None  # noqa: S101  # planned in a round only
        self.due = min((question.due for question in self._round.waiting.values()), default=None)

    def _close(self, source: Source, at: Moment) -> list[ReconcileEffect]:
        assert self._round is not None  # noqa: S101  # closed in a round only
        del self._round.waiting[source]
        effects = self._ask(self.followers.get(source, ()), at)
        return effects if self._round.waiting else [self._finish(self._round, at)]

    def _finish(self, ended: _Round, at: Moment) -> Judged:
        self._round = None
        missing = self.missing = frozenset(ended.missing)
        self.reconciled = not missing
        ground = self._ground(ended, missing)
        doubtful = [i for i in self._intents() if i.state in (IntentState.IN_DOUBT, IntentState.LIVE)]
        verdicts = tuple(judge(intent, ended.evidence, ground) for intent in doubtful)
        self._remember(ended.evidence, at.now)
        self._retries = self._retries if missing else 0
        self.due = self._ask_soon(ended, at) if missing else self._next_round(verdicts, doubtful, ground=ground, at=at)
        return Judged(verdicts, missing, ground.settled)

    def _ground(self, ended: _Round, missing: frozenset[Source]) -> Ground:
        up_at, settle = self._link_up_at, self.settings.settle_seconds
        link_settled = up_at is not None and up_at + settle <= ended.asked_at
        return Ground(
            epoch=self._epoch,
            asked_at=ended.asked_at,
            settle_seconds=settle,
            settled=link_settled and not ended.repeated and not ended.evidence.overflowed,
            open_known=not missing & OPEN_SOURCES,
            history_known=self._has_completed and not missing & HISTORY_SOURCES,
            reaches_back_to=self._reaches_back_to,
            owner_of=self._owner_of,
            first_listed=self._first_listed.get,
        )

    def _ask_soon(self, ended: _Round, at: Moment) -> float:
        """A list did not come, and what depends on it waits: ask again soon, and less often the longer that lasts.

        At once where TWS is late in joining IB's servers, and drops what it is asked, or has done so until just now.
        """
        limits = self.settings
        wait = min(limits.first_retry_seconds * 2.0 ** min(self._retries, MAX_DOUBLINGS), limits.retry_seconds)
        drops = ended.silence and not ended.heard
        if drops or (ended.woken and not self._retries):
            wait = 0.0
        self._retries += not drops
        self.retry_wall = at.wall + wait
        return at.now + wait

    def _next_round(
        self, verdicts: Sequence[Verdict], doubtful: Sequence[Intent], *, ground: Ground, at: Moment
    ) -> float | None:
        """When to ask once more for those that are not decided; None if it would be of no use."""
        undecided = {verdict.key for verdict in verdicts if verdict.kind is VerdictKind.UNDECIDED}
        if not undecided or self._link_up_at is None:
            return None  # when the link is back, all is asked anew
        quiet_at = max((i.written_at for i in doubtful if i.key in undecided), default=0.0)
        settled_from = max(self._link_up_at, quiet_at) + self.settings.settle_seconds
        if settled_from > ground.asked_at:
            return max(settled_from, at.now)
        return at.now + self.settings.retry_seconds

    def _remember(self, evidence: Evidence, now: float) -> None:
        for row in evidence.nameless:
            if row.perm_id:
                self._first_listed.setdefault(row.perm_id, now)
        for old in tuple(self._first_listed)[: max(0, len(self._first_listed) - MAX_LISTED)]:
            del self._first_listed[old]
