"""Observations as plain attributes: each block is written by one thread and read by any.

An increment here costs a tenth of one in the metrics client, which matters where it happens once a chunk. Nothing is
locked: a single writer needs no lock, and a reader that comes a moment too early sees the value before.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Protocol, cast

from backstay.protocol.requests import OPERATIONS
from backstay.session.census import NO_SUBSCRIPTIONS, Census
from backstay.session.request_life import ENDINGS

PUBLIC_STATES = (
    "stopped",
    "waiting",
    "connecting",
    "handshaking",
    "awaiting_acceptance",
    "starting",
    "verifying",
    "syncing",
    "ready",
    "degraded",
    "draining",
    "paused",
    "parked",
)
"""The states an operator sees, in the order of a connection's life."""

CONNECT_FAILURE_REASONS = (
    "dns",
    "refused",
    "timeout",
    "reset",
    "handshake_eof",
    "handshake_timeout",
    "version",
    "client_id_in_use",
    "not_ready",
    "redirect",
    "other",
)
DISCONNECT_REASONS = (
    "eof",
    "reset",
    "heartbeat",
    "upstream",
    "stale",
    "protocol",
    "operator",
    "maintenance",
    "shutdown",
    "other",
)
API_ERROR_CATEGORIES = ("connectivity", "farm", "pacing", "permission", "contract", "order", "historical", "other")
REJECTION_REASONS = ("not_ready", "draining", "queue_full", "circuit_open", "read_only")
INTERRUPTION_OUTCOMES = ("lost", "kept", "unknown")
RESTART_REASONS = ("crash", "operator", "escalation")
OPERATOR_ACTIONS = ("restart", "pause", "resume", "drain", "reset", "move", "resubscribe", "reload")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

# The shortest dial to a gateway in the same machine takes milliseconds, the longest waits for a person at a dialog.
CONNECT_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
# From a gateway that was there again at once to one that took an hour over its nightly restart.
RECOVERY_BOUNDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
# A healthy gateway answers within a millisecond; two probes of ten seconds are the end of patience.
ROUND_TRIP_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# One actor hop takes tens of microseconds; a consumer a second behind is broken.
DELIVERY_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
# Under the limit a request waits for nothing; after a restore the queue may last minutes.
QUEUE_BOUNDS = (0.001, 0.01, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
# From a cached detail to historical data that takes TWS a minute.
REQUEST_BOUNDS = (0.025, 0.1, 0.5, 2.5, 10.0, 30.0, 60.0)
# A timer that fires on time to an interpreter that somebody else keeps busy for seconds.
LAG_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
# From a commit that reaches the operating system to a disk that hardly answers.
COMMIT_BOUNDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
# As long as an actor may be busy before it counts as stuck.
MAILBOX_BOUNDS = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 30.0)

MAX_FARMS = 50
"""A gateway knows a dozen farms; their names come from its texts, so a bound keeps a strange one from making series."""

OTHER_FARM = "other"

COUNTERS = frozenset(
    {
        "messages_received",
        "messages_sent",
        "received_bytes",
        "sent_bytes",
        "connect_attempts",
        "heartbeats",
        "heartbeat_failures",
        "stale_dropped",
        "events_dropped",
        "pacing_violations",
        "requests_repeated",
        "requests_unanswered",
        "subscriptions_renewed",
        "subscription_restores",
        "subscription_restore_failures",
        "order_reconciliations",
        "order_mismatches",
        "order_resends_vetoed",
    }
)
"""The plain numbers of a meter that only rise."""

GAUGES = frozenset({"farms", "subscriptions", "subscription_oldest_wall"})
"""Its dictionaries that say how things are now."""


class Histogram:
    """Counts of observations by upper bound (inclusive, as Prometheus' `le`); bounds ascend, +Inf is implied.

    One thread observes; any thread reads. Units are those of the bounds.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add(self, other: Histogram) -> None:
        """Take over what another one with the same bounds has counted."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class _Ledger:
    """Time accounted for up to `since`; replaced as a whole, so that a reader never sees half an update."""

    since: float = 0.0
    expected: bool = False
    up: bool = False
    expected_seconds: float = 0.0
    unavailable_seconds: float = 0.0

    def at(self, now: float) -> tuple[float, float]:
        elapsed = max(0.0, now - self.since) if self.expected else 0.0
        return self.expected_seconds + elapsed, self.unavailable_seconds + (0.0 if self.up else elapsed)


def _zeroes(keys: Iterable[str]) -> dict[str, int]:
    return dict.fromkeys(keys, 0)


