"""Reading the few fields of orders that tell which order a message is about, and how it stands.

openOrder (5), orderStatus (3), completedOrder (101) and execDetails (11) of a server, placeOrder (3) of a client; text
bodies of versions 100 to 212 and protobuf bodies. Nothing here raises on what the wire brought: what can not be read is
None. Long messages are described as layouts: a name is a field that is wanted, a number so many that are not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from backstay.protocol.messages import is_protobuf, message_id, request_key
from backstay.protocol.order_layouts import (
    ANSWERS,
    COMPLETED_ORDER,
    EXERCISE_OPTIONS,
    OPEN_ORDER,
    ORDER_STATUS,
    PLACE_ORDER,
    PLACE_ORDER_FIELDS,
    PROTOBUF_ANSWERS,
    PROTOBUF_PLACE_ORDER,
    decimal_of,
    is_said,
    read_protobuf,
    read_text,
    text_fields,
)
from backstay.protocol.requests import REQUESTS
from backstay.protocol.responses import EXECUTION, RESPONSES
from backstay.protocol.wire import int64

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
    price: Decimal = Decimal(0)
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
        shares=decimal_of(_text(values, "shares").encode()) or Decimal(0),
        price=decimal_of(_text(values, "price").encode()) or Decimal(0),
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
        values: Values = read_protobuf(PROTOBUF_PLACE_ORDER, payload) or {}
    else:
        values, _ = read_text(PLACE_ORDER_FIELDS, text_fields(REQUESTS[PLACE_ORDER], payload, version), version)
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
        return read_protobuf(PROTOBUF_ANSWERS[number], payload)
    values, whole = read_text(ANSWERS[number], text_fields(RESPONSES[number], payload, version), version)
    return values if whole else None


def _look(values: Values) -> Look:
    return Look(
        con_id=_integer(values, "con_id") or 0,
        symbol=_text(values, "symbol"),
        sec_type=_text(values, "sec_type"),
        action=_text(values, "action"),
        quantity=decimal_of(_text(values, "quantity").encode()),
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
    return is_said(value) if isinstance(value, bytes) else bool(value)
