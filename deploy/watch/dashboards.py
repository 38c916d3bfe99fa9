"""Grafana's JSON for the dashboards. Grafana 10 and newer (schema version 39). No dependency."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.watch.boards import BOARDS, PROCESS
from deploy.watch.panels_model import FULL_WIDTH, Board, Look, Marks, Panel, Query

SCHEMA_VERSION = 39
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
Json = dict[str, Any]


def expression(board: Board, text: str) -> str:
    """An expression with the dashboard's selectors: `@` of its connections, `#` of their actors, `%` of the process."""
    actors = f'{PROCESS},actor=~".*/$connection(/.*)?"' if board.per_connection else PROCESS
    by_supervisor = actors.replace("actor=~", "supervisor=~")
    for metric in ("backstay_actor_restarts_total", "backstay_actor_escalations_total"):
        text = text.replace(f"{metric}{{#", f"{metric}{{{by_supervisor}")
    return text.replace("{@", "{" + board.selector).replace("{#", "{" + actors).replace("{%", "{" + PROCESS)


def _target(board: Board, panel: Panel, number: int, query: Query) -> Json:  # noqa: PLR0917
    kind = "heatmap" if panel.look is Look.HEAT else "time_series"
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "expr": expression(board, query.expr),
        "legendFormat": query.legend or "__auto",
        "format": kind,
        "instant": panel.look in {Look.STAT, Look.BARS},
        "range": panel.look not in {Look.STAT, Look.BARS},
        "editorMode": "code",
    }


def _mappings(panel: Panel) -> list[Json]:
    if not panel.names:
        return []
    options = {
        f"{value:g}": {"text": text, "color": colour, "index": index}
        for index, (value, text, colour) in enumerate(panel.names)
    }
    return [{"type": "value", "options": options}]


def _field_config(panel: Panel) -> Json:
    steps = panel.steps or ((None, "green"),)
    custom: Json = {}
    if panel.look is Look.LINES:
        custom = {
            "drawStyle": "line",
            "lineInterpolation": "linear",
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 5,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"group": "A", "mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "line" if panel.line else "off"},
        }
    elif panel.look is Look.STATES:
        custom = {"lineWidth": 0, "fillOpacity": 80, "spanNulls": False}
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.look is Look.LINES else "thresholds"},
        "mappings": _mappings(panel),
        "thresholds": {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]},
        "custom": custom,
    }
    bounds = {"min": panel.least, "max": panel.most, "decimals": panel.decimals}
    defaults |= {name: value for name, value in bounds.items() if value is not None}
    return {"defaults": defaults, "overrides": []}


def _options(panel: Panel) -> Json:
    reduce_options = {"values": False, "calcs": ["lastNotNull"], "fields": ""}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    match panel.look:
        case Look.STAT:
            return {
                "reduceOptions": reduce_options,
                "orientation": "auto",
                "textMode": "value",
                "colorMode": "value",
                "graphMode": "none",
                "justifyMode": "auto",
                "wideLayout": True,
                "percentChangeColorMode": "standard",
                "showPercentChange": False,
            }
        case Look.BARS:
            return {
                "reduceOptions": reduce_options,
                "orientation": "horizontal",
                "displayMode": "basic",
                "showUnfilled": True,
                "valueMode": "color",
                "minVizWidth": 8,
                "minVizHeight": 16,
                "maxVizHeight": 300,
                "namePlacement": "auto",
                "sizing": "auto",
                "legend": legend | {"showLegend": False},
            }
        case Look.STATES:
            return {
                "mergeValues": True,
                "showValue": "auto",
                "alignValue": "left",
                "rowHeight": 0.9,
                "legend": legend,
                "tooltip": {"mode": "single", "sort": "none"},
            }
        case Look.HEAT:
            return {
                "calculate": False,
                "cellGap": 1,
                "color": {"mode": "scheme", "scheme": "Oranges", "exponent": 0.5, "fill": "dark-orange", "steps": 64},
                "yAxis": {"unit": panel.unit, "axisPlacement": "left"},
                "legend": {"show": True},
                "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "filterValues": {"le": 1e-9},
                "rowsFrame": {"layout": "auto"},
                "showValue": "never",
            }
        case Look.LINES:
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def _panel(board: Board, panel: Panel, number: int, place: tuple[int, int]) -> Json:  # noqa: PLR0917
    column, top = place
    return {
        "id": number,
        "type": panel.look.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": {"x": column, "y": top, "w": panel.width, "h": panel.height},
        "targets": [_target(board, panel, index, query) for index, query in enumerate(panel.queries)],
        "fieldConfig": _field_config(panel),
        "options": _options(panel),
    }


def _panels(board: Board) -> Iterator[Json]:
    number, top = 1, 0
    for row in board.rows:
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": FULL_WIDTH, "h": 1},
            "panels": [],
        }
        number, top, column, tallest = number + 1, top + 1, 0, 0
        for panel in row.panels:
            if column + panel.width > FULL_WIDTH:
                column, top, tallest = 0, top + tallest, 0
            yield _panel(board, panel, number, (column, top))
            number, column, tallest = number + 1, column + panel.width, max(tallest, panel.height)
        top += tallest


def _variable(name: str, label: str, query: str, *, several: bool) -> Json:
    everything = {"allValue": ".*", "current": {"selected": True, "text": "All", "value": "$__all"}} if several else {}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": several,
        "includeAll": several,
        "hide": 0,
        "regex": "",
        "skipUrlSync": False,
        **everything,
    }


def _variables(board: Board) -> list[Json]:
    source = {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }
    variables = [
        source,
        _variable("job", "Job", "label_values(backstay_build_info, job)", several=True),
        _variable("instance", "Instance", 'label_values(backstay_build_info{job=~"$job"}, instance)', several=True),
    ]
    if "$connection" in board.selector:
        query = f"label_values(backstay_connection_info{{{PROCESS}}}, connection)"
        variables.append(_variable("connection", "Connection", query, several=not board.per_connection))
    return variables


def _annotation(board: Board, marks: Marks) -> Json:
    return {
        "name": marks.name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": marks.colour,
        "target": {"refId": "Anno", "expr": expression(board, marks.expr), "range": True},
        "titleFormat": marks.title,
    }


def dashboard(board: Board) -> Json:
    """The JSON of a dashboard."""
    links = [
        {
            "type": "dashboards",
            "title": "backstay",
            "tags": ["backstay"],
            "asDropdown": False,
            "icon": "external link",
            "includeVars": True,
            "keepTime": True,
            "targetBlank": False,
            "tooltip": "",
            "url": "",
        }
    ]
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["backstay"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "browser",
        "time": {"from": board.span, "to": "now"},
        "annotations": {"list": [_annotation(board, marks) for marks in board.marks]},
        "templating": {"list": _variables(board)},
        "links": links,
        "panels": list(_panels(board)),
    }


def files() -> Mapping[str, str]:
    """The JSON files by path."""
    return {
        f"deploy/grafana/dashboards/{board.uid}.json": json.dumps(dashboard(board), indent=2, ensure_ascii=False) + "\n"
        for board in BOARDS
    }
