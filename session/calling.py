"""The client, the owner and the clock call: what they want from a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from backstay.protocol.commands import managed_accounts, next_ids
from backstay.protocol.framing import PREFIX_BYTES
from backstay.session import draining, roll_call
from backstay.session.causes import Cause
from backstay.session.client_words import (
    Attend,
    Attended,
    ClientAsked,
    ClientAway,
    ClientGreeted,
    ClientLeft,
    ClientMoved,
    ClientRefused,
    ClientReturned,
    ClientStarted,
    Unheard,
)
from backstay.session.downtime import ring_calendar
from backstay.session.failover import ring_return
from backstay.session.lifecycle import LINKED_STATES, Event, State
from backstay.session.missed import nobody_there, on_attended, on_unheard
from backstay.session.operated import on_link_renewed, on_ordered
from backstay.session.order_journal import (
    on_looked_up,
    on_not_written_down,
    on_written_down,
    open_book,
    ring_journal,
)
from backstay.session.order_words import LookedUp, NotWrittenDown, OwnerSaid, WrittenDown
from backstay.session.ordering import ring_reconcile
from backstay.session.pulse import Verdict
from backstay.session.repair import ask_those_given_up, look_after, watch_streams
from backstay.session.upstream import ring_upstream
from backstay.session.verdicts import on_owner_said, ring_owner
from backstay.session.vocabulary import Arm, Count, Drain, LinkRenewed, Ordered, Rang, Resubscribe, Timer

if TYPE_CHECKING:
    from backstay.session.core import Core

MAX_OPTIONS_BYTES = 1024
"""Connect options are a word or two; a client that sends more is not followed."""

LEAVING_SECONDS = 60.0
"""How long the orders and cancels of a client that has left may take to get out: twice what its window holds of them
at the pace of TWS, and about as long as a gateway takes to start again."""

_LETS_OUT = frozenset({State.WAITING, State.CONNECTING, *LINKED_STATES})
"""States from which what waits gets out, now or soon. A paused or parked connection has nothing to wait for."""


def _on_client_greeted(core: Core, event: ClientGreeted) -> None:
    core.owed.offer = event.offer
    core.owed.options = event.options[:MAX_OPTIONS_BYTES]
    core.owed.has_client = True
    core.cached = event.cached if event.cached is not None and event.cached.version in event.offer else None
    core.move(Event.START)


def _on_client_started(core: Core, event: ClientStarted) -> None:
    if core.owed.start is not None:
        return
    core.owed.start = event
    if core.state is State.STARTING:
        core.send_start()
        return
    open_book(core, event.client_id)
    if core.state in (State.WAITING, State.PARKED, State.AWAITING_ACCEPTANCE, State.PAUSED):
        core.tell_down()


def _on_client_asked(core: Core, event: ClientAsked) -> None:
    for payload in event.payloads:
        core.desk.take(payload, core.now, fail_fast=event.fail_fast)
        core.desk.let_out(core.now)  # one by one: the lanes are for when the pace holds something back


def _on_client_refused(core: Core, event: ClientRefused) -> None:
    if core.owed.introduced:
        core.desk.say(event.notice, detail=event.detail)
    core.trouble = (Cause.SHUTDOWN, "the client was refused")
    core.move(Event.STOP)


def _on_client_left(core: Core, _event: ClientLeft) -> None:
    core.trouble = (Cause.SHUTDOWN, "the client left")
    core.desk.forget_questions()
    if core.state in _LETS_OUT and core.desk.has_trades:
        core.leaving = True
        core.effects.append(Arm(Timer.LEAVING, LEAVING_SECONDS))
    else:
        core.move(Event.DRAIN)


def _on_client_away(core: Core, _event: ClientAway) -> None:
    core.desk.forget_client()
    core.owed.away = True
    core.desk.told_down = False  # the next one has not been told
    nobody_there(core)


def _on_client_returned(core: Core, _event: ClientReturned) -> None:
    """A new application: it asks through us what a fresh TWS would have said. Where it stands, it is told next."""
    core.owed.away = core.desk.client_gone = False
    for question in (managed_accounts, next_ids):
        core.desk.ask_for_client(question(core.desk.version)[PREFIX_BYTES:])
    core.effects.append(Attend())


def _on_client_moved(core: Core, _event: ClientMoved) -> None:
    core.trouble = (Cause.SHUTDOWN, "the client moved to the connection that was kept for it")
    core.move(Event.STOP)


def _on_ordered(core: Core, event: Ordered) -> None:
    on_ordered(core, event)
    draining.heed(core, event.event)


def _on_resubscribe(core: Core, event: Resubscribe) -> None:
    if not core.desk.open:
        return  # all of them are put back once it is
    if event.stale:
        watch_streams(core, core.settings.verify.watch_seconds)
        ask_those_given_up(core)
    else:
        core.desk.resubscribe()


def _on_rang(core: Core, event: Rang) -> None:
    _RINGS[event.timer](core)


def _ring_state(core: Core) -> None:
    cause = _TOO_LATE.get(core.state)
    if cause is None:
        core.move(Event.TIMED_OUT)  # draining has taken its time: no trouble
    else:
        core.fail(Event.TIMED_OUT, cause, "")


def _ring_retry(core: Core) -> None:
    core.move(Event.RETRY)


def _ring_stable(core: Core) -> None:
    core.move(Event.STABLE)


def _ring_release(core: Core) -> None:
    """`step` releases after every event."""


def _ring_drain(_core: Core) -> None:
    """`step` looks after every event whether it is over."""


def _ring_held(core: Core) -> None:
    core.desk.expire(core.now)


def _ring_verify(core: Core) -> None:
    look_after(core)


def _ring_roll_call(core: Core) -> None:
    roll_call.ring(core)


def _ring_leaving(core: Core) -> None:
    if core.leaving:
        core.leaving = False
        core.move(Event.STOP)


def _ring_pulse(core: Core) -> None:
    verdict, wait = core.pulse.look(core.now, core.heard_at)
    if verdict is Verdict.QUIET:
        core.look_again(wait)
        return
    if verdict is Verdict.PROBE:
        core.probe()
        return
    core.effects.append(Count("heartbeat_failures"))
    if verdict is Verdict.MISSED:
        core.move(Event.PROBE_MISSED)
    else:
        cause = Cause.UNRESPONSIVE if core.pulse.verifying else Cause.SILENT
        core.fail(Event.PROBES_EXHAUSTED, cause, "")


CALLS: dict[type, Callable[..., None]] = {
    Ordered: _on_ordered,
    Drain: draining.begin,
    LinkRenewed: on_link_renewed,
    Resubscribe: _on_resubscribe,
    Rang: _on_rang,
    ClientGreeted: _on_client_greeted,
    ClientStarted: _on_client_started,
    ClientAsked: _on_client_asked,
    ClientRefused: _on_client_refused,
    ClientLeft: _on_client_left,
    ClientAway: _on_client_away,
    ClientReturned: _on_client_returned,
    ClientMoved: _on_client_moved,
    Attended: on_attended,
    Unheard: on_unheard,
    LookedUp: on_looked_up,
    WrittenDown: on_written_down,
    NotWrittenDown: on_not_written_down,
    OwnerSaid: on_owner_said,
}

_TOO_LATE = {
    State.CONNECTING: Cause.DIAL_TIMEOUT,
    State.HANDSHAKING: Cause.DIALOG,
    State.AWAITING_ACCEPTANCE: Cause.DIALOG,
    State.STARTING: Cause.NOT_STARTED,
}

_RINGS: dict[Timer, Callable[[Core], None]] = {
    Timer.STATE: _ring_state,
    Timer.RETRY: _ring_retry,
    Timer.PULSE: _ring_pulse,
    Timer.STABLE: _ring_stable,
    Timer.RELEASE: _ring_release,
    Timer.HELD: _ring_held,
    Timer.VERIFY: _ring_verify,
    Timer.RECONCILE: ring_reconcile,
    Timer.JOURNAL: ring_journal,
    Timer.ROLL_CALL: _ring_roll_call,
    Timer.CALENDAR: ring_calendar,
    Timer.UPSTREAM: ring_upstream,
    Timer.PREFER: ring_return,
    Timer.LEAVING: _ring_leaving,
    Timer.OWNER: ring_owner,
    Timer.DRAIN: _ring_drain,
}
