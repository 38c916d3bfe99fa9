"""Where requests leave, as fast as the pace allows.

A gate decides whether anything leaves: it opens once the gateway has proved that it answers, and closes with the
socket. Whatever has left is awaited: see `firsts`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from backstay.protocol.framing import frame
from backstay.protocol.historical import LIMITED, historical_query
from backstay.protocol.messages import kind_of, message_id, request_key
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind
from backstay.session.counter import CANCEL_ORDER, GLOBAL_CANCEL
from backstay.session.families import ENDS, FAMILIES
from backstay.session.firsts import NEVER_DUE, Firsts
from backstay.session.ledger import NEVER, REQ_CURRENT_TIME, UNSEEN, Entry
from backstay.session.notices import Notice
from backstay.session.pacing import Item
from backstay.session.reasons import Reason
from backstay.session.request_life import Happening
from backstay.session.sieve_words import Await, Mute, PassClock, Swallow
from backstay.session.tally import ORDER, ORDER_CANCEL, count_order_sent, count_sent
from backstay.session.trades import Trades
from backstay.session.unspoken import Unspoken
from backstay.session.vocabulary import Arm, Count, HistoricalAsked, Observe, Timer, Write

ORDERS = frozenset(request.id for request in REQUESTS.values() if request.kind is Kind.ORDER)
SILENCE_SAYS_NOTHING = frozenset({REQ_CURRENT_TIME, 12})
"""The time, whose silence the pulse judges; news bulletins, of which there may be none for days."""

MARKET_DEPTH = 10

_BEFORE_A_WRITE = (Await, Mute, Swallow, PassClock, Count, Observe, HistoricalAsked)
"""Effects that may come before a frame they are not about, or have to come before the one they are about."""


@dataclass(slots=True)
class Gate(Trades):
    """The way out of a session."""

    muted: set[int] = field(default_factory=set[int])
    previews_muted: dict[int, None] = field(default_factory=dict[int, None])  # ids of orders
    restoring: int = 0  # put back after a new socket and not yet out
    look_due: float = NEVER_DUE
    firsts: Firsts = field(init=False)
    unspoken: Unspoken = field(default_factory=Unspoken)
    settings_out: dict[int, float] = field(default_factory=dict[int, float])  # when each was written last

    def __post_init__(self) -> None:
        Trades.__post_init__(self)
        self.firsts = Firsts(self.settings.verify)

    def has_asked(self, requests: frozenset[int]) -> bool:
        """Whether one of these is out for the client, and not answered."""
        return any(
            entry.request.id in requests and entry.epoch == self.epoch and not entry.queued
            for entry in self.ledger.entries.values()
        )

    def give_up(self, entry: Entry, what: Happening) -> None:
        """Nobody waits for an answer to this any more, for this."""
        self.wait_no_more(entry)
        self.ledger.close(entry, what)

    def await_first(self, entry: Entry) -> None:
        """Have the first sign of a stream noted, which is not watched otherwise."""
        if entry.is_stream or entry.request.id in UNSEEN:
            self.effects.append(Await(self.epoch, entry.key, _signs(entry)))
            entry.awaited = True

    def wait_no_more(self, entry: Entry) -> None:
        """Have the sieve look out for this entry no longer."""
        if entry.awaited and entry.epoch == self.epoch:
            self.effects.append(Await(self.epoch, entry.key, _signs(entry), wanted=False))
        entry.awaited = False

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
        self._release_families(now, batch)
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
        if self.outbox.reserved or not (
            len(self.outbox) or self.clocks or self.historical.shelf or self.families.lines
        ):
            return  # a probe goes first: the step that sends it comes here again
        room = self.outbox.wait_seconds(now, urgent=self.outbox.has_urgent)
        waits = [room] if len(self.outbox) else []
        if self.clocks and not self.pulse.waiting:
            waits.append(max(room, self.pulse.earliest_question() - now))
        if self.historical.shelf:
            waits.append(max(room, self.historical.due - now))
        if self.families.lines:
            waits.append(max(room, self.families.due(now, self.ledger, is_ours=self._is_ours) - now))
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
            self.effects.append(HistoricalAsked(self.historical.sent[-1]))
            self._goes(shelved.item, batch, now)

    def _release_families(self, now: float, batch: list[bytes]) -> None:
        while self.families.lines and not self.outbox.reserved and self.outbox.wait_seconds(now) <= 0.0:
            item = self.families.take(lambda family: self._is_free(family, now), self._is_wanted)
            if item is None:
                return
            entry = item.entry
            assert entry is not None  # noqa: S101  # nothing else is put there
            if not entry.is_stream and item.since + self.settings.verify.deadline_seconds <= now:
                self._refuse_entry(entry, Reason.TOO_MANY_IN_LINE, Happening.TIMED_OUT)
                continue
            self.outbox.note_sent(now)
            self._goes(item, batch, now)

    def _is_free(self, family: str, now: float) -> bool:
        """Whether a request of this family may leave: none of the client's is out, and none of ours."""
        return not self._is_ours(family) and self.families.is_free(family, now, self.ledger)

    def _is_ours(self, family: str) -> bool:
        return self.orders is not None and self.orders.reconciliation.awaits(ENDS[family])

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
        """Whether something else has to happen before this may leave; then it waits, or is refused."""
        entry = item.entry
        if entry is None:
            return False
        if entry.request.id in FAMILIES:
            return self._waits_its_turn(item, entry, now)
        limited = entry.request.id in LIMITED and self.settings.historical_limits
        return limited and self._waits_for_limits(item, entry, now)

    def _waits_its_turn(self, item: Item, entry: Entry, now: float) -> bool:
        """Whether another request of its family is out, or comes first."""
        family, limit = FAMILIES[entry.request.id], self.settings.held.count
        if family not in self.families.lines and self._is_free(family, now):
            return False
        if len(self.families) >= limit:
            self.families.purge(self._is_wanted)
        if len(self.families) >= limit:
            self._refuse_entry(entry, Reason.TOO_MANY_IN_LINE)
        else:
            self.families.put(family, Item(item.payload, entry=entry, since=now))
        return True

    def _waits_for_limits(self, item: Item, entry: Entry, now: float) -> bool:
        """Whether a historical query would break IB's limits."""
        query = historical_query(item.payload, self.version)
        if query is None:
            return False
        if self.historical.admits(query, now):
            self.effects.append(HistoricalAsked(self.historical.sent[-1]))
            return False
        if len(self.historical.shelf) >= self.settings.held.count:
            self.historical.purge(self._is_wanted)
        if len(self.historical.shelf) >= self.settings.held.count:
            self._refuse_entry(entry, Reason.TOO_MANY_QUERIES)
        else:
            self.historical.put(Item(item.payload, entry=entry), query, now)
        return True

    def _refuse_entry(self, entry: Entry, why: Reason, what: Happening = Happening.REFUSED) -> None:
        self.give_up(entry, what)
        self.effects.append(Count("requests_rejected", "queue_full"))
        self.say(Notice.NOT_SENT, key=entry.key, detail=why)

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
            entry.happens(Happening.WRITTEN)
            entry.epoch, entry.queued = self.epoch, False
            if entry.request.id not in SILENCE_SAYS_NOTHING:
                self.await_first(entry)
                self.firsts.sent(entry, now)
                self.families.begin(entry, now, longest_seconds=self.settings.verify.longest_seconds)
        batch.append(frame(item.payload))

    def _note_leaving(self, item: Item) -> None:
        number, key = message_id(item.payload, self.version), request_key(item.payload, self.version)
        if number == GLOBAL_CANCEL:
            self.ledger.global_cancel_out = set() if self.orders is None else self.orders.away()
            count_order_sent(self, ORDER_CANCEL, None, since=0.0)
            self.unspoken.left(None, item, self.settings, now=self.now)
        elif key is not None and item.is_preview:
            self.ledger.preview_sent(key, self.epoch)
            self.unspoken.left(key, item, self.settings, now=self.now)
        elif key is not None and number in ORDERS:
            self.ledger.order_sent(key)
            count_order_sent(self, ORDER, key, since=item.since)
            self.unspoken.left(key, item, self.settings, now=self.now)
        elif key is not None and number == CANCEL_ORDER:
            self.ledger.cancel_sent(key, item.payload)
            if not item.repeats:
                count_order_sent(self, ORDER_CANCEL, key, since=item.since)
            self.unspoken.left(key, item, self.settings, now=self.now)
        elif number in self.ledger.settings:
            self.settings_out[number] = self.now
        elif kind_of(item.payload, self.version) is Kind.SNAPSHOT:
            self.families.begin_ours(number, self.now, seconds=self.settings.verify.first_seconds)

    def held(self) -> int:
        """How much waits for the gateway, for IB's limits, or for its turn."""
        waiting = len(self.historical.shelf) + len(self.families) if self.open else len(self.ledger.held())
        return waiting + len(self.trades)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not len(self.outbox) and not self.clocks and not self.has_trades


def _signs(entry: Entry) -> frozenset[int]:
    return entry.request.answers | entry.request.rows
