"""What had no client to hear it: news of orders is kept for the one that comes back, and told then.

What nobody has heard does not count as told. It waits here, each once and in its last form, and until somebody comes
the journal has an order that ended meanwhile as open: should nobody come in time, or the process die, the next
session finds it out anew. What is under way is not kept but asked for: TWS lists it as it stands by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from backstay.protocol.codes import About, code_info
from backstay.protocol.errors import read_error
from backstay.protocol.framing import PREFIX_BYTES, frame
from backstay.protocol.messages import message_id
from backstay.protocol.order_fields import read_execution, read_order
from backstay.protocol.rewriting import commission_execution
from backstay.session.error_news import EITHER_CODES
from backstay.session.intents import ENDS, STATUS_EVENTS
from backstay.session.lifecycle import State
from backstay.session.notices import SPEAKER, Notice
from backstay.session.ordering import ask_anew
from backstay.session.reasons import Reason
from backstay.session.vocabulary import Deliver
from backstay.session.watched import COMMISSION, ERROR, EXECUTION, ORDER_STATUS

if TYPE_CHECKING:
    from backstay.session.client_words import Attended, Unheard
    from backstay.session.core import Core
    from backstay.session.owed import Slot

MAX_MISSED = 50_000
"""News kept for a client that may come back, as much as fills are remembered; beyond it the oldest is forgotten."""

OF_ORDERS = frozenset(
    notice.value.code
    for notice in (
        *(Notice.ORDER_NOT_SENT, Notice.CHANGE_NOT_SENT, Notice.CANCEL_NOT_SENT, Notice.CANCEL_IN_DOUBT),
        *(Notice.ORDER_UNKNOWN, Notice.ORDER_OVER, Notice.GLOBAL_CANCEL_IN_DOUBT),
    )
)
"""What backstay itself says of orders, but for those in doubt: of them the client is told as they are by then."""

INACTIVE = "Inactive"
"""It works no longer, in whatever way it ended; or does not work for now, and then TWS lists it."""


def nobody_there(core: Core) -> None:
    """No client hears how orders end from now on."""
    if core.owed.orders is not None:
        core.orders.table.unheard = True


def on_unheard(core: Core, event: Unheard) -> None:
    """What was delivered found nobody."""
    nobody_there(core)
    error = read_error(event.data[PREFIX_BYTES:], core.desk.version)
    if error is not None and error.code == Notice.GATEWAY_LOST.value.code:
        core.desk.told_down = False
    keep(core, event.data[PREFIX_BYTES:])


def keep(core: Core, payload: bytes) -> None:
    """Keep a message that nobody has heard, if it is news of orders."""
    if core.owed.version is None or core.owed.orders is None:
        return
    slot_of = _SLOTS.get(message_id(payload, core.owed.version))
    slot = None if slot_of is None else slot_of(core, payload)
    if slot is None:
        return
    missed = core.owed.missed
    missed.pop(slot, None)
    missed[slot] = payload
    if len(missed) > MAX_MISSED:
        del missed[next(iter(missed))]


def on_attended(core: Core, _event: Attended) -> None:
    """The client that has come back is told what nobody has heard, which orders are in doubt, and what TWS lists."""
    if core.owed.away:
        return  # it has left again, and word of the next one's return is yet to come
    if core.state is not State.READY:
        core.tell_down()
    missed, core.owed.missed = core.owed.missed, {}
    core.effects += [Deliver(frame(payload)) for payload in missed.values()]
    core.orders.table.unheard = False
    core.orders.told.clear()
    core.desk.tell_doubts(Reason.UNHEARD)
    ask_anew(core)


def _execution(core: Core, payload: bytes) -> Slot | None:
    facts = read_execution(payload, core.desk.version)
    return (EXECUTION, facts.exec_id) if facts is not None and facts.request_id < 0 else None


def _commission(core: Core, payload: bytes) -> Slot | None:
    return COMMISSION, commission_execution(payload, core.desk.version)


def _status(core: Core, payload: bytes) -> Slot | None:
    facts = read_order(payload, core.desk.version)
    if facts is None:
        return None
    slot = ORDER_STATUS, f"{facts.client_id}.{facts.order_id}"
    if STATUS_EVENTS.get(facts.status) in ENDS or facts.status == INACTIVE:
        return slot
    core.owed.missed.pop(slot, None)  # it works again
    return None


def _error(core: Core, payload: bytes) -> Slot | None:
    error = read_error(payload, core.desk.version)
    if error is None:
        return None
    if error.text.startswith(SPEAKER):
        is_of_orders = error.code in OF_ORDERS
    else:
        means_order = code_info(error.code).about is About.ORDER or error.code in EITHER_CODES
        is_of_orders = means_order and core.owed.ledger.order_known(error.id)
    return (ERROR, f"{error.id}.{error.code}") if is_of_orders else None


_SLOTS: dict[int, Callable[[Core, bytes], Slot | None]] = {
    EXECUTION: _execution,
    COMMISSION: _commission,
    ORDER_STATUS: _status,
    ERROR: _error,
}
