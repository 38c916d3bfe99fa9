"""What every panel and every expression of a dashboard has to keep to. Takes the JSON, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

VARIABLES = {
    "$__rate_interval": "10s",
    "$__interval": "5s",
    "$job": "backstay",
    "$instance": ".*",
    "$connection": "paper/7",
}
"""What Grafana would put in; the first ones first, since one is the beginning of another."""

COUNTER = re.compile(r"\b(?:backstay|process)_\w+_(?:total|bucket)\{[^}]*\}(\[[^\]]+\])?")
Json = Mapping[str, Any]


def filled(expr: str, **variables: str) -> str:
    """An expression as Prometheus gets it."""
    for name, value in (VARIABLES | {f"${key}": text for key, text in variables.items()}).items():
        expr = expr.replace(name, value)
    return expr


def panels(dashboard: Json) -> Iterator[Json]:
    """The panels, without the headings between them."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def expressions(dashboard: Json) -> Iterator[tuple[str, str]]:
    """Every expression, and where it is."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield f"{dashboard['uid']}, {panel['title']}, {target['refId']}", target["expr"]
    for mark in dashboard["annotations"]["list"]:
        yield f"{dashboard['uid']}, {mark['name']}", mark["target"]["expr"]


def _faults_of_panel(panel: Json) -> Iterator[str]:
    defaults = panel["fieldConfig"]["defaults"]
    if not defaults.get("unit"):
        yield "has no unit"
    if not panel.get("description", "").endswith("."):
        yield "has no description"
    if not panel["targets"]:
        yield "asks for nothing"
    if panel["datasource"]["uid"] != "${datasource}":
        yield "has a data source of its own"
    steps = [step["value"] for step in defaults["thresholds"]["steps"]]
    if steps[0] is not None or steps[1:] != sorted(steps[1:]):
        yield "has colours in no order"
    for target in panel["targets"]:
        windows = [found[1] for found in COUNTER.finditer(target["expr"])]
        if None in windows:
            yield "shows a counter without rate or increase"


def _overlaps(dashboard: Json) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"{panel['title']} is wider than the page"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if taken.setdefault((x, y), panel["title"]) != panel["title"]:
                    yield f"{panel['title']} lies on {taken[x, y]}"
                    return


def faults(dashboard: Json) -> list[str]:
    """What is wrong with it."""
    found = [f"{panel['title']} {fault}" for panel in panels(dashboard) for fault in _faults_of_panel(panel)]
    found += _overlaps(dashboard)
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(set(ids)) != len(ids):
        found.append("two panels have one id")
    if dashboard["editable"]:
        found.append("can be edited, and the edits would be lost")
    known = {f"${one['name']}" for one in dashboard["templating"]["list"]} | set(VARIABLES) & {
        "$__rate_interval",
        "$__interval",
    }
    for place, expr in expressions(dashboard):
        found += [f"{place}: {name} is no variable" for name in re.findall(r"\$\w+", expr) if name not in known]
    return found
