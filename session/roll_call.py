"""Once in a while each stream is looked at for a moment, whether it still flows.

Ticks are never watched: what would be a word for each of them is what the hot path is free of. So the sieve is asked
for the next tick of every stream once a minute, and for a second only. What shows by then was seen; what does not keeps
the time at which it was seen last. Nobody acts upon it: an instrument may well not trade for an hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.session.vocabulary import Arm, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core

MARKET, HISTORICAL, DEFINITIONS = "market data", "historical data", "security definitions"
"""What farms are for."""

FLOWS_FROM = {1: MARKET, 10: MARKET, 50: MARKET, 97: MARKET, 20: HISTORICAL, 92: "", 94: ""}
"""Streams that flow by themselves, and from where; the others speak only when something happens."""

EVERY_SECONDS = 60.0
WINDOW_SECONDS = 1.0
"""While a stream is looked for, every frame of a chunk has to be looked at: one second in sixty."""


def begin(core: Core) -> None:
    """The streams are back: look at them from now on, once in a while."""
    core.effects.append(Arm(Timer.ROLL_CALL, EVERY_SECONDS))


def ring(core: Core) -> None:
    """Ask for a sign of each stream, or stop asking for those that have given none."""
    if core.called:
        _end(core)
        begin(core)
        return
    for entry in core.owed.ledger.entries.values():
        settled = entry.heard or entry.given_up  # who is awaited for another reason shows anyway
        if entry.is_stream and settled and entry.request.id in FLOWS_FROM and _is_out(core, entry.epoch, entry.queued):
            core.desk.await_first(entry)
            core.called.append(entry)
    core.effects.append(Arm(Timer.ROLL_CALL, WINDOW_SECONDS if core.called else EVERY_SECONDS))


def _is_out(core: Core, epoch: int, queued: bool) -> bool:
    return core.desk.open and epoch == core.owed.epoch and not queued


def _end(core: Core) -> None:
    called, core.called = core.called, []
    for entry in called:
        if entry.heard or entry.given_up:  # else it is awaited for another reason by now
            core.desk.wait_no_more(entry)
