"""Every alert and inhibition in one table: rules, tests, Alertmanager and the reference follow from it.

A scrape that is missed must neither make nor break an alert. A failed scrape ends a series at once, so gauges are
looked at over the last minute; how long it has to be so (`hold`) outlasts the rest. Only the PromQL of Prometheus 2.42
is used.

`increase` extrapolates: two events may read as 2.1. Limits to counts therefore lie half-way: "more than two" is 2.5.
"""

from __future__ import annotations

from deploy.watch.model import Alert, Inhibition
from deploy.watch.records import CONNECTION, GATEWAY_OF, OBJECTIVE_RATIO, unavailable

EXPECTED = "last_over_time(backstay_connection_expected[1m]) == 1"
UP = "last_over_time(backstay_connection_up[1m]) == 1"

PER_CONNECTION = ("job", "instance", "connection")

_ROOTS = ("BackstayConnectionDown", "BackstayCircuitOpen")
_DOWN = (*_ROOTS, "BackstayUpstreamDisconnected")
"""What tells that a connection cannot be used."""


def _burn(long: str, short: str, *, factor: int, severity: str, hold: str, least_seconds: int) -> Alert:
    """Both windows, so that it ends soon after the loss does; time enough, so that a young process is not judged.

    Nobody is called at night for a loss that he has been called for already, once the connection is back.
    """
    limit = f"({factor} * {OBJECTIVE_RATIO})"
    told = f'ALERTS{{alertname=~"{"|".join(_DOWN)}", alertstate="firing"}}'
    gateway = 'max by (job, instance, gateway) (ALERTS{alertname="BackstayGatewayDown", alertstate="firing"})'
    unless = (
        f"\nunless {CONNECTION} last_over_time({told}[{short}])\n"
        f"unless {CONNECTION} ({GATEWAY_OF}\n  * on (job, instance, gateway) group_left () {gateway})"
    )
    return Alert(
        name="BackstayAvailabilityBudgetBurn",
        severity=severity,
        window=long,
        hold=hold,
        about=PER_CONNECTION,
        dashboard="slo",
        expr=f"{unavailable(long)} > {limit}\nand {unavailable(short)} > {limit}\n"
        f"and increase(backstay_connection_expected_seconds_total[{long}]) > {{{least_seconds}s}}"
        f"{unless if severity == 'critical' else ''}",
        summary="Connection {{ $labels.connection }} uses up its error budget "
        f"{factor} times as fast as it may, over {long}.",
        description="{{ $value | humanizePercentage }} of the time it was wanted up in the last "
        f"{long} it was not usable, and it still loses time. The budget is 0.5% of 30 days: 3 h 36 min.",
    )


