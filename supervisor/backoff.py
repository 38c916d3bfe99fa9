"""How long to wait before trying again: a value that knows how often was tried, over tenacity's wait strategies.

The strategies are used as pure calculators: they are given an attempt number and return seconds; nobody sleeps.
Chance is passed in, so that a schedule can be repeated.
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
    """The first retry after a proven connection comes almost at once, at random within `first_seconds`; then delays
    grow by `factor` from `base_seconds` to `cap_seconds`, each spread by `jitter_ratio` to either side.
    """

    first_seconds: float = 0.25
    base_seconds: float = 1.0
    factor: float = 1.6
    jitter_ratio: float = 0.2
    cap_seconds: float = 30.0
    attempt: int = 0

    def delay(self, chance: random.Random, *, floor: float = 0.0) -> tuple[float, Backoff]:
        """Seconds to wait now, at least `floor`, and the backoff for the time after."""
        following = replace(self, attempt=min(self.attempt + 1, MAX_ATTEMPT))
        return max(floor, self._raw(chance)), following

    def reset(self) -> Backoff:
        """The backoff of a connection that has proved itself."""
        return replace(self, attempt=0)

    def _raw(self, chance: random.Random) -> float:
        if self.attempt == 0:
            return chance.uniform(0.0, self.first_seconds)
        grow = wait_exponential(multiplier=self.base_seconds, exp_base=self.factor, max=self.cap_seconds)
        seconds = grow(cast("Any", _Attempt(self.attempt)))
        return seconds * chance.uniform(1.0 - self.jitter_ratio, 1.0 + self.jitter_ratio)
