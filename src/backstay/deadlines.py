"""Ends what has waited for too long: one thread for all requests of a manager, asleep until the next one is due."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

LOOK_SECONDS = 60.0
"""Asleep for so long at the most."""


class Deadlines:
    """Any thread may add; `stop` ends the thread, and `add` begins another one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._cancelled: set[int] = set()
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def add(self, seconds: float, act: Callable[[], object]) -> int:
        """Have `act` called in so many seconds; it must not block or raise. Returns a number for `cancel`."""
        with self._changed:
            number = next(self._numbers)
            heapq.heappush(self._heap, (time.monotonic() + seconds, number, act))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="backstay-deadlines", daemon=True)
                self._thread.start()
            elif self._heap[0][1] == number:
                self._changed.notify_all()
            return number

    def cancel(self, number: int) -> None:
        """It is not needed any more. Nothing is kept of it: an answer must not cost memory until its deadline."""
        with self._changed:
            self._cancelled.add(number)
            if 2 * len(self._cancelled) > len(self._heap):
                self._heap = [entry for entry in self._heap if entry[1] not in self._cancelled]
                heapq.heapify(self._heap)
                self._cancelled.clear()

    def stop(self) -> None:
        """Forget all of them, and end the thread (a thread that it runs in itself ends by itself)."""
        with self._changed:
            self._heap.clear()
            self._cancelled.clear()
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(LOOK_SECONDS)

    def _run(self) -> None:
        while (due := self._next()) is not None:
            for act in due:
                act()

    def _next(self) -> list[Callable[[], object]] | None:
        """Wait for what is due. None when the thread is to end."""
        with self._changed:
            while self._thread is threading.current_thread():
                now = time.monotonic()
                due: list[Callable[[], object]] = []
                while self._heap and self._heap[0][0] <= now:
                    _, number, act = heapq.heappop(self._heap)
                    if number not in self._cancelled:
                        due.append(act)
                if due:
                    return due
                self._changed.wait(min(self._heap[0][0] - now, LOOK_SECONDS) if self._heap else LOOK_SECONDS)
            return None
