"""Every metric in one table: its name, kind, unit, labels, help, and the attribute it is read from.

Collector, renderer, tests and the reference in the documentation all read this table. Names and labels are a contract
with people's alerts: add rows, never rename one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any, cast

from backstay.metrics.blocks import (
    API_ERROR_CATEGORIES,
    CONNECT_FAILURE_REASONS,
    DISCONNECT_REASONS,
    INTERRUPTION_OUTCOMES,
    LOG_LEVELS,
    OPERATOR_ACTIONS,
    PUBLIC_STATES,
    REJECTION_REASONS,
    RESTART_REASONS,
    ConnectionMeter,
    Histogram,
)
from backstay.protocol.requests import OPERATIONS, STREAM_KINDS
from backstay.session.census import SUBSCRIPTION_STATES
from backstay.session.request_life import ENDINGS


@unique
class Kind(Enum):
    """The types of the exposition format."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@unique
class Unit(Enum):
    """What a value counts; a unit of measurement is the last word of the name, before `_total`."""

    SECONDS = "seconds"
    UNIX_SECONDS = "seconds since 1970"
    BYTES = "bytes"
    NUMBER = "number"
    FLAG = "0 or 1"

    @property
    def word(self) -> str:
        """What OpenMetrics calls it: the last word of the name; nothing for what is only counted."""
        return _WORDS.get(self, "")


_WORDS = {Unit.SECONDS: "seconds", Unit.UNIX_SECONDS: "seconds", Unit.BYTES: "bytes"}


@unique
class Scope(Enum):
    """What a metric is about."""

    PROCESS = "process"
    CONNECTION = "connection"
    ACTOR = "actor"
    SUPERVISOR = "supervisor"
    COLLECTOR = "collector"  # the reading itself, known only when all else has been read

    @property
    def labels(self) -> tuple[str, ...]:
        """The label that names one of these; there is one process and one collector."""
        return () if self in (Scope.PROCESS, Scope.COLLECTOR) else (self.value,)


@dataclass(frozen=True, slots=True)
class SupervisorSample:
    """The restarts below one supervisor, by reason, and how often it gave up."""

    name: str
    restarts: Mapping[str, int]
    escalations: int


@dataclass(frozen=True, slots=True)
class CollectorSample:
    """How the reading itself went."""

    duration_seconds: float
    errors: int


Value = int | float | Histogram
Reading = Value | str | Mapping[str, Value] | Mapping[tuple[str, ...], Value] | tuple[str, ...] | None
"""What an attribute holds: a value, a word of a closed set, values by key, or facts; None where there is nothing."""

