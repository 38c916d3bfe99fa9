"""The intents of one connection: what is placed, heard and lost goes in; who moved, and what to write down, comes out.

The order of things for whoever uses it: `place` (or `hold`, later `send`); `take_page` and have the journal keep it;
write the frame once the journal says that it is kept. If it is not written after all, `unsent` comes before `lost`.
"""

from __future__ import annotations

from dataclasses import replace

from backstay.protocol.codes import is_warning
from backstay.protocol.order_fields import ExecutionFacts, OrderFacts, PlacedOrder
from backstay.session.intents import (
    HighWater,
    Intent,
    IntentEvent,
    IntentKey,
    IntentState,
    JournalPage,
    Moment,
    Moved,
    PlaceRefusal,
    error_event,
    intent_step,
    order_event,
    refs_conflict,
)

MAX_OPEN = 20_000
"""Intents of a connection that are not concluded; beyond it new orders are refused. TWS refuses long before."""

MAX_CONCLUDED = 5_000
"""Concluded intents kept in memory, so that a late word of TWS on one is understood. The journal keeps its own."""

MAX_ADOPTED = 5_000
"""Intents with which an order that was placed elsewhere is not followed any more: they are for orders of ours."""

MAX_ORDER_ID = 2**31 - 2
"""Highest order id (the next number means "not set"); a higher one that is seen does not move the floor."""

HIGHEST_OF_OTHERS = 2**31 - 1_000_000
"""Another client's order above it does not move our floor: one would be enough to leave us no id, for ever."""


