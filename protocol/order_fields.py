"""Reading the few fields of orders that tell which order a message is about, and how it stands.

openOrder (5), orderStatus (3), completedOrder (101) and execDetails (11) of a server, placeOrder (3) of a client; text
bodies of versions 100 to 212 and protobuf bodies. Nothing here raises on what the wire brought: what can not be read is
None. Long messages are described as layouts: a name is a field that is wanted, a number so many that are not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from backstay.protocol.messages import body_fields, is_protobuf, message_id, request_key
from backstay.protocol.requests import REQUESTS
from backstay.protocol.responses import EXECUTION, RESPONSES
from backstay.protocol.vocabulary import HIGHEST_VERSION, LOWEST_VERSION, Request, Response
from backstay.protocol.wire import BYTES, VARINT, int64, scan

PLACE_ORDER, EXERCISE_OPTIONS = 3, 21
ORDER_STATUS, OPEN_ORDER, COMPLETED_ORDER = 3, 5, 101
OPEN_ORDERS_END, EXECUTIONS_END, COMPLETED_ORDERS_END = 53, 55, 102

COMBINATION = "BAG"
"""Security type of an order in several instruments at once; it executes leg by leg."""

UNSET_NUMBER = Decimal("1e300")
"""Above it, a number says that it was not set (TWS writes the largest double, or 2**127 - 1)."""

_ID_BYTES = 4
_INT64 = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What an order is for: enough to tell that another one can not be the same. Empty or None: not said."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    action: str = ""
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """What TWS says of an order.

    A completed order comes without order id and client id, an orderStatus without ``order_ref``, ``account`` and
    ``look``. ``perm_id`` is 0 where it is not known. ``what_if`` marks the answer to a preview, which is no order.
    """

    message_id: int
    order_id: int | None
    client_id: int | None
    perm_id: int = 0
    order_ref: str = ""
    account: str = ""
    status: str = ""
    what_if: bool = False
    look: Look = Look()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFacts:
    """One fill. ``request_id`` is -1 for a fill as it happens, ``order_id`` 0 for one that was not made by an API.

    ``time`` is as TWS writes it; see `moment_of`.
    """

    request_id: int
    order_id: int
    client_id: int
    exec_id: str
    perm_id: int = 0
    order_ref: str = ""
    account: str = ""
    shares: Decimal = Decimal(0)
    time: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """What a client ordered, or changed an order to.

    ``what_if`` asks for a preview, which is no order. Without ``transmit`` TWS keeps the order to itself until
    another one releases it. ``parent_id`` is 0 for an order that waits for no other one; of those that share an
    ``oca_group`` the fill of one cancels the rest.
    """

    order_id: int
    order_ref: str = ""
    account: str = ""
    look: Look = Look()
    what_if: bool = False
    transmit: bool = True
    parent_id: int = 0
    oca_group: str = ""


Values = Mapping[str, bytes | int]


@dataclass(frozen=True, slots=True)
class _When:
    """Items that are there if a field that was read before says so."""

    name: str
    test: Callable[[bytes], bool]
    items: "tuple[_Item, ...]"


@dataclass(frozen=True, slots=True)
class _Rows:
    """A count, and as many groups of ``width`` fields."""

    width: int


@dataclass(frozen=True, slots=True)
class _Since:
    """So many fields in the versions given, both included."""

    count: int
    low: int = LOWEST_VERSION
    high: int = HIGHEST_VERSION


_Item = str | int | _When | _Rows | _Since
_Layout = tuple[_Item, ...]


def _is_said(value: bytes) -> bool:
    return value not in (b"", b"0", b"false")


def _is_combination(value: bytes) -> bool:
    return value == COMBINATION.encode()


def _is_scale(value: bytes) -> bool:
    number = _decimal(value)
    return number is not None and number > 0


_CONTRACT: _Layout = ("con_id", "symbol", "sec_type", 5)
_TERMS: _Layout = ("action", "quantity", 5, "account", 2, "order_ref")
_ADVISER: _Layout = (3, _Since(1, high=176), _Since(1, low=103))
_LEGS: _Layout = (_Rows(8), _Rows(1), _Rows(2))
_SCALE: _Layout = (2, "scale", _When("scale", _is_scale, (7,)))
_HEDGE: _Layout = ("hedge", _When("hedge", _is_said, (1,)))
_UNDERLYING: _Layout = ("underlying", _When("underlying", _is_said, (3,)))
_ALGO: _Layout = ("algo", _When("algo", bool, (_Rows(2),)))


def _volatility(width: int) -> _Layout:
    """Volatility fields, with so many more when the order carries another one that hedges it."""
    return (2, "hedge_order", 1, _When("hedge_order", bool, (width,)))


_PLACE_ORDER: _Layout = (
    *("order_id", *_CONTRACT, 6),
    *("action", "quantity", 4, "oca_group", "account", 2, "order_ref", "transmit", "parent_id", 6),
    *(_When("sec_type", _is_combination, _LEGS), 4, *_ADVISER, 19, *_volatility(8), 4),
    *(*_SCALE, 3, *_HEDGE, 4, *_UNDERLYING, *_ALGO, 1, "what_if"),
)
_OPEN_ORDER: _Layout = (
    *("order_id", *_CONTRACT, 3, *_TERMS, "client_id", "perm_id", 5, *_ADVISER, 24, *_volatility(8), 7, *_LEGS),
    *(*_SCALE, *_HEDGE, 4, *_UNDERLYING, *_ALGO, 1, "what_if", "status"),
)
_COMPLETED_ORDER: _Layout = (
    *(*_CONTRACT, 3, *_TERMS, "perm_id", 4, *_ADVISER, 18, *_volatility(4), 5, *_LEGS),
    *(*_SCALE, *_HEDGE, 3, *_UNDERLYING, *_ALGO, 1, "status"),
)
_ORDER_STATUS: _Layout = ("order_id", "status", 3, "perm_id", 2, "client_id")
_EXECUTION: _Layout = (
    *("request_id", "order_id", 11, "exec_id", "time", "account", 2, "shares", 1, "perm_id", "client_id", 3),
    "order_ref",
)

_ANSWERS: dict[int, _Layout] = {
    ORDER_STATUS: _ORDER_STATUS,
    OPEN_ORDER: _OPEN_ORDER,
    COMPLETED_ORDER: _COMPLETED_ORDER,
    EXECUTION: _EXECUTION,
}

# Protobuf: number of the field, or of the sub-message and the field in it -> name. Found by recording what a client
# sends, and by showing bodies to its decoder.
_Path = tuple[int, ...]


def _paths(contract: int, order: int, state: int = 0) -> dict[_Path, str]:
    found: dict[_Path, str] = {(contract, 1): "con_id", (contract, 2): "symbol", (contract, 3): "sec_type"}
    found |= {(order, 1): "client_id", (order, 3): "perm_id", (order, 5): "action", (order, 6): "quantity"}
    found |= {(order, 4): "parent_id", (order, 27): "oca_group"}
    found |= {(order, 12): "account", (order, 28): "order_ref", (order, 65): "what_if", (order, 66): "transmit"}
    return found | ({(state, 1): "status"} if state else {})


_PROTOBUF_PLACE_ORDER: dict[_Path, str] = {(1,): "order_id", **_paths(2, 3)}
_PROTOBUF_ANSWERS: dict[int, dict[_Path, str]] = {
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
        (3, 9): "perm_id",
        (3, 10): "client_id",
        (3, 14): "order_ref",
    },
}


@lru_cache(maxsize=256)  # TWS repeats itself, and what it says of an order is read in more than one place
def read_order(payload: bytes, version: int) -> OrderFacts | None:
    """Return what an openOrder, orderStatus or completedOrder says; None when it is another message or malformed."""
    number = message_id(payload, version)
    if number not in (ORDER_STATUS, OPEN_ORDER, COMPLETED_ORDER):
        return None
    values = _answer(number, payload, version)
    if values is None:
        return None
    completed = number == COMPLETED_ORDER
    order_id = None if completed else _integer(values, "order_id")
    if order_id is None and not completed:
        return None
    return OrderFacts(
        message_id=number,
        order_id=order_id,
        client_id=None if completed else _integer(values, "client_id"),
        perm_id=_integer(values, "perm_id") or 0,
        order_ref=_text(values, "order_ref"),
        account=_text(values, "account"),
        status=_text(values, "status"),
        what_if=_flag(values, "what_if"),
        look=_look(values),
    )


def read_execution(payload: bytes, version: int) -> ExecutionFacts | None:
    """Return what an execDetails says; None when it is another message or malformed."""
    values = _answer(EXECUTION, payload, version) if message_id(payload, version) == EXECUTION else None
    if not values or not _text(values, "exec_id"):
        return None
    request_id = _integer(values, "request_id")
    return ExecutionFacts(
        request_id=-1 if request_id is None else request_id,
        order_id=_integer(values, "order_id") or 0,
        client_id=_integer(values, "client_id") or 0,
        exec_id=_text(values, "exec_id"),
        perm_id=_integer(values, "perm_id") or 0,
        order_ref=_text(values, "order_ref"),
        account=_text(values, "account"),
        shares=_decimal(_text(values, "shares").encode()) or Decimal(0),
        time=_text(values, "time"),
    )


def read_placed(payload: bytes, version: int) -> PlacedOrder | None:
    """Return what a placeOrder of a client says; None when it is another message, or has no readable order id.

    One that can be read in part only (a layout of a later version) counts as an order that is transmitted. Of an
    exerciseOptions (21), the order id alone is read.
    """
    number = message_id(payload, version)
    if number == EXERCISE_OPTIONS:
        exercised = request_key(payload, version)
        return None if exercised is None else PlacedOrder(order_id=exercised)
    if number != PLACE_ORDER:
        return None
    protobuf = is_protobuf(payload, version)
    if protobuf:
        values: Values = _read_protobuf(_PROTOBUF_PLACE_ORDER, payload) or {}
    else:
        values, _ = _read_text(_PLACE_ORDER, _fields(REQUESTS[PLACE_ORDER], payload, version), version)
    order_id = _integer(values, "order_id")
    if order_id is None:
        return None
    transmit = _flag(values, "transmit") if protobuf or "transmit" in values else True
    return PlacedOrder(
        order_id=order_id,
        order_ref=_text(values, "order_ref"),
        account=_text(values, "account"),
        look=_look(values),
        what_if=_flag(values, "what_if"),
        transmit=transmit,
        parent_id=_integer(values, "parent_id") or 0,
        oca_group=_text(values, "oca_group"),
    )


def _answer(number: int, payload: bytes, version: int) -> Values | None:
    if is_protobuf(payload, version):
        return _read_protobuf(_PROTOBUF_ANSWERS[number], payload)
    values, whole = _read_text(_ANSWERS[number], _fields(RESPONSES[number], payload, version), version)
    return values if whole else None


def _fields(row: Request | Response, payload: bytes, version: int) -> list[bytes]:
    """Return the text fields behind message id and VERSION."""
    fields = body_fields(payload, version)
    if row.version_field is not None and version <= row.version_field[1]:
        del fields[:1]
    return fields


def _read_text(layout: _Layout, fields: list[bytes], version: int) -> tuple[dict[str, bytes], bool]:
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
            case _Since(size, low, high):
                at += size if low <= version <= high else 0
            case _When(name, test, items):
                waiting += reversed(items) if test(values[name]) else ()
            case _:  # _Rows
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


def _read_protobuf(paths: Mapping[_Path, str], payload: bytes) -> dict[str, bytes | int] | None:
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
    if name is not None and wire_type in (VARINT, BYTES):
        values[name] = value


def _look(values: Values) -> Look:
    return Look(
        con_id=_integer(values, "con_id") or 0,
        symbol=_text(values, "symbol"),
        sec_type=_text(values, "sec_type"),
        action=_text(values, "action"),
        quantity=_decimal(_text(values, "quantity").encode()),
    )


def _integer(values: Values, name: str) -> int | None:
    value = values.get(name)
    if isinstance(value, int):
        return int64(value)
    try:
        number = None if value is None else int(value)
    except ValueError:
        return None
    return number if number is None or -_INT64 <= number < _INT64 else None


def _text(values: Values, name: str) -> str:
    """Return a text for comparisons: every byte kept, whatever its encoding."""
    value = values.get(name, b"")
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _flag(values: Values, name: str) -> bool:
    value = values.get(name, b"")
    return _is_said(value) if isinstance(value, bytes) else bool(value)


def _decimal(value: bytes) -> Decimal | None:
    try:
        number = Decimal(value.decode("latin-1"))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < UNSET_NUMBER else None
