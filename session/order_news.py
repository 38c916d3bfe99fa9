"""What TWS says of orders: as it happens, or in a list that we have asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.protocol.codes import order_state
from backstay.protocol.framing import frame
from backstay.protocol.order_fields import ExecutionFacts, OrderFacts, read_execution, read_order
from backstay.protocol.rewriting import commission_execution, with_request_id
from backstay.session.hearsay import see_others
from backstay.session.intents import ENDS, IntentKey, IntentState, end_of, order_event
from backstay.session.ordering import carry_out
from backstay.session.orders import Journal, Orders, moment_of
from backstay.session.others import hear_other
from backstay.session.reconcile import Phase, Source
from backstay.session.verdicts import alarm, tell_ended
from backstay.session.vocabulary import Deliver
from backstay.session.watched import EXECUTION_END, OPEN_ORDER

if TYPE_CHECKING:
    from backstay.protocol.errors import ErrorMessage
    from backstay.session.core import Core


def hear_order(core: Core, payload: bytes, passed: bool) -> None:
    """openOrder, orderStatus or completedOrder; what the client has not been given is told when the round is over."""
    orders = core.owed.orders
    facts = read_order(payload, core.desk.version) if orders is not None else None
    if orders is None or facts is None:
        return
    if facts.what_if and facts.order_id is not None:
        core.owed.ledger.preview_answered(facts.order_id)
    orders.reconciliation.hear_order(facts)
    hear_other(core, facts, passed)
    moved = orders.table.hear_order(facts, core.desk.at())
    if _is_open_order_of(orders, facts) and orders.table.adopt(facts, core.desk.at()):
        orders.note_endpoint(
            IntentKey(orders.table.connection, orders.client_id, facts.order_id or 0), core.desk.endpoint
        )
    if moved is None:
        return
    alarm(core, moved)
    # One that the client has found among the completed orders names no order id: it is told which one that is.
    if moved.concludes and not (passed and facts.order_id is not None):
        orders.ended.append(moved.after)
        if orders.reconciliation.phase is not Phase.ASKING:
            tell_ended(core)


def _is_open_order_of(orders: Orders, facts: OrderFacts) -> bool:
    """Whether the client is shown an order of its own at work; which ones were placed by us the journal knows."""
    ours = facts.client_id == orders.client_id and bool(facts.order_id) and not facts.what_if
    known = orders.journal in (Journal.OFF, Journal.OPEN)
    return ours and known and facts.message_id == OPEN_ORDER and order_event(facts) not in ENDS


def hear_execution(core: Core, payload: bytes, passed: bool) -> None:
    """A fill: told to the client as it happens, or found in a list that we asked for."""
    orders = core.owed.orders
    facts = read_execution(payload, core.desk.version) if orders is not None else None
    if orders is None or facts is None:
        return
    if passed and facts.request_id >= 0:  # an answer to the client's own question
        # It has seen it by that, if it is there; in a library such an answer goes to who asked, and to no other.
        if core.owed.has_client and not orders.table.unheard:
            orders.reconciliation.hear_execution(facts)
        return
    if passed and facts.client_id != orders.client_id:  # a fill as it happens, of somebody else
        see_others(core)
    known = orders.table.get(facts.client_id, facts.order_id)
    if known is None and not passed and orders.journal in (Journal.ASKED, Journal.BROKEN):
        return  # it is listed again once the journal can say whether it was missed
    is_ours = known is not None and bool(known.payload)  # of others, fills of before this session are no news
    of_this_round = known is not None and is_ours and any(ended.key == known.key for ended in orders.ended)
    is_open = known is not None and is_ours and (not known.is_concluded or known.key in orders.inherited)
    missed = of_this_round or is_open or (orders.rounds > 1 and _was_watched(core, facts))
    moved = orders.table.hear_execution(facts, core.desk.at())
    is_new = orders.reconciliation.hear_execution(facts)
    if moved is not None:
        alarm(core, moved)
    if passed or not is_new or not _is_for_client(orders, facts):
        return
    if missed:
        core.effects.append(Deliver(frame(with_request_id(payload, core.desk.version, -1))))
    else:
        orders.tell_commission(facts.exec_id)  # of before this client's time: nor does it hear of the commission


def _is_for_client(orders: Orders, facts: ExecutionFacts) -> bool:
    return orders.sees_others or facts.client_id == orders.client_id


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
    is_ours = fill is not None and _is_for_client(orders, fill)
    if orders.tell_commission(exec_id) and not passed and is_ours:
        core.effects.append(Deliver(frame(payload)))


def hear_end(core: Core, number: int, key: int | None) -> None:
    """A list that we have asked for has ended; `key`: under this request id."""
    if core.owed.orders is None or (number == EXECUTION_END and key not in core.own_keys):
        return
    orders = core.orders
    if number == EXECUTION_END:
        orders.inherited.clear()
    carry_out(core, orders.reconciliation.ended(number, core.desk.at()))
    core.desk.offer_owed_cancels(lambda order_id: orders.reconciliation.shows_open(orders.client_id, order_id))


def hear_refusal(core: Core) -> None:
    """TWS is set to read-only and does not list orders."""
    for source in (Source.OPEN, Source.ALL_OPEN, Source.COMPLETED):
        carry_out(core, core.orders.reconciliation.refused(source, core.desk.at()))


def hear_error(core: Core, order_id: int, code: int) -> None:
    """An error on the id of an order of ours."""
    orders = core.owed.orders
    if orders is None:
        return
    moved = orders.table.hear_error(orders.client_id, order_id, code, at=core.desk.at())
    if moved is not None and moved.after.state is IntentState.IN_DOUBT:
        orders.reconciliation.doubt(core.desk.at(), moved.after.written_at)


def hear_too_late(core: Core, error: ErrorMessage) -> None:
    """A cancel came too late. An order that we take for one at work has ended, then: a round finds out more of it.

    Until its lists are there, the word concludes nothing: they have the fills that the client is to be told first.
    """
    orders = core.owed.orders
    intent = orders.table.get(orders.client_id, error.id) if orders is not None else None
    if orders is None or intent is None or intent.is_concluded:
        return
    orders.note_end(intent.key, end_of(order_state(error.text)))
    orders.reconciliation.doubt(core.desk.at(), intent.written_at)
