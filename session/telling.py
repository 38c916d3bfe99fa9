"""How the end of a socket is told to the log and to those who count, once for each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.session.causes import ON_PURPOSE
from backstay.session.downtime import loss_reason
from backstay.session.vocabulary import Count, Report

if TYPE_CHECKING:
    from backstay.session.core import Core


def tell_lost(core: Core) -> None:
    """Count and report that the epoch that was ready is lost, which happens once."""
    core.owed.ready_epoch = 0
    core.effects.append(Count("disconnects", loss_reason(core)))
    _report(core, "connection_lost")


def tell_failed(core: Core) -> None:
    """Report that a dial came to nothing, and count it, unless an operator has cut it short."""
    cause = core.trouble[0]
    if cause not in ON_PURPOSE:
        core.effects.append(Count("connect_failures", cause.row.connect_reason))
    _report(core, "connect_failed")


def _report(core: Core, event: str) -> None:
    (cause, detail), epoch = core.trouble, core.owed.epoch
    fields = (("epoch", epoch), ("cause", cause.value), ("code", cause.row.tws_code), ("detail", detail))
    core.effects.append(Report(event, fields))
