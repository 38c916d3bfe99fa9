"""Orders and cancels that have left, and that TWS has not spoken of since: on a link that answers, they were dropped.

TWS loses them as it loses any request while it is joining IB's servers. A cancel is written again: twice is harmless.
So is a preview, of which nothing lives. An order is not: it comes into doubt, and TWS's lists decide. A cancel of
everything is only reported, since by now there may be orders that the client wants.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, unique
from typing import TYPE_CHECKING

from backstay.session.firsts import NEVER_DUE
from backstay.session.intents import IntentState
from backstay.session.lifecycle import Link, State
from backstay.session.notices import Notice
from backstay.session.pacing import Item
from backstay.session.reasons import Reason
from backstay.session.settings import Settings
from backstay.session.sieve_words import Mute
from backstay.session.vocabulary import Count

if TYPE_CHECKING:
    from backstay.session.core import Core

CANCEL_TOO_LATE = frozenset({161, 10148})
"""What TWS says of a cancel that it has had already. The status of the order says all that the client needs."""

WORKING = frozenset({"ApiPending", "PendingSubmit", "PreSubmitted", "Submitted", "Inactive"})
"""Statuses of an order of which no cancel is known."""

LOOK_SECONDS = 1.0
"""Between two looks: orders come by the dozen a second, and nothing depends on a moment."""


@unique
class What(Enum):
    """What has left under the id of an order."""

    ORDER = "order"
    CANCEL = "cancel"
    PREVIEW = "preview"


@dataclass(frozen=True, slots=True)
class Sent:
    """What has left, and when to look whether TWS has spoken of it. A cancel without an id is that of all orders."""

    order_id: int | None
    what: What
    payload: bytes
    at: float
    due: float
    repeats: int = 0


@dataclass(slots=True)
class Unspoken:
    """When to look again at what has left. Belongs to one core; what was answered stays in until the next look."""

    next_due: float = NEVER_DUE
    _sent: dict[tuple[int | None, What], Sent] = field(default_factory=dict[tuple[int | None, What], Sent])

    def left(self, order_id: int | None, item: Item, settings: Settings, *, now: float) -> None:
        """It has been written; this replaces what was written before it of the same kind and id."""
        verify, wait = settings.verify, settings.settle_seconds
        what = What.PREVIEW if item.is_preview else What.CANCEL if item.intent is None else What.ORDER
        if what is not What.ORDER and order_id is not None:
            wait = min(verify.first_seconds * 2**item.repeats, verify.longest_seconds)
        self.plan(Sent(order_id, what, item.payload, now, now + wait, item.repeats))

    def plan(self, sent: Sent) -> None:
        """Look at it when it is due."""
        self._sent[sent.order_id, sent.what] = sent
        self.next_due = min(self.next_due, sent.due)

    def take_due(self, now: float) -> list[Sent]:
        """What has been out for long enough, in the order in which it left; it is taken out."""
        due = [sent for sent in self._sent.values() if sent.due <= now]
        for sent in due:
            del self._sent[sent.order_id, sent.what]
        first = min((sent.due for sent in self._sent.values()), default=NEVER_DUE)
        self.next_due = max(first, now + LOOK_SECONDS)
        return due

    def forget_all(self) -> None:
        """The socket is gone, and what was on it is settled otherwise."""
        self._sent.clear()
        self.next_due = NEVER_DUE


def look_after_trades(core: Core) -> None:
    """The time of some orders and cancels has come."""
    desk, now = core.desk, core.now
    healthy = core.link is not Link.DOWN and desk.open and core.state in (State.SYNCING, State.READY)
    for sent in desk.unspoken.take_due(now):
        if not _is_unanswered(core, sent):
            continue
        if not healthy or core.heard_at <= sent.at:
            desk.unspoken.plan(replace(sent, due=now + LOOK_SECONDS))
        elif sent.order_id is None:
            desk.doubt_global_cancel(Reason.SILENT)
        elif sent.what is What.CANCEL:
            _repeat_cancel(core, sent.order_id, sent)
        elif sent.what is What.PREVIEW:
            _repeat_preview(core, sent.order_id, sent)
        else:
            _doubt(core, sent.order_id)


def _is_unanswered(core: Core, sent: Sent) -> bool:
    ledger, orders = core.owed.ledger, core.owed.orders
    if sent.order_id is None:
        return orders is not None and bool(orders.away() & (ledger.global_cancel_out or set()))
    if sent.what is What.ORDER:
        return ledger.order_unanswered(sent.order_id)
    return sent.order_id in (ledger.cancels_out if sent.what is What.CANCEL else ledger.previews)


def _repeat_cancel(core: Core, order_id: int, sent: Sent) -> None:
    desk = core.desk
    if sent.repeats >= core.settings.verify.repeats:
        desk.cancel_answered(order_id)
        desk.say(Notice.CANCEL_IN_DOUBT, key=order_id, detail=Reason.SILENT)
        return
    core.effects += [Mute(core.owed.epoch, order_id, CANCEL_TOO_LATE), Count("requests_repeated")]
    desk.push_trade(Item(sent.payload, since=core.now, repeats=sent.repeats + 1))


def _repeat_preview(core: Core, order_id: int, sent: Sent) -> None:
    desk = core.desk
    if sent.repeats >= core.settings.verify.repeats:
        core.owed.ledger.preview_answered(order_id)
        desk.say(Notice.NO_ANSWER, key=order_id)
        core.effects.append(Count("requests_unanswered"))
        return
    desk.repeat_preview(order_id, Item(sent.payload, since=core.now, repeats=sent.repeats + 1, is_preview=True))
    core.effects.append(Count("requests_repeated"))


def _doubt(core: Core, order_id: int) -> None:
    orders = core.orders
    core.owed.ledger.order_seen(order_id)  # what TWS says on its id from now on is not about its first writing
    moved = orders.table.unanswered(orders.client_id, order_id, core.desk.at())
    if moved is not None and moved.after.state is IntentState.IN_DOUBT:
        orders.reconciliation.doubt(core.desk.at(), moved.after.written_at)
        core.desk.tell_doubts(Reason.SILENT)
