"""Planned downtime of the gateway: orders are closed before it, nobody is alarmed in it, and its end is awaited."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from backstay.session.calendar import Downtime, Planned, look_up
from backstay.session.causes import ON_PURPOSE, Cause
from backstay.session.hearsay import windows_of
from backstay.session.reasons import Reason
from backstay.session.vocabulary import Arm, Report, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core

LOOK_SECONDS = 600.0
"""How long the calendar is left alone at most: clocks are set, and machines sleep."""

LAST_THIRD_CAP_SECONDS = 10.0
"""The longest delay between dials once the gateway may be back at any moment."""

NOT_YET_LOOKED = Planned(until=float("-inf"))


def keep_calendar(core: Core) -> None:
    """Notice when planned downtime is near, begins or ends. Called in every step, and at the latest by its timer."""
    windows = windows_of(core)
    if core.planned.holds(core.desk.wall) and windows == core.windows:
        return
    before, core.planned, core.windows = core.planned, look_up(windows, core.desk.wall), windows
    is_told = bool(windows) and core.settings.maintenance is None
    if is_told:
        core.planned = replace(core.planned, text=f"{core.planned.text}, told by the gateway")
    ring_calendar(core)
    phase = core.planned.phase
    if phase is not before.phase:
        core.desk.closed = "" if phase is Downtime.NONE else Reason.PLANNED.format(downtime=core.planned.text)
        span = (core.planned.begins, core.planned.ends) if windows else (0.0, 0.0)
        fields = (("phase", phase.value), ("begins", span[0]), ("ends", span[1]), ("told", is_told))
        core.effects.append(Report("maintenance", fields))


def ring_calendar(core: Core) -> None:
    """Look again in time."""
    core.effects.append(Arm(Timer.CALENDAR, max(0.0, min(core.planned.until - core.desk.wall, LOOK_SECONDS))))


def delay_cap(core: Core) -> float | None:
    """The longest delay before the next dial, where the calendar knows one."""
    return LAST_THIRD_CAP_SECONDS if core.planned.in_last_third(core.desk.wall) else None


def loss_reason(core: Core) -> str:
    """Under which label a loss is counted: one in planned downtime is no news."""
    cause = core.trouble[0]
    planned = core.planned.phase is Downtime.NOW and cause not in ON_PURPOSE
    return "maintenance" if planned else cause.row.disconnect_reason


def loss_detail(core: Core) -> str:
    """What the client is told of why the gateway is away."""
    cause, said = core.trouble
    if cause is Cause.OPERATOR:
        return f"{cause.row.sentence}: {said}" if said else cause.row.sentence
    detail = f"{cause.row.tws_code}, {cause.row.sentence}"
    return f"{detail}; {core.planned.text}" if core.planned.phase is Downtime.NOW else detail
