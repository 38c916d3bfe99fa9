"""The status as a table. Works on its JSON form, so that whoever prints it needs none of the daemon's modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Connection = Mapping[str, Any]

GREEN, YELLOW, RED, DIM, PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"

NONE = "-"
MOMENT_SECONDS = 1.0
"""What took less than that was one thing."""

GAP = "  "

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


def duration(seconds: float) -> str:
    """A time span for people: 7s, 3m05s, 2h10m, 4d06h."""
    whole = max(0, int(seconds))
    for (size, unit), (below, small) in zip(_UNITS, (*_UNITS[1:], (1, "s")), strict=True):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // below:02d}{small}"
    return f"{whole}s"


def round_trip(seconds: float | None) -> str:
    """A round trip for people: 0.4ms, 12ms, 1.3s."""
    if seconds is None:
        return NONE
    if seconds >= 1.0:
        return f"{seconds:.1f}s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f}ms" if milliseconds < 10 else f"{milliseconds:.0f}ms"


def rate(a_second: float | None) -> str:
    """Messages a second for people: 0.4, 12, 3500."""
    if a_second is None:
        return NONE
    return f"{a_second:.1f}" if 0.0 < a_second < 10.0 else f"{a_second:.0f}"


def printable(text: object) -> str:
    """Text from elsewhere on one line, without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in str(text))


def _next_or_reason(one: Connection, now: float) -> str:
    parts = [printable(text) for text in (one["downtime"], one["trouble"] or one["reason"]) if text]
    if down := not_ready(one, now):
        parts.insert(0, down)
    if one["next_attempt_wall"] > now:
        parts.insert(0, f"in {duration(one['next_attempt_wall'] - now)}")
    return ": ".join(parts) or NONE


def not_ready(one: Connection, now: float) -> str:
    """For how long it has not been ready, where that is longer than it is in its state; else empty."""
    since = one.get("unready_since_wall", 0.0)
    if not since or one["since_wall"] - since < MOMENT_SECONDS or not one["wanted"]:
        return ""
    return f"not ready for {duration(now - since)}"


def wanted(one: Connection) -> str:
    """What operators want of it, and where that is up, whether anybody needs it now."""
    return str(one["admin"]) if one["admin"] != "up" else "up" if one["wanted"] else "no"


_COLUMNS: tuple[tuple[str, Callable[[Connection, float], str]], ...] = (
    ("NAME", lambda one, _: printable(one["name"])),
    ("GATEWAY", lambda one, _: printable(f"{one['gateway']} {one['endpoint']}".strip()) or NONE),
    ("WANTED", lambda one, _: wanted(one)),
    ("STATE", lambda one, _: printable(one["state"])),
    ("SINCE", lambda one, now: duration(now - one["since_wall"]) if one["since_wall"] else NONE),
    ("RTT", lambda one, _: round_trip(one["round_trip_seconds"])),
    ("MSG/S", lambda one, _: rate(one["messages_per_second"])),
    ("STREAMS", lambda one, _: str(one["streams"])),
    ("RESTARTS", lambda one, _: str(one["restarts"])),
    ("NEXT/REASON", _next_or_reason),
)
_STATE = [title for title, _ in _COLUMNS].index("STATE")


def colour_of(one: Connection) -> str:
    """Green is as wanted, red is not; dim is nobody's wish."""
    if one["state"] == "ready":
        return YELLOW if one["trouble"] else GREEN
    if not one["wanted"]:
        return DIM
    return RED if one["state"] in {"parked", "waiting", "stopped", "absent"} else YELLOW


def table(status: Mapping[str, Any], connections: Sequence[Connection], *, colour: bool, now: float) -> str:
    """Relays in a line each, then the connections by name: a new life moves no row. `now`: seconds since 1970."""
    lines = [f"backstay {status['version']}, pid {status['pid']}, up {duration(now - status['started_wall'])}"]
    for door in status["listeners"]:
        clients = f"{door['clients']} client{'' if door['clients'] == 1 else 's'}"
        lines.append(f"relay {printable(door['name'])} on {door['listen']} for {door['gateway']}: {clients}")
    if journal := status.get("journal"):
        lines.append(f"orders are refused: {printable(journal)}")
    lines.append("")
    if not connections:
        return "\n".join([*lines, "no connections"])
    shown = sorted(connections, key=lambda one: _in_order(str(one["name"])))
    rows = [[title for title, _ in _COLUMNS], *([read(one, now) for _, read in _COLUMNS] for one in shown)]
    colours = [PLAIN, *map(colour_of, shown)] if colour else None
    return "\n".join([*lines, *aligned(rows, colours)])


def _in_order(name: str) -> tuple[str, int, str]:
    """Clients of a relay by their ids, as numbers."""
    relay, _, client = name.rpartition("/")
    return (relay, int(client), "") if client.isdecimal() and relay else (name, -1, "")


def aligned(rows: Sequence[Sequence[str]], colours: Sequence[str] | None = None) -> Iterable[str]:
    """Rows of equally many cells as lines, each column as wide as it has to be; a colour a row, for the state."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[-1] = row[-1]
        if colours is not None:
            cells[_STATE] = f"{colours[number]}{cells[_STATE]}{PLAIN}"
        yield GAP.join(cells)
