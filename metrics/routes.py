"""What can be asked over HTTP, and how it is answered: the listener dispatches by these rows, docs/http.md tells them.

`{name:path}` in a path takes slashes as well: connections of clients are called RELAY/CLIENT_ID.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

TEXT, PAGE, JSON, EVENTS = "text/plain", "text/html", "application/json", "text/event-stream"
EXPOSITION, OPEN_METRICS = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"

METHODS = ("GET", "HEAD")
"""All that the public listener answers."""


class Answer(NamedTuple):
    """One way in which something is answered: status code, content type, and what it means."""

    status: int
    content: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    """One row. `page`: the method that answers. `given`: what may stand behind the path, and what may be in the head.

    `is_open`: asked without a password, also where there are users.
    """

    path: str
    page: str
    meaning: str
    answers: tuple[Answer, ...]
    given: Mapping[str, str] = field(default_factory=dict[str, str])
    method: str = METHODS[0]
    is_open: bool = False


class Refusal(NamedTuple):
    """An answer to whatever was asked. `text` is all of it; where it is empty the server has words of its own."""

    status: int
    meaning: str
    text: str = ""


NO_CONNECTION = Answer(404, TEXT, "there is no connection of that name")

VERBOSE = {"?verbose": "tells of what is well, too"}

FOLLOWING = {
    "?last=COUNT": "so many of the past as well",
    "?since=NUMBER": "those after this one; `Last-Event-ID` in the head does the same, and counts before it",
    "?unnamed": "without the stream's own names, for browsers, which hear only names that they have asked for",
}

ROUTES: tuple[HttpRoute, ...] = (
    HttpRoute(
        path="/",
        page="page",
        meaning="The status page.",
        answers=(Answer(200, PAGE, "the page; it loads nothing but itself"),),
    ),
    HttpRoute(
        path="/metrics",
        page="metrics",
        meaning="[All metrics](metrics.md), for Prometheus.",
        answers=(Answer(200, EXPOSITION, "the text format"), Answer(200, OPEN_METRICS, "if `Accept` asks for it")),
        given={"Accept-Encoding: gzip": "compressed"},
    ),
    HttpRoute(
        path="/livez",
        page="livez",
        meaning="Whether the process itself works. Never looks at a gateway: for whoever restarts what is dead.",
        answers=(Answer(200, TEXT, "it works"), Answer(503, TEXT, "its supervisor or watchdog does not move")),
        given=VERBOSE,
        is_open=True,
    ),
    HttpRoute(
        path="/healthz",
        page="livez",
        meaning="Another name of `/livez`.",
        answers=(Answer(200, TEXT, "it works"), Answer(503, TEXT, "its supervisor or watchdog does not move")),
        given=VERBOSE,
        is_open=True,
    ),
    HttpRoute(
        path="/readyz",
        page="readyz",
        meaning="Whether every connection that is wanted is ready - in planned downtime and under a hold none is - and "
        "orders can be written down.",
        answers=(
            Answer(200, TEXT, "all are"),
            Answer(503, TEXT, "one is not, the journal cannot be used, or the daemon is about to stop"),
        ),
        given={**VERBOSE, "?exclude=NAME": "looks past this connection, or `journal`; may stand more than once"},
        is_open=True,
    ),
    HttpRoute(
        path="/readyz/connection/{name:path}",
        page="readyz_connection",
        meaning="The same of one connection.",
        answers=(Answer(200, TEXT, "it is ready, or not wanted"), Answer(503, TEXT, "it is not ready"), NO_CONNECTION),
        given=VERBOSE,
    ),
    HttpRoute(
        path="/api/v1/status",
        page="status",
        meaning="What `backstay status --json` says: the fields of [Status](api.md#backstaystatus).",
        answers=(Answer(200, JSON, "the status"),),
    ),
    HttpRoute(
        path="/api/v1/connections/{name:path}",
        page="connection",
        meaning="One connection: how it is and why, what happens next, what a person can do.",
        answers=(Answer(200, JSON, "the connection"), NO_CONNECTION),
    ),
    HttpRoute(
        path="/api/v1/tree",
        page="tree",
        meaning="The supervision tree.",
        answers=(Answer(200, JSON, "the tree"),),
    ),
    HttpRoute(
        path="/api/v1/timeline",
        page="timeline",
        meaning="How each connection has been in the last 24 hours of this process.",
        answers=(Answer(200, JSON, "spans of states by connection"),),
    ),
    HttpRoute(
        path="/api/v1/events",
        page="events",
        meaning="[Events](events.md) as they happen (server-sent events).",
        answers=(Answer(200, EVENTS, "a stream without an end"), Answer(503, TEXT, "enough follow it already")),
        given=FOLLOWING,
    ),
)
"""The public listener's."""

OPEN_PATHS = frozenset(row.path for row in ROUTES if row.is_open)
"""Asked by orchestrators, which have no password; they tell whether it works and nothing of how."""

UNREADABLE = Refusal(400, "what came is no HTTP, or its head is too long")
WHO_ASKS = Refusal(401, "`http.users` has names, and none came with its password", "who asks?\n")
NO_SUCH_PATH = Refusal(404, "there is no such path")
WRONG_METHOD = Refusal(
    405,
    "anything but GET and HEAD: nothing can be changed here",
    "nothing can be changed here: backstay COMMAND does that\n",
)
WRONG_HOST = Refusal(
    421,
    "asked for under a name that is not ours (below)",
    "asked for under a name that is not this machine's; if it is, add it to http.hosts\n",
)
BROKEN = Refusal(500, "a mistake in backstay; the log has it")

REFUSALS: tuple[Refusal, ...] = (UNREADABLE, WHO_ASKS, NO_SUCH_PATH, WRONG_METHOD, WRONG_HOST, BROKEN)
"""How the public listener answers what it does not let in, whatever the path."""
