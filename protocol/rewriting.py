"""Changing one number in a message of a server, or writing one that a server left out.

What TWS told backstay in answer to a question of its own is passed on as if nobody had asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from backstay.protocol.framing import PROTOBUF_OFFSET, raw, text_message
from backstay.protocol.messages import is_protobuf, message_id
from backstay.protocol.responses import RESPONSES
from backstay.protocol.wire import BYTES, VARINT, bytes_field, double_field, find_bytes, scan, varint, varint_field

ORDER_STATUS, COMMISSION = 3, 59
_ID_BYTES = 4
_MARKET_CAP_SINCE = 131
_UINT64 = 2**64


def with_request_id(payload: bytes, version: int, request_id: int) -> bytes:
    """Return an execDetails (11) under another request id, as a payload."""
    number = message_id(payload, version)
    if is_protobuf(payload, version):
        rest = b"".join(_again(*found) for found in scan(payload, _ID_BYTES) if found[0] != 1)
        return payload[:_ID_BYTES] + varint_field(1, request_id % _UINT64) + rest
    row = RESPONSES[number]
    has_version = row.version_field is not None and row.version_field[0] <= version <= row.version_field[1]
    at = 1 + has_version + (row.key_index or 0)
    if version > 200:
        head, body = payload[:_ID_BYTES], payload[_ID_BYTES:]
        fields = body.split(b"\0")
        fields[at - 1] = b"%d" % request_id
        return head + b"\0".join(fields)
    fields = payload.split(b"\0")
    fields[at] = b"%d" % request_id
    return b"\0".join(fields)


def _again(number: int, kind: int, value: int | bytes) -> bytes:
    if kind == VARINT and isinstance(value, int):
        return varint_field(number, value)
    if kind == BYTES and isinstance(value, bytes):
        return bytes_field(number, value)
    assert isinstance(value, bytes)  # noqa: S101  # fixed widths come as they are
    return varint(number << 3 | kind) + value


def commission_execution(payload: bytes, version: int) -> str:
    """Return the execution a commission report (59) is about; empty when it cannot be read."""
    if is_protobuf(payload, version):
        return (find_bytes(payload, 1, _ID_BYTES) or b"").decode("utf-8", "replace")
    body = payload[_ID_BYTES:] if version > 200 else payload.partition(b"\0")[2]
    row = RESPONSES[COMMISSION]
    has_version = row.version_field is not None and row.version_field[0] <= version <= row.version_field[1]
    fields = body.split(b"\0")
    return fields[has_version].decode("utf-8", "replace") if len(fields) > has_version else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """How far an order has been executed, and at what prices; 0 where there is none."""

    filled: Decimal
    remaining: Decimal
    average_price: Decimal = Decimal(0)
    last_price: Decimal = Decimal(0)


def write_order_status(
    owner: tuple[int, int], status: str, filling: Filling, *, perm_id: int, version: int, parent_id: int = 0
) -> bytes:
    """Return the frame of an orderStatus (3). `owner`: client id and order id. `parent_id`: 0 for no child of another.

    Every field is written: what is left out in protobuf, applications on ibapi are given as its greatest number.
    """
    client_id, order_id = owner
    filled, remaining = (format(quantity, "f") for quantity in (filling.filled, filling.remaining))
    average, last = float(filling.average_price), float(filling.last_price)
    row = RESPONSES[ORDER_STATUS]
    if row.protobuf_from is not None and version >= row.protobuf_from:
        body = varint_field(1, order_id % _UINT64) + bytes_field(2, status.encode())
        body += bytes_field(3, filled.encode()) + bytes_field(4, remaining.encode())
        body += double_field(5, average) + varint_field(6, perm_id) + varint_field(7, parent_id % _UINT64)
        body += double_field(8, last) + varint_field(9, client_id) + bytes_field(10, b"") + double_field(11, 0.0)
        return raw(ORDER_STATUS + PROTOBUF_OFFSET, body)
    values: tuple[object, ...] = (order_id, status, filled, remaining, average, perm_id, parent_id, last)
    values += (client_id, "")
    if version >= _MARKET_CAP_SINCE:
        values += ("0.0",)
    if row.version_field is not None and version <= row.version_field[1]:
        values = (row.version_number, *values)
    return text_message(version, ORDER_STATUS, *values)
