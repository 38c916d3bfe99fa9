"""Telling clients about orders: the messages, and who gets them."""

from typing import TYPE_CHECKING

from backstay.simulator.fields import show
from backstay.simulator.layout import Record, write
from backstay.simulator.order_layouts import COMPLETED_ORDER, OPEN_ORDER
from backstay.simulator.orders import UNSET_DOUBLE_TEXT, Execution, Order, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backstay.simulator.session import Session
    from backstay.simulator.world import World

NOT_FOR_A_REQUEST = -1
"""Request id of an execution nobody asked for: a live fill."""


class News:
    """Speaks to the owner of an order, to the master client, and to client 0 about orders of persons."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def opened(self, order: Order) -> None:
        """Send openOrder."""
        for session in self._readers(order):
            send_open(session, order)

    def status(self, order: Order) -> None:
        """Send orderStatus."""
        for session in self._readers(order):
            send_status(session, order)
        self._world.records.tell("order", order.client_id, order.status.value, key=order.order_id)

    def executed(self, execution: Execution) -> None:
        """Send execDetails and the commission report, then what it changes in accounts."""
        for session in self._readers(execution.order):
            send_execution(session, NOT_FOR_A_REQUEST, execution)
            send_commission(session, execution)
        self._world.holdings_changed(execution.order)

    def cancelled(self, order: Order) -> None:
        """Send the success notice of a cancel, which travels as an error."""
        for session in self._readers(order):
            session.error(order.order_id, 202, "Order Canceled - reason:")

    def _readers(self, order: Order) -> "Iterator[Session]":
        if order.silent:
            return
        master = self._world.settings.master_client_id
        for session in self._world.ready_sessions():
            own = session.client_id == order.client_id and (order.order_id or session.auto_bind)
            if own or session.client_id == master:
                yield session


def send_open(session: "Session", order: Order) -> None:
    """Send openOrder: what the client wrote, with the contract as TWS knows it and the order's state."""
    record = _echo(order)
    record.values["order_id"] = str(order.order_id)
    record.values["client_id"] = str(order.client_id)
    session.send(5, *write(OPEN_ORDER, record, session.version))


def send_preview(session: "Session", order: Order, margins: dict[str, str]) -> None:
    """Send openOrder as the answer to a what-if order."""
    record = _echo(order)
    record.values.update(margins, order_id=str(order.order_id), client_id=str(order.client_id), what_if="1")
    session.send(5, *write(OPEN_ORDER, record, session.version))


def send_completed(session: "Session", order: Order) -> None:
    """Send completedOrder; it carries no order id."""
    record = _echo(order)
    record.values["filled"] = show(order.filled)
    record.values["completed_time"] = order.completed_time
    filled = order.status is Status.FILLED
    record.values["completed_status"] = f"Filled Size: {show(order.filled)}" if filled else "Cancelled by Trader"
    session.send(101, *write(COMPLETED_ORDER, record, session.version))


def send_status(session: "Session", order: Order) -> None:
    """Send orderStatus."""
    values: list[object] = [
        order.order_id,
        order.status.value,
        show(order.filled),
        show(order.remaining),
        show(order.average_price),
        order.perm_id,
        order.parent_id,
        show(order.last_price),
        order.client_id,
        "",
    ]
    if session.version >= 131:  # market cap price
        values.append(0)
    session.send(3, *values)


def send_execution(session: "Session", request_id: int, execution: Execution) -> None:
    """Send execDetails."""
    order, instrument = execution.order, execution.order.instrument
    values: list[object] = [
        request_id,
        order.order_id,
        *contract_fields(order),
        execution.exec_id,
        execution.time if session.version >= 174 else execution.time.replace(" UTC", "").replace(" ", "  "),
        order.account,
        instrument.primary or instrument.exchange,
        "BOT" if order.buys else "SLD",
        show(execution.shares),
        show(execution.price),
        order.perm_id,
        order.client_id,
        0,
        show(execution.cumulative),
        show(execution.average_price),
        order.record.get("order_ref"),
        "",
        "",
    ]
    if session.version >= 103:
        values.append(order.record.get("model"))
    if session.version >= 136:  # last liquidity
        values.append(2)
    if session.version >= 178:  # price may still be revised
        values.append(0)
    if session.version >= 198:  # submitter
        values.append("")
    session.send(11, *values)


def send_commission(session: "Session", execution: Execution) -> None:
    """Send the commission report of an execution."""
    realized = UNSET_DOUBLE_TEXT if execution.realized is None else show(execution.realized - execution.commission)
    currency = execution.order.instrument.currency
    session.send(59, execution.exec_id, show(execution.commission), currency, realized, UNSET_DOUBLE_TEXT, "")


def contract_fields(order: Order) -> list[object]:
    """Return an order's contract in the eleven fields most answers carry."""
    instrument = order.instrument
    return [
        instrument.con_id,
        instrument.symbol,
        instrument.sec_type,
        instrument.expiry,
        show(instrument.strike),
        instrument.right,
        instrument.multiplier,
        order.record.get("exchange") or instrument.exchange,
        instrument.currency,
        instrument.local_symbol,
        instrument.trading_class,
    ]


_CONTRACT_NAMES = (
    "con_id",
    "symbol",
    "sec_type",
    "expiry",
    "strike",
    "right",
    "multiplier",
    "exchange",
    "currency",
    "local_symbol",
    "trading_class",
)


def _echo(order: Order) -> Record:
    """Return the client's order with the contract filled in and its state."""
    record = Record(dict(order.record.values), order.record.rows)
    record.values.update(zip(_CONTRACT_NAMES, map(str, contract_fields(order)), strict=True))
    record.values["perm_id"] = str(order.perm_id)
    record.values["account"] = order.account
    record.values["status"] = order.status.value
    return record
