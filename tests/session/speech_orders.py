"""What clients and gateways say of orders, whole enough to be read: in every layout, each frame made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

from speech import CLIENT_ID

from backstay.protocol.framing import PREFIX_BYTES, PROTOBUF_OFFSET, raw, text_message
from backstay.protocol.requests import REQUESTS
from backstay.protocol.responses import RESPONSES
from backstay.protocol.vocabulary import Request, Response
from backstay.protocol.wire import bytes_field, double_field, varint_field
from backstay.simulator.layout import Record, write
from backstay.simulator.order_layouts import COMPLETED_ORDER, OPEN_ORDER, PLACE_ORDER

ACCOUNT = "DU1"
WHAT_IF = 65


@dataclass(frozen=True, slots=True)
class Told:
    """An order as TWS tells of it."""

    order_id: int
    perm_id: int
    quantity: int
    filled: int
    status: str
    order_ref: str = ""
    client_id: int = CLIENT_ID
    what_if: bool = False


def _versioned(row: Request | Response, version: int, values: tuple[object, ...]) -> tuple[object, ...]:
    if row.version_field is not None and version <= row.version_field[1]:
        return (row.version_number, *values)
    return values


def _is_raw(row: Request | Response, version: int) -> bool:
    return row.protobuf_from is not None and version >= row.protobuf_from


def _contract() -> bytes:
    return varint_field(1, 265598) + bytes_field(2, b"AAPL") + bytes_field(3, b"STK")


@lru_cache(4096)
def place(version: int, order_id: int, *, quantity: int, order_ref: str, word: str) -> bytes:
    """A client's placeOrder, as a payload."""
    row = REQUESTS[3]
    if _is_raw(row, version):
        order = bytes_field(5, b"BUY") + bytes_field(6, b"%d" % quantity) + bytes_field(12, ACCOUNT.encode())
        order += bytes_field(28, order_ref.encode()) + varint_field(66, 1)
        body = varint_field(1, order_id) + bytes_field(2, _contract()) + bytes_field(3, order)
        return raw(3 + PROTOBUF_OFFSET, body + bytes_field(100, word.encode()))[PREFIX_BYTES:]
    blanks = ("",) * 5
    contract = (order_id, 265598, "AAPL", "STK", *blanks, *blanks, "")
    terms = ("BUY", quantity, *blanks, ACCOUNT, "", "", order_ref, 1)
    return text_message(version, 3, *_versioned(row, version, (*contract, *terms, word)))[PREFIX_BYTES:]


@lru_cache(4096)
def preview(version: int, order_id: int, *, quantity: int, word: str) -> bytes:
    """A client's placeOrder that asks what an order would cost, as a payload."""
    row = REQUESTS[3]
    if _is_raw(row, version):
        order = bytes_field(5, b"BUY") + bytes_field(6, b"%d" % quantity) + varint_field(WHAT_IF, 1)
        body = varint_field(1, order_id) + bytes_field(2, _contract()) + bytes_field(3, order)
        return raw(3 + PROTOBUF_OFFSET, body + bytes_field(100, word.encode()))[PREFIX_BYTES:]
    words = {"order_id": order_id, "con_id": 265598, "symbol": "AAPL", "sec_type": "STK", "action": "BUY"}
    words |= {"quantity": quantity, "account": ACCOUNT, "order_ref": word, "what_if": 1, "transmit": 1}
    values = write(PLACE_ORDER, Record({name: str(value) for name, value in words.items()}), min(version, 200))
    return text_message(version, 3, *_versioned(row, version, tuple(values)))[PREFIX_BYTES:]


@cache
def _order_values(told: Told) -> Record:
    words = {"order_id": told.order_id, "con_id": 265598, "symbol": "AAPL", "sec_type": "STK", "action": "BUY"}
    words |= {"quantity": told.quantity, "account": ACCOUNT, "order_ref": told.order_ref, "perm_id": told.perm_id}
    words |= {"client_id": told.client_id, "status": told.status, "what_if": int(told.what_if)}
    return Record({name: str(value) for name, value in words.items()})


def _order_body(told: Told) -> bytes:
    order = varint_field(3, told.perm_id) + bytes_field(5, b"BUY") + bytes_field(6, b"%d" % told.quantity)
    order += varint_field(WHAT_IF, 1) if told.what_if else b""
    return order + bytes_field(12, ACCOUNT.encode()) + bytes_field(28, told.order_ref.encode())


@lru_cache(4096)
def open_order(version: int, told: Told) -> bytes:
    row = RESPONSES[5]
    if _is_raw(row, version):
        order = varint_field(1, told.client_id) + _order_body(told)
        state = bytes_field(1, told.status.encode())
        body = varint_field(1, told.order_id) + bytes_field(2, _contract()) + bytes_field(3, order)
        return raw(5 + PROTOBUF_OFFSET, body + bytes_field(4, state))
    return text_message(
        version, 5, *_versioned(row, version, tuple(write(OPEN_ORDER, _order_values(told), min(version, 200))))
    )


@lru_cache(4096)
def completed_order(version: int, told: Told) -> bytes:
    row = RESPONSES[101]
    if _is_raw(row, version):
        state = bytes_field(1, told.status.encode())
        return raw(
            101 + PROTOBUF_OFFSET,
            bytes_field(1, _contract()) + bytes_field(2, _order_body(told)) + bytes_field(3, state),
        )
    values = tuple(write(COMPLETED_ORDER, _order_values(told), min(version, 200)))
    return text_message(version, 101, *_versioned(row, version, values))


@lru_cache(4096)
def status(version: int, told: Told) -> bytes:
    row = RESPONSES[3]
    left = told.quantity - told.filled
    if _is_raw(row, version):
        body = varint_field(1, told.order_id) + bytes_field(2, told.status.encode())
        body += bytes_field(3, b"%d" % told.filled) + bytes_field(4, b"%d" % left)
        return raw(3 + PROTOBUF_OFFSET, body + varint_field(6, told.perm_id) + varint_field(9, told.client_id))
    values = (told.order_id, told.status, told.filled, left, 0.0, told.perm_id, 0, 0.0, told.client_id, "", 0.0)
    return text_message(version, 3, *_versioned(row, version, values))


@lru_cache(4096)
def execution(
    version: int, told: Told, exec_id: str, shares: int, *, key: int = -1, time: str = "", price: str = ""
) -> bytes:
    row = RESPONSES[11]
    if _is_raw(row, version):
        inner = varint_field(1, told.order_id) + bytes_field(2, exec_id.encode()) + bytes_field(4, ACCOUNT.encode())
        inner += (
            bytes_field(3, time.encode())
            + bytes_field(7, b"%d" % shares)
            + varint_field(9, told.perm_id)
            + varint_field(10, told.client_id)
        )
        inner += bytes_field(14, told.order_ref.encode()) + (double_field(8, float(price)) if price else b"")
        return raw(11 + PROTOBUF_OFFSET, varint_field(1, key % 2**64) + bytes_field(3, inner))
    blanks = ("",) * 11
    values = (key, told.order_id, *blanks, exec_id, time, ACCOUNT, "", "", shares, price, told.perm_id, told.client_id)
    return text_message(version, 11, *_versioned(row, version, (*values, "", "", "", told.order_ref, "", "", "")))


@lru_cache(4096)
def commission(version: int, exec_id: str) -> bytes:
    row = RESPONSES[59]
    if _is_raw(row, version):
        return raw(59 + PROTOBUF_OFFSET, bytes_field(1, exec_id.encode()))
    return text_message(version, 59, *_versioned(row, version, (exec_id, 1.0, "USD", 0.0, 0.0, "")))
