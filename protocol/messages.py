"""Reading the few things that matter in a message: which it is, whose it is, and what kind of request.

Nothing here raises on what the wire brought: a field that is missing or not a number is None. Works for text bodies of
versions 100 to 212 and for protobuf bodies from 201 on; which of the two a frame is, its raw id alone decides.
"""

from collections.abc import Mapping
from functools import lru_cache

from backstay.protocol.framing import LAST_TEXT_VERSION, PROTOBUF_OFFSET
from backstay.protocol.requests import REQUESTS
from backstay.protocol.responses import HISTORICAL_TICKS, RESPONSES
from backstay.protocol.vocabulary import HIGHEST_VERSION, LOWEST_VERSION, Key, Kind, Request, Response
from backstay.protocol.wire import find_bytes, find_varint, int32

__all__ = [
    "HIGHEST_VERSION",
    "LOWEST_VERSION",
    "NO_MESSAGE",
    "REQUESTS",
    "RESPONSES",
    "Key",
    "Kind",
    "Request",
    "Response",
    "account_updates_account",
    "body_fields",
    "ends",
    "is_protobuf",
    "is_smart_depth",
    "kind_of",
    "message_id",
    "request_key",
    "response_key",
    "ticks_done",
]

NO_MESSAGE = -1
"""The id of a payload that does not begin with one."""

_ID_BYTES = 4
_ASCII_IDS = {str(number).encode(): number for number in range(1, PROTOBUF_OFFSET + 1)}

_MARKET_DATA, _ACCOUNT_UPDATES, _MARKET_DEPTH, _REPLACE_FA, _HISTORICAL_DATA, _HISTORICAL_TICKS = 1, 6, 10, 19, 20, 96

_REGULATORY_SNAPSHOT_SINCE = 114
_KEEP_UP_TO_DATE_SINCE = 124
_SMART_DEPTH_SINCE = 146
_REPLACE_FA_ID_SINCE = 157
_HISTORICAL_END_SINCE = 196

_TICK_SNAPSHOT_END, _BARS, _SCHEDULE, _BARS_END = 57, 17, 106, 108
_WHAT_TO_SHOW_INDEX = 18
_ORDER_STATUS, _STATUS_CLIENT_INDEX, _STATUS_CLIENT_FIELD = 3, 8, 9
_FALSE = (b"", b"0", b"false")


def message_id(payload: bytes, version: int) -> int:
    """Return the message id, protobuf or text alike; ``NO_MESSAGE`` when the payload does not begin with one."""
    if version > LAST_TEXT_VERSION:
        if len(payload) < _ID_BYTES:
            return NO_MESSAGE
        raw_id = int.from_bytes(payload[:_ID_BYTES], "big")
        return raw_id - PROTOBUF_OFFSET if raw_id > PROTOBUF_OFFSET else raw_id
    first = payload.partition(b"\0")[0]
    known = _ASCII_IDS.get(first)
    if known is not None:
        return known
    number = _number(first)  # as lenient as the other side may be: "03" must not pass as something unknown
    return NO_MESSAGE if number is None else number


def is_protobuf(payload: bytes, version: int) -> bool:
    """Tell whether the body is protobuf; never below version 201."""
    if version <= LAST_TEXT_VERSION or len(payload) < _ID_BYTES:
        return False
    return int.from_bytes(payload[:_ID_BYTES], "big") > PROTOBUF_OFFSET


def body_fields(payload: bytes, version: int) -> list[bytes]:
    """Return the text fields behind the message id (VERSION included, if there is one); none of a protobuf body."""
    if is_protobuf(payload, version):
        return []
    if version > LAST_TEXT_VERSION:
        return payload[_ID_BYTES:].split(b"\0")[:-1]
    return payload.split(b"\0")[1:-1]


def request_key(payload: bytes, version: int) -> int | None:
    """Return the request or order id of a client's message; None when it has none."""
    return _key(REQUESTS, payload, version)


