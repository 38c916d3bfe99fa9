"""Ticks, order books and bars as typed events; see `events`."""

from typing import NamedTuple

# -- ticks -----------------------------------------------------------------------------------------------------------


class TickPrice(NamedTuple):
    """A price of type `tick` (1 bid, 2 ask, 4 last ...), with its size where it has one."""

    request_id: int
    tick: int
    price: float
    size: float
    attributes: int


class TickSize(NamedTuple):
    """A size of type `tick` (0 bid, 3 ask, 5 last, 8 volume ...)."""

    request_id: int
    tick: int
    size: float


class TickGeneric(NamedTuple):
    """A number of type `tick`."""

    request_id: int
    tick: int
    value: float


class TickString(NamedTuple):
    """A text of type `tick` (45 time of the last trade, 48 trade with volume ...)."""

    request_id: int
    tick: int
    value: str


class TickOption(NamedTuple):
    """Model values of an option; None where TWS could not compute one."""

    request_id: int
    tick: int
    attributes: int
    implied_volatility: float | None
    delta: float | None
    option_price: float | None
    present_value_dividend: float | None
    gamma: float | None
    vega: float | None
    theta: float | None
    underlying_price: float | None


class TickParameters(NamedTuple):
    """Smallest tick and exchange map of a market data request: the first sign that TWS has it."""

    request_id: int
    smallest_tick: float
    exchange_map: str
    snapshot_permissions: int


class MarketDataType(NamedTuple):
    """Which data follows: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen."""

    request_id: int
    kind: int


class TradeTick(NamedTuple):
    """A trade, tick by tick."""

    request_id: int
    kind: int
    time: int
    price: float
    size: float
    attributes: int
    exchange: str
    conditions: str


class BidAskTick(NamedTuple):
    """A quote, tick by tick."""

    request_id: int
    time: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    attributes: int


class MidpointTick(NamedTuple):
    """A midpoint, tick by tick."""

    request_id: int
    time: int
    midpoint: float


class Depth(NamedTuple):
    """One change of an order book. `operation` 0 insert, 1 update, 2 delete; `side` 0 ask, 1 bid."""

    request_id: int
    position: int
    market_maker: str
    operation: int
    side: int
    price: float
    size: float
    smart: bool = False


# -- bars ------------------------------------------------------------------------------------------------------------


class Bar(NamedTuple):
    """One bar. `time` is a day, a date and time with its zone, or seconds since the epoch, as asked for."""

    time: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    average: float
    trades: int


class Bars(NamedTuple):
    """Bars of the past, as many as came in one message."""

    request_id: int
    bars: tuple[Bar, ...]


class BarUpdate(NamedTuple):
    """The bar that is being made, of a request that is kept up to date."""

    request_id: int
    bar: Bar


class RealtimeBar(NamedTuple):
    """A bar of five seconds; `time` in seconds since the epoch."""

    request_id: int
    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    average: float
    trades: int
