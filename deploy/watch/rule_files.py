"""The files of Prometheus and Alertmanager, and the reference page, as text; nothing but the table decides them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from deploy.watch.alerts import ALERTS, INHIBITIONS
from deploy.watch.model import REAL_TIME, Alert, Inhibition, Links, Pace
from deploy.watch.records import RECORDS

HEADER = "# Written by `python -m deploy.watch.generate` from deploy/watch/alerts.py.\n"

RECORD_INTERVAL = "30s"
ALERT_INTERVAL = "15s"


def block(text: str, indent: int) -> str:
    """A literal block of YAML."""
    space = "\n" + " " * indent
    return "|-" + space + space.join(text.splitlines())


def mapping(pairs: Mapping[str, str], indent: int) -> list[str]:
    """Lines of a YAML mapping of plain strings; JSON's quotes are YAML's."""
    return [f"{' ' * indent}{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in pairs.items()]


def records_file(pace: Pace = REAL_TIME) -> str:
    """The recording rules."""
    lines = [HEADER + "groups:", "  - name: backstay-records", f"    interval: {pace.duration(RECORD_INTERVAL)}"]
    lines.append("    rules:")
    for record in RECORDS:
        lines += [f"      - record: {record.name}", f"        expr: {block(pace.expression(record.expr), 10)}"]
    return "\n".join(lines) + "\n"


def _rule(alert: Alert, pace: Pace, links: Links) -> Iterable[str]:
    yield f"      - alert: {alert.name}"
    yield f"        expr: {block(pace.expression(alert.expr), 10)}"
    if alert.hold:
        yield f"        for: {pace.duration(alert.hold)}"
    if alert.keep:
        yield f"        keep_firing_for: {pace.duration(alert.keep)}"
    yield "        labels:"
    yield from mapping(alert.labels, 10)
    yield "        annotations:"
    yield from mapping(alert.annotations(links), 10)


def alerts_file(pace: Pace = REAL_TIME, links: Links | None = None) -> str:
    """The alerts."""
    lines = [HEADER + "groups:", "  - name: backstay-alerts", f"    interval: {pace.duration(ALERT_INTERVAL)}"]
    lines.append("    rules:")
    for alert in ALERTS:
        lines += _rule(alert, pace, links or Links())
    return "\n".join(lines) + "\n"


def prometheus_rule_file(links: Links | None = None) -> str:
    """Both files as one object of the Prometheus operator."""
    head = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: backstay\nspec:\n  groups:\n"
    groups = (text.split("groups:\n", 1)[1] for text in (records_file(), alerts_file(links=links)))
    lines = (line for text in groups for line in text.splitlines())
    return HEADER + head + "".join(f"  {line}\n" if line else "\n" for line in lines)


def _matcher(names: tuple[str, ...]) -> str:
    return f'alertname="{names[0]}"' if len(names) == 1 else f'alertname=~"{"|".join(names)}"'


def _inhibition(one: Inhibition) -> Iterable[str]:
    yield f"  # {one.why}"
    extra = [", 'severity=\"critical\"'", ", 'severity=\"warning\"'"] if one.by_severity else ["", ""]
    yield f"  - source_matchers: ['{_matcher(one.sources)}'{extra[0]}]"
    yield f"    target_matchers: ['{_matcher(one.targets)}'{extra[1]}]"
    yield f"    equal: [{', '.join(one.equal)}]"


def alertmanager_file(pace: Pace = REAL_TIME, *, webhook: str = "") -> str:
    """Routes and inhibitions. Without `webhook` the receivers are empty: whoever installs it fills them."""
    target = f"\n    webhook_configs: [{{url: {json.dumps(webhook)}, send_resolved: true}}]" if webhook else ""
    hint = "" if webhook else "  # Add your pager, chat or mail to these two.\n"
    wait, interval, repeat, ticket = (pace.duration(text) for text in ("30s", "5m", "4h", "1d"))
    head = f"""{HEADER}route:
  receiver: ticket
  group_by: [alertname, job, instance, gateway, connection]
  # Longer than the rules' intervals, so that what inhibits has arrived before anybody is called.
  group_wait: {wait}
  group_interval: {interval}
  repeat_interval: {ticket}
  routes:
    - matchers: ['severity="critical"']
      receiver: page
      repeat_interval: {repeat}

receivers:
{hint}  - name: page{target}
  - name: ticket{target}

inhibit_rules:
"""
    return head + "\n".join(line for one in INHIBITIONS for line in _inhibition(one)) + "\n"


def silenced_by(alert: Alert) -> list[str]:
    """Names of the alerts that keep this one quiet."""
    names = [
        f"{source} (critical)" if one.by_severity else source
        for one in INHIBITIONS
        if alert.name in one.targets and not (one.by_severity and alert.severity == "critical")
        for source in one.sources
    ]
    return [name.removeprefix("Backstay") for name in dict.fromkeys(names)]


def _one_line(expr: str) -> str:
    return " ".join(expr.split()).replace("|", "\\|")


def _row(alert: Alert) -> str:
    hold = alert.hold or "at once"
    quiet = ", ".join(silenced_by(alert)) or "-"
    return (
        f"| [{alert.key}](runbooks/{alert.name}.md) | {alert.severity} | {hold} | {_plain(alert.summary)} | {quiet} |"
    )


def _plain(text: str) -> str:
    """A summary for people: labels by name, values as a number."""
    return re.sub(r"\{\{ \$value[^}]*\}\}", "*N*", re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", text))


def reference_page() -> str:
    """docs/alerts.md."""
    rows = "\n".join(map(_row, ALERTS))
    expressions = "\n".join(
        f"### {alert.key}\n\n```promql\n{REAL_TIME.expression(alert.expr)}\n```\n" for alert in ALERTS
    )
    records = "\n".join(f"| `{one.name}` | `{_one_line(one.expr)}` |" for one in RECORDS)
    return f"""# Alerts

Written by `python -m deploy.watch.generate` from [`alerts.py`](../deploy/watch/alerts.py).
How they are installed is told in [watching.md](watching.md).

*critical* is for a page, *warning* for a ticket. *Held* is how long it has to be so before it fires. *Quiet while*
names the alerts that keep it from being sent. Each has a page that says what it means, what it costs, how to find the
cause and what to do.

| alert | severity | held | says | quiet while |
|---|---|---|---|---|
{rows}

## Expressions

{expressions}
## Recording rules

| name | expression |
|---|---|
{records}
"""
