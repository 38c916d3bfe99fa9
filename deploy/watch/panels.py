"""The panels that the overview and the dashboard of one connection share, row by row."""

from __future__ import annotations

from backstay.metrics.blocks import PUBLIC_STATES
from deploy.watch.panels_model import FULL_WIDTH, Look, Panel, Query, Row
from deploy.watch.records import OBJECTIVE_RATIO

PER_CONNECTION = "{{connection}} of {{instance}}"
"""Two daemons may have connections of one name, and are looked at together."""

RATE = "$__rate_interval"

STATE_COLOURS = {"ready": "green", "degraded": "orange", "parked": "red", "paused": "blue", "stopped": "gray"}
STATE_NAMES = tuple(
    (float(number), state, STATE_COLOURS.get(state, "yellow" if state != "waiting" else "dark-red"))
    for number, state in enumerate(PUBLIC_STATES)
)
YES_NO = ((0.0, "no", "red"), (1.0, "yes", "green"))


def _numbered_state() -> str:
    parts = [f'backstay_connection_state{{@,state="{state}"}} * {number}' for number, state in enumerate(PUBLIC_STATES)]
    return "sum by (instance, connection) (\n  " + "\n  or ".join(parts) + "\n)"


def _quantile(quantile: str, metric: str, by: str) -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({quantile}, sum by ({labels}) (rate({metric}_bucket{{@}}[{RATE}])))"


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{@}}[{RATE}]))"


def _count(metric: str, by: str) -> str:
    return f"sum by ({by}) (increase({metric}{{@}}[{RATE}]))"


def lines(title: str, unit: str, description: str, *queries: tuple[str, str], **more: object) -> Panel:
    """Lines over time; each query with what its series are called."""
    shown = tuple(Query(expr, legend) for expr, legend in queries)
    return Panel(title=title, unit=unit, description=description, queries=shown, **more)  # type: ignore[arg-type]


LOST = "sum(increase(backstay_connection_unavailable_seconds_total{@}[30d]))"
WANTED = "(sum(increase(backstay_connection_expected_seconds_total{@}[30d])) > 0)"

FIRING = 'ALERTS{@,alertname=~"Backstay.*",alertstate="firing"}'
FIRING_OF_GATEWAY = (
    'ALERTS{%,alertname="BackstayGatewayDown",alertstate="firing"} '
    "and on (job, instance, gateway) backstay_connection_info{@}"
)
"""It names no connection, and is what all of the gateway's have."""

NOW = Row(
    "Now",
    (
        Panel(
            title="Up",
            unit="short",
            description="Connections that can be used end to end.",
            queries=(Query("sum(backstay_connection_up{@})"),),
            look=Look.STAT,
            width=4,
            height=4,
        ),
        Panel(
            title="Wanted",
            unit="short",
            description="Connections that schedule and operators want up.",
            queries=(Query("sum(backstay_connection_expected{@})"),),
            look=Look.STAT,
            width=4,
            height=4,
        ),
        Panel(
            title="Available, 30 days",
            unit="percentunit",
            description="Part of the wanted time in which it could be used. Planned downtime is not wanted time.",
            queries=(Query(f"1 - {LOST} / {WANTED}"),),
            look=Look.STAT,
            width=5,
            height=4,
            decimals=3,
            most=1,
            steps=((None, "red"), (1 - OBJECTIVE_RATIO, "green")),
        ),
        Panel(
            title="Error budget left",
            unit="percentunit",
            description="What is left of the 0.5% of thirty days that may be lost; negative when more was lost.",
            queries=(Query(f"1 - ({LOST} / {WANTED}) / {OBJECTIVE_RATIO}"),),
            look=Look.STAT,
            width=5,
            height=4,
            decimals=1,
            least=None,
            most=1,
            steps=((None, "red"), (0, "orange"), (0.25, "green")),
        ),
        Panel(
            title="Alerts that fire",
            unit="short",
            description="Also those that are kept quiet because another one says more, and that a gateway is down.",
            queries=(Query(f"count({FIRING} or {FIRING_OF_GATEWAY}) or vector(0)"),),
            look=Look.STAT,
            width=6,
            height=4,
            steps=((None, "green"), (1, "red")),
        ),
        Panel(
            title="State",
            unit="short",
            description="The state of each connection over time, as `backstay status` names it.",
            queries=(Query(_numbered_state(), PER_CONNECTION),),
            look=Look.STATES,
            width=FULL_WIDTH,
            height=8,
            names=STATE_NAMES,
        ),
    ),
)

