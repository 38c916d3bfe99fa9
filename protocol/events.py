"""What TWS says, as typed events: one class a message, in words of our own.

Prices are floats in the currency of the instrument. Sizes of ticks and bars are floats; quantities of orders, fills and
positions are Decimals, since somebody adds them up. Times are as TWS writes them: seconds since the epoch as an int, or
its own text. None: TWS did not say. A message without a class of its own is a `Message`: its id and its fields.
"""

from decimal import Decimal
from typing import NamedTuple

from backstay.protocol.builders_terms import Contract
from backstay.protocol.events_market import (
    Bar,
    Bars,
    BarUpdate,
    BidAskTick,
    Depth,
    MarketDataType,
    MidpointTick,
    RealtimeBar,
    TickGeneric,
    TickOption,
    TickParameters,
    TickPrice,
    TickSize,
    TickString,
    TradeTick,
)
from backstay.protocol.previews import Preview

__all__ = [
    "AccountEnd",
    "AccountSummary",
    "AccountTime",
    "AccountUpdateMulti",
    "AccountValue",
    "Bar",
    "BarUpdate",
    "Bars",
    "BidAskTick",
    "Commission",
    "CompletedOrder",
    "ContractDetails",
    "CurrentTime",
    "CurrentTimeMillis",
    "Depth",
    "Error",
    "Execution",
    "ManagedAccounts",
    "MarketDataType",
    "Message",
    "MidpointTick",
    "NextOrderId",
    "OpenOrder",
    "OrderStatus",
    "Portfolio",
    "Position",
    "PositionMulti",
    "Preview",
    "ProfitAndLoss",
    "ProfitAndLossSingle",
    "RealtimeBar",
    "SnapshotEnd",
    "TickGeneric",
    "TickOption",
    "TickParameters",
    "TickPrice",
    "TickSize",
    "TickString",
    "TradeTick",
]


class Message(NamedTuple):
    """Any other message: its id, the request it answers (None: none) and its fields behind id and VERSION."""

    message_id: int
    request_id: int | None
    fields: tuple[str, ...]


# -- errors and the connection ---------------------------------------------------------------------------------------


class Error(NamedTuple):
    """An error, warning or notice with the code a TWS programmer knows; `request_id` -1 is about no request."""

    request_id: int
    code: int
    text: str
    reject: str = ""
    time_ms: int = 0


class NextOrderId(NamedTuple):
    """The least order id that TWS takes next."""

    order_id: int


class ManagedAccounts(NamedTuple):
    """The accounts of this login."""

    accounts: tuple[str, ...]


class CurrentTime(NamedTuple):
    """The time at TWS, in seconds since the epoch."""

    seconds: int


class CurrentTimeMillis(NamedTuple):
    """The time at TWS, in ms since the epoch."""

    milliseconds: int


# -- orders and executions -------------------------------------------------------------------------------------------


class OrderStatus(NamedTuple):
    """How an order stands. Repeats are normal."""

    order_id: int
    status: str
    filled: Decimal
    remaining: Decimal
    average_price: float
    perm_id: int
    parent_id: int
    last_price: float
    client_id: int
    why_held: str
    cap_price: float | None = None


class OpenOrder(NamedTuple):
    """An order that TWS has, as it has it. `status` is empty where the message could not be read to its end."""

    order_id: int
    contract: Contract
    action: str
    quantity: Decimal
    order_type: str
    limit_price: float | None
    aux_price: float | None
    tif: str
    account: str
    order_ref: str
    client_id: int
    perm_id: int
    status: str = ""


class CompletedOrder(NamedTuple):
    """An order of today that is over. TWS does not say its order id; the permanent id tells which it is."""

    contract: Contract
    action: str
    quantity: Decimal
    order_type: str
    limit_price: float | None
    aux_price: float | None
    tif: str
    account: str
    order_ref: str
    perm_id: int
    status: str = ""


class Execution(NamedTuple):
    """One fill; `request_id` -1 as it happens. `exec_id` tells fills apart; a correction ends in another number."""

    request_id: int
    order_id: int
    contract: Contract
    exec_id: str
    time: str
    account: str
    exchange: str
    side: str
    shares: Decimal
    price: float
    perm_id: int
    client_id: int
    liquidation: int
    cumulative: Decimal
    average_price: float
    order_ref: str


class Commission(NamedTuple):
    """What a fill has cost."""

    exec_id: str
    commission: float
    currency: str
    realized_pnl: float | None
    bond_yield: float | None
    redemption_date: int


# -- accounts and positions ------------------------------------------------------------------------------------------


class AccountValue(NamedTuple):
    """One value of an account; numbers are texts as well."""

    key: str
    value: str
    currency: str
    account: str


class Portfolio(NamedTuple):
    """One position with its value."""

    contract: Contract
    position: Decimal
    market_price: float
    market_value: float
    average_cost: float
    unrealized_pnl: float
    realized_pnl: float
    account: str


class AccountTime(NamedTuple):
    """When the values of the account were last changed (hh:mm)."""

    time: str


class AccountEnd(NamedTuple):
    """All values of the account have come once."""

    account: str


class AccountSummary(NamedTuple):
    """One value of an account summary."""

    request_id: int
    account: str
    tag: str
    value: str
    currency: str


class AccountUpdateMulti(NamedTuple):
    """One value of an account or model."""

    request_id: int
    account: str
    model: str
    key: str
    value: str
    currency: str


class Position(NamedTuple):
    """One position of an account."""

    account: str
    contract: Contract
    position: Decimal
    average_cost: float


class PositionMulti(NamedTuple):
    """One position of an account or model."""

    request_id: int
    account: str
    contract: Contract
    position: Decimal
    average_cost: float
    model: str


class ProfitAndLoss(NamedTuple):
    """Profit and loss of an account; None where it cannot be told."""

    request_id: int
    daily: float | None
    unrealized: float | None
    realized: float | None


class ProfitAndLossSingle(NamedTuple):
    """Profit and loss of one position."""

    request_id: int
    position: Decimal
    daily: float | None
    unrealized: float | None
    realized: float | None
    value: float | None


class SnapshotEnd(NamedTuple):
    """The first snapshot of a request has come whole; `message_id` tells of what. A stream goes on behind it."""

    message_id: int
    request_id: int | None


# -- contracts -------------------------------------------------------------------------------------------------------


class ContractDetails(NamedTuple):
    """What TWS knows of an instrument; what has no name here is in `rest`."""

    request_id: int
    contract: Contract
    market_name: str
    smallest_tick: float
    order_types: str
    exchanges: str
    price_magnifier: int
    underlying_con_id: int
    long_name: str
    contract_month: str
    industry: str
    category: str
    subcategory: str
    time_zone: str
    trading_hours: str
    liquid_hours: str
    rest: tuple[str, ...]
