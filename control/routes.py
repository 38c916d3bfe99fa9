"""What can be asked over the control socket: the server dispatches by these rows, docs/http.md tells them."""

from __future__ import annotations

from backstay.metrics.routes import EVENTS, FOLLOWING, JSON, TEXT, Answer, HttpRoute

ROUTES: tuple[HttpRoute, ...] = (
    HttpRoute(
        path="/v1/status",
        page="status",
        meaning="What `backstay status --json` says: the fields of [Status](api.md#backstaystatus).",
        answers=(Answer(200, JSON, "the status"),),
    ),
    HttpRoute(
        path="/v1/events",
        page="events",
        meaning="As `/api/v1/events` of the public listener.",
        answers=(Answer(200, EVENTS, "a stream without an end"), Answer(503, TEXT, "enough follow it already")),
        given=FOLLOWING,
    ),
    HttpRoute(
        path="/v1/commands/{name}",
        page="command",
        meaning="Carries out a [command](commands.md) of operators, whose arguments are a JSON object.",
        answers=(Answer(200, JSON, "it is done; the rest is in the table of failures"),),
        method="POST",
    ),
)
