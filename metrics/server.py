"""An HTTP server in a thread of its own, so that it answers while anything else hangs."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette

from backstay.metrics.blocks import Histogram
from backstay.metrics.http_protocol import BoundedProtocol, Courtesy, Door, Nobody
from backstay.metrics.listening import Address, ListenError, open_listener, parse_address

START_SECONDS = 10.0
"""Generous: on a loaded machine the imports of the server alone take a second."""

STOP_SECONDS = 1.5
FORCED_STOP_SECONDS = 0.5
"""Together the two seconds in which a stop has to be over."""

GRACE_SECONDS = 1
"""For requests under way when the server stops; streams are told to end and need none of it."""

_log = logging.getLogger(__name__)


LAG_PERIOD_SECONDS = 0.5
"""Two timers a second show a loop that lags for a tenth of one, and cost nothing."""


_UNFIT = {"KEY_VALUES_MISMATCH": "the key is that of another certificate"}


class Certificate(NamedTuple):
    """Files for TLS, in PEM: the certificate with those above it, and its private key."""

    chain: Path
    key: Path

    def problem(self) -> str:
        """Why they cannot be used, in words; empty if they can."""
        try:
            for path in self:
                path.open("rb").close()
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        asked: list[bool] = []

        def no_password() -> str:
            asked.append(True)  # without an answer of ours it would ask whoever sits at the terminal
            return ""

        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.chain, self.key, no_password)
        except ssl.SSLError as error:
            unfit = _UNFIT.get(error.reason, "one of them is no PEM, or not of its kind")
            return f"{self.chain} with {self.key}: {'the key is encrypted' if asked else unfit}"
        return ""


class Closing:
    """Lets responses without an end know that the server stops. Used within the server's event loop only."""

    def __init__(self) -> None:
        self.begun = False
        self.wakers: set[Callable[[], None]] = set()

    def begin(self) -> None:
        """Wake all who wait."""
        self.begun = True
        for wake in tuple(self.wakers):
            wake()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, closing: Closing | None, lag: Histogram | None) -> None:
        super().__init__(config)
        self._closing = closing
        self._lag = lag
        self.settled = threading.Event()  # started, or failed to

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._lag is not None:
            self._wait(asyncio.get_running_loop(), self._lag)
        self.settled.set()

    def _wait(self, loop: asyncio.AbstractEventLoop, lag: Histogram) -> None:
        """Note how late a timer is, again and again: what keeps this loop waiting keeps every thread waiting."""
        due = loop.time() + LAG_PERIOD_SECONDS

        def ring() -> None:
            lag.observe(max(0.0, loop.time() - due))
            self._wait(loop, lag)

        loop.call_at(due, ring)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._closing is not None:
            self._closing.begin()
        await super().shutdown(sockets)


class HttpServer:
    """Serves an app on an address ("HOST:PORT") or on a socket that is bound already, which it takes over.

    `start` and `stop` may be called from any thread, each once; `app.state.closing`, if there is one, is told of the
    stop. `lag` is told how late timers of the server's loop are; its writer is the server's thread. `courtesy` hears of
    every request, from when it is accepted until it is answered.
    """

    def __init__(
        self,
        listen: Address | str | socket.socket,
        app: Starlette,
        *,
        protocol: type[BoundedProtocol] = BoundedProtocol,
        lag: Histogram | None = None,
        certificate: Certificate | None = None,
        courtesy: Courtesy | None = None,
    ) -> None:
        self._courtesy = courtesy or Nobody()
        self._listen = parse_address(listen) if isinstance(listen, str) else listen
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=type(protocol.__name__, (protocol,), {"courtesy": self._courtesy}),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # what strangers send is no news, and must not fill a log
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_certfile=certificate.chain if certificate else None,
            ssl_keyfile=certificate.key if certificate else None,
        )
        self._server = _Server(config, getattr(app.state, "closing", None), lag)
        self._thread: threading.Thread | None = None
        self._address: Address | None = None
        self._failure: BaseException | None = None

    @property
    def address(self) -> Address | None:
        """Where it listens, with the real port; None before the start and on a unix socket."""
        return self._address

    def start(self) -> None:
        """Bind and serve. Returns when requests are answered. Raises ListenError."""
        listener = open_listener(self._listen) if isinstance(self._listen, Address) else self._listen
        listener = Door(fileno=listener.detach())
        listener.courtesy = self._courtesy
        if listener.family != socket.AF_UNIX:
            self._address = Address(*listener.getsockname()[:2])
        self._thread = threading.Thread(target=self._run, args=(listener,), name="http", daemon=True)
        self._thread.start()
        self._server.settled.wait(START_SECONDS)
        if not self._server.started:
            self.stop()
            place = self._address or "the unix socket"
            raise ListenError(f"cannot listen on {place}: the HTTP server did not start") from self._failure

    def stop(self) -> bool:
        """Stop listening, end streams, wait for the thread; False if it had to be left behind. May be called twice."""
        self._server.should_exit = True
        if self._thread is None:
            return True
        self._thread.join(STOP_SECONDS)
        self._server.force_exit = True
        self._thread.join(FORCED_STOP_SECONDS)
        return not self._thread.is_alive()

    def _run(self, listener: socket.socket) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._server.serve([listener]))
        except BaseException as error:  # noqa: BLE001  # also SystemExit, by which the server gives up at its start
            self._failure = error
            _log.error("the HTTP server on %s ended: %r", self._address or "the unix socket", error)
        finally:
            listener.close()
            self._server.settled.set()
