"""Where in a message about an order its few wanted fields stand, and how they are got out of it.

Long messages are described as layouts: a name is a field that is wanted, a number so many that are not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from struct import unpack

from backstay.protocol.messages import body_fields
from backstay.protocol.responses import EXECUTION
from backstay.protocol.vocabulary import HIGHEST_VERSION, LOWEST_VERSION, Request, Response
from backstay.protocol.wire import BYTES, DOUBLE, VARINT, scan

PLACE_ORDER, EXERCISE_OPTIONS = 3, 21
ORDER_STATUS, OPEN_ORDER, COMPLETED_ORDER = 3, 5, 101
OPEN_ORDERS_END, EXECUTIONS_END, COMPLETED_ORDERS_END = 53, 55, 102

COMBINATION = "BAG"
"""Security type of an order in several instruments at once; it executes leg by leg."""

UNSET_NUMBER = Decimal("1e300")
"""Above it, a number says that it was not set (TWS writes the largest double, or 2**127 - 1)."""

_ID_BYTES = 4


@dataclass(frozen=True, slots=True)
class When:
    """Items that are there if a field that was read before says so."""

    name: str
    test: Callable[[bytes], bool]
    items: "tuple[Item, ...]"


@dataclass(frozen=True, slots=True)
class Rows:
    """A count, and as many groups of ``width`` fields."""

    width: int


@dataclass(frozen=True, slots=True)
class Since:
    """So many fields in the versions given, both included."""

    count: int
    low: int = LOWEST_VERSION
    high: int = HIGHEST_VERSION


Item = str | int | When | Rows | Since
Layout = tuple[Item, ...]


def is_said(value: bytes) -> bool:
    """Whether a field that may be a flag or a word says anything."""
    return value not in (b"", b"0", b"false")


def _is_combination(value: bytes) -> bool:
    return value == COMBINATION.encode()


def _is_scale(value: bytes) -> bool:
    number = decimal_of(value)
    return number is not None and number > 0


_CONTRACT: Layout = ("con_id", "symbol", "sec_type", 5)
_TERMS: Layout = ("action", "quantity", 5, "account", 2, "order_ref")
_ADVISER: Layout = (3, Since(1, high=176), Since(1, low=103))
_LEGS: Layout = (Rows(8), Rows(1), Rows(2))
_SCALE: Layout = (2, "scale", When("scale", _is_scale, (7,)))
_HEDGE: Layout = ("hedge", When("hedge", is_said, (1,)))
_UNDERLYING: Layout = ("underlying", When("underlying", is_said, (3,)))
_ALGO: Layout = ("algo", When("algo", bool, (Rows(2),)))


def _volatility(width: int) -> Layout:
    """Volatility fields, with so many more when the order carries another one that hedges it."""
    return (2, "hedge_order", 1, When("hedge_order", bool, (width,)))


PLACE_ORDER_FIELDS: Layout = (
    *("order_id", *_CONTRACT, 6),
    *("action", "quantity", 4, "oca_group", "account", 2, "order_ref", "transmit", "parent_id", 6),
    *(When("sec_type", _is_combination, _LEGS), 4, *_ADVISER, 19, *_volatility(8), 4),
    *(*_SCALE, 3, *_HEDGE, 4, *_UNDERLYING, *_ALGO, 1, "what_if"),
)
OPEN_ORDER_FIELDS: Layout = (
    *("order_id", *_CONTRACT, 3, *_TERMS, "client_id", "perm_id", 5, *_ADVISER, 24, *_volatility(8), 7, *_LEGS),
    *(*_SCALE, *_HEDGE, 4, *_UNDERLYING, *_ALGO, 1, "what_if", "status"),
)
COMPLETED_ORDER_FIELDS: Layout = (
    *(*_CONTRACT, 3, *_TERMS, "perm_id", 4, *_ADVISER, 18, *_volatility(4), 5, *_LEGS),
    *(*_SCALE, *_HEDGE, 3, *_UNDERLYING, *_ALGO, 1, "status"),
)
ORDER_STATUS_FIELDS: Layout = ("order_id", "status", 3, "perm_id", 2, "client_id")
EXECUTION_FIELDS: Layout = (
    *("request_id", "order_id", 11, "exec_id", "time", "account", 2, "shares", "price", "perm_id", "client_id", 3),
    "order_ref",
)

ANSWERS: dict[int, Layout] = {
    ORDER_STATUS: ORDER_STATUS_FIELDS,
    OPEN_ORDER: OPEN_ORDER_FIELDS,
    COMPLETED_ORDER: COMPLETED_ORDER_FIELDS,
    EXECUTION: EXECUTION_FIELDS,
}

# Protobuf: number of the field, or of the sub-message and the field in it -> name. Found by recording what a client
# sends, and by showing bodies to its decoder.
Path = tuple[int, ...]


def _paths(contract: int, order: int, state: int = 0) -> dict[Path, str]:
    found: dict[Path, str] = {(contract, 1): "con_id", (contract, 2): "symbol", (contract, 3): "sec_type"}
    found |= {(order, 1): "client_id", (order, 3): "perm_id", (order, 5): "action", (order, 6): "quantity"}
    found |= {(order, 4): "parent_id", (order, 27): "oca_group"}
    found |= {(order, 12): "account", (order, 28): "order_ref", (order, 65): "what_if", (order, 66): "transmit"}
    return found | ({(state, 1): "status"} if state else {})


PROTOBUF_PLACE_ORDER: dict[Path, str] = {(1,): "order_id", **_paths(2, 3)}
PROTOBUF_ANSWERS: dict[int, dict[Path, str]] = {
    ORDER_STATUS: {(1,): "order_id", (2,): "status", (6,): "perm_id", (9,): "client_id"},
    OPEN_ORDER: {(1,): "order_id", **_paths(2, 3, 4)},
    COMPLETED_ORDER: _paths(1, 2, 3),
    EXECUTION: {
        (1,): "request_id",
        (3, 1): "order_id",
        (3, 2): "exec_id",
        (3, 3): "time",
        (3, 4): "account",
        (3, 7): "shares",
        (3, 8): "price",
        (3, 9): "perm_id",
        (3, 10): "client_id",
        (3, 14): "order_ref",
    },
}


def text_fields(row: Request | Response, payload: bytes, version: int) -> list[bytes]:
    """Return the text fields behind message id and VERSION."""
    fields = body_fields(payload, version)
    if row.version_field is not None and version <= row.version_field[1]:
        del fields[:1]
    return fields


def read_text(layout: Layout, fields: list[bytes], version: int) -> tuple[dict[str, bytes], bool]:
    """Return the named fields that are there, and whether the message was as long as its layout says."""
    values: dict[str, bytes] = {}
    waiting = list(reversed(layout))
    at = 0
    while waiting:
        item = waiting.pop()
        match item:
            case str():
                if at >= len(fields):
                    return values, False
                values[item] = fields[at]
                at += 1
            case int():
                at += item
            case Since(size, low, high):
                at += size if low <= version <= high else 0
            case When(name, test, items):
                waiting += reversed(items) if test(values[name]) else ()
            case _:  # Rows
                count = _count(fields[at]) if at < len(fields) else None
                if count is None:
                    return values, False
                at += 1 + count * item.width
    return values, at <= len(fields)


def _count(value: bytes) -> int | None:
    """Return the length of a list; an empty field is an empty list."""
    if not value:
        return 0
    return int(value) if value.isdigit() and len(value) < 9 else None


def read_protobuf(paths: Mapping[Path, str], payload: bytes) -> dict[str, bytes | int] | None:
    """Return the named values; None when the body is malformed."""
    values: dict[str, bytes | int] = {}
    inner = {path[0] for path in paths if len(path) > 1}
    try:
        for field, wire_type, value in scan(payload, _ID_BYTES):
            if field in inner and isinstance(value, bytes) and wire_type == BYTES:
                for below, below_type, below_value in scan(value):
                    _keep(values, paths.get((field, below)), (below_type, below_value))
            else:
                _keep(values, paths.get((field,)), (wire_type, value))
    except ValueError:
        return None
    return values


def _keep(values: dict[str, bytes | int], name: str | None, found: tuple[int, int | bytes]) -> None:
    wire_type, value = found
    if name is not None and wire_type == DOUBLE and isinstance(value, bytes):
        value = repr(unpack("<d", value)[0]).encode()  # a number in words, as every other one that is no integer
    if name is not None and wire_type in (VARINT, BYTES, DOUBLE):
        values[name] = value


def decimal_of(value: bytes) -> Decimal | None:
    """Return the number; None when there is none, or one that says that it was not set."""
    try:
        number = Decimal(value.decode("latin-1"))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < UNSET_NUMBER else None
