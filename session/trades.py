"""Orders and cancels on their way out: in their order, and no order before its record is kept."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable
from dataclasses import dataclass

from backstay.protocol.commands import cancel_order
from backstay.protocol.framing import PREFIX_BYTES
from backstay.protocol.messages import kind_of, message_id, request_key
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind
from backstay.session.counter import GLOBAL_CANCEL, Counter
from backstay.session.intents import Intent, IntentState, PlaceRefusal
from backstay.session.ledger import MAX_PREVIEWS
from backstay.session.notices import Notice
from backstay.session.order_words import WriteDown
from backstay.session.orders import Journal, Orders, Readiness
from backstay.session.pacing import Item, Lane
from backstay.session.reasons import Reason
from backstay.session.vocabulary import Report


@dataclass(slots=True)
class Trades(Counter):
    """Between the counter, where they are held and refused, and the gate, where everything leaves."""

    disk_rests: bool = False  # it has kept a page from us: changes that nobody waits for wait a little

    @property
    def has_trades(self) -> bool:
        """Whether orders, their cancels or what goes with them wait, in whatever line."""
        unkept = self.orders is not None and self.orders.unkept
        return bool(self.trades or self.outbox.lanes[Lane.ORDERS] or unkept)

    def kind_of_queued(self, item: Item) -> Kind | None:
        """What a frame is that waits; a global cancel counts as a cancel. None: a message nobody knows.

        A preview that is asked once more is a read of ours: what it repeats has an end of its own.
        """
        if item.is_preview and item.repeats:
            return Kind.ONESHOT
        request = REQUESTS.get(message_id(item.payload, self.version))
        if request is None:
            return None
        return Kind.ORDER_CANCEL if request.id == GLOBAL_CANCEL else kind_of(item.payload, self.version)

    def farewell(self, detail: str) -> None:
        """Nothing will be sent any more: what has not left is refused or given up, and all credit given back."""
        unkept = self.orders.unkept if self.orders is not None else []
        kept_back: Counts[str] = Counts()
        waiting = (*self.outbox.clear(), *unkept, *self.trades)
        for line in (unkept, self.trades):
            line.clear()
        for item in waiting:
            kind = None if item.entry is not None else self.kind_of_queued(item)
            if item.is_order or kind is Kind.ORDER:
                kept_back["orders"] += 1
                self._unsend(item, detail)
            elif kind is Kind.ORDER_CANCEL:
                kept_back["cancels"] += not self._refuse_cancel(item, detail)
            elif kind is Kind.COMMAND:
                self._refuse(item, Notice.NOT_SENT, request_key(item.payload, self.version), detail=detail)
            else:
                self.refund += item.refund
        for item in self.clocks:
            self.refund += item.refund
        self.clocks.clear()
        self.historical.clear()
        self.families.clear()
        if any(kept_back.values()):
            fields = (("orders", kept_back["orders"]), ("cancels", kept_back["cancels"]), ("reason", detail))
            self.effects.append(Report("orders_not_sent", fields))

    def release_trades(self) -> None:
        """Let out the orders and cancels that wait, in their order, as far as they may leave now."""
        while self.trades and self._lets_out(self.trades[0]):
            self.trades.popleft()

    def offer_trade(self, item: Item) -> None:
        """An order or a cancel of the client: it leaves now, or waits in line."""
        if self.trades or not self._lets_out(item):
            self._hold_trade(item)

    def offer_owed_cancels(self, is_due: Callable[[int], bool] = lambda _order_id: True) -> None:
        """Cancels of before this client, or of before a crash, that TWS has not answered: send those that are due."""
        orders = self.orders
        owed = orders.table.owed_cancels(orders.client_id) if orders is not None else frozenset[int]()
        due = [order_id for order_id in sorted(owed - self.pending_cancels() if owed else ()) if is_due(order_id)]
        for order_id in due:
            self.offer_trade(Item(cancel_order(self.version, order_id)[PREFIX_BYTES:], since=self.now))
        if due:
            self.effects.append(Report("kept_cancels_sent", (("epoch", self.epoch), ("orders", len(due)))))

    def want_held_cancels(self) -> None:
        """The journal has been read, and has orders of which a cancel waits here already."""
        for item in self.trades:
            self.want_cancels(item)

    def _lets_out(self, item: Item) -> bool:
        """Let an order or cancel out, or refuse it; False if it has to wait."""
        orders = self.orders
        if not self.open:
            return False
        if item.is_order and self.closed:
            self._refuse_order(item, self.closed)
            return True
        if not item.is_order or orders is None:
            self.want_cancels(item)  # also of an order that was not known as it was given: it waited before it
            self.push_trade(item)
            return True
        ready, why = orders.readiness(link_up=self.link_up)
        if ready is Readiness.YES:
            self._place(item, orders)
        elif ready is Readiness.NO:
            self._refuse_order(item, why)
        return ready is not Readiness.SOON

    def push_trade(self, item: Item) -> None:
        """Behind orders that are being written down, if there are any; else into the lane."""
        if self.orders is not None and self.orders.unkept:
            self.orders.unkept.append(item)
        else:
            self.outbox.push(Lane.ORDERS, item)

    def _place(self, item: Item, orders: Orders) -> None:
        placed = orders.place(item, self.version, epoch=self.epoch, at=self.at())
        if placed is None and len(self.ledger.previews) >= MAX_PREVIEWS:
            self._refuse_order(item, Reason.TOO_MANY_PREVIEWS)
        elif placed is None:
            item.is_preview = True
            self.push_trade(item)
        elif isinstance(placed, PlaceRefusal):
            self._refuse_order(item, placed.value)
        else:
            self.write_down(item, placed, orders)

    def write_down(self, item: Item, intent: Intent, orders: Orders) -> None:
        """An order leaves once the journal says that its record is kept."""
        item.intent, item.is_order, item.is_change = intent.key, True, intent.changes > 0
        orders.note_endpoint(intent.key, self.endpoint)
        page = orders.table.take_page()
        if orders.journal is Journal.OFF or page is None:
            self.push_trade(item)
            return
        item.token = orders.next_token()
        orders.pages[item.token] = page  # other orders have their changes on it, too
        orders.unkept.append(item)
        self.effects.append(WriteDown(item.token, page))

    def kept(self, orders: Orders, token: int) -> None:
        """A page is on disk: what waited for it leaves, in its order."""
        orders.pages.pop(token, None)
        for item in orders.unkept:
            if item.token == token:
                item.token = 0
        while orders.unkept and not orders.unkept[0].token:
            self.outbox.push(Lane.ORDERS, orders.unkept.pop(0))

    def not_kept(self, orders: Orders, token: int, trouble: str) -> None:
        """A page could not be kept: the order it is about is not sent."""
        page = orders.pages.pop(token, None)
        if page is not None:
            orders.table.put_back(page)
        for item in [item for item in orders.unkept if item.token == token]:
            orders.unkept.remove(item)
            self._unsend(item, Reason.NOT_WRITTEN_DOWN.format(trouble=trouble))
        self.kept(orders, 0)

    def recall_orders(self, detail: str) -> None:
        """Orders may leave no longer: those that wait for their record or their turn are refused, cancels stay."""
        orders, lane = self.orders, self.outbox.lanes[Lane.ORDERS]
        if orders is None:
            return
        for line in (orders.unkept, lane):
            for item in [item for item in line if item.is_order]:
                line.remove(item)
                self._unsend(item, detail)
        self.kept(orders, 0)

    def _unsend(self, item: Item, detail: str) -> None:
        """An order that was about to leave has certainly not left."""
        moved = None
        if item.intent is not None:
            assert self.orders is not None  # noqa: S101  # the intent is in its table
            moved = self.orders.table.unsent(item.intent, self.at(), change=item.is_change)
        if moved is None or moved.after.state is not IntentState.IN_DOUBT:  # what is sent again is in doubt as before
            self._refuse_order(item, detail)