LOSSES = Row(
    "Losing and regaining",
    (
        lines(
            "Losses by reason",
            "short",
            "Connections that had been ready and were lost.",
            (_count("backstay_disconnects_total", "reason"), "{{reason}}"),
            stacked=True,
        ),
        lines(
            "Failed attempts by reason",
            "short",
            "Dials that did not get as far as ready.",
            (_count("backstay_connect_failures_total", "reason"), "{{reason}}"),
            stacked=True,
        ),
        lines(
            "Attempts",
            "short",
            "Dials begun, by connection.",
            (_count("backstay_connect_attempts_total", "instance, connection"), PER_CONNECTION),
        ),
        lines(
            "From dial to ready",
            "s",
            "How long attempts that succeeded took.",
            (_quantile("0.5", "backstay_connect_duration_seconds", ""), "median"),
            (_quantile("0.95", "backstay_connect_duration_seconds", ""), "95 of 100"),
        ),
        Panel(
            title="From loss to ready",
            unit="s",
            description="Outages by their length, subscriptions put back included: how many, by colour.",
            queries=(
                Query(f"sum by (le) (increase(backstay_recovery_duration_seconds_bucket{{@}}[{RATE}]))", "{{le}}"),
            ),
            look=Look.HEAT,
        ),
        lines(
            "Time lost in the last hour",
            "s",
            "Seconds in which a connection was wanted and not usable.",
            (
                "sum by (instance, connection) (increase(backstay_connection_unavailable_seconds_total{@}[1h]))",
                PER_CONNECTION,
            ),
        ),
    ),
)

LINK = Row(
    "Link and upstream",
    (
        lines(
            "Round trip of probes",
            "s",
            "The slowest answers to backstay's own questions for the time (99 of 100 are faster).",
            (_quantile("0.99", "backstay_heartbeat_rtt_seconds", "instance, connection"), PER_CONNECTION),
        ),
        lines(
            "Silence",
            "s",
            "Time since the last message. Beyond the pulse's patience the connection counts as broken.",
            (
                "max by (instance, connection) (time() - (backstay_last_message_received_timestamp_seconds{@} > 0))",
                PER_CONNECTION,
            ),
        ),
        lines(
            "Probes unanswered",
            "short",
            "Questions for the time that were not answered within `pulse.probe_seconds`.",
            (_count("backstay_heartbeat_failures_total", "instance, connection"), PER_CONNECTION),
        ),
        Panel(
            title="IB's servers",
            unit="short",
            description="Whether the gateway says that it has IB's servers (1100, 1101, 1102).",
            queries=(Query("min by (instance, connection) (backstay_upstream_connected{@})", PER_CONNECTION),),
            look=Look.STATES,
            names=YES_NO,
        ),
        Panel(
            title="Data farms",
            unit="short",
            description="Whether each farm works, as the gateways say; broken if one of them says so.",
            queries=(Query("min by (farm) (backstay_farm_up{@})", "{{farm}}"),),
            look=Look.STATES,
            names=YES_NO,
        ),
        lines(
            "Clock of the gateway",
            "s",
            "How far it is ahead of this machine's; it tells whole seconds.",
            ("backstay_clock_skew_seconds{@}", PER_CONNECTION),
            least=None,
        ),
    ),
)

