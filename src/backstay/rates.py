"""How many messages a second come on each connection, from counters that only rise."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

LOOKS = 6
"""With one a second, the rate of the last five seconds: steady enough to read, quick enough to see a stream end."""


class Rates:
    """`look` belongs to one thread; `now` may be read in any, and is replaced as a whole."""

    def __init__(self) -> None:
        self.now: Mapping[str, float] = {}
        """By the name of the connection; without those that have not been seen twice."""
        self._looks: deque[tuple[float, Mapping[str, int]]] = deque(maxlen=LOOKS)

    def look(self, at: float, counts: Mapping[str, int]) -> None:
        """Note what has been counted until now; `at`: monotonic seconds."""
        self._looks.append((at, counts))
        found: dict[str, float] = {}
        for name, count in counts.items():
            before = next(((when, seen[name]) for when, seen in self._looks if name in seen), None)
            if before is not None and before[0] < at and count >= before[1]:
                found[name] = (count - before[1]) / (at - before[0])
        self.now = found