@dataclass(slots=True, kw_only=True, eq=False)
class ConnectionMeter:
    """All that is observed of one upstream connection; outlives its sockets.

    Each attribute has one writing thread. The keys of the dictionaries exist from the start: a counter born at 1 hides
    its first event from `increase()`. Durations in seconds; `..._wall` are seconds since 1970, 0 where there is none.
    """

    name: str
    gateway: str = ""
    host: str = ""
    port: int = 0
    client_id: int = 0
    mode: str = ""

    messages_received: int = 0
    messages_sent: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    connect_attempts: int = 0
    heartbeats: int = 0
    heartbeat_failures: int = 0
    stale_dropped: int = 0
    events_dropped: int = 0
    pacing_violations: int = 0
    requests_repeated: int = 0
    requests_unanswered: int = 0
    subscriptions_renewed: int = 0
    subscription_restores: int = 0
    subscription_restore_failures: int = 0
    order_reconciliations: int = 0
    order_mismatches: int = 0
    order_resends_vetoed: int = 0

    connect_failures: dict[str, int] = field(default_factory=lambda: _zeroes(CONNECT_FAILURE_REASONS))
    disconnects: dict[str, int] = field(default_factory=lambda: _zeroes(DISCONNECT_REASONS))
    api_errors: dict[str, int] = field(default_factory=lambda: _zeroes(API_ERROR_CATEGORIES))
    requests_rejected: dict[str, int] = field(default_factory=lambda: _zeroes(REJECTION_REASONS))
    upstream_interruptions: dict[str, int] = field(default_factory=lambda: _zeroes(INTERRUPTION_OUTCOMES))
    requests: dict[str, int] = field(default_factory=lambda: _zeroes(OPERATIONS))
    request_failures: dict[str, int] = field(default_factory=lambda: _zeroes(OPERATIONS))
    requests_ended: dict[str, int] = field(default_factory=lambda: _zeroes(ENDINGS))
    subscriptions: dict[tuple[str, ...], int] = field(default_factory=lambda: dict(NO_SUBSCRIPTIONS))
    subscription_oldest_wall: dict[str, float] = field(default_factory=dict[str, float])
    farms: dict[str, bool] = field(default_factory=dict[str, bool])

    connect_duration: Histogram = field(default_factory=lambda: Histogram(CONNECT_BOUNDS))
    recovery_duration: Histogram = field(default_factory=lambda: Histogram(RECOVERY_BOUNDS))
    heartbeat_rtt: Histogram = field(default_factory=lambda: Histogram(ROUND_TRIP_BOUNDS))
    delivery_delay: Histogram = field(default_factory=lambda: Histogram(DELIVERY_BOUNDS))
    send_queue_wait: Histogram = field(default_factory=lambda: Histogram(QUEUE_BOUNDS))
    request_duration: dict[str, Histogram] = field(default_factory=dict[str, Histogram])

    state: str = PUBLIC_STATES[0]
    reason: str = ""
    state_since_wall: float = 0.0
    unready_since_wall: float = 0.0
    last_received_wall: float = 0.0
    next_attempt_wall: float = 0.0
    server_version: int = 0
    upstream_connected: bool = False
    circuit_open: bool = False
    clock_skew_seconds: float = 0.0
    send_queue_length: int = 0
    requests_in_flight: int = 0
    orders_in_doubt: int = 0
    _ledger: _Ledger = field(default_factory=_Ledger)

    @property
    def expected(self) -> bool:
        """Whether schedule and operator want this connection up."""
        return self._ledger.expected

    @property
    def up(self) -> bool:
        """Whether it can be used end to end."""
        return self._ledger.up

    def show(self, state: str, wall: float) -> None:
        """It is in this public state, from `wall` (seconds since 1970) on if it was in another. One writing thread."""
        if state == self.state:
            return
        self.state, self.state_since_wall = state, wall
        if state == "ready":
            self.unready_since_wall = 0.0
        elif not self.unready_since_wall:
            self.unready_since_wall = wall

    def count(self, name: str, label: str = "") -> None:
        """One more of this attribute, under a label where it has one. Its writing thread."""
        if name == "requests":
            self.begin_durations(label)
        if label:
            getattr(self, name)[label] += 1
        else:
            setattr(self, name, getattr(self, name) + 1)

    def begin_durations(self, operation: str) -> None:
        """A first request of this operation: its histogram begins. Those of unused ones would be most of all series."""
        if operation not in self.request_duration:  # a reader may be iterating over the old one
            self.request_duration = {**self.request_duration, operation: Histogram(REQUEST_BOUNDS)}

    def lose(self, count: int) -> None:
        """So many events were not delivered. Whoever lost them, under its lock."""
        self.events_dropped += count

    def observe(self, name: str, seconds: float, label: str = "") -> None:
        """Count a duration in this histogram, of a label where it has one. Its writing thread."""
        histogram = getattr(self, name)
        (histogram[label] if label else histogram).observe(seconds)

    def take_over(self, census: Census) -> None:
        """How requests and streams stand. The thread that reads the meters."""
        self.requests_in_flight = census.in_flight
        self.send_queue_length = census.queued
        self.orders_in_doubt = census.in_doubt
        self.subscriptions = census.subscriptions
        self.subscription_oldest_wall = census.oldest_wall

    def set_wanted(self, now: float, *, expected: bool, up: bool) -> None:
        """From `now` (monotonic seconds) on this is wanted, and this is so. One writing thread."""
        expected_seconds, unavailable_seconds = self._ledger.at(now)
        self._ledger = _Ledger(max(now, self._ledger.since), expected, up, expected_seconds, unavailable_seconds)

    def availability(self, now: float) -> tuple[float, float]:
        """Seconds it was wanted, and seconds it was wanted but not usable, both up to `now` (monotonic seconds)."""
        return self._ledger.at(now)

    def continue_from(self, predecessor: ConnectionMeter) -> None:
        """Take over the counts of an earlier connection of the same name: a counter of a series never falls."""
        for name in (attribute.name for attribute in fields(self)):
            mine, theirs = getattr(self, name), getattr(predecessor, name)
            if isinstance(mine, Histogram):
                mine.add(theirs)
            elif name == "request_duration":
                for operation, histogram in predecessor.request_duration.items():
                    self.begin_durations(operation)
                    self.request_duration[operation].add(histogram)
            elif isinstance(mine, dict) and name not in GAUGES:
                counts = cast("dict[str, int]", mine)
                setattr(self, name, {key: count + theirs[key] for key, count in counts.items()})
            elif name in COUNTERS:
                setattr(self, name, mine + theirs)
        expected_seconds, unavailable_seconds = predecessor.availability(self._ledger.since)
        self._ledger = replace(
            self._ledger,
            expected_seconds=self._ledger.expected_seconds + expected_seconds,
            unavailable_seconds=self._ledger.unavailable_seconds + unavailable_seconds,
        )

    def set_farm(self, name: str, *, up: bool) -> None:
        """A data farm reported itself. Beyond `MAX_FARMS` names they share one series that tells the latest report."""
        if name not in self.farms and len(self.farms) >= MAX_FARMS:
            name = OTHER_FARM
        if name in self.farms:
            self.farms[name] = up
        else:
            self.farms = {**self.farms, name: up}  # a reader may be iterating over the old one


