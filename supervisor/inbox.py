"""The inbox of an actor: two lanes, bounds, timers, and a door that closes.

Sending takes no lock: a sender appends, and then looks whether the inbox has closed meanwhile. Closing sets the
flag first and empties the lanes after. So a message is either handled, or taken out again by exactly one of the two
(popping is atomic) and buried: counted, and answered if it was an ask. pykka's own queue loses messages here and
leaves asks unresolved for ever.

The reader sleeps on a doorbell: a plain lock. Before it does, it lays down a token and looks at the lanes once more;
a sender that finds the token takes it (atomically, so that only one does) and rings. A busy reader costs its senders
nothing.

Order of service: control, then timers that are due, then data; after a timer one data message has its turn,
so that an actor that re-arms itself without delay cannot starve its data.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final

import pykka

# pykka says "stop" with this private message; there is no public way to recognise it.
from pykka.messages import (
    ProxyCall,
    ProxyGetAttr,
    ProxySetAttr,
    _ActorStop,  # pyright: ignore[reportPrivateUsage]
)

from backstay.metrics.blocks import MAILBOX_BOUNDS, Histogram
from backstay.supervisor.messages import Command, ExitKind, ExitReason, Stop

DATA_LIMIT: Final = 100_000
"""Data messages an inbox holds. About 15 MB of small tuples: far above any healthy backlog, far below trouble."""

CONTROL_LIMIT: Final = 10_000
"""Control messages an inbox holds. Those few that must arrive (`vital`) are bounded by the number of children."""

HEAP_SLACK: Final = 64
"""Replaced timers stay in the heap until due; it is rebuilt when they outnumber the live ones by this many."""

PYKKA_MESSAGES: Final = (_ActorStop, ProxyCall, ProxyGetAttr, ProxySetAttr)

_NOTHING: Final = object()


class InboxClosed(Exception):  # noqa: N818 - an end, not an error
    """Raised by `take` once the inbox is closed and empty."""


class InboxFull(Exception):  # noqa: N818 - reads as in queue.Full
    """The answer to an ask that found the data lane full."""


class Letter:
    """A message that pykka has to do with: it wants a reply, or it is one of pykka's own.

    Has the shape of pykka's envelope.
    """

    __slots__ = ("message", "reply_to")

    def __init__(self, message: Any, reply_to: pykka.Future[Any] | None) -> None:
        self.message = message
        self.reply_to = reply_to

    @property
    def stops(self) -> bool:
        """Whether this is pykka's own stop request."""
        return isinstance(self.message, _ActorStop)

    def resolve(self, value: Any) -> None:
        """Answer, unless somebody already did (which is not the actor's failure)."""
        if self.reply_to is not None:
            with contextlib.suppress(Exception):
                self.reply_to.set(value)

    def fail(self, error: BaseException) -> None:
        """Answer with an exception. What is no `Exception` would end the asker, too, and is wrapped."""
        if self.reply_to is None:
            return
        if not isinstance(error, Exception):
            error = pykka.ActorDeadError(f"died of {type(error).__name__}")
        with contextlib.suppress(Exception):
            self.reply_to.set_exception((type(error), error, error.__traceback__))

    def dead(self) -> None:
        """Answer for an actor that is gone."""
        if self.stops:
            self.resolve(None)
        else:
            self.fail(pykka.ActorDeadError("the actor ended before it handled the message"))


def bury_letters(leftovers: list[Any]) -> None:
    """Answer what was left over and wants an answer."""
    for message in leftovers:
        if isinstance(message, Letter):
            message.dead()
        elif isinstance(message, Command):
            message.reply("the supervisor has ended")


