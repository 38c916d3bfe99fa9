"""The public HTTP side: metrics, health, status and events. Read-only; every answer comes from snapshots.

`/livez` never looks at a gateway: an orchestrator would restart the daemon into every nightly reset.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from backstay.metrics.blocks import ConnectionMeter, MetricsSource, ProcessSample
from backstay.metrics.collector import BackstayCollector
from backstay.metrics.events import EventRing
from backstay.metrics.guard import Guard
from backstay.metrics.listening import ListenError
from backstay.metrics.negotiation import accepts_gzip, wants_open_metrics
from backstay.metrics.passwords import Login
from backstay.metrics.renderer import Renderer
from backstay.metrics.routes import ROUTES
from backstay.metrics.server import Closing, HttpServer
from backstay.metrics.status_page import BASE_HEADERS, status_page

__all__ = ["Check", "Exposition", "HttpServer", "ListenError", "Views", "create_app", "stream_events"]

MAX_STREAMS = 16
"""Followers of the events at one time; each holds a connection for as long as it likes."""

GZIP_LEVEL = 1
"""An exposition repeats itself: the lowest level makes a twentieth of it, higher ones take three times as long."""

FORMATS = {False: choose_encoder(""), True: choose_encoder("application/openmetrics-text")}
"""How the client writes what it knows of the process, and what that is called; by whether it is OpenMetrics."""

MOST_DIGITS = 18
"""Of an event's number: Python refuses to read thousands, and takes its time with hundreds."""

KEEPALIVE_SECONDS = 15.0
"""A comment so often on a silent stream: intermediaries cut idle ones, and a follower that is gone is noticed."""

NO_STORE = BASE_HEADERS


@dataclass(frozen=True, slots=True)
class Check:
    """One part of a health answer."""

    name: str
    ok: bool
    detail: str = ""

    def __str__(self) -> str:
        return f"[{'+' if self.ok else '-'}]{self.name}{' ' if self.detail else ''}{self.detail}"


def _nothing() -> Sequence[Check]:
    return ()


def _no() -> bool:
    return False


def _none() -> Mapping[str, object]:
    return {}


def _nobody(_name: str) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """What the hall lets be seen. Each callable returns a snapshot at once, from any thread, and asks no actor.

    `status`, `tree`, `timeline`, `connection` (one by its name; None: there is none): JSON-able. `live`: whether the
    process itself works (supervisor's and watchdog's heartbeats), never a gateway. `journal`: whether orders can be
    written down. `draining`: whether the daemon is
    about to stop.
    """

    source: MetricsSource
    status: Callable[[], Mapping[str, object]]
    tree: Callable[[], Mapping[str, object]] = _none
    timeline: Callable[[], Mapping[str, object]] = _none
    connection: Callable[[str], Mapping[str, object] | None] = _nobody
    process: Callable[[], ProcessSample] = ProcessSample
    live: Callable[[], Sequence[Check]] = _nothing
    journal: Callable[[], Sequence[Check]] = _nothing
    draining: Callable[[], bool] = _no
    events: EventRing = field(default_factory=EventRing)


class Exposition:
    """What `/metrics` answers: the catalogue, and what the client knows of the process. One thread at a time."""

    def __init__(self, source: MetricsSource, process: Callable[[], ProcessSample] = ProcessSample) -> None:
        self._renderer = Renderer(BackstayCollector(source, process).reader)
        self._process = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Body and content type for an Accept header: OpenMetrics 1.0 if it is asked for, else the text format."""
        open_metrics = wants_open_metrics(accept)
        encoder, content_type = FORMATS[open_metrics]
        pieces = self._renderer.pieces(open_metrics=open_metrics)
        return b"".join((*pieces, encoder(self._process))), content_type


def readiness(meter: ConnectionMeter) -> Check:
    """Ready, or not wanted: planned downtime and an operator's pause are no failures."""
    ok = meter.up or not meter.expected
    detail = meter.state if meter.expected else f"{meter.state}, not wanted now"
    return Check(meter.name, ok, f"{detail}: {meter.reason}" if meter.reason else detail)


