"""What an order, an execution and a holding are."""

from dataclasses import dataclass, field
from enum import Enum

from backstay.simulator.catalogue import Instrument
from backstay.simulator.fields import read_integer, read_number
from backstay.simulator.layout import Record

UNSET_DOUBLE_TEXT = "1.7976931348623157E308"
"""How TWS writes a number it does not know."""


class Status(Enum):
    """An order's status as TWS calls it."""

    PENDING_SUBMIT = "PendingSubmit"
    PRE_SUBMITTED = "PreSubmitted"
    SUBMITTED = "Submitted"
    PENDING_CANCEL = "PendingCancel"
    FILLED = "Filled"
    CANCELLED = "Cancelled"


FINAL = frozenset((Status.FILLED, Status.CANCELLED))


@dataclass(slots=True, eq=False)
class Order:
    """One order; it belongs to a client id and outlives that client's sockets.

    ``record`` is what the client wrote, so that it can be echoed. ``placements`` counts the placeOrder messages that
    arrived for it: one more per modification, and the proof when an order was sent twice. While ``silent``, nobody is
    told about it. One that ended on an earlier day is ``old``, and listed no more. A ``manual`` order was entered by a
    person in TWS; its order id is 0 until it is bound.
    """

    client_id: int
    order_id: int
    perm_id: int
    instrument: Instrument
    record: Record
    account: str
    manual: bool = False
    silent: bool = False
    status: Status = Status.PENDING_SUBMIT
    transmitted: bool = True
    filled: float = 0.0
    average_price: float = 0.0
    last_price: float = 0.0
    placements: int = 1
    completed_time: str = ""
    old: bool = False

    @property
    def live(self) -> bool:
        """Whether it can still fill."""
        return self.status not in FINAL

    @property
    def action(self) -> str:
        """BUY, SELL or SSHORT."""
        return self.record.get("action")

    @property
    def buys(self) -> bool:
        """Whether it adds to a position."""
        return self.action == "BUY"

    @property
    def kind(self) -> str:
        """MKT, LMT, STP ..."""
        return self.record.get("order_type")

    @property
    def quantity(self) -> float:
        """How many were ordered."""
        return read_number(self.record.get("quantity")) or 0.0

    @property
    def remaining(self) -> float:
        """How many are not filled; those of a cancelled order too."""
        return self.quantity - self.filled

    @property
    def limit(self) -> float | None:
        """The limit price."""
        return read_number(self.record.get("limit_price"))

    @property
    def stop(self) -> float | None:
        """The stop price."""
        return read_number(self.record.get("aux_price"))

    @property
    def parent_id(self) -> int:
        """The order that must fill first, 0 for none."""
        return read_integer(self.record.get("parent_id"))


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill of an order."""

    exec_id: str
    order: Order
    time: str
    shares: float
    price: float
    cumulative: float
    average_price: float
    commission: float
    realized: float | None


@dataclass(slots=True)
class Holding:
    """A position in one instrument of one account."""

    instrument: Instrument
    quantity: float = 0.0
    average_cost: float = 0.0
    realized: float = 0.0

    @property
    def unit(self) -> float:
        """What one contract is worth at a price of 1."""
        return float(self.instrument.multiplier or 1)


@dataclass(slots=True)
class Ledger:
    """One account: its money and what it holds, by contract id."""

    cash: float
    realized: float = 0.0
    holdings: dict[int, Holding] = field(default_factory=dict[int, Holding])

    def book(self, order: Order, shares: float, price: float, /) -> float | None:
        """Take a fill into the account; return the profit realised, None when the fill opened or added."""
        holding = self.holdings.setdefault(order.instrument.con_id, Holding(order.instrument))
        signed = shares if order.buys else -shares
        cost = price * holding.unit
        self.cash -= signed * cost
        before, after = holding.quantity, holding.quantity + signed
        closed = min(abs(signed), abs(before)) if before * signed < 0 else 0.0
        gain = closed * (cost - holding.average_cost) * (1 if before > 0 else -1)
        if before * signed >= 0:
            holding.average_cost = (abs(before) * holding.average_cost + shares * cost) / abs(after)
        elif before * after < 0:
            holding.average_cost = cost
        holding.quantity = after
        holding.realized += gain
        self.realized += gain
        return gain if closed else None