class Inbox:
    """See the module. All methods but `take` and `get` are for any thread; those two for the reader only."""

    __slots__ = (
        "_bell",
        "_control",
        "_data",
        "_heap",
        "_lock",
        "_sequence",
        "_timed",
        "_timed_at",
        "_timer_served",
        "_timers",
        "_token",
        "bury",
        "clock",
        "closed",
        "interrupt",
        "late",
        "limit",
        "overflows",
        "stop_requested",
        "waits",
    )

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, limit: int = DATA_LIMIT) -> None:
        self.clock = clock
        self.limit = limit
        """Data messages that may wait; concurrent senders may overshoot it by one each."""
        self.interrupt: Callable[[], None] | None = None
        """Called after a stop request of pykka's was posted, in the caller's thread."""
        self.bury: Callable[[list[Any]], None] = bury_letters
        """Takes messages that slipped in while the inbox was closed, in the sender's thread."""
        self.closed = False
        self.late = 0
        """Messages refused because the inbox was closed."""
        self.overflows = 0
        """Messages refused because their lane was full."""
        self.stop_requested: ExitReason | None = None
        """Set as soon as a `Stop` or a foreign stop request is in the inbox, handled or not."""
        self.waits = Histogram(MAILBOX_BOUNDS)
        """How long messages lay here, in seconds: of one at a time, so that it costs next to nothing."""
        self._timed: Any = None
        self._timed_at = 0.0
        self._control: deque[Any] = deque()
        self._data: deque[Any] = deque()
        self._token: deque[None] = deque()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._lock = threading.Lock()  # timers and counters of refusals; never taken to deliver a message
        self._heap: list[tuple[float, int, Hashable]] = []
        self._timers: dict[Hashable, tuple[int, Any]] = {}
        self._sequence = 0
        self._timer_served = False

    def length(self) -> int:
        """Messages waiting in both lanes, without timers."""
        return len(self._control) + len(self._data)

    @property
    def waiting(self) -> bool:
        """Whether the reader sleeps because there is nothing to do."""
        return bool(self._token)

    def post(self, message: Any, *, control: bool = False, vital: bool = False) -> bool:
        """Put a message in. False if the inbox is closed or the lane is full; both are counted.

        True says that it will be handled, or buried with what the actor left over. A `vital` control message is taken
        even if the lane is full.
        """
        if self.closed:
            return self._refuse()
        if control:
            lane = self._control
            if len(lane) >= CONTROL_LIMIT and not vital:
                return self._refuse()
            self._note_stop(message)
        else:
            lane = self._data
            if len(lane) >= self.limit:
                return self._refuse()
        if self._timed is None:
            # Before it is put: the reader may be faster. Of two senders at a time the later one is timed.
            self._timed_at = self.clock()
            self._timed = message
        lane.append(message)
        if self._token:
            self._ring()
        if self.closed and self._sweep(message):
            return self._refuse()
        return True

    def put(self, envelope: Any, /) -> None:
        """Pykka's way in: `tell` and `ask`. An ask that is refused is answered at once."""
        message, reply_to = envelope.message, envelope.reply_to
        if reply_to is None and not isinstance(message, PYKKA_MESSAGES):
            self.post(message)
            return
        letter = Letter(message, reply_to)
        if not self.post(letter, control=letter.stops, vital=letter.stops):
            letter.fail(pykka.ActorDeadError("the actor has ended") if self.closed else InboxFull("the inbox is full"))
        elif letter.stops and self.interrupt is not None:
            self.interrupt()

    def take(self) -> Any:
        """Wait for the next message. Raises `InboxClosed` when there will be none."""
        control, data = self._control, self._data
        while True:
            try:
                if control:
                    message = control.popleft()
                    if message is self._timed:
                        self._note_wait()
                    return message
                if self._timers and not (self._timer_served and data):
                    message = self._due()
                    if message is not _NOTHING:
                        return message
                if data:
                    self._timer_served = False
                    message = data.popleft()
                    if message is self._timed:
                        self._note_wait()
                    return message
            except IndexError:
                continue  # closing emptied the lane between the look and the pop
            self._sleep()

    def _note_wait(self) -> None:
        self.waits.observe(self.clock() - self._timed_at)
        self._timed = None

    def get(self) -> Any:
        """Pykka's way out: like `take`, in an envelope."""
        message = self.take()
        return message if isinstance(message, Letter) else Letter(message, None)

    def empty(self) -> bool:
        """Whether no message waits (timers do not count)."""
        return not self._control and not self._data

    def close(self) -> list[Any]:
        """Refuse everything from now on, drop the timers, and hand out what was not handled, control first."""
        self.closed = True
        with self._lock:
            self._timers.clear()
            self._heap.clear()
        leftovers = [*_drain(self._control), *_drain(self._data)]
        self._ring()
        return leftovers

    def set_timer(self, key: Hashable, due: float, message: Any) -> None:
        """Deliver `message` at `due` (the clock's seconds). Replaces the timer of that key."""
        with self._lock:
            if self.closed:
                return
            self._sequence += 1
            self._timers[key] = (self._sequence, message)
            heapq.heappush(self._heap, (due, self._sequence, key))
            if len(self._heap) > 2 * len(self._timers) + HEAP_SLACK:
                self._heap = [entry for entry in self._heap if self._is_live(entry)]
                heapq.heapify(self._heap)
        self._ring()

    def cancel_timer(self, key: Hashable) -> bool:
        """Forget a timer. False if there was none (any more)."""
        with self._lock:
            return self._timers.pop(key, None) is not None

    def wake(self) -> None:
        """Have the reader look at the clock again: for clocks that are set by hand."""
        self._ring()

    def _refuse(self) -> bool:
        with self._lock:
            if self.closed:
                self.late += 1
            else:
                self.overflows += 1
        return False

    def _ring(self) -> None:
        """Wake the reader if it sleeps. Whoever takes the token rings: the bell must not be rung twice."""
        try:
            self._token.pop()
        except IndexError:
            return
        self._bell.release()

    def _sweep(self, message: Any) -> bool:
        """Take out what slipped in while the inbox was closed. True if `message` was in it: its sender has it back."""
        swept = [*_drain(self._control), *_drain(self._data)]
        leftovers = [other for other in swept if other is not message]
        if leftovers:
            self.bury(leftovers)
        return len(leftovers) < len(swept)

    def _note_stop(self, message: Any) -> None:
        if self.stop_requested is not None:
            return
        if isinstance(message, Stop):
            self.stop_requested = ExitReason(ExitKind.SHUTDOWN, message.reason)
        elif isinstance(message, Letter) and message.stops:
            self.stop_requested = ExitReason(ExitKind.FOREIGN, "stopped through pykka")

    def _is_live(self, entry: tuple[float, int, Hashable]) -> bool:
        timer = self._timers.get(entry[2])
        return timer is not None and timer[0] == entry[1]

    def _first_due(self) -> float | None:
        """When the next live timer is due. Call with the lock held."""
        heap = self._heap
        while heap and not self._is_live(heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def _due(self) -> Any:
        """Return the message of the first timer if its time has come, else `_NOTHING`."""
        with self._lock:
            due = self._first_due()
            if due is None or due > self.clock():
                return _NOTHING
            _, message = self._timers.pop(heapq.heappop(self._heap)[2])
        self._timer_served = True
        return message

    def _seconds_to_timer(self) -> float:
        """Return the wait until the next timer: 0 if it is due, -1 (wait for ever) if there is none."""
        if not self._timers:
            return -1.0
        with self._lock:
            due = self._first_due()
        return -1.0 if due is None else min(max(due - self.clock(), 0.0), threading.TIMEOUT_MAX)

    def _sleep(self) -> None:
        if self.closed:
            raise InboxClosed
        self._timer_served = False
        self._token.append(None)
        # From here on senders ring; what came before is seen now.
        if not (self._control or self._data or self.closed):
            seconds = self._seconds_to_timer()
            if seconds and self._bell.acquire(timeout=seconds):
                return
        try:
            self._token.pop()
        except IndexError:
            self._bell.acquire()  # somebody has the token and rings: take that in, or the next sleep ends at once


def _drain(lane: deque[Any]) -> list[Any]:
    drained: list[Any] = []
    with contextlib.suppress(IndexError):
        while True:
            drained.append(lane.popleft())
    return drained
