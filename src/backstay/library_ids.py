"""Request ids of the library: never given twice in this process, and never one that is an order's.

Orders and requests share the numbers in which TWS's errors speak. So neither takes a number that the other has: request
ids go round orders that are known, and order ids, which only rise, go over request ids that were given.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

FIRST_REQUEST_ID = 1_000_000_000
"""Where request ids begin: above the order ids of whoever counts, below those of whoever takes the time."""


class RequestIds:
    """See the module. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = FIRST_REQUEST_ID

    def give(self, is_taken: Callable[[int], bool]) -> int:
        """A request id that is nobody's."""
        with self._lock:
            while is_taken(self._next):
                self._next += 1
            self._next += 1
            return self._next - 1

    def has_given(self, number: int) -> bool:
        """Whether it is, or was, a request's."""
        return FIRST_REQUEST_ID <= number < self._next

    def free_from(self, number: int) -> int:
        """The lowest number from this one on that was never a request's."""
        return self._next if self.has_given(number) else number


REQUEST_IDS = RequestIds()
"""Those of this process."""
