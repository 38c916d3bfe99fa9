"""Planned downtime: windows of every day by the clock of a zone, and where in them a moment lies.

Days on which the clocks change: a window that would begin or end within the hour that is left out keeps its length and
comes that hour later; one that begins or ends within the hour that comes twice covers it both times. A gateway restarts
once in either case, and nobody says at which of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import Enum, unique

CLOSING_SECONDS = 60.0
"""Before planned downtime no order is taken: what was sent in the last moment has been lost by others."""

NEVER = float("inf")

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """A span of every day by the clock of `zone`; may cross midnight. Its start belongs to it, its end does not."""

    start: time
    end: time
    zone: tzinfo

    def covers(self, wall_seconds: float) -> bool:
        """Whether this moment (seconds since 1970) lies in it."""
        return any(begins <= wall_seconds < ends for begins, ends in self.spans(wall_seconds))

    def spans(self, wall_seconds: float) -> Iterator[tuple[float, float]]:
        """When it begins and ends, from the day before this moment to the day after; seconds since 1970."""
        today = datetime.fromtimestamp(wall_seconds, UTC).astimezone(self.zone).date()
        for day in (today - _DAY, today, today + _DAY):
            last = day if self.start < self.end else day + _DAY
            first, end = datetime.combine(day, self.start), datetime.combine(last, self.end)
            begins, ends = first.replace(tzinfo=self.zone).timestamp(), _latest(end.replace(tzinfo=self.zone))
            yield begins, ends if ends > begins else begins + (end - first).total_seconds()

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone}"


def _latest(local: datetime) -> float:
    """The second of two moments at which clocks show this; where they never do, as if they had not been changed."""
    first, second = local.timestamp(), local.replace(fold=1).timestamp()
    return max(first, second)


@unique
class Downtime(Enum):
    """Whether there is planned downtime. Near: no orders are taken any more. The value is for logs."""

    NONE = "none"
    NEAR = "near"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class Planned:
    """What the calendar says: the phase, and until when it lasts; `begins` and `ends` of the downtime next or now.

    All in seconds since 1970. `text` names the downtime for people.
    """

    phase: Downtime = Downtime.NONE
    since: float = -NEVER
    until: float = NEVER
    begins: float = NEVER
    ends: float = NEVER
    text: str = ""

    def holds(self, wall_seconds: float) -> bool:
        """Whether this is still what the calendar says."""
        return self.since <= wall_seconds < self.until

    def in_last_third(self, wall_seconds: float) -> bool:
        """Whether the gateway may be expected back at any moment."""
        return self.phase is Downtime.NOW and wall_seconds >= self.ends - (self.ends - self.begins) / 3


def look_up(windows: tuple[MaintenanceWindow, ...], wall_seconds: float) -> Planned:
    """What these windows say of this moment. Windows that touch are one."""
    unsorted = [(*span, window) for window in windows for span in window.spans(wall_seconds)]
    found: list[tuple[float, float, MaintenanceWindow]] = []
    for begins, ends, window in sorted(unsorted, key=lambda span: span[:2]):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(ends, found[-1][1]), found[-1][2])
        else:
            found.append((begins, ends, window))
    coming = [span for span in found if span[1] > wall_seconds]
    if not coming:
        return Planned()
    begins, ends, window = coming[0]
    closes = begins - CLOSING_SECONDS
    text = f"planned downtime from {_clock(begins, window.zone)} to {_clock(ends, window.zone)} {window.zone}"
    if wall_seconds >= begins:
        return Planned(Downtime.NOW, begins, ends, begins, ends, text)
    if wall_seconds >= closes:
        return Planned(Downtime.NEAR, closes, begins, begins, ends, text)
    return Planned(Downtime.NONE, wall_seconds, closes, begins, ends, text)


def _clock(wall_seconds: float, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(wall_seconds, zone):%H:%M}"
