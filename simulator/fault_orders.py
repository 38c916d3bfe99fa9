"""Faults of orders, and what happens to orders without their client's doing."""

from enum import Enum
from typing import TYPE_CHECKING

from backstay.simulator.fault_group import FaultGroup, command
from backstay.simulator.fields import Refused
from backstay.simulator.orders import Order
from backstay.simulator.requests_orders import DEFAULT_CLIENT, bind_manual, manual_record

if TYPE_CHECKING:
    from backstay.simulator.session import Session
    from backstay.simulator.world import World


class LostAt(Enum):
    """Where an order gets lost: on its way in (TWS never knows it), or its answers on their way out."""

    REQUEST = "request"
    ANSWER = "answer"


class OrderFaults(FaultGroup):
    """Orders that get lost, refused, filled, cancelled, or entered by a person."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self.orders_to_lose = 0
        self.orders_to_reject = 0
        self._lost_at = LostAt.REQUEST
        self._then_eof = False
        self._rejection = Refused(0, 201, "")

    @command
    def lose_orders(self, count: int = 1, where: str = "request", then_eof: bool = False) -> None:
        """Lose the next orders: ``where`` request (TWS never knows them) or answer (booked, but nobody is told)."""
        self._lost_at = LostAt(where)
        self.orders_to_lose = count
        self._then_eof = then_eof

    @command
    def reject_orders(self, count: int = 1, code: int = 201, text: str = "Order rejected - reason:on command") -> None:
        """Answer the next orders with an error."""
        self.orders_to_reject = count
        self._rejection = Refused(0, code, text)

    @command
    def fill_order(
        self, client_id: int, order_id: int, *, quantity: float | None = None, price: float | None = None
    ) -> None:
        """Fill a live order, in part with ``quantity``; at its limit or the market without a ``price``."""
        order = self._live(client_id, order_id)
        quote = self.world.market.quote(order.instrument)
        at = order.limit if price is None else price
        if at is None:
            at = quote.ask if order.buys else quote.bid
        self.world.book.fill(order, order.remaining if quantity is None else quantity, at)

    @command
    def cancel_order(self, client_id: int, order_id: int) -> None:
        """Cancel a live order from TWS's side."""
        self.world.book.cancel(self._live(client_id, order_id))

    @command
    def manual_order(
        self, symbol: str, action: str = "BUY", *, quantity: float = 1, limit: float | None = None
    ) -> None:
        """Enter an order as a person in TWS does; client 0 sees and binds it."""
        found = [one for one in self.world.catalogue if one.symbol == symbol]
        if not found:
            raise LookupError(f"no instrument {symbol}")
        book = self.world.book
        order = Order(
            client_id=DEFAULT_CLIENT,
            order_id=0,
            perm_id=book.new_perm_id(),
            instrument=found[0],
            record=manual_record(action, quantity, limit),
            account=self.world.settings.accounts[0],
            manual=True,
        )
        session = self.world.sessions.get(DEFAULT_CLIENT)
        if session is not None and session.auto_bind:
            bind_manual(session, order)
        book.add_manual(order)

    @command
    def next_day(self) -> None:
        """Begin a new day: TWS lists completed orders and executions of before no more."""
        self.world.book.next_day()

    def reject_order(self, order_id: int) -> None:
        """Refuse an order that is to be rejected."""
        if self.orders_to_reject > 0:
            self.orders_to_reject -= 1
            raise Refused(order_id, self._rejection.code, self._rejection.reason)

    def loses_request(self, session: "Session") -> bool:
        """Whether the order about to be read gets lost on its way in."""
        return self._lose(session, LostAt.REQUEST)

    def loses_answer(self, session: "Session") -> bool:
        """Whether the answers to the order about to be booked get lost."""
        return self._lose(session, LostAt.ANSWER)

    def _lose(self, session: "Session", where: LostAt) -> bool:
        if self.orders_to_lose <= 0 or where is not self._lost_at:
            return False
        self.orders_to_lose -= 1
        if self._then_eof:
            session.close("order lost")
        return True

    def _live(self, client_id: int, order_id: int) -> Order:
        order = self.world.book.get(client_id, order_id)
        if order is None or not order.live:
            raise LookupError(f"no live order {order_id} of client {client_id}")
        return order
