"""What TWS has dropped or let go is found out and asked for again; nothing else is touched.

Three ways in: a request that is not answered (`look_after`), an error that says so (`renew_on`, `pace`), and a break
behind the gateway after which some streams may have stopped (`watch_streams`, `farm_changed`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.protocol.codes import farm_name
from backstay.protocol.errors import ErrorMessage
from backstay.protocol.framing import frame
from backstay.protocol.vocabulary import Key
from backstay.session.firsts import Silence
from backstay.session.ledger import Entry
from backstay.session.lifecycle import Link, State
from backstay.session.notices import Notice
from backstay.session.orders import FIRST_RESERVED_ID
from backstay.session.request_life import Happening
from backstay.session.roll_call import DEFINITIONS, FLOWS_FROM, HISTORICAL, MARKET
from backstay.session.tally import count_failed, count_given_up
from backstay.session.unspoken import look_after_trades
from backstay.session.vocabulary import Count, Deliver, FarmChanged, Report

if TYPE_CHECKING:
    from backstay.session.core import Core

NOT_PROVED_SECONDS = 1.0
"""Until the next look, where nothing at all has arrived meanwhile: a probe is out, and its answer tells."""

FARM_CODES = {
    2103: (MARKET, False),
    2104: (MARKET, True),
    2105: (HISTORICAL, False),
    2106: (HISTORICAL, True),
    2107: (HISTORICAL, True),  # asleep until somebody asks, which is no trouble
    2108: (MARKET, True),
    2119: (MARKET, False),
    2157: (DEFINITIONS, False),
    2158: (DEFINITIONS, True),
}
"""Which farms, and whether the code says that it works."""

MAX_FARMS = 100
"""IB has some thirty; names are text from the wire."""

RENEW_SECONDS = {316: 1.0, 10182: 5.0, 10197: 30.0, 10225: 0.5}
"""Codes by which TWS lets go of a stream that is to be had again, and after how long; doubled each time."""

MAX_RENEWALS = 5
"""Of one stream on one socket: after that the code is what the client makes of it."""

FORGIVEN_SECONDS = 3_600.0
"""A stream that flowed for so long since it was asked for has its renewals back."""

TOO_FAST = 100
PACING_SECONDS = {TOO_FAST: 1.0, 162: 15.0, 420: 15.0}
"""How long to wait before what was refused for its pace is asked again; doubled each time."""

JUST_SENT_SECONDS = 2.0
"""Error 100 may come without an id: what was sent so lately and has no answer may be what it is about."""

NOT_READ = frozenset({320, 321, 322})
"""Codes by which TWS refuses what it was sent, without an id where it could not read that far."""

AT_ONCE_SECONDS = 1.0
"""A refusal takes TWS milliseconds; only as far back does the pace know all that has left."""


def look_after(core: Core) -> None:
    """The time of some requests has come."""
    desk, now = core.desk, core.now
    desk.look_due = float("inf")
    look_after_trades(core)
    repeats: list[Entry] = []
    for entry in desk.firsts.take_due(now):
        if not core.owed.ledger.has(entry) or entry.queued or entry.epoch != core.owed.epoch:
            continue
        if not _may_judge(core, entry):
            desk.firsts.plan(entry, now + core.settings.verify.first_seconds)
        elif core.heard_at <= entry.sent_at and not entry.renew_wanted:
            desk.firsts.plan(entry, now + NOT_PROVED_SECONDS)
        else:
            silence = desk.firsts.verdict(entry, now)
            if silence is Silence.REPEAT:
                repeats.append(entry)
            else:
                _act(core, entry, silence)
    if repeats:
        desk.repeat_settings(until=max(entry.sent_at for entry in repeats))  # dropped as well, maybe
    for entry in repeats:
        desk.repeat(entry)
        core.effects.append(Count("requests_repeated"))


def _may_judge(core: Core, entry: Entry) -> bool:
    """Whether silence would mean anything: the way to where the answer comes from is whole."""
    source = FLOWS_FROM.get(entry.request.id)
    up = core.link is not Link.DOWN and not any(kind == source for kind, _ in core.broken_farms)
    return up and core.desk.open and core.state in (State.SYNCING, State.READY)


def _act(core: Core, entry: Entry, silence: Silence | None) -> None:
    desk = core.desk
    if silence is Silence.RENEW:
        desk.renew(entry)
        core.effects.append(Count("subscriptions_renewed"))
    elif silence is Silence.EXPIRE:
        desk.abandon(entry)
        desk.say(Notice.NO_ANSWER, key=entry.key)
        core.effects.append(Count("requests_unanswered"))
    elif not entry.heard:
        desk.wait_no_more(entry)
        if entry.is_stream:
            count_given_up(desk, entry)


def watch_streams(core: Core, seconds: float, source: str | None = None) -> None:
    """Streams (from one source) may have stopped: those that show nothing for so long are renewed."""
    if not core.desk.open:
        return
    for entry in core.owed.ledger.entries.values():
        if not entry.is_stream or entry.epoch != core.owed.epoch or entry.queued or not entry.heard:
            continue  # one that is awaited anyway shows soon enough
        flows = FLOWS_FROM.get(entry.request.id)
        if flows is not None and source in (None, flows):
            core.desk.await_first(entry)
            core.desk.firsts.watch(entry, core.now, seconds)


def ask_those_given_up(core: Core) -> None:
    """Streams that never showed, however often they were asked for: a person wants them asked for once more."""
    for entry in list(core.owed.ledger.entries.values()):
        if entry.given_up and entry.epoch == core.owed.epoch and not entry.queued:
            entry.given_up = False
            core.desk.renew(entry)


def farm_changed(core: Core, error: ErrorMessage) -> None:
    """A farm came or went; one that comes back may have forgotten some of its streams."""
    kind, works = FARM_CODES[error.code]
    farm = (kind, farm_name(error.text) or "")
    was_broken = farm in core.broken_farms
    if works:
        core.broken_farms.discard(farm)
    elif len(core.broken_farms) < MAX_FARMS:
        core.broken_farms.add(farm)
    if was_broken == (farm in core.broken_farms):
        return
    if any(broken == kind for broken, _ in core.broken_farms):
        core.broken_since = {kind: core.desk.wall, **core.broken_since}
    else:
        core.broken_since = {broken: since for broken, since in core.broken_since.items() if broken != kind}
    core.effects.append(FarmChanged(farm[1], works))
    core.effects.append(Report("farm_changed", (("farm", farm[1]), ("of", kind), ("working", works))))
    if works:
        watch_streams(core, core.settings.verify.farm_seconds, kind)


def renew_on(core: Core, error: ErrorMessage) -> bool:
    """TWS has let go of a stream. True if it will be asked for again, so that this code does not end it."""
    renewed = False
    for entry in core.owed.ledger.on_key(error.id):
        if core.now - entry.sent_at >= FORGIVEN_SECONDS:
            entry.renewals = 0
        if entry.is_stream and entry.renewals < MAX_RENEWALS and entry.epoch == core.owed.epoch:
            delay = RENEW_SECONDS[error.code] * 2**entry.renewals
            entry.renewals += 1
            entry.renew_wanted = True
            core.desk.firsts.plan(entry, core.now + delay)
            renewed = True
    return renewed


def pace(core: Core, error: ErrorMessage, payload: bytes) -> None:
    """TWS refused something because there was too much: it was not carried out, and is asked again later."""
    desk, now, epoch = core.desk, core.now, core.owed.epoch
    if error.code == TOO_FAST:
        desk.outbox.slow_down(now)
    core.effects.append(Count("pacing_violations"))
    delay = PACING_SECONDS[error.code]
    if error.id < 0:
        refused = [
            entry
            for entry in core.owed.ledger.entries.values()
            if entry.epoch == epoch and not entry.heard and not entry.queued and entry.sent_at > now - JUST_SENT_SECONDS
        ]
    else:
        refused = [entry for entry in core.owed.ledger.on_key(error.id) if entry.epoch == epoch]
    if not refused and error.id < FIRST_RESERVED_ID:  # it is about an order, say, which nobody asks for again
        core.effects.append(Deliver(frame(payload)))
    for entry in refused:
        entry.happens(Happening.DOUBTED)
        entry.heard = entry.flowed = False
        desk.firsts.plan(entry, now + delay * 2**entry.repeats)


def refuse_unnamed(core: Core, error: ErrorMessage) -> None:
    """A refusal without an id is about the only thing that has left lately: asked again it is refused again.

    Where anything else has left, be it a probe, it may as well be about that, and what has no answer was dropped.
    """
    if error.code not in NOT_READ:
        return
    lately = [at for at in core.desk.outbox.sent_at if at > core.now - AT_ONCE_SECONDS]
    epoch, entries = core.owed.epoch, core.owed.ledger.entries.values()
    asked = [one for one in entries if one.epoch == epoch and not (one.heard or one.queued)]
    if len(lately) == 1 and [one.sent_at for one in asked] == lately:
        core.desk.firsts.refused_unnamed(asked[0])
        if (
            asked[0].request.key is Key.NONE and not asked[0].is_stream
        ):  # what answers the next is no answer to this one
            core.owed.ledger.close(asked[0], Happening.REFUSED)
            count_failed(core.desk, asked[0])
