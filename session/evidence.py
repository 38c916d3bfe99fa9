"""What one round of questions brought to light, and what it proves of an intent. Pure judgement, no course of events.

Found is found: an open order is live, a completed one has ended. The hard part is silence. It proves that TWS never
had an order (`UNKNOWN`, the only verdict after which one may be sent again) only if nothing that TWS listed could be
that order in other clothes; otherwise it proves no more than that the order works no longer (`OVER`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum, unique

from backstay.protocol.order_fields import ExecutionFacts, Look, OrderFacts, PlacedOrder
from backstay.protocol.order_layouts import COMBINATION, COMPLETED_ORDER
from backstay.protocol.rewriting import Filling
from backstay.session.intent_table import is_another_order
from backstay.session.intents import Intent, IntentEvent, IntentKey, IntentState, order_event, refs_conflict

MAX_EXECUTIONS = 50_000
"""Fills remembered; beyond it the oldest are forgotten. Far above what an account trades in a day."""

MAX_ROWS = 50_000
"""Orders kept of one round; TWS lists those of a day. A round with more proves nothing by silence."""


@unique
class VerdictKind(Enum):
    """What has become of an intent."""

    LIVE = "live"
    FILLED = "filled"
    CANCELLED = "cancelled"
    OVER = "over"
    UNKNOWN = "unknown to TWS"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a round says of one intent. `executions` are its fills as they count, corrected ones in their last form.

    `epoch` and `attempt` are those it was asked in and about: of what was written later it says nothing.
    """

    key: IntentKey
    kind: VerdictKind
    epoch: int
    attempt: int = 1
    perm_id: int = 0
    executions: tuple[ExecutionFacts, ...] = ()
    why: str = ""


VERDICT_EVENTS: dict[VerdictKind, IntentEvent | None] = {
    VerdictKind.LIVE: IntentEvent.WORKING,
    VerdictKind.FILLED: IntentEvent.FILLED,
    VerdictKind.CANCELLED: IntentEvent.CANCELLED,
    VerdictKind.OVER: IntentEvent.OVER,
    VerdictKind.UNKNOWN: IntentEvent.ABSENT,
    VerdictKind.UNDECIDED: None,
}
"""What each verdict does to its intent."""

_STRENGTH = {IntentEvent.ACKED: 0, IntentEvent.WORKING: 1, IntentEvent.CANCELLED: 2, IntentEvent.FILLED: 3}
_ENDINGS = {IntentEvent.CANCELLED: VerdictKind.CANCELLED, IntentEvent.FILLED: VerdictKind.FILLED}


def execution_identity(exec_id: str) -> tuple[str, int]:
    """Whose fill an id names, and which correction of it: `0a.1b.01.02` is the second form of `0a.1b.01`."""
    fill, _, number = exec_id.rpartition(".")
    return (fill, int(number)) if fill and number.isdecimal() else (exec_id, 0)


class Executions:
    """Fills, each once, in the form that counts: a correction takes the place of what it corrects."""

    def __init__(self) -> None:
        self._fills: dict[str, tuple[int, ExecutionFacts]] = {}
        self._by_order: dict[tuple[int, int], dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._fills)

    def __iter__(self) -> Iterator[ExecutionFacts]:
        return (facts for _, facts in self._fills.values())

    def add(self, facts: ExecutionFacts) -> bool:
        """Take in a fill. True if it is new, or corrects one; False for a repeat or a form that was corrected."""
        fill, number = execution_identity(facts.exec_id)
        known = self._fills.get(fill)
        if known is not None and known[0] >= number:
            return False
        if known is not None:
            self._forget(fill)
        elif len(self._fills) >= MAX_EXECUTIONS:
            self._forget(next(iter(self._fills)))
        self._fills[fill] = (number, facts)
        self._by_order.setdefault((facts.client_id, facts.order_id), {})[fill] = None
        return True

    def find(self, exec_id: str) -> ExecutionFacts | None:
        """The fill of which this id names a form."""
        found = self._fills.get(execution_identity(exec_id)[0])
        return None if found is None else found[1]

    def of(self, client_id: int, order_id: int) -> tuple[ExecutionFacts, ...]:
        """The fills of one order."""
        return tuple(self._fills[fill][1] for fill in self._by_order.get((client_id, order_id), ()))

    def _forget(self, fill: str) -> None:
        _, facts = self._fills.pop(fill)
        key = (facts.client_id, facts.order_id)
        del self._by_order[key][fill]
        if not self._by_order[key]:
            del self._by_order[key]


@dataclass(frozen=True, slots=True)
class _Sighting:
    event: IntentEvent
    perm_id: int
    order_ref: str


