"""What becomes of a verdict on an order: it counts, the client is told of it, or the order is sent again.

Where the owner wants to be asked before an order is sent again, it is, of one order after the other. The order stays
in doubt meanwhile; no answer in time is a no.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.protocol.rewriting import write_order_status
from backstay.session.endpoints import is_same
from backstay.session.evidence import VERDICT_EVENTS, Verdict, VerdictKind, filling_of
from backstay.session.intents import Intent, IntentState, Moved, Outcome
from backstay.session.lifecycle import Link
from backstay.session.notices import Notice
from backstay.session.order_words import AskOwner, OwnerSaid
from backstay.session.others import tell_ends_of_others
from backstay.session.pacing import Item
from backstay.session.reasons import Reason
from backstay.session.reconcile import Judged, Phase
from backstay.session.resend import OWNER_SECONDS, ResendCase, resend_refusal
from backstay.session.vocabulary import Arm, Count, Deliver, Disarm, Report, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core

ABSENT = frozenset({VerdictKind.UNKNOWN, VerdictKind.OVER})
"""What is concluded from lists in which an order does not stand."""

STATUS_OF = {Outcome.FILLED: "Filled", Outcome.CANCELLED: "Cancelled", Outcome.OVER: "Inactive"}
END_NOTICES = {Outcome.UNKNOWN_TO_TWS: Notice.ORDER_UNKNOWN, Outcome.OVER: Notice.ORDER_OVER}
"""How the client is told of an end that it has not seen: a word of ours, a status as TWS has it, or both."""


def take_verdicts(core: Core, judged: Judged) -> None:
    """A round is over: let what it has judged count, and tell the client what it has not seen."""
    orders = core.orders
    core.effects.append(Count("order_reconciliations"))
    for verdict in judged.verdicts:
        if verdict.kind in ABSENT and not _asked_where_it_was_sent(core, verdict):
            continue
        if verdict.kind is not VerdictKind.UNKNOWN or not _sends_again(core, verdict):
            _let_count(core, verdict)
    core.effects += [Count("order_mismatches")] * (len(orders.ended) + orders.take_mismatches())
    tell_ended(core)
    tell_ends_of_others(core, judged)
    fields = (
        ("epoch", core.owed.epoch),
        ("settled", judged.settled),
        ("decided", sum(VERDICT_EVENTS[verdict.kind] is not None for verdict in judged.verdicts)),
        ("missing", " ".join(sorted(source.value for source in judged.missing))),
    )
    if judged.verdicts or judged.missing:
        core.effects.append(Report("orders_reconciled", fields))
    core.desk.tell_doubts(Reason.NOT_PROVED)  # of a break they have been told before
    core.desk.offer_owed_cancels()  # of what ended none is owed any more
    core.desk.release_trades()
    _ask_owner(core)


def _let_count(core: Core, verdict: Verdict) -> None:
    orders, event = core.orders, VERDICT_EVENTS[verdict.kind]
    if verdict.kind in ABSENT:  # no list says how it ended, but an answer to its cancel may have
        event = orders.ends_named.pop(verdict.key, event)
    if event is None:
        return
    moved = orders.table.apply(verdict.key, event, core.desk.at(), perm_id=verdict.perm_id)
    if moved is not None:
        alarm(core, moved)
        if moved.concludes:
            orders.ended.append(moved.after)


def _asked_where_it_was_sent(core: Core, verdict: Verdict) -> bool:
    """Of gateways that stand in for one another each knows for certain only what was sent through itself."""
    if core.settings.one_login:
        return True
    where = core.orders.sent_through.get(verdict.key)
    if where is not None:
        return is_same(where, core.desk.endpoint)
    first, *others = core.settings.endpoints
    return all(is_same(first, other) for other in others)


# -- sent again --------------------------------------------------------------------------------------------------------


def _sends_again(core: Core, verdict: Verdict) -> bool:
    """Whether an order that TWS never had is sent again: now, or once the owner has been asked."""
    if not _may_be_sent_again(core, verdict):
        return False
    if core.settings.resend.asks_owner:
        core.orders.to_ask_owner[verdict.key] = verdict
    else:
        _send_again(core, verdict)
    return True


def _may_be_sent_again(core: Core, verdict: Verdict) -> bool:
    orders = core.orders
    intent = orders.table.get(verdict.key.client_id, verdict.key.order_id)
    case = ResendCase(
        verdict,
        core.owed.epoch,
        core.link is not Link.DOWN,
        core.desk.version,
        core.desk.at(),
        vetoed=bool(core.desk.closed),
        in_group=intent is not None and orders.table.in_group(intent),
        highest_seen=orders.table.highest_seen(verdict.key.client_id),
    )
    return intent is not None and resend_refusal(intent, case, core.settings.resend) is None


def _send_again(core: Core, verdict: Verdict) -> None:
    orders = core.orders
    sent = orders.table.send(verdict.key, core.owed.epoch, core.desk.at())
    core.desk.write_down(Item(sent.payload, since=core.now), sent, orders)
    core.effects.append(Report("order_sent_again", (("epoch", core.owed.epoch), ("order_id", sent.key.order_id))))


def _ask_owner(core: Core) -> None:
    """Ask about the next order that may be sent again, unless a question is out."""
    orders = core.orders
    while orders.to_ask_owner and not orders.asked_owner:
        verdict = next(iter(orders.to_ask_owner.values()))
        intent = orders.table.get(verdict.key.client_id, verdict.key.order_id)
        if intent is None or not _may_be_sent_again(core, verdict):
            _end_absent(core)
            continue
        orders.asked_owner = orders.next_token()
        core.effects.append(AskOwner(core.owed.epoch, orders.asked_owner, intent))
        core.effects.append(Arm(Timer.OWNER, OWNER_SECONDS))


def on_owner_said(core: Core, event: OwnerSaid) -> None:
    """The owner has answered."""
    orders = core.owed.orders
    if orders is not None and orders.asked_owner == event.token:
        core.effects.append(Disarm(Timer.OWNER))
        _owner_has_answered(core, event.veto)


def ring_owner(core: Core) -> None:
    """The owner has not answered in time."""
    if core.owed.orders is not None and core.orders.asked_owner:
        _owner_has_answered(core, f"no answer within {OWNER_SECONDS:g} s")


def _owner_has_answered(core: Core, veto: str) -> None:
    orders = core.orders
    orders.asked_owner = 0
    verdict = next(iter(orders.to_ask_owner.values()))
    if veto:
        order = (("epoch", core.owed.epoch), ("order_id", verdict.key.order_id), ("reason", veto))
        core.effects += [Count("order_resends_vetoed"), Report("order_resend_vetoed", order)]
    if veto or not _may_be_sent_again(core, verdict):
        _end_absent(core)
    else:
        del orders.to_ask_owner[verdict.key]
        _send_again(core, verdict)
    _ask_owner(core)


def _end_absent(core: Core) -> None:
    """The first order that the owner was to be asked about is not sent again, and TWS never had it."""
    orders = core.orders
    verdict = orders.to_ask_owner.pop(next(iter(orders.to_ask_owner)))
    intent = orders.table.get(verdict.key.client_id, verdict.key.order_id)
    if intent is None or intent.state is not IntentState.IN_DOUBT:
        return  # TWS has spoken of it meanwhile
    _let_count(core, verdict)
    if orders.reconciliation.phase is not Phase.ASKING:
        tell_ended(core)


def forget_owner(core: Core) -> None:
    """What was proved is proved no longer: the next round finds out what the owner has to be asked."""
    core.orders.to_ask_owner.clear()
    core.orders.asked_owner = 0
    core.effects.append(Disarm(Timer.OWNER))


# -- told --------------------------------------------------------------------------------------------------------------


def tell_ended(core: Core) -> None:
    """Tell the client of orders whose end it has not seen."""
    ended, core.orders.ended = core.orders.ended, []
    for intent in ended:
        _tell_end(core, intent)


def _tell_end(core: Core, intent: Intent) -> None:
    assert intent.outcome is not None  # noqa: S101  # concluded
    if intent.outcome in END_NOTICES:
        core.desk.say(END_NOTICES[intent.outcome], key=intent.key.order_id)
    if intent.outcome in STATUS_OF:  # behind the word: a warning makes ib_async take the order for a living one again
        core.effects.append(Deliver(_status(core, intent, STATUS_OF[intent.outcome])))


def _status(core: Core, intent: Intent, status: str) -> bytes:
    fills = core.orders.reconciliation.executions.of(intent.key.client_id, intent.key.order_id)
    filling = filling_of(intent.order.look, fills, is_filled=intent.outcome is Outcome.FILLED)
    owner = (intent.key.client_id, intent.key.order_id)
    ids = {"perm_id": intent.perm_id, "parent_id": intent.order.parent_id}
    return write_order_status(owner, status, filling, **ids, version=core.desk.version)


def alarm(core: Core, moved: Moved) -> None:
    """Report what must not happen to an order, if it has."""
    if moved.alarm:
        order = (("order_id", moved.after.key.order_id), ("state", moved.after.state.value))
        core.effects.append(Report("order_alarm", (("epoch", core.owed.epoch), *order)))
