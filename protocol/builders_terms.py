"""What an application says in its requests: contracts, their legs, and orders.

Plain values with names of our own. Prices and sizes are in the units of the instrument; None and the empty text mean
that nothing is said, and TWS decides. Nothing is checked here: a request is checked when it is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

Number = int | float | Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One instrument of a combination. `price` is this leg's own limit, where the order gives one a leg."""

    con_id: int
    ratio: int = 1
    action: str = "BUY"
    exchange: str = ""
    open_close: int = 0
    short_slot: int = 0
    short_location: str = ""
    exempt_code: int = -1
    price: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """An instrument, or a pattern that several fit. `expiry` is a month (202612) or a day (20261218)."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    strike: Number | None = None
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""
    include_expired: bool = False
    sec_id_type: str = ""
    sec_id: str = ""
    issuer_id: str = ""
    legs: tuple[Leg, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order. What is not among these fields goes into `more`, under the names that `builders_orders` lists.

    `good_after` and `good_till` are times as TWS writes them. `what_if` asks for a preview. Without `transmit` TWS
    keeps the order to itself until another one releases it.
    """

    action: str
    quantity: Number
    order_type: str = "MKT"
    limit_price: Number | None = None
    aux_price: Number | None = None
    tif: str = "DAY"
    account: str = ""
    order_ref: str = ""
    transmit: bool = True
    parent_id: int = 0
    oca_group: str = ""
    oca_type: int = 0
    outside_rth: bool = False
    hidden: bool = False
    all_or_none: bool = False
    display_size: int = 0
    good_after: str = ""
    good_till: str = ""
    trail_stop_price: Number | None = None
    trailing_percent: Number | None = None
    algo: str = ""
    algo_parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    what_if: bool = False
    more: Mapping[str, object] = field(default_factory=dict[str, object])
