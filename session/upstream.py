"""The gateway is up and has no link to IB's servers (1100) for long.

That mends itself, as a rule; where it does not, a new socket has helped, and somebody should look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.session.calendar import Downtime
from backstay.session.causes import Cause
from backstay.session.lifecycle import Event, Link, State
from backstay.session.vocabulary import Arm, Disarm, Observe, Report, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core

FIRST_PATIENCE_SECONDS = 900.0
"""IB's own interruptions are over by then, but for its maintenance."""

PATIENCE_SECONDS = 1_800.0
"""After the first new socket: it was not that, and each costs the client's streams a gap."""


def upstream_lost(core: Core) -> None:
    """1100 or 2110, the first of possibly many."""
    core.effects.append(Arm(Timer.UPSTREAM, core.upstream_patience_seconds))


def upstream_restored(core: Core) -> None:
    """1101 or 1102."""
    core.upstream_patience_seconds = FIRST_PATIENCE_SECONDS
    core.effects.append(Disarm(Timer.UPSTREAM))
    note_recovery(core)


def note_recovery(core: Core) -> None:
    """Ready, or IB's servers are there again: what was lost is back once both are so."""
    if core.lost_at is not None and core.state is State.READY and core.link is not Link.DOWN:
        core.effects.append(Observe("recovery_duration", core.now - core.lost_at))
        core.lost_at = None


def ring_upstream(core: Core) -> None:
    """It has been lost for long: raise an alarm and try a new socket, unless it is planned."""
    if core.link is not Link.DOWN or not core.live:
        return
    if core.planned.phase is Downtime.NOW:
        core.effects.append(Arm(Timer.UPSTREAM, core.planned.ends - core.desk.wall + core.upstream_patience_seconds))
        return
    seconds, core.upstream_patience_seconds = core.upstream_patience_seconds, PATIENCE_SECONDS
    core.effects.append(Report("upstream_stays_lost", (("epoch", core.owed.epoch), ("seconds", seconds))))
    core.fail(Event.LOST, Cause.UPSTREAM_LOST, f"for {seconds / 60:.0f} minutes")
