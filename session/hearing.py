"""The gateway speaks: what its frames, and the end of its socket, mean for a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from backstay.protocol.commands import read_current_time
from backstay.protocol.configuration import CONFIGURATION
from backstay.protocol.errors import NO_REQUEST, read_error, read_next_valid_id, write_next_valid_id
from backstay.protocol.handshake import BadAnswer, Hello, Redirect, VersionRange, read_answer
from backstay.protocol.messages import order_status_client, response_key, ticks_done
from backstay.protocol.order_fields import read_execution, read_order
from backstay.protocol.responses import HISTORICAL_TICKS
from backstay.session.causes import Cause
from backstay.session.downtime import keep_calendar
from backstay.session.endpoints import Moved
from backstay.session.error_news import hear_code, hear_error_on_key
from backstay.session.hearsay import hear_told, see_others
from backstay.session.lifecycle import HANDSHAKE_STATES, Event, Link, State
from backstay.session.missed import keep, nobody_there
from backstay.session.operated import is_cut
from backstay.session.order_journal import keep_changes
from backstay.session.order_news import hear_commission, hear_end, hear_execution, hear_order
from backstay.session.own_words import TellHello
from backstay.session.reconcile import Phase
from backstay.session.settings import capped
from backstay.session.tally import count_heard, count_word
from backstay.session.told import zone_of
from backstay.session.unspoken import WORKING
from backstay.session.vocabulary import (
    Answered,
    Connected,
    Deliver,
    DialFailed,
    Lost,
    Noted,
    Observe,
    Remember,
    SessionEvent,
)
from backstay.session.watched import (
    COMMISSION,
    COMPLETED_ORDER,
    COMPLETED_ORDER_END,
    CURRENT_TIME,
    ERROR,
    EXECUTION,
    EXECUTION_END,
    MANAGED_ACCOUNTS,
    NEXT_VALID_ID,
    OPEN_ORDER,
    OPEN_ORDER_END,
    ORDER_STATUS,
)

if TYPE_CHECKING:
    from backstay.session.core import Core

ALL_OPEN_ORDERS = 16


def _on_connected(core: Core, _event: Connected) -> None:
    core.move(Event.CONNECTED)


def _on_dial_failed(core: Core, event: DialFailed) -> None:
    if not is_cut(core):
        core.fail(Event.DIAL_FAILED, event.cause, event.detail)


def _on_lost(core: Core, event: Lost) -> None:
    cause = event.cause
    if core.state in HANDSHAKE_STATES and not event.received and cause in (Cause.EOF, Cause.RESET):
        cause = Cause.REJECTED
    if core.state in HANDSHAKE_STATES and cause is Cause.BAD_FRAME:
        cause = Cause.NOT_TWS
    if not is_cut(core):
        core.fail(Event.LOST, cause, event.detail)
    _end_halves(core, event)


def _end_halves(core: Core, event: Lost) -> None:
    if event.cause is not Cause.READER_DIED:  # word of which does not come behind the last frames
        core.desk.end_halves(event.epoch)


def _on_answered(core: Core, event: Answered) -> None:
    assert core.owed.offer is not None  # noqa: S101  # nobody dials before the greeting
    version = core.owed.version
    offer = capped(core.owed.offer) if version is None else VersionRange(version, version)
    hello = read_answer(event.payload, offer)
    if isinstance(hello, Hello):
        core.desk.version = core.owed.version = hello.version
        core.hearsay.answered, core.hearsay.zone = core.desk.endpoint, zone_of(hello, core.desk.wall)
        core.effects.append(Remember(hello))
        if core.dialled in core.endpoints.moved:
            core.effects.append(Moved(core.dialled, core.dialled))
        if core.owed.has_client:
            core.introduce_client(hello)
        else:
            core.effects.append(TellHello(event.epoch, hello))
        core.move(Event.HELLO)
    elif isinstance(hello, Redirect):
        _redirect(core, hello)
    elif hello.version is not None and hello.version in core.offered:
        # Right for what was offered; the client has been introduced by another version since. Once more, exactly.
        core.detour = core.dialled
        core.fail(Event.REDIRECT, Cause.VERSION, hello.reason)
    else:
        _refuse_answer(core, hello)


def _refuse_answer(core: Core, bad: BadAnswer) -> None:
    cause = Cause.NOT_TWS if bad.version is None else Cause.VERSION
    core.fail(Event.LOST if bad.version is None else Event.UNUSABLE, cause, bad.reason)


def _redirect(core: Core, redirect: Redirect) -> None:
    host, port = redirect.host, redirect.port or core.dialled[1]
    allowed = core.settings.redirect_anywhere or host == core.dialled[0]
    core.redirects += 1
    if not allowed or core.redirects > core.settings.redirects:
        core.fail(Event.LOST, Cause.REDIRECTED, f"to {host}:{port}")
        return
    core.detour = (host, port)
    core.fail(Event.REDIRECT, Cause.REDIRECTED, f"to {host}:{port}")


def _on_noted(core: Core, event: Noted) -> None:
    if not event.heard:
        nobody_there(core)
    for index, (number, payload, passed) in enumerate(event.frames):
        if not core.live:  # an earlier frame of the batch ended the epoch; the rest has reached the client all the same
            _hear_late_frames(core, Noted(event.epoch, event.frames[index:], event.heard))
            return
        if passed and not event.heard:
            keep(core, payload)
        handler = _NOTES.get(number)
        if handler is not None:
            handler(core, payload, passed)
        if passed and number != ERROR:
            _note_answer(core, number, payload)


def hear_late(core: Core, event: SessionEvent) -> None:
    """Word of an epoch that we have hung up ourselves. Nothing has been asked again as long as the gate is closed.

    The client has the frames that were on their way to it, so what they answer is answered. The end of the old socket
    comes behind all of them.
    """
    if core.desk.open:
        return
    if isinstance(event, Noted):
        _hear_late_frames(core, event)
    elif isinstance(event, Lost):
        _end_halves(core, event)


def _hear_late_frames(core: Core, event: Noted) -> None:
    passed_on = [(number, payload) for number, payload, passed in event.frames if passed]
    for number, payload in passed_on:
        if not event.heard:
            keep(core, payload)
        core.owed.next_id_given |= number == NEXT_VALID_ID
        core.owed.accounts_given |= number == MANAGED_ACCOUNTS
        if number in (ORDER_STATUS, EXECUTION, OPEN_ORDER, COMMISSION):
            _NOTES[number](core, payload, True)
        error = read_error(payload, core.desk.version)
        if error is not None:
            hear_error_on_key(core, error)
        else:
            _note_answer(core, number, payload)
    if passed_on:
        keep_changes(core)  # there may be no other step


def _note_answer(core: Core, number: int, payload: bytes) -> None:
    ledger, firsts, version = core.owed.ledger, core.desk.firsts, core.desk.version
    if not ledger.entries:
        return
    final = number not in HISTORICAL_TICKS or ticks_done(payload, version)
    for entry in ledger.note_answer(number, response_key(payload, version), final=final):
        over = not ledger.has(entry)
        firsts.heard(entry, core.now, over=over)
        count_heard(core.desk, entry, over=over)
    if core.desk.families.turns:
        core.desk.families.heard(number)


def _note_next_id(core: Core, payload: bytes, passed: bool) -> None:
    ledger, version = core.owed.ledger, core.desk.version
    order_id = read_next_valid_id(payload, version)
    if ledger.first_order_id is None:
        ledger.first_order_id = order_id
    held = core.owed.next_id_given and NEXT_VALID_ID not in core.identified
    if order_id is not None and core.owed.orders is not None and core.owed.start is not None:
        floor = core.orders.table.floor(core.owed.start.client_id)
        core.orders.table.note_next_id(core.owed.start.client_id, order_id)
        if not passed and not held and order_id < floor:  # TWS has forgotten orders; their ids are used up all the same
            core.effects.append(Deliver(write_next_valid_id(floor, version)))
            _note_answer(core, NEXT_VALID_ID, payload)
            passed = True
    core.owed.next_id_given |= passed
    _identify(core, NEXT_VALID_ID)


def _note_accounts(core: Core, _payload: bytes, passed: bool) -> None:
    core.owed.accounts_given |= passed
    _identify(core, MANAGED_ACCOUNTS)


def _identify(core: Core, number: int) -> None:
    core.identified.add(number)
    if core.state is State.STARTING and len(core.identified) == 2:
        core.move(Event.IDENTIFIED)


def _note_clock(core: Core, payload: bytes, _passed: bool) -> None:
    round_trip = core.pulse.answered(core.now)
    if round_trip is None:
        return
    core.round_trip = round_trip
    theirs = read_current_time(payload, core.desk.version)
    if theirs is not None:  # whole seconds, of which half is the best guess
        core.clock_skew = theirs + 0.5 - (core.desk.wall - round_trip / 2)
    core.effects.append(Observe("heartbeat_rtt", round_trip))
    if core.state is State.VERIFYING:
        core.link = Link.UP if core.link is Link.UNKNOWN else core.link
    core.move(Event.PROBE_ANSWERED)
    core.look_again(core.settings.pulse.idle_seconds)


def _note_order(core: Core, payload: bytes, passed: bool) -> None:
    """An order status of ours: TWS has the order, and unless the order works on, what was cancelled is answered.

    Other clients' orders may have the same numbers. An open order alone does not tell whose it is; its status follows.
    """
    version, start = core.desk.version, core.owed.start
    order_id, client_id = response_key(payload, version), order_status_client(payload, version)
    if order_id is not None and start is not None and client_id == start.client_id:
        core.owed.ledger.order_seen(order_id)
        facts = read_order(payload, version)
        if facts is None or facts.status not in WORKING:  # or it answers what was written before the cancel
            core.desk.cancel_answered(order_id)
        count_word(core.desk, order_id)
    theirs = core.owed.orders is not None and client_id not in (None, core.orders.client_id)
    if passed and theirs and _is_unasked(core):
        see_others(core)
    hear_order(core, payload, passed)


def _is_unasked(core: Core) -> bool:
    """Whether TWS says by itself how an order stands: neither we nor the client have asked for everybody's."""
    asking = core.orders.reconciliation.phase is Phase.ASKING
    return not asking and not core.owed.ledger.of_request(ALL_OPEN_ORDERS)


