"""Orders of other clients that a master client has been shown at work: how they end behind a cut it is told as well.

TWS tells the master client how everybody's orders stand, as it happens. What happened meanwhile is found by the
questions that follow a cut: what stands in no list works no longer. Belongs to the session's thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backstay.protocol.order_fields import Look, OrderFacts
from backstay.protocol.order_layouts import COMPLETED_ORDER
from backstay.protocol.rewriting import Filling, write_order_status
from backstay.session.evidence import filling_of, make_up
from backstay.session.intents import ENDS, IntentEvent, order_event
from backstay.session.reconcile import OPEN_SOURCES, Judged
from backstay.session.vocabulary import Deliver

if TYPE_CHECKING:
    from backstay.session.core import Core

MAX_OTHERS = 20_000
"""Orders of others that are remembered; as many as of the client's own. Of the oldest no end is told beyond it."""

STATUS_OF = {IntentEvent.FILLED: "Filled", IntentEvent.CANCELLED: "Cancelled"}
OVER = "Inactive"
"""It works no longer, in whatever way it ended."""

Owner = tuple[int, int]
"""Client id and order id."""


@dataclass(frozen=True, slots=True)
class Other:
    """What is known of one that works."""

    perm_id: int = 0
    look: Look = field(default_factory=Look)


@dataclass(slots=True)
class Others:
    """See the module. `listed`, and what is `completed` by permanent id: as heard since the last questions began."""

    working: dict[Owner, Other] = field(default_factory=dict[Owner, Other])
    listed: set[Owner] = field(default_factory=set[Owner])
    completed: dict[int, OrderFacts] = field(default_factory=dict[int, OrderFacts])

    def begin(self) -> None:
        """TWS is about to be asked for all orders."""
        self.listed.clear()
        self.completed.clear()

    def hear(self, facts: OrderFacts, *, shown: bool) -> None:
        """An order of somebody else, which the client has been `shown`; or a completed one, of which it is not said."""
        if facts.message_id == COMPLETED_ORDER:
            if len(self.completed) < MAX_OTHERS:
                self.completed[facts.perm_id] = facts
            return
        owner = (facts.client_id or 0, facts.order_id or 0)
        known = self.working.get(owner)
        if order_event(facts) in ENDS:
            self._ended(owner, facts, shown=shown)
        if order_event(facts) in ENDS or not (shown or known):
            return
        before = self.working.pop(owner, None) or Other()
        look = before.look if facts.look == Look() else facts.look
        self.working[owner] = Other(facts.perm_id or before.perm_id, look)
        self.listed.add(owner)
        if len(self.working) > MAX_OTHERS:
            oldest = next(iter(self.working))
            del self.working[oldest]
            self.listed.discard(oldest)

    def _ended(self, owner: Owner, facts: OrderFacts, *, shown: bool) -> None:
        known = self.working.get(owner)
        if known is not None and shown:
            del self.working[owner]
        elif known is not None:
            self.listed.discard(owner)
            self.completed[known.perm_id] = facts

    def unlisted(self) -> Iterator[tuple[Owner, Other]]:
        """Those that TWS does not list as open."""
        return ((owner, other) for owner, other in list(self.working.items()) if owner not in self.listed)


def hear_other(core: Core, facts: OrderFacts, passed: bool) -> None:
    """An order of somebody else, if this client is the master."""
    orders = core.orders
    is_theirs = bool(facts.order_id) and facts.client_id not in (None, orders.client_id)
    if orders.sees_others and not facts.what_if and (is_theirs or facts.message_id == COMPLETED_ORDER):
        orders.others.hear(facts, shown=passed)


def tell_ends_of_others(core: Core, judged: Judged) -> None:
    """All orders have been listed: tell the master of those of others that have ended.

    Silence proves it only if the round is settled; else there is one more.
    """
    orders = core.orders
    if judged.missing & OPEN_SOURCES:
        return
    undecided = False
    for owner, other in orders.others.unlisted():
        status, filling = _end_of(core, owner, other)
        if status or judged.settled:
            del orders.others.working[owner]
            told = write_order_status(owner, status or OVER, filling, perm_id=other.perm_id, version=core.desk.version)
            core.effects.append(Deliver(told))
        else:
            undecided = True
    if undecided:
        orders.reconciliation.doubt(core.desk.at(), core.now)


def _end_of(core: Core, owner: Owner, other: Other) -> tuple[str, Filling]:
    """How it ended, or nothing if no list says so, and how far it was executed."""
    fills = core.orders.reconciliation.executions.of(*owner)
    row = core.orders.others.completed.get(other.perm_id) if other.perm_id else None
    status = "" if row is None else STATUS_OF.get(order_event(row), OVER)
    if row is None and make_up(other.look, fills):
        status = STATUS_OF[IntentEvent.FILLED]
    return status, filling_of(other.look, fills, is_filled=status == STATUS_OF[IntentEvent.FILLED])
