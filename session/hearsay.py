"""What a session knows by its gateway's own word: asked once a socket, from server version 219 on, when all is well.

No answer and no error have any effect. What another connection of the gateway was told counts as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import TYPE_CHECKING

from backstay.protocol import configuration
from backstay.protocol.commands import configuration as question
from backstay.protocol.configuration import read_configuration
from backstay.protocol.framing import PREFIX_BYTES
from backstay.session.calendar import MaintenanceWindow
from backstay.session.endpoints import Endpoint
from backstay.session.pacing import Item, Lane
from backstay.session.sieve_words import Conceal
from backstay.session.told import NOTHING_TOLD, Knowledge, Told, exit_in_words, learn, tell
from backstay.session.vocabulary import Report

if TYPE_CHECKING:
    from backstay.session.core import Core


@dataclass(slots=True)
class Hearsay:
    """What a session knows by its gateway's own word. `key`: the id of its question, in the epoch `asked_in`.

    `answered` has answered a greeting last: until another one does, its word counts, whichever is dialled meanwhile.
    """

    known: Knowledge = field(default_factory=lambda: NOTHING_TOLD)
    heeded: Told | None = None
    answered: Endpoint | None = None
    zone: tzinfo | None = None
    asked_in: int = 0
    key: int | None = None


def ask(core: Core) -> None:
    """All is well on this socket: ask, if this was not done and can be."""
    hearsay, orders, epoch = core.hearsay, core.owed.orders, core.owed.epoch
    if core.desk.version < configuration.SINCE or orders is None or hearsay.asked_in == epoch:
        return
    hearsay.asked_in, hearsay.key = epoch, orders.next_question()
    core.effects.append(Conceal(epoch, configuration.CONFIGURATION, hearsay.key))
    core.desk.outbox.push(Lane.BULK, Item(question(core.desk.version, hearsay.key)[PREFIX_BYTES:]))
    core.desk.release(core.now)


def hear_told(core: Core, payload: bytes) -> None:
    """The gateway tells of itself, whoever has asked."""
    said = read_configuration(payload, core.desk.version)
    if said is not None:
        told = tell(core.desk.endpoint, said, core.hearsay.zone)
        core.effects.append(told)
        if told != core.hearsay.known.get(told.endpoint):
            host, port = told.endpoint
            fields = (("endpoint", f"{host}:{port}"), ("ends", exit_in_words(told)), ("master", said.master_client_id))
            core.effects.append(Report("gateway_told", fields))
        core.hearsay.known = learn(core.hearsay.known, told)
        heed(core)


def heed(core: Core) -> None:
    """Notice what the gateway has told, to this session or to another one. Called in every step."""
    hearsay = core.hearsay
    told = _told(core)
    if told is hearsay.heeded:
        return
    hearsay.heeded = told
    if core.owed.orders is not None and is_master(core):
        see_others(core)


def _told(core: Core) -> Told | None:
    hearsay = core.hearsay
    return hearsay.known.get(hearsay.answered or core.settings.endpoints[0])


def see_others(core: Core) -> None:
    """This client turns out to be the master: orders of others are for it as well."""
    if not core.orders.sees_others:
        core.orders.sees_others = True
        if core.identity is not None:
            core.effects.append(replace(core.identity, sees_others=True))


def windows_of(core: Core) -> tuple[MaintenanceWindow, ...]:
    """Planned downtime: that of the configuration, or, where it has none, what the gateway tells."""
    heeded = core.hearsay.heeded
    if core.settings.maintenance is not None:
        return core.settings.maintenance
    return () if heeded is None else heeded.windows


def is_master(core: Core) -> bool:
    """Whether this client is told of everybody's orders: by the configuration, or by the gateway's own word.

    Of which 0 is none: that is how an unset one may be told.
    """
    master, told = core.settings.master_client_id, _told(core)
    if master is None and told is not None:
        master = told.configuration.master_client_id or None
    return core.orders.client_id == master
