"""The lives of a connection and of a request as a page, that of a connection as a picture, from their tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from html import escape
from math import hypot

from backstay.session import request_life
from backstay.session.lifecycle import BUSY_STATES, ROWS, TRANSITIONS, Action, Event, State

HEAD = """# The life of a connection

Written by `python -m deploy.pages.generate` from the table `ROWS` in [`lifecycle.py`](../session/lifecycle.py); a test
compares.

![States and transitions](pictures/lifecycle.svg)

An arrow from the frame counts for states in it: which, is in the table. `pause`, `drain`, `stop` and `restart` count in
nearly every state. `degraded`, which is shown as well, is `ready` while the gateway has lost IB's servers. `draining`
is one that ends; a `ready` one that takes nothing new while an operator drains it is shown so, too. Every pair of state
and event that is not in the table is impossible, and a test walks all of them.

| in | when | then | doing |
|---|---|---|---|"""

REQUESTS = """
## The life of a request

The same of a stream or read of a client, from the table in [`request_life.py`](../session/request_life.py). Each has
exactly one ending; `backstay_requests_ended_total` counts them. `backstay requests` shows where those stand that are
open. An order, which may also be in doubt, is followed by the table of [`intents.py`](../session/intents.py); settings
last as long as their client.

| is | when | then |
|---|---|---|"""

PLACES: dict[State, tuple[int, int]] = {
    State.CONNECTING: (560, 70),
    State.HANDSHAKING: (560, 160),
    State.AWAITING_ACCEPTANCE: (770, 205),
    State.STARTING: (560, 250),
    State.VERIFYING: (560, 340),
    State.SYNCING: (560, 430),
    State.READY: (560, 520),
    State.WAITING: (110, 400),
    State.PARKED: (110, 120),
    State.PAUSED: (1110, 90),
    State.STOPPED: (1110, 250),
    State.DRAINING: (1110, 475),
}
WIDTH, HEIGHT = 1220, 580
BOX = (150, 34)
FRAME = (450, 40, 410, 510)
FRAME_SIDES = {State.WAITING: (450, 440), State.PAUSED: (860, 110), State.STOPPED: (860, 300)}
TOGETHER = 3
"""So many states of the frame that go the same way are drawn as one arrow."""

ANYWHERE = (Event.PAUSE, Event.DRAIN, Event.STOP, Event.RESTART)
"""What operators may say in any state: drawn for the frame, told in the text for the others."""

BEND, BEND_OF_NEAR, NEAR = 0.1, 1.1, 57.5
STYLE = """
text { font: 12px sans-serif; fill: #24292f; text-anchor: middle }
.word { font-size: 10.5px; fill: #57606a; paint-order: stroke; stroke: #ffffff; stroke-width: 3px }
rect { fill: #ddf4ff; stroke: #0969da } .frame { fill: none; stroke: #8c959f; stroke-dasharray: 5 4 }
.ground { fill: #ffffff; stroke: none } path { fill: none; stroke: #57606a; marker-end: url(#end) }
"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join((HEAD, *map(_row, ROWS), REQUESTS, *_request_rows(), ""))


def _request_rows() -> Iterator[str]:
    for standings, what, to in request_life.ROWS:
        where = "any" if set(standings) == set(request_life.Standing) else ", ".join(f"`{s.value}`" for s in standings)
        then = f"over: **{to.value}**" if isinstance(to, request_life.Ending) else f"`{to.value}`"
        yield f"| {where} | {what.value} | {then} |"


def _row(row: tuple[tuple[State, ...], Event, State | None, tuple[Action, ...]]) -> str:
    states, event, to, actions = row
    where = "any" if set(states) == set(State) else ", ".join(f"`{state.value}`" for state in states)
    doing = "; ".join(action.value for action in actions)
    return f"| {where} | {event.value} | {f'`{to.value}`' if to else 'stays'} | {doing or '-'} |"


def arrows() -> dict[tuple[State | None, State], list[str]]:
    """Words by where from (None: the frame) and where to; what changes no state is left out."""
    sources: dict[tuple[Event, State], list[State]] = defaultdict(list)
    for (state, event), transition in TRANSITIONS.items():
        if transition.to is not state and event is not Event.RESTART:
            sources[event, transition.to].append(state)
    words: dict[tuple[State | None, State], list[str]] = defaultdict(list)
    for (event, to), states in sources.items():
        framed = [state for state in states if state in BUSY_STATES]
        together = len(framed) >= TOGETHER and to in FRAME_SIDES
        if together:
            words[None, to].append(event.value)
        for state in states:
            drawn = event not in ANYWHERE or state in (State.READY, State.SYNCING, State.DRAINING)
            if drawn and not (together and state in BUSY_STATES):
                words[state, to].append(event.value)
    return words


def picture() -> str:
    """The picture as SVG."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
    yield f"<title>States of a connection</title><style>{STYLE}</style>"
    yield '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    yield '<polygon points="0,0 8,4 0,8" fill="#57606a"/></marker></defs>'
    yield f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>'
    x, y, width, height = FRAME
    yield f'<rect class="frame" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>'
    words: list[str] = []
    for (source, to), events in arrows().items():
        begin = FRAME_SIDES[to] if source is None else PLACES[source]
        path, *more = _arrow(begin, PLACES[to], events, framed=source is None)
        words += more
        yield path
    for state, (x, y) in PLACES.items():
        yield f'<rect x="{x - BOX[0] // 2}" y="{y - BOX[1] // 2}" width="{BOX[0]}" height="{BOX[1]}" rx="6"/>'
        yield f'<text x="{x}" y="{y + 4}">{state.value}</text>'
    yield from words
    yield "</svg>"


def _arrow(begin: tuple[int, int], end: tuple[int, int], words: list[str], *, framed: bool) -> Iterator[str]:
    """A bent line between the edges of two boxes, with its words beside its middle."""
    (x1, y1), (x2, y2) = begin if framed else _edge(begin, end), _edge(end, begin)
    bend = BEND if hypot(x2 - x1, y2 - y1) > NEAR else BEND_OF_NEAR
    cx, cy = (x1 + x2) / 2 - (y2 - y1) * bend, (y1 + y2) / 2 + (x2 - x1) * bend
    yield f'<path d="M{x1:.0f},{y1:.0f} Q{cx:.0f},{cy:.0f} {x2:.0f},{y2:.0f}"/>'
    mx, my = (x1 + 2 * cx + x2) / 4, (y1 + 2 * cy + y2) / 4
    for index, word in enumerate(words):
        yield f'<text class="word" x="{mx:.0f}" y="{my + 11 * index:.0f}">{escape(word)}</text>'


def _edge(begin: tuple[int, int], towards: tuple[int, int]) -> tuple[float, float]:
    """Where the line from the middle of one box towards another leaves it."""
    dx, dy = towards[0] - begin[0], towards[1] - begin[1]
    share = min(BOX[0] / 2 / abs(dx) if dx else 9.0, BOX[1] / 2 / abs(dy) if dy else 9.0)
    return begin[0] + dx * share, begin[1] + dy * share