class _Pages:
    """The endpoints. All of them run in the server's event loop."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._exposition = Exposition(views.source, views.process)

    async def page(self, _: Request) -> Response:
        return HTMLResponse(status_page().text, headers=status_page().headers)

    async def metrics(self, request: Request) -> Response:
        body, content_type = self._exposition.render(request.headers.get("accept", ""))
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding", **NO_STORE}
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, GZIP_LEVEL)
        return Response(body, headers=headers)

    async def livez(self, request: Request) -> Response:
        return _verdict(self._views.live(), request)

    async def readyz(self, request: Request) -> Response:
        excluded = set(request.query_params.getlist("exclude"))
        checks = [*map(readiness, self._views.source.connections()), *self._views.journal()]
        checks = [check for check in checks if check.name not in excluded]
        if self._views.draining():
            checks.insert(0, Check("daemon", ok=False, detail="draining"))
        return _verdict(checks, request)

    async def readyz_connection(self, request: Request) -> Response:
        name = request.path_params["name"]
        checks = [readiness(meter) for meter in self._views.source.connections() if meter.name == name]
        if not checks:
            return PlainTextResponse(f"no connection {name!r}\n", 404, headers=NO_STORE)
        return _verdict(checks, request)

    async def status(self, _: Request) -> Response:
        return JSONResponse(self._views.status(), headers=NO_STORE)

    async def tree(self, _: Request) -> Response:
        return JSONResponse(self._views.tree(), headers=NO_STORE)

    async def timeline(self, _: Request) -> Response:
        return JSONResponse(self._views.timeline(), headers=NO_STORE)

    async def connection(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = self._views.connection(name)
        if found is None:
            return PlainTextResponse(f"no connection {name!r}\n", 404, headers=NO_STORE)
        return JSONResponse(found, headers=NO_STORE)

    async def events(self, request: Request) -> Response:
        return stream_events(self._views.events, request)


def create_app(views: Views, *, hosts: Iterable[str] = (), users: Mapping[str, str] | None = None) -> Starlette:
    """The app of the public listener.

    `hosts`: names under which it may be asked, beside addresses and this machine. `users`: hashes of passwords by name;
    without any, nobody is asked for one.
    """
    pages = _Pages(views)
    login = [Middleware(Login, users=users)] if users else []
    app = Starlette(
        routes=[Route(row.path, getattr(pages, row.page), methods=[row.method]) for row in ROUTES],
        middleware=[Middleware(Guard, hosts=tuple(hosts)), *login],
    )
    app.state.closing = Closing()
    return app


def _verdict(checks: Sequence[Check], request: Request) -> Response:
    """The status code is for machines, the text for people; without `?verbose` it names what failed only."""
    ok = all(check.ok for check in checks)
    shown = [check for check in checks if "verbose" in request.query_params or not check.ok]
    lines = [*map(str, shown), "ok" if ok else "not ok"]
    return PlainTextResponse("\n".join(lines) + "\n", 200 if ok else 503, headers=NO_STORE)


# -- events ----------------------------------------------------------------------------------------------------------


def stream_events(ring: EventRing, request: Request) -> Response:
    """Server-sent events: those after `Last-Event-ID` or `?since=NUMBER`, the `?last=COUNT` ones, else only new ones.

    `?unnamed` leaves out the stream's own names: a browser hears only those that it asked for. Events that are lost
    to a slow follower are told as one `gap` event. Needs `app.state.closing`.
    """
    closing: Closing = request.app.state.closing
    if len(closing.wakers) >= MAX_STREAMS:
        return PlainTextResponse("too many followers\n", 503, headers={"Retry-After": "10"})
    query = request.query_params
    start = _number(request.headers.get("last-event-id") or query.get("since", ""))
    if start is None:
        start = max(0, ring.last - (_number(query.get("last", "")) or 0))
    start = min(start, ring.last)  # a crash may have kept the last events from the disk: their numbers are used anew
    follower = _follow(ring, closing, start, named="unnamed" not in query)
    return StreamingResponse(follower, media_type="text/event-stream", headers=NO_STORE)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


async def _follow(ring: EventRing, closing: Closing, number: int, *, named: bool) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(news.set)

    leave = ring.follow(wake)
    closing.wakers.add(news.set)
    try:
        yield ": backstay\n\n"  # so that the follower knows at once that it is connected
        while not closing.begun:
            news.clear()
            events, missed = ring.since(number)
            if missed:
                yield _sse("gap", {"event": "gap", "missed": missed}, named=named)
            for event in events:
                number = event.number
                told = {"number": number, "wall": event.wall, "event": event.name, **event.fields}
                yield f"id: {number}\n{_sse(event.name, told, named=named)}"
            if not events and not await _happens(news, KEEPALIVE_SECONDS):
                yield ": still here\n\n"
    finally:
        leave()
        closing.wakers.discard(news.set)


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _sse(name: str, told: Mapping[str, object], *, named: bool) -> str:
    head = f"event: {name}\n" if named else ""
    return f"{head}data: {json.dumps(told, default=str)}\n\n"