def response_key(payload: bytes, version: int) -> int | None:
    """Return the request or order id of a server's message; None when it has none, -1 when it is about no request."""
    return _key(RESPONSES, payload, version)


def order_status_client(payload: bytes, version: int) -> int | None:
    """Return the client id in an order status (3): the owner of the order; None for any other message."""
    if message_id(payload, version) != _ORDER_STATUS:
        return None
    if is_protobuf(payload, version):
        client = find_varint(payload, _STATUS_CLIENT_FIELD, _ID_BYTES)
        return None if client is None else int32(client)
    return _number(_text_field(payload, version, (RESPONSES[_ORDER_STATUS], _STATUS_CLIENT_INDEX)))


def ticks_done(payload: bytes, version: int) -> bool:
    """Tell whether a frame of historical ticks (96, 97, 98) is the last of its request."""
    if message_id(payload, version) not in HISTORICAL_TICKS:
        return False
    if is_protobuf(payload, version):
        return bool(find_varint(payload, 3, _ID_BYTES))
    return _is_true(_from_end(payload, version, 1))


def kind_of(payload: bytes, version: int) -> Kind:
    """Return the kind of a client's message, also where its content decides; an unknown one is a COMMAND.

    Market data with a snapshot flag is a SNAPSHOT, historical data that is kept up to date a STREAM, account updates
    with subscribe off a CANCEL.
    """
    number = message_id(payload, version)
    row = REQUESTS.get(number)
    if row is None:
        return Kind.COMMAND  # the one kind that is neither repeated nor replayed
    if number == _MARKET_DATA:
        return Kind.SNAPSHOT if _is_snapshot(payload, version) else Kind.STREAM
    if number == _HISTORICAL_DATA:
        return Kind.STREAM if _is_kept_up_to_date(payload, version) else Kind.SNAPSHOT
    if number == _ACCOUNT_UPDATES:
        return Kind.STREAM if _is_subscribe(payload, version) else Kind.CANCEL
    return row.kind


def ends(payload: bytes, version: int) -> frozenset[int]:
    """Return the ids of the responses that conclude this request of a client; empty when none does.

    For historical ticks only a frame for which ``ticks_done`` holds. The end of a stream's first snapshot is
    ``Request.end``; it concludes nothing.
    """
    number = message_id(payload, version)
    row = REQUESTS.get(number)
    kind = kind_of(payload, version)
    if row is None or kind not in (Kind.ONESHOT, Kind.SNAPSHOT, Kind.COMMAND, Kind.HANDSHAKE):
        return frozenset()
    if number == _HISTORICAL_TICKS:
        return HISTORICAL_TICKS
    if number == _HISTORICAL_DATA:
        if _what_to_show(payload, version).upper() == b"SCHEDULE":
            return frozenset({_SCHEDULE})
        return frozenset({_BARS_END if version >= _HISTORICAL_END_SINCE else _BARS})
    if row.end is None or (number == _REPLACE_FA and version < _REPLACE_FA_ID_SINCE):
        return frozenset()
    return frozenset({row.end})


def is_smart_depth(payload: bytes, version: int) -> bool:
    """Tell whether a market depth request (10) asks for the aggregated book; its cancel has to say the same."""
    if is_protobuf(payload, version):
        return bool(find_varint(payload, 4, _ID_BYTES))
    return version >= _SMART_DEPTH_SINCE and _is_true(_from_end(payload, version, 2))


def account_updates_account(payload: bytes, version: int) -> bytes:
    """Return the account an account updates request (6) names; empty when it names none."""
    if is_protobuf(payload, version):
        return find_bytes(payload, 2, _ID_BYTES) or b""
    return _text_field(payload, version, (REQUESTS[_ACCOUNT_UPDATES], 1)) or b""


