"""Connections of this process: requests, streams and orders of an application that embeds backstay.

    with backstay.Manager("backstay.toml") as manager:
        connection = manager.connection("keeper")
        connection.wait_ready(30)
        details = connection.request("contract_details", contract=AAPL)
        with connection.subscribe("market_data", contract=AAPL) as ticks:
            for tick in ticks:
                ...

Requests go the way of a relay's client: ledger, gate, pacing, journal. The names and fields of requests are those of
`backstay.protocol.builders.BUILDERS`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

from backstay.deadlines import Deadlines
from backstay.errors import MisuseError, NoAnswerError, NotReadyError
from backstay.library_desk import Desk
from backstay.library_line import Line, Place
from backstay.library_requests import Requests, expire
from backstay.library_sink import LibrarySink
from backstay.protocol.builders_terms import Contract, Order
from backstay.protocol.previews import Preview
from backstay.protocol.vocabulary import Kind
from backstay.session.client_words import ClientStarted
from backstay.status import ConnectionStatus
from backstay.subscription import QUEUE_EVENTS, Callback, Subscription
from backstay.supervisor.specs import Log
from backstay.trade import Trade

REQUEST_SECONDS = 60.0
"""How long a request may take unless told otherwise: IB's slowest reads take that long."""

GRACE_SECONDS = 5.0
"""A deadline is kept by a thread of its own; who waits looks by itself only so much later."""

READS = frozenset({Kind.ONESHOT, Kind.SNAPSHOT})
UNANSWERED = frozenset({Kind.SETTING, Kind.COMMAND})


