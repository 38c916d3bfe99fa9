"""One thread that owns every socket and timer of a simulator; other threads hand work in and wait for its answer.

A selector loop of our own because its faults need it: ``frozen`` stops reading, writing, accepting and all timers at
once, as a suspended TWS process would, while commands from other threads still get through.
"""

import heapq
import itertools
import logging
import selectors
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")
Work = Callable[[], None]

CALL_SECONDS_MAX = 30.0
"""Longest wait of a caller in another thread; nothing in the loop takes a tenth of that, so longer means stuck."""

ERRORS_MAX = 100
"""Tracebacks kept: the first ones tell the cause, a fault that repeats must not fill the memory."""

_log = logging.getLogger("backstay.simulator")


class Timer:
    """One call at a later time; ``cancel`` may be called at any time from the loop's own thread."""

    __slots__ = ("work",)

    def __init__(self, work: Work) -> None:
        self.work: Work | None = work

    def cancel(self) -> None:
        """Forget the call."""
        self.work = None


class Loop:
    """Sockets, timers and the work other threads hand in, all in one daemon thread.

    ``call`` works from any thread; everything else belongs to the loop's own thread, or to anybody while it does not
    run. ``errors`` holds tracebacks of what went wrong inside, for tests to assert on.
    """

    def __init__(self, name: str = "simulator") -> None:
        self.frozen = False
        self.errors: deque[str] = deque(maxlen=ERRORS_MAX)
        self._name = name
        self._selector = selectors.DefaultSelector()
        self._frozen_selector = selectors.DefaultSelector()
        self._bell, self._doorbell = socket.socketpair()
        self._bell.setblocking(False)
        self._doorbell.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ, self._hear_bell)
        self._frozen_selector.register(self._bell, selectors.EVENT_READ, self._hear_bell)
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._later: deque[Work] = deque()
        self._handed_in: deque[Work] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; harmless when it does not run."""
        thread = self._thread
        if thread is None:
            return
        with self._lock:
            self._stopping = True
        self._ring()
        thread.join(CALL_SECONDS_MAX)
        self._thread = None
        for work in self._handed_in:  # their callers wait
            self._guard(work)

    def close(self) -> None:
        """Close every socket it still watches, those that linger too, and its own; after ``stop``, once or often."""
        if self._bell.fileno() < 0:
            return
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._frozen_selector.close()
        self._doorbell.close()

    def call(self, work: Callable[[], Result]) -> Result:
        """Do work in the loop's thread and return its result; what it raises is raised here. Any thread."""
        answer: Future[Result] = Future()

        def run() -> None:
            try:
                answer.set_result(work())
            except BaseException as error:  # noqa: BLE001  (belongs to the caller)
                answer.set_exception(error)

        with self._lock:
            foreign = self._thread is not None and not self._stopping and self._thread != threading.current_thread()
            if foreign:
                self._handed_in.append(run)
        if foreign:
            self._ring()
        else:
            run()
        return answer.result(CALL_SECONDS_MAX)

    def soon(self, work: Work) -> None:
        """Do work at the end of this round, once whatever came in has been handled: where writes are batched."""
        self._later.append(work)

    def after(self, seconds: float, work: Work) -> Timer:
        """Do work once, later."""
        timer = Timer(work)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def watch(self, sock: socket.socket, events: int, work: Callable[[int], None]) -> None:
        """Call work with the ready events of a socket; ``events`` 0 stops watching it."""
        known = sock in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(sock)
        elif known:
            self._selector.modify(sock, events, work)
        else:
            self._selector.register(sock, events, work)

    def _run(self) -> None:
        while not self._stopping:
            self._round()

    def _round(self) -> None:
        selector = self._frozen_selector if self.frozen else self._selector
        for key, events in selector.select(self._wait_seconds()):
            self._guard(partial(key.data, events))
        while self._handed_in:
            self._handed_in.popleft()()
        if self.frozen:
            return
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            work = heapq.heappop(self._timers)[2].work
            if work is not None:
                self._guard(work)
        for _ in range(len(self._later)):
            self._guard(self._later.popleft())

    def _wait_seconds(self) -> float | None:
        if self.frozen:
            return None
        if self._later or self._handed_in:
            return 0.0
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _guard(self, work: Work) -> None:
        """Run work; a mistake in the simulator must not end it, but must not hide either."""
        try:
            work()
        except Exception:  # noqa: BLE001  (kept in errors and logged)
            self.errors.append(traceback.format_exc())
            _log.exception("the simulator failed inside")

    def _hear_bell(self, _events: int) -> None:
        try:
            while self._bell.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # full: the bell is ringing already
            self._doorbell.send(b"\0")
