"""The rounds of questions about orders: what is asked, what is concluded, and what the client is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from backstay.protocol.commands import all_open_orders, completed_orders, executions, open_orders
from backstay.protocol.framing import PREFIX_BYTES
from backstay.protocol.rewriting import write_order_status
from backstay.session.evidence import VERDICT_EVENTS, Verdict, VerdictKind
from backstay.session.intents import Intent, Moved, Outcome
from backstay.session.lifecycle import Link
from backstay.session.notices import Notice
from backstay.session.orders import day_begins
from backstay.session.pacing import Item, Lane
from backstay.session.reasons import Reason
from backstay.session.reconcile import Ask, Judged, ReconcileEffect, Source
from backstay.session.resend import ResendCase, resend_refusal
from backstay.session.sieve_words import Conceal
from backstay.session.vocabulary import Arm, Count, Deliver, Report, Timer
from backstay.session.watched import COMPLETED_ORDER_END, EXECUTION_END, OPEN_ORDER_END

if TYPE_CHECKING:
    from backstay.session.core import Core

COMPLETED_SINCE = 150
CLOCK_STEP_SECONDS = 1.0
"""TWS gives the time of a fill, and its own, in whole seconds."""

QUESTIONS: dict[Source, tuple[int, int]] = {
    Source.OPEN: (5, OPEN_ORDER_END),
    Source.ALL_OPEN: (16, OPEN_ORDER_END),
    Source.COMPLETED: (99, COMPLETED_ORDER_END),
    Source.EXECUTIONS: (7, EXECUTION_END),
}
"""The request that asks for each list, and the message that ends it."""

FAMILIES = frozenset({5, 16, 99})
"""Requests without an id: one at a time can be asked, so that it is known whose the answer is."""

ABSENT = frozenset({VerdictKind.UNKNOWN, VerdictKind.OVER})
"""What is concluded from lists in which an order does not stand."""

STATUS_OF = {Outcome.FILLED: "Filled", Outcome.CANCELLED: "Cancelled"}
END_NOTICES = {Outcome.UNKNOWN_TO_TWS: Notice.ORDER_UNKNOWN, Outcome.OVER: Notice.ORDER_OVER}
"""How the client is told of an end that it has not seen: TWS's own status, or a word of ours."""


def begin_round(core: Core) -> None:
    """A new socket is ready: ask what has become of the orders, if there is anything to ask about."""
    orders, at = core.owed.orders, core.desk.at()
    if orders is None:
        return
    link_up = core.link is not Link.DOWN
    first = orders.rounds == 0
    orders.rounds += 1
    if first:
        orders.watched_since = at.wall + core.clock_skew - CLOCK_STEP_SECONDS
    if core.settings.read_only or (first and not orders.table.open_intents()):
        orders.reconciliation.nothing_owed(core.owed.epoch, at, link_up=link_up)
        return
    effects = orders.reconciliation.begin(
        core.owed.epoch,
        at,
        link_up=link_up,
        reaches_back_to=day_begins(at.wall, core.settings.time_zone),
        has_completed=core.desk.version >= COMPLETED_SINCE,
    )
    carry_out(core, effects)


def link_changed(core: Core, *, up: bool) -> None:
    """1100, 1101 or 1102."""
    if not up:
        core.desk.recall_orders(Reason.LOST_LINK)
    if core.owed.orders is not None and core.desk.open and not core.settings.read_only:
        carry_out(core, core.orders.reconciliation.link(core.desk.at(), up=up))


def ring_reconcile(core: Core) -> None:
    """An answer has not come, or it is time for another round."""
    core.reconcile_due = None
    if core.owed.orders is not None and core.desk.open:
        carry_out(core, core.orders.reconciliation.tick(core.desk.at()))


def plan_round(core: Core) -> None:
    """Have the timer ring when the reconciliation wants it."""
    orders = core.owed.orders
    due = orders.reconciliation.due if orders is not None else None
    if due is not None and due != core.reconcile_due and core.desk.open:
        core.reconcile_due = due
        core.effects.append(Arm(Timer.RECONCILE, max(0.0, due - core.now)))


def carry_out(core: Core, effects: Iterable[ReconcileEffect]) -> None:
    """Ask what the reconciliation wants asked, and let what it has judged count."""
    for effect in effects:
        if isinstance(effect, Ask):
            core.to_ask.append(effect.source)
        else:
            _judged(core, effect)
    ask_what_may_be_asked(core)


