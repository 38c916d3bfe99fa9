"""What the client has asked for and not taken back: settings, streams, open reads, and the orders it has placed.

The ledger outlives sockets and, held by its owner outside the actor, a restart of the session. An entry is `unsent`
as long as it has not been written in the present epoch; putting everything back after a new socket is therefore
nothing but sending what is unsent, in order: settings, streams by priority, reads by age.

What the ledger does not see: ticks. A stream stays in it until its cancel or an error that ends it, so it needs no
word per tick, and the hot path stays free of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

from backstay.protocol.codes import CodeGroup, code_info, is_warning
from backstay.protocol.messages import ends, kind_of, request_key
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Key, Kind, Request
from backstay.session.request_life import Ending, Happening, Standing, follow
from backstay.session.watched import WATCHED

NEVER = 0
"""The epoch of an entry that has not been sent in any."""

FORGOTTEN = -1
"""The epoch of an entry that TWS had, and is to be given again on the same socket."""

MAX_ORDERS = 20_000
"""Order ids remembered to tell a change from a new order; beyond this the oldest is forgotten. A day of one order
every four seconds."""

UNSEEN = frozenset(
    r.id for r in REQUESTS.values() if r.kind is Kind.ONESHOT and r.end is not None and r.end not in WATCHED
)
"""Reads whose answer looks like a tick and is therefore not seen: calculations of option prices and volatilities."""

UNSEEN_SECONDS = 10.0
"""A calculation takes TWS a fraction of this; one asked before is taken to be answered when a socket breaks."""

MAX_PREVIEWS = 1_000
"""Previews of orders without an answer; beyond this new ones are refused."""

MAX_UNSEEN = 100
"""Calculations remembered at once; beyond this the oldest is taken to be answered."""

REQ_CURRENT_TIME = 49

Slot = tuple[int, Hashable]
"""Message id of the request, and its key. Of requests without one, a stream exists once, whatever it says; reads are
told apart by what they say, as the rule of one market is not that of another, and counted: each is owed an answer."""

MAX_COPIES = 8
"""Reads without an id that say the same and wait for an answer; a further one takes the place of the last, so that a
client that asks again and again while nothing answers gets so many answers in the end. Of the time it gets one."""


@dataclass(slots=True, eq=False)
class Entry:
    """One stream or read."""

    request: Request
    kind: Kind
    key: int | None
    payload: bytes
    sequence: int
    asked_at: float
    ends: frozenset[int] = frozenset()
    stands: Standing | Ending = Standing.WAITING
    epoch: int = NEVER
    queued: bool = False
    rows: bool = False
    copy: int = 0  # of reads without an id that say the same, which one
    shadowed: Entry | None = None  # what held the same slot before, should TWS call this one a duplicate
    born_at: float = 0.0
    sent_at: float = 0.0
    fail_fast: bool = False  # a read that is not asked again on another socket
    awaited: bool = False  # the sieve has been told to note its first sign
    heard: bool = False  # since it was sent, or since it is watched
    flowed: bool = False  # TWS has shown on this socket that it knows it
    due: float = float("inf")  # when to look whether it was heard
    repeats: int = 0  # written again on the same socket without a word in between
    renewals: int = 0
    renew_wanted: bool = False
    answered: bool = False  # its answer has been counted
    restored: bool = False  # asked for again after a loss, and not heard since
    given_up: bool = False  # has shown no sign, however often it was asked for
    has_turn: bool = False  # of its family: what answers it is meant for it
    seen_wall: float = 0.0  # when it was last seen to flow; it is not looked at all the time

    def happens(self, what: Happening) -> None:
        """Follow the table of its life. Raises ImpossibleTransitionError if it is over."""
        self.stands = follow(self.stands, what)

    @property
    def slot(self) -> Slot:
        """Where the entry stands in the ledger."""
        unkeyed_read = self.request.key is Key.NONE and not self.is_stream
        return self.request.id, (self.payload, self.copy) if unkeyed_read else self.key

    def is_known_in(self, epoch: int) -> bool:
        """Whether TWS has it, or what held its slot before, on the socket of this epoch."""
        return self.epoch == epoch or (self.shadowed is not None and self.shadowed.epoch == epoch)

    @property
    def is_stream(self) -> bool:
        """Whether it goes on until it is cancelled."""
        return self.kind is Kind.STREAM


def _requests_by_answer() -> dict[int, tuple[Request, ...]]:
    found: dict[int, list[Request]] = {}
    for request in REQUESTS.values():
        incoming = request.answers | request.rows | ({request.end} if request.end is not None else set[int]())
        for message_id in incoming:
            found.setdefault(message_id, []).append(request)
    return {message_id: tuple(requests) for message_id, requests in found.items()}


REQUESTS_BY_ANSWER = _requests_by_answer()


@dataclass(slots=True)
class Ledger:
    """All that is owed to one client."""

    settings: dict[int, bytes] = field(default_factory=dict[int, bytes])
    entries: dict[Slot, Entry] = field(default_factory=dict[Slot, Entry])
    by_key: dict[int, set[Slot]] = field(default_factory=dict[int, set[Slot]])
    unkeyed: dict[int, dict[Slot, Entry]] = field(default_factory=dict[int, dict[Slot, Entry]])  # reads, by request
    unseen: deque[Entry] = field(default_factory=deque[Entry])
    orders: dict[int, bool] = field(default_factory=dict[int, bool])  # order id -> acknowledged by TWS
    awaiting: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])  # see `await_word`
    cancels_out: dict[int, bytes] = field(default_factory=dict[int, bytes])  # order cancels written, not answered
    previews: dict[int, int] = field(default_factory=dict[int, int])  # epochs in which it was asked, by order id
    global_cancel_out: set[int] | None = None  # orders at work as it was written that TWS has shown no end of since
    first_order_id: int | None = None  # the first nextValidId of this client: lower ids are of an earlier life
    sequence: int = 0
    streams: int = 0  # how many of the entries are streams
    endings: list[Ending] = field(default_factory=list[Ending])  # of what is over and was not counted yet

    def set(self, message_id: int, payload: bytes) -> None:
        """Remember a setting; the last one of its kind wins, and stands last."""
        self.settings.pop(message_id, None)
        self.settings[message_id] = payload

    def ask(self, request: Request, *, payload: bytes, version: int, now: float) -> Entry:
        """Enter a stream or a read."""
        self.sequence += 1
        kind, key = kind_of(payload, version), request_key(payload, version)
        entry = Entry(request, kind, key, payload, self.sequence, now, ends(payload, version), born_at=now)
        if entry.slot in self.unkeyed.get(request.id, {}) and request.id != REQ_CURRENT_TIME:
            entry.copy = self._find_copy(entry)
        previous = self.entries.get(entry.slot)
        if previous is not None and previous.epoch != NEVER:
            self._uncover(previous)
            entry.shadowed = previous
        elif previous is not None:
            entry.shadowed, previous.shadowed = previous.shadowed, None
            self._end(previous, Happening.TAKEN_BACK)
        self._replace(entry)
        if key is not None:
            self.by_key.setdefault(key, set()).add(entry.slot)
        if request.id in UNSEEN:
            self.unseen.append(entry)
            if len(self.unseen) > MAX_UNSEEN:
                self.close(self.unseen.popleft(), Happening.ANSWER)
        return entry

    def _find_copy(self, entry: Entry) -> int:
        same = [one for one in self.unkeyed[entry.request.id].values() if one.payload == entry.payload]
        free = set(range(MAX_COPIES)) - {one.copy for one in same}
        return min(free) if free else same[-1].copy  # the last to come is the least likely to be out

    def has(self, entry: Entry) -> bool:
        """Whether this very entry is still wanted: neither dropped nor replaced."""
        return self.entries.get(entry.slot) is entry

    def close(self, entry: Entry, what: Happening) -> None:
        """An entry is over, for this: forget it. Nothing happens to one that is forgotten already."""
        if not self.has(entry):
            return
        self._end(entry, what)
        entry.due = float("inf")
        del self.entries[entry.slot]
        self.streams -= entry.is_stream
        self.unkeyed.get(entry.request.id, {}).pop(entry.slot, None)
        if entry.key is not None:
            slots = self.by_key[entry.key]
            slots.discard(entry.slot)
            if not slots:
                del self.by_key[entry.key]

    def _end(self, entry: Entry, what: Happening) -> None:
        self._uncover(entry)
        entry.happens(what)
        assert isinstance(entry.stands, Ending)  # noqa: S101  # callers end what they close
        self.endings.append(entry.stands)

    def _uncover(self, entry: Entry) -> None:
        """What held the slot before will not come back: the client has asked for this one instead."""
        if entry.shadowed is not None:
            self._end(entry.shadowed, Happening.TAKEN_BACK)
            entry.shadowed = None

    def _replace(self, entry: Entry) -> None:
        previous = self.entries.get(entry.slot)
        self.streams += entry.is_stream - (previous is not None and previous.is_stream)
        self.entries[entry.slot] = entry
        if entry.request.key is Key.NONE and not entry.is_stream:
            self.unkeyed.setdefault(entry.request.id, {})[entry.slot] = entry

    def find(self, request_id: int, key: int | None) -> Entry | None:
        """The entry of this request with this key; of reads without one, whose turn it is, or the oldest sent."""
        entry = self.entries.get((request_id, key))
        if entry is None and key is None:
            sent = [e for e in self.unkeyed.get(request_id, {}).values() if e.epoch != NEVER]
            return next((e for e in sent if e.has_turn), sent[0] if sent else None)
        return entry

    def note_answer(self, message_id: int, key: int | None, *, final: bool) -> list[Entry]:
        """A frame arrived that may answer something: mark the row, or close the read. Returns what it may be about.

        `final`: the frame does not say of itself that more will follow (historical ticks do).
        """
        answered: list[Entry] = []
        requests = REQUESTS_BY_ANSWER.get(message_id, ())
        for request in requests:
            entry = self.find(request.id, key)
            if entry is None or entry.epoch == NEVER or (key is None and self._is_anothers(entry, requests)):
                continue
            answered.append(entry)
            if entry.is_stream:
                continue
            if final and message_id in entry.ends:
                self.close(entry, Happening.ANSWER if entry.request.end is None else Happening.END)
                return answered
            entry.rows = True
        return answered

    def _is_anothers(self, entry: Entry, requests: tuple[Request, ...]) -> bool:
        """Whether an answer without an id is to another request of the family, whose turn it is."""
        alike = [] if entry.has_turn else [self.find(request.id, None) for request in requests]
        return any(other is not None and other.has_turn for other in alike)

    def note_error(self, key: int, code: int) -> list[Entry]:
        """An error arrived on this key: close what it ends. Returns what it may be about."""
        entries = self.on_key(key)
        for entry in entries:
            if self._ends(entry, code):
                self._conclude(entry)
        return entries

    def on_key(self, key: int) -> list[Entry]:
        """What has been asked for under this request id."""
        return [self.entries[slot] for slot in self.by_key.get(key, ())]

    def _ends(self, entry: Entry, code: int) -> bool:
        if code in entry.request.ends_with_code:
            return True
        if code in entry.request.warnings or is_warning(code):
            return False
        # A code without a row may as well be about the order that has the same number.
        return code_info(code).group is CodeGroup.REJECTED and entry.key not in self.orders

    def _conclude(self, entry: Entry) -> None:
        shadowed, entry.shadowed = entry.shadowed, None
        if shadowed is None:
            self.close(entry, Happening.REFUSED)
            return
        self._end(entry, Happening.REFUSED)
        self._replace(shadowed)

    # -- orders ------------------------------------------------------------------------------------------------------

    def order_sent(self, order_id: int) -> None:
        """An order or a change of one is about to be written."""
        self.orders.pop(order_id, None)
        self._remember_order(order_id, seen=False)

    def await_word(self, operation: str, order_id: int, since: float) -> None:
        """TWS is to say something about an order or its cancel, which the client gave then."""
        self.awaiting[operation, order_id] = since
        if len(self.awaiting) > MAX_ORDERS:
            del self.awaiting[next(iter(self.awaiting))]

    def order_seen(self, order_id: int) -> None:
        """TWS spoke of this order: it has it."""
        self._remember_order(order_id, seen=True)

    def _remember_order(self, order_id: int, *, seen: bool) -> None:
        self.orders[order_id] = seen
        if len(self.orders) > MAX_ORDERS:
            del self.orders[next(iter(self.orders))]

    def order_known(self, order_id: int) -> bool:
        """Whether an order with this id has ever left us or been reported, so that another one is a change."""
        return order_id in self.orders

    def may_be_known(self, order_id: int) -> bool:
        """Whether this may be a change: of an order seen, or of one that an earlier life of the client has placed."""
        return self.order_known(order_id) or (self.first_order_id is not None and order_id < self.first_order_id)

    def order_unanswered(self, order_id: int) -> bool:
        """Whether this order was sent, and TWS has not spoken of it yet."""
        return self.orders.get(order_id) is False

    def preview_sent(self, order_id: int, epoch: int) -> None:
        """The cost of an order is about to be asked; nothing can come of it but an answer."""
        self.previews[order_id] = epoch
        if len(self.previews) > MAX_PREVIEWS:
            del self.previews[next(iter(self.previews))]

    def preview_answered(self, order_id: int) -> bool:
        """TWS has answered under this id. True if a preview was out."""
        return self.previews.pop(order_id, None) is not None

    def take_previews(self, epoch: int) -> list[int]:
        """Ids of the previews that were asked up to this epoch and not answered; forgets them."""
        ids = [order_id for order_id, asked_in in self.previews.items() if asked_in <= epoch]
        for order_id in ids:
            del self.previews[order_id]
        return ids

    def cancel_sent(self, order_id: int, payload: bytes) -> None:
        """A cancel of an order is about to be written."""
        self.cancels_out[order_id] = payload
        if len(self.cancels_out) > MAX_ORDERS:
            del self.cancels_out[next(iter(self.cancels_out))]

    def cancel_answered(self, order_id: int) -> bool:
        """TWS has said something about this order. Whether a cancel of it was out."""
        was_out = self.cancels_out.pop(order_id, None) is not None
        if self.global_cancel_out:
            was_out |= order_id in self.global_cancel_out
            self.global_cancel_out.discard(order_id)
            if not self.global_cancel_out:
                self.global_cancel_out = None
        return was_out

    def take_cancels_out(self) -> list[bytes]:
        """Cancels that were written on a socket that is gone, and never answered; forgets them."""
        payloads = list(self.cancels_out.values())
        self.cancels_out.clear()
        return payloads

    def forget_unanswered_orders(self) -> None:
        """The socket is gone: errors on the new one are not about what was written on the old."""
        self.awaiting.clear()
        for order_id, seen in self.orders.items():
            if not seen:
                self.orders[order_id] = True

    # -- over a reconnect --------------------------------------------------------------------------------------------

    def unsent(self, epoch: int) -> list[Entry]:
        """What has to go out in this epoch and is not queued yet: streams by priority, then reads, each by age."""
        entries = [entry for entry in self.entries.values() if entry.epoch != epoch and not entry.queued]
        return sorted(entries, key=lambda e: (not e.is_stream, e.request.priority if e.is_stream else 0, e.sequence))

    def break_off(self, now: float) -> bool:
        """The socket is gone: nothing is queued any more. True if there are reads, which wait from now on."""
        for entry in self.unseen:
            if entry.epoch != NEVER and entry.asked_at + UNSEEN_SECONDS <= now:
                self.close(entry, Happening.ANSWER)
        self.unseen = deque(entry for entry in self.unseen if self.has(entry))
        for entry in self.entries.values():
            if (entry.queued or entry.epoch != NEVER) and not entry.is_stream:
                entry.asked_at = max(entry.asked_at, now)  # until now it waited for something else
            entry.queued = entry.has_turn = False
            self._uncover(entry)
            entry.happens(Happening.CUT)
        return len(self.entries) > self.streams

    def take_halves(self, epoch: int) -> list[Entry]:
        """Forget the keyed reads that were half answered up to this epoch, whose socket is gone, and return them.

        With them those that nobody wants to wait for. Other unkeyed reads are asked again whole: their rows are states
        that carry their own ids, and harmless twice.
        """
        halves: list[Entry] = []
        for entry in [entry for entry in self.entries.values() if entry.epoch <= epoch]:
            if entry.fail_fast or (entry.rows and entry.key is not None and not entry.is_stream):
                self.close(entry, Happening.HALVED)
                halves.append(entry)
            entry.rows = False
        return halves

    def of_request(self, request_id: int) -> list[Entry]:
        """The entries of one request, oldest first."""
        return [entry for entry in self.entries.values() if entry.request.id == request_id]

    def held(self) -> list[Entry]:
        """What waits while the gateway is away, oldest first: what was never sent, and reads without their answer."""
        return [entry for entry in self.entries.values() if entry.epoch == NEVER or not entry.is_stream]

    def reads(self) -> int:
        """How many reads are open."""
        return len(self.entries) - self.streams
