"""Orders of the library: ids that only rise, in the order in which they are sent."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from backstay.actors.charge import Charge
from backstay.errors import BackstayError, MisuseError, NotReadyError, RequestInDoubtError
from backstay.library_desk import Desk
from backstay.library_ids import REQUEST_IDS
from backstay.library_line import Line
from backstay.pending import Pending
from backstay.protocol.builders import HIGHEST_BUILT, FieldError, build, write_integer
from backstay.protocol.builders_orders import PLACE_ORDER, place_order
from backstay.protocol.builders_terms import Contract, Order
from backstay.session.intent_table import MAX_ORDER_ID
from backstay.session.intents import IntentState
from backstay.session.notices import Notice
from backstay.trade import Trade

OPEN_ORDER = 5

LOOKS = 100
"""Times to look at a table that changes under one's eyes; the second mostly does."""

USED_UP = "the order ids of this client are used up; reset them in TWS (API settings), and begin a new journal"

T = TypeVar("T")
Writer = Callable[[int, int], bytes]
"""Makes the payload, of an order id and a server version."""


class OrderDesk:
    """See the module. Any thread."""

    def __init__(self, desk: Desk) -> None:
        self.line: Line | None = None
        self._desk = desk
        self._lock = threading.Lock()
        self._next_id = 0
        self._suspects: list[Trade] = []
        desk.on_trade, desk.knows_order = self._adopt, self._knows
        desk.on_identified, desk.fate_of = self._take_up, self._fate_of

    def place(self, contract: Contract, order: Order, trade: Trade | None) -> Trade:
        """Place an order, or (with its trade) change one."""

        def write(order_id: int, version: int) -> bytes:
            payload = place_order(contract, order, order_id=order_id, version=version)
            if order.what_if:
                raise FieldError("order.what_if", "a preview is not placed; ask `preview`")
            return payload

        def prepare(order_id: int) -> Trade:
            placed = trade or self._desk.trade(order_id)
            placed.changing(contract, order)
            return placed

        return self._send(write, prepare, order_id=None if trade is None else trade.order_id)

    def check_change(self, trade: Trade) -> Contract:
        """What the order is for, if it can be changed; otherwise raise why not, by blame."""
        trade.check_lives()  # TWS may take a change of an order that is over for a new one
        self.check_own(trade)
        if trade.contract is None:
            raise MisuseError(f"order {trade.order_id}: TWS has not said yet what it is for")
        return trade.contract

    def check_own(self, trade: Trade) -> None:
        """Raise MisuseError for an order of another connection: its id is another order's here."""
        if self._desk.trades.get(trade.order_id, trade) is not trade:
            raise MisuseError(f"order {trade.order_id}: it is not of this connection")

    def exercise(self, values: Mapping[str, object]) -> Trade:
        """Exercise an option, or let it lapse: a command that has an order's id, and is kept like one."""

        def write(order_id: int, version: int) -> bytes:
            return build("exercise_options", values, version=version, key=order_id)

        def prepare(order_id: int) -> Trade:
            trade = self._desk.trade(order_id)
            contract = values["contract"]
            trade.contract = contract if isinstance(contract, Contract) else None
            return trade

        return self._send(write, prepare, order_id=None)

    def preview(self, contract: Contract, order: Order) -> Pending:
        """Ask what an order would cost; its id is used up."""

        def write(order_id: int, version: int) -> bytes:
            place_order(contract, order, order_id=order_id, version=version)  # says what is wrong with what was given
            return place_order(contract, replace(order, what_if=True), order_id=order_id, version=version)

        def prepare(order_id: int) -> Pending:
            pending = Pending("preview", PLACE_ORDER, key=order_id, values={})
            pending.ends = frozenset({OPEN_ORDER})
            pending.on_end = lambda _: self._desk.previews.pop(order_id, None)
            self._desk.previews[order_id] = pending
            return pending

        return self._send(write, prepare, order_id=None)

    def all(self) -> tuple[Trade, ...]:
        """What is known; orders that the journal has of an earlier life among it."""
        self._charge()
        self._take_up()
        with self._desk.lock:
            known = dict(self._desk.trades)
        return tuple(known[order_id] for order_id in sorted(known))

    def _take_up(self) -> None:
        """Orders of an earlier life: before TWS is asked about them, for then they may be over at once."""
        for order_id in _kept(self._charge()) - self._desk.trades.keys():
            self._desk.trade(order_id)

    def suspect(self) -> None:
        """The session has died; what it had in hand is gone, and an order may be among it."""
        with self._desk.lock:
            self._suspects = [one for one in self._desk.trades.values() if not one.done and not one.acknowledged]

    def clear_suspects(self, charge: Charge) -> None:
        """Whatever is known of neither to the session nor to TWS has not been sent: it would be on disk."""
        suspects, self._suspects = self._suspects, []
        orders = charge.owed.orders
        for trade in suspects:
            known = orders is not None and orders.table.get(self._desk.client_id, trade.order_id) is not None
            if not known and not trade.acknowledged:
                trade.fail(NotReadyError(f"order {trade.order_id} was not sent: a part of backstay failed", code=504))

    def _fate_of(self, trade: Trade, ended: BackstayError) -> BackstayError:
        """Why nothing more will be heard of it: it was not sent, or nobody knows, or TWS has it and we are gone."""
        if trade.acknowledged or self.line is None:
            return ended
        orders = self.line.place.charge.owed.orders
        intent = None if orders is None else orders.table.get(self._desk.client_id, trade.order_id)
        if intent is None or intent.state is IntentState.INTENT:
            return NotReadyError(f"order {trade.order_id} was not sent: {ended}")
        text = f"order {trade.order_id} was sent, and had no answer: {ended}"
        return RequestInDoubtError(trade.order_id, text, code=Notice.ORDER_IN_DOUBT.value.code)

    def _knows(self, order_id: int) -> bool:
        if order_id in self._desk.trades:
            return True
        orders = None if self.line is None else self.line.place.charge.owed.orders
        return orders is not None and orders.table.get(self._desk.client_id, order_id) is not None

    def _charge(self) -> Charge:
        if self.line is None:
            raise NotReadyError("the manager has not been started")
        return self.line.place.charge

    def _send(self, write: Writer, prepare: Callable[[int], T], *, order_id: int | None) -> T:
        """Number it, remember it, send it; one at a time, so that ids rise on the wire as well."""
        charge, line = self._charge(), self.line
        assert line is not None  # noqa: S101  # `_charge` has looked
        orders, version = charge.owed.orders, self._desk.version
        if orders is None or version is None:
            raise NotReadyError("the order was not sent: the gateway has not said who we are", code=504)
        with self._lock:
            number = order_id
            if number is None:
                number = REQUEST_IDS.free_from(max(self._next_id, orders.table.floor(self._desk.client_id)))
            if number > MAX_ORDER_ID:
                raise MisuseError(f"the order was not sent: {USED_UP}")
            try:
                payload = write(number, version)
            except FieldError as error:
                raise MisuseError(str(error)) from error
            if line.is_full:
                raise NotReadyError("the order was not sent: too much waits to be sent already", code=504)
            self._next_id = max(self._next_id, number + 1)
            made = prepare(number)
            line.send(payload)
        return made

    def cancel(self, order_id: int) -> None:
        """Ask TWS to cancel this order. Raises NotReadyError where nobody ever would."""
        line = self.line
        if line is None or self._desk.over:
            raise NotReadyError(f"the cancel was not sent: {self._desk.over or 'the manager has not been started'}")
        if line.is_full:
            raise NotReadyError("the cancel was not sent: too much waits to be sent already")
        try:
            write_integer("order_id", order_id)
            line.send(build("cancel_order", {}, version=self._desk.version or HIGHEST_BUILT, key=order_id))
        except FieldError as error:
            raise MisuseError(f"cancel_order: {error}") from error

    def _adopt(self, trade: Trade) -> None:
        trade.on_cancel = lambda trade: self.cancel(trade.order_id)
        trade.on_wait = self._desk.check_thread


def _kept(charge: Charge) -> set[int]:
    """Ids of orders that the session knows and that are not over; its thread goes on meanwhile."""
    orders = charge.owed.orders
    if orders is None:
        return set()
    for _ in range(LOOKS):
        with contextlib.suppress(RuntimeError):  # it changed its size
            keys = [intent.key for intent in orders.table.open_intents()]
            return {key.order_id for key in keys if key.client_id == orders.client_id}
    return set()
