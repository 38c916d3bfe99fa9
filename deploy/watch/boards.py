"""The three dashboards: the overview, one connection, and the objective. Written as JSON by `dashboards.py`."""

from __future__ import annotations

from deploy.watch.panels import LINK, LOSSES, NOW, PER_CONNECTION, REQUESTS, TRAFFIC
from deploy.watch.panels_model import FULL_WIDTH, Board, Look, Marks, Panel, Query, Row
from deploy.watch.panels_process import SUPERVISION
from deploy.watch.records import OBJECTIVE_RATIO, unavailable

PROCESS = 'job=~"$job",instance=~"$instance"'
ONE = f'{PROCESS},connection="$connection"'

STATE_MARKS = Marks(
    "Became ready",
    "changes(backstay_connection_state_transition_timestamp_seconds{@}[$__interval]) > 0 and "
    "on (job, instance, connection) backstay_connection_up{@} == 1",
    "green",
    "{{connection}} ready",
)
LOSS_MARKS = Marks(
    "Lost", "increase(backstay_disconnects_total{@}[$__interval]) > 0", "red", "{{connection}} lost: {{reason}}"
)
OPERATOR_MARKS = Marks(
    "Operators", "increase(backstay_operator_actions_total{%}[$__interval]) > 0", "blue", "backstay {{action}}"
)

FACTS = Row(
    "This connection",
    (
        Panel(
            title="Next attempt",
            unit="s",
            description="Until the next dial; nothing while it is up.",
            queries=(
                Query("clamp_min(backstay_connection_next_attempt_timestamp_seconds{@} - time(), 0)", PER_CONNECTION),
            ),
            width=6,
        ),
        Panel(
            title="In this state for",
            unit="s",
            description="Time since the state last changed.",
            queries=(Query("time() - backstay_connection_state_transition_timestamp_seconds{@}"),),
            look=Look.STAT,
            width=6,
        ),
        Panel(
            title="Server version",
            unit="none",
            description="The version of the API that was agreed on; 0 before the first handshake.",
            queries=(Query("backstay_connection_server_version{@}"),),
            look=Look.STAT,
            width=6,
        ),
        Panel(
            title="Losses of IB's servers",
            unit="short",
            description="By what became of the data: lost (1101), kept (1102), or not known yet.",
            queries=(
                Query(
                    "sum by (data) (increase(backstay_upstream_interruptions_total{@}[$__rate_interval]))", "{{data}}"
                ),
            ),
            width=6,
            stacked=True,
        ),
        Panel(
            title="Requests repeated or given up",
            unit="short",
            description="Sent again because the gateway showed no sign of them; reads it never answered.",
            queries=(
                Query("sum(increase(backstay_requests_repeated_total{@}[$__rate_interval]))", "repeated"),
                Query("sum(increase(backstay_requests_unanswered_total{@}[$__rate_interval]))", "given up"),
            ),
            width=12,
        ),
        Panel(
            title="Orders compared with the gateway's lists",
            unit="short",
            description="How often; orders that stood otherwise than was known; resends that the owner vetoed.",
            queries=(
                Query("sum(increase(backstay_order_reconciliations_total{@}[$__rate_interval]))", "compared"),
                Query("sum(increase(backstay_order_reconciliation_mismatches_total{@}[$__rate_interval]))", "differed"),
                Query("sum(increase(backstay_order_resends_vetoed_total{@}[$__rate_interval]))", "vetoed"),
            ),
            width=12,
        ),
    ),
)


def _ratio(window: str) -> str:
    return f'{unavailable(window)}{{job=~"$job",instance=~"$instance",connection=~"$connection"}}'


def _burn(window: str) -> Query:
    return Query(f"max({_ratio(window)}) / {OBJECTIVE_RATIO}", window)


_LOST = "sum by (instance, connection) (increase(backstay_connection_unavailable_seconds_total{@}[30d]))"
_WANTED = "sum by (instance, connection) (increase(backstay_connection_expected_seconds_total{@}[30d]))"

