"""Which function answers which request, and what a request is called in the records."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.protocol.requests import REQUESTS
from backstay.simulator.farms import DEFINITION_FARM, HISTORY_FARM
from backstay.simulator.fields import INTEGER, Fields, Refused
from backstay.simulator.requests_account import HANDLERS as ACCOUNT
from backstay.simulator.requests_depth import HANDLERS as DEPTH
from backstay.simulator.requests_history import HANDLERS as HISTORY
from backstay.simulator.requests_market import HANDLERS as MARKET
from backstay.simulator.requests_news import HANDLERS as NEWS
from backstay.simulator.requests_orders import HANDLERS as ORDERS
from backstay.simulator.requests_reference import HANDLERS as REFERENCE

if TYPE_CHECKING:
    from backstay.simulator.session import Session

Handler = Callable[["Session", Fields], None]

HANDLERS: Mapping[int, Handler] = {
    **ACCOUNT,
    **DEPTH,
    **HISTORY,
    **MARKET,
    **NEWS,
    **ORDERS,
    **REFERENCE,
}
"""By message id; a handler raises ``Refused`` for what TWS would answer with an error."""

FARM_OF: Mapping[int, str] = {
    9: DEFINITION_FARM,
    20: HISTORY_FARM,
    78: DEFINITION_FARM,
    81: DEFINITION_FARM,
    87: HISTORY_FARM,
    88: HISTORY_FARM,
    96: HISTORY_FARM,
}
"""Reads that IB's servers answer; while those are away, TWS leaves them unanswered."""


def open_request(message_id: int, body: bytes, version: int) -> tuple[str, int | None, Fields]:
    """Return a request's name, its request or order id, and its fields behind VERSION."""
    request = REQUESTS.get(message_id)
    fields = Fields(body)
    if request is None:
        return f"unknown {message_id}", None, fields
    versions = request.version_field
    if versions and versions[0] <= version <= versions[1] and fields.left:
        fields.skip()
    digits = None if request.key_index is None else fields.peek(request.key_index)
    key = int(digits) if digits is not None and INTEGER.fullmatch(digits) else None
    return request.name, key, fields


def handle(session: "Session", message_id: int, fields: Fields) -> None:
    """Answer a request; one that no TWS of this version knows is refused, not ignored."""
    handler = HANDLERS.get(message_id)
    request = REQUESTS.get(message_id)
    if handler is None or request is None or request.since > session.version:
        raise Refused(-1, 320, f"Error reading request. Unknown message id {message_id}")
    farm = FARM_OF.get(message_id)
    if farm is None or session.world.reaches(farm):
        handler(session, fields)