Point = tuple[tuple[str, ...], Value]
Source = str | Callable[[Any, float], Value]


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. `source`: an attribute of the scope's sample, or a function of it and now; None: 1, labelled with facts.

    `values`: for each of the further labels the closed set of its values, empty where the set is open but bounded. An
    attribute that holds a word is shown one-hot over its set; one that holds a mapping has its keys as label values.
    """

    name: str
    kind: Kind
    unit: Unit
    scope: Scope
    help: str
    source: Source | None = None
    labels: tuple[str, ...] = ()
    values: tuple[tuple[str, ...], ...] = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        """All labels, that of the scope first."""
        return (*self.scope.labels, *self.labels)

    def identify(self, sample: Any) -> tuple[str, ...]:
        """The values of the labels that name the sample."""
        return (sample.name,) if self.scope.labels else ()

    def read(self, sample: Any, now: float) -> Reading:
        """What the sample says, as its attribute holds it."""
        if self.source is None:
            return tuple(str(getattr(sample, label)) for label in self.labels)
        if isinstance(self.source, str):
            return cast("Reading", getattr(sample, self.source))
        return self.source(sample, now)

    def points(self, identity: tuple[str, ...], reading: Reading) -> Iterator[Point]:
        """The series of a reading, each with the values of all labels."""
        if isinstance(reading, tuple):
            yield (*identity, *reading), 1
        elif isinstance(reading, Mapping):
            for key, value in reading.items():
                yield (*identity, *((key,) if isinstance(key, str) else key)), value
        elif isinstance(reading, str):
            for word in self.values[0]:
                yield (*identity, word), int(word == reading)
        elif reading is not None:
            yield identity, reading


def _expected_seconds(meter: ConnectionMeter, now: float) -> float:
    return meter.availability(now)[0]


def _unavailable_seconds(meter: ConnectionMeter, now: float) -> float:
    return meter.availability(now)[1]


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_SECONDS, _UNIX, _BYTES, _NUMBER, _FLAG = Unit.SECONDS, Unit.UNIX_SECONDS, Unit.BYTES, Unit.NUMBER, Unit.FLAG
_PROCESS, _CONNECTION, _ACTOR, _SUPERVISOR, _SELF = (
    Scope.PROCESS,
    Scope.CONNECTION,
    Scope.ACTOR,
    Scope.SUPERVISOR,
    Scope.COLLECTOR,
)

# fmt: off
CATALOGUE: tuple[Metric, ...] = (
    # -- process and configuration
    Metric("backstay_build_info", _G, _FLAG, _PROCESS, "Always 1; the labels say which build this is.",
           labels=("version", "revision", "python_version")),
    Metric("backstay_config_last_reload_successful", _G, _FLAG, _PROCESS,
           "1 if the latest configuration that was loaded was accepted.", "config_accepted"),
    Metric("backstay_config_last_reload_success_timestamp_seconds", _G, _UNIX, _PROCESS,
           "When a configuration was last accepted.", "config_accepted_wall"),
    Metric("backstay_config_info", _G, _FLAG, _PROCESS, "Always 1; the hash is the same on every replica.",
           labels=("hash",)),
    Metric("backstay_log_messages_total", _C, _NUMBER, _PROCESS, "Log records.", "log_messages",
           labels=("level",), values=(LOG_LEVELS,)),
    # -- lifecycle
    Metric("backstay_connection_info", _G, _FLAG, _CONNECTION, "Always 1; facts to join on.",
           labels=("gateway", "host", "port", "client_id", "mode")),
    Metric("backstay_connection_expected", _G, _FLAG, _CONNECTION,
           "1 while schedule and operator want the connection up.", "expected"),
    Metric("backstay_connection_up", _G, _FLAG, _CONNECTION, "1 only while the connection is usable end to end.", "up"),
    Metric("backstay_connection_state", _G, _FLAG, _CONNECTION,
           "1 for the state the connection is in, 0 for the others.",
           "state", labels=("state",), values=(PUBLIC_STATES,)),
    Metric("backstay_connection_state_transition_timestamp_seconds", _G, _UNIX, _CONNECTION,
           "When the state last changed.", "state_since_wall"),
    Metric("backstay_connection_expected_seconds_total", _C, _SECONDS, _CONNECTION,
           "Time the connection was wanted up.", _expected_seconds),
    Metric("backstay_connection_unavailable_seconds_total", _C, _SECONDS, _CONNECTION,
           "Time the connection was wanted up but not usable.", _unavailable_seconds),
    Metric("backstay_connect_attempts_total", _C, _NUMBER, _CONNECTION, "Dials started.", "connect_attempts"),
    Metric("backstay_connect_failures_total", _C, _NUMBER, _CONNECTION,
           "Dials that did not reach ready.", "connect_failures",
           labels=("reason",), values=(CONNECT_FAILURE_REASONS,)),
    Metric("backstay_connect_duration_seconds", _H, _SECONDS, _CONNECTION, "From dial to ready.", "connect_duration"),
    Metric("backstay_disconnects_total", _C, _NUMBER, _CONNECTION, "Sessions lost.", "disconnects",
           labels=("reason",), values=(DISCONNECT_REASONS,)),
    Metric("backstay_recovery_duration_seconds", _H, _SECONDS, _CONNECTION,
           "From a loss to ready with subscriptions back.", "recovery_duration"),
    Metric("backstay_connection_next_attempt_timestamp_seconds", _G, _UNIX, _CONNECTION,
           "When the next dial is due; 0 if none is planned.", "next_attempt_wall"),
    Metric("backstay_circuit_open", _G, _FLAG, _CONNECTION,
           "1 while dialling is suspended by the restart budget.", "circuit_open"),
    Metric("backstay_connection_server_version", _G, _NUMBER, _CONNECTION,
           "The negotiated protocol version; 0 before the first handshake.", "server_version"),
    # -- upstream and liveness
    Metric("backstay_upstream_connected", _G, _FLAG, _CONNECTION,
           "1 while the gateway reports its link to IB up.", "upstream_connected"),
    Metric("backstay_upstream_interruptions_total", _C, _NUMBER, _CONNECTION,
           "Losses of the gateway's link to IB, by what became of the data.", "upstream_interruptions",
           labels=("data",), values=(INTERRUPTION_OUTCOMES,)),
    Metric("backstay_farm_up", _G, _FLAG, _CONNECTION, "1 while the data farm is OK.", "farms", labels=("farm",)),
    Metric("backstay_heartbeats_total", _C, _NUMBER, _CONNECTION, "Probes sent.", "heartbeats"),
    Metric("backstay_heartbeat_failures_total", _C, _NUMBER, _CONNECTION,
           "Probes that were not answered in time.", "heartbeat_failures"),
    Metric("backstay_heartbeat_rtt_seconds", _H, _SECONDS, _CONNECTION, "Round trip of a probe.", "heartbeat_rtt"),
    Metric("backstay_last_message_received_timestamp_seconds", _G, _UNIX, _CONNECTION,
           "When the last message arrived; 0 before the first.", "last_received_wall"),
    Metric("backstay_clock_skew_seconds", _G, _SECONDS, _CONNECTION,
           "The gateway's clock minus the local one.", "clock_skew_seconds"),
    Metric("backstay_api_errors_total", _C, _NUMBER, _CONNECTION, "Error messages received.", "api_errors",
           labels=("category",), values=(API_ERROR_CATEGORIES,)),
    # -- traffic and pacing
    Metric("backstay_messages_received_total", _C, _NUMBER, _CONNECTION, "Messages received.", "messages_received"),
    Metric("backstay_messages_sent_total", _C, _NUMBER, _CONNECTION, "Messages sent.", "messages_sent"),
    Metric("backstay_received_bytes_total", _C, _BYTES, _CONNECTION, "Bytes received.", "received_bytes"),
    Metric("backstay_sent_bytes_total", _C, _BYTES, _CONNECTION, "Bytes sent.", "sent_bytes"),
    Metric("backstay_send_queue_length", _G, _NUMBER, _CONNECTION,
           "Requests that wait for pacing.", "send_queue_length"),
    Metric("backstay_send_queue_wait_seconds", _H, _SECONDS, _CONNECTION,
           "How long a request waited for pacing.", "send_queue_wait"),
    Metric("backstay_pacing_violations_total", _C, _NUMBER, _CONNECTION,
           "Pacing errors from the gateway.", "pacing_violations"),
    Metric("backstay_requests_repeated_total", _C, _NUMBER, _CONNECTION,
           "Requests sent again because the gateway showed no sign of them.", "requests_repeated"),
    Metric("backstay_requests_unanswered_total", _C, _NUMBER, _CONNECTION,
           "Reads given up because the gateway never answered.", "requests_unanswered"),
    Metric("backstay_subscriptions_renewed_total", _C, _NUMBER, _CONNECTION,
           "Streams asked for again on a socket that stood.", "subscriptions_renewed"),
    Metric("backstay_requests_rejected_total", _C, _NUMBER, _CONNECTION, "Requests refused here.", "requests_rejected",
           labels=("reason",), values=(REJECTION_REASONS,)),
    Metric("backstay_event_delivery_delay_seconds", _H, _SECONDS, _CONNECTION,
           "From the read of the socket to the subscriber.", "delivery_delay"),
    Metric("backstay_events_dropped_total", _C, _NUMBER, _CONNECTION,
           "Events that were not delivered.", "events_dropped"),
    Metric("backstay_stale_epoch_dropped_total", _C, _NUMBER, _CONNECTION,
           "Messages, timers and callbacks of an earlier socket that were ignored.", "stale_dropped"),
    # -- requests, subscriptions, orders
    Metric("backstay_requests_total", _C, _NUMBER, _CONNECTION,
           "Requests of clients sent to the gateway; one that is sent again counts once.", "requests",
           labels=("operation",), values=(OPERATIONS,)),
    Metric("backstay_request_failures_total", _C, _NUMBER, _CONNECTION,
           "Requests that were sent and ended in an error or without an answer.", "request_failures",
           labels=("operation",), values=(OPERATIONS,)),
    Metric("backstay_requests_ended_total", _C, _NUMBER, _CONNECTION,
           "Streams and reads that are over, by how they ended: each in one way.", "requests_ended",
           labels=("outcome",), values=(ENDINGS,)),
    Metric("backstay_request_duration_seconds", _H, _SECONDS, _CONNECTION,
           "From a client's request to its last answer; for streams and orders to the first. Of operations in use.",
           "request_duration",
           labels=("operation",), values=(OPERATIONS,)),
    Metric("backstay_requests_in_flight", _G, _NUMBER, _CONNECTION,
           "Requests that were sent and still wait for that answer.", "requests_in_flight"),
    Metric("backstay_subscriptions", _G, _NUMBER, _CONNECTION,
           "Streams that clients want, by how they stand.", "subscriptions",
           labels=("kind", "state"), values=(STREAM_KINDS, SUBSCRIPTION_STATES)),
    Metric("backstay_subscription_oldest_update_timestamp_seconds", _G, _UNIX, _CONNECTION,
           "Of the streams that flow, when the one was looked at that has shown nothing for longest.",
           "subscription_oldest_wall", labels=("kind",)),
    Metric("backstay_subscription_restores_total", _C, _NUMBER, _CONNECTION,
           "Streams asked for again after a loss.", "subscription_restores"),
    Metric("backstay_subscription_restore_failures_total", _C, _NUMBER, _CONNECTION,
           "Streams that did not come back after that.", "subscription_restore_failures"),
    Metric("backstay_orders_in_doubt", _G, _NUMBER, _CONNECTION,
           "Orders of which is not known whether they reached the gateway.", "orders_in_doubt"),
    Metric("backstay_order_reconciliations_total", _C, _NUMBER, _CONNECTION,
           "Times that the orders were compared with the gateway's lists.", "order_reconciliations"),
    Metric("backstay_order_reconciliation_mismatches_total", _C, _NUMBER, _CONNECTION,
           "Orders found to have ended unseen, or whose id another order has.", "order_mismatches"),
    Metric("backstay_order_resends_vetoed_total", _C, _NUMBER, _CONNECTION,
           "Orders not sent again because their owner said no, failed, or did not answer.", "order_resends_vetoed"),
    # -- operators, the journal, the process
    Metric("backstay_operator_actions_total", _C, _NUMBER, _PROCESS, "Commands of operators that change something.",
           "operator_actions", labels=("action",), values=(OPERATOR_ACTIONS,)),
    Metric("backstay_operator_action_failures_total", _C, _NUMBER, _PROCESS, "Those that were refused or failed.",
           "operator_action_failures", labels=("action",), values=(OPERATOR_ACTIONS,)),
    Metric("backstay_event_loop_lag_seconds", _H, _SECONDS, _PROCESS,
           "How late a timer of this process fires.", "timer_lag"),
    Metric("backstay_journal_usable", _G, _FLAG, _PROCESS,
           "1 while orders can be written down, 0 while they are refused because they cannot.", "journal_usable"),
    Metric("backstay_journal_write_failures_total", _C, _NUMBER, _PROCESS, "Writes of the order journal that failed.",
           "journal_write_failures"),
    Metric("backstay_journal_fsync_duration_seconds", _H, _SECONDS, _PROCESS,
           "Time until orders were on disk.", "journal_commit_seconds"),
    # -- supervision
    Metric("backstay_actor_restarts_total", _C, _NUMBER, _SUPERVISOR,
           "Restarts of the actors below a supervisor.", "restarts",
           labels=("reason",), values=(RESTART_REASONS,)),
    Metric("backstay_actor_escalations_total", _C, _NUMBER, _SUPERVISOR,
           "How often a restart budget was exceeded.", "escalations"),
    Metric("backstay_actor_mailbox_length", _G, _NUMBER, _ACTOR, "Messages in the mailbox.", "mailbox_length"),
    Metric("backstay_actor_mailbox_wait_seconds", _H, _SECONDS, _ACTOR,
           "How long a message lay in the mailbox.", "mailbox_wait"),
    Metric("backstay_actor_last_progress_timestamp_seconds", _G, _UNIX, _ACTOR,
           "When the last message was handled.", "last_progress_wall"),
    Metric("backstay_threads_abandoned_total", _C, _NUMBER, _PROCESS,
           "Threads of actors that hung or did not stop in time, and were replaced and left to themselves.",
           "threads_abandoned"),
    # -- the reading itself: last, when all else has been read
    Metric("backstay_collect_errors_total", _C, _NUMBER, _SELF, "Samples that could not be read.", "errors"),
    Metric("backstay_collect_duration_seconds", _G, _SECONDS, _SELF,
           "Time to read all of the above.", "duration_seconds"),
)
# fmt: on
