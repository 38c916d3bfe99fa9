"""Courses of what flows: silence, streams, probes, requests. A reading every 15 seconds."""

from __future__ import annotations

from deploy.watch.cases_connection import GAP, LOST, UP
from deploy.watch.cases_model import KEEPER, Case, Firing, Quiet, course, minutes

_TIME = "0+15x8 120x60"  # something that came every fifteen seconds for two minutes, and never again

TRAFFIC_CASES: tuple[Case, ...] = (
    Case(
        alert="BackstaySilentConnection",
        story="called up, and nothing has come for minutes",
        given=(UP, course("last_message_received_timestamp_seconds", _TIME)),
        at=("6m",),
        fires=(Firing(KEEPER, "4m 0s"),),
    ),
    Case(
        alert="BackstaySilentConnection",
        story="a connection that was found broken is not silent, it is down",
        given=(course("connection_up", "1x9 0x60"), course("last_message_received_timestamp_seconds", _TIME)),
        at=minutes(12),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstaySilentConnection",
        story="scrapes fail for a minute, messages come",
        given=(
            course("connection_up", f"1x8 {GAP} _ 1x60"),
            course("last_message_received_timestamp_seconds", f"0+15x8 {GAP} _ 180+15x60"),
        ),
        at=minutes(12),
        quiet=Quiet.MISSED,
    ),
    Case(
        alert="BackstaySubscriptionsStale",
        story="two quotes do not come back, one is refused",
        given=(
            UP,
            course("subscriptions", "0x8 2x60", kind="market_data", state="stale"),
            course("subscriptions", "0x8 1x60", kind="market_data", state="failed"),
            course("subscriptions", "9x60", kind="market_data", state="active"),
        ),
        at=("9m",),
        fires=(Firing(KEEPER | {"kind": "market_data"}, "3"),),
    ),
    Case(
        alert="BackstaySubscriptionsStale",
        story="put back after a cut within two minutes",
        given=(UP, course("subscriptions", "0x8 5x8 0x60", kind="market_data", state="stale")),
        at=minutes(12),
        quiet=Quiet.BELOW,
    ),
    Case(
        alert="BackstaySubscriptionsStale",
        story="the gateway is down in its maintenance window",
        given=(course("connection_up", LOST), course("subscriptions", "0x8 5x60", kind="market_data", state="stale")),
        at=minutes(15),
        quiet=Quiet.MAINTENANCE,
    ),
    Case(
        alert="BackstaySubscriptionsStale",
        story="their farm is broken, which is told later and says more",
        given=(
            UP,
            course("farm_up", "1x200", farm="hfarm"),
            course("farm_up", LOST, farm="usfarm"),
            course("subscriptions", "0x8 5x100", kind="market_data", state="stale"),
        ),
        at=minutes(24),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstaySubscriptionsStale",
        story="their farm is back, and they are not",
        given=(
            UP,
            course("farm_up", "1x8 0x20 1x60", farm="usfarm"),
            course("subscriptions", "0x8 1x100", kind="market_data", state="failed"),
        ),
        at=("14m",),
        fires=(Firing(KEEPER | {"kind": "market_data"}, "1"),),
    ),
    Case(
        alert="BackstayHeartbeatSlow",
        story="every answer takes between two and a half and five seconds",
        given=(
            course("heartbeat_rtt_seconds_bucket", "0x100", le="2.5"),
            course("heartbeat_rtt_seconds_bucket", "0+1x100", le="5"),
            course("heartbeat_rtt_seconds_bucket", "0+1x100", le="+Inf"),
        ),
        at=("20m",),
        fires=(Firing(KEEPER, "4.975s"),),
    ),
    Case(
        alert="BackstayHeartbeatSlow",
        story="answers within a tenth of a second",
        given=(
            course("heartbeat_rtt_seconds_bucket", "0+1x100", le="0.1"),
            course("heartbeat_rtt_seconds_bucket", "0+1x100", le="+Inf"),
        ),
        at=minutes(24),
        quiet=Quiet.BELOW,
    ),
    Case(
        alert="BackstayHeartbeatSlow",
        story="no probe at all: data flows, and nobody has to ask",
        given=(
            course("heartbeat_rtt_seconds_bucket", "0x100", le="2.5"),
            course("heartbeat_rtt_seconds_bucket", "3x100", le="+Inf"),
        ),
        at=minutes(24),
        quiet=Quiet.OTHER,
    ),
)
