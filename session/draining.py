"""A drain: nothing new is taken, what is under way finishes, and then the connection is paused.

What is new: orders, streams, reads, and whatever nobody knows. Not new: cancels of any kind, settings, and a change
that makes an order no larger. Streams go on, and so does all that the gateway says. A socket that breaks meanwhile is
dialled again: what came of an order has to be found out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.session.causes import Cause, in_words
from backstay.session.intents import IntentState
from backstay.session.lifecycle import IDLE_STATES, Event, State
from backstay.session.owed import Draining
from backstay.session.vocabulary import Arm, Disarm, Drain, Report, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core

ORDERED = "drain ordered"
"""What a change of the state comes of that shows a drain. One that ends for good comes of the event of that name."""

UNFINISHED = "not everything had finished"

UNDECIDED = frozenset({IntentState.INTENT, IntentState.SENT, IntentState.IN_DOUBT})
"""Orders of which TWS has yet to say that it has them."""

_ENDS = frozenset({Event.PAUSE, Event.RESUME, Event.STOP, Event.DRAIN})

_OVER = (*IDLE_STATES, State.DRAINING)
"""States in which there is nothing to drain: it is down, or ends."""


def begin(core: Core, event: Drain) -> None:
    """An operator has ordered it, or has ordered it anew with another limit."""
    core.unfinished = False
    if core.state not in _OVER:
        _change(core, Draining(event.reason, core.now + event.seconds), on=ORDERED)
        _arm(core)


def heed(core: Core, event: Event) -> None:
    """Another order has been carried out: it ends a drain, or, where it begins a core, has the timer ring again."""
    if event in _ENDS:
        core.unfinished = False
        if core.owed.draining is not None:
            core.effects.append(Disarm(Timer.DRAIN))
            _change(core, None, on=event.value)
    elif event is Event.START:
        _arm(core)


def look(core: Core) -> None:
    """Pause once nothing is under way, or once it has taken too long. Called in every step."""
    draining = core.owed.draining
    if draining is None or core.leaving or core.state in _OVER:
        return
    under_way = _is_under_way(core)
    if under_way and core.now < draining.until:
        return
    core.trouble = (Cause.OPERATOR, _detail(draining.reason, UNFINISHED if under_way else ""))
    core.reason, core.lost_at = in_words(*core.trouble), None
    core.move(Event.PAUSE)
    core.effects.append(Disarm(Timer.DRAIN))
    core.owed.draining, core.desk.draining, core.unfinished = None, False, under_way


def _detail(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def reason_of(core: Core) -> str:
    """The reason that a status shows: of a connection that works, the drain's."""
    draining = core.owed.draining
    if draining is None or core.state is not State.READY:
        return core.reason
    return in_words(Cause.OPERATOR, draining.reason)


def _arm(core: Core) -> None:
    if core.owed.draining is not None:
        core.effects.append(Arm(Timer.DRAIN, max(0.0, core.owed.draining.until - core.now)))


def _change(core: Core, draining: Draining | None, *, on: str) -> None:
    before = core.shown
    core.owed.draining, core.desk.draining = draining, draining is not None
    if core.shown != before:
        fields = (("from", before), ("to", core.shown), ("on", on), ("reason", reason_of(core)))
        core.effects.append(Report("state_changed", (("epoch", core.owed.epoch), *fields)))


def _is_under_way(core: Core) -> bool:
    """Whether anything is owed an answer, or has yet to leave."""
    ledger, orders = core.owed.ledger, core.owed.orders
    if ledger.reads() or ledger.cancels_out or ledger.previews or core.desk.has_trades:
        return True
    intents = orders.table.open_intents() if orders is not None else ()
    return any(intent.state in UNDECIDED or intent.change_pending for intent in intents)
