"""TWS's limits on how often a client may ask."""

from collections import deque

WINDOW_SECONDS = 1.0


class Rate:
    """Messages of one session in a sliding second, and how often they were too many."""

    __slots__ = ("_seen", "_violated_at", "violations")

    def __init__(self) -> None:
        self.violations = 0
        self._seen: deque[float] = deque()
        self._violated_at = float("-inf")

    def admit(self, now: float, rate_max: int) -> bool:
        """Count a message; False when the second is full. A burst is one violation, however long it lasts."""
        seen = self._seen
        while seen and seen[0] <= now - WINDOW_SECONDS:
            seen.popleft()
        if len(seen) < rate_max:
            seen.append(now)
            return True
        if now - self._violated_at >= WINDOW_SECONDS:
            self._violated_at = now
            self.violations += 1
        return False
