"""The course of orders: written down, sent, lost from sight, asked about, and told to the client as what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from backstay.protocol.commands import all_open_orders, completed_orders, executions, open_orders
from backstay.protocol.framing import PREFIX_BYTES, frame
from backstay.protocol.order_fields import ExecutionFacts, read_execution, read_order
from backstay.protocol.rewriting import commission_execution, with_request_id, write_order_status
from backstay.session.evidence import VERDICT_EVENTS, Verdict, VerdictKind
from backstay.session.intents import Intent, IntentState, Moved, Outcome
from backstay.session.lifecycle import Link
from backstay.session.notices import Notice
from backstay.session.order_words import Conceal, LookedUp, LookUp, NotWrittenDown, WriteDown, WrittenDown
from backstay.session.orders import Journal, Orders, day_begins, moment_of
from backstay.session.pacing import Item, Lane
from backstay.session.reasons import Reason
from backstay.session.reconcile import Ask, Judged, Phase, ReconcileEffect, Source
from backstay.session.resend import ResendCase, resend_refusal
from backstay.session.sieve import COMPLETED_ORDER_END, EXECUTION_END, OPEN_ORDER_END
from backstay.session.vocabulary import Arm, Count, Deliver, Report, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core

COMPLETED_SINCE = 150
JOURNAL_RETRY_SECONDS = 5.0
"""Between two attempts to read a journal that could not be read, or to write to one whose disk is full."""

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


# -- the journal -------------------------------------------------------------------------------------------------------


def open_book(core: Core, client_id: int) -> bool:
    """The client has said its id. True if its orders are known; else the journal is asked, and start has to wait."""
    core.owed.orders = core.desk.orders = Orders.of(core.settings, client_id)
    if core.owed.orders.journal is Journal.OFF:
        return True
    look_up(core)
    return False


def look_up(core: Core) -> None:
    """Ask the journal; if it does not answer either, that counts as broken."""
    core.effects.append(LookUp(core.orders.next_token(), core.settings.gateway))
    core.effects.append(Arm(Timer.JOURNAL, JOURNAL_RETRY_SECONDS))


def on_looked_up(core: Core, event: LookedUp) -> None:
    """The journal has been read."""
    orders = core.orders
    if event.token != orders.token or orders.journal is Journal.OPEN:
        return
    was_broken = orders.journal is Journal.BROKEN
    orders.load(event.page, core.desk.at())
    core.book_is_open()
    if was_broken and core.desk.open:
        begin_round(core)


def on_not_written_down(core: Core, event: NotWrittenDown) -> None:
    """The disk is full, or the like: what should have been written down is not sent."""
    orders = core.owed.orders
    if orders is None:
        return
    if orders.journal in (Journal.ASKED, Journal.BROKEN):
        orders.journal, orders.trouble = Journal.BROKEN, event.trouble
        core.book_is_open()  # the timer of the look-up runs: it is read again
    else:
        core.desk.not_kept(orders, event.token, event.trouble)
        if not core.desk.disk_rests:
            core.desk.disk_rests = True
            core.effects.append(Arm(Timer.JOURNAL, JOURNAL_RETRY_SECONDS))


def on_written_down(core: Core, event: WrittenDown) -> None:
    """An order is on disk: it may leave."""
    core.desk.disk_rests = False
    if core.owed.orders is not None:
        core.desk.kept(core.owed.orders, event.token)


def ring_journal(core: Core) -> None:
    """It could not be read or written, or has not answered: try once more."""
    core.desk.disk_rests = False
    orders = core.owed.orders
    if orders is None or orders.journal not in (Journal.ASKED, Journal.BROKEN):
        return
    if orders.journal is Journal.ASKED:
        orders.journal, orders.trouble = Journal.BROKEN, "no answer"
        core.book_is_open()
    look_up(core)


def keep_changes(core: Core) -> None:
    """Have the journal keep what has changed; nobody waits for it."""
    orders = core.owed.orders
    if orders is not None and orders.journal is Journal.OPEN and not core.desk.disk_rests:
        page = orders.table.take_page()
        if page is not None:
            token = orders.next_token()
            orders.pages[token] = page
            core.effects.append(WriteDown(token, page))


# -- the rounds --------------------------------------------------------------------------------------------------------


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
    _carry_out(core, effects)


def link_changed(core: Core, *, up: bool) -> None:
    """1100, 1101 or 1102."""
    if not up:
        core.desk.recall_orders(Reason.LOST_LINK)
    if core.owed.orders is not None and core.desk.open and not core.settings.read_only:
        _carry_out(core, core.orders.reconciliation.link(core.desk.at(), up=up))


def ring_reconcile(core: Core) -> None:
    """An answer has not come, or it is time for another round."""
    core.reconcile_due = None
    if core.owed.orders is not None and core.desk.open:
        _carry_out(core, core.orders.reconciliation.tick(core.desk.at()))


def plan_round(core: Core) -> None:
    """Have the timer ring when the reconciliation wants it."""
    orders = core.owed.orders
    due = orders.reconciliation.due if orders is not None else None
    if due is not None and due != core.reconcile_due and core.desk.open:
        core.reconcile_due = due
        core.effects.append(Arm(Timer.RECONCILE, max(0.0, due - core.now)))


def _carry_out(core: Core, effects: Iterable[ReconcileEffect]) -> None:
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
            _alarm(core, moved)
            if moved.concludes:
                orders.ended.append(moved.after)
    core.effects += [Count("order_mismatches")] * (len(orders.ended) + orders.take_mismatches())
    _tell_ended(core)
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


def _tell_ended(core: Core) -> None:
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


# -- what TWS says -----------------------------------------------------------------------------------------------------


def hear_order(core: Core, payload: bytes, passed: bool) -> None:
    """openOrder, orderStatus or completedOrder; what the client has not been given is told when the round is over."""
    orders = core.owed.orders
    facts = read_order(payload, core.desk.version) if orders is not None else None
    if orders is None or facts is None:
        return
    if facts.what_if and facts.order_id is not None:
        core.owed.ledger.preview_answered(facts.order_id)
    orders.reconciliation.hear_order(facts)
    moved = orders.table.hear_order(facts, core.desk.at())
    if moved is None:
        return
    _alarm(core, moved)
    # One that the client has found among the completed orders names no order id: it is told which one that is.
    if moved.concludes and not (passed and facts.order_id is not None):
        orders.ended.append(moved.after)
        if orders.reconciliation.phase is not Phase.ASKING:
            _tell_ended(core)


def hear_execution(core: Core, payload: bytes, passed: bool) -> None:
    """A fill: told to the client as it happens, or found in a list that we asked for."""
    orders = core.owed.orders
    facts = read_execution(payload, core.desk.version) if orders is not None else None
    if orders is None or facts is None:
        return
    if passed and facts.request_id >= 0:
        return  # an answer to the client's own question
    known = orders.table.get(facts.client_id, facts.order_id)
    if known is None and not passed and orders.journal in (Journal.ASKED, Journal.BROKEN):
        return  # it is listed again once the journal can say whether it was missed
    of_this_round = known is not None and any(ended.key == known.key for ended in orders.ended)
    is_open = known is not None and not known.is_concluded
    missed = of_this_round or is_open or (orders.rounds > 1 and _was_watched(core, facts))
    moved = orders.table.hear_execution(facts, core.desk.at())
    is_new = orders.reconciliation.hear_execution(facts)
    if moved is not None:
        _alarm(core, moved)
    if passed or not is_new or facts.client_id != orders.client_id:
        return
    if missed:
        core.effects.append(Deliver(frame(with_request_id(payload, core.desk.version, -1))))
    else:
        orders.tell_commission(facts.exec_id)  # of before this client's time: nor does it hear of the commission


def _was_watched(core: Core, facts: ExecutionFacts) -> bool:
    """Whether a fill was made since this client's session began; it may be, if its time can not be read."""
    made = moment_of(facts.time, core.settings.time_zone)
    return made is None or made >= core.orders.watched_since


