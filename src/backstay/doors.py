"""The doors for operators and for those who watch: opened at once, served as soon as the servers are imported.

What serves them costs a quarter of a second to import, and none of it is needed to keep a connection. So the sockets
are bound first, where a refusal still ends the start; who knocks before the servers stand waits in the kernel's queue.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from backstay.control.port import claim_port, refuse_living, release_port
from backstay.control.unix_socket import claim, identity, refuse_living_socket, release
from backstay.errors import StartError
from backstay.metrics.listening import Address, ListenError, open_listener

SERVERS_SECONDS = 10.0
"""How long a stop waits for servers that are just being started; on a loaded machine their imports take a second."""


class Server(Protocol):
    """A running server."""

    def stop(self) -> bool:
        """Stop within a bound; False if its thread had to be left behind."""
        ...


Serve = Callable[[socket.socket, "socket.socket | None"], Sequence[Server]]
"""Takes over the operators' socket, and that for HTTP if there is one, and returns the servers that serve them."""


class Doors:
    """The control socket at `path`, and HTTP at `listen` unless None. `open`, `serve`, `close`: once each, in order.

    `by_port`: a port and a file take the place of the socket.
    """

    def __init__(self, path: Path, listen: Address | None, *, by_port: bool = False) -> None:
        self.token: str | None = None
        """What is asked for at the port, once it is open."""
        self._by_port = by_port
        self.address: Address | None = None
        """Where HTTP really listens, once it is open."""
        self._path = path
        self._listen = listen
        self._control: socket.socket | None = None
        self._http: socket.socket | None = None
        self._servers: Sequence[Server] = ()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Bind both. Raises StartError with the key and the address; then neither is left behind."""
        with ExitStack() as stack:
            stack.callback(self.close)
            self._control = _open("control.socket", self._claim)
            if (listen := self._listen) is not None:
                self._http = _open("http.listen", lambda: open_listener(listen))
                self.address = Address(*self._http.getsockname()[:2])
            stack.pop_all()

    def serve(self, start: Serve, failed: Callable[[BaseException], object]) -> None:
        """Have them served from a thread of its own; `failed` hears there what went wrong."""
        self._thread = threading.Thread(target=self._serve, args=(start, failed), name="doors", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the servers, last first, or close what was never served. May be called twice."""
        if self._thread is not None:
            self._thread.join(SERVERS_SECONDS)
        for server in reversed(self._servers):
            server.stop()
        self._servers = ()
        if self._control is not None:
            if self.token is not None:
                release_port(self._path, self.token)
            else:
                release(self._path, identity(self._path) if self._path.exists() else (0, 0))
            self._control.close()
        if self._http is not None:
            self._http.close()
        self._control = self._http = None

    def _claim(self) -> socket.socket:
        if self._by_port:
            if hasattr(socket, "AF_UNIX"):
                refuse_living_socket(self._path)
            listener, self.token = claim_port(self._path)
            return listener
        refuse_living(self._path)
        return claim(self._path)

    def _serve(self, start: Serve, failed: Callable[[BaseException], object]) -> None:
        control, http = self._control, self._http
        if control is None:
            return
        try:
            self._servers = start(control, http)
            self._control = self._http = None  # the servers' from here on
        except BaseException as error:  # noqa: BLE001  # whatever it is, the daemon has to hear that nobody answers
            failed(error)


def _open(key: str, bind: Callable[[], socket.socket]) -> socket.socket:
    try:
        return bind()
    except ListenError as error:
        raise StartError(f"{key}: {error}") from error
    except OSError as error:  # its place cannot even be looked at
        raise StartError(f"{key}: {error.filename}: {error.strerror}") from error
