"""The operator's side of the daemon: status, events and commands over a unix socket.

Runs in a thread of its own and reads snapshots, so it answers while an actor hangs. Each command runs in a thread of
its own, too: it may wait until it is done.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.actors.turnstile import PROCESS_TURNSTILE
from backstay.control.port import Place, port_file, release_port, restore_port
from backstay.control.routes import ROUTES
from backstay.control.unix_socket import Peer, claim, identity, peer_of, release
from backstay.control.vocabulary import COMMANDS, FAILURES
from backstay.metrics.events import EventRing
from backstay.metrics.exporter import stream_events
from backstay.metrics.http_protocol import BoundedProtocol
from backstay.metrics.server import Closing, HttpServer

MAX_BODY_BYTES = 65_536
"""Arguments are names and a sentence."""

ROOT = 0
"""May read and write everything of ours anyhow."""

MAX_COMMANDS = 8
"""Commands under way at one time, each holding a thread; an operator and a script or two."""

_log = logging.getLogger(__name__)

Arguments = Mapping[str, object]
Handler = Callable[[Arguments, "Peer | None"], Mapping[str, object]]
"""Takes what was asked and who asks, by the word of the kernel."""


class CommandError(Exception):
    """A command that did not succeed. `code` is one of `vocabulary.FAILURES`; the message is for the operator."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code if code in FAILURES else "internal"


class Commands(Protocol):
    """What the hall lets be done. `status` returns a snapshot at once and asks no actor."""

    def status(self) -> Mapping[str, object]:
        """The status as JSON has it."""
        ...

    def handler(self, name: str) -> Handler | None:
        """What carries out this command of `vocabulary.COMMANDS`; None: not offered.

        It is called in a thread of its own, with the JSON object of the request, may block, returns a JSON-able
        mapping, and raises CommandError.
        """
        ...


class ControlServer:
    """Serves the operator's socket at `path`. `start` and `stop` may be called from any thread, each once; `keep`, too.

    `listener`: a socket that was claimed for the path before; it is taken over by `start`. `token`: it is that of a
    port, and every request has to bring this.
    """

    def __init__(
        self,
        path: Path | str,
        commands: Commands,
        events: EventRing | None = None,
        *,
        listener: socket.socket | None = None,
        token: str | None = None,
    ) -> None:
        self.path = Path(path)
        self._token = token
        self._listener = listener
        self._app = functools.partial(create_control_app, commands, events or EventRing(), token)
        self._http: HttpServer | None = None
        self._identity = (0, 0)
        self._changing = threading.Lock()

    def start(self) -> None:
        """Listen and answer. Raises ListenError, also when another daemon answers at the path."""
        self._serve(self._listener or claim(self.path))

    def keep(self) -> bool:
        """Be found again where somebody has removed the file, as who tidies a folder does. Returns whether that was so.

        Raises ListenError, or another OSError, if it can not be. To be called now and then.
        """
        with self._changing:
            http = self._http
            if http is None or (self.path if self._token is None else port_file(self.path)).exists():
                return False
            if self._token is not None and http.address is not None:
                restore_port(self.path, Place(http.address.port, self._token))
            else:
                self._serve(claim(self.path))
                threading.Thread(target=http.stop, name="control", daemon=True).start()  # nobody can reach it any more
            return True

    def _serve(self, listener: socket.socket) -> None:
        if self._token is None:
            self._identity = identity(self.path)
        self._http = HttpServer(listener, self._app(), protocol=_PeerProtocol, courtesy=PROCESS_TURNSTILE)
        self._http.start()

    def stop(self) -> bool:
        """Stop answering and remove the socket; False if the thread had to be left behind. May be called twice."""
        with self._changing:
            http, self._http = self._http, None
        if http is None:
            return True
        ended = http.stop()
        if self._token is None:
            release(self.path, self._identity)
        else:
            release_port(self.path, self._token)
        return ended


def create_control_app(commands: Commands, events: EventRing, token: str | None = None) -> Starlette:
    """The app of the operator's socket; with a token, that of the port in its place."""
    desk = _Desk(commands, events)
    app = Starlette(
        routes=[Route(row.path, getattr(desk, row.page), methods=[row.method]) for row in ROUTES],
        middleware=[Middleware(_Owner) if token is None else Middleware(_Bearer, token=token)],
        exception_handlers={HTTPException: _http_error, CommandError: _command_error, Exception: _unexpected},
    )
    app.state.closing = Closing()
    return app