def _is_snapshot(payload: bytes, version: int) -> bool:
    if is_protobuf(payload, version):
        return bool(find_varint(payload, 4, _ID_BYTES) or find_varint(payload, 5, _ID_BYTES))
    # counted from the end: the legs of a combination come before and have no fixed number
    flags = (2, 3) if version >= _REGULATORY_SNAPSHOT_SINCE else (2,)
    return any(_is_true(_from_end(payload, version, distance)) for distance in flags)


def _is_kept_up_to_date(payload: bytes, version: int) -> bool:
    if is_protobuf(payload, version):
        return bool(find_varint(payload, 9, _ID_BYTES))
    return version >= _KEEP_UP_TO_DATE_SINCE and _is_true(_from_end(payload, version, 2))


def _is_subscribe(payload: bytes, version: int) -> bool:
    if is_protobuf(payload, version):
        return bool(find_varint(payload, 1, _ID_BYTES))
    return _is_true(_text_field(payload, version, (REQUESTS[_ACCOUNT_UPDATES], 0)))


def _what_to_show(payload: bytes, version: int) -> bytes:
    if is_protobuf(payload, version):
        return find_bytes(payload, 7, _ID_BYTES) or b""
    return _text_field(payload, version, (REQUESTS[_HISTORICAL_DATA], _WHAT_TO_SHOW_INDEX)) or b""


@lru_cache(maxsize=2 * (LAST_TEXT_VERSION - LOWEST_VERSION + 1))
def _text_places(version: int, of_responses: bool) -> Mapping[bytes, int]:
    """Map the first field of a text message to where its key is when split at NUL; 0 for one without a key."""
    table = RESPONSES if of_responses else REQUESTS
    places: dict[bytes, int] = {}
    for number, row in table.items():
        if row.key_index is None:
            places[b"%d" % number] = 0
        elif row.key_index == 0:
            places[b"%d" % number] = 1 + _has_version(row, version)
    return places


def _key(table: Mapping[int, Request] | Mapping[int, Response], payload: bytes, version: int) -> int | None:
    if version <= LAST_TEXT_VERSION:  # asked for every watched frame: one split, one look-up
        parts = payload.split(b"\0", 3)
        place = _text_places(version, table is RESPONSES).get(parts[0])
        if place is not None:
            return _number(parts[place]) if place and len(parts) > place + 1 else None
    elif int.from_bytes(payload[:_ID_BYTES], "big") > PROTOBUF_OFFSET:
        row = table.get(message_id(payload, version))
        number = None if row is None or row.key_index is None else find_varint(payload, 1, _ID_BYTES)
        return None if number is None else int32(number)
    return _text_key(table.get(message_id(payload, version)), payload, version)


def _text_key(row: Request | Response | None, payload: bytes, version: int) -> int | None:
    if row is None or row.key_index is None:
        return None
    if row.key_index < 0:
        return _number(_from_end(payload, version, 1)) if version >= _REPLACE_FA_ID_SINCE else None
    return _number(_text_field(payload, version, (row, row.key_index)))


def _has_version(row: Request | Response, version: int) -> bool:
    return row.version_field is not None and version <= row.version_field[1]


def _text_field(payload: bytes, version: int, place: tuple[Request | Response, int]) -> bytes | None:
    """Return the field at an index behind the message id and VERSION, or None when it is not there in full."""
    row, index = place
    index += _has_version(row, version)
    if version > LAST_TEXT_VERSION:
        payload = payload[_ID_BYTES:]
    else:
        index += 1
    parts = payload.split(b"\0", index + 1)
    return parts[index] if len(parts) > index + 1 else None


def _from_end(payload: bytes, version: int, distance: int) -> bytes | None:
    """Return the field that is the last (1), last but one (2), ... of the body."""
    values = body_fields(payload, version)
    return values[-distance] if len(values) >= distance else None


def _is_true(value: bytes | None) -> bool:
    return value is not None and value not in _FALSE


def _number(value: bytes | None) -> int | None:
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        return None
