"""TWS's limits on how often a client may ask."""

from collections import deque
from collections.abc import Hashable

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


IDENTICAL_SECONDS = 15.0
SAME_CONTRACT_SECONDS = 2.0
SAME_CONTRACT_MAX = 6
LONG_SECONDS = 600.0
LONG_MAX = 60

VIOLATION = "Historical data request pacing violation"


class HistoricalPacing:
    """TWS's three rules about historical queries for short bars, over all clients.

    No identical query within 15 s, fewer than 6 for the same contract and data within 2 s, at most 60 within 10
    minutes, a BID_ASK query counting twice.
    """

    def __init__(self) -> None:
        self._queries: deque[tuple[float, Hashable, Hashable, int]] = deque()

    def admit(self, now: float, contract: Hashable, terms: tuple[str, ...], /, *, short: bool) -> str:
        """Count a query; return why it is refused, empty when it is not. ``terms`` end with data shown and end date."""
        if not short:
            return ""
        queries = self._queries
        while queries and queries[0][0] <= now - LONG_SECONDS:
            queries.popleft()
        what = terms[-2]
        same = [at for at, known, _, _ in queries if known == (contract, what) and at > now - SAME_CONTRACT_SECONDS]
        identical = any(
            at > now - IDENTICAL_SECONDS for at, known, seen, _ in queries if (known, seen) == ((contract, what), terms)
        )
        weight = 2 if what == "BID_ASK" else 1
        if identical or len(same) >= SAME_CONTRACT_MAX - 1 or sum(q[3] for q in queries) + weight > LONG_MAX:
            return VIOLATION
        queries.append((now, (contract, what), terms, weight))
        return ""