def _over_info(expr: str) -> str:
    return f"(\n{expr}\n)\n* {CONNECTION} group_left (gateway) {GATEWAY_OF}"


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="BackstayTargetDown",
        severity="critical",
        hold="2m",
        about=("job", "instance"),
        expr='up{job="backstay"} == 0',
        summary="Prometheus cannot read backstay at {{ $labels.instance }}.",
        description="Its metrics have not been readable for two minutes: the daemon is gone, hangs, or its HTTP port "
        "is out of reach. While it is gone no client has a gateway, and no other alert can see it.",
    ),
    Alert(
        name="BackstayAbsent",
        severity="critical",
        hold="5m",
        about=("job",),
        expr='absent(up{job="backstay"})',
        summary="Prometheus has no target at all for the job backstay.",
        description="Nobody watches backstay: its scrape job was renamed or removed, or discovery finds nothing. "
        "Every other alert about it is blind.",
    ),
    Alert(
        name="BackstayConnectionDown",
        severity="critical",
        hold="3m",
        about=(*PER_CONNECTION, "gateway"),
        dashboard="connection",
        expr=_over_info(
            "  max_over_time(backstay_connection_up[1m]) == 0\n"
            f"  and {CONNECTION} min_over_time(backstay_connection_expected[3m]) == 1\n"
            f'  unless {CONNECTION} min_over_time(backstay_connection_state{{state="degraded"}}[1m]) == 1'
        ),
        summary="Connection {{ $labels.connection }} to gateway {{ $labels.gateway }} is down.",
        description="It is wanted up and has not been usable for more than three minutes; backstay goes on dialling. "
        "Its client keeps its socket, gets no data, and its orders are refused. "
        "`backstay explain {{ $labels.connection }}` says why.",
    ),
    Alert(
        name="BackstayGatewayDown",
        severity="critical",
        hold="2m",
        keep="1m",  # connections come back one by one, and nobody is to be called for the last of them
        about=("job", "instance", "gateway"),
        expr="(\n"
        "  last_over_time(gateway:backstay_connections_down:sum[1m]) > 0\n"
        "  and last_over_time(gateway:backstay_connections_down:sum[1m])\n"
        "  == on (job, instance, gateway) count by (job, instance, gateway) (\n"
        f"    ({EXPECTED}) * {CONNECTION} group_left (gateway) {GATEWAY_OF}\n"
        "  )\n)\n"
        "unless on (job, instance, gateway) (\n"
        "  (max by (job, instance, connection) (\n"
        '    last_over_time(backstay_connection_state{state=~"degraded|parked"}[1m])\n  ) == 1)\n'
        f"  * {CONNECTION} group_left (gateway) {GATEWAY_OF}\n)",
        summary="Gateway {{ $labels.gateway }} is down: all {{ $value }} connections to it.",
        description="No connection that should be up to this gateway gets an answer from it: it is not running, not "
        "logged in, out of reach, or hangs. backstay goes on dialling.",
    ),
    _burn("1h", "5m", factor=14.4, severity="critical", hold="2m", least_seconds=1800),
    _burn("6h", "30m", factor=6, severity="critical", hold="15m", least_seconds=10_800),
    _burn("1d", "2h", factor=3, severity="warning", hold="1h", least_seconds=43_200),
    _burn("3d", "6h", factor=1, severity="warning", hold="3h", least_seconds=129_600),
    Alert(
        name="BackstayConnectionFlapping",
        severity="warning",
        keep="15m",
        about=PER_CONNECTION,
        dashboard="connection",
        expr="sum without (reason) (\n"
        '  increase(backstay_disconnects_total{reason!~"operator|maintenance|shutdown"}[15m])\n) > 3.5',
        summary="Connection {{ $labels.connection }} keeps breaking.",
        description="{{ $value | humanize }} losses within 15 minutes. It comes back each time, but every loss is a "
        "gap in its streams and leaves orders in doubt.",
    ),
    Alert(
        name="BackstayUpstreamDisconnected",
        severity="critical",
        hold="5m",
        about=PER_CONNECTION,
        dashboard="connection",
        expr="max_over_time(backstay_upstream_connected[1m]) == 0\n"
        f'and {CONNECTION} max_over_time(backstay_connection_state{{state="degraded"}}[1m]) == 1\n'
        f"and {CONNECTION} min_over_time(backstay_connection_expected[1m]) == 1",
        summary="The gateway of {{ $labels.connection }} has no link to IB's servers.",
        description="The socket to the gateway stands, and the gateway said 1100 or 2110 more than five minutes ago: "
        "no data comes and no order reaches an exchange.",
    ),
    Alert(
        name="BackstayFarmDown",
        severity="warning",
        hold="10m",
        about=(*PER_CONNECTION, "farm"),
        dashboard="connection",
        expr=f"max_over_time(backstay_farm_up[1m]) == 0\nand {CONNECTION} {EXPECTED}",
        summary="Data farm {{ $labels.farm }} is broken on {{ $labels.connection }}.",
        description="The gateway reports this farm as disconnected for ten minutes. Streams and history of its market "
        "are silent; everything else works.",
    ),
    Alert(
        name="BackstaySilentConnection",
        severity="critical",
        hold="1m",
        about=PER_CONNECTION,
        dashboard="connection",
        expr="time() - max_over_time(backstay_last_message_received_timestamp_seconds[1m]) > {60s}\n"
        f"and {CONNECTION} {UP}",
        summary="Connection {{ $labels.connection }} is called up and has been silent.",
        description="No message for {{ $value | humanizeDuration }}, not even an answer to a probe, and backstay still "
        "takes the connection for usable. It should have found it broken long ago.",
    ),
    Alert(
        name="BackstaySubscriptionsStale",
        severity="warning",
        hold="5m",
        about=(*PER_CONNECTION, "kind"),
        dashboard="connection",
        expr="sum by (job, instance, connection, kind) (\n"
        '  last_over_time(backstay_subscriptions{state=~"stale|failed"}[1m])\n) > 0\n'
        f"and {CONNECTION} {UP}\n"
        f"unless {CONNECTION} min by (job, instance, connection) (last_over_time(backstay_farm_up[1m])) == 0",
        summary="{{ $value }} {{ $labels.kind }} subscriptions of {{ $labels.connection }} do not deliver.",
        description="The connection is up, and these streams have shown nothing since they were asked for, or since "
        "they may have stopped. Whoever trades on them sees old prices.",
    ),
    Alert(
        name="BackstayClientIdInUse",
        severity="warning",
        about=PER_CONNECTION,
        dashboard="connection",
        expr="sum without (reason) (\n"
        '  increase(backstay_connect_failures_total{reason="client_id_in_use"}[10m])\n) > 2.5\n'
        f"unless {CONNECTION} max_over_time(backstay_circuit_open[10m]) == 1",
        summary="The client id of {{ $labels.connection }} is taken by another program.",
        description="The gateway answered {{ $value | humanize }} times in ten minutes with error 326. Two programs "
        "with one client id take it from each other for ever.",
    ),
    Alert(
        name="BackstayPacingViolations",
        severity="warning",
        hold="5m",
        about=PER_CONNECTION,
        dashboard="connection",
        expr="increase(backstay_pacing_violations_total[10m]) > 0",
        summary="The gateway rejects requests of {{ $labels.connection }} for their pace.",
        description="{{ $value | humanize }} pacing errors in ten minutes. TWS ends the session at the third, and IB "
        "may lock out an account that goes on.",
    ),
    Alert(
        name="BackstaySendQueueBacklog",
        severity="warning",
        hold="1m",
        about=PER_CONNECTION,
        dashboard="connection",
        expr="last_over_time(backstay_send_queue_length[1m]) > 250",
        summary="{{ $value }} requests of {{ $labels.connection }} wait for their turn.",
        description="More than five seconds of sending at the permitted rate have piled up for a minute. Cancels and "
        "orders overtake them; new streams and reads come late.",
    ),
    Alert(
        name="BackstayHeartbeatSlow",
        severity="warning",
        hold="10m",
        about=PER_CONNECTION,
        dashboard="connection",
        expr="connection:backstay_heartbeat_rtt_seconds:p99_rate5m > 2",
        summary="The gateway of {{ $labels.connection }} answers slowly.",
        description="The slowest of its answers to backstay's probes take {{ $value | humanizeDuration }}; a healthy "
        "gateway needs milliseconds. Beyond ten seconds, twice, the connection counts as broken.",
    ),
    Alert(
        name="BackstayRequestFailureRatioHigh",
        severity="warning",
        hold="10m",
        about=(*PER_CONNECTION, "operation"),
        dashboard="connection",
        expr="connection_operation:backstay_request_failures_per_request:ratio_rate5m > 0.05\n"
        "and increase(backstay_requests_total[5m]) > 20",
        summary="{{ $value | humanizePercentage }} of {{ $labels.operation }} on {{ $labels.connection }} fail.",
        description="More than one in twenty requests of this kind has ended in an error for ten minutes: missing "
        "permissions, unknown contracts, or IB's limits.",
    ),
    Alert(
        name="BackstayOrdersInDoubt",
        severity="critical",
        hold="2m",
        about=PER_CONNECTION,
        dashboard="connection",
        expr="last_over_time(backstay_orders_in_doubt[1m]) > 0",
        summary="The fate of {{ $value }} orders of {{ $labels.connection }} is unknown.",
        description="They were on their way when the connection broke, and no list of TWS has settled yet whether "
        "they live. Do not place them again: they may be live, or filled.",
    ),
    Alert(
        name="BackstayCircuitOpen",
        severity="critical",
        about=(*PER_CONNECTION, "gateway"),
        dashboard="connection",
        # Once a minute it is tried, and is not parked for as long as that takes.
        expr=_over_info(f"  max_over_time(backstay_circuit_open[1m]) == 1\n  and {CONNECTION} {EXPECTED}"),
        summary="Connection {{ $labels.connection }} is parked: it needs a person.",
        description="backstay has stopped dialling gateway {{ $labels.gateway }} at its usual pace and tries once a "
        "minute: what stands in the way does not mend itself. `backstay explain {{ $labels.connection }}` names it.",
    ),
    Alert(
        name="BackstayActorRestartLoop",
        severity="warning",
        about=("job", "instance", "supervisor"),
        expr='sum without (reason) (increase(backstay_actor_restarts_total{reason="crash"}[15m])) > 3.5',
        summary="Actors below {{ $labels.supervisor }} keep crashing.",
        description="{{ $value | humanize }} restarts after a crash within 15 minutes. Each is a mistake in backstay; "
        "clients keep their sockets, and every restart of a link is a new connection to the gateway.",
    ),
    Alert(
        name="BackstayActorStuck",
        severity="critical",
        hold="1m",
        about=("job", "instance", "actor"),
        expr="time() - max_over_time(backstay_actor_last_progress_timestamp_seconds[1m]) > {30s}\n"
        "and on (job, instance, actor) min_over_time(backstay_actor_mailbox_length[1m]) > 0",
        summary="Actor {{ $labels.actor }} has work and does not move.",
        description="It has handled nothing for {{ $value | humanizeDuration }} although messages wait. Whatever it "
        "is there for has stopped, without an error.",
    ),
    Alert(
        name="BackstayEventLoopLagHigh",
        severity="warning",
        hold="10m",
        about=("job", "instance"),
        expr="histogram_quantile(0.99, rate(backstay_event_loop_lag_seconds_bucket[5m])) > 0.1",
        summary="backstay at {{ $labels.instance }} is short of processor time.",
        description="Timers come {{ $value | humanizeDuration }} late (99th percentile). Data is delivered late, and "
        "probes may be judged unanswered although the gateway is well.",
    ),
    Alert(
        name="BackstayEventsDropped",
        severity="warning",
        about=PER_CONNECTION,
        dashboard="connection",
        expr="increase(backstay_events_dropped_total[5m]) > 0",
        summary="A consumer of {{ $labels.connection }} is too slow and loses events.",
        description="{{ $value | humanize }} events were dropped in five minutes, because whoever takes them did not "
        "keep up. Only this consumer has a gap.",
    ),
    Alert(
        name="BackstayClockSkew",
        severity="warning",
        hold="10m",
        about=PER_CONNECTION,
        dashboard="connection",
        expr=f"abs(last_over_time(backstay_clock_skew_seconds[1m])) > 5\nand {CONNECTION} {EXPECTED}",
        summary="The clocks of {{ $labels.connection }}'s gateway and of this machine differ.",
        description="By {{ $value | humanizeDuration }}. Maintenance windows and times of orders follow the clock "
        "here; fills and bars carry the gateway's.",
    ),
    Alert(
        name="BackstayConfigReloadFailed",
        severity="warning",
        hold="5m",
        about=("job", "instance"),
        expr="max_over_time(backstay_config_last_reload_successful[5m]) == 0",
        summary="backstay at {{ $labels.instance }} refused its changed configuration.",
        description="It runs on with the old one. At its next start it will not come up at all, unless the file is "
        "mended before.",
    ),
    Alert(
        name="BackstayJournalWriteFailures",
        severity="critical",
        about=("job", "instance"),
        # Who is refused soon stops asking, so that the failures alone would be forgotten while the trouble lasts.
        expr="max_over_time(backstay_journal_usable[1m]) == 0\n"
        "or increase(backstay_journal_write_failures_total[5m]) > 0",
        summary="backstay at {{ $labels.instance }} cannot write orders down.",
        description="The order journal cannot be used, or could not within the last five minutes. An order that "
        "cannot be written down is refused; data goes on. `backstay status` says what is wrong.",
    ),
)