class _Owner:
    """Turns away whoever is neither our own user nor root, by the word of the kernel: also where modes were changed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer: Peer | None = scope.get("state", {}).get("peer")
        if peer is None or peer.uid in (os.getuid(), ROOT):
            await self._app(scope, receive, send)
            return
        _log.warning("command refused: peer=%s", peer)
        await _failure("not_permitted", f"user {peer.uid} may not command this daemon")(scope, receive, send)


class _Bearer:
    """Turns away whoever does not bring the token. Everybody on this machine can reach a port."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = b"Bearer " + token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if hmac.compare_digest(given, self._wanted):
            await self._app(scope, receive, send)
            return
        _log.warning("command refused: token=%s", "wrong" if given else "missing")
        await _failure("not_permitted", "the token of the daemon's port file is wanted")(scope, receive, send)


class _Desk:
    """The endpoints. All of them run in the server's event loop; commands do not."""

    def __init__(self, commands: Commands, events: EventRing) -> None:
        self._commands = commands
        self._events = events
        self._under_way = 0

    async def status(self, _: Request) -> Response:
        return JSONResponse(self._commands.status())

    async def events(self, request: Request) -> Response:
        return stream_events(self._events, request)

    async def command(self, request: Request) -> Response:
        name = request.path_params["name"]
        arguments = await _arguments(request)
        if name not in COMMANDS:
            raise CommandError("unknown_command", f"no command {name!r}; known: {', '.join(COMMANDS)}")
        handler = self._commands.handler(name)
        if handler is None:
            raise CommandError("not_offered", f"this daemon does not offer {name}")
        if self._under_way >= MAX_COMMANDS:
            raise CommandError("busy", f"{MAX_COMMANDS} commands are under way already")
        peer: Peer | None = getattr(request.state, "peer", None)
        self._under_way += 1
        try:
            result = await _in_thread(lambda: handler(arguments, peer))
        except CommandError as error:
            _log.debug("command failed: command=%s code=%s peer=%s reason=%s", name, error.code, peer, error)
            raise
        except Exception as error:
            _log.exception("command failed: command=%s peer=%s", name, peer)
            raise CommandError("internal", f"{name} failed: {error!r}") from error
        finally:
            self._under_way -= 1
        _log.debug("command done: command=%s peer=%s", name, peer)  # what changes something, or was to, has an event
        return JSONResponse(result)


async def _arguments(request: Request) -> Arguments:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise CommandError("bad_request", f"the body is larger than {MAX_BODY_BYTES} bytes")
    except ClientDisconnect as error:  # nobody reads the answer; it is no mistake of ours
        raise CommandError("bad_request", "whoever asked has left before the end of the body") from error
    try:
        arguments = json.loads(body or b"{}")
    except ValueError as error:
        raise CommandError("bad_request", f"the body is not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise CommandError("bad_request", "the body must be a JSON object")
    return cast("Arguments", arguments)


async def _in_thread(work: Callable[[], Mapping[str, object]]) -> Mapping[str, object]:
    """Run it in a daemon thread, so that one that never returns cannot keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Mapping[str, object]] = loop.create_future()

    def tell(settle: Callable[[Any], None], outcome: object) -> None:
        def settle_once() -> None:
            if not done.done():
                settle(outcome)

        with suppress(RuntimeError):  # the server has stopped: nobody waits any more
            loop.call_soon_threadsafe(settle_once)

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  # travels to the one who asked
            tell(done.set_exception, error)
        except BaseException as error:  # noqa: BLE001  # SystemExit in a command is a failure of it, not of the loop
            tell(done.set_exception, RuntimeError(repr(error)))
        else:
            tell(done.set_result, result)

    threading.Thread(target=run, name="command", daemon=True).start()
    return await done


def _failure(code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, FAILURES[code].http_status)


async def _command_error(_: Request, error: Exception) -> Response:
    return _failure(cast("CommandError", error).code, str(error))


async def _http_error(request: Request, error: Exception) -> Response:
    status = cast("HTTPException", error).status_code
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "internal")
    return _failure(code, f"{request.method} {request.url.path}: {cast('HTTPException', error).detail}")


async def _unexpected(request: Request, error: Exception) -> Response:
    return _failure("internal", f"{request.method} {request.url.path}: {error!r}")


class _PeerProtocol(BoundedProtocol):
    """Notes who connected, for the log."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": peer_of(transport.get_extra_info("socket"))}
