"""Values of the configuration that are more than a number or a name, and how they are read from text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from backstay.session.calendar import MaintenanceWindow

HIGHEST_CLIENT_ID = 2**31 - 1
"""Client ids are signed 32-bit integers in every official client."""


@dataclass(frozen=True, slots=True)
class ClientIds:
    """A set of client ids as ascending ranges without overlap, so that "all" costs no memory."""

    ranges: tuple[range, ...]

    def __contains__(self, client_id: object) -> bool:
        return any(client_id in part for part in self.ranges)

    def __iter__(self) -> Iterator[int]:
        for part in self.ranges:
            yield from part

    def __len__(self) -> int:
        return sum(len(part) for part in self.ranges)

    def __str__(self) -> str:
        return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in self.ranges)

    def first_common(self, other: ClientIds) -> int | None:
        """The lowest id in both, None where there is none."""
        common = (
            max(mine.start, theirs.start)
            for mine in self.ranges
            for theirs in other.ranges
            if max(mine.start, theirs.start) < min(mine.stop, theirs.stop)
        )
        return min(common, default=None)


def parse_client_ids(text: str) -> ClientIds:
    """Read "0-31" or "1,5,7-9". Raises ValueError with the reason."""
    merged: list[range] = []
    for part in sorted(map(_id_range, text.split(",")), key=lambda part: part.start):
        if merged and part.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, part.stop))
        else:
            merged.append(part)
    return ClientIds(tuple(merged))


def _id_range(item: str) -> range:
    match = re.fullmatch(r"\s*([0-9]{1,10})\s*(?:-\s*([0-9]{1,10})\s*)?", item, re.ASCII)
    if match is None:
        raise ValueError("must be client ids and ranges of them, as in 1,5,7-9")
    low, high = int(match[1]), int(match[2] or match[1])
    if low > high:
        raise ValueError(f"the range {item.strip()} runs backwards")
    if high > HIGHEST_CLIENT_ID:
        raise ValueError(f"a client id is at most {HIGHEST_CLIENT_ID}")
    return range(low, high + 1)


def parse_window(text: str) -> MaintenanceWindow:
    """Read "23:40-00:10 America/New_York". Raises ValueError with the reason."""
    match = re.fullmatch(r"\s*(\d\d:\d\d)\s*-\s*(\d\d:\d\d)\s+(\S+)\s*", text, re.ASCII)
    if match is None:
        raise ValueError("must be HH:MM-HH:MM ZONE, as in 23:40-00:10 America/New_York")
    try:
        start, end = time.fromisoformat(match[1]), time.fromisoformat(match[2])
    except ValueError:
        raise ValueError("hours run from 00 to 23, minutes from 00 to 59") from None
    if start == end:
        raise ValueError("starts and ends at the same minute")
    try:
        return MaintenanceWindow(start, end, ZoneInfo(match[3]))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the latter two: "..", "/", a folder's name
        raise ValueError(f"no time zone {match[3]!r} is known on this machine") from None
