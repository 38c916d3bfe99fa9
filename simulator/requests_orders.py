"""Orders and executions: place, change, cancel, preview, and the reads that show where they stand."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.simulator import news
from backstay.simulator.catalogue import ContractQuery, Instrument
from backstay.simulator.fields import INTEGER, Fields, Refused, Unreadable, read_integer, read_number, show
from backstay.simulator.layout import Record, read
from backstay.simulator.order_layouts import PLACE_ORDER
from backstay.simulator.orders import Execution, Order, Status
from backstay.simulator.requests_market import one_instrument

if TYPE_CHECKING:
    from backstay.simulator.session import Session

ACTIONS = frozenset(("BUY", "SELL", "SSHORT"))
ORDER_KINDS = frozenset(
    [
        "MKT",
        "LMT",
        "STP",
        "STP LMT",
        "TRAIL",
        "TRAIL LIMIT",
        "MIT",
        "LIT",
        "MOC",
        "LOC",
        "REL",
        "MIDPRICE",
        "PEG BENCH",
        "PEGBENCH",
        "PEG BEST",
        "PEGBEST",
        "PEG MID",
        "PEGMID",
        "PEG MKT",
        "PEG STK",
        "VOL",
        "BOX TOP",
        "SNAP MKT",
        "SNAP MID",
        "SNAP PRIM",
        "MTL",
        "PASSV REL",
        "MKT PRT",
        "STP PRT",
    ]
)
"""Order types TWS knows; only market, limit and stop orders ever fill by themselves."""

PRICE_TOLERANCE = 1e-6

INITIAL_MARGIN = 0.25
MAINTENANCE_MARGIN = 0.2
"""Shares of an order's value a preview answers with; what a paper account roughly asks for stocks."""

DEFAULT_CLIENT = 0


def place_order(session: "Session", fields: Fields) -> None:
    """Take a new order, a change of a live one, or a preview."""
    record = read(PLACE_ORDER, fields, session.version)
    if fields.left:
        raise Unreadable(f"{fields.left} fields too many")
    order_id = _order_id(record)
    instrument = one_instrument(session, order_id, _query(record))
    book = session.world.book
    client_id = session.client_id or DEFAULT_CLIENT
    if record.on("what_if"):
        _validate(order_id, record, min_tick=instrument.min_tick)
        _preview(session, _new_order(session, order_id, record, instrument=instrument))
        return
    known = book.check_id(client_id, order_id)
    session.world.faults.reject_order(order_id)
    _validate(order_id, record, min_tick=instrument.min_tick)
    if known is not None:
        book.modify(known, record, instrument)
        return
    order = _new_order(session, order_id, record, instrument=instrument)
    order.silent = session.world.faults.loses_answer(session)
    book.add(order)
    order.silent = False
    session.world.watch_market()


def _order_id(record: Record) -> int:
    if not INTEGER.fullmatch(record.get("order_id")):
        raise Unreadable("the order id is not a number")
    return int(record.get("order_id"))


def _new_order(session: "Session", order_id: int, record: Record, *, instrument: Instrument) -> Order:
    return Order(
        client_id=session.client_id or DEFAULT_CLIENT,
        order_id=order_id,
        perm_id=session.world.book.new_perm_id(),
        instrument=instrument,
        record=record,
        account=_account(session, order_id, record),
        transmitted=record.on("transmit"),
    )


def _query(record: Record) -> ContractQuery:
    return ContractQuery(
        con_id=read_integer(record.get("con_id")),
        symbol=record.get("symbol"),
        sec_type=record.get("sec_type"),
        expiry=record.get("expiry"),
        strike=read_number(record.get("strike")) or 0.0,
        right=record.get("right"),
        multiplier=record.get("multiplier"),
        exchange=record.get("exchange"),
        primary=record.get("primary"),
        currency=record.get("currency"),
        local_symbol=record.get("local_symbol"),
        trading_class=record.get("trading_class"),
    )


def _account(session: "Session", order_id: int, record: Record) -> str:
    accounts, wanted = session.world.settings.accounts, record.get("account")
    if wanted in accounts:
        return wanted
    if wanted:
        raise Refused(order_id, 321, f"Error validating request. Invalid account code '{wanted}'.")
    if len(accounts) > 1:
        raise Refused(order_id, 435, "You must specify an account.")
    return next(iter(accounts))


def _validate(order_id: int, record: Record, *, min_tick: float) -> None:
    if record.get("action") not in ACTIONS:
        raise Refused(order_id, 321, f"Error validating request. Invalid side: {record.get('action')}")
    if not (read_number(record.get("quantity")) or 0) > 0:
        raise Refused(order_id, 434, "The order size cannot be zero.")
    kind = record.get("order_type")
    if kind not in ORDER_KINDS:
        raise Refused(order_id, 387, "Unsupported order type for this exchange and security type.")
    if kind == "LMT" and read_number(record.get("limit_price")) is None:
        raise Refused(order_id, 321, "Error validating request. Limit price is missing.")
    read_integer(record.get("parent_id"))
    for name in ("limit_price", "aux_price"):
        price = read_number(record.get(name))
        if price is not None and not _on_grid(price, min_tick):
            reason = "The price does not conform to the minimum price variation for this contract."
            raise Refused(order_id, 110, reason)


def _on_grid(price: float, step: float) -> bool:
    steps = price / step
    return abs(steps - round(steps)) < PRICE_TOLERANCE * max(1.0, abs(steps))


