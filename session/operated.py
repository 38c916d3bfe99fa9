"""What operators do to a connection. None of it is a failure: it is told as theirs, and costs no backoff.

A part of a connection that is begun anew by order takes its socket with it. Whoever gives the order leaves a word of it
(`Owed.ordered`) before, which is found by what notices the loss, be it the session of now or the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.session.causes import Cause, in_words
from backstay.session.lifecycle import BUSY_STATES, RESTING_STATES, Event, State
from backstay.session.order_journal import look_up
from backstay.session.orders import Journal
from backstay.session.telling import tell_lost
from backstay.session.vocabulary import Arm, LinkRenewed, Ordered, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core


def on_ordered(core: Core, event: Ordered) -> None:
    """The owner or an operator wants something."""
    if event.event in (Event.PAUSE, Event.RESTART):
        if event.event is Event.PAUSE:
            core.lost_at = None  # nobody waits for it to come back
        _obey(core, event.event, event.reason)
        return
    if event.event in (Event.START, Event.RESUME) and core.state is State.STOPPED:
        if core.owed.epoch:
            _take_over(core)
        core.owed.ordered = ""
    elif event.event in (Event.STOP, Event.DRAIN):
        core.trouble = (Cause.SHUTDOWN, event.reason)
    core.move(event.event)


def _obey(core: Core, event: Event, detail: str) -> None:
    core.trouble = (Cause.OPERATOR, detail)
    core.reason = in_words(Cause.OPERATOR, detail)
    core.move(event)


def is_cut(core: Core) -> bool:
    """Whether a socket breaks because a part is begun anew by order; then that is what becomes of it."""
    if not core.owed.ordered or core.state not in BUSY_STATES:
        return False
    _obey(core, Event.CUT, core.owed.ordered)
    core.effects.append(Arm(Timer.RETRY, core.settings.dial_seconds))  # should nothing come of the order
    return True


def on_link_renewed(core: Core, _event: LinkRenewed) -> None:
    """By order: dial at once. Else whoever dialled or read has died of a mistake."""
    ordered, core.owed.ordered = core.owed.ordered, ""
    if ordered and core.state in (*RESTING_STATES, *BUSY_STATES):
        _obey(core, Event.RESTART, ordered)
    elif core.live:
        core.fail(Event.LOST, Cause.READER_DIED, "the link was restarted")


def _take_over(core: Core) -> None:
    """A former core ended with the socket up: what it had under way is settled as after any loss."""
    owed = core.owed
    core.trouble = (Cause.OPERATOR, owed.ordered) if owed.ordered else (Cause.SESSION_DIED, "")
    core.reason = in_words(*core.trouble)
    if owed.ready_epoch == owed.epoch:
        tell_lost(core)  # it had no time to
    core.desk.break_off(core.trouble[0].value, core.now)
    core.desk.end_halves(owed.epoch)
    core.tell_down()
    orders = owed.orders
    if orders is not None and orders.journal in (Journal.ASKED, Journal.BROKEN):
        look_up(core)  # the timer that would have done so died with the former core
