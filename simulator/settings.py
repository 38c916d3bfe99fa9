"""What can be chosen about a simulator; all of it has a default that behaves like a paper account."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import TypedDict

OLDEST_VERSION = 100
"""The first server version with length-prefixed frames."""

NEWEST_VERSION = 226
"""The last server version any client offers; from 213 on every message that has a schema is protobuf."""

USUAL_VERSION = 200
"""The last server version whose messages are all text, and what today's gateways agree on with most clients."""


class Fills(Enum):
    """Which orders fill by themselves; the others rest until a test fills or cancels them."""

    MARKET = "market"
    CROSSING = "crossing"
    NONE = "none"


class Configuration(Enum):
    """What becomes of a question for the gateway's own settings (reqConfig)."""

    TOLD = "told"
    REFUSED = "refused"
    SILENT = "silent"


class Options(TypedDict, total=False):
    """The keyword arguments of ``Simulator``: the fields of ``Settings``."""

    server_version: int
    seed: int
    accounts: tuple[str, ...]
    tick_seconds: float
    bar_seconds: float
    pnl_seconds: float
    first_order_id: int
    fills: Fills
    fill_seconds: float
    master_client_id: int | None
    clients_max: int
    time_once_a_second: bool
    push_open_orders: bool
    delayed_symbols: tuple[str, ...]
    market_open: bool
    upstream_repeat_seconds: float
    historical_pacing: bool
    cash: float
    exit_at: str
    restarts: bool
    read_only: bool
    configuration: Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One simulator's choices. Times in seconds.

    - ``server_version``: the highest spoken; a client gets the lower of this and its own highest.
    - ``tick_seconds``, ``bar_seconds``, ``pnl_seconds``: pace of quotes, of bars and their updates, of profit and loss.
    - ``first_order_id``: next valid id of a client id that never placed an order.
    - ``fill_seconds``: how long an order that fills by itself is live first; 0 fills it with its acknowledgement.
    - ``time_once_a_second``: TWS leaves a second reqCurrentTime within a second unanswered.
    - ``push_open_orders``: some builds send a returning client its live orders before the session is ready.
    - ``delayed_symbols``: instruments without a live subscription (errors 354 and 10167, delayed ticks).
    - ``market_open``: when closed, market data types 2 and 4 give one frozen burst of ticks.
    - ``historical_pacing``: refuse identical and too many historical queries with 162, as TWS does.
    - ``exit_at``: HH:MM in UTC, when it says that it ends by itself each day; ``restarts``: and comes back.
    - ``read_only``: Read-Only API is ticked: whatever changes or lists orders is refused with 321.
    """

    server_version: int = USUAL_VERSION
    seed: int = 1
    accounts: tuple[str, ...] = ("DU1234567",)
    tick_seconds: float = 0.05
    bar_seconds: float = 5.0
    pnl_seconds: float = 1.0
    first_order_id: int = 1
    fills: Fills = Fills.MARKET
    fill_seconds: float = 0.0
    master_client_id: int | None = None
    clients_max: int = 32
    time_once_a_second: bool = True
    push_open_orders: bool = False
    delayed_symbols: tuple[str, ...] = ()
    market_open: bool = True
    upstream_repeat_seconds: float = 5.0
    historical_pacing: bool = False
    cash: float = 100_000.0
    exit_at: str = ""
    restarts: bool = True
    read_only: bool = False
    configuration: Configuration = Configuration.TOLD

    def __post_init__(self) -> None:
        if not OLDEST_VERSION <= self.server_version <= NEWEST_VERSION:
            raise ValueError(f"server_version is {OLDEST_VERSION} to {NEWEST_VERSION}, not {self.server_version}")
        if not self.accounts:
            raise ValueError("accounts must name at least one account")
        for name in ("tick_seconds", "bar_seconds", "pnl_seconds", "upstream_repeat_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")
        if self.exit_at and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", self.exit_at):
            raise ValueError(f"exit_at is HH:MM, not {self.exit_at}")