class Connection:
    """One connection to a gateway, kept up by the manager. Any thread; what waits says so, and for how long."""

    def __init__(self, name: str, deadlines: Deadlines, log: Log) -> None:
        self.name = name
        self._deadlines = deadlines
        self._desk = Desk(log, name)
        self._requests = Requests(name, self._desk, deadlines)
        self._listeners: tuple[Callable[[], object], ...] = ()
        self._changed = threading.Condition()
        self._desk.on_settled = self._state_changed

    def _attach(self, place: Place, client_id: int) -> tuple[LibrarySink, Line]:
        """Begin to stand for this place in the tree; what was asked for at an earlier one has ended."""
        desk, line = self._desk, Line(place)
        if self._requests.line is not None:
            desk.end_all("the connection was configured anew")
        desk.over, desk.version, desk.table, desk.down, desk.client_id = "", None, None, True, client_id
        desk.meter = place.charge.outside.meter
        self._requests.attach(line)
        return LibrarySink(desk, place.charge.credit), line

    # -- state -------------------------------------------------------------------------------------------------------

    def state(self) -> ConnectionStatus:
        """How it stands, at this moment. Asks nobody, and never waits."""
        status = self._requests.place.status()
        if status is None:
            raise NotReadyError(f"{self.name}: {self._desk.over or 'the manager has not been started'}")
        return status

    @property
    def server_version(self) -> int | None:
        """The server version agreed on; None before the first connect. It stays the same from then on."""
        return self._desk.version

    @property
    def is_ready(self) -> bool:
        """Whether requests leave at once, and what was found out about orders meanwhile has been told here."""
        return self._requests.place.view().state == "ready" and not self._desk.down

    def wait_ready(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until requests leave at once. False if they do not by then."""
        self._desk.check_thread("wait_ready")
        with self._changed:
            return self._changed.wait_for(lambda: self.is_ready, timeout)

    def wait_connect_ack(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until the gateway has answered the greeting (for `start = "manual"`)."""
        self._desk.check_thread("wait_connect_ack")
        return self._requests.place.wait(self.has_connect_ack, timeout)

    def has_connect_ack(self) -> bool:
        """Whether the gateway has answered a greeting."""
        return self._requests.place.charge.owed.version is not None

    @contextlib.contextmanager
    def listening(self, listener: Callable[[], object]) -> Generator[None]:
        """Have `listener` called, in a thread of backstay's, when the state has changed. For event loops."""
        with self._desk.lock:
            self._listeners = (*self._listeners, listener)
        try:
            yield
        finally:
            with self._desk.lock:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

    def _state_changed(self) -> None:
        with self._changed:
            self._changed.notify_all()
        for listener in self._listeners:
            listener()

    def start_api(self) -> None:
        """Let startApi go out, on this and every later socket (for `start = "manual"`; harmless otherwise)."""
        self._requests.sender.tell(ClientStarted(self._desk.client_id))

    # -- requests ----------------------------------------------------------------------------------------------------

    def request(
        self, name: str, /, *, timeout: float = REQUEST_SECONDS, fail_fast: bool = False, **values: object
    ) -> Any:
        """Ask, and wait for the answer: one event, or a list of them where the answer has rows and an end.

        It waits for a gateway that is away, and is asked again should the connection break; with `fail_fast` it does
        neither. What has no answer (settings, `global_cancel`) returns None as soon as it is on its way.

        Raises MisuseError (what was asked cannot be), RemoteError (TWS says no), ConnectionLostError, NotReadyError
        (it has not left), or NoAnswerError after `timeout` seconds. Not in the connection's thread.
        """
        self._desk.check_thread(name, "use `submit`")
        future = self.submit(name, timeout=timeout, fail_fast=fail_fast, **values)
        try:
            return future.result(timeout + GRACE_SECONDS)
        except NoAnswerError:
            raise
        except TimeoutError:
            future.cancel()
            raise NoAnswerError(f"{name}: no answer within {timeout} s") from None

    def submit(
        self, name: str, /, *, timeout: float = REQUEST_SECONDS, fail_fast: bool = False, **values: object
    ) -> Future[Any]:
        """As `request`, but returns the answer's future at once. Cancelling it frees the request.

        Callbacks of the future run in the connection's thread, and must not block. Raises what can be told at once.
        """
        if name in _ORDERS:
            raise MisuseError(f"{name}: {_ORDERS[name]}")
        payload, kind = self._requests.try_(name, values)
        if kind in UNANSWERED:
            if kind is Kind.COMMAND and self._desk.version is None:
                raise NotReadyError(f"{name}: not sent, the gateway has not been reached yet", code=504)
            self._requests.send(payload)
            done: Future[Any] = Future()
            done.set_result(None)
            return done
        if kind not in READS:
            elsewhere = _BY_NAME.get(name) or _ELSEWHERE.get(kind, "not a request")
            raise MisuseError(f"{name}: {elsewhere}")
        if fail_fast and (state := self._requests.place.view().state) != "ready":
            raise NotReadyError(f"{name}: not sent, the connection is {state}", code=504)
        return self._requests.read(name, values, timeout, fail_fast=fail_fast).future

    def subscribe(
        self,
        name: str,
        /,
        *,
        callback: Callback | None = None,
        inline: bool = False,
        queue_events: int = QUEUE_EVENTS,
        **values: object,
    ) -> Subscription:
        """Begin a stream. It goes on, over every outage, until it is closed or TWS ends it.

        Iterate over what is returned, or give a callback: it runs in a thread of its own, or, `inline`, in the
        connection's, which is the fastest way and must not block: everything on this connection waits for it. An
        exception in a callback is counted, logged once and told (`CallbackFailed` in `events`); the stream goes on.

        `queue_events` bounds what waits to be taken. Raises MisuseError, or NotReadyError when there is no room for it.
        """
        _, kind = self._requests.try_(name, values)
        if kind is not Kind.STREAM:
            raise MisuseError(f"{name}: not a stream, `request` asks for it")
        return self._requests.stream(name, values, callback, inline=inline, limit=queue_events)

    def events(
        self, *, callback: Callback | None = None, inline: bool = False, queue_events: int = QUEUE_EVENTS
    ) -> Subscription:
        """What concerns the connection and its orders; parameters as in `subscribe`.

        `ConnectAck`, `Gap`, `Resumed`, errors and notices, order status, open orders, executions, commissions, messages
        of a later TWS, and `CallbackFailed`.
        """
        listener = Subscription("events", request=None, key=None, callback=callback, inline=inline, limit=queue_events)
        listener.on_close, listener.on_callback_error = self._desk.remove, self._desk.callback_failed
        listener.on_drop = self._desk.dropped
        desk = self._desk
        with desk.lock:
            desk.listeners = (*desk.listeners, listener)
        listener.start()
        return listener

    # -- orders ------------------------------------------------------------------------------------------------------

    def place_order(self, contract: Contract, order: Order) -> Trade:
        """Place an order. It is on disk before its first byte leaves, and it is never sent twice.

        Returns at once; `Trade.wait` waits for TWS's word. Raises MisuseError, or NotReadyError while the gateway is
        away: then it has not left, and will not.
        """
        self._requests.check_up()
        return self._requests.orders.place(contract, order, None)

    def modify_order(self, trade: Trade, order: Order) -> Trade:
        """Change an order that works: the same id, new terms. `Trade.wait` without a status waits for TWS's word.

        Raises as `place_order`, and of one that works no longer what ended it: OrderOverError if it was filled or
        cancelled, RemoteError if TWS refused it, NotReadyError if it never left. RequestInDoubtError while in doubt.
        """
        contract = self._requests.orders.check_change(trade)
        self._requests.check_up()
        return self._requests.orders.place(contract, order, trade)

    def cancel_order(self, trade: Trade | int) -> None:
        """Cancel an order, by its trade or id. While the gateway is away the cancel waits, and goes first.

        What comes of it is seen in the status. Raises MisuseError, or NotReadyError when the connection has ended.
        """
        orders = self._requests.orders
        if isinstance(trade, Trade):
            orders.check_own(trade)
        orders.cancel(trade.order_id if isinstance(trade, Trade) else trade)

    def exercise_options(
        self, contract: Contract, *, action: int, quantity: int, account: str, **values: object
    ) -> Trade:
        """Exercise options (`action` 1) or let them lapse (2); further values as in docs/requests.md.

        It has an order's id and is kept like an order: on disk first, never sent twice. Raises as `place_order`. TWS
        answers with an error on the id, or with what the position and the executions show; `Trade.wait` tells which.
        """
        self._requests.check_up()
        asked = {"contract": contract, "action": action, "quantity": quantity, "account": account, **values}
        return self._requests.orders.exercise(asked)

    def preview(self, contract: Contract, order: Order, *, timeout: float = REQUEST_SECONDS) -> Preview:
        """Ask what an order would cost, without placing it; the answer is the event `Preview` of docs/requests.md."""
        self._desk.check_thread("preview", "use `submit_preview`")
        answer: Preview = self.submit_preview(contract, order, timeout=timeout).result(timeout + GRACE_SECONDS)
        return answer

    def submit_preview(self, contract: Contract, order: Order, *, timeout: float = REQUEST_SECONDS) -> Future[Any]:
        """As `preview`, but returns the answer's future at once."""
        self._requests.check_up()
        pending = self._requests.orders.preview(contract, order)
        pending.deadline = self._deadlines.add(timeout, lambda: expire(pending, timeout))
        pending.future.add_done_callback(lambda _: self._deadlines.cancel(pending.deadline))
        return pending.future

    def orders(self) -> tuple[Trade, ...]:
        """The orders of this client id that are known here: those placed, and those TWS or the journal told of."""
        return self._requests.orders.all()


_ELSEWHERE = {
    Kind.STREAM: "a stream, `subscribe` begins it",
    Kind.ORDER: "an order, `place_order` places it",
    Kind.ORDER_CANCEL: "`cancel_order` cancels an order",
}

_ORDERS = dict.fromkeys(("placeOrder", "place_order", "modify_order"), "an order, `place_order` places it")
_BY_NAME = {**_ORDERS, "exercise_options": "kept like an order, `connection.exercise_options` sends it"}


class Library:
    """The connections of one manager, by name. They outlive what they stand for: a reload, a stop and a start."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._deadlines = Deadlines()
        self._connections: dict[str, Connection] = {}

    def get(self, name: str) -> Connection:
        """The connection of this name."""
        if name not in self._connections:
            self._connections[name] = Connection(name, self._deadlines, self._log)
        return self._connections[name]

    def changed(self, name: str) -> None:
        """The connection of this name is in another state."""
        connection = self._connections.get(name)
        if connection is not None:
            connection._state_changed()

    def open(self, name: str, place: Place, client_id: int) -> tuple[LibrarySink, Line]:
        """The tree has such a connection now: where its frames go, and the line on which it is asked."""
        return self.get(name)._attach(place, client_id)

    def close(self, why: str) -> None:
        """The tree is gone: nothing will be answered any more."""
        for connection in self._connections.values():
            connection._desk.end_all(why)
        self._deadlines.stop()
