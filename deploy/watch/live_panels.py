"""See every panel of every dashboard return data from a real Prometheus."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence

from deploy.watch.dashboards import files
from deploy.watch.live_stack import Stage
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
