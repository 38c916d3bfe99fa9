"""What lies between a session and its gateway in the driver: a connector that blocks, a reader, a dispatcher."""

from __future__ import annotations

import random
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from driver_gateway import Upstream

from backstay.protocol.framing import Splitter
from backstay.session.causes import Cause
from backstay.session.sieve import Sieve
from backstay.session.vocabulary import Answered, Connected, Dial, DialFailed, HangUp, Lost, Noted

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver_client import Client


class Network:
    """The part of a world that carries bytes. Its fields are made by the world."""

    after: Callable[..., int]
    post: Callable[[Any], None]
    chance: random.Random
    now: float
    chaos: float
    refusing: bool
    dials_fail: bool
    manners: tuple[str, ...]
    client: Client
    absent: bool
    sieve: Sieve
    orders_to_connector: deque[Any]
    connector_busy: bool
    connector_life: int
    socket: Upstream | None
    sockets: list[Upstream]
    reader: tuple[int, Splitter, bool]
    heard_at: float

    # -- the connector: one after the other, and a dial blocks ---------------------------------------------------------

    def _connector_goes_on(self) -> None:
        while self.orders_to_connector and not self.connector_busy:
            order = self.orders_to_connector.popleft()
            if isinstance(order, Dial):
                self.connector_busy = True
                self._begin_dial(order)
            elif isinstance(order, HangUp):
                self._close()
            elif self.socket is not None and self.socket.epoch == order.epoch:
                self.after(0.001, partial(self.socket.receive, order.data))

    def _begin_dial(self, dial: Dial) -> None:
        assert self.socket is None, "one socket at a time"
        fate = "refused" if self.refusing else "ok"
        if self.dials_fail and self.chance.random() < self.chaos * 0.5:
            fate = self.chance.choice(("refused", "dns", "timeout", "unreachable", "slow"))
        life = self.connector_life
        if fate in ("ok", "slow"):
            took = 0.001 if fate == "ok" else self.chance.uniform(0.0, 5.0)
            self.after(took, lambda: self._dialled(dial) if life == self.connector_life else None)
            return
        cause = {"refused": Cause.REFUSED, "dns": Cause.DNS, "timeout": Cause.DIAL_TIMEOUT}.get(fate, Cause.UNREACHABLE)
        took = dial.timeout_seconds + (5.2 if self.chance.random() < 0.2 else 0.0) if fate == "timeout" else 0.001
        self.after(took, lambda: self._dial_failed(dial, cause) if life == self.connector_life else None)

    def _dial_failed(self, dial: Dial, cause: Cause) -> None:
        self.connector_busy = False
        self.post(DialFailed(dial.epoch, cause, "x"))
        self._connector_goes_on()

    def _dialled(self, dial: Dial) -> None:
        self.connector_busy = False
        manner = "normal"
        if self.chance.random() < self.chaos:
            manner = self.chance.choice(self.manners)
        self.socket = Upstream(self, dial.epoch, manner, random.Random(self.chance.random()))
        self.sockets.append(self.socket)
        self.reader = (dial.epoch, Splitter(), False)
        self.post(Connected(dial.epoch))
        upstream = self.socket
        self.after(0.001, lambda: upstream.receive(dial.greeting))
        self._connector_goes_on()

    def drop_socket(self) -> None:
        """Who dials and reads ends, and begins anew: nothing of before is heard of any more."""
        self.connector_busy = False
        self.connector_life += 1
        if self.socket is not None:
            self.socket.open = False
            self.socket = None
        self.orders_to_connector.clear()

    def _close(self) -> None:
        if self.socket is not None:
            epoch, self.socket.open = self.socket.epoch, False
            self.socket = None
            self.post(Lost(epoch, Cause.EOF, "our own doing", received=self.reader[2]))

    # -- the reader and the dispatcher ---------------------------------------------------------------------------------

    def to_reader(self, upstream: Upstream, data: bytes | str) -> None:
        self.after(0.001, lambda: self._read(upstream, data))

    def _read(self, upstream: Upstream, data: bytes | str) -> None:
        if self.socket is not upstream:
            return
        epoch, splitter, received = self.reader
        if isinstance(data, str):
            self.post(Lost(epoch, {"eof": Cause.EOF, "reset": Cause.RESET}[data], "", received))
            return
        self.reader = (epoch, splitter, True)
        self.heard_at = self.now
        chunk = splitter.push(data)
        if chunk is not None and self.sieve.epoch == epoch:
            sifted = self.sieve.sift(chunk)
            for piece in () if self.absent else sifted.out:
                self.client.hear(piece)
            if sifted.answer is not None:
                self.post(Answered(epoch, sifted.answer))
            if sifted.notes:
                self.post(Noted(epoch, sifted.notes, heard=not self.absent))
        if splitter.broken is not None:
            self.post(Lost(epoch, Cause.BAD_FRAME, "bad", received=True))
