"""When a command has done what it was to do, judged by the status. Plain and light: the command line waits with it.

A goal looks at a connection's row of the status, and at what the daemon answered when it took the command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

UP_STATES = frozenset({"ready", "degraded"})
"""The socket to the gateway stands and serves; whether the gateway has its own to IB is not ours to mend."""

SERVING_STATES = UP_STATES | {"draining"}
"""The socket stands, and streams run on it."""

DOWN_STATES = frozenset({"paused", "stopped"})

ABSENT = "absent"
"""The state of a name that an operator holds down and that nobody uses now: it has a row, and no connection."""

Row = Mapping[str, Any]


def _is_up(row: Row, _accepted: Row) -> bool:
    return (row["wanted"] or bool(row["downtime"])) and row["state"] in UP_STATES


def _is_renewed(row: Row, accepted: Row) -> bool:
    return row["state"] in UP_STATES and row["epoch"] > accepted["epoch"]


def _is_down(row: Row, _accepted: Row) -> bool:
    return not row["wanted"] and row["state"] in DOWN_STATES


def _is_tried(row: Row, _accepted: Row) -> bool:
    return not row["wanted"] or row["state"] in UP_STATES


def _is_told(_row: Row, _accepted: Row) -> bool:
    return True


GOALS: Mapping[str, Callable[[Row, Row], bool]] = {
    "up": _is_up,
    "renewed": _is_renewed,
    "down": _is_down,
    "tried": _is_tried,
    "told": _is_told,
}
