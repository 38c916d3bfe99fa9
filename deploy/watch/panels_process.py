"""The panels about the daemon itself: its actors, operators, disk and machine."""

from __future__ import annotations

from deploy.watch.panels import RATE, YES_NO, lines
from deploy.watch.panels_model import Look, Row

ACTORS = "Actors are backstay's own parts, as `backstay tree` shows them."


def _quantile(metric: str, selector: str, by: str) -> str:
    return f"histogram_quantile(0.99, sum by ({by}le) (rate({metric}_bucket{{{selector}}}[{RATE}])))"


def _count(metric: str, selector: str, by: str) -> str:
    return f"sum by ({by}) (increase({metric}{{{selector}}}[{RATE}]))"


SUPERVISION = Row(
    "Supervision",
    (
        lines(
            "Restarts of actors",
            "short",
            f"After a crash, by an operator, or with a supervisor that gave up. {ACTORS}",
            (_count("backstay_actor_restarts_total", "#", "reason"), "{{reason}}"),
            stacked=True,
        ),
        lines(
            "Mail waiting",
            "short",
            f"The five fullest mailboxes. {ACTORS}",
            ("topk(5, backstay_actor_mailbox_length{#})", "{{actor}}"),
        ),
        lines(
            "Wait in the mailbox",
            "s",
            f"How long messages lay in a mailbox (99 of 100 less). {ACTORS}",
            (_quantile("backstay_actor_mailbox_wait_seconds", "#", ""), "99 of 100"),
        ),
        lines(
            "Timers late",
            "s",
            "How late timers of the process fire; when this rises it is short of processor time.",
            (_quantile("backstay_event_loop_lag_seconds", "%", "instance, "), "{{instance}}"),
        ),
        lines(
            "Orders written down",
            "s",
            "How long it took until orders were on disk (99 of 100 less).",
            (_quantile("backstay_journal_fsync_duration_seconds", "%", "instance, "), "{{instance}}"),
        ),
        lines(
            "Orders can be written down",
            "short",
            "Whether the journal can be used; while it cannot, orders are refused.",
            ("min by (instance) (backstay_journal_usable{%})", "{{instance}}"),
            look=Look.STATES,
            names=YES_NO,
        ),
        lines(
            "Commands of operators",
            "short",
            "What was ordered, and what of it was refused or failed.",
            (_count("backstay_operator_actions_total", "%", "action"), "{{action}}"),
            (_count("backstay_operator_action_failures_total", "%", "action"), "{{action}} failed"),
            width=6,
        ),
        lines(
            "Processor",
            "percentunit",
            "Part of one core that the process uses.",
            (f"rate(process_cpu_seconds_total{{%}}[{RATE}])", "{{instance}}"),
            width=6,
        ),
        lines(
            "Memory",
            "bytes",
            "What the process holds.",
            ("process_resident_memory_bytes{%}", "{{instance}}"),
            width=6,
        ),
        lines(
            "Log",
            "short",
            "Log records by level.",
            (_count("backstay_log_messages_total", "%", "level"), "{{level}}"),
            stacked=True,
            width=6,
        ),
    ),
)
