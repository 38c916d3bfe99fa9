"""A client that places, changes and cancels at speed, remembers what it asked, and believes what it is told."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backstay.protocol.errors import read_error
from backstay.protocol.framing import Splitter, frame, text
from backstay.protocol.messages import body_fields, message_id

PATIENCE = 30.0
VERSION = 200
APPLE = (0, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "")

LIVE, FILLED, CANCELLED, ABSENT, OVER, DOUBT = "live", "filled", "cancelled", "absent", "over", "in doubt"
STATUSES = {"Submitted": LIVE, "PreSubmitted": LIVE, "PendingSubmit": LIVE, "PendingCancel": LIVE}
STATUSES |= {"Filled": FILLED, "Cancelled": CANCELLED, "ApiCancelled": CANCELLED, "Inactive": OVER}
CODES = {201: ABSENT, 202: CANCELLED, 2162: OVER, 2165: DOUBT}


def limit_order(order_id: int, *, ref: str, quantity: int = 10, kind: str = "LMT", limit: float | str = 1.0) -> bytes:
    """placeOrder as server version 200 has it; a limit of 1.0 is far below the market."""
    fields = [order_id, *APPLE, "", "", "BUY", quantity, kind, limit]
    fields += ["", "DAY", "", "", "", 0, ref, 1, 0]
    fields += [0] * 6 + [""] * 8 + [0, "", -1, 0, "", "", 0, "", "", 0, 0, "", 0] + [""] * 5 + [0, "", "", "", ""]
    fields += [0] + [""] * 10 + [0, "", "", 0, 0, "", "", 0, "", 0, 0, 0, 0] + [""] * 6 + [0] + [""] * 8
    fields += [0, 0, 0, "", "", "", 0, "", "", "", 0, 0, "", 0]
    return text(3, *fields)


def cancel(order_id: int) -> bytes:
    """cancelOrder as server version 200 has it."""
    return text(4, order_id, "", "", "")


@dataclass
class Asked:
    """One order as its client knows it: how often it was written, and what was heard of it last."""

    ref: str
    writes: int = 0
    believed: str = ""
    fills: list[str] = field(default_factory=list)


class Trader:
    """One client over all its sockets. What it asks comes from one thread; another reads."""

    def __init__(self, client_id: int, over: Callable[[socket.socket], Any] = lambda sock: sock) -> None:
        """`over` makes of a socket what stands in for it."""
        self.client_id = client_id
        self._over = over
        self.asked: dict[int, Asked] = {}
        self.heard: dict[int, str] = {}  # of each order id, asked for by `trade` or not
        self.refs = 0
        self.next_id = 0
        self.changed = threading.Condition()
        self.gone = True
        self.on_asked: Callable[[], object] = lambda: None
        self.on_told: Callable[[], object] = lambda: None
        self._sock: Any = None
        self._reader: threading.Thread | None = None

    def connect(self, address: tuple[str, int]) -> bool:
        """Greet and wait for the next order id. False if the socket breaks before that."""
        self.close()
        self.next_id, self.gone = 0, False
        try:
            self._sock = self._over(socket.create_connection(address, timeout=PATIENCE))
            self._sock.sendall(b"API\0" + frame(b"v%d..%d" % (VERSION, VERSION)))
        except OSError:
            self.gone = True
            return False
        self._reader = threading.Thread(target=self._read, args=(self._sock,))
        self._reader.start()
        self.wait_for(lambda: self.next_id or self.gone, "a next order id")
        return bool(self.next_id)

    def close(self) -> None:
        if self._sock is not None and self._reader is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            self._reader.join(PATIENCE)
            self._sock.close()
            self._sock = self._reader = None

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), f"not told within {PATIENCE} s: {what}"

    def trade(self, chance: random.Random, count: int) -> None:
        """Place, change and cancel, as fast as the socket takes it; until it breaks, or so many."""
        for _ in range(count):
            known = [key for key, asked in self.asked.items() if asked.believed in (LIVE, "")]
            deed = chance.choices((self._place, self._change, self._cancel), (6, 2 * bool(known), 2 * bool(known)))[0]
            if not self.send(deed(chance, known)):
                return

    def _place(self, chance: random.Random, _known: list[int]) -> bytes:
        with self.changed:
            order_id, self.next_id, self.refs = self.next_id, self.next_id + 1, self.refs + 1
            asked = self.asked[order_id] = Asked(f"r{self.refs:06}", 1)
        kind, limit = chance.choice((("LMT", 1.0), ("LMT", 2.0), ("LMT", 3.0), ("MKT", "")))
        return limit_order(order_id, ref=asked.ref, kind=kind, limit=limit)

    def _change(self, chance: random.Random, known: list[int]) -> bytes:
        order_id = chance.choice(known[-20:])
        with self.changed:
            self.asked[order_id].writes += 1
        return limit_order(order_id, ref=self.asked[order_id].ref, limit=round(chance.uniform(1, 9), 2))

    def _cancel(self, chance: random.Random, known: list[int]) -> bytes:
        return cancel(chance.choice(known[-20:]))

    def send(self, data: bytes) -> bool:
        """Whether the socket has taken it."""
        assert self._sock is not None
        try:
            self._sock.sendall(data)
        except OSError:
            return False
        self.on_asked()
        return not self.gone

    def _read(self, sock: Any) -> None:
        splitter, greeted = Splitter(), False
        while True:
            try:
                data = sock.recv(65536)
            except OSError:
                data = b""
            chunk = splitter.push(data) if data else None
            with self.changed:
                for payload in chunk.payloads() if chunk else ():
                    if greeted:
                        self._hear(payload)
                    else:
                        greeted = True
                        self.send(text(71, 2, self.client_id, ""))
                self.gone |= not data
                self.changed.notify_all()
            if not data:
                return

    def _hear(self, payload: bytes) -> None:
        number = message_id(payload, VERSION)
        fields = body_fields(payload, VERSION)
        if number == 9:
            self.next_id = int(fields[-1])
            self.forget_from(self.next_id)
        elif number == 3:
            self._believe(int(fields[0]), STATUSES[fields[1].decode()])
        elif number == 11:
            asked = self.asked.get(int(fields[1]))
            if asked is not None and fields[0] == b"-1":
                asked.fills.append(fields[13].decode())
        elif number == 4:
            error = read_error(payload, VERSION)
            if error is not None and error.code in CODES and error.id >= 0:
                self._believe(error.id, CODES[error.code])
        if number in (3, 4, 5, 11):
            self.on_told()

    def _believe(self, order_id: int, what: str) -> None:
        self.heard[order_id] = what
        if order_id in self.asked:
            self.asked[order_id].believed = what

    def forget_from(self, next_id: int) -> None:
        """An order whose id is still free has never come to anybody's knowledge."""
        for order_id in [key for key in self.asked if key >= next_id]:
            del self.asked[order_id]
