"""Where a client is told no, and where what waits too long is answered.

The lower half of the desk: it knows what waits and what has been said, and lets nothing out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from backstay.protocol.errors import ErrorMessage, write_error
from backstay.protocol.messages import message_id, request_key
from backstay.session.families import Families
from backstay.session.historical import Historical
from backstay.session.intents import AWAY, Moment
from backstay.session.ledger import Ledger
from backstay.session.lifecycle import State
from backstay.session.notices import NO_ID, Notice
from backstay.session.orders import Journal, Orders
from backstay.session.pacing import Item, Lane, Outbox, Waiting
from backstay.session.pulse import Pulse
from backstay.session.reasons import Reason
from backstay.session.request_life import Happening
from backstay.session.settings import Settings
from backstay.session.tally import count_expired
from backstay.session.vocabulary import Arm, Count, Deliver, Effect, Refund, Report, Timer

CANCEL_ORDER, GLOBAL_CANCEL = 4, 58
MAX_HELD_TRADES = 1_000
"""Orders and cancels kept until the gateway is back: more than a client has orders."""


_REFUSALS = {State.PARKED: "circuit_open", State.DRAINING: "draining"}


@dataclass(slots=True)
class Counter:
    """What the client is told on our own account. `effects` is the list that the core hands out."""

    settings: Settings
    ledger: Ledger
    pulse: Pulse
    waiting: Waiting
    effects: list[Effect] = field(default_factory=list[Effect])
    version: int = 0
    epoch: int = 0
    open: bool = False
    told_down: bool = False
    client_gone: bool = False  # nobody hears what is said
    away: Reason = Reason.AWAY
    endpoint: tuple[str, int] = ("", 0)
    closed: str = ""  # why no orders are taken: planned downtime
    draining: bool = False  # an operator wants nothing new to be taken
    refund: int = 0
    held_due: float = float("inf")
    now: float = 0.0
    wall: float = 0.0
    link_up: bool = True
    orders: Orders | None = None
    state: State = State.STOPPED
    outbox: Outbox = field(init=False)
    clocks: deque[Item] = field(init=False)
    trades: deque[Item] = field(init=False)
    historical: Historical = field(init=False)
    families: Families = field(init=False)

    def __post_init__(self) -> None:
        self.outbox, self.clocks, self.trades = self.waiting.outbox, self.waiting.clocks, self.waiting.trades
        self.historical, self.families = self.waiting.historical, self.waiting.families

    def at(self) -> Moment:
        """The time of the present step."""
        return Moment(self.now, self.wall)

    # -- saying no ---------------------------------------------------------------------------------------------------

    def say(self, notice: Notice, *, key: int | None = None, detail: str = "") -> None:
        """Tell the client."""
        number, now_ms = NO_ID if key is None else key, round(self.wall * 1000)
        message = ErrorMessage(number, notice.value.code, notice.text(detail), time_ms=now_ms)
        self.effects.append(Deliver(write_error(message, self.version)))

    @property
    def refusal(self) -> str:
        """The reason under which a refusal is counted that has no other."""
        return "draining" if self.draining else _REFUSALS.get(self.state, "not_ready")

    def _refuse(self, item: Item, notice: Notice, key: int | None, *, detail: str = "", reason: str = "") -> None:
        self.effects.append(Count("requests_rejected", reason or self.refusal))
        self.say(notice, key=key, detail=detail)
        self.refund += item.refund

    def _refuse_order(self, item: Item, detail: str) -> None:
        order_id = request_key(item.payload, self.version)
        is_change = order_id is not None and self._may_be_known(order_id)
        self._refuse(item, Notice.CHANGE_NOT_SENT if is_change else Notice.ORDER_NOT_SENT, order_id, detail=detail)

    def _may_be_known(self, order_id: int) -> bool:
        """As the ledger says; after a crash only the journal knows, and as long as it has not been read, it may."""
        ledger, orders = self.ledger, self.orders
        if ledger.may_be_known(order_id):
            return True
        known = orders.table.get(orders.client_id, order_id) if orders is not None else None
        if known is not None and known.state in AWAY:
            return True
        unread = self.settings.journal if orders is None else orders.journal in (Journal.ASKED, Journal.BROKEN)
        return unread and ledger.first_order_id is None

    def tell_doubts(self, detail: str) -> None:
        """Tell the client of orders that have come into doubt, once each."""
        orders = self.orders
        assert orders is not None  # noqa: S101  # there is something to tell
        doubtful = {intent.key: intent for intent in orders.table.in_doubt()}
        for key in sorted(doubtful.keys() - orders.told):
            why = detail if doubtful[key].written_at else Reason.SESSION_ENDED
            self.say(Notice.ORDER_IN_DOUBT, key=key.order_id, detail=why)
        orders.told = set(doubtful)

    def _refuse_cancel(self, item: Item, detail: str) -> bool:
        """A cancel does not leave: the client is told, or, if it has gone, it is kept for the next of its id (True)."""
        if self.client_gone and self._keep_cancel(item):
            self.refund += item.refund
            return True
        if owed := self._owed(self.cancelled_by(item.payload)):  # else none of what waits has to be looked at
            self._settle_cancels(owed - self.pending_cancels())
        notice = Notice.CANCEL_IN_DOUBT if item.repeats else Notice.CANCEL_NOT_SENT
        self._refuse(item, notice, request_key(item.payload, self.version), detail=detail)
        return False

    def _keep_cancel(self, item: Item) -> bool:
        orders = self.orders
        if orders is None or orders.journal is not Journal.OPEN:
            return False  # nobody would find it
        kept = self.want_cancels(item)
        if kept:
            self.effects.append(Report("cancels_kept", (("orders", kept),)))
        return kept > 0

    # -- cancels that are owed: in the journal, until TWS has answered or the client is told -------------------------

    def cancelled_by(self, payload: bytes) -> frozenset[int]:
        """Ids of the orders that this is a cancel of; of a cancel of all, those of this client that are known."""
        number = message_id(payload, self.version)
        if number == GLOBAL_CANCEL and self.orders is not None:
            mine = (one.key for one in self.orders.table.open_intents())
            return frozenset(key.order_id for key in mine if key.client_id == self.orders.client_id)
        key = request_key(payload, self.version) if number == CANCEL_ORDER else None
        return frozenset() if key is None else frozenset((key,))

    def want_cancels(self, item: Item) -> int:
        """The client wants this cancel to arrive: have that kept. Of how many orders there is a record."""
        orders = self.orders
        if orders is None:
            return 0
        return sum(orders.table.want_cancel(orders.client_id, order_id) for order_id in self.cancelled_by(item.payload))

    def pending_cancels(self) -> frozenset[int]:
        """Ids of the orders whose cancels wait somewhere here, or have been written and not answered."""
        unkept = self.orders.unkept if self.orders is not None else ()
        waiting = (*self.trades, *unkept, *self.outbox.lanes[Lane.ORDERS])
        payloads = {item.payload for item in waiting}  # a cancel that is repeated is looked at once
        return frozenset(self.ledger.cancels_out).union(*map(self.cancelled_by, payloads))

    def cancel_answered(self, order_id: int) -> None:
        """TWS has said something about this order: a cancel of it that was out has arrived."""
        if self.ledger.cancel_answered(order_id):
            self._settle_cancels((order_id,))

    def doubt_global_cancel(self, detail: str) -> None:
        """Of a cancel of all that was written nothing more is heard; it is not repeated, and the client is told."""
        out, self.ledger.global_cancel_out = self.ledger.global_cancel_out, None
        self._settle_cancels((out or set()) - self.pending_cancels())
        self.say(Notice.GLOBAL_CANCEL_IN_DOUBT, detail=detail)

    def _owed(self, order_ids: Iterable[int]) -> frozenset[int]:
        orders = self.orders
        if orders is None:
            return frozenset()
        known = ((order_id, orders.table.get(orders.client_id, order_id)) for order_id in order_ids)
        return frozenset(order_id for order_id, intent in known if intent is not None and intent.cancel_owed)

    def _settle_cancels(self, order_ids: Iterable[int]) -> None:
        for order_id in order_ids:
            assert self.orders is not None  # noqa: S101  # a cancel has left, so the client has said its id
            self.orders.table.settle_cancel(self.orders.client_id, order_id)

    def refuse_orders(self) -> None:
        """The client has been told that the gateway is away: no order of before waits for it, its cancels do."""
        for item in self._take_from_trades(lambda item: item.is_order):
            self._refuse_order(item, self.away)

    def _take_from_trades(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Remove what is unwanted from what waits; the rest keeps its order."""
        taken = [item for item in self.trades if unwanted(item)]
        kept = [item for item in self.trades if not unwanted(item)]
        self.trades.clear()
        self.trades.extend(kept)
        return taken

    def expire(self, now: float) -> None:
        """Answer what has been held for too long."""
        self.held_due = float("inf")
        limits = self.settings.held
        for item in self._take_from_trades(lambda item: self._trade_due(item) <= now):
            if item.is_order:
                self._refuse_order(item, Reason.WAITED.format(seconds=limits.order_seconds))
            else:
                self._refuse_cancel(item, _waited(limits.age_seconds))
        waiting = [self._trade_due(item) for item in self.trades]
        for entry in () if self.open else self.ledger.held():
            due = entry.asked_at + limits.age_seconds
            if due <= now:
                self.ledger.close(entry, Happening.TIMED_OUT)
                count_expired(self, entry)
                self.say(Notice.NOT_SENT, key=entry.key, detail=_waited(limits.age_seconds))
            else:
                waiting.append(due)
        if waiting:
            self._expire_at(min(waiting), now)

    def _trade_due(self, item: Item) -> float:
        held = self.settings.held
        return item.since + (held.order_seconds if item.is_order else held.age_seconds)

    def _expire_at(self, due: float, now: float) -> None:
        if due < self.held_due and due < float("inf"):
            self.held_due = due
            self.effects.append(Arm(Timer.HELD, max(0.0, due - now)))

    def _hold_trade(self, item: Item) -> None:
        """Orders and cancels wait in one line: a cancel must not overtake its order."""
        if len(self.trades) < MAX_HELD_TRADES:
            self.trades.append(item)
            self._expire_at(self._trade_due(item), item.since)
        elif item.is_order:
            self._refuse_order(item, Reason.TOO_MANY_ORDERS)
        else:
            self._refuse_cancel(item, Reason.TOO_MANY_CANCELS)

    def settle(self) -> None:
        """Turn what came free in this step into one effect, and count what ended."""
        if self.ledger.endings:
            self.effects += [Count("requests_ended", ending.value) for ending in self.ledger.endings]
            self.ledger.endings.clear()
        if self.refund:
            self.effects.append(Refund(self.refund))
            self.refund = 0


def _waited(seconds: float) -> str:
    return Reason.AWAY_TOO_LONG.format(seconds=seconds)
