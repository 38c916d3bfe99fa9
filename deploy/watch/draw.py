"""Draw what Prometheus saw of a live run: `python -m deploy.watch.live --pictures docs/pictures`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.watch.live_breaks import BREAKS, QUIET, first, relayed
from deploy.watch.live_stack import Stage, subject_of
from deploy.watch.pictures import Curve, Frame, Lane, Span, curves, lanes

STEP_SECONDS = 1.0
Points = Sequence[tuple[float, float]]

STATE_COLOURS = {
    "ready": "#2f9e63",
    "degraded": "#e08a1e",
    "waiting": "#c2413b",
    "parked": "#7a1f3d",
    "paused": "#4a7fc1",
    "other": "#d9b036",
}
PENDING, PAGE, TICKET, QUIET_COLOUR = "#f2d9a0", "#c2413b", "#e08a1e", "#a9b2bc"


def draw(stage: Stage, folder: Path) -> None:
    """Write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    end = time.time()
    pictures = {
        "states.svg": _states(stage, end),
        "alerts.svg": _alerts(stage, end),
        "silence.svg": _silence(stage, end),
    }
    for name, text in pictures.items():
        (folder / name).write_text(text, encoding="utf-8")


def _points(stage: Stage, expr: str, end: float) -> Iterator[tuple[Mapping[str, str], Points]]:
    for one in stage.query_range(expr, start=stage.begun_wall, end=end, step=STEP_SECONDS):
        yield one["metric"], [(float(at) - stage.begun_wall, float(value)) for at, value in one["values"]]


def _spans(points: Points) -> Iterator[tuple[float, float]]:
    """Where a series is 1, or simply is there, without a gap."""
    begin = last = None
    for at, value in points:
        if value != 1 or (last is not None and at - last > 2 * STEP_SECONDS):
            if begin is not None and last is not None:
                yield begin, last + STEP_SECONDS
            begin = None
        if value == 1:
            begin = at if begin is None else begin
            last = at
    if begin is not None and last is not None:
        yield begin, last + STEP_SECONDS


def _states(stage: Stage, end: float) -> str:
    spans: dict[str, list[Span]] = {}
    for labels, points in _points(stage, "backstay_connection_state", end):
        colour = STATE_COLOURS.get(labels["state"], STATE_COLOURS["other"])
        for begin, finish in _spans(points):
            spans.setdefault(labels["connection"], []).append(Span(begin, finish, colour, labels["state"]))
    rows = [
        Lane(one.story, tuple(sorted(spans.get(name, []), key=_begin)))
        for one in (*BREAKS, *QUIET)
        for name in [_shown(one.gateway, spans)]
    ]
    legend = tuple((colour, "on its way up" if state == "other" else state) for state, colour in STATE_COLOURS.items())
    title = "Gateways broken in every way at once: the states of their connections"
    subtitle = "One daemon, a gateway a row, scraped every second. The last three: a healthy day, and planned work."
    return lanes(Frame(title, subtitle, end - stage.begun_wall, 290, legend), rows)


def _shown(gateway: str, known: Iterable[str]) -> str:
    return relayed(gateway) if relayed(gateway) in known else first(gateway)


def _alerts(stage: Stage, end: float) -> str:
    called = {(call.name, call.subject) for call in stage.pager.calls}
    spans: dict[tuple[str, str], list[Span]] = {}
    for labels, points in _points(stage, 'ALERTS{alertname=~"Backstay.+"}', end):
        name, subject = labels["alertname"], subject_of(labels)
        firing = PAGE if labels["severity"] == "critical" else TICKET
        colour = PENDING
        if labels["alertstate"] == "firing":
            colour = firing if (name, subject) in called else QUIET_COLOUR
        for begin, finish in _spans(points):
            spans.setdefault((subject, name), []).append(Span(begin, finish, colour))
    fired = {key for key, row in spans.items() if any(span.colour != PENDING for span in row)}
    rows = [
        Lane(f"{name.removeprefix('Backstay')}   {_part(subject)}", tuple(sorted(spans[subject, name], key=_begin)))
        for subject, name in sorted(fired, key=_by_gateway)
    ]
    legend = ((PENDING, "pending"), (PAGE, "page"), (TICKET, "ticket"), (QUIET_COLOUR, "fires, and nobody is called"))
    title = "The same two minutes: what fired, and for what somebody was called"
    subtitle = "Times in the rules are divided by ten. A grey alert is kept quiet by another one that says more."
    return lanes(Frame(title, subtitle, end - stage.begun_wall, 290, legend), rows)


def _begin(span: Span) -> float:
    return span.begin


def _part(subject: str) -> str:
    """Ports differ from run to run."""
    return "the daemon" if ":" in subject else subject


def _by_gateway(key: tuple[str, str]) -> tuple[int, str, str]:
    subject, name = key
    gateways = [one.gateway for one in BREAKS]
    gateway = subject.partition(".")[0].partition("/")[0]
    return (gateways.index(gateway) if gateway in gateways else len(gateways), subject, name)


def _silence(stage: Stage, end: float) -> str:
    shown = {first("frozen"): PAGE, first("crawls"): TICKET, relayed("busy"): STATE_COLOURS["ready"]}
    words = {
        first("frozen"): "its gateway freezes, and is found broken after 22 s",
        first("crawls"): "its gateway sends seven bytes a second",
        relayed("busy"): "a client streams quotes",
    }
    names = "|".join(shown)
    expr = f'time() - backstay_last_message_received_timestamp_seconds{{connection=~"{names}"}} > 0'
    found: dict[str, Any] = {labels["connection"]: points for labels, points in _points(stage, expr, end)}
    lines = [Curve(words[name], shown[name], tuple(found.get(name, ()))) for name in shown]
    legend = tuple((shown[name], words[name]) for name in shown)
    subtitle = "Without data backstay asks for the time after two seconds here; by default after five."
    frame = Frame("Time since the last message", subtitle, end - stage.begun_wall, 70, legend)
    return curves(frame, " s", lines, most=25)
