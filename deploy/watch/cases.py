"""What `promtool test rules` runs: for every alert, courses of the metrics under which it fires and stays silent.

A course is written as promtool has it: `1x8 0x20` is 1 for nine readings, then 0. `stale _x2` is what a failed scrape
and two more that never came leave behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote_plus

from deploy.watch.alerts import ALERTS
from deploy.watch.cases_budget import BUDGET_CASES
from deploy.watch.cases_connection import CONNECTION_CASES
from deploy.watch.cases_daemon import DAEMON_CASES
from deploy.watch.cases_model import Case, Firing
from deploy.watch.cases_traffic import TRAFFIC_CASES
from deploy.watch.model import Alert, Links
from deploy.watch.rule_files import HEADER

AT_ONCE: tuple[Case, ...] = (*CONNECTION_CASES, *TRAFFIC_CASES, *DAEMON_CASES)
CASES: tuple[Case, ...] = (*AT_ONCE, *BUDGET_CASES)

LABEL = re.compile(r"\{\{ \$labels\.(\w+)( \| urlquery)? \}\}")
VALUE = re.compile(r"\{\{ \$value[^}]*\}\}")


def uncovered(alerts: Sequence[Alert] = ALERTS, cases: Sequence[Case] = CASES) -> list[str]:
    """Alerts without a case that fires or without one that is silent, and cases of no alert."""
    firing = {case.key for case in cases if case.does_fire}
    silent = {case.key for case in cases if case.quiet and not case.fires}
    known = {alert.key for alert in alerts}
    return [
        *(f"{alert.key} has no case that fires" for alert in alerts if alert.key not in firing),
        *(f"{alert.key} has no case that stays silent" for alert in alerts if alert.key not in silent),
        *(f"{case.key} is no alert: {case.story}" for case in cases if case.key not in known),
    ]


def files(links: Links) -> Mapping[str, str]:
    """The files of promtool by path; days are looked at with fewer readings."""
    return {
        "deploy/prometheus/alerts.test.yml": _file(AT_ONCE, ("15s", "15s"), links),
        "deploy/prometheus/budget.test.yml": _file(BUDGET_CASES, ("2m", "6m"), links),
    }


def _file(cases: Sequence[Case], intervals: tuple[str, str], links: Links) -> str:
    readings, evaluations = intervals
    lines = [
        f"{HEADER}# Its cases are in deploy/watch/cases*.py.",
        "rule_files: [backstay.records.yml, backstay.alerts.yml]",
        f"evaluation_interval: {evaluations}",
        # Without it promtool takes them in any order, and alerts may look for records of one evaluation ago.
        "group_eval_order: [backstay-records, backstay-alerts]",
        "tests:",
    ]
    for case in cases:
        lines += _group(case, readings, links)
    return "\n".join(lines) + "\n"


def _group(case: Case, interval: str, links: Links) -> Iterable[str]:
    why = f"silent, {case.quiet.value}" if case.quiet else "fires"
    yield f"  - name: {json.dumps(f'{case.key}, {why}: {case.story}')}"
    yield f"    interval: {interval}"
    yield "    input_series:"
    for course in case.given:
        yield f"      - {{series: {_quoted(str(course))}, values: {_quoted(course.values)}}}"
    yield "    alert_rule_test:"
    for moment in case.at:
        yield f"      - eval_time: {moment}"
        yield f"        alertname: {case.alert}"
        yield "        exp_alerts:" if case.fires else "        exp_alerts: []"
        for firing in case.fires:
            yield from _expected(case.alert, firing, links)


def _expected(name: str, firing: Firing, links: Links) -> Iterable[str]:
    alert = next(one for one in ALERTS if one.name == name and one.window == firing.window)
    labels = {**firing.labels, **alert.labels}
    texts = {key: _rendered(text, firing) for key, text in alert.annotations(links).items()}
    yield f"          - exp_labels: {json.dumps(labels)}"
    yield f"            exp_annotations: {json.dumps(texts, ensure_ascii=False)}"


def _rendered(text: str, firing: Firing) -> str:
    def value(found: re.Match[str]) -> str:
        label = firing.labels[found[1]]
        return quote_plus(label) if found[2] else label

    return VALUE.sub(firing.shown, LABEL.sub(value, text))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
