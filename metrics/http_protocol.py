"""One HTTP connection with limits, for both of our servers: whoever is slow or many harms himself only.

uvicorn waits for ever for a head that comes byte by byte, and for ever for somebody who does not read. Runs in the
server's event loop.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Protocol, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 64
"""At one time; probes, scrapes and followers need a handful. One more, and whoever is silent for longest goes."""

ASKING_SECONDS = 10.0
"""How long a request may take to arrive, from the first byte or, on a new connection, from its beginning."""

READING_SECONDS = 20.0
"""How long somebody may take nothing of an answer that is too large for the kernel's buffers."""


class Courtesy(Protocol):
    """Has those who keep the interpreter busy step back for a moment. Neither blocks; a hold also ends by itself."""

    def hold(self) -> None:
        """Somebody asks."""

    def release(self) -> None:
        """He has been answered."""


class Nobody:
    """There is no one to step back."""

    def hold(self) -> None:
        """See `Courtesy`."""

    def release(self) -> None:
        """See `Courtesy`."""


class Door(socket.socket):
    """A listening socket that holds from the first moment at which the server's thread knows of a connection."""

    courtesy: Courtesy = Nobody()

    def accept(self) -> tuple[socket.socket, Any]:
        """As of any socket."""
        self.courtesy.hold()
        return super().accept()


class BoundedProtocol(H11Protocol):
    """See the module."""

    courtesy: Courtesy = Nobody()
    _asking: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, in place of a silent one when there are enough; with nobody silent it is the one too many."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > MAX_CONNECTIONS:
            everybody = cast("set[BoundedProtocol]", self.connections)
            oldest = min(everybody, key=BoundedProtocol.patience_ends)
            oldest._cut()

    def data_received(self, data: bytes) -> None:
        """Read on, and start or stop the clock."""
        self.courtesy.hold()
        super().data_received(data)
        if self.transport.is_closing() or self._is_answering():
            _cancel(self._asking)
            self._asking = None
        elif self._asking is None:
            self._await_request()

    def on_response_complete(self) -> None:
        """Wait for the next request of the same connection; the body of the last one may still be coming."""
        super().on_response_complete()
        self.courtesy.release()
        if not self.transport.is_closing() and not self._is_answering() and self._asking is None:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self.courtesy.release()
        self._stop_clocks()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        super().pause_writing()
        _cancel(self._reading)
        self._reading = self.loop.call_later(READING_SECONDS, self._cut)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        _cancel(self._reading)
        self._reading = None

    def patience_ends(self) -> float:
        """When it is cut off unless it asks something, on the loop's clock; never, while it is being served."""
        return float("inf") if self._asking is None else self._asking.when()

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _await_request(self) -> None:
        self._asking = self.loop.call_later(ASKING_SECONDS, self._cut)

    def _stop_clocks(self) -> None:
        _cancel(self._asking)
        _cancel(self._reading)
        self._asking = self._reading = None

    def _cut(self) -> None:
        self._stop_clocks()
        self.connections.discard(self)  # at once: it counts no more
        self.transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
