"""How long to wait before trying again: a value that knows how often was tried, over tenacity's wait strategies.

The strategies are used as pure calculators: they are given an attempt number and return seconds; nobody sleeps.
Chance is passed in, so that a schedule can be repeated. The delay counts from the start of the attempt that failed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from tenacity import wait_exponential

MAX_ATTEMPT: Final = 1_000
"""The growth has met its cap long before; exponents beyond this serve nobody."""


@dataclass(slots=True)
class _Attempt:
    """The one thing a wait strategy reads of tenacity's state."""

    attempt_number: int


@dataclass(frozen=True, slots=True)
class Backoff:
    """A schedule of delays, and the place reached in it.

    The first retry after a proven connection comes almost at once, at random within `first_seconds`; then delays
    grow by `factor` from `base_seconds`, each spread by `jitter_ratio` to either side. No delay is above
    `cap_seconds`, but for a floor: the growth ends a spread below it, so that clients stay apart there, too.
    """

    first_seconds: float = 0.25
    base_seconds: float = 1.0
    factor: float = 1.6
    jitter_ratio: float = 0.2
    cap_seconds: float = 30.0
    attempt: int = 0

    def __post_init__(self) -> None:
        positive = self.first_seconds >= 0 and self.base_seconds > 0 and self.cap_seconds > 0
        if not positive or self.factor < 1 or not 0 <= self.jitter_ratio < 1:
            raise ValueError(f"no schedule of delays: {self}")

    def delay(self, chance: random.Random, *, floor: float = 0.0, cap: float | None = None) -> tuple[float, Backoff]:
        """Seconds to wait now, and the backoff for the time after.

        `floor` is the least that the cause of the failure allows; it wins over every cap and is spread upwards only.
        `cap` lowers the cap for this once.
        """
        highest = self.cap_seconds if cap is None else min(cap, self.cap_seconds)
        seconds = min(self._raw(chance, highest), highest)
        if seconds < floor:
            seconds = floor * chance.uniform(1.0, 1.0 + self.jitter_ratio)
        return seconds, self.next()

    def next(self) -> Backoff:
        """Return the backoff after one more attempt."""
        return replace(self, attempt=min(self.attempt + 1, MAX_ATTEMPT))

    def reset(self) -> Backoff:
        """Return the backoff of a connection that has proved itself."""
        return replace(self, attempt=0)

    def _raw(self, chance: random.Random, highest: float) -> float:
        if self.attempt == 0:
            return chance.uniform(0.0, self.first_seconds)
        low, high = 1.0 - self.jitter_ratio, 1.0 + self.jitter_ratio
        grow = wait_exponential(multiplier=self.base_seconds, exp_base=self.factor, max=highest / high)
        return grow(cast("Any", _Attempt(self.attempt))) * chance.uniform(low, high)
