"""Where the client's requests are taken in, held, paced, refused and put back.

One rule a kind, in the table `_TAKE`. A gate decides whether anything leaves: it opens once the gateway has proved
that it answers, and closes with the socket. What may wait (settings, streams, reads, cancels) waits in the ledger,
bounded by `HeldSettings`; an order never waits for a connection that the client has been told is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from backstay.protocol.commands import cancel_frame, market_data_type
from backstay.protocol.framing import PREFIX_BYTES, frame
from backstay.protocol.messages import body_fields, is_protobuf, kind_of, message_id, request_key
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind, Request
from backstay.session.counter import Counter
from backstay.session.ledger import FORGOTTEN, NEVER, Entry
from backstay.session.notices import Notice
from backstay.session.pacing import Item, Lane
from backstay.session.vocabulary import Arm, Count, Mute, PassClock, Timer, Write

REQ_CURRENT_TIME = 49
ORDERS = frozenset(request.id for request in REQUESTS.values() if request.kind is Kind.ORDER)
GLOBAL_CANCEL = 58
MARKET_DATA_TYPE, LIVE = 59, 1
CANCEL_ORDER, MARKET_DEPTH, ACCOUNT_SUMMARY = 4, 10, 62
MAX_HELD_TRADES = 1_000
"""Orders and cancels kept until the gateway is back: more than a client has orders."""

MAX_SUMMARIES, SUMMARY_CONTENT = 2, 2
"""Account summaries that TWS allows at a time; where in one, behind VERSION and request id, its content begins."""

USUAL_CANCEL_CODES = frozenset({300})
CANCEL_CODES = {
    10: frozenset({310}),
    20: frozenset({366, 162}),
    22: frozenset({365, 162}),
    50: frozenset({300, 366}),
    62: frozenset({300, 321}),
    74: frozenset({321}),
    76: frozenset({321}),
    92: frozenset({10185}),
    94: frozenset({10185}),
}
"""What TWS says on the id of a cancel it does not need, by the request cancelled; the client never sent these."""


@dataclass(slots=True)
class Desk(Counter):
    """The client's side of a session: what is taken in, and what is let out."""

    muted: set[int] = field(default_factory=set[int])
    restoring: int = 0  # queued by `restore` and not yet out

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
        self._make_room(request, item.payload)
        entry = self.ledger.ask(request, payload=item.payload, version=self.version, now=item.since)
        if key in self.muted:  # what TWS says on this id from now on is said to the client
            self.muted.discard(key)
            self.effects.append(Mute(self.epoch, key, frozenset()))
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

    def _make_room(self, request: Request, payload: bytes) -> None:
        """Let an older account summary that asks for the same make room: TWS allows two at a time.

        ib_async asks for one more after each 1102 and gives none up.
        """
        if request.id != ACCOUNT_SUMMARY or is_protobuf(payload, self.version):
            return
        summaries = self.ledger.of_request(ACCOUNT_SUMMARY)
        content = body_fields(payload, self.version)[SUMMARY_CONTENT:]
        same = [e for e in summaries if body_fields(e.payload, self.version)[SUMMARY_CONTENT:] == content]
        if len(summaries) >= MAX_SUMMARIES and same:
            if self.open and same[0].is_known_in(self.epoch):
                self._cancel_ourselves(same[0])
            self.ledger.drop(same[0])

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
            item.is_order = True
            self._hold_trade(item)

    def _take_order_cancel(self, _request: Request, item: Item) -> None:
        if self.open:
            self.outbox.push(Lane.ORDERS, item)
        else:
            self._hold_trade(item)

    def _hold_trade(self, item: Item) -> None:
        """Orders and cancels wait in one line: a cancel must not overtake its order."""
        if len(self.trades) < MAX_HELD_TRADES:
            self.trades.append(item)
            self._expire_at(self._trade_due(item), item.since)
        elif item.is_order:
            self._refuse_order(item, "too many orders are waiting")
        else:
            self._refuse_cancel(item, "too many cancels are waiting")

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

    # -- letting out -------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Open the gate: settings first, then orders and cancels that waited, then streams, then reads."""
        self.end_halves(self.epoch)
        self.open = True
        self.restoring = 0
        self.muted.clear()
        self._replay_settings()
        while self.trades:
            self._put_back(Lane.ORDERS, self.trades.popleft())
        self.requeue()

    def _replay_settings(self) -> None:
        for payload in self.ledger.settings.values():
            self._put_back(Lane.SETTINGS, Item(payload))

    def _put_back(self, lane: Lane, item: Item) -> None:
        item.restores = True
        self.restoring += 1
        self.outbox.push(lane, item)

    def requeue(self) -> None:
        """Queue every stream and read that this epoch has not seen yet."""
        for entry in self.ledger.unsent(self.epoch):
            entry.queued = True
            item = Item(entry.payload, entry=entry)
            if entry.request.id == REQ_CURRENT_TIME:
                self.clocks.append(item)
            else:
                self._put_back(Lane.BULK, item)

    def resubscribe(self) -> None:
        """Same socket, data lost (1101): TWS may still know the ids, so each is cancelled and asked for again."""
        self._replay_settings()
        for entry in list(self.ledger.entries.values()):
            if entry.epoch == self.epoch and entry.is_stream:  # a read may still be answered, and must not be twice
                self._cancel_ourselves(entry, Lane.SETTINGS)
                entry.epoch = FORGOTTEN
        self.requeue()

    def release(self, now: float) -> None:
        """Write what may leave now; arm the timer for what may not."""
        self.let_out(now)
        if self.open:
            self._plan_release(now)

    def let_out(self, now: float) -> None:
        """Write what may leave now."""
        if not self.open:
            return
        batch: list[bytes] = []
        self._release_clock(now, batch)
        while (item := self.outbox.pop(now)) is not None:
            if not self._leaves(item, batch):
                self.outbox.take_back()
        if batch:
            self._write(batch)

    def _write(self, batch: list[bytes]) -> None:
        """One message to the Connector for all that leaves in a row, however many requests were taken one by one."""
        data, messages = b"".join(batch), len(batch)
        last = self.effects[-1] if self.effects else None
        if isinstance(last, Write) and last.epoch == self.epoch:
            self.effects.pop()
            data, messages = last.data + data, last.messages + messages
        self.effects.append(Write(self.epoch, data, messages))

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
        self.restoring -= item.restores
        if not self._is_wanted(item):
            return False
        entry = item.entry
        if entry is None:
            self._note_leaving(item)
        else:
            if entry.request.id == MARKET_DEPTH and entry.epoch != NEVER:
                self.say(Notice.DEPTH_RESET, key=entry.key)
            entry.epoch, entry.queued = self.epoch, False
        batch.append(frame(item.payload))
        return True

    def _note_leaving(self, item: Item) -> None:
        number, key = message_id(item.payload, self.version), request_key(item.payload, self.version)
        if number == GLOBAL_CANCEL:
            self.ledger.global_cancel_out = True
        elif key is not None and number in ORDERS:
            self.ledger.order_sent(key)
        elif key is not None and number == CANCEL_ORDER:
            self.ledger.cancel_sent(key, item.payload)

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
        if self.ledger.break_off(now):
            self._expire_at(now + self.settings.held.age_seconds, now)
        for order_id in self.ledger.orders_in_doubt():
            self.say(Notice.ORDER_IN_DOUBT, key=order_id, detail=detail)
        # Cancelling twice is harmless; cancelling not at all is not. Cancelling everything is another matter: by the
        # time it could be repeated there may be orders that the client wants.
        for payload in self.ledger.take_cancels_out():
            self._hold_trade(Item(payload, since=now, repeats=True))
        if self.ledger.global_cancel_out:
            self.ledger.global_cancel_out = False
            self.say(Notice.GLOBAL_CANCEL_IN_DOUBT, detail=detail)

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
            self._hold_trade(item)
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
        for item in (*self.clocks, *self._take_from_trades(lambda item: item.is_order)):
            self.refund += item.refund
        self.clocks.clear()

    def ask_for_client(self, payload: bytes) -> None:
        """Ask something the client has not asked, for its answer to reach it. It waits for as long as it takes."""
        request = REQUESTS[message_id(payload, self.version)]
        entry = self.ledger.ask(request, payload=payload, version=self.version, now=float("inf"))
        if self.open:
            entry.queued = True
            self.outbox.push(Lane.INTERACTIVE, Item(payload, entry=entry))

    def _cancel_ourselves(self, entry: Entry, lane: Lane = Lane.INTERACTIVE) -> None:
        cancel = cancel_frame(entry.payload, self.version)
        if cancel is not None:
            if entry.key is not None:
                self.muted.add(entry.key)
                codes = CANCEL_CODES.get(entry.request.id, USUAL_CANCEL_CODES)
                self.effects.append(Mute(self.epoch, entry.key, codes))
            # Before whatever the client may ask for under the same id from now on.
            self.outbox.push(lane, Item(cancel[PREFIX_BYTES:]))

    def farewell(self) -> None:
        """Nothing will be sent any more: give back all credit."""
        for item in (*self.outbox.clear(), *self.clocks, *self.trades):
            self.refund += item.refund
        self.clocks.clear()
        self.trades.clear()


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
