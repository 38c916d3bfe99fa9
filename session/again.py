"""What is asked again: after a new socket, when TWS has dropped it or let it go; and what a broken socket settles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backstay.protocol.codes import CANCEL_CODES, USUAL_CANCEL_CODES
from backstay.protocol.commands import cancel_frame
from backstay.protocol.framing import PREFIX_BYTES
from backstay.protocol.messages import request_key
from backstay.protocol.vocabulary import Kind
from backstay.session.firsts import NEVER_DUE
from backstay.session.gate import Gate
from backstay.session.ledger import FORGOTTEN, MAX_PREVIEWS, REQ_CURRENT_TIME, Entry
from backstay.session.notices import Notice
from backstay.session.pacing import Item, Lane
from backstay.session.reasons import Reason
from backstay.session.request_life import Happening
from backstay.session.sieve_words import Mute, Swallow
from backstay.session.tally import count_failed
from backstay.session.watched import OPEN_ORDER

DUPLICATE_ORDER = frozenset({103})
"""The same of an order id, should TWS count that of a preview as used."""

_PREVIEW = frozenset({OPEN_ORDER})
"""What answers a preview."""

DUPLICATE_CODES = frozenset({102, 322, 385, 386, 10278, 10281})
"""What TWS says of a request that it has already: one that was repeated had arrived after all."""


@dataclass(slots=True)
class Again(Gate):
    """Between the gate, where everything leaves, and the desk, where requests are taken in."""

    def restore(self, begin: Callable[[], object]) -> None:
        """Open the gate: settings first, then what `begin` asks, cancels that waited, streams, reads."""
        self.end_halves(self.epoch)
        self.firsts.forget_all()
        self.unspoken.forget_all()
        self.open = True
        self.restoring = 0
        self.muted.clear()
        self.previews_muted.clear()
        for payload in self.ledger.settings.values():
            self._put_back(Lane.SETTINGS, Item(payload))
        begin()
        self.release_trades()
        self.requeue()

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
                entry.happens(Happening.LET_GO)
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
        entry.happens(Happening.LET_GO)
        entry.epoch, entry.queued = FORGOTTEN, True
        entry.renew_wanted, entry.flowed, entry.repeats = False, False, 0
        self.outbox.push(Lane.BULK, Item(entry.payload, entry=entry))

    def repeat_preview(self, order_id: int, item: Item) -> None:
        """TWS has said nothing of this preview: ask once more. Of two answers the client hears one."""
        self.previews_muted[order_id] = None
        if len(self.previews_muted) > MAX_PREVIEWS:
            del self.previews_muted[next(iter(self.previews_muted))]
        self.effects.append(Mute(self.epoch, order_id, DUPLICATE_ORDER))
        self.effects.append(Swallow(self.epoch, order_id, _PREVIEW, _PREVIEW))
        self.push_trade(item)

    def _use_order_id_anew(self, order_id: int | None) -> None:
        """The client orders something under this id: what TWS says on it from now on is for the client."""
        if self.previews_muted.pop(order_id or 0, 0) is None and order_id is not None:
            self.effects.append(Mute(self.epoch, order_id, frozenset()))
            self.effects.append(Swallow(self.epoch, order_id))

    def abandon(self, entry: Entry) -> None:
        """The gateway has had its time: cancel the read, in case it is still at it."""
        count_failed(self, entry)
        self._cancel_ourselves(entry)
        self.give_up(entry, Happening.TIMED_OUT)

    def _use_anew(self, key: int | None) -> None:
        """The client asks for something under an id: what TWS says on it from now on is for the client."""
        if key is not None and key in self.muted:
            self.muted.discard(key)
            self.effects.append(Mute(self.epoch, key, frozenset()))
            self.effects.append(Swallow(self.epoch, key))

    def break_off(self, detail: str, now: float) -> None:
        """The socket is gone: close the gate, settle what cannot be put back, keep what can."""
        self.open = False
        self.firsts.forget_all()
        self.unspoken.forget_all()
        unkept: list[Item] = []
        if self.orders is not None:
            unkept, self.orders.unkept = self.orders.unkept, []
            self.orders.reconciliation.lost()
            self.orders.to_ask_owner.clear()
            self.orders.asked_owner = 0
        for item in (*self.outbox.clear(), *unkept, *self.clocks):
            self.refund += item.refund
            if item.entry is None:
                self._settle_queued(item)
        self.clocks.clear()
        self.historical.clear()
        self.families.clear()
        if self.ledger.break_off(now):
            self._expire_at(now + self.settings.held.age_seconds, now)
        if self.orders is not None:
            self.ledger.forget_unanswered_orders()
            self.orders.table.lost(self.at())
            self.tell_doubts(detail)
        # Cancelling twice is harmless; cancelling not at all is not. Cancelling everything is another matter: by the
        # time it could be repeated there may be orders that the client wants.
        for payload in self.ledger.take_cancels_out():
            self._hold_trade(Item(payload, since=now, repeats=1))
        if self.ledger.global_cancel_out is not None:
            self.doubt_global_cancel(detail)

    def end_halves(self, epoch: int) -> None:
        """Reads of which the client has a part cannot be asked again without giving it that part twice.

        Nor are previews: what it would cost is another question by then. Called when nothing more comes of that epoch's
        socket; until then each may still find its end.
        """
        for entry in self.ledger.take_halves(epoch):
            count_failed(self, entry)
            self.say(Notice.HALF_ANSWER, key=entry.key)
        for order_id in self.ledger.take_previews(epoch):
            self.say(Notice.PREVIEW_LOST, key=order_id)

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
