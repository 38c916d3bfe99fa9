"""The frames backstay itself utters: start of the API, probes, reads of a reconciliation, cancels."""

from dataclasses import dataclass

from backstay.protocol.framing import PROTOBUF_OFFSET, raw, text_message
from backstay.protocol.messages import (
    REQUESTS,
    Key,
    Kind,
    Request,
    account_updates_account,
    body_fields,
    is_protobuf,
    is_smart_depth,
    kind_of,
    message_id,
    request_key,
)
from backstay.protocol.wire import bytes_field, find_bytes, find_varint, int32, varint_field

START_API = 71
CURRENT_TIME = 49

_OPEN_ORDERS, _ALL_OPEN_ORDERS, _EXECUTIONS, _COMPLETED_ORDERS = 5, 16, 7, 99
_CANCEL_ORDER, _ACCOUNT_UPDATES, _MARKET_DEPTH = 4, 6, 10
_IDS, _MANAGED_ACCOUNTS, _MARKET_DATA_TYPE, _CONFIGURATION = 8, 17, 59, 108

_SMART_DEPTH_SINCE = 146
_EXECUTION_DAYS_SINCE = 200
_CANCEL_TIME_SINCE, _FOR_A_WHILE, _OPERATOR_SINCE = 169, range(187, 190), 192
_UNSET_INTEGER = 2147483647
_ID_BYTES = 4


@dataclass(frozen=True, slots=True)
class StartApi:
    """What a client says of itself in startApi; ``capabilities`` is an opaque string, usually empty."""

    client_id: int
    capabilities: bytes


def start_api(version: int, client_id: int, capabilities: bytes = b"") -> bytes:
    """Return the startApi frame; once per socket, right behind the version answer."""
    body = varint_field(1, client_id) + (bytes_field(2, capabilities) if capabilities else b"")
    return _utter(START_API, version, ((client_id, capabilities), body))


def read_start_api(payload: bytes, version: int) -> StartApi | None:
    """Return the content of a client's startApi; None when it is another message or malformed."""
    if message_id(payload, version) != START_API:
        return None
    if is_protobuf(payload, version):
        number = find_varint(payload, 1, _ID_BYTES)
        return None if number is None else StartApi(int32(number), find_bytes(payload, 2, _ID_BYTES) or b"")
    values = body_fields(payload, version)
    try:
        return StartApi(int(values[1]), values[2] if len(values) > 2 else b"")
    except (IndexError, ValueError):
        return None


def current_time(version: int) -> bytes:
    """Return a request for the current time: the probe. Its answer carries no id: one at a time."""
    return _utter(CURRENT_TIME, version, ((), b""))


def read_current_time(payload: bytes, version: int) -> int | None:
    """Return the server's clock in a currentTime, in whole seconds since the epoch; None where it is malformed."""
    if is_protobuf(payload, version):
        return find_varint(payload, 1, _ID_BYTES)
    try:
        return int(body_fields(payload, version)[-1])
    except (IndexError, ValueError):
        return None


def market_data_type(version: int, kind: int) -> bytes:
    """Return the setting of the market data type: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen."""
    return _utter(_MARKET_DATA_TYPE, version, ((kind,), varint_field(1, kind)))


def next_ids(version: int) -> bytes:
    """Return a request for the next valid order id (reqIds)."""
    return _utter(_IDS, version, ((1,), varint_field(1, 1)))


def managed_accounts(version: int) -> bytes:
    """Return a request for the accounts of the user."""
    return _utter(_MANAGED_ACCOUNTS, version, ((), b""))


def open_orders(version: int) -> bytes:
    """Return a request for this client's open orders; client 0 binds orders entered by hand with it."""
    return _utter(_OPEN_ORDERS, version, ((), b""))


def all_open_orders(version: int) -> bytes:
    """Return a request for the open orders of all API clients."""
    return _utter(_ALL_OPEN_ORDERS, version, ((), b""))


def completed_orders(version: int) -> bytes:
    """Return a request for the completed orders of the day, those of the user interface too (from version 150)."""
    return _utter(_COMPLETED_ORDERS, version, ((False,), b""))


def cancel_order(version: int, order_id: int) -> bytes:
    """Return the cancel of an order, at the time at which it arrives."""
    values: tuple[object, ...] = (order_id,)
    if version >= _CANCEL_TIME_SINCE:
        values += (b"",)
    if version in _FOR_A_WHILE:
        values += (b"", b"", _UNSET_INTEGER)
    if version >= _OPERATOR_SINCE:
        values += (b"", _UNSET_INTEGER)
    return _utter(_CANCEL_ORDER, version, (values, varint_field(1, order_id)))


def executions(version: int, request_id: int) -> bytes:
    """Return a request for all executions since midnight."""
    client_id = 0  # in a filter: every client's
    values: tuple[object, ...] = (request_id, client_id, b"", b"", b"", b"", b"", b"")
    if version >= _EXECUTION_DAYS_SINCE:
        values += (_UNSET_INTEGER, 0)
    body = varint_field(1, request_id) + bytes_field(2, varint_field(1, client_id))
    return _utter(_EXECUTIONS, version, (values, body))


def configuration(version: int, request_id: int) -> bytes:
    """Return a request for the settings of the gateway itself (from version 219)."""
    return _utter(_CONFIGURATION, version, ((request_id,), varint_field(1, request_id)))


def cancel_frame(request_payload: bytes, version: int) -> bytes | None:
    """Return the cancel that belongs to a stream or read; None when there is none at this version.

    Orders have none here: cancelling one is the client's decision, and takes more fields than its id.
    """
    row = REQUESTS.get(message_id(request_payload, version))
    if row is None or row.cancelled_by is None:
        return None
    cancel = REQUESTS[row.cancelled_by]
    kind = kind_of(request_payload, version)
    if kind not in (Kind.STREAM, Kind.SNAPSHOT, Kind.ONESHOT) or version < cancel.since:
        return None
    if row.id == _ACCOUNT_UPDATES:
        account = account_updates_account(request_payload, version)
        return _utter(cancel.id, version, ((False, account), bytes_field(2, account) if account else b""))
    if row.key is Key.NONE:
        return _utter(cancel.id, version, ((), b""))
    key = request_key(request_payload, version)
    if key is None:
        return None
    return _utter(cancel.id, version, _cancel_body(row, key, (request_payload, version)))


def _cancel_body(row: Request, key: int, source: tuple[bytes, int]) -> tuple[tuple[object, ...], bytes]:
    payload, version = source
    if row.id != _MARKET_DEPTH or version < _SMART_DEPTH_SINCE:
        return (key,), varint_field(1, key)
    smart = is_smart_depth(payload, version)
    return (key, smart), varint_field(1, key) + (varint_field(2, 1) if smart else b"")


def _utter(number: int, version: int, content: tuple[tuple[object, ...], bytes]) -> bytes:
    """Return a complete frame of the content given as text fields behind VERSION and as a protobuf body."""
    row = REQUESTS[number]
    values, body = content
    if row.protobuf_from is not None and version >= row.protobuf_from:
        return raw(number + PROTOBUF_OFFSET, body)
    if row.version_field is not None and version <= row.version_field[1]:
        values = (row.version_number, *values)
    return text_message(version, number, *values)
