"""Where the client's requests are taken in, held, paced, refused and put back.

One rule a kind, in the table `_TAKE`. A gate decides whether anything leaves: it opens once the gateway has proved
that it answers, and closes with the socket. What may wait (settings, streams, reads, cancels) waits in the ledger,
bounded by `HeldSettings`; an order never waits for a connection that the client has been told is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from backstay.protocol.commands import cancel_frame, market_data_type
from backstay.protocol.errors import ErrorMessage, write_error
from backstay.protocol.framing import PREFIX_BYTES, frame
from backstay.protocol.messages import kind_of, message_id, request_key
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind, Request
from backstay.session.ledger import FORGOTTEN, Entry, Ledger
from backstay.session.notices import NO_ID, Notice
from backstay.session.pacing import Item, Lane, Outbox, Waiting
from backstay.session.pulse import Pulse
from backstay.session.settings import Settings
from backstay.session.vocabulary import Arm, Count, Deliver, Effect, Mute, PassClock, Refund, Timer, Write

REQ_CURRENT_TIME = 49
ORDERS = frozenset(request.id for request in REQUESTS.values() if request.kind is Kind.ORDER)
GLOBAL_CANCEL = 58
MARKET_DATA_TYPE, LIVE = 59, 1
MAX_HELD_CANCELS = 1_000
"""Order cancels kept for the time when the gateway is back: more than a client has orders."""

MUTED_AFTER_OWN_CANCEL = frozenset({300, 310, 365, 366, 162, 322})
"""What TWS says on the id of a cancel it does not need; the client never sent these cancels."""


@dataclass(slots=True)
class Desk:
    """The client's side of a session. `effects` is the list that the core hands out."""

    settings: Settings
    ledger: Ledger
    pulse: Pulse
    waiting: Waiting
    effects: list[Effect] = field(default_factory=list[Effect])
    version: int = 0
    epoch: int = 0
    open: bool = False
    told_down: bool = False
    refund: int = 0
    held_due: float = float("inf")
    outbox: Outbox = field(init=False)
    clocks: deque[Item] = field(init=False)
    cancels: deque[Item] = field(init=False)
    orders: deque[Item] = field(init=False)

    def __post_init__(self) -> None:
        self.outbox, self.clocks = self.waiting.outbox, self.waiting.clocks
        self.cancels, self.orders = self.waiting.cancels, self.waiting.orders

    # -- taking in ---------------------------------------------------------------------------------------------------

    def take(self, payload: bytes, now: float) -> None:
        """One request of the client."""
        number = message_id(payload, self.version)
        request = REQUESTS.get(number)
        item = Item(payload, len(payload) + PREFIX_BYTES, since=now)
        if self.settings.read_only and (request is None or request.changes):
            self._refuse(item, Notice.READ_ONLY, request_key(payload, self.version))
            return
        if request is None:
            self._take_unknown(item)
            return
        _TAKE[kind_of(payload, self.version)](self, request, item)

    def _take_unknown(self, item: Item) -> None:
        # A message of a later TWS than the tables know: as if directly connected, but never twice.
        if self.open:
            self.outbox.push(Lane.INTERACTIVE, item)
        else:
            self._refuse(
                item, Notice.NOT_SENT, None, detail="the gateway is away, and backstay does not know this message"
            )

    def _take_setting(self, request: Request, item: Item) -> None:
        self.ledger.set(request.id, item.payload)
        if self.open:
            # Not the lane of settings: what the client asked for before it is meant to come before it.
            self.outbox.push(Lane.INTERACTIVE, item)
        else:
            self.refund += item.refund

    def _take_entry(self, request: Request, item: Item) -> None:
        key = request_key(item.payload, self.version)
        if not self.open and self._held_is_full(item.refund):
            self.effects.append(Count("requests_rejected", "queue_full"))
            self._refuse(
                item, Notice.NOT_SENT, key, detail="the gateway is away and too much is waiting for it already"
            )
            return
        entry = self.ledger.ask(request, payload=item.payload, version=self.version, now=item.since)
        if not self.open:
            self.refund += item.refund
            self._expire_at(item.since + self.settings.held.age_seconds, item.since)
            return
        item.entry = entry
        entry.queued = True
        if request.id == REQ_CURRENT_TIME:
            self.clocks.append(item)
        else:
            self.outbox.push(Lane.INTERACTIVE, item)

    def _held_is_full(self, size_bytes: int) -> bool:
        held = self.ledger.held()
        limits = self.settings.held
        return len(held) >= limits.count or sum(len(e.payload) for e in held) + size_bytes > limits.size_bytes

    def _take_cancel(self, request: Request, item: Item) -> None:
        """A cancel of a stream or read: closes the entry; leaves only if TWS knows of the entry in this epoch."""
        key = request_key(item.payload, self.version)
        entry = self.ledger.find(request.cancels if request.cancels is not None else request.id, key)
        known_to_tws = entry is None or entry.is_known_in(self.epoch)
        if entry is not None:
            self.ledger.drop(entry)
        if self.open and known_to_tws:
            self.outbox.push(Lane.INTERACTIVE, item)
        else:
            self.refund += item.refund

    def _take_order(self, _request: Request, item: Item) -> None:
        if self.told_down:
            self._refuse_order(item, "the gateway is away")
        elif self.open:
            self.outbox.push(Lane.ORDERS, item)
        else:
            self.orders.append(item)
            self._expire_at(item.since + self.settings.held.order_seconds, item.since)

    def _take_order_cancel(self, _request: Request, item: Item) -> None:
        if self.open:
            self.outbox.push(Lane.ORDERS, item)
        else:
            self._hold_cancel(item)

    def _hold_cancel(self, item: Item) -> None:
        if len(self.cancels) >= MAX_HELD_CANCELS:
            self._refuse_cancel(item, "too many cancels are waiting")
        else:
            self.cancels.append(item)
            self._expire_at(item.since + self.settings.held.age_seconds, item.since)

    def _take_command(self, request: Request, item: Item) -> None:
        if request.id == GLOBAL_CANCEL:
            self._take_order_cancel(request, item)
        elif self.open:
            self.outbox.push(Lane.ORDERS, item)  # an order may build on it: new adviser groups
        else:
            self._refuse(item, Notice.NOT_SENT, request_key(item.payload, self.version), detail="the gateway is away")

    def _take_handshake(self, _request: Request, item: Item) -> None:
        # A second startApi or a verify exchange: the official server knows neither here. It is not passed on.
        self._refuse(item, Notice.NOT_SENT, None, detail="handshake messages are not expected now")

    # -- saying no ---------------------------------------------------------------------------------------------------

    def say(self, notice: Notice, *, key: int | None = None, detail: str = "") -> None:
        """Tell the client."""
        message = ErrorMessage(NO_ID if key is None else key, notice.value.code, notice.text(detail), "", 0)
        self.effects.append(Deliver(write_error(message, self.version)))

    def _refuse(self, item: Item, notice: Notice, key: int | None, *, detail: str = "") -> None:
        self.say(notice, key=key, detail=detail)
        self.refund += item.refund

    def _refuse_order(self, item: Item, detail: str) -> None:
        order_id = request_key(item.payload, self.version)
        is_change = order_id is not None and self.ledger.order_known(order_id)
        self.effects.append(Count("requests_rejected", "not_ready"))
        self._refuse(item, Notice.CHANGE_NOT_SENT if is_change else Notice.ORDER_NOT_SENT, order_id, detail=detail)

    def _refuse_cancel(self, item: Item, detail: str) -> None:
        self.effects.append(Count("requests_rejected", "not_ready"))
        self._refuse(item, Notice.CANCEL_NOT_SENT, request_key(item.payload, self.version), detail=detail)

    def refuse_orders(self) -> None:
        """The client has been told that the gateway is away: no order of before waits for it."""
        while self.orders:
            self._refuse_order(self.orders.popleft(), "the gateway is away")

    def expire(self, now: float) -> None:
        """Answer what has been held for too long."""
        self.held_due = float("inf")
        limits = self.settings.held
        while self.orders and self.orders[0].since + limits.order_seconds <= now:
            self._refuse_order(self.orders.popleft(), f"it waited for the gateway for {limits.order_seconds:g} s")
        while self.cancels and self.cancels[0].since + limits.age_seconds <= now:
            self._refuse_cancel(self.cancels.popleft(), _waited(limits.age_seconds))
        waiting: list[float] = [self.orders[0].since + limits.order_seconds] if self.orders else []
        waiting += [self.cancels[0].since + limits.age_seconds] if self.cancels else []
        for entry in () if self.open else self.ledger.held():
            due = entry.asked_at + limits.age_seconds
            if due <= now:
                self.ledger.drop(entry)
                self.say(Notice.NOT_SENT, key=entry.key, detail=_waited(limits.age_seconds))
            else:
                waiting.append(due)
        if waiting:
            self._expire_at(min(waiting), now)

    def _expire_at(self, due: float, now: float) -> None:
        if due < self.held_due:
            self.held_due = due
            self.effects.append(Arm(Timer.HELD, max(0.0, due - now)))

    # -- letting out -------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Open the gate: settings first, then what was cancelled meanwhile, then streams, then reads."""
        self.end_halves(self.epoch)
        self.open = True
        for payload in self.ledger.settings.values():
            self.outbox.push(Lane.SETTINGS, Item(payload))
        self._move(self.cancels, Lane.ORDERS)
        self._move(self.orders, Lane.ORDERS)
        self.requeue()

    def requeue(self) -> None:
        """Queue every stream and read that this epoch has not seen yet."""
        for entry in self.ledger.unsent(self.epoch):
            entry.queued = True
            item = Item(entry.payload, entry=entry)
            if entry.request.id == REQ_CURRENT_TIME:
                self.clocks.append(item)
            else:
                self.outbox.push(Lane.BULK, item)

    def resubscribe(self) -> None:
        """Same socket, data lost (1101): TWS may still know the ids, so each is cancelled and asked for again."""
        for entry in list(self.ledger.entries.values()):
            if entry.epoch != self.epoch or not entry.is_stream:
                continue
            self._cancel_ourselves(entry)
            entry.epoch = FORGOTTEN
            entry.queued = True
            self.outbox.push(Lane.BULK, Item(entry.payload, entry=entry))

    def _move(self, waiting: deque[Item], lane: Lane) -> None:
        while waiting:
            self.outbox.push(lane, waiting.popleft())

    def release(self, now: float) -> None:
        """Write what may leave now; arm the timer for what may not."""
        if not self.open:
            return
        batch: list[bytes] = []
        self._release_clock(now, batch)
        while (item := self.outbox.pop(now)) is not None:
            if not self._leaves(item, batch):
                self.outbox.take_back()
        if batch:
            self.effects.append(Write(self.epoch, b"".join(batch), len(batch)))
        self._plan_release(now)

    def _plan_release(self, now: float) -> None:
        if self.outbox.reserved:
            return  # a probe goes first; the step that sends it comes here again
        room = self.outbox.wait_seconds(now)
        waits = [room] if len(self.outbox) else []
        if self.clocks and not self.pulse.waiting:
            waits.append(max(room, self.pulse.earliest_question() - now))
        if waits:
            self.effects.append(Arm(Timer.RELEASE, min(waits)))

    def _release_clock(self, now: float, batch: list[bytes]) -> None:
        while self.clocks and not self._is_wanted(self.clocks[0]):
            self.refund += self.clocks.popleft().refund
        if not self.clocks or self.pulse.waiting or self.outbox.reserved:
            return
        if now >= self.pulse.earliest_question() and self.outbox.wait_seconds(now) <= 0.0:
            self.outbox.note_sent(now)
            self.pulse.client_asked(now)
            self.effects.append(PassClock(self.epoch))
            self._leaves(self.clocks.popleft(), batch)

    def _is_wanted(self, item: Item) -> bool:
        """False for a stream or read that was cancelled or asked for anew while it waited."""
        return item.entry is None or self.ledger.has(item.entry)

    def _leaves(self, item: Item, batch: list[bytes]) -> bool:
        self.refund += item.refund
        if not self._is_wanted(item):
            return False
        entry = item.entry
        if entry is not None:
            entry.epoch, entry.queued = self.epoch, False
        elif message_id(item.payload, self.version) in ORDERS:
            order_id = request_key(item.payload, self.version)
            if order_id is not None:
                self.ledger.order_sent(order_id)
        batch.append(frame(item.payload))
        return True

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not len(self.outbox) and not self.clocks

    def break_off(self, detail: str, now: float) -> None:
        """The socket is gone: close the gate, settle what cannot be put back, keep what can."""
        self.open = False
        for item in (*self.outbox.clear(), *self.clocks):
            self.refund += item.refund
            if item.entry is None:
                self._settle_queued(item)
        self.clocks.clear()
        self.ledger.break_off(now)
        for order_id in self.ledger.orders_in_doubt():
            self.say(Notice.ORDER_IN_DOUBT, key=order_id, detail=detail)

    def end_halves(self, epoch: int) -> None:
        """Reads of which the client has a part cannot be asked again without giving it that part twice.

        Called when nothing more comes of that epoch's socket; until then a read may still find its end.
        """
        for entry in self.ledger.take_halves(epoch):
            self.say(Notice.HALF_ANSWER, key=entry.key)

    def _settle_queued(self, item: Item) -> None:
        """A queued frame without an entry did not leave: an order is refused, a cancel kept, a setting replayed."""
        item.refund = 0
        request = REQUESTS.get(message_id(item.payload, self.version))
        kind = kind_of(item.payload, self.version) if request is not None else None
        if request is not None and (kind is Kind.ORDER_CANCEL or request.id == GLOBAL_CANCEL):
            self._hold_cancel(item)
        elif kind is Kind.ORDER:
            self._refuse_order(item, "the gateway went away before it could be sent")
        elif kind is Kind.COMMAND or request is None:
            self._refuse(item, Notice.NOT_SENT, request_key(item.payload, self.version), detail="the gateway went away")

    def forget_client(self) -> None:
        """The client has left and its connection is kept: end what it had asked for, as a closed socket would.

        Cancels of orders still go out; what TWS knows of streams and settings is undone.
        """
        for entry in list(self.ledger.entries.values()):
            if self.open and entry.is_known_in(self.epoch):
                self._cancel_ourselves(entry)
            self.ledger.drop(entry)
        if self.ledger.settings.pop(MARKET_DATA_TYPE, None) is not None and self.open:
            self.outbox.push(Lane.SETTINGS, Item(market_data_type(self.version, LIVE)[PREFIX_BYTES:]))
        self.ledger.settings.clear()
        for item in (*self.clocks, *self.orders):
            self.refund += item.refund
        self.clocks.clear()
        self.orders.clear()

    def _cancel_ourselves(self, entry: Entry) -> None:
        cancel = cancel_frame(entry.payload, self.version)
        if cancel is not None:
            if entry.key is not None:
                self.effects.append(Mute(self.epoch, entry.key, MUTED_AFTER_OWN_CANCEL))
            # Before whatever the client may ask for under the same id from now on.
            self.outbox.push(Lane.INTERACTIVE, Item(cancel[PREFIX_BYTES:]))

    def farewell(self) -> None:
        """Nothing will be sent any more: give back all credit."""
        for item in (*self.outbox.clear(), *self.clocks, *self.cancels, *self.orders):
            self.refund += item.refund
        for waiting in (self.clocks, self.cancels, self.orders):
            waiting.clear()

    def settle_refund(self) -> None:
        """Turn what came free in this step into one effect."""
        if self.refund:
            self.effects.append(Refund(self.refund))
            self.refund = 0


_TAKE: dict[Kind, Callable[[Desk, Request, Item], None]] = {
    Kind.SETTING: Desk._take_setting,
    Kind.ONESHOT: Desk._take_entry,
    Kind.SNAPSHOT: Desk._take_entry,
    Kind.STREAM: Desk._take_entry,
    Kind.ORDER: Desk._take_order,
    Kind.ORDER_CANCEL: Desk._take_order_cancel,
    Kind.CANCEL: Desk._take_cancel,
    Kind.COMMAND: Desk._take_command,
    Kind.HANDSHAKE: Desk._take_handshake,
}


def _waited(seconds: float) -> str:
    return f"the gateway was away for {seconds:g} s"
