"""From one endpoint to the next, and back to the preferred one, the first of the list.

Back only if the configuration says so, and nothing is lost by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.session.calendar import Downtime
from backstay.session.causes import Cause
from backstay.session.downtime import delay_cap
from backstay.session.lifecycle import Event, State
from backstay.session.vocabulary import Arm, BackOff, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core


def back_off(core: Core) -> None:
    """Plan the next dial, of the endpoint whose turn it is."""
    wait = core.endpoints.wait_seconds(core.now)
    core.effects.append(BackOff(wait, delay_cap(core), core.endpoints.index))


def follow(core: Core) -> None:
    """Where the gateway has told another connection that it has moved from the endpoint whose turn it is, go there.

    It is the same gateway: what was sent there before can be proved by it.
    """
    before = core.endpoints.present
    core.endpoints.follow()
    if core.endpoints.present != before and core.owed.orders is not None:
        core.orders.endpoint_moved(before, core.endpoints.present)


def park(core: Core) -> None:
    """The endpoint that failed rests; another one that does not need a person itself is tried all the same."""
    core.endpoints.rest_last(core.settings.parked_seconds, core.now)
    wait = core.endpoints.wait_seconds(core.now)
    if wait > 0.0:
        core.effects.append(Arm(Timer.RETRY, wait))
    else:
        back_off(core)


def plan_return(core: Core) -> None:
    """A connection is ready; where it is not on the first endpoint, look after a while whether it may go back."""
    if core.settings.prefer_first_seconds and core.endpoints.index:
        core.effects.append(Arm(Timer.PREFER, core.settings.prefer_first_seconds))


def ring_return(core: Core) -> None:
    """Go back, or look again later."""
    if core.state is not State.READY or not core.endpoints.index:
        return
    if not loses_nothing(core):
        plan_return(core)
        return
    core.endpoints.index = 0
    core.trouble = (Cause.PREFERRED, "")
    core.reason = f"{Cause.PREFERRED.value}: {Cause.PREFERRED.row.sentence}"
    core.move(Event.RESTART)


def return_after_loss(core: Core) -> None:
    """The socket broke by itself, after long enough: nothing is lost by dialling the first one."""
    preferred = core.settings.prefer_first_seconds
    if preferred and core.now - core.ready_at >= preferred:
        core.endpoints.index = 0


def loses_nothing(core: Core) -> bool:
    """Whether nobody would notice a new socket: no stream, no open read, no order that is on its way or works."""
    orders, desk = core.owed.orders, core.desk
    quiet = orders is None or not (orders.table.open_intents() or orders.unkept)
    owed = core.owed.ledger
    return quiet and desk.idle and not (owed.entries or owed.previews) and core.planned.phase is Downtime.NONE
