"""Subscriptions of clients: one object each, stepped by the clock of its pace, found again by family and id."""

from enum import Enum
from typing import TYPE_CHECKING

from backstay.simulator.catalogue import Instrument

if TYPE_CHECKING:
    from backstay.simulator.orders import Holding
    from backstay.simulator.session import Session


class Pace(Enum):
    """What moves a stream: quotes, bars, profit and loss, or only events."""

    TICK = "tick"
    BAR = "bar"
    PNL = "pnl"
    EVENT = "event"


class Family(Enum):
    """Request ids are unique per family only: TWS lets a depth and a market data request share one."""

    MARKET_DATA = "market_data"
    DEPTH = "depth"
    REAL_TIME_BARS = "real_time_bars"
    HISTORY = "history"
    SCANNER = "scanner"
    TICK_BY_TICK = "tick_by_tick"
    ACCOUNT_SUMMARY = "account_summary"
    PNL = "pnl"
    PNL_SINGLE = "pnl_single"
    POSITIONS_MULTI = "positions_multi"
    ACCOUNT_MULTI = "account_multi"
    POSITIONS = "positions"
    ACCOUNT = "account"
    BULLETINS = "bulletins"
    DISPLAY_GROUP = "display_group"


MARKET_FAMILIES = frozenset(
    (Family.MARKET_DATA, Family.DEPTH, Family.REAL_TIME_BARS, Family.HISTORY, Family.SCANNER, Family.TICK_BY_TICK)
)
"""What 1101 loses: data from the farms. Account and position subscriptions live in TWS itself."""


class Stream:
    """One subscription; ``dead`` ones are still registered but silent, as after 1101 or a farm that came back wrong."""

    def __init__(
        self, session: "Session", family: Family, request_id: int, *, pace: Pace, instrument: Instrument | None = None
    ) -> None:
        self.session = session
        self.family = family
        self.request_id = request_id
        self.pace = pace
        self.instrument = instrument
        self.dead = False
        self.started = False

    @property
    def farm(self) -> str | None:
        """Who delivers the data; None for what TWS knows by itself."""
        return self.instrument.farm if self.instrument else None

    def start(self) -> None:
        """Send what comes first; again when IB's servers were away at the request."""

    def step(self) -> None:
        """Send what one beat of the pace brings."""

    def changed(self, account: str, holding: "Holding") -> None:
        """Send what a fill changed in an account."""
