"""What a gateway tells of itself: when it ends each day, which is planned downtime, and who is its master client.

What one endpoint told holds for all connections of its gateway, also for those that cannot ask. Who asks: `hearsay`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo

from backstay.protocol.configuration import Configuration
from backstay.protocol.handshake import Hello, local_seconds
from backstay.session.calendar import MaintenanceWindow
from backstay.session.endpoints import MAX_ENDPOINTS, Endpoint

EARLY = timedelta(minutes=1)
"""Planned downtime begins so long before the time that was told: two machines' clocks differ."""

LONG = timedelta(minutes=5)
"""And ends so long after it. A restart that was measured took 79 s; who is away for longer is worth an alarm."""

ZONE_STEP_SECONDS = 900
"""Zones lie whole quarters of an hour apart; the rest of a difference is a clock that is wrong."""

MAX_ZONE_SECONDS = 14 * 3600
"""None is further from UTC."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the gateway at this endpoint tells of itself; `zone`: that of its clock, None if it cannot be known.

    `windows`: the planned downtime that follows from it, or nothing.
    """

    endpoint: Endpoint
    configuration: Configuration
    zone: tzinfo | None = None
    windows: tuple[MaintenanceWindow, ...] = ()


Knowledge = Mapping[Endpoint, Told]
"""What each endpoint of a gateway has told last."""

NOTHING_TOLD: Knowledge = {}


def learn(known: Knowledge, told: Told) -> Knowledge:
    """What is known after one more word; of too many endpoints the first is forgotten."""
    others = {endpoint: one for endpoint, one in known.items() if endpoint != told.endpoint}
    return dict([*others.items(), (told.endpoint, told)][-MAX_ENDPOINTS:])


def zone_of(hello: Hello, wall: float) -> tzinfo | None:
    """In which zone the clock of the gateway's machine is, by what it shows at this moment (seconds since 1970)."""
    shown = local_seconds(hello)
    if shown is None:
        return None
    seconds = round((shown - wall) / ZONE_STEP_SECONDS) * ZONE_STEP_SECONDS
    return timezone(timedelta(seconds=seconds)) if abs(seconds) <= MAX_ZONE_SECONDS else None


def tell(endpoint: Endpoint, said: Configuration, zone: tzinfo | None) -> Told:
    """What follows from a configuration that this endpoint has told."""
    windows = () if said.exit_at is None or zone is None else (_window(said.exit_at, zone),)
    return Told(endpoint, said, zone, windows)


def _window(at: time, zone: tzinfo) -> MaintenanceWindow:
    moment = datetime.combine(date(2000, 1, 2), at)
    return MaintenanceWindow((moment - EARLY).time(), (moment + LONG).time(), zone)


def exit_in_words(told: Told) -> str:
    """When the gateway ends by itself, and what then; empty if it does not tell."""
    said = told.configuration
    if said.exit_at is None:
        return ""
    verb = "restarts" if said.restarts else "logs off"
    return f"{verb} each day at {said.exit_at:%H:%M} {told.zone or 'by its own clock'}"


def uncovered(windows: tuple[MaintenanceWindow, ...], told: Told, wall: float) -> bool:
    """Whether the gateway ends by itself at a time that is in none of these windows."""
    spans = [span for window in told.windows for span in window.spans(wall)]
    return any(not _covers(windows, begins + EARLY.total_seconds()) for begins, ends in spans if ends > wall)


def _covers(windows: tuple[MaintenanceWindow, ...], wall: float) -> bool:
    return any(window.covers(wall) for window in windows)