@dataclass(slots=True)
class Evidence:
    """All that TWS said in one round, asked for or not."""

    orders: dict[tuple[int, int], _Sighting] = field(default_factory=dict[tuple[int, int], _Sighting])
    nameless: list[OrderFacts] = field(default_factory=list[OrderFacts])  # completed, and open ones of no API client
    by_perm_id: dict[int, OrderFacts] = field(default_factory=dict[int, OrderFacts])
    executions: Executions = field(default_factory=Executions)
    owners: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    numbers: dict[tuple[int, int], set[int]] = field(default_factory=dict[tuple[int, int], set[int]])
    overflowed: bool = False

    def add_order(self, facts: OrderFacts) -> None:
        """Take in an openOrder, orderStatus or completedOrder."""
        if facts.what_if:
            return
        if len(self.nameless) + len(self.orders) >= MAX_ROWS:
            self.overflowed = True
        elif facts.message_id == COMPLETED_ORDER or not facts.order_id or facts.client_id is None:
            self.nameless.append(facts)
            self.by_perm_id[facts.perm_id] = facts
        else:
            self._add_sighting((facts.client_id, facts.order_id), facts)

    def shows_open(self, client_id: int, order_id: int) -> bool:
        """Whether an order stands among the open ones."""
        sighting = self.orders.get((client_id, order_id))
        return sighting is not None and sighting.event not in _ENDINGS

    def add_execution(self, facts: ExecutionFacts) -> None:
        """Take in a fill; it also tells whose a permanent id is, which a completed order does not."""
        self.executions.add(facts)
        self._own(facts.perm_id, (facts.client_id, facts.order_id))

    def _add_sighting(self, key: tuple[int, int], facts: OrderFacts) -> None:
        new = _Sighting(order_event(facts), facts.perm_id, facts.order_ref)
        old = self.orders.get(key, new)
        event = max(old.event, new.event, key=_STRENGTH.__getitem__)  # no order comes back from its end
        self.orders[key] = _Sighting(event, new.perm_id or old.perm_id, new.order_ref or old.order_ref)
        self._own(facts.perm_id, key)

    def _own(self, perm_id: int, key: tuple[int, int]) -> None:
        if perm_id:
            self.owners[perm_id] = key
            self.numbers.setdefault(key, set()).add(perm_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a round can prove.

    `settled`: the link had been up long enough when it was asked, and its lists can be told apart. `open_known` and
    `history_known`: the open orders, and completed orders with executions, were listed to their ends.
    `owner_of` and `first_listed` tell whose a permanent id is, and when it was first listed as completed (monotonic).
    """

    epoch: int
    asked_at: float
    settle_seconds: float
    settled: bool
    open_known: bool
    history_known: bool
    reaches_back_to: float
    owner_of: Callable[[int], tuple[int, int] | None]
    first_listed: Callable[[int], float | None]

    def settles(self, intent: Intent) -> bool:
        """Whether nothing of this order could still be on its way when the round was asked."""
        return self.settled and self.open_known and intent.written_at + self.settle_seconds <= self.asked_at


def make_up(look: Look, fills: Sequence[ExecutionFacts]) -> bool:
    """Whether the fills that are known are the whole order. A combination fills leg by leg: they never say so."""
    if not look.quantity or look.sec_type == COMBINATION:
        return False
    return sum((fill.shares for fill in fills), Decimal(0)) >= look.quantity


def filling_of(look: Look, fills: Sequence[ExecutionFacts], *, is_filled: bool) -> Filling:
    """How far an order was executed, by the fills that are known. `is_filled`: it was filled, whatever they say."""
    total, shares = look.quantity, sum((fill.shares for fill in fills), Decimal(0))
    filled = total if is_filled and total is not None else shares
    remaining = Decimal(0) if total is None else max(Decimal(0), total - filled)
    if not shares or look.sec_type == COMBINATION:  # its legs have no price in common
        return Filling(filled=filled, remaining=remaining)
    average = sum((fill.shares * fill.price for fill in fills), Decimal(0)) / shares
    return Filling(filled=filled, remaining=remaining, average_price=average, last_price=fills[-1].price)


def judge(intent: Intent, evidence: Evidence, ground: Ground) -> Verdict:
    """What this evidence says of an intent that was sent."""
    key = (intent.key.client_id, intent.key.order_id)
    sighting = evidence.orders.get(key)
    fills = tuple(f for f in evidence.executions.of(*key) if not is_another_order(intent, f.order_ref))
    verdict = Verdict(intent.key, VerdictKind.UNDECIDED, ground.epoch, intent.attempt, intent.perm_id, fills)
    if sighting is not None and is_another_order(intent, sighting.order_ref):
        return replace(verdict, why="another order stands under its id")
    row = _completed_row(intent, evidence, ground)
    event = sighting.event if sighting is not None else None
    if row is not None and event not in _ENDINGS:
        event, verdict = order_event(row), replace(verdict, perm_id=row.perm_id)
    elif sighting is not None:
        verdict = replace(verdict, perm_id=sighting.perm_id or intent.perm_id)
    if event is not None:
        return replace(verdict, kind=_ENDINGS.get(event, VerdictKind.LIVE))
    if _is_filled_by(intent, fills):
        return replace(verdict, kind=VerdictKind.FILLED, perm_id=fills[-1].perm_id)
    if not ground.settles(intent):
        return replace(verdict, why="what was sent may still be on its way, or not everything was listed")
    doubt = _doubt(intent, evidence, ground)
    return replace(verdict, kind=VerdictKind.OVER if doubt else VerdictKind.UNKNOWN, why=doubt)


def _doubt(intent: Intent, evidence: Evidence, ground: Ground) -> str:
    """Why an order that is not open may all the same have been at TWS; empty if it can not."""
    never_spoken_of = intent.state is IntentState.IN_DOUBT and not intent.was_acknowledged
    rows = (
        (not never_spoken_of, "TWS had it"),
        (bool(evidence.executions.of(intent.key.client_id, intent.key.order_id)), "it has executed in part"),
        (bool(intent.changes) or intent.life > 1, "its id was used more than once"),
        (not intent.order.transmit, "TWS keeps orders that are not transmitted to itself"),
        (not ground.history_known, "completed orders or executions were not listed"),
        (intent.sent_wall < ground.reaches_back_to, "it was sent before the day that TWS lists"),
    )
    why = next((why for applies, why in rows if applies), "")
    if not why and any(_may_be(intent, row, evidence, ground=ground) for row in evidence.nameless):
        return "another order is alike"
    return why


def _is_filled_by(intent: Intent, fills: tuple[ExecutionFacts, ...]) -> bool:
    return not intent.changes and make_up(intent.order.look, fills)  # changed, its quantity is not sure


def _completed_row(intent: Intent, evidence: Evidence, ground: Ground) -> OrderFacts | None:
    """The completed order that is this one: by its permanent id, or by a reference that no other one has.

    By a reference only cancelled ones are found: a fill of the day has an execution that names its order. Where one
    row has the very reference TWS does not cut them short, and those that only begin alike are others.
    """
    key = (intent.key.client_id, intent.key.order_id)
    for perm_id in (intent.perm_id, *sorted(evidence.numbers.get(key, ()))):
        if perm_id in evidence.by_perm_id and perm_id:
            return evidence.by_perm_id[perm_id]
    if not intent.order.order_ref or intent.was_acknowledged or key in evidence.orders:
        return None
    alike = [row for row in evidence.nameless if _may_be(intent, row, evidence, ground=ground)]
    same = [row for row in alike if row.order_ref == intent.order.order_ref]
    return same[0] if len(same) == 1 and order_event(same[0]) is IntentEvent.CANCELLED else None


def _owner(row: OrderFacts, evidence: Evidence, ground: Ground) -> tuple[int, int] | None:
    return evidence.owners.get(row.perm_id) or ground.owner_of(row.perm_id)


def _may_be(intent: Intent, row: OrderFacts, evidence: Evidence, *, ground: Ground) -> bool:
    """Whether an order that names no order id could be this one."""
    if _owner(row, evidence, ground) not in (None, (intent.key.client_id, intent.key.order_id)):
        return False
    listed_at = ground.first_listed(row.perm_id)
    if listed_at is not None and listed_at < intent.written_at:
        return False
    return looks_alike(intent.order, row)


def looks_alike(order: PlacedOrder, row: OrderFacts) -> bool:
    """Whether nothing that is said of two orders keeps them from being one."""
    if bool(order.order_ref) != bool(row.order_ref) or refs_conflict(order.order_ref, row.order_ref):
        return False
    if order.account and row.account and order.account != row.account:
        return False
    return _same_look(order.look, row.look)


def _same_look(one: Look, other: Look) -> bool:
    by_name = "symbol" if not (one.con_id and other.con_id) else "con_id"
    pairs = ((getattr(one, name), getattr(other, name)) for name in (by_name, "sec_type", "quantity"))
    sides = (one.action[:1], other.action[:1])  # selling short is selling
    return all(left == right for left, right in (*pairs, sides) if left and right)
