"""A small TWS client for the demo: one socket for its whole life, and a note of every moment without data."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from backstay.protocol.commands import start_api
from backstay.protocol.errors import read_error
from backstay.protocol.framing import Splitter, text
from backstay.protocol.handshake import Hello, VersionRange, greeting, read_answer
from backstay.protocol.messages import body_fields, message_id

OFFER = VersionRange(100, 200)
RECEIVE_BYTES = 65_536
CONNECT_SECONDS = 10.0

TICK_PRICE, NEXT_VALID_ID = 1, 9
REQ_MARKET_DATA, REQ_MARKET_DATA_VERSION = 1, 11
LAST_PRICE = b"4"


class DemoClientError(Exception):
    """The demo's own client could not begin."""


@dataclass(slots=True)
class Watch:
    """What the client has gone through since it was last told to watch. Times: monotonic seconds."""

    longest_gap: float = 0.0
    told: list[int] = field(default_factory=list[int])


class QuoteClient:
    """Streams quotes of several symbols over one socket. All methods but `give_up` for one thread; it reads in another.

    A wait ends early when the socket is closed or everything is given up.
    """

    def __init__(self, address: tuple[str, int], symbols: Sequence[str], *, client_id: int = 1) -> None:
        self.symbols = dict(enumerate(symbols, start=1))
        self.prices: Mapping[str, str] = {}
        self.quotes = 0
        self.closed: str | None = None
        self.watch = Watch()
        self._given_up = False
        self._heard = dict.fromkeys(self.symbols, 0.0)
        self._news = threading.Condition()
        self._splitter = Splitter()
        self._sock = socket.create_connection(address, timeout=CONNECT_SECONDS)
        self._early: list[bytes] = []
        try:
            self.version = self._greet(client_id)
        except (OSError, DemoClientError):
            self._sock.close()
            raise
        self._thread = threading.Thread(target=self._read, name="demo-client", daemon=True)

    def start(self) -> None:
        """Ask for the quotes and begin to read."""
        for request_id, symbol in self.symbols.items():
            contract = (0, symbol, "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")
            asked = text(REQ_MARKET_DATA, REQ_MARKET_DATA_VERSION, request_id, *contract, 0, "", 0, 0, "")
            self._sock.sendall(asked)
        self._sock.settimeout(None)
        self._thread.start()

    def send(self, frames: bytes) -> None:
        """Ask for something else."""
        self._sock.sendall(frames)

    def stop(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join(CONNECT_SECONDS)
        self._sock.close()

    def give_up(self) -> None:
        """End every wait, now and later. Any thread."""
        with self._news:
            self._given_up = True
            self._news.notify_all()

    def begin_watch(self) -> None:
        """Forget what was; the gaps counted from here on begin with the last quote there was."""
        with self._news:
            self.watch = Watch()

    def wait_for_quotes(self, since: float, timeout: float) -> int:
        """Wait until each stream had a quote after this moment; returns how many had one in time."""

        def fresh() -> int:
            return sum(heard > since for heard in self._heard.values())

        with self._news:
            self._news.wait_for(lambda: fresh() == len(self._heard) or self._is_over(), timeout)
            return fresh()

    def wait_for_told(self, code: int, timeout: float) -> bool:
        """Wait until it was told this code in the present watch."""
        with self._news:
            return self._news.wait_for(lambda: code in self.watch.told or self._is_over(), timeout)

    def wait_closed(self, timeout: float) -> bool:
        """Wait whether the socket ends, which it should not, or everything is given up."""
        with self._news:
            return self._news.wait_for(self._is_over, timeout)

    def _is_over(self) -> bool:
        return self.closed is not None or self._given_up

    def _greet(self, client_id: int) -> int:
        self._sock.sendall(greeting(OFFER))
        hello = read_answer(self._next(), OFFER)
        if not isinstance(hello, Hello):
            raise DemoClientError(f"the relay's greeting makes no sense: {hello}")
        self._sock.sendall(start_api(hello.version, client_id))
        while message_id(self._next(), hello.version) != NEXT_VALID_ID:
            pass
        return hello.version

    def _next(self) -> bytes:
        """The next frame, while nobody else reads."""
        while not self._early:
            data = self._sock.recv(RECEIVE_BYTES)
            if not data:
                raise DemoClientError("the relay hung up")
            chunk = self._splitter.push(data)
            if chunk is not None:
                self._early += chunk.payloads()
        return self._early.pop(0)

    def _read(self) -> None:
        reason = "end of file"
        try:
            while data := self._sock.recv(RECEIVE_BYTES):
                chunk = self._splitter.push(data)
                if chunk is not None:
                    self._take(list(chunk.payloads()))
        except OSError as error:
            reason = str(error)
        with self._news:
            self.closed = reason
            self._news.notify_all()

    def _take(self, payloads: Sequence[bytes]) -> None:
        now = time.monotonic()
        with self._news:
            for payload in payloads:
                error = read_error(payload, self.version)
                if error is not None:
                    self.watch.told.append(error.code)
                elif message_id(payload, self.version) == TICK_PRICE:
                    self._take_price(body_fields(payload, self.version), now)
            self._news.notify_all()

    def _take_price(self, fields: Sequence[bytes], now: float) -> None:
        _, request_id, kind, price = fields[:4]
        stream = int(request_id)
        before, self._heard[stream] = self._heard[stream], now
        if before:
            self.watch.longest_gap = max(self.watch.longest_gap, now - before)
        self.quotes += 1
        if kind == LAST_PRICE:
            self.prices = {**self.prices, self.symbols[stream]: price.decode("ascii", "replace")}
