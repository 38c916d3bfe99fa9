"""See what Prometheus makes of a daemon: every panel of every dashboard returns data, and it likes the metrics."""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Sequence
from urllib.request import urlopen

from deploy.watch.dashboards import files
from deploy.watch.live_stack import ANSWER_SECONDS, Stage, tool
from deploy.watch.panel_rules import expressions, filled

STEP_SECONDS = 2.0


def empty_panels(stage: Stage, connections: Sequence[str]) -> list[str]:
    """Expressions that showed not one number over the whole run, whichever of the connections was looked at."""
    problems: list[str] = []
    for text in files().values():
        for place, expr in expressions(json.loads(text)):
            candidates = connections if '"$connection"' in expr else connections[:1]
            if not any(_shows(stage, filled(expr, connection=one)) for one in candidates):
                problems.append(f"{place} shows nothing: {expr}")
    return problems


def _shows(stage: Stage, expr: str) -> bool:
    series = stage.query_range(expr, start=stage.begun_wall, end=time.time(), step=STEP_SECONDS)
    return any(not math.isnan(float(value)) for one in series for _, value in one["values"])


DISLIKED = "# TYPE backstay_dials counter\nbackstay_dials 1\n"
"""No help, and a counter without `_total`."""


def disliked_metrics(stage: Stage) -> list[str]:
    """What promtool has against the exposition of the daemon; also if it has nothing against one that is wrong."""
    with urlopen(f"{stage.http}/metrics", timeout=ANSWER_SECONDS) as answer:  # noqa: S310  # our own address
        said = _lint(answer.read().decode())
    problems = [f"promtool check metrics: {said}"] if said else []
    return problems if _lint(DISLIKED) else [*problems, "promtool check metrics finds no fault where there is one"]


def _lint(exposition: str) -> str:
    command = (tool("promtool"), "check", "metrics")
    done = subprocess.run(command, input=exposition, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout + done.stderr