def _note_open_order(core: Core, payload: bytes, passed: bool) -> None:
    hear_order(core, payload, passed)


def _note_commission(core: Core, payload: bytes, passed: bool) -> None:
    hear_commission(core, payload, passed)


def _note_end(number: int) -> Callable[[Core, bytes, bool], None]:
    def note(core: Core, payload: bytes, passed: bool) -> None:
        if not passed:
            core.desk.families.heard(number)
            hear_end(core, number, response_key(payload, core.desk.version))

    return note


def _note_execution(core: Core, payload: bytes, passed: bool) -> None:
    """A fill of ours as it happens is word of its order, too. Other clients' orders may have the same numbers."""
    hear_execution(core, payload, passed)
    fill, start = read_execution(payload, core.desk.version), core.owed.start
    if fill is not None and start is not None and (fill.client_id, fill.request_id) == (start.client_id, NO_REQUEST):
        core.owed.ledger.order_seen(fill.order_id)
        count_word(core.desk, fill.order_id)


def _note_configuration(core: Core, payload: bytes, _passed: bool) -> None:
    hear_told(core, payload)
    keep_calendar(core)


HEARINGS: dict[type, Callable[..., None]] = {
    Connected: _on_connected,
    DialFailed: _on_dial_failed,
    Lost: _on_lost,
    Answered: _on_answered,
    Noted: _on_noted,
}

_NOTES: dict[int, Callable[[Core, bytes, bool], None]] = {
    NEXT_VALID_ID: _note_next_id,
    MANAGED_ACCOUNTS: _note_accounts,
    CURRENT_TIME: _note_clock,
    ERROR: hear_code,
    ORDER_STATUS: _note_order,
    EXECUTION: _note_execution,
    OPEN_ORDER: _note_open_order,
    COMPLETED_ORDER: _note_open_order,
    COMMISSION: _note_commission,
    CONFIGURATION: _note_configuration,
    **{number: _note_end(number) for number in (OPEN_ORDER_END, EXECUTION_END, COMPLETED_ORDER_END)},
}
