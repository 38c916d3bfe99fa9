"""An order as the application has it: how it stands, what was filled, and whether anybody knows.

Written by the connection's thread, read by any.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from decimal import Decimal

from backstay.errors import BackstayError, NoAnswerError, OrderOverError, RequestInDoubtError
from backstay.library_words import blame, notice_of
from backstay.protocol.builders_terms import Contract, Order
from backstay.protocol.codes import CodeGroup, code_info, is_warning
from backstay.protocol.events import Commission, Error, Execution, OpenOrder, OrderStatus
from backstay.protocol.requests import REQUESTS
from backstay.session.intents import STATUS_EVENTS, IntentEvent
from backstay.session.notices import Notice

FILLED, INACTIVE = "Filled", "Inactive"
_ROADS = (
    ("ApiPending", "PendingSubmit", "PreSubmitted", "Submitted", FILLED),
    ("PendingCancel", "Cancelled", "ApiCancelled"),
)
AT_OR_BEYOND = {status: frozenset(road[place:]) for road in _ROADS for place, status in enumerate(road)}
"""Statuses that tell that an order has come as far as this one: it may have gone by before anybody looked."""

DONE = AT_OR_BEYOND[FILLED] | AT_OR_BEYOND["Cancelled"]
"""Statuses from which no order comes back. Inactive is not among them: it may wait for shares or for a change."""

MAX_FILLS = 10_000
"""Executions kept of one order; the oldest go. `filled` counts on."""

_PLACE_ORDER = REQUESTS[3]
_ENDS = frozenset({Notice.ORDER_NOT_SENT, Notice.ORDER_UNKNOWN, Notice.ORDER_OVER, Notice.READ_ONLY})


class Trade:
    """One order. Its attributes change while it lives, in the connection's thread.

    `status` is TWS's word, empty until it has said one. `in_doubt`: it was sent, then the line broke before an answer;
    nobody places it again, and the reconciliation tells what became of it. `error`: why it ended without having been
    carried out, or the last that TWS had against it or its last change. `order`: what was asked for last, which TWS
    may have refused. `unheard`: the connection has ended; what TWS does with it is not heard here. Quantities are
    Decimals, prices floats.
    """

    def __init__(self, order_id: int, changed: threading.Condition, *, client_id: int) -> None:
        self.order_id = order_id
        self.client_id = client_id
        self.contract: Contract | None = None
        self.order: Order | None = None
        self.status = ""
        self.filled = Decimal(0)
        self.remaining = Decimal(0)
        self.average_price = 0.0
        self.perm_id = 0
        self.commissions: dict[str, Commission] = {}
        self.in_doubt = False
        self.error: BackstayError | None = None
        self.over = False
        self.unheard = False
        self.on_cancel: Callable[[Trade], object] = lambda _: None
        self.on_wait: Callable[[str], object] = lambda _: None
        self._changing = False  # a change was sent, and TWS has not said a word of it
        self._refused = False  # by what `error` says: the order, its last change or its cancel
        self._why = ""  # it was cancelled, in TWS's words
        self._fills: dict[str, Execution] = {}
        self._changed = changed
        self._listeners: tuple[Callable[[], object], ...] = ()

    @property
    def fills(self) -> tuple[Execution, ...]:
        """The executions, oldest first, each once."""
        return tuple(self._fills.values())

    @property
    def done(self) -> bool:
        """Whether it works no longer, however it ended. One of which nothing is heard any more may still work."""
        return self.over or self.status in DONE or (self.status == INACTIVE and self._refused)

    @property
    def acknowledged(self) -> bool:
        """Whether TWS has spoken of it."""
        return bool(self.status or self.perm_id or self._fills)

    def cancel(self) -> None:
        """Ask TWS to cancel it. What comes of it is seen in the status; held and sent first if the gateway is away."""
        self.on_cancel(self)

    def wait(self, *statuses: str, timeout: float) -> Trade:
        """Wait up to `timeout` seconds for one of these statuses; without any, for TWS's first word, or on a change.

        A status counts as reached also when the order is beyond it on the way to Filled, or to Cancelled. Returns the
        trade itself. Raises OrderOverError as soon as the order has ended in another status; what refused it, ended
        it unsent or (without statuses) refused its change; RequestInDoubtError while it is in doubt when the time is
        over, and NoAnswerError otherwise. Not in the connection's thread.
        """
        self.on_wait("wait")
        with self._changed:
            self._changed.wait_for(lambda: self.is_decided(statuses), timeout)
            return self.decided(statuses, timeout)

    def is_decided(self, statuses: tuple[str, ...]) -> bool:
        """Whether waiting for these statuses, or for TWS's word, has an end."""
        return self.done or self.unheard or self._has_reached(statuses)

    def decided(self, statuses: tuple[str, ...], timeout: float) -> Trade:
        """Return the trade if it has reached one of these, and raise otherwise; `timeout` is how long one waited."""
        with self._changed:
            error, refused = self.error, self._refused and not statuses
            if error is not None and (self.over or self.unheard or refused or not self.acknowledged):
                raise error
            if not self._has_reached(statuses):
                self.check_lives()
                raise NoAnswerError(f"order {self.order_id}: {self.status or 'no word'} after {timeout:g} s")
        return self

    def check_lives(self) -> None:
        """Raise why there is nothing to change: what ended it, or that it is in doubt."""
        error, ended = self.error, self.done
        if error is not None and (self.in_doubt or (ended and self.status not in DONE)):
            raise error
        if ended:
            code = _OVER_CODES.get(self.status, _OVER.code)
            raise OrderOverError(self.order_id, self.status, code=code, why=self._why)

    def _has_reached(self, statuses: tuple[str, ...]) -> bool:
        if not statuses:
            return self.status in DONE or (self.acknowledged and not self._changing)
        return any(self.status in AT_OR_BEYOND.get(status, (status,)) for status in statuses)

    def changing(self, contract: Contract, order: Order) -> None:
        """It is about to be placed, or changed to this."""
        with self._changed:
            self._changing, self._refused = self.acknowledged, False
            self.contract, self.order, self.error = contract, order, None

    # -- in the connection's thread ----------------------------------------------------------------------------------

    def hear(self, event: OrderStatus | OpenOrder | Execution | Commission | Error) -> None:
        """Something was said of it."""
        with self._changed:
            if self.unheard:
                self.unheard, self.error = False, None
            match event:
                case OrderStatus():
                    self._hear_status(event)
                case OpenOrder():
                    self._settle_doubt()
                    self._changing = False
                    self.contract = event.contract
                    self.perm_id = event.perm_id or self.perm_id
                    self._take_status(event.status)
                case Execution():
                    self._hear_execution(event)
                case Commission():
                    self.commissions[event.exec_id] = event
                case Error():
                    self._hear_error(event)
            self._tell()

    def fail(self, error: BackstayError) -> None:
        """It has ended without having been sent."""
        with self._changed:
            self.error, self.over = error, True
            self._tell()

    def leave(self, error: BackstayError) -> None:
        """The connection has ended, and nothing of it is heard here any more, unless the connection lives again."""
        with self._changed:
            if not self.unheard and not (self.in_doubt and self.error):
                self.error = error
            self.in_doubt, self.unheard = isinstance(self.error, RequestInDoubtError), True
            self._tell()

    def _tell(self) -> None:
        self._changed.notify_all()
        for listener in self._listeners:
            listener()

    @contextlib.contextmanager
    def listening(self, listener: Callable[[], object]) -> Generator[None]:
        """Have `listener` called, in the connection's thread, when something was said of it. For event loops."""
        with self._changed:
            self._listeners = (*self._listeners, listener)
        try:
            yield
        finally:
            with self._changed:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

    def _hear_status(self, event: OrderStatus) -> None:
        self._settle_doubt()
        self._take_status(event.status)
        if event.status == self.status:
            self.filled, self.remaining = event.filled, event.remaining
        self.average_price, self.perm_id = event.average_price or self.average_price, event.perm_id or self.perm_id

    def _take_status(self, status: str) -> None:
        """TWS repeats itself, not always in order: what has ended stays so, what was only held to be over does not."""
        if not status or (self.status in DONE and status not in DONE):
            return
        self.status = status
        if self.over and STATUS_EVENTS.get(status) is IntentEvent.WORKING:
            self.over, self._refused, self.error = False, False, None

    def _hear_execution(self, event: Execution) -> None:
        self._settle_doubt()
        self._fills[event.exec_id] = event
        self.contract = self.contract or event.contract
        if len(self._fills) > MAX_FILLS:
            del self._fills[next(iter(self._fills))]
        self.filled = max(self.filled, event.cumulative)

    def _settle_doubt(self) -> None:
        if self.in_doubt:
            self.in_doubt, self.error, self._changing = False, None, False

    def _hear_error(self, event: Error) -> None:
        notice = notice_of(event)
        if notice is None and event.code == CANCELLED:
            self._why = event.text
        elif self.status not in DONE and (notice is not None or not is_warning(event.code)):
            self._take_error(event, notice)

    def _take_error(self, event: Error, notice: Notice | None) -> None:
        self.error = None if notice is Notice.ORDER_OVER else blame(event)
        if notice is Notice.ORDER_OVER:
            self._why = event.text
        if notice is Notice.ORDER_IN_DOUBT:
            self.in_doubt = True
        elif notice in _ENDS:
            self.in_doubt, self.over = False, True
        elif notice is Notice.CHANGE_NOT_SENT or (notice is None and _is_rejection(event.code)):
            # Of an order that TWS has acknowledged its status tells how it ends; this may be about a change.
            self._changing, self._refused, self.over = False, True, self.over or not self.acknowledged


def _is_rejection(code: int) -> bool:
    if code in _PLACE_ORDER.warnings:
        return False
    return code in _PLACE_ORDER.ends_with_code or code_info(code).group is CodeGroup.REJECTED


CANCELLED = 202
"""Said of a cancel that succeeded; the status says the same."""

_OVER = Notice.ORDER_OVER.value
_OVER_CODES = {FILLED: 104, "Cancelled": CANCELLED, "ApiCancelled": CANCELLED}
"""What TWS says to whoever wants to change an order that has ended so, or of the end itself."""