INHIBITIONS: tuple[Inhibition, ...] = (
    Inhibition(
        ("BackstayGatewayDown",),
        ("BackstayConnectionDown",),
        ("job", "instance", "gateway"),
        "A gateway that is down is one trouble, however many connections it has.",
    ),
    Inhibition(
        ("BackstayCircuitOpen",),
        ("BackstayConnectionDown",),
        PER_CONNECTION,
        "That it is parked says more than that it is down.",
    ),
    Inhibition(
        _ROOTS,
        (
            "BackstayUpstreamDisconnected",
            "BackstayFarmDown",
            "BackstaySilentConnection",
            "BackstaySubscriptionsStale",
            "BackstayConnectionFlapping",
            "BackstayClientIdInUse",
            "BackstayClockSkew",
        ),
        PER_CONNECTION,
        "What a connection that is down does not do is no news.",
    ),
    Inhibition(
        ("BackstayUpstreamDisconnected",),
        ("BackstayFarmDown", "BackstaySubscriptionsStale"),
        PER_CONNECTION,
        "Without IB's servers no farm delivers.",
    ),
    Inhibition(
        ("BackstayFarmDown",),
        ("BackstaySubscriptionsStale",),
        PER_CONNECTION,
        "Its streams wait for the farm.",
    ),
    Inhibition(
        _DOWN,
        ("BackstayAvailabilityBudgetBurn", "BackstayHeartbeatSlow", "BackstayRequestFailureRatioHigh"),
        PER_CONNECTION,
        "The loss itself is known; what it costs is on the dashboard.",
    ),
    Inhibition(
        ("BackstayAvailabilityBudgetBurn",),
        ("BackstayAvailabilityBudgetBurn",),
        PER_CONNECTION,
        "The fast burn is the slow one, told earlier.",
        by_severity=True,
    ),
)