@dataclass(slots=True)
class ActorSample:
    """What the supervision tree shows of one actor. `name` is its configured path, never a per-incarnation id.

    `supervisor` is the name of the actor above it. `restarts` counts those after a crash. For an actor that is itself a
    supervisor, `escalations` says how often its restart budget ran out.
    """

    name: str
    mailbox_length: int
    restarts: int
    last_progress_wall: float
    supervisor: str = "root"
    operator_restarts: int = 0
    escalation_restarts: int = 0
    escalations: int = 0
    mailbox_wait: Histogram | None = None


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """What there is to say of the process as a whole. `hash` is the configuration's, the same on every replica."""

    version: str = "unknown"
    revision: str = ""
    python_version: str = field(default_factory=platform.python_version)
    hash: str = ""
    config_accepted: bool = True
    config_accepted_wall: float = 0.0
    log_messages: Mapping[str, int] = field(default_factory=lambda: _zeroes(LOG_LEVELS))
    operator_actions: Mapping[str, int] = field(default_factory=lambda: _zeroes(OPERATOR_ACTIONS))
    operator_action_failures: Mapping[str, int] = field(default_factory=lambda: _zeroes(OPERATOR_ACTIONS))
    timer_lag: Histogram = field(default_factory=lambda: Histogram(LAG_BOUNDS))
    journal_usable: bool | None = None
    journal_write_failures: int = 0
    journal_commit_seconds: Histogram = field(default_factory=lambda: Histogram(COMMIT_BOUNDS))
    threads_abandoned: int = 0


class MetricsSource(Protocol):
    """Where the collector looks, given by the hall. Each call returns at once, from any thread, and asks no actor."""

    def connections(self) -> Sequence[ConnectionMeter]:
        """The meters of all connections there are."""
        ...

    def actors(self) -> Sequence[ActorSample]:
        """The actors of the supervision tree, supervisors included."""
        ...

    def now(self) -> float:
        """Monotonic seconds, of the clock that `ConnectionMeter.set_wanted` is given."""
        ...