OBJECTIVE = Row(
    "The objective: 99.5% of the wanted time, over thirty days",
    (
        Panel(
            title="Available, 30 days",
            unit="percentunit",
            description="Part of its wanted time in which each connection could be used.",
            queries=(Query(f"1 - {_LOST} / ({_WANTED} > 0)", PER_CONNECTION),),
            look=Look.BARS,
            width=12,
            height=8,
            decimals=3,
            least=None,
            most=1,
            steps=((None, "red"), (1 - OBJECTIVE_RATIO, "green")),
        ),
        Panel(
            title="Budget left",
            unit="percentunit",
            description="Of 3 h 36 min that may be lost in thirty days of wanted time; negative when more was.",
            queries=(Query(f"1 - {_LOST} / ({_WANTED} > 0) / {OBJECTIVE_RATIO}", PER_CONNECTION),),
            look=Look.BARS,
            width=12,
            height=8,
            decimals=1,
            least=None,
            most=1,
            steps=((None, "red"), (0, "orange"), (0.25, "green")),
        ),
        Panel(
            title="How fast the budget is used up",
            unit="none",
            description="1 uses up the budget in thirty days. The page of an hour comes at 14.4, that of six at 6; "
            "tickets at 3 and 1. The worst connection of those chosen.",
            queries=tuple(map(_burn, ("5m", "1h", "6h", "1d", "3d"))),
            width=FULL_WIDTH,
            height=9,
            steps=((None, "green"), (1, "yellow"), (6, "orange"), (14.4, "red")),
            line=True,
        ),
        Panel(
            title="Time lost, by hour",
            unit="s",
            description="Seconds in which a connection was wanted and not usable, in the hour before each moment.",
            queries=(
                Query(
                    "sum by (instance, connection) (increase(backstay_connection_unavailable_seconds_total{@}[1h]))",
                    PER_CONNECTION,
                ),
            ),
            width=12,
            stacked=True,
        ),
        Panel(
            title="Wanted time, by hour",
            unit="s",
            description="Seconds in which a connection was wanted; maintenance and operators' holds take away from it.",
            queries=(
                Query(
                    "sum by (instance, connection) (increase(backstay_connection_expected_seconds_total{@}[1h]))",
                    PER_CONNECTION,
                ),
            ),
            width=12,
        ),
        Panel(
            title="Connections down, by gateway",
            unit="short",
            description="Connections that are wanted and not usable.",
            queries=(
                Query(
                    'gateway:backstay_connections_down:sum{job=~"$job",instance=~"$instance"}',
                    "{{gateway}} of {{instance}}",
                ),
            ),
            width=12,
            stacked=True,
        ),
        Panel(
            title="Losses by reason",
            unit="short",
            description="What used up the budget.",
            queries=(
                Query("sum by (reason) (increase(backstay_disconnects_total{@}[$__rate_interval]))", "{{reason}}"),
            ),
            width=12,
            stacked=True,
        ),
    ),
)

BOARDS: tuple[Board, ...] = (
    Board(
        uid="backstay-overview",
        title="backstay / Overview",
        description="All connections of all daemons.",
        selector=PROCESS,
        rows=(NOW, LOSSES, LINK, TRAFFIC, REQUESTS, SUPERVISION),
        marks=(OPERATOR_MARKS,),
    ),
    Board(
        uid="backstay-connection",
        title="backstay / Connection",
        description="Everything about one connection.",
        selector=ONE,
        rows=(
            NOW,
            FACTS,
            LOSSES,
            LINK,
            TRAFFIC,
            REQUESTS,
            SUPERVISION,
        ),
        marks=(STATE_MARKS, LOSS_MARKS, OPERATOR_MARKS),
        per_connection=True,
    ),
    Board(
        uid="backstay-slo",
        title="backstay / SLO",
        description="The objective, what is left of its budget, and how fast it is used up.",
        selector=f'{PROCESS},connection=~"$connection"',
        rows=(OBJECTIVE,),
        span="now-7d",
    ),
)
