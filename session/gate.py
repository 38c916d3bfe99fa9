"""Where requests leave: put back after a new socket, paced, repeated when TWS has dropped them, settled when it breaks.

A gate decides whether anything leaves: it opens once the gateway has proved that it answers, and closes with the
socket. Whatever has left is awaited: see `firsts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from backstay.protocol.codes import CANCEL_CODES, USUAL_CANCEL_CODES
from backstay.protocol.commands import cancel_frame
from backstay.protocol.framing import PREFIX_BYTES, frame
from backstay.protocol.historical import LIMITED, historical_query
from backstay.protocol.messages import message_id, request_key
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind
from backstay.session.firsts import NEVER_DUE, Firsts
from backstay.session.ledger import FORGOTTEN, NEVER, UNSEEN, Entry
from backstay.session.notices import Notice
from backstay.session.pacing import Item, Lane
from backstay.session.reasons import Reason
from backstay.session.tally import ORDER, ORDER_CANCEL, count_failed, count_order_sent, count_sent
from backstay.session.trades import GLOBAL_CANCEL, Trades
from backstay.session.unspoken import Unspoken
from backstay.session.vocabulary import Arm, Await, Count, Mute, Observe, PassClock, Swallow, Timer, Write

REQ_CURRENT_TIME = 49
ORDERS = frozenset(request.id for request in REQUESTS.values() if request.kind is Kind.ORDER)
SILENCE_SAYS_NOTHING = frozenset({REQ_CURRENT_TIME, 12})
"""The time, whose silence the pulse judges; news bulletins, of which there may be none for days."""

CANCEL_ORDER, MARKET_DEPTH = 4, 10

DUPLICATE_CODES = frozenset({102, 322, 385, 386, 10278, 10281})
"""What TWS says of a request that it has already: one that was repeated had arrived after all."""

_BEFORE_A_WRITE = (Await, Mute, Swallow, PassClock, Count, Observe)
"""Effects that may come before a frame they are not about, or have to come before the one they are about."""


@dataclass(slots=True)
class Gate(Trades):
    """The way out of a session. The desk in front of it takes requests in."""

    muted: set[int] = field(default_factory=set[int])
    restoring: int = 0  # queued by `restore` and not yet out
    look_due: float = NEVER_DUE
    firsts: Firsts = field(init=False)
    unspoken: Unspoken = field(default_factory=Unspoken)
    settings_out: dict[int, float] = field(default_factory=dict[int, float])  # when each was written last

    def __post_init__(self) -> None:
        Trades.__post_init__(self)
        self.firsts = Firsts(self.settings.verify)

    def restore(self, begin: Callable[[], object]) -> None:
        """Open the gate: settings first, then what `begin` asks, cancels that waited, streams, reads."""
        self.end_halves(self.epoch)
        self.firsts.forget_all()
        self.unspoken.forget_all()
        self.open = True
        self.restoring = 0
        self.muted.clear()
        for payload in self.ledger.settings.values():
            self._put_back(Lane.SETTINGS, Item(payload))
        begin()
        self.release_trades()
        self.requeue()

    def has_asked(self, requests: frozenset[int]) -> bool:
        """Whether one of these is out for the client, and not answered."""
        return any(
            entry.request.id in requests and entry.epoch == self.epoch and not entry.queued
            for entry in self.ledger.entries.values()
        )

    def repeat_settings(self, until: float = NEVER_DUE) -> None:
        """Write those once more, on the same socket, that were written up to this moment: nobody says what he heeds."""
        for number, payload in self.ledger.settings.items():
            if self.settings_out.get(number, NEVER_DUE) <= until:
                self.settings_out.pop(number, None)  # until it has left again
                self.outbox.push(Lane.SETTINGS, Item(payload))

    def _put_back(self, lane: Lane, item: Item) -> None:
        item.restores = True
        self.restoring += 1
        self.outbox.push(lane, item)

    def requeue(self) -> None:
        """Queue every stream and read that this epoch has not seen yet."""
        for entry in self.ledger.unsent(self.epoch):
            entry.queued = True
            entry.repeats, entry.renewals = 0, 0
            entry.flowed, entry.renew_wanted, entry.given_up = False, False, False
            item = Item(entry.payload, entry=entry)
            if entry.request.id == REQ_CURRENT_TIME:
                self.clocks.append(item)
            else:
                self._put_back(Lane.BULK, item)

    def resubscribe(self) -> None:
        """Same socket, data lost (1101): TWS may still know the ids, so each is cancelled and asked for again."""
        self.repeat_settings()
        for entry in list(self.ledger.entries.values()):
            if entry.epoch == self.epoch and entry.is_stream:  # a read may still be answered, and must not be twice
                self._cancel_ourselves(entry, Lane.SETTINGS)
                entry.epoch = FORGOTTEN
        self.requeue()

    def repeat(self, entry: Entry) -> None:
        """TWS has shown no sign of this request: write it again, on the same socket.

        Should it have arrived all the same, TWS says it is a duplicate, or answers twice: the client hears neither.
        """
        entry.repeats += 1
        entry.queued = True
        if entry.key is not None:
            self.effects.append(Mute(self.epoch, entry.key, DUPLICATE_CODES))
            self.muted.add(entry.key)
            if not entry.is_stream and entry.ends:
                numbers = entry.request.answers | entry.request.rows | entry.ends
                self.effects.append(Swallow(self.epoch, entry.key, numbers, entry.ends))
        self.outbox.push(Lane.BULK, Item(entry.payload, entry=entry))

    def renew(self, entry: Entry) -> None:
        """TWS has let this stream go: cancel what may be left of it, and ask again."""
        self._cancel_ourselves(entry, Lane.BULK)  # the same lane: it has to be there first
        entry.epoch, entry.queued = FORGOTTEN, True
        entry.renew_wanted, entry.flowed, entry.repeats = False, False, 0
        self.outbox.push(Lane.BULK, Item(entry.payload, entry=entry))

    def give_up(self, entry: Entry) -> None:
        """Nobody wants an answer to this any more."""
        self.wait_no_more(entry)
        self.ledger.drop(entry)

    def await_first(self, entry: Entry) -> None:
        """Have the first sign of a stream noted, which is not watched otherwise."""
        if entry.is_stream or entry.request.id in UNSEEN:
            self.effects.append(Await(self.epoch, entry.key, _signs(entry)))
            entry.awaited = True

    def abandon(self, entry: Entry) -> None:
        """The gateway has had its time: cancel the read, in case it is still at it."""
        count_failed(self, entry)
        self._cancel_ourselves(entry)
        self.give_up(entry)

    def wait_no_more(self, entry: Entry) -> None:
        """Have the sieve look out for this entry no longer."""
        if entry.awaited and entry.epoch == self.epoch:
            self.effects.append(Await(self.epoch, entry.key, _signs(entry), wanted=False))
        entry.awaited = False

    def _use_anew(self, key: int | None) -> None:
        """The client asks for something under an id: what TWS says on it from now on is for the client."""
        if key is not None and key in self.muted:
            self.muted.discard(key)
            self.effects.append(Mute(self.epoch, key, frozenset()))
            self.effects.append(Swallow(self.epoch, key))

    def release(self, now: float) -> None:
        """Write what may leave now; arm the timer for what may not."""
        self.let_out(now)
        if self.open:
            self._plan_release(now)
            self.plan_look(now)

    def let_out(self, now: float) -> None:
        """Write what may leave now."""
        if not self.open:
            return
        batch: list[bytes] = []
        self._release_clock(now, batch)
        self._release_historical(now, batch)
        while (item := self.outbox.pop(now)) is not None:
            if not self._leaves(item, batch, now):
                self.outbox.take_back()
        if batch:
            self._write(batch)

    def _write(self, batch: list[bytes]) -> None:
        """One message to the Connector for all that leaves in a row, however many requests were taken one by one."""
        data, messages = b"".join(batch), len(batch)
        at = len(self.effects) - 1
        while at >= 0 and isinstance(self.effects[at], _BEFORE_A_WRITE):
            at -= 1
        last = self.effects[at] if at >= 0 else None
        if isinstance(last, Write) and last.epoch == self.epoch:
            del self.effects[at]
            data, messages = last.data + data, last.messages + messages
        self.effects.append(Write(self.epoch, data, messages))

    def _plan_release(self, now: float) -> None:
        if self.outbox.reserved or not (len(self.outbox) or self.clocks or self.historical.shelf):
            return  # a probe goes first: the step that sends it comes here again
        room = self.outbox.wait_seconds(now, urgent=self.outbox.has_urgent)
        waits = [room] if len(self.outbox) else []
        if self.clocks and not self.pulse.waiting:
            waits.append(max(room, self.pulse.earliest_question() - now))
        if self.historical.shelf:
            waits.append(max(room, self.historical.due - now))
        if waits:
            self.effects.append(Arm(Timer.RELEASE, min(waits)))

    def plan_look(self, now: float) -> None:
        """Have the timer ring when the next request may have been without an answer for too long."""
        due = min(self.firsts.next_due, self.unspoken.next_due)
        if due < self.look_due:
            self.look_due = due
            self.effects.append(Arm(Timer.VERIFY, max(0.0, due - now)))

    def ask_the_time(self, now: float) -> bool:
        """Let a question of the client for the time out in place of a probe. False if there is none."""
        batch: list[bytes] = []
        if self.open:
            self.pulse.waiting = False
            self._release_clock(now, batch)
        if batch:
            self._write(batch)
        return bool(batch)

    def _release_clock(self, now: float, batch: list[bytes]) -> None:
        while self.clocks and not self._is_wanted(self.clocks[0]):
            self.refund += self.clocks.popleft().refund
        if not self.clocks or self.pulse.waiting or self.outbox.reserved:
            return
        if now >= self.pulse.earliest_question() and self.outbox.wait_seconds(now) <= 0.0:
            self.outbox.note_sent(now)
            self.pulse.client_asked(now)
            self.effects.append(PassClock(self.epoch))
            self._leaves(self.clocks.popleft(), batch, now)

    def _release_historical(self, now: float, batch: list[bytes]) -> None:
        while self.historical.shelf and not self.outbox.reserved and self.outbox.wait_seconds(now) <= 0.0:
            shelved = self.historical.take(now, self._is_wanted)
            if shelved is None:
                return
            assert shelved.item.entry is not None  # noqa: S101  # nothing else is put there
            shelved.item.entry.born_at += now - shelved.since  # its deadline is for the answer
            self.outbox.note_sent(now)
            self._goes(shelved.item, batch, now)

    def _is_wanted(self, item: Item) -> bool:
        """False for a stream or read that was cancelled, answered or asked for anew while it waited."""
        entry = item.entry
        if entry is None:
            return True
        if entry.heard and entry.epoch == self.epoch:
            entry.queued = False  # it was to be repeated
            return False
        return self.ledger.has(entry)

    def _leaves(self, item: Item, batch: list[bytes], now: float) -> bool:
        self.refund += item.refund
        self.restoring -= item.restores
        if not self._is_wanted(item) or self._has_to_wait(item, now):
            return False
        self._goes(item, batch, now)
        return True

    def _has_to_wait(self, item: Item, now: float) -> bool:
        """Whether a historical query would break IB's limits: then it waits for its time, or is refused."""
        entry = item.entry
        if entry is None or entry.request.id not in LIMITED or not self.settings.historical_limits:
            return False
        query = historical_query(item.payload, self.version)
        if query is None or self.historical.admits(query, now):
            return False
        if len(self.historical.shelf) >= self.settings.held.count:
            self.historical.purge(self._is_wanted)
        if len(self.historical.shelf) >= self.settings.held.count:
            self.give_up(entry)
            self.effects.append(Count("requests_rejected", "queue_full"))
            self.say(Notice.NOT_SENT, key=entry.key, detail=Reason.TOO_MANY_QUERIES)
        else:
            self.historical.put(Item(item.payload, entry=entry), query, now)
        return True

    def _goes(self, item: Item, batch: list[bytes], now: float) -> None:
        if item.queued_at:
            self.effects.append(Observe("send_queue_wait", max(0.0, now - item.queued_at)))
        entry = item.entry
        if entry is None:
            self._note_leaving(item)
        else:
            if entry.request.id == MARKET_DEPTH and entry.epoch != NEVER:
                self.say(Notice.DEPTH_RESET, key=entry.key)
            count_sent(self, entry)
            entry.epoch, entry.queued = self.epoch, False
            if entry.request.id not in SILENCE_SAYS_NOTHING:
                self.await_first(entry)
                self.firsts.sent(entry, now)
        batch.append(frame(item.payload))

    def _note_leaving(self, item: Item) -> None:
        number, key = message_id(item.payload, self.version), request_key(item.payload, self.version)
        if number == GLOBAL_CANCEL:
            self.ledger.global_cancel_out = True
            count_order_sent(self, ORDER_CANCEL, None, since=0.0)
            self.unspoken.left(None, item, self.settings, now=self.now)
        elif key is not None and item.is_preview:
            self.ledger.preview_sent(key)
        elif key is not None and number in ORDERS:
            self.ledger.order_sent(key)
            count_order_sent(self, ORDER, key, since=item.since)
            if item.intent is not None:  # TWS says nothing but the answer itself of a preview
                self.unspoken.left(key, item, self.settings, now=self.now)
        elif key is not None and number == CANCEL_ORDER:
            self.ledger.cancel_sent(key, item.payload)
            if not item.repeats:
                count_order_sent(self, ORDER_CANCEL, key, since=item.since)
            self.unspoken.left(key, item, self.settings, now=self.now)
        elif number in self.ledger.settings:
            self.settings_out[number] = self.now

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not len(self.outbox) and not self.clocks and not self.has_trades

    def break_off(self, detail: str, now: float) -> None:
        """The socket is gone: close the gate, settle what cannot be put back, keep what can."""
        self.open = False
        self.firsts.forget_all()
        self.unspoken.forget_all()
        unkept: list[Item] = []
        if self.orders is not None:
            unkept, self.orders.unkept = self.orders.unkept, []
            self.orders.reconciliation.lost()
        for item in (*self.outbox.clear(), *unkept, *self.clocks):
            self.refund += item.refund
            if item.entry is None:
                self._settle_queued(item)
        self.clocks.clear()
        self.historical.clear()
        if self.ledger.break_off(now):
            self._expire_at(now + self.settings.held.age_seconds, now)
        if self.orders is not None:
            self.ledger.forget_unanswered_orders()
            self.orders.table.lost(self.at())
            self.tell_doubts(detail)
        for order_id in self.ledger.take_previews():
            self.say(Notice.PREVIEW_LOST, key=order_id)
        # Cancelling twice is harmless; cancelling not at all is not. Cancelling everything is another matter: by the
        # time it could be repeated there may be orders that the client wants.
        for payload in self.ledger.take_cancels_out():
            self._hold_trade(Item(payload, since=now, repeats=1))
        if self.ledger.global_cancel_out:
            self.ledger.global_cancel_out = False
            self.say(Notice.GLOBAL_CANCEL_IN_DOUBT, detail=detail)

    def end_halves(self, epoch: int) -> None:
        """Reads of which the client has a part cannot be asked again without giving it that part twice.

        Called when nothing more comes of that epoch's socket; until then a read may still find its end.
        """
        for entry in self.ledger.take_halves(epoch):
            count_failed(self, entry)
            self.say(Notice.HALF_ANSWER, key=entry.key)

    def _settle_queued(self, item: Item) -> None:
        """A queued frame without an entry did not leave: an order is refused, a cancel kept, a setting replayed."""
        item.refund = 0
        kind = self.kind_of_queued(item)
        if kind is Kind.ORDER_CANCEL:
            if not item.repeats or request_key(item.payload, self.version) not in self.ledger.cancels_out:
                self._hold_trade(item)  # the other ones are held for what they repeat
        elif kind is Kind.ORDER:
            self._unsend(item, Reason.WENT_AWAY_BEFORE)
        elif kind is Kind.COMMAND or kind is None:
            self._refuse(item, Notice.NOT_SENT, request_key(item.payload, self.version), detail=Reason.WENT_AWAY)

    def _cancel_ourselves(self, entry: Entry, lane: Lane = Lane.INTERACTIVE) -> None:
        cancel = cancel_frame(entry.payload, self.version)
        if cancel is not None:
            if entry.key is not None:
                self.muted.add(entry.key)
                codes = CANCEL_CODES.get(entry.request.id, USUAL_CANCEL_CODES)
                self.effects.append(Mute(self.epoch, entry.key, codes))
            # Before whatever the client may ask for under the same id from now on.
            self.outbox.push(lane, Item(cancel[PREFIX_BYTES:]))


def _signs(entry: Entry) -> frozenset[int]:
    return entry.request.answers | entry.request.rows
