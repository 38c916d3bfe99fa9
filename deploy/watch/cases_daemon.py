"""Courses of requests, orders and of the daemon itself. A reading every 15 seconds."""

from __future__ import annotations

from deploy.watch.cases_model import JOB, KEEPER, Case, Course, Firing, Quiet, course, minutes, process

GAP = "stale _x2"
PLACE = {"operation": "historical_data"}


def _up(values: str, job: str = "backstay") -> Course:
    return Course("up", values, JOB | {"job": job})


WANTED = course("connection_expected", "1x200")

_TARGET = (
    Case(
        alert="BackstayTargetDown",
        story="the daemon is gone",
        given=(_up("1x8 0x60"),),
        at=("5m",),
        fires=(Firing(JOB),),
    ),
    Case(
        alert="BackstayTargetDown",
        story="scrapes fail for a minute",
        given=(_up("1x8 0x4 1x60"),),
        at=minutes(12),
        quiet=Quiet.MISSED,
    ),
    Case(
        alert="BackstayTargetDown",
        story="the daemon is started anew within a minute",
        given=(_up("1x8 0x3 1x60"), process("config_last_reload_successful", f"1x8 {GAP} 1x60")),
        at=minutes(12),
        quiet=Quiet.YOUNG,
    ),
    Case(
        alert="BackstayAbsent",
        story="its job has been taken out of the configuration",
        given=(_up("1x8 stale"), _up("1x100", job="other")),
        at=("9m",),
        fires=(Firing({"job": "backstay"}),),
    ),
    Case(
        alert="BackstayAbsent",
        story="the target is there and does not answer",
        given=(_up("1x8 0x60"),),
        at=minutes(15),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstayAbsent",
        story="discovery loses the target for two minutes",
        given=(_up("1x8 stale _x8 1x60"),),
        at=minutes(15),
        quiet=Quiet.MISSED,
    ),
)

_REQUESTS = (
    Case(
        alert="BackstayPacingViolations",
        story="one every two minutes",
        given=(course("pacing_violations_total", "0x8 1x8 2x8 3x8 4x60"),),
        at=("10m",),
        fires=(Firing(KEEPER, "4"),),
    ),
    Case(
        alert="BackstayPacingViolations",
        story="the process is started anew: its counter begins at 0 again",
        given=(course("pacing_violations_total", "3x8 0x60"),),
        at=minutes(15),
        quiet=Quiet.YOUNG,
    ),
    Case(
        alert="BackstaySendQueueBacklog",
        story="a burst of reads that does not end; a scrape is missed meanwhile",
        given=(course("send_queue_length", f"0x8 400x4 {GAP} 400x60"),),
        at=("5m",),
        fires=(Firing(KEEPER, "400"),),
    ),
    Case(
        alert="BackstaySendQueueBacklog",
        story="three hundred streams are put back after a cut, within forty seconds",
        given=(course("send_queue_length", "0x8 300x2 0x60"),),
        at=minutes(12),
        quiet=Quiet.BELOW,
    ),
    Case(
        alert="BackstayRequestFailureRatioHigh",
        story="every other read fails",
        given=(
            course("requests_total", "0+4x100", **PLACE),
            course("request_failures_total", "0+2x100", **PLACE),
        ),
        at=("20m",),
        fires=(Firing(KEEPER | PLACE, "50%"),),
    ),
    Case(
        alert="BackstayRequestFailureRatioHigh",
        story="every other one fails of a handful",
        given=(
            course("requests_total", "0x9 1x9 2x9 3x9 4x60", **PLACE),
            course("request_failures_total", "0x18 1x18 2x60", **PLACE),
        ),
        at=minutes(24),
        quiet=Quiet.BELOW,
    ),
    Case(
        alert="BackstayRequestFailureRatioHigh",
        story="a process that has just begun asks for everything at once, and a third fails",
        given=(
            course("requests_total", "0x2 90x100", **PLACE),
            course("request_failures_total", "0x2 30x100", **PLACE),
        ),
        at=minutes(24),
        quiet=Quiet.YOUNG,
    ),
    Case(
        alert="BackstayOrdersInDoubt",
        story="two orders stay in doubt; a scrape is missed meanwhile",
        given=(course("orders_in_doubt", f"0x8 2x6 {GAP} 2x60"),),
        at=("6m",),
        fires=(Firing(KEEPER, "2"),),
    ),
    Case(
        alert="BackstayOrdersInDoubt",
        story="decided by TWS's lists within a minute of the cut",
        given=(course("orders_in_doubt", "0x8 2x4 0x60"),),
        at=minutes(12),
        quiet=Quiet.BELOW,
    ),
    Case(
        alert="BackstayEventsDropped",
        story="a consumer stalls",
        given=(course("events_dropped_total", "0x8 120x60"),),
        at=("4m",),
        fires=(Firing(KEEPER, "120"),),
    ),
    Case(
        alert="BackstayEventsDropped",
        story="the process is started anew: its counter begins at 0 again",
        given=(course("events_dropped_total", "120x8 0x60"),),
        at=minutes(12),
        quiet=Quiet.YOUNG,
    ),
    Case(
        alert="BackstayClockSkew",
        story="the gateway is eight seconds behind",
        given=(WANTED, course("clock_skew_seconds", f"0x8 -8x10 {GAP} -8x80")),
        at=("15m",),
        fires=(Firing(KEEPER, "8s"),),
    ),
    Case(
        alert="BackstayClockSkew",
        story="two seconds, as far as the gateway's whole seconds can tell",
        given=(WANTED, course("clock_skew_seconds", "-2x100")),
        at=minutes(24),
        quiet=Quiet.BELOW,
    ),
    Case(
        alert="BackstayClockSkew",
        story="paused by an operator: what was measured last is shown on",
        given=(course("connection_expected", "1x8 0x100"), course("clock_skew_seconds", "0x6 -8x100")),
        at=minutes(24),
        quiet=Quiet.MAINTENANCE,
    ),
)