def _preview(session: "Session", order: Order) -> None:
    quote = session.world.market.quote(order.instrument)
    value = order.quantity * quote.last * float(order.instrument.multiplier or 1)
    equity = session.world.net_liquidation(order.account)
    order.status = Status.PRE_SUBMITTED
    margins = {"commission_currency": order.instrument.currency, "margin_currency": order.instrument.currency}
    for name, share in (("init", INITIAL_MARGIN), ("maint", MAINTENANCE_MARGIN)):
        margins[f"{name}_before"] = "0.0"
        margins[f"{name}_change"] = margins[f"{name}_after"] = show(round(value * share, 2))
    margins["equity_before"] = margins["equity_after"] = show(round(equity, 2))
    margins["equity_change"] = "0.0"
    margins["commission"] = margins["commission_min"] = margins["commission_max"] = "1"
    news.send_preview(session, order, margins)


def cancel_order(session: "Session", fields: Fields) -> None:
    """Cancel one order of this client."""
    order_id = fields.integer()
    order = session.world.book.get(session.client_id or DEFAULT_CLIENT, order_id)
    if order is None:
        raise Refused(order_id, 10147, f"OrderId {order_id} that needs to be cancelled is not found.")
    if not order.live:
        state = order.status.value
        raise Refused(
            order_id, 10148, f"OrderId {order_id} that needs to be cancelled can not be cancelled, state: {state}."
        )
    session.world.book.cancel(order)


def global_cancel(session: "Session", _fields: Fields) -> None:
    """Cancel every live order of everybody."""
    for order in session.world.book.live():
        if order.live:  # a parent takes its children with it
            session.world.book.cancel(order)


def req_open_orders(session: "Session", _fields: Fields) -> None:
    """Show this client's live orders; client 0 takes those of persons over."""
    book = session.world.book
    if session.client_id == DEFAULT_CLIENT:
        for order in book.unbound():
            bind_manual(session, order)
    _show_orders(session, book.live(session.client_id))


def req_all_open_orders(session: "Session", _fields: Fields) -> None:
    """Show everybody's live orders, without taking any over."""
    _show_orders(session, session.world.book.live())


def _show_orders(session: "Session", orders: list[Order]) -> None:
    for order in orders:
        news.send_open(session, order)
        news.send_status(session, order)
    session.send(53)


def bind_manual(session: "Session", order: Order) -> None:
    """Give an order of a person an order id and tell client 0."""
    session.world.book.bind(order)
    if session.version >= 144:  # orderBound did not exist before
        session.send(100, order.perm_id, order.client_id, order.order_id)


def req_auto_open_orders(session: "Session", fields: Fields) -> None:
    """Let client 0 take over orders of persons as they come."""
    if session.client_id != DEFAULT_CLIENT:
        raise Refused(-1, 327, "Only the default client (i.e 0) can auto bind orders.")
    session.auto_bind = fields.flag()


def req_completed_orders(session: "Session", fields: Fields) -> None:
    """Show orders that filled or were cancelled."""
    api_only = fields.flag()
    for order in session.world.book.completed():
        if not (api_only and order.manual):
            news.send_completed(session, order)
    session.send(102)


def req_executions(session: "Session", fields: Fields) -> None:
    """Show fills that pass a filter, each with its commission report."""
    request_id = fields.integer()
    client_id = fields.integer()
    account, since, symbol, sec_type, exchange, side = (fields.text() for _ in range(6))
    wanted = {"account": account, "symbol": symbol, "sec_type": sec_type, "exchange": exchange, "side": side}
    if session.version >= 200:  # days to look back, and a list of dates
        fields.skip()
        fields.skip(fields.integer())
    for execution in session.world.book.fills():
        if client_id in (0, execution.order.client_id) and _passes(execution, wanted, since):
            news.send_execution(session, request_id, execution)
            news.send_commission(session, execution)
    session.send(55, request_id)


def _passes(execution: Execution, wanted: Mapping[str, str], since: str) -> bool:
    order, instrument = execution.order, execution.order.instrument
    has = {
        "account": order.account,
        "symbol": instrument.symbol,
        "sec_type": instrument.sec_type,
        "exchange": instrument.primary or instrument.exchange,
        "side": order.action if wanted["side"] in ACTIONS else "BOT" if order.buys else "SLD",
    }
    moment = since.replace("-", " ").replace("  ", " ")
    return all(value in ("", has[name]) for name, value in wanted.items()) and execution.time >= moment


def req_ids(session: "Session", _fields: Fields) -> None:
    """Tell the next order id."""
    session.send(9, session.world.book.next_id(session.client_id or DEFAULT_CLIENT))


def exercise_options(_session: "Session", fields: Fields) -> None:
    """Refuse: the simulated account never holds an option that could be exercised."""
    order_id = fields.integer()
    raise Refused(order_id, 322, "Error processing request. No unlapsed position exists in this option.")


def manual_record(action: str, quantity: float, limit: float | None) -> Record:
    """Return what a person enters: a limit order, or a market order without a limit."""
    kind = "MKT" if limit is None else "LMT"
    values = {"action": action, "quantity": show(quantity), "order_type": kind, "tif": "DAY", "transmit": "1"}
    record = Record(values)
    if limit is not None:
        record.values["limit_price"] = show(limit)
    return record


HANDLERS: Mapping[int, Callable[["Session", Fields], None]] = {
    3: place_order,
    4: cancel_order,
    5: req_open_orders,
    7: req_executions,
    8: req_ids,
    15: req_auto_open_orders,
    16: req_all_open_orders,
    21: exercise_options,
    58: global_cancel,
    99: req_completed_orders,
}
