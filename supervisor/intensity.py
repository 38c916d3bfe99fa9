"""Restart intensity: a sliding window over the times of restarts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from backstay.supervisor.specs import Intensity


@dataclass(frozen=True, slots=True)
class Window:
    """The restarts that still count, oldest first, and whether they are too many."""

    restarts: tuple[float, ...] = ()
    exceeded: bool = False


def add_restart(restarts: tuple[float, ...], now: float, limit: Intensity) -> Window:
    """Count one more restart at `now` (seconds, any clock that does not go back).

    A restart counts while it is at most `limit.seconds` old. Exceeded means more than `limit.restarts` count.
    The window never holds more than one above the limit.
    """
    kept = (*(time for time in restarts if now - time <= limit.seconds), now)[-(limit.restarts + 1) :]
    return Window(kept, exceeded=len(kept) > limit.restarts)