TRAFFIC = Row(
    "Traffic and pacing",
    (
        lines(
            "Messages in",
            "cps",
            "Messages from the gateways a second.",
            (_rate("backstay_messages_received_total", "instance, connection"), PER_CONNECTION),
        ),
        lines(
            "Messages out",
            "cps",
            "Messages to the gateways a second. The line is the default limit, `pacing.messages_per_second`.",
            (_rate("backstay_messages_sent_total", "instance, connection"), PER_CONNECTION),
            steps=((None, "green"), (45, "red")),
            line=True,
        ),
        lines(
            "Bytes",
            "Bps",
            "Bytes from and to the gateways a second.",
            (f"sum(rate(backstay_received_bytes_total{{@}}[{RATE}]))", "in"),
            (f"-sum(rate(backstay_sent_bytes_total{{@}}[{RATE}]))", "out"),
            least=None,
        ),
        lines(
            "Waiting to be sent",
            "short",
            "Requests that wait for pacing.",
            ("sum by (instance, connection) (backstay_send_queue_length{@})", PER_CONNECTION),
        ),
        lines(
            "Wait for pacing",
            "s",
            "How long the slowest requests waited for their turn (99 of 100 are faster).",
            (_quantile("0.99", "backstay_send_queue_wait_seconds", "instance, connection"), PER_CONNECTION),
        ),
        lines(
            "Delivery delay",
            "s",
            "From the read of the socket to the client, the slowest (99 of 100 are faster).",
            (_quantile("0.99", "backstay_event_delivery_delay_seconds", "instance, connection"), PER_CONNECTION),
        ),
        lines(
            "Pacing errors",
            "short",
            "Requests that the gateway rejected for their pace.",
            (_count("backstay_pacing_violations_total", "instance, connection"), PER_CONNECTION),
        ),
        lines(
            "Refused by backstay",
            "short",
            "Requests that were answered with an error here, and not sent.",
            (_count("backstay_requests_rejected_total", "reason"), "{{reason}}"),
            stacked=True,
        ),
        lines(
            "Events dropped",
            "short",
            "Events that a consumer was too slow to take.",
            (_count("backstay_events_dropped_total", "instance, connection"), PER_CONNECTION),
        ),
    ),
)

REQUESTS = Row(
    "Requests, subscriptions and orders",
    (
        lines(
            "Requests",
            "reqps",
            "Clients' requests sent a second, by kind.",
            (_rate("backstay_requests_total", "operation"), "{{operation}}"),
            stacked=True,
        ),
        lines(
            "Endings",
            "short",
            "Streams and reads that are over, by how they ended.",
            (_count("backstay_requests_ended_total", "outcome"), "{{outcome}}"),
            stacked=True,
        ),
        lines(
            "Requests that failed",
            "reqps",
            "Those that ended in an error, or without an answer.",
            (_rate("backstay_request_failures_total", "operation"), "{{operation}}"),
            stacked=True,
        ),
        lines(
            "Time to the answer",
            "s",
            "To the last answer; for streams and orders to the first (99 of 100 are faster).",
            (_quantile("0.99", "backstay_request_duration_seconds", "operation"), "{{operation}}"),
        ),
        lines(
            "Under way",
            "short",
            "Requests sent that wait for their answer.",
            ("sum by (instance, connection) (backstay_requests_in_flight{@})", PER_CONNECTION),
        ),
        lines(
            "Subscriptions by state",
            "short",
            "Streams that clients want. All of them together are the wanted ones.",
            ("sum by (state) (backstay_subscriptions{@})", "{{state}}"),
            stacked=True,
        ),
        lines(
            "Oldest update",
            "s",
            "For how long the quietest stream of each kind has shown nothing.",
            (
                (
                    "max by (instance, connection, kind) (\n"
                    "  time() - (backstay_subscription_oldest_update_timestamp_seconds{@} > 0)\n)"
                ),
                "{{connection}} of {{instance}}: {{kind}}",
            ),
        ),
        lines(
            "Streams put back",
            "short",
            "Streams asked for again after a loss, and those that did not come back.",
            (f"sum(increase(backstay_subscription_restores_total{{@}}[{RATE}]))", "asked again"),
            (f"sum(increase(backstay_subscription_restore_failures_total{{@}}[{RATE}]))", "did not come back"),
        ),
        lines(
            "API errors by category",
            "short",
            "What gateways complain of; that a farm is well is not counted.",
            (_count("backstay_api_errors_total", "category"), "{{category}}"),
            stacked=True,
        ),
        lines(
            "Orders in doubt",
            "short",
            "Orders of which is not known whether they reached the gateway. Should be 0.",
            ("sum by (instance, connection) (backstay_orders_in_doubt{@})", PER_CONNECTION),
            steps=((None, "green"), (1, "red")),
        ),
    ),
)