def ask_what_may_be_asked(core: Core) -> None:
    """Write the questions that no question of the client stands in the way of."""
    waiting, core.to_ask = core.to_ask, []
    for source in waiting:
        number, end = QUESTIONS[source]
        if number in FAMILIES and core.desk.has_asked(FAMILIES):
            core.to_ask.append(source)  # or its answer would be taken for ours
            continue
        version, key = core.desk.version, None
        if source is Source.EXECUTIONS:
            key = core.orders.next_question()
            data = executions(version, key)
        else:
            data = _ASKED[source](version)
        core.effects.append(Conceal(core.owed.epoch, end, key))
        core.own_key = key if key is not None else core.own_key
        core.desk.outbox.push(Lane.SETTINGS, Item(data[PREFIX_BYTES:]))


_ASKED: dict[Source, Callable[[int], bytes]] = {
    Source.OPEN: open_orders,
    Source.ALL_OPEN: all_open_orders,
    Source.COMPLETED: completed_orders,
}


def _judged(core: Core, judged: Judged) -> None:
    orders, at = core.orders, core.desk.at()
    core.effects.append(Count("order_reconciliations"))
    for verdict in judged.verdicts:
        event = VERDICT_EVENTS[verdict.kind]
        if event is None or (verdict.kind in ABSENT and not _asked_where_it_was_sent(core, verdict)):
            continue
        if verdict.kind is VerdictKind.UNKNOWN and _sends_again(core, verdict):
            continue
        moved = orders.table.apply(verdict.key, event, at, perm_id=verdict.perm_id)
        if moved is not None:
            alarm(core, moved)
            if moved.concludes:
                orders.ended.append(moved.after)
    core.effects += [Count("order_mismatches")] * (len(orders.ended) + orders.take_mismatches())
    tell_ended(core)
    fields = (
        ("epoch", core.owed.epoch),
        ("settled", judged.settled),
        ("decided", sum(VERDICT_EVENTS[verdict.kind] is not None for verdict in judged.verdicts)),
        ("missing", " ".join(sorted(source.value for source in judged.missing))),
    )
    if judged.verdicts or judged.missing:
        core.effects.append(Report("orders_reconciled", fields))
    tell_doubts(core)
    core.desk.release_trades()


def _asked_where_it_was_sent(core: Core, verdict: Verdict) -> bool:
    """Of gateways that stand in for one another each knows for certain only what was sent through itself."""
    if core.settings.one_login:
        return True
    where = core.orders.sent_through.get(verdict.key)
    return len(core.settings.endpoints) == 1 if where is None else where == core.desk.endpoint


def _sends_again(core: Core, verdict: Verdict) -> bool:
    orders, at = core.orders, core.desk.at()
    intent = orders.table.get(verdict.key.client_id, verdict.key.order_id)
    case = ResendCase(
        verdict,
        core.owed.epoch,
        core.link is not Link.DOWN,
        core.desk.version,
        at,
        vetoed=bool(core.desk.closed),
        highest_seen=orders.table.highest_seen(verdict.key.client_id),
    )
    if intent is None or resend_refusal(intent, case, core.settings.resend) is not None:
        return False
    sent = orders.table.send(intent.key, core.owed.epoch, at)
    core.desk.write_down(Item(sent.payload, since=core.now), sent, orders)
    core.effects.append(Report("order_sent_again", (("epoch", core.owed.epoch), ("order_id", intent.key.order_id))))
    return True


def tell_ended(core: Core) -> None:
    """Tell the client of orders whose end it has not seen."""
    ended, core.orders.ended = core.orders.ended, []
    for intent in ended:
        _tell_end(core, intent)


def _tell_end(core: Core, intent: Intent) -> None:
    assert intent.outcome is not None  # noqa: S101  # concluded
    if intent.outcome in END_NOTICES:
        core.desk.say(END_NOTICES[intent.outcome], key=intent.key.order_id)
    else:
        core.effects.append(Deliver(_status(core, intent, STATUS_OF[intent.outcome])))


def _status(core: Core, intent: Intent, status: str) -> bytes:
    fills = core.orders.reconciliation.executions.of(intent.key.client_id, intent.key.order_id)
    filled = sum((fill.shares for fill in fills), Decimal(0))
    total = intent.order.look.quantity
    if intent.outcome is Outcome.FILLED and total is not None:
        filled = total
    remaining = max(Decimal(0), total - filled) if total is not None else Decimal(0)
    owner = (intent.key.client_id, intent.key.order_id)
    return write_order_status(owner, status, (filled, remaining), perm_id=intent.perm_id, version=core.desk.version)


def tell_doubts(core: Core) -> None:
    """Tell the client of orders that have come into doubt, once each."""
    core.desk.tell_doubts(core.trouble[0].value)


def alarm(core: Core, moved: Moved) -> None:
    """Report what must not happen to an order, if it has."""
    if moved.alarm:
        order = (("order_id", moved.after.key.order_id), ("state", moved.after.state.value))
        core.effects.append(Report("order_alarm", (("epoch", core.owed.epoch), *order)))