class IntentTable:
    """See the module. Belongs to one thread. Order ids are those of the client, never made here."""

    def __init__(self, connection: str) -> None:
        self.connection = connection
        self.mismatches = 0
        """Words of TWS on an id of ours that can not be about our order."""
        self.unheard = False
        """Nobody hears how orders end: the journal is not told either, so that whoever reads it looks anew."""
        self._open: dict[IntentKey, Intent] = {}
        self._concluded: dict[IntentKey, Intent] = {}
        self._by_perm_id: dict[int, IntentKey] = {}
        self._strangers: dict[IntentKey, None] = {}  # orders TWS spoke of that no intent is for, oldest first
        self._high: dict[int, int] = {}  # of the client ids that are ours
        self._seen: dict[int, int] = {}  # the highest order id of each client id that TWS has shown to know
        self._unsaved: dict[IntentKey, None] = {}
        self._unsaved_high: set[int] = set()

    # -- looking -----------------------------------------------------------------------------------------------------

    def get(self, client_id: int, order_id: int) -> Intent | None:
        """The intent of this order, also a concluded one that is still in memory."""
        return self._get(IntentKey(self.connection, client_id, order_id))

    def open_intents(self) -> tuple[Intent, ...]:
        """Intents that are not concluded, oldest first."""
        return tuple(self._open.values())

    def in_doubt(self) -> tuple[Intent, ...]:
        """Intents of which we do not know whether TWS has them."""
        return tuple(intent for intent in self._open.values() if intent.state is IntentState.IN_DOUBT)

    def in_group(self, intent: Intent) -> bool:
        """Whether it belongs with other orders: it waits for one, one waits for it, or the fill of one cancels it."""
        order, client_id = intent.order, intent.key.client_id
        return (
            bool(order.parent_id or order.oca_group)
            or not order.transmit
            or any(
                other.order.parent_id == order.order_id and other.key.client_id == client_id
                for other in (*self._open.values(), *self._concluded.values())
            )
        )

    def knows_perm_id(self, perm_id: int) -> IntentKey | None:
        """Whose order TWS calls by this number."""
        return self._by_perm_id.get(perm_id)

    def high_water(self, client_id: int) -> int:
        """The highest order id that was used or seen; 0 if there is none. Only rises."""
        return self._high.get(client_id, 0)

    def highest_seen(self, client_id: int) -> int:
        """The highest order id of this client that TWS has shown to know: it takes no new order up to it (103)."""
        return self._seen.get(client_id, 0)

    def floor(self, client_id: int) -> int:
        """The lowest order id that may be used next. Only rises."""
        return self.high_water(client_id) + 1

    # -- what we do --------------------------------------------------------------------------------------------------

    def load(self, page: JournalPage, at: Moment) -> list[Moved]:
        """Take over what the journal has kept of an earlier life; every socket of that life is gone."""
        for intent in page.intents:
            self._keep(replace(intent, written_at=0.0))
            self._raise(intent.key.client_id, intent.key.order_id)
        for mark in page.high_waters:
            self._raise(mark.client_id, mark.order_id)
        self._unsaved.clear()
        self._unsaved_high.clear()
        never_left = [intent for intent in self._open.values() if intent.state is IntentState.INTENT]
        moved = [self._move(intent, IntentEvent.UNSENT, at) for intent in never_left]
        return [move for move in moved if move] + self.lost(at)

    def hold(
        self, order: PlacedOrder, frame: tuple[bytes, int], *, client_id: int, at: Moment
    ) -> Intent | PlaceRefusal:
        """Enter an order that can not be written yet; `frame` is its payload and server version.

        A new one, or one that is still held: what waits is replaced.
        """
        key = IntentKey(self.connection, client_id, order.order_id)
        known = self._get(key)
        if known is not None and known.state is not IntentState.INTENT:
            return PlaceRefusal.IN_USE
        return self._refusal(key) or self._enter(key, order, frame, at=at)

    def place(
        self, order: PlacedOrder, frame: tuple[bytes, int], *, client_id: int, epoch: int, at: Moment
    ) -> Intent | PlaceRefusal:
        """Enter an order, or a change of one, that is about to be written in this epoch. `frame` as for `hold`."""
        key = IntentKey(self.connection, client_id, order.order_id)
        refusal = self._refusal(key)
        if refusal is not None:
            return refusal
        known = self._get(key)
        if known is None or known.state is IntentState.INTENT:
            entered = self._enter(key, order, frame, at=at)
            changes = 1 if key in self._strangers else 0  # TWS has it from elsewhere: no code proves it rejected
            return self._send(replace(entered, changes=changes), epoch, at)
        return self._change(known, order, frame, epoch=epoch, at=at)

    def send(self, key: IntentKey, epoch: int, at: Moment) -> Intent:
        """A held order, or one in doubt that is sent again as it was, is about to be written in this epoch."""
        return self._send(self._open[key], epoch, at)

    def unsent(self, key: IntentKey, at: Moment, *, change: bool | None = None) -> Moved | None:
        """It is certain that not one byte of what `place` or `send` announced was written.

        `change`: whether that was a change, where others may have been announced behind it; else the last is meant.
        """
        intent = self._open.get(key)
        if intent is None:
            return None  # TWS ended the order while the change of it waited
        event = IntentEvent.CHANGE_UNSENT
        is_change = intent.changes > 0 if change is None else change
        if intent.state is IntentState.INTENT or (intent.state is IntentState.SENT and not is_change):
            if intent.former is not None and intent.attempt == 1:
                self._store(intent.former)  # of which TWS goes on to tell
                return None
            event = IntentEvent.UNSENT if intent.attempt == 1 else IntentEvent.LOST  # what is resent stays in doubt
        return self._move(replace(intent, change_pending=False), event, at)

    def lost(self, at: Moment) -> list[Moved]:
        """The socket is gone, and with it whatever was not answered."""
        moves: list[Moved | None] = []
        for intent in tuple(self._open.values()):
            pending = intent.change_pending and intent.state is not IntentState.INTENT
            event = IntentEvent.CHANGE_LOST if pending else IntentEvent.LOST
            moves.append(self._move(replace(intent, change_pending=False), event, at))
        return [move for move in moves if move is not None]

    def unanswered(self, client_id: int, order_id: int, at: Moment) -> Moved | None:
        """TWS has had its time, and has not said a word of what was written of this order last."""
        intent = self.get(client_id, order_id)
        if intent is None or intent.is_concluded:
            return None
        event = IntentEvent.CHANGE_LOST if intent.change_pending else IntentEvent.UNANSWERED
        return self._move(replace(intent, change_pending=False), event, at)

    def want_cancel(self, client_id: int, order_id: int) -> bool:
        """The client wants this order cancelled: it is never sent again, its cancel is owed. False if there is none."""
        intent = self._open.get(IntentKey(self.connection, client_id, order_id))
        if intent is not None and not intent.cancel_owed:
            self._store(replace(intent, cancel_wanted=True, cancel_owed=True))
        return intent is not None

    def settle_cancel(self, client_id: int, order_id: int) -> None:
        """TWS has answered the cancel of this order, or the client has been told that nothing will come of it."""
        intent = self._open.get(IntentKey(self.connection, client_id, order_id))
        if intent is not None and intent.cancel_owed:
            self._store(replace(intent, cancel_owed=False))

    def owed_cancels(self, client_id: int) -> frozenset[int]:
        """Ids of the orders whose cancels are owed."""
        owed = (intent.key for intent in self._open.values() if intent.cancel_owed)
        return frozenset(key.order_id for key in owed if key.client_id == client_id)

    def apply(self, key: IntentKey, event: IntentEvent, at: Moment, *, perm_id: int = 0) -> Moved | None:
        """An event that was concluded elsewhere: a verdict of a reconciliation, or a person's decision."""
        intent = self._get(key)
        return None if intent is None else self._move(replace(intent, perm_id=perm_id or intent.perm_id), event, at)

    # -- what TWS says -----------------------------------------------------------------------------------------------

    def note_next_id(self, client_id: int, order_id: int) -> None:
        """TWS names the next valid order id; the floor takes it over if it is higher."""
        self._raise(client_id, order_id - 1)
        self._saw(client_id, order_id - 1)

    def hear_order(self, facts: OrderFacts, at: Moment) -> Moved | None:
        """An openOrder, orderStatus or completedOrder arrived."""
        if facts.what_if:
            return None
        intent = self._find(facts, facts.order_id)
        if intent is None:
            return None
        return self._hear(intent, order_event(facts), at, facts=facts)

    def adopt(self, facts: OrderFacts, at: Moment) -> bool:
        """Follow an order that TWS shows as open and no record is of; it is never sent. False if there is one."""
        assert facts.client_id is not None and facts.order_id is not None  # noqa: S101, PT018  # the caller has looked
        key = IntentKey(self.connection, facts.client_id, facts.order_id)
        if self._get(key) is not None or len(self._open) >= MAX_ADOPTED:
            return False
        order = PlacedOrder(order_id=key.order_id, order_ref=facts.order_ref, account=facts.account, look=facts.look)
        live = Intent(key=key, order=order, payload=b"", version=0, state=IntentState.LIVE, perm_id=facts.perm_id)
        self._keep(replace(live, changed_wall=at.wall))
        return True

    def hear_execution(self, facts: ExecutionFacts, at: Moment) -> Moved | None:
        """A fill arrived; that it was the last one, only a status says."""
        intent = self._find(facts, facts.order_id)
        return None if intent is None else self._hear(intent, IntentEvent.WORKING, at, facts=facts)

    def hear_error(self, client_id: int, order_id: int, code: int, *, at: Moment) -> Moved | None:
        """An error arrived on the id of an order."""
        if not is_warning(code):
            self._saw(client_id, order_id)
        intent = self.get(client_id, order_id)
        event = None if intent is None else error_event(intent, code)
        return None if intent is None or event is None else self._move(intent, event, at)

    # -- what to write down ------------------------------------------------------------------------------------------

    def take_page(self) -> JournalPage | None:
        """Everything that changed since the last page; None if nothing did."""
        changed = tuple(intent for key in self._unsaved if (intent := self._get(key)) is not None)
        # Of the others, which were placed elsewhere, nothing was ever sent.
        written = tuple(intent for intent in changed if intent.payload or intent.cancel_wanted)
        intents = tuple(intent for intent in written if not (self.unheard and intent.is_concluded))
        marks = tuple(HighWater(self.connection, who, self._high[who]) for who in sorted(self._unsaved_high))
        self._unsaved = {intent.key: None for intent in written if self.unheard and intent.is_concluded}
        self._unsaved_high.clear()
        return JournalPage(intents, marks) if intents or marks else None

    def put_back(self, page: JournalPage) -> None:
        """The journal could not keep this page: what it was about belongs on the next one."""
        self._unsaved.update((intent.key, None) for intent in page.intents)
        self._unsaved_high.update(mark.client_id for mark in page.high_waters)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _get(self, key: IntentKey) -> Intent | None:
        return self._open.get(key) or self._concluded.get(key)

    def _refusal(self, key: IntentKey) -> PlaceRefusal | None:
        known = self._open.get(key)
        if known is not None:
            return PlaceRefusal.IN_DOUBT if known.state is IntentState.IN_DOUBT else None
        if not -MAX_ORDER_ID <= key.order_id <= MAX_ORDER_ID:
            return PlaceRefusal.NOT_AN_ID
        return PlaceRefusal.TOO_MANY if len(self._open) >= MAX_OPEN else None

    def _enter(self, key: IntentKey, order: PlacedOrder, frame: tuple[bytes, int], *, at: Moment) -> Intent:
        payload, version = frame
        self._raise(key.client_id, key.order_id)
        intent = Intent(key=key, order=order, payload=payload, version=version, changed_wall=at.wall)
        self._store(intent)
        return intent

    def _send(self, intent: Intent, epoch: int, at: Moment) -> Intent:
        again = intent.attempt + 1 if intent.state is IntentState.IN_DOUBT else intent.attempt
        sent_wall = intent.sent_wall or at.wall  # its age counts from the first time
        written = replace(intent, epoch=epoch, attempt=again, sent_wall=sent_wall, written_at=at.now)
        self._move(written, IntentEvent.SEND, at)
        return self._open[intent.key]

    def _change(self, known: Intent, order: PlacedOrder, frame: tuple[bytes, int], *, epoch: int, at: Moment) -> Intent:
        payload, version = frame
        written = replace(known, order=order, payload=payload, version=version, epoch=epoch, written_at=at.now)
        if known.is_concluded:
            written = replace(
                written,
                life=known.life + 1,
                changes=0,
                attempt=1,
                sent_wall=at.wall,
                cancel_wanted=False,
                cancel_owed=False,
                former=replace(known, former=None),
            )
        else:
            written = replace(written, changes=known.changes + 1, change_pending=True)
        self._move(written, IntentEvent.CHANGE, at)
        return self._open[known.key]

    def _find(self, facts: OrderFacts | ExecutionFacts, order_id: int | None) -> Intent | None:
        """The intent this is about; what is not about ours still moves the floor."""
        if order_id is None or facts.client_id is None:
            key = self._by_perm_id.get(facts.perm_id)
            return None if key is None else self._get(key)
        for client_id in tuple(self._high):  # an order of anybody: ids have to be above those of all
            if client_id == facts.client_id or order_id <= HIGHEST_OF_OTHERS:
                self._raise(client_id, order_id)
        self._saw(facts.client_id, order_id)
        key = IntentKey(self.connection, facts.client_id, order_id)
        intent = self._get(key)
        if intent is None and facts.client_id in self._high:
            self._strangers[key] = None
            _drop_oldest(self._strangers)
        return intent

    def _hear(
        self, intent: Intent, event: IntentEvent, at: Moment, *, facts: OrderFacts | ExecutionFacts
    ) -> Moved | None:
        if is_another_order(intent, facts.order_ref):
            self.mismatches += 1
            return None
        perm_id = facts.perm_id or intent.perm_id
        if not intent.change_pending and perm_id == intent.perm_id and _says_nothing_new(intent, event):
            return None  # TWS repeats itself, and a value is not made anew for that
        return self._move(replace(intent, change_pending=False, perm_id=perm_id), event, at)

    def _move(self, intent: Intent, event: IntentEvent, at: Moment) -> Moved | None:
        """Put an intent, changed otherwise or not, through the table; None if its state is what it was."""
        before = self._get(intent.key) or intent
        transition = intent_step(intent.state, event)
        outcome = transition.outcome or (intent.outcome if transition.to is intent.state else None)
        after = replace(intent, state=transition.to, outcome=outcome)
        if after == before and not transition.alarm:
            return None
        if after.state is not before.state:
            after = replace(after, changed_wall=at.wall)
        self._store(after)
        return Moved(before, after, transition.alarm) if transition.alarm or after.state is not before.state else None

    def _store(self, intent: Intent) -> None:
        self._keep(intent)
        self._unsaved[intent.key] = None

    def _keep(self, intent: Intent) -> None:
        key = intent.key
        before = self._get(key)
        if before is not None and before.perm_id != intent.perm_id:
            self._by_perm_id.pop(before.perm_id, None)
        if intent.perm_id:
            self._by_perm_id[intent.perm_id] = key
        if not intent.is_concluded:
            self._concluded.pop(key, None)
            self._open[key] = intent
            return
        self._open.pop(key, None)
        self._concluded[key] = intent
        if len(self._concluded) > MAX_CONCLUDED:
            oldest = self._concluded.pop(next(iter(self._concluded)))
            self._by_perm_id.pop(oldest.perm_id, None)

    def _raise(self, client_id: int, order_id: int) -> None:
        if self._high.setdefault(client_id, 0) < order_id <= MAX_ORDER_ID:
            self._high[client_id] = order_id
            self._unsaved_high.add(client_id)

    def _saw(self, client_id: int, order_id: int) -> None:
        if client_id in self._high:  # of others nothing is sent
            self._seen[client_id] = max(order_id, self._seen.get(client_id, 0))


def _says_nothing_new(intent: Intent, event: IntentEvent) -> bool:
    to = intent_step(intent.state, event)
    return to.to is intent.state and to.outcome in (None, intent.outcome) and not to.alarm


def is_another_order(intent: Intent, order_ref: str) -> bool:
    """Whether what carries this reference can not be our order, although it has its id.

    Asked only of an order that TWS has not shown to have, and that was not changed: a change may change the reference.
    """
    known = intent.was_acknowledged or intent.changes or intent.life > 1
    return not known and refs_conflict(intent.order.order_ref, order_ref)


def _drop_oldest(bounded: dict[IntentKey, None]) -> None:
    if len(bounded) > MAX_CONCLUDED:
        del bounded[next(iter(bounded))]