def hear_commission(core: Core, payload: bytes, passed: bool) -> None:
    """What a fill has cost."""
    orders = core.owed.orders
    exec_id = commission_execution(payload, core.desk.version)
    if orders is None or not exec_id:
        return
    fill = orders.reconciliation.executions.find(exec_id)
    is_ours = fill is not None and fill.client_id == orders.client_id
    if orders.tell_commission(exec_id) and not passed and is_ours:
        core.effects.append(Deliver(frame(payload)))


def hear_end(core: Core, number: int, key: int | None) -> None:
    """A list that we have asked for has ended; `key`: under this request id."""
    if core.owed.orders is None or (number == EXECUTION_END and key != core.own_key):
        return
    _carry_out(core, core.orders.reconciliation.ended(number, core.desk.at()))


def hear_refusal(core: Core) -> None:
    """TWS is set to read-only and does not list orders."""
    for source in (Source.OPEN, Source.ALL_OPEN, Source.COMPLETED):
        _carry_out(core, core.orders.reconciliation.refused(source, core.desk.at()))


def hear_error(core: Core, order_id: int, code: int) -> None:
    """An error on the id of an order of ours."""
    orders = core.owed.orders
    if orders is None:
        return
    moved = orders.table.hear_error(orders.client_id, order_id, code, at=core.desk.at())
    if moved is not None and moved.after.state is IntentState.IN_DOUBT:
        orders.reconciliation.doubt(core.desk.at(), moved.after.written_at)


def tell_doubts(core: Core) -> None:
    """Tell the client of orders that have come into doubt, once each."""
    core.desk.tell_doubts(core.trouble[0].value)


def _alarm(core: Core, moved: Moved) -> None:
    if moved.alarm:
        order = (("order_id", moved.after.key.order_id), ("state", moved.after.state.value))
        core.effects.append(Report("order_alarm", (("epoch", core.owed.epoch), *order)))
