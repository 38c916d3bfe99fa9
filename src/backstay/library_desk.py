"""Who waits for what on a connection of this process, and who is told what has arrived.

Written from any thread under a lock; looked up without one in the connection's thread. Every table here is bounded by
what the application has asked for and not yet had.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from backstay import library_gaps as gaps
from backstay.errors import BackstayError, ConnectionLostError, MisuseError, NotReadyError
from backstay.library_ids import REQUEST_IDS
from backstay.library_words import ENDS, CallbackFailed, ConnectAck, Gap, blame, notice_of
from backstay.metrics.blocks import ConnectionMeter
from backstay.pending import Pending
from backstay.protocol import events as e
from backstay.protocol.codes import About, code_info
from backstay.protocol.events_reading import Read, plain, readers
from backstay.protocol.responses import HISTORICAL_TICKS
from backstay.session.notices import NO_ID
from backstay.session.orders import FIRST_RESERVED_ID
from backstay.session.own_words import OwnWord, TellBack, TellGap, TellHello
from backstay.session.repair import FARM_CODES
from backstay.subscription import Subscription
from backstay.trade import Trade

Row = tuple[int, int | None, Read]
Table = Mapping[str, Row]
Route = tuple[Callable[[Any], object], int, Subscription | None]
"""How a frame of a stream is delivered: where to, under which request id, and whose callback that is."""

MAX_TRADES = 20_000
"""Orders remembered of one connection; the oldest that are done go first."""

_REFUSED = frozenset({320, 321, 322, 323})
_DONE_FLAGS = ("", "0", "false")


class Desk:
    """See the module."""

    def __init__(self, log: Callable[..., object], name: str) -> None:
        self.name = name
        self.log = log
        self.lock = threading.RLock()
        self.version: int | None = None
        self.table: Table | None = None
        self.epoch = 0
        self.down = True  # what is asked now has nothing that could be missing, and hears of no gap
        self.client_id = 0
        self.hot: dict[str, Route] = {}
        self.keyed: dict[int, Pending | Subscription] = {}
        self.families: dict[Hashable, deque[Pending]] = {}
        self.unkeyed: dict[int, Subscription] = {}  # streams without an id, by the messages that belong to them
        self.listeners: tuple[Subscription, ...] = ()
        self.previews: dict[int, Pending] = {}
        self.trades: dict[int, Trade] = {}
        self.fills: dict[str, Trade] = {}  # by execution, until its commission has come
        self.trades_changed = threading.Condition()
        self.meter: ConnectionMeter | None = None
        self.malformed = 0
        self.thread = 0  # the connection's own, in which nothing may wait for an answer
        self.over = ""  # why there is no connection any more
        self.on_hello: Callable[[], object] = lambda: None
        self.on_gap: Callable[[TellGap], object] = lambda _: None
        self.on_back: Callable[[], object] = lambda: None
        self.on_settled: Callable[[], object] = lambda: None
        self.on_identified: Callable[[], object] = lambda: None
        self.on_trade: Callable[[Trade], object] = lambda _: None
        self.fate_of: Callable[[Trade, BackstayError], BackstayError] = lambda _, error: error
        self.knows_order: Callable[[int], bool] = self.trades.__contains__

    # -- words of the session ----------------------------------------------------------------------------------------

    def tell(self, word: OwnWord) -> None:
        """A word of the session's, in order with the frames."""
        if isinstance(word, TellHello):
            self.epoch, self.version = word.epoch, word.hello.version
            self.over = ""  # one that was drained, and lives again
            self.table = readers(word.hello.version)
            self._tell_all(ConnectAck(word.epoch, word.hello.version, word.hello.time.decode("latin-1")))
            self.on_hello()
        elif isinstance(word, TellGap):
            self.down = True  # first: a stream that begins at this moment is either told or waits
            gap = Gap(word.epoch, time.time(), word.cause.value, word.cause.row.tws_code)
            gaps.open_gaps(self, gap, (*self.streams(), *self.listeners), socket_gap=True)
            self.on_gap(word)
        else:
            self._back(word)

    def _back(self, word: TellBack) -> None:
        self.down = False
        for stream in (*self.streams(), *self.listeners):
            gaps.resume(self, stream, word.epoch)
        self.on_back()
        self.on_settled()

    def streams(self) -> list[Subscription]:
        """All streams that are open."""
        with self.lock:
            keyed = [owner for owner in self.keyed.values() if isinstance(owner, Subscription)]
            return [*keyed, *dict.fromkeys(self.unkeyed.values())]

    # -- who waits ---------------------------------------------------------------------------------------------------

    def add_stream(self, stream: Subscription) -> bool:
        """A stream begins. False if it has no id, and there is one of its kind already."""
        request = stream.request
        assert request is not None  # noqa: S101  # listeners come in by another way
        with self.lock:
            stream.socket_gap = self.down
            if stream.key is not None:
                self.keyed[stream.key] = stream
                gaps.route(self, stream)
                return True
            numbers = request.rows | request.answers
            if numbers & self.unkeyed.keys():
                return False
            self.unkeyed |= dict.fromkeys(numbers, stream)
            return True

    def add_read(self, pending: Pending) -> bool:
        """A read begins. False if one of its family, whose answers could be taken for its own, is out already."""
        with self.lock:
            if pending.key is not None:
                self.keyed[pending.key] = pending
                self.hot[str(pending.key)] = pending.put, pending.key, None
                return True
            family = self.families.setdefault(_family(pending), deque())
            family.append(pending)
            return len(family) == 1

    def remove(self, owner: Pending | Subscription) -> None:
        """It waits no longer."""
        with self.lock:
            if owner.key is not None and self.keyed.get(owner.key) is owner:
                del self.keyed[owner.key]
                del self.hot[str(owner.key)]
            self.unkeyed = {number: one for number, one in self.unkeyed.items() if one is not owner}
            self.listeners = tuple(one for one in self.listeners if one is not owner)

    def next_of_family(self, pending: Pending) -> Pending | None:
        """A read without an id has had its answer, or its time: the next that may be asked."""
        with self.lock:
            family = self.families.get(_family(pending))
            if not family or pending not in family:
                return None
            was_first = family[0] is pending
            family.remove(pending)
            if not family:
                del self.families[_family(pending)]
                return None
            return family[0] if was_first else None

    def heads(self) -> list[Pending]:
        """The reads without an id that are out."""
        with self.lock:
            return [family[0] for family in self.families.values() if family]

    def reads(self) -> list[Pending]:
        """The reads that are out."""
        with self.lock:
            return [one for one in (*self.keyed.values(), *self.heads()) if isinstance(one, Pending)]

    def trade(self, order_id: int) -> Trade:
        """The order of this id; one that this process has not placed is taken up."""
        with self.lock:
            trade = self.trades.get(order_id)
            if trade is None:
                trade = Trade(order_id, self.trades_changed, client_id=self.client_id)
                self.on_trade(trade)
                self.add_trade(trade)
            return trade

    def add_trade(self, trade: Trade) -> None:
        """Remember an order."""
        with self.lock:
            self.trades[trade.order_id] = trade
            if len(self.trades) > MAX_TRADES:
                del self.trades[next((key for key, one in self.trades.items() if one.done), next(iter(self.trades)))]

    def end_all(self, why: str) -> None:
        """There is no connection any more: nothing stays in limbo."""
        with self.lock:
            self.over = why
            owners = [*self.keyed.values(), *dict.fromkeys(self.unkeyed.values()), *self.listeners]
            waiting = [pending for family in self.families.values() for pending in family]
            previews, trades = list(self.previews.values()), list(self.trades.values())
            self.families.clear()
        error = ConnectionLostError(why)
        for owner in (*owners, *waiting, *previews):
            owner.give_up(error)
        for trade in trades:
            if not trade.done:
                fate = self.fate_of(trade, error)
                (trade.fail if isinstance(fate, NotReadyError) else trade.leave)(fate)

    def check_thread(self, name: str, instead: str = "do it in another one") -> None:
        """Raise MisuseError in the connection's own thread: nothing arrives while it waits."""
        if threading.get_ident() == self.thread:
            raise MisuseError(f"{name}: the connection's own thread can not wait; {instead}")

    # -- what arrives ------------------------------------------------------------------------------------------------

    def take(self, row: Row, fields: list[str]) -> None:
        """A message that does not come by the thousand."""
        if threading.get_ident() != self.thread:
            return  # a callback hung for so long that another thread has taken over
        number, place, read = row
        try:
            event = read(fields)
        except (ValueError, IndexError) as error:
            self.failed(None, error)
            return
        handler = _HANDLERS.get(number)
        if handler is not None:
            handler(self, number, event)
        elif place is not None:
            self._take_keyed(int(fields[place]), number, event, final=_is_final(number, fields))
        else:
            self._take_unkeyed(number, event)

    def take_unknown(self, fields: list[str]) -> None:
        """A message of a later TWS than the tables know."""
        if threading.get_ident() != self.thread:
            return
        number = int(fields[0]) if fields[0].isdigit() else -1
        self._tell_all(plain(number, fields))

    def failed(self, called: Subscription | None, error: BaseException) -> None:
        """A callback has raised, or (None) a frame could not be read."""
        if called is not None:
            called.callback_failed(error)
            return
        self.malformed += 1
        if self.malformed == 1:
            self.log("message_unreadable", connection=self.name, error=repr(error))

    def move_on(self, hanging: Subscription | None) -> None:
        """A callback has hung for so long that another thread takes over: the former finds nobody to deliver to."""
        with self.lock:
            former, self.hot = self.hot, dict(self.hot)
            former.clear()
        if hanging is not None:
            request = {"request": hanging.name, "request_id": hanging.key}
            self.log("callback_hangs", connection=self.name, **request)
            hanging.give_up(MisuseError(f"{hanging.name}: an inline callback must not block, and this one did"))

    def callback_failed(self, failure: CallbackFailed) -> None:
        """A callback has raised: logged once for each subscription, told each time."""
        if failure.times == 1:
            request = {"request": failure.request, "request_id": failure.request_id}
            self.log("callback_failed", connection=self.name, **request, error=repr(failure.error))
        for listener in self.listeners:
            if listener.inline is None:  # one whose own failure this may be would be called for ever
                listener.say(failure)

    def dropped(self) -> None:
        """A subscription has lost an event that nobody took in time: counted. In the connection's thread."""
        if self.meter is not None:
            self.meter.lose(1)

    def _tell_all(self, event: Any) -> None:
        for listener in self.listeners:
            listener.say(event)

    def _take_keyed(self, key: int, number: int, event: Any, *, final: bool) -> None:
        owner = self.keyed.get(key)
        if isinstance(owner, Pending):
            owner.take(number, event, final=final)
        elif owner is not None:
            self._to_stream(owner, event)

    def _to_stream(self, stream: Subscription, event: Any) -> None:
        if stream.socket_gap:
            gaps.resume(self, stream, self.epoch)
        stream.say(event)

    def _take_unkeyed(self, number: int, event: Any) -> None:
        for pending in self.heads():
            if pending.wants(number):
                pending.take(number, event, final=True)
        stream = self.unkeyed.get(number)
        if stream is not None:
            self._to_stream(stream, event)

    def _error(self, _number: int, event: e.Error) -> None:
        if event.code in gaps.LINK_LOST:
            gaps.link_lost(self, event.code)
        elif event.code in FARM_CODES:
            gaps.farm_changed(self, event)
        self._tell_all(event)
        if event.code in gaps.LINK_BACK:
            gaps.link_back(self)
        owner = self.keyed.get(event.request_id) or self.previews.get(event.request_id)
        if self._is_about_order(event, asked=owner is not None):
            if self.knows_order(event.request_id):  # else: a cancel of one that never was
                self.trade(event.request_id).hear(event)
        elif owner is not None:
            owner.hear(event)
        else:
            self._error_on_nobody(event)

    def _is_about_order(self, event: e.Error, *, asked: bool) -> bool:
        """By what is known of the id, and where that leaves it open by the code. `asked`: a request waits under it."""
        key, about = event.request_id, code_info(event.code).about
        known = self.knows_order(key)
        if asked:
            return known and about is About.ORDER
        if REQUEST_IDS.has_given(key):  # a late word on a request, unless TWS had an order of that id before
            return known and about is not About.REQUEST
        return known or 0 <= key < FIRST_RESERVED_ID or (key < NO_ID and about is About.ORDER)

    def _error_on_nobody(self, event: e.Error) -> None:
        """A read without an id is refused without one. Whose it is can be told if only one is out."""
        heads = self.heads()
        if len(heads) == 1 and (event.code in _REFUSED or notice_of(event) in ENDS):
            heads[0].fail(blame(event))

    def _order(self, number: int, event: e.OpenOrder | e.OrderStatus | e.Preview) -> None:
        if isinstance(event, e.Preview):
            preview = self.previews.get(event.order_id)
            if preview is not None:
                preview.take(number, event, final=True)
            return
        if event.client_id == self.client_id:
            self.trade(event.order_id).hear(event)
        self._tell_all(event)
        self._take_unkeyed(number, event)

    def _execution(self, number: int, event: e.Execution) -> None:
        if event.client_id == self.client_id:
            trade = self.trade(event.order_id)
            self.fills[event.exec_id] = trade
            if len(self.fills) > MAX_TRADES:
                del self.fills[next(iter(self.fills))]
            trade.hear(event)
        if event.request_id >= 0:
            self._take_keyed(event.request_id, number, event, final=True)
        else:
            self._tell_all(event)

    def _commission(self, _number: int, event: e.Commission) -> None:
        trade = self.fills.pop(event.exec_id, None)
        if trade is not None:
            trade.hear(event)
        self._tell_all(event)

    def _common(self, number: int, event: Any) -> None:
        if number == NEXT_ID:
            self.on_identified()
        self._tell_all(event)
        self._take_unkeyed(number, event)


def _family(pending: Pending) -> Hashable:
    return pending.request.conn_family or pending.request.id


def _is_final(number: int, fields: list[str]) -> bool:
    """Whether it does not say of itself that more will follow."""
    return number not in HISTORICAL_TICKS or fields[-2] not in _DONE_FLAGS


ORDER_STATUS, ERROR, OPEN_ORDER, NEXT_ID, EXECUTION, ACCOUNTS, COMMISSION = 3, 4, 5, 9, 11, 15, 59

_HANDLERS: dict[int, Callable[[Desk, int, Any], None]] = {
    ERROR: Desk._error,
    ORDER_STATUS: Desk._order,
    OPEN_ORDER: Desk._order,
    EXECUTION: Desk._execution,
    COMMISSION: Desk._commission,
    NEXT_ID: Desk._common,
    ACCOUNTS: Desk._common,
}
