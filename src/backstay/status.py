"""What is going on, as values: read from any thread, also while an actor hangs; never changed once made."""

from __future__ import annotations

from dataclasses import asdict, dataclass

SCHEMA = 1
"""Raised when a key of the JSON form changes its meaning or goes away; new keys do not raise it."""


@dataclass(frozen=True, slots=True)
class ListenerStatus:
    """A relay's door: its name, where it listens, the gateway behind it, and how many clients are in."""

    name: str
    listen: str
    gateway: str
    clients: int


@dataclass(frozen=True, slots=True)
class Move:
    """An operator has moved a connection: its `endpoint` or its `client-id`, and what that was and is."""

    what: str
    before: str
    after: str
    at_wall: float


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One upstream connection.

    `wanted`: schedule and operator want it up. `downtime`: what is planned for now or the next minute. `admin`: what
    operators want of it: up, paused or drained. `state`: one of the public states; `reason` says why, in a sentence.
    `..._wall`: seconds since 1970, 0 where there is none. `since_wall` is that of the state, `unready_since_wall`
    that of the whole time, with all its attempts, in which it has not been ready. `epoch` counts the dials.
    `streams`, `reads`: what the client is owed; `held`: what waits for the gateway. `round_trip_seconds`: the last
    probe, None before the first answer. `moved_from`: the configured endpoint that `endpoint` stands for since TWS
    moved its port (1300), else empty. `messages_per_second`: received in the last few seconds, None where nobody
    counts or has just begun to. `restarts`: those of its actors that nobody asked for. `trouble`: what is the
    matter with one that is ready all the same, silence or a data farm that is down. `operator_moves`: what
    operators have moved of it, till the next reload. `unfinished`: it is down since a drain that ran out before
    everything had finished.
    """

    name: str
    gateway: str
    endpoint: str
    client_id: int
    wanted: bool
    state: str
    reason: str = ""
    since_wall: float = 0.0
    unready_since_wall: float = 0.0
    epoch: int = 0
    server_version: int = 0
    next_attempt_wall: float = 0.0
    streams: int = 0
    reads: int = 0
    held: int = 0
    restarts: int = 0
    round_trip_seconds: float | None = None
    messages_received: int = 0
    messages_sent: int = 0
    messages_per_second: float | None = None
    admin: str = "up"
    downtime: str = ""
    moved_from: str = ""
    trouble: str = ""
    operator_moves: tuple[Move, ...] = ()
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """The whole daemon at one moment.

    `held`: names that operators hold down and that nobody uses now, such as those of clients that have left. Their
    `state` is `absent`, `since_wall` when they were held, and most of the rest is empty. `absent`: others that nobody
    uses and somebody should know of: clients that have left with orders in doubt, and, as `RELAY/waiting` and `wanted`,
    those that got no gateway, for minutes after they have left. `journal`: why no order can be written down, or empty.
    """

    version: str
    pid: int
    started_wall: float
    listeners: tuple[ListenerStatus, ...] = ()
    connections: tuple[ConnectionStatus, ...] = ()
    held: tuple[ConnectionStatus, ...] = ()
    absent: tuple[ConnectionStatus, ...] = ()
    journal: str = ""


def standing(status: Status) -> str:
    """How it stands, in a line."""
    wanted = [one for one in status.connections if one.wanted]
    missing = [f"{one.name} {one.state}" for one in wanted if one.state != "ready"]
    text = f"{len(wanted) - len(missing)} of {len(wanted)} wanted connections ready"
    missing += [f"{one.name} {one.state}" for one in status.absent]
    missing += [f"orders are refused, {status.journal}"] if status.journal else []
    return ": ".join([text, *([", ".join(missing)] if missing else [])])


def status_as_dict(status: Status) -> dict[str, object]:
    """The JSON form: keys are the field names, tuples become lists, `schema` tells its version."""
    return {
        "schema": SCHEMA,
        "version": status.version,
        "pid": status.pid,
        "started_wall": status.started_wall,
        "listeners": [asdict(listener) for listener in status.listeners],
        "connections": [_row(one) for one in status.connections],
        "held": [_row(one) for one in status.held],
        "absent": [_row(one) for one in status.absent],
        "journal": status.journal,
    }


def _row(one: ConnectionStatus) -> dict[str, object]:
    return {**asdict(one), "operator_moves": [asdict(move) for move in one.operator_moves]}
