"""Where the client's requests are taken in and held; `Gate` lets them out.

One rule a kind, in the table `_TAKE`. What may wait for the gateway (settings, streams, reads, cancels) waits in the
ledger, bounded by `HeldSettings`; an order never waits for a connection that the client has been told is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backstay.protocol.commands import market_data_type
from backstay.protocol.framing import PREFIX_BYTES
from backstay.protocol.messages import body_fields, is_protobuf, kind_of, message_id, request_key
from backstay.protocol.order_fields import read_placed
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind, Request
from backstay.session.again import Again
from backstay.session.counter import GLOBAL_CANCEL
from backstay.session.intents import AWAY
from backstay.session.ledger import REQ_CURRENT_TIME
from backstay.session.notices import Notice
from backstay.session.orders import Readiness
from backstay.session.pacing import Item, Lane
from backstay.session.reasons import Reason
from backstay.session.request_life import Happening

_NEW = frozenset({Kind.ONESHOT, Kind.SNAPSHOT, Kind.STREAM, Kind.COMMAND})
"""What a drain refuses besides orders: all that asks TWS to begin something."""

MARKET_DATA_TYPE, LIVE = 59, 1
ACCOUNT_SUMMARY = 62
MAX_SUMMARIES, SUMMARY_CONTENT = 2, 2
"""Account summaries that TWS allows at a time; where in one, behind VERSION and request id, its content begins."""


@dataclass(slots=True)
class Desk(Again):
    """The client's side of a session: what is taken in, and what is let out."""

    # -- taking in ---------------------------------------------------------------------------------------------------

    def take(self, payload: bytes, now: float, *, fail_fast: bool = False) -> None:
        """One request of the client. `fail_fast`: it is refused when it would have to wait for the gateway."""
        number = message_id(payload, self.version)
        request = REQUESTS.get(number)
        item = Item(payload, len(payload) + PREFIX_BYTES, since=now, fail_fast=fail_fast)
        if self.settings.read_only and (request is None or request.changes):
            self._refuse(item, Notice.READ_ONLY, request_key(payload, self.version), reason="read_only")
            return
        if self.draining and self._is_new(request, item):
            self._refuse_new(request, item)
        elif request is None:
            self._take_unknown(item)
        else:
            _TAKE[kind_of(payload, self.version)](self, request, item)

    def _is_new(self, request: Request | None, item: Item) -> bool:
        """Whether a drain lets this pass no more."""
        if request is None:
            return True
        kind = kind_of(item.payload, self.version)
        if kind is Kind.ORDER:
            return not self._makes_no_larger(item)
        return kind in _NEW and request.id != GLOBAL_CANCEL

    def _makes_no_larger(self, item: Item) -> bool:
        """Whether this is a change of an order that TWS has or may have, to as much as it was or to less."""
        orders, placed = self.orders, read_placed(item.payload, self.version)
        known = orders.table.get(orders.client_id, placed.order_id) if orders is not None and placed else None
        if known is None or placed is None or placed.what_if or known.state not in AWAY:
            return False
        before, after = known.order.look, placed.look
        if before.quantity is None or after.quantity is None:
            return False
        return before.action == after.action and after.quantity <= before.quantity

    def _refuse_new(self, request: Request | None, item: Item) -> None:
        if request is not None and kind_of(item.payload, self.version) is Kind.ORDER:
            self._refuse_order(item, Reason.DRAINED)
        else:
            key = None if request is None else request_key(item.payload, self.version)
            self._refuse(item, Notice.NOT_SENT, key, detail=Reason.DRAINED)

    def _take_unknown(self, item: Item) -> None:
        # A message of a later TWS than the tables know: as if directly connected, but never twice.
        if self.open:
            self.outbox.push(Lane.INTERACTIVE, item)
        else:
            self._refuse(item, Notice.NOT_SENT, None, detail=Reason.AWAY_AND_UNKNOWN)

    def _take_setting(self, request: Request, item: Item) -> None:
        self.ledger.set(request.id, item.payload)
        self.settings_out.pop(request.id, None)
        if self.open:
            # Not the lane of settings: what the client asked for before it is meant to come before it.
            self.outbox.push(Lane.INTERACTIVE, item)
        else:
            self.refund += item.refund

    def _take_entry(self, request: Request, item: Item) -> None:
        key = request_key(item.payload, self.version)
        if not self.open and item.fail_fast:
            self._refuse(item, Notice.NOT_SENT, key, detail=self.away)
            return
        if not self.open and self._held_is_full(item.refund):
            self._refuse(item, Notice.NOT_SENT, key, detail=Reason.AWAY_AND_FULL, reason="queue_full")
            return
        self._make_room(request, item.payload)
        entry = self.ledger.ask(request, payload=item.payload, version=self.version, now=item.since)
        entry.fail_fast = item.fail_fast and not entry.is_stream
        self._use_anew(key)
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
            self.ledger.close(same[0], Happening.TAKEN_BACK)

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
            self.give_up(entry, Happening.TAKEN_BACK)
        if self.open and known_to_tws:
            self.outbox.push(Lane.INTERACTIVE, item)
        else:
            self.refund += item.refund

    def _take_order(self, _request: Request, item: Item) -> None:
        if (self.told_down and not self._reconciled()) or (item.fail_fast and not self.open):
            self._refuse_order(item, self.away)
        elif self.closed:
            self._refuse_order(item, self.closed)
        else:
            item.is_order = True
            if self.previews_muted:
                self._use_order_id_anew(request_key(item.payload, self.version))
            self.offer_trade(item)

    def _reconciled(self) -> bool:
        """Whether orders may leave already, though streams are still being put back and 1102 is to come."""
        orders = self.orders if self.open else None
        return orders is not None and orders.readiness(link_up=self.link_up)[0] is Readiness.YES

    def _take_order_cancel(self, _request: Request, item: Item) -> None:
        self.want_cancels(item)
        self.offer_trade(item)

    def _take_command(self, request: Request, item: Item) -> None:
        if request.id == GLOBAL_CANCEL:
            self._take_order_cancel(request, item)
        elif self.open:
            self.push_trade(item)  # an order may build on it: new adviser groups
        else:
            self._refuse(item, Notice.NOT_SENT, request_key(item.payload, self.version), detail=self.away)

    def _take_handshake(self, _request: Request, item: Item) -> None:
        # A second startApi or a verify exchange: the official server knows neither here. It is not passed on.
        self._refuse(item, Notice.NOT_SENT, None, detail=Reason.HANDSHAKE)

    def forget_questions(self) -> None:
        """Nobody is there any more to hear an answer: streams and reads give way to orders and cancels."""
        self.client_gone = True
        self.ledger.previews.clear()
        for entry in list(self.ledger.entries.values()):
            self.ledger.close(entry, Happening.TAKEN_BACK)
        for line in (*self.outbox.lanes, self.clocks):
            kept = [item for item in line if item.entry is None]
            self.refund += sum(item.refund for item in line if item.entry is not None)
            self.restoring -= sum(item.restores for item in line if item.entry is not None)
            line.clear()
            line.extend(kept)

    def forget_client(self) -> None:
        """The client has left and its connection is kept: end what it had asked for, as a closed socket would.

        Orders and their cancels still go out; what TWS knows of streams and settings is undone.
        """
        self.client_gone = True
        self.ledger.previews.clear()
        for entry in list(self.ledger.entries.values()):
            if self.open and entry.is_known_in(self.epoch):
                self._cancel_ourselves(entry)
            self.ledger.close(entry, Happening.TAKEN_BACK)
        if self.ledger.settings.pop(MARKET_DATA_TYPE, None) is not None and self.open:
            self.outbox.push(Lane.SETTINGS, Item(market_data_type(self.version, LIVE)[PREFIX_BYTES:]))
        self.ledger.settings.clear()
        self.refund += sum(item.refund for item in self.clocks)
        self.clocks.clear()

    def ask_for_client(self, payload: bytes) -> None:
        """Ask something the client has not asked, for its answer to reach it. It waits for as long as it takes."""
        request = REQUESTS[message_id(payload, self.version)]
        entry = self.ledger.ask(request, payload=payload, version=self.version, now=float("inf"))
        if self.open:
            entry.queued = True
            self.outbox.push(Lane.INTERACTIVE, Item(payload, entry=entry))


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
