"""What TWS says by error codes: of a request, of an order, of its own link to IB, of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from backstay.protocol.codes import (
    About,
    CodeGroup,
    code_info,
    is_good_news,
    is_pacing,
    metric_category,
    moved_port,
)
from backstay.protocol.errors import ErrorMessage, read_error
from backstay.session.again import DUPLICATE_CODES
from backstay.session.causes import Cause
from backstay.session.endpoints import Moved
from backstay.session.lifecycle import Event, Link, State
from backstay.session.order_news import hear_error, hear_refusal, hear_too_late
from backstay.session.ordering import link_changed
from backstay.session.repair import (
    FARM_CODES,
    RENEW_SECONDS,
    farm_changed,
    pace,
    refuse_unnamed,
    renew_on,
    watch_streams,
)
from backstay.session.request_life import Happening
from backstay.session.tally import count_failed, count_word
from backstay.session.unspoken import CANCEL_TOO_LATE
from backstay.session.upstream import upstream_lost, upstream_restored
from backstay.session.vocabulary import Count, Report
from backstay.session.watched import READ_ONLY_API

if TYPE_CHECKING:
    from backstay.session.core import Core

DATA_LOST = 1101
EITHER_CODES = frozenset({200, 203, 320, 321, 322, 323})
"""What TWS says of requests and of orders alike."""


def hear_code(core: Core, payload: bytes, passed: bool) -> None:
    """An error message: about a request, an order, the connection, or a data farm."""
    error = read_error(payload, core.desk.version)
    if error is None:
        return
    if not is_good_news(error.code) and (passed or error.id != core.hearsay.key):  # who is asked need not tell
        core.effects.append(Count("api_errors", metric_category(error.code)))
    handler = _CODES.get(error.code)
    if handler is not None:
        handler(core, error)
    elif is_pacing(error.code, error.text):
        pace(core, error, payload)
    elif passed:
        hear_error_on_key(core, error)
    elif error.code == READ_ONLY_API and error.id < 0:
        hear_refusal(core)
    elif error.code in DUPLICATE_CODES:
        for entry in core.owed.ledger.on_key(error.id):
            core.desk.wait_no_more(entry)  # one that was repeated had arrived
            core.desk.firsts.heard(entry, core.now)
    elif error.code in CANCEL_TOO_LATE:
        core.desk.cancel_answered(error.id)
        hear_too_late(core, error)


def hear_error_on_key(core: Core, error: ErrorMessage) -> None:
    """Request ids and order ids are often the same small numbers; the code has to tell which is meant.

    Where it does not, an order without an answer comes first: taking a stream for ended would lose it for good.
    """
    ledger = core.owed.ledger
    if error.id < 0:
        refuse_unnamed(core, error)
        return
    means_order = code_info(error.code).about is About.ORDER or (
        error.code in EITHER_CODES and (ledger.order_unanswered(error.id) or error.id in ledger.previews)
    )
    if code_info(error.code).group is CodeGroup.REJECTED and (means_order or error.id not in ledger.by_key):
        ledger.preview_answered(error.id)
    if means_order or error.id not in ledger.by_key:
        if error.id in ledger.orders:
            ledger.order_seen(error.id)
            hear_error(core, error.id, error.code)
            count_word(core.desk, error.id, error.code)
        core.desk.cancel_answered(error.id)
    if error.code in CANCEL_TOO_LATE:
        hear_too_late(core, error)
    if means_order or (error.code in RENEW_SECONDS and renew_on(core, error)):
        return
    for entry in ledger.note_error(error.id, error.code):
        core.desk.firsts.refused(entry)
        if ledger.has(entry):
            entry.happens(Happening.SHOWN)
        else:
            count_failed(core.desk, entry)


def _code_link_down(core: Core, _error: ErrorMessage) -> None:
    if core.link is not Link.DOWN:
        core.link = Link.DOWN
        link_changed(core, up=False)
        upstream_lost(core)
        core.effects.append(Report("upstream_lost", (("epoch", core.owed.epoch),)))


def _code_link_up(core: Core, error: ErrorMessage) -> None:
    core.link = Link.UP
    core.desk.link_up = True
    link_changed(core, up=True)
    upstream_restored(core)
    data = "lost" if error.code == DATA_LOST else "kept"
    core.effects.append(Count("upstream_interruptions", data))
    core.effects.append(Report("upstream_restored", (("epoch", core.owed.epoch), ("data", data))))
    if error.code != DATA_LOST:
        watch_streams(core, core.settings.verify.watch_seconds)
    elif core.desk.open:
        core.desk.resubscribe()


def _code_id_taken(core: Core, error: ErrorMessage) -> None:
    if core.state is not State.STARTING:
        return
    stuck = core.endpoints.streak_of(Cause.CLIENT_ID_TAKEN) + 1 >= core.settings.client_id_attempts
    core.fail(Event.ID_STUCK if stuck else Event.ID_TAKEN, Cause.CLIENT_ID_TAKEN, error.text)


def _code_port_changed(core: Core, error: ErrorMessage) -> None:
    """TWS names its new port; the one of before stays in the list, in case it was right after all."""
    port = moved_port(error.text)
    core.fail(Event.LOST, Cause.PORT_CHANGED, error.text)
    if port is not None:
        moved = (core.dialled[0], port)
        core.endpoints.choose(moved, core.desk.endpoint)  # after the failure, which may have turned to the next
        core.effects.append(Moved(core.desk.endpoint, moved))
        if core.owed.orders is not None:
            core.orders.endpoint_moved(core.desk.endpoint, moved)


_CODES: dict[int, Callable[[Core, ErrorMessage], None]] = {
    1100: _code_link_down,
    2110: _code_link_down,
    1101: _code_link_up,
    1102: _code_link_up,
    326: _code_id_taken,
    1300: _code_port_changed,
    **dict.fromkeys(FARM_CODES, farm_changed),
}
