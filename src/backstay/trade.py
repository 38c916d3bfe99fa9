"""An order as the application has it: how it stands, what was filled, and whether anybody knows.

Written by the connection's thread, read by any.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from decimal import Decimal

from backstay.errors import BackstayError, NoAnswerError
from backstay.library_words import blame, notice_of
from backstay.protocol.builders_terms import Contract, Order
from backstay.protocol.codes import CodeGroup, code_info, is_warning
from backstay.protocol.events import Commission, Error, Execution, OpenOrder, OrderStatus
from backstay.protocol.requests import REQUESTS
from backstay.session.notices import Notice

DONE = frozenset({"Filled", "Cancelled", "ApiCancelled"})
"""Statuses from which no order comes back. Inactive is not among them."""

MAX_FILLS = 10_000
"""Executions kept of one order; the oldest go. `filled` counts on."""

_PLACE_ORDER = REQUESTS[3]
_ENDS = frozenset({Notice.ORDER_NOT_SENT, Notice.ORDER_UNKNOWN, Notice.ORDER_OVER, Notice.READ_ONLY})


class Trade:
    """One order. Its attributes change while it lives, in the connection's thread.

    `status` is TWS's word, empty until it has said one. `in_doubt`: it was sent, then the line broke before an answer;
    nobody places it again, and the reconciliation tells what became of it. `error`: why it ended without having been
    carried out, or the last that TWS had against it. Quantities are Decimals, prices floats.
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
        self.on_cancel: Callable[[Trade], object] = lambda _: None
        self._fills: dict[str, Execution] = {}
        self._changed = changed
        self._listeners: tuple[Callable[[], object], ...] = ()

    @property
    def fills(self) -> tuple[Execution, ...]:
        """The executions, oldest first, each once."""
        return tuple(self._fills.values())

    @property
    def done(self) -> bool:
        """Whether it works no longer, however it ended."""
        return self.over or self.status in DONE

    @property
    def acknowledged(self) -> bool:
        """Whether TWS has spoken of it."""
        return bool(self.status or self.perm_id or self._fills)

    def cancel(self) -> None:
        """Ask TWS to cancel it. What comes of it is seen in the status; held and sent first if the gateway is away."""
        self.on_cancel(self)

    def wait(self, *statuses: str, timeout: float) -> Trade:
        """Wait up to `timeout` seconds for one of these statuses, or for its end; without any, for TWS's first word.

        Raises what refused or ended it without having been carried out, RequestInDoubtError while it is in doubt
        when the time is over, and NoAnswerError otherwise. Returns the trade itself. Not in the connection's thread.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.is_at(statuses), timeout)
            if self.error is not None and (self.over or not self.acknowledged):
                raise self.error
            if not self.is_at(statuses):
                if self.in_doubt and self.error is not None:
                    raise self.error
                raise NoAnswerError(f"order {self.order_id}: {self.status or 'no word'} after {timeout} s")
        return self

    def is_at(self, statuses: tuple[str, ...]) -> bool:
        """Whether it has one of these statuses, or has ended; without any, whether TWS has spoken of it."""
        return self.done or (self.status in statuses if statuses else self.acknowledged)

    # -- in the connection's thread ----------------------------------------------------------------------------------

    def hear(self, event: OrderStatus | OpenOrder | Execution | Commission | Error) -> None:
        """Something was said of it."""
        with self._changed:
            match event:
                case OrderStatus():
                    self._hear_status(event)
                case OpenOrder():
                    self._settle_doubt()
                    self.contract = event.contract
                    self.perm_id = event.perm_id or self.perm_id
                    self.status = event.status or self.status
                case Execution():
                    self._hear_execution(event)
                case Commission():
                    self.commissions[event.exec_id] = event
                case Error():
                    self._hear_error(event)
            self._tell()

    def fail(self, error: BackstayError) -> None:
        """It has ended without having been sent, or nobody will hear of it here any more."""
        with self._changed:
            self.error, self.over = error, True
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
        self.status, self.filled, self.remaining = event.status, event.filled, event.remaining
        self.average_price, self.perm_id = event.average_price or self.average_price, event.perm_id or self.perm_id

    def _hear_execution(self, event: Execution) -> None:
        self._settle_doubt()
        self._fills[event.exec_id] = event
        self.contract = self.contract or event.contract
        if len(self._fills) > MAX_FILLS:
            del self._fills[next(iter(self._fills))]
        self.filled = max(self.filled, event.cumulative)

    def _settle_doubt(self) -> None:
        if self.in_doubt:
            self.in_doubt, self.error = False, None

    def _hear_error(self, event: Error) -> None:
        notice = notice_of(event)
        if notice is None and (event.code == CANCELLED or is_warning(event.code)):
            return
        self.error = None if notice is Notice.ORDER_OVER else blame(event)
        if notice is Notice.ORDER_IN_DOUBT:
            self.in_doubt = True
        elif notice in _ENDS:
            self.in_doubt, self.over = False, True
        elif notice is None and not self.acknowledged:
            # Of an order that TWS has acknowledged its status tells how it ends; an error may be about a change.
            self.over = _is_rejection(event.code)


def _is_rejection(code: int) -> bool:
    if code in _PLACE_ORDER.warnings:
        return False
    return code in _PLACE_ORDER.ends_with_code or code_info(code).group is CodeGroup.REJECTED


CANCELLED = 202
"""Said of a cancel that succeeded; the status says the same."""