SESSION = {"actor": "root/connections/keeper/session"}

_PROCESS = (
    Case(
        alert="BackstayActorRestartLoop",
        story="five crashes in five minutes",
        given=(process("actor_restarts_total", "0x4 1x4 2x4 3x4 4x4 5x60", supervisor="link", reason="crash"),),
        at=("7m",),
        fires=(Firing(JOB | {"supervisor": "link"}, "5"),),
    ),
    Case(
        alert="BackstayActorRestartLoop",
        story="an operator restarts the connection again and again",
        given=(process("actor_restarts_total", "0+1x60", supervisor="link", reason="operator"),),
        at=minutes(12),
        quiet=Quiet.MAINTENANCE,
    ),
    Case(
        alert="BackstayActorRestartLoop",
        story="two crashes",
        given=(process("actor_restarts_total", "0x4 1x4 2x60", supervisor="link", reason="crash"),),
        at=minutes(12),
        quiet=Quiet.BELOW,
    ),
    Case(
        alert="BackstayActorStuck",
        story="work waits and nothing moves",
        given=(
            process("actor_mailbox_length", "0x8 3x60", **SESSION),
            process("actor_last_progress_timestamp_seconds", "0+15x8 120x60", **SESSION),
        ),
        at=("5m",),
        fires=(Firing(JOB | SESSION, "3m 0s"),),
    ),
    Case(
        alert="BackstayActorStuck",
        story="nothing to do, for a long time",
        given=(
            process("actor_mailbox_length", "0x60", **SESSION),
            process("actor_last_progress_timestamp_seconds", "0x60", **SESSION),
        ),
        at=minutes(12),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstayActorStuck",
        story="scrapes fail for a minute while it is busy",
        given=(
            process("actor_mailbox_length", f"3x8 {GAP} _ 3x60", **SESSION),
            process("actor_last_progress_timestamp_seconds", f"0+15x8 {GAP} _ 180+15x60", **SESSION),
        ),
        at=minutes(12),
        quiet=Quiet.MISSED,
    ),
    Case(
        alert="BackstayEventLoopLagHigh",
        story="every tenth timer is half a second late",
        given=(
            process("event_loop_lag_seconds_bucket", "0+9x100", le="0.1"),
            process("event_loop_lag_seconds_bucket", "0+10x100", le="0.5"),
            process("event_loop_lag_seconds_bucket", "0+10x100", le="+Inf"),
        ),
        at=("20m",),
        fires=(Firing(JOB, "460ms"),),
    ),
    Case(
        alert="BackstayEventLoopLagHigh",
        story="late while it starts, on time afterwards",
        given=(
            process("event_loop_lag_seconds_bucket", "0x2 0+10x100", le="0.1"),
            process("event_loop_lag_seconds_bucket", "0x2 30+10x100", le="+Inf"),
        ),
        at=minutes(24),
        quiet=Quiet.YOUNG,
    ),
    Case(
        alert="BackstayConfigReloadFailed",
        story="a changed file was refused and nobody has mended it; a scrape is missed meanwhile",
        given=(process("config_last_reload_successful", f"1x8 0x10 {GAP} 0x60"),),
        at=("13m",),
        fires=(Firing(JOB),),
    ),
    Case(
        alert="BackstayConfigReloadFailed",
        story="refused, mended and accepted within three minutes",
        given=(process("config_last_reload_successful", "1x8 0x12 1x60"),),
        at=minutes(15),
        quiet=Quiet.MAINTENANCE,
    ),
    Case(
        alert="BackstayJournalWriteFailures",
        story="the disk is full",
        given=(process("journal_write_failures_total", "0x8 1x60"),),
        at=("3m",),
        fires=(Firing(JOB, "1"),),
    ),
    Case(
        alert="BackstayJournalWriteFailures",
        story="the disk stays full, and nobody tries any more",
        given=(
            process("journal_write_failures_total", "0x8 2x200"),
            process("journal_usable", f"1x8 0x40 {GAP} 0x160"),
        ),
        at=(*minutes(30)[3:],),
        fires=(Firing(JOB),),
    ),
    Case(
        alert="BackstayJournalWriteFailures",
        story="the process is started anew: its counter begins at 0 again",
        given=(process("journal_write_failures_total", "4x8 0x60"),),
        at=minutes(12),
        quiet=Quiet.YOUNG,
    ),
)

DAEMON_CASES: tuple[Case, ...] = (*_TARGET, *_REQUESTS, *_PROCESS)
