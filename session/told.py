"""What a gateway tells of itself: when it ends each day, which is planned downtime, and who is its master client.

A session of server version 219 and up asks once a socket, when all is well; no answer and no error have any effect.
What one endpoint told holds for all connections of its gateway, also for those that cannot ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from backstay.protocol import configuration
from backstay.protocol.commands import configuration as question
from backstay.protocol.configuration import Configuration, read_configuration
from backstay.protocol.framing import PREFIX_BYTES
from backstay.protocol.handshake import Hello, local_seconds
from backstay.session.calendar import MaintenanceWindow
from backstay.session.endpoints import MAX_ENDPOINTS, Endpoint
from backstay.session.pacing import Item, Lane
from backstay.session.sieve_words import Conceal

if TYPE_CHECKING:
    from backstay.session.core import Core

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


@dataclass(slots=True)
class Hearsay:
    """What a session knows by its gateway's own word. `key`: the id of its question, in the epoch `asked_in`."""

    known: Knowledge = field(default_factory=lambda: NOTHING_TOLD)
    heeded: Told | None = None
    zone: tzinfo | None = None
    asked_in: int = 0
    key: int | None = None


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


# -- in a session ------------------------------------------------------------------------------------------------------


def ask(core: Core) -> None:
    """All is well on this socket: ask, if this was not done and can be."""
    hearsay, orders, epoch = core.hearsay, core.owed.orders, core.owed.epoch
    if core.desk.version < configuration.SINCE or orders is None or hearsay.asked_in == epoch:
        return
    hearsay.asked_in, hearsay.key = epoch, orders.next_question()
    core.effects.append(Conceal(epoch, configuration.CONFIGURATION, hearsay.key))
    core.desk.outbox.push(Lane.BULK, Item(question(core.desk.version, hearsay.key)[PREFIX_BYTES:]))
    core.desk.release(core.now)


def hear_told(core: Core, payload: bytes, _passed: bool) -> None:
    """The gateway tells of itself, whoever has asked."""
    said = read_configuration(payload, core.desk.version)
    if said is not None:
        told = tell(core.desk.endpoint, said, core.hearsay.zone)
        core.hearsay.known = learn(core.hearsay.known, told)
        core.effects.append(told)
        heed(core)


def heed(core: Core) -> None:
    """Notice what the gateway has told, to this session or to another one. Called in every step."""
    hearsay = core.hearsay
    told = hearsay.known.get(core.desk.endpoint)
    if told is hearsay.heeded:
        return
    hearsay.heeded = told
    orders, identity = core.owed.orders, core.identity
    if orders is not None and identity is not None and is_master(core) and not orders.sees_others:
        orders.sees_others = True
        core.effects.append(replace(identity, sees_others=True))


def windows_of(core: Core) -> tuple[MaintenanceWindow, ...]:
    """Planned downtime: that of the configuration, or, where it has none, what the gateway tells."""
    heeded = core.hearsay.heeded
    return core.settings.maintenance or (() if heeded is None else heeded.windows)


def is_master(core: Core) -> bool:
    """Whether this client is told of everybody's orders: by the configuration, or by the gateway's own word.

    Of which 0 is none: that is how an unset one may be told.
    """
    master, told = core.settings.master_client_id, core.hearsay.known.get(core.desk.endpoint)
    if master is None and told is not None:
        master = told.configuration.master_client_id or None
    return core.orders.client_id == master
