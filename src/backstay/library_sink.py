"""What arrives on a connection of this process, decoded and given to whoever asked: the hot path of the library.

One pass over a chunk, in the connection's own thread. The messages that come by the thousand have a branch each, by
frequency: one look-up tells whether anybody wants the frame, values that repeat come from bounded memos, and an inline
callback is called right there. A callback that fails is caught outside of the loop, which then goes on.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from backstay.actors.traffic import Credit
from backstay.library_desk import Desk, Table
from backstay.protocol import events as e
from backstay.protocol.events_reading import HOT
from backstay.protocol.framing import PREFIX_BYTES, Splitter
from backstay.session.own_words import OwnWord
from backstay.subscription import Subscription

MEMO_LIMIT = 4_096
"""Prices, sizes and tick types remembered as numbers: those of a day's session of a hundred instruments mostly repeat.
Beyond it a value is converted each time."""

_new: Callable[..., Any] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


class Numbers(dict[str, float]):
    """Texts as floats; nothing is 0."""

    def __missing__(self, text: str) -> float:
        value = float(text) if text else 0.0
        if len(self) < MEMO_LIMIT:
            self[text] = value
        return value


class Integers(dict[str, int]):
    """Texts as whole numbers; nothing is 0."""

    def __missing__(self, text: str) -> int:
        value = int(text) if text else 0
        if len(self) < MEMO_LIMIT:
            self[text] = value
        return value


class LibrarySink:
    """See the module, and `actors.dispatcher.Sink`. All methods: the Dispatcher's thread."""

    def __init__(self, desk: Desk, credit: Credit) -> None:
        self._desk = desk
        self._credit = credit
        self._floats = Numbers()
        self._integers = Integers()
        self._lives = 0
        self._running = 0  # the thread that is in `put`; 0: none

    def recount(self) -> None:
        """A Dispatcher begins. Nothing waits here: what was put has been handled, or a callback hangs.

        Then its thread is left to it, finds nothing more to hand out when it returns, and its subscription is ended.
        """
        self._lives += 1
        self._credit.restart(0)
        if self._running:
            self._desk.move_on(_hanging(self._running))
            self._running = 0

    def tell(self, word: OwnWord) -> None:
        """A word of the session's."""
        self._desk.tell(word)

    def finish(self, done: Callable[[], object]) -> None:
        """The session is over: nothing will be answered any more."""
        self._desk.end_all("the connection has ended")
        done()

    def put(self, data: bytes, starts: list[int] | None = None) -> bool:
        """Decode these frames, and give their credit back."""
        desk, life = self._desk, self._lives
        desk.thread = self._running = threading.get_ident()
        try:
            if desk.table is not None:
                self._deliver(data.decode("latin-1"), starts if starts is not None else _starts(data), desk.table)
        finally:
            if life == self._lives:
                self._running = 0
                self._credit.give(len(data))
        return True

    # One branch a message, and no call that is not needed: this is where the time goes.
    def _deliver(self, text: str, starts: list[int], table: Table) -> None:  # noqa: C901, PLR0912, PLR0915
        """Hand out these frames. A failure leaves the loop, and the next round goes on behind it."""
        desk, floats, integers, new = self._desk, self._floats, self._integers, _new
        wanted, price, size, depth, quote = desk.hot.get, e.TickPrice, e.TickSize, e.Depth, e.BidAskTick
        ends = [start - PREFIX_BYTES for start in starts[1:]]
        ends.append(len(text))
        frames = zip(starts, ends, strict=True)
        while True:
            called: Subscription | None = None
            try:
                for start, end in frames:
                    called = None
                    f = text[start:end].split("\0")
                    kind = f[0]
                    if kind == "2":
                        _, _, key, tick, amount, _ = f
                        if (route := wanted(key)) is not None:
                            put, number, owner = route
                            event = new(size, (number, integers[tick], floats[amount]))
                            called = owner
                            put(event)
                    elif kind == "1":
                        _, _, key, tick, value, amount, mask, _ = f
                        if (route := wanted(key)) is not None:
                            put, number, owner = route
                            event = new(price, (number, integers[tick], floats[value], floats[amount], integers[mask]))
                            called = owner
                            put(event)
                    elif kind == "12":
                        _, _, key, place, operation, side, value, amount, _ = f
                        if (route := wanted(key)) is not None:
                            put, number, owner = route
                            what = number, integers[place], "", integers[operation], integers[side]
                            event = new(depth, (*what, floats[value], floats[amount], False))
                            called = owner
                            put(event)
                    elif kind == "13":
                        _, _, key, place, maker, operation, side, value, amount, smart, _ = f
                        if (route := wanted(key)) is not None:
                            put, number, owner = route
                            what = number, integers[place], maker, integers[operation], integers[side]
                            event = new(depth, (*what, floats[value], floats[amount], smart == "1"))
                            called = owner
                            put(event)
                    elif kind == "99" and f[2] == "3":
                        _, key, _, moment, bid, ask, bids, asks, mask, _ = f
                        if (route := wanted(key)) is not None:
                            put, number, owner = route
                            sizes = floats[bids], floats[asks], integers[mask]
                            event = new(quote, (number, integers[moment], floats[bid], floats[ask], *sizes))
                            called = owner
                            put(event)
                    elif (found := table.get(kind)) is None:
                        desk.take_unknown(f)
                    elif found[0] not in HOT:
                        desk.take(found, f)
                    elif (route := wanted(f[found[1] or 0])) is not None:
                        event = found[2](f)
                        called = route[2]
                        route[0](event)
            except BaseException as error:  # noqa: BLE001 - an application's mistake must not end this thread
                desk.failed(called, error)
            else:
                return


def _starts(data: bytes) -> list[int]:
    chunk = Splitter().push(data)
    return [] if chunk is None else chunk.starts


def _hanging(thread: int) -> Subscription | None:
    """Whose inline callback this thread is in. Read off its stack: the hot path keeps no record of it."""
    frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage]  # the documented way
    while frame is not None:
        called = frame.f_locals.get(_WHERE_IT_IS.get(frame.f_code, ""))
        if isinstance(called, Subscription):
            return called
        frame = frame.f_back
    return None


_WHERE_IT_IS = {LibrarySink._deliver.__code__: "called", Subscription.say.__code__: "self"}
