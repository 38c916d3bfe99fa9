"""The recording rules. Their names and labels are a contract as those of the metrics are.

All of them keep the instance: two daemons of one job may have connections of the same names, and are not the same.
A failed scrape ends a series at once, so gauges are looked at over the last minute. Only the PromQL of Prometheus
2.42 is used.
"""

from __future__ import annotations

from deploy.watch.model import Record

CONNECTION = "on (job, instance, connection)"

OBJECTIVE_RATIO = 0.005
"""What may be lost of the time a connection is expected to be up: 99.5 per cent available over thirty days."""

# Grouped, since its port may change within the minute.
GATEWAY_OF = "group by (job, instance, connection, gateway) (last_over_time(backstay_connection_info[1m]))"


def unavailable(window: str) -> str:
    """The part of the wanted time that was lost, over a window."""
    return f"connection:backstay_unavailable:ratio_rate{window}"


def _ratio(window: str, function: str = "rate") -> Record:
    lost = f"{function}(backstay_connection_unavailable_seconds_total[{window}])"
    wanted = f"{function}(backstay_connection_expected_seconds_total[{window}])"
    return Record(unavailable(window), f"{lost}\n/\n({wanted} > 0)")


RECORDS: tuple[Record, ...] = (
    *(_ratio(window) for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")),
    _ratio("30d", "increase"),
    Record(
        "connection_operation:backstay_request_failures_per_request:ratio_rate5m",
        "rate(backstay_request_failures_total[5m])\n/\n(rate(backstay_requests_total[5m]) > 0)",
    ),
    Record(
        "connection_operation:backstay_request_duration_seconds:p99_rate5m",
        "histogram_quantile(0.99, rate(backstay_request_duration_seconds_bucket[5m]))",
    ),
    Record(
        "connection:backstay_heartbeat_rtt_seconds:p99_rate5m",
        "histogram_quantile(0.99, rate(backstay_heartbeat_rtt_seconds_bucket[5m]))",
    ),
    Record(
        "gateway:backstay_connections_down:sum",
        "sum by (job, instance, gateway) (\n"
        "  (1 - last_over_time(backstay_connection_up[1m])) * last_over_time(backstay_connection_expected[1m])\n"
        f"  * {CONNECTION} group_left (gateway) {GATEWAY_OF}\n)",
    ),
)
