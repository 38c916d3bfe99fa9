"""Which function answers which request, and what a request is called in the records."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.protocol.framing import LAST_TEXT_VERSION
from backstay.protocol.messages import is_protobuf, message_id, request_key
from backstay.protocol.requests import REQUESTS
from backstay.simulator.farms import DEFINITION_FARM, HISTORY_FARM
from backstay.simulator.fields import Fields, Refused
from backstay.simulator.requests_account import HANDLERS as ACCOUNT
from backstay.simulator.requests_configuration import HANDLERS as CONFIGURATION
from backstay.simulator.requests_configuration import check_read_only
from backstay.simulator.requests_depth import HANDLERS as DEPTH
from backstay.simulator.requests_history import HANDLERS as HISTORY
from backstay.simulator.requests_market import HANDLERS as MARKET
from backstay.simulator.requests_news import HANDLERS as NEWS
from backstay.simulator.requests_orders import HANDLERS as ORDERS
from backstay.simulator.requests_reference import HANDLERS as REFERENCE
from backstay.simulator.transcoding import request_to_text

if TYPE_CHECKING:
    from backstay.simulator.session import Session

RAW_ID_BYTES = 4

Handler = Callable[["Session", Fields], None]

HANDLERS: Mapping[int, Handler] = {
    **ACCOUNT,
    **CONFIGURATION,
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


def label(payload: bytes, version: int) -> tuple[str, int | None]:
    """Return what a request is called in the records, and its request or order id."""
    number = message_id(payload, version)
    request = REQUESTS.get(number)
    return (f"unknown {number}" if request is None else request.name), request_key(payload, version)


def open_request(payload: bytes, version: int) -> Fields:
    """Return the fields of a request behind VERSION; ``Unreadable`` or ``Refused`` when its protobuf body is none."""
    number = message_id(payload, version)
    if is_protobuf(payload, version):
        return request_to_text(number, payload[RAW_ID_BYTES:], version)
    fields = Fields(payload[RAW_ID_BYTES:] if version > LAST_TEXT_VERSION else payload.partition(b"\0")[2])
    request = REQUESTS.get(number)
    versions = None if request is None else request.version_field
    if versions and versions[0] <= version <= versions[1] and fields.left:
        fields.skip()
    return fields


def handle(session: "Session", number: int, payload: bytes) -> None:
    """Answer a request; one that no TWS of this version knows is refused, not ignored."""
    handler = HANDLERS.get(number)
    request = REQUESTS.get(number)
    if handler is None or request is None or request.since > session.version:
        raise Refused(-1, 320, f"Error reading request. Unknown message id {number}")
    check_read_only(session.world.settings, request, request_key(payload, session.version))
    fields = open_request(payload, session.version)
    farm = FARM_OF.get(number)
    if farm is None or session.world.reaches(farm):
        handler(session, fields)
