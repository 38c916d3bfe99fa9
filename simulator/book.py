"""All orders of a simulated TWS, whoever placed them, and the rules about their ids and lives.

The book decides and remembers; what clients are told about it is said by an ``OrderNews``.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from backstay.simulator.catalogue import Instrument
from backstay.simulator.fields import Refused
from backstay.simulator.layout import Record
from backstay.simulator.market import Market
from backstay.simulator.orders import Execution, Ledger, Order, Status
from backstay.simulator.settings import Fills, Settings

FIRST_PERM_ID = 1_000_000_001
"""Permanent ids are ten digits, and fit 31 bits so that clients below version 191 can read them."""

COMMISSION = 1.0
"""The least a small order costs, in the instrument's currency."""


class OrderNews(Protocol):
    """Who tells clients what happened to an order."""

    def opened(self, order: Order) -> None:
        """An order is there, or changed: openOrder."""

    def status(self, order: Order) -> None:
        """An order's status: orderStatus."""

    def executed(self, execution: Execution) -> None:
        """An order filled: execDetails and commission report, positions and accounts."""

    def cancelled(self, order: Order) -> None:
        """An order was cancelled: 202."""


class Book:
    """Orders by client id and order id. Loop thread only."""

    def __init__(
        self,
        settings: Settings,
        market: Market,
        news: OrderNews,
        *,
        after: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.executions: list[Execution] = []
        self.ledgers = {account: Ledger(settings.cash) for account in settings.accounts}
        self.upstream_up = True
        self._before_today = 0
        self._settings = settings
        self._market = market
        self._news = news
        self._after = after
        self._orders: dict[tuple[int, int], Order] = {}
        self._unbound: list[Order] = []
        self._highest: dict[int, int] = {}
        self._perm_ids = itertools.count(FIRST_PERM_ID)
        self._bound_ids = itertools.count(-1, -1)

    def __iter__(self) -> Iterator[Order]:
        """Yield every order, those placed by hand last."""
        yield from self._orders.values()
        yield from self._unbound

    def get(self, client_id: int, order_id: int) -> Order | None:
        """Return the order a client placed under an id."""
        return self._orders.get((client_id, order_id))

    def live(self, client_id: int | None = None) -> list[Order]:
        """Return live orders, of one client or all."""
        return [order for order in self if order.live and client_id in (None, order.client_id)]

    def completed(self) -> list[Order]:
        """Return the orders that ended today."""
        return [order for order in self if not order.live and not order.old]

    def fills(self) -> list[Execution]:
        """Return the executions of today."""
        return self.executions[self._before_today :]

    def next_day(self) -> None:
        """Let what has ended and filled so far be of yesterday."""
        self._before_today = len(self.executions)
        for order in self.completed():
            order.old = True

    def next_id(self, client_id: int) -> int:
        """Return the next order id a client may use."""
        return max(self._settings.first_order_id, self._highest.get(client_id, 0) + 1)

    def forget_ids(self) -> None:
        """Let order ids fall back to the first, as after a restart of a TWS that never wrote them down."""
        self._highest.clear()

    def check_id(self, client_id: int, order_id: int) -> Order | None:
        """Return the live order a placeOrder would modify, None for a new one; ``Refused`` when the id is used up."""
        known = self.get(client_id, order_id)
        if known is None:
            if order_id <= self._highest.get(client_id, 0):
                raise Refused(order_id, 103, "Duplicate order id")
            return None
        if known.status is Status.FILLED:
            raise Refused(order_id, 104, "Cannot modify a filled order.")
        if not known.live:
            raise Refused(order_id, 103, "Duplicate order id")
        return known

    def add(self, order: Order) -> None:
        """Take a new order in, tell its owner, and let it work if it is transmitted."""
        self._orders[order.client_id, order.order_id] = order
        self._highest[order.client_id] = max(self._highest.get(order.client_id, 0), order.order_id)
        self._work(order)

    def add_manual(self, order: Order) -> None:
        """Take in an order a person entered in TWS itself: client id 0, no order id until it is bound."""
        if not order.order_id:
            self._unbound.append(order)
        self._work(order)

    def new_perm_id(self) -> int:
        """Return an id for an order that stays the same over all sessions."""
        return next(self._perm_ids)

    def bind(self, order: Order) -> None:
        """Give an order of a person an order id of client 0: a negative one, which no client would choose."""
        if order in self._unbound:
            self._unbound.remove(order)
        order.order_id = next(self._bound_ids)
        self._orders[order.client_id, order.order_id] = order

    def unbound(self) -> list[Order]:
        """Return live orders of persons that have no order id."""
        return [order for order in self._unbound if order.live]

    def modify(self, order: Order, record: Record, instrument: Instrument) -> None:
        """Change a live order; ``Refused`` with 105 when more than price, size and terms differ."""
        if instrument != order.instrument or record.get("action") != order.action:
            raise Refused(order.order_id, 105, "Order being modified does not match original order")
        quantity = float(record.get("quantity") or 0)
        if quantity < order.filled:
            raise Refused(order.order_id, 104, "Cannot modify a filled order.")
        order.placements += 1
        order.record = record
        order.transmitted = record.on("transmit")
        self._work(order)

    def cancel(self, order: Order) -> None:
        """Cancel an order and its children; while IB is out of reach it stays pending."""
        if not self.upstream_up:
            self._set(order, Status.PENDING_CANCEL)
            return
        order.completed_time = now_text()
        self._set(order, Status.CANCELLED)
        self._news.cancelled(order)
        for child in self._children(order):
            self.cancel(child)

    def fill(self, order: Order, shares: float, price: float) -> None:
        """Fill an order at a price, in part or whole."""
        shares = min(shares, order.remaining)
        before = order.filled
        order.filled += shares
        order.average_price = (before * order.average_price + shares * price) / order.filled
        order.last_price = price
        realized = self.ledgers[order.account].book(order, shares, price)
        number = len(self.executions) + 1
        execution = Execution(
            exec_id=f"0000e0d5.{number:08x}.01.01",
            order=order,
            time=now_text(),
            shares=shares,
            price=price,
            cumulative=order.filled,
            average_price=order.average_price,
            commission=COMMISSION,
            realized=realized,
        )
        self.executions.append(execution)
        done = order.remaining <= 0
        order.completed_time = execution.time if done else ""
        order.status = Status.FILLED if done else Status.SUBMITTED
        self._news.executed(execution)
        self._news.opened(order)
        self._news.status(order)
        if done:
            self._finish(order)

    def settle(self, order: Order) -> None:
        """Fill an order if it fills by itself at the current market."""
        if order.status is not Status.SUBMITTED or not self.upstream_up:
            return
        price = self.fill_price(order)
        if price is not None:
            self.fill(order, order.remaining, price)

    def fill_price(self, order: Order) -> float | None:
        """Return the price an order would fill at by itself, None when it rests."""
        fills = self._settings.fills
        if fills is Fills.NONE or (fills is Fills.MARKET and order.kind != "MKT"):
            return None
        quote = self._market.quote(order.instrument)
        market = quote.ask if order.buys else quote.bid
        sign = 1 if order.buys else -1
        limit, stop = order.limit, order.stop
        if order.kind.startswith("STP") and (stop is None or sign * quote.last < sign * stop):
            return None
        if "LMT" in order.kind and (limit is None or sign * market > sign * limit):
            return None
        return market

    def resting(self) -> bool:
        """Whether any order waits for the market to come to it."""
        return self._settings.fills is Fills.CROSSING and any(order.live for order in self)

    def match(self) -> None:
        """Fill what the market has come to."""
        for order in self.live():
            self.settle(order)

    def set_upstream(self, *, up: bool) -> None:
        """IB's servers went or came back: what waited for them goes on."""
        self.upstream_up = up
        if not up:
            return
        for order in self.live():
            if order.status is Status.PENDING_CANCEL:
                self.cancel(order)
            elif order.status is Status.PENDING_SUBMIT:
                self._work(order)

    def _work(self, order: Order) -> None:
        """Tell where an order stands and let it fill when it can."""
        family = [order]
        if order.transmitted and order.parent_id:
            parent = self.get(order.client_id, order.parent_id)
            family = [*([parent] if parent else []), *self._children(parent), order] if parent else [order]
        for member in dict.fromkeys(family):
            if order.transmitted:
                member.transmitted = True
            if member is order or member.status is Status.PRE_SUBMITTED:
                self._set(member, self._standing(member))
        for member in dict.fromkeys(family):
            self._fill_soon(member)

    def _fill_soon(self, order: Order) -> None:
        if self._settings.fill_seconds:
            self._after(self._settings.fill_seconds, lambda: self.settle(order))
        else:
            self.settle(order)

    def _standing(self, order: Order) -> Status:
        """Return the status of an order that is neither filled nor cancelled."""
        if not order.transmitted or self._waits_for_parent(order):
            return Status.PRE_SUBMITTED
        return Status.SUBMITTED if self.upstream_up else Status.PENDING_SUBMIT

    def _waits_for_parent(self, order: Order) -> bool:
        parent = self.get(order.client_id, order.parent_id) if order.parent_id else None
        return parent is not None and parent.status is not Status.FILLED

    def _set(self, order: Order, status: Status) -> None:
        order.status = status
        if status is not Status.CANCELLED:
            self._news.opened(order)
        self._news.status(order)

    def _finish(self, order: Order) -> None:
        """Cancel the rivals of a filled order and wake its children."""
        for rival in self._rivals(order):
            self.cancel(rival)
        for child in self._children(order):
            if child.status is Status.PRE_SUBMITTED and child.transmitted:  # a sibling's fill may have cancelled it
                self._set(child, self._standing(child))
                self._fill_soon(child)

    def _children(self, order: Order | None) -> list[Order]:
        if order is None or not order.order_id:
            return []
        return [
            child for child in self.live(order.client_id) if child.parent_id == order.order_id and child is not order
        ]

    def _rivals(self, order: Order) -> Iterable[Order]:
        group = order.record.get("oca_group")
        return [
            other
            for other in self.live()
            if other is not order
            and (
                (group and other.record.get("oca_group") == group and other.account == order.account)
                or (order.parent_id and other.client_id == order.client_id and other.parent_id == order.parent_id)
            )
        ]


def now_text() -> str:
    """Return the time as TWS writes it in executions."""
    return time.strftime("%Y%m%d %H:%M:%S UTC", time.gmtime())
