"""The byte stream of the benchmark: encoded once, then pushed unchanged through every client.

Per 1,000 frames: 280 tickPrice, 380 tickSize, 90 tickString, 20 tickGeneric, 80 updateMktDepth, 60 updateMktDepthL2,
50 tickByTick, 23 orderStatus, 11 execDetails, 5 error, 1 historicalData of 60 bars; 100 tickers; about 32 bytes
a frame. Two of the 20 tickGeneric are marks: each closes one window of 500 frames and carries its number.
"""

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from scene import (
    ACCOUNT,
    CLIENT_ID,
    DEPTH_L1,
    DEPTH_L2,
    HALTED,
    HISTORY,
    MARK_ID,
    ORDERS,
    TICK_BY_TICK,
    TICKERS,
    WINDOW_FRAMES,
    contract_id,
    contract_number,
    frame,
    symbol,
)

_LENGTH = struct.Struct(">I")
_BARS = 60
_LEVELS = 5
_START = 1_785_600_000  # seconds; any fixed moment gives the same bytes in every run

_PAD_MODULUS: Final = 64
"""Every window is one byte longer than a multiple of this. ibapi throws away what it has read when a read ends exactly
on a multiple of 4,096 bytes and the line then pauses for a second; with windows of this length no small number of them
adds up to such a multiple."""


def windows(count: int, seed: int = 1) -> Iterator[bytes]:
    """Encode ``count`` windows of 500 frames each; the same seed gives the same bytes."""
    market = _Market(random.Random(seed))
    number = 0
    while number < count:
        block = market.block()
        for half in (block[: WINDOW_FRAMES - 1], block[WINDOW_FRAMES - 1 :]):
            number += 1
            yield _close(b"".join(half), number)


def write(path: Path, count: int) -> None:
    """Write ``count`` windows to a file, each behind its length."""
    with path.open("wb") as file:
        for window in windows(count):
            file.write(_LENGTH.pack(len(window)) + window)


def read(path: Path) -> list[bytes]:
    """Read all windows of a file that ``write`` made."""
    data = path.read_bytes()
    found: list[bytes] = []
    position = 0
    while position < len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        found.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    return found


def stamped(request_id: int, stamp: int) -> bytes:
    """Tick that carries a monotonic time in nanoseconds (exact as a float for the first hundred days of uptime)."""
    return frame(45, 6, request_id, HALTED, stamp)


def _close(body: bytes, number: int) -> bytes:
    bare = len(body) + len(frame(45, 6, MARK_ID, HALTED, f"{number}."))
    zeros = (1 - bare) % _PAD_MODULUS
    return body + frame(45, 6, MARK_ID, HALTED, f"{number}.{'0' * zeros}")


class _Market:
    """Prices, books and orders that move a little with every frame."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._prices = [round(source.uniform(20, 400), 2) for _ in range(len(TICKERS) + 1)]
        self._depth: dict[tuple[int, int], int] = {}
        self._executions = 0
        self._seconds = _START
        self._recipe: tuple[tuple[int, Callable[[], bytes]], ...] = (
            (280, self._tick_price),
            (380, self._tick_size),
            (90, self._tick_string),
            (18, self._tick_generic),
            (80, self._depth_l1),
            (60, self._depth_l2),
            (50, self._tick_by_tick),
            (23, self._order_status),
            (11, self._execution),
            (5, self._notice),
            (1, self._history),
        )

    def block(self) -> list[bytes]:
        """998 frames in random order: two windows without their marks."""
        makers = [maker for count, maker in self._recipe for _ in range(count)]
        self._random.shuffle(makers)
        self._seconds += 1
        return [maker() for maker in makers]

    def _price(self, request_id: int) -> str:
        number = contract_number(request_id)
        moved = max(1.0, self._prices[number] + self._random.choice((-0.02, -0.01, 0, 0.01, 0.02)))
        self._prices[number] = moved
        return f"{moved:.2f}"

    def _size(self) -> int:
        return self._random.randint(1, 60) * 100

    def _tick_price(self) -> bytes:
        key = self._random.choice(TICKERS)
        return frame(1, 6, key, self._random.choice((1, 2, 4)), self._price(key), self._size(), 1)

    def _tick_size(self) -> bytes:
        kind = self._random.choice((0, 0, 3, 3, 5, 8))
        size = self._random.randint(10_000, 90_000_000) if kind == 8 else self._size()
        return frame(2, 6, self._random.choice(TICKERS), kind, size)

    def _tick_string(self) -> bytes:
        kind = self._random.choice((45, 45, 45, 32, 33, 84))
        value = self._seconds if kind == 45 else self._random.choice(("KNQPZ", "ARCA", "NASDAQ", "BYX"))
        return frame(46, 6, self._random.choice(TICKERS), kind, value)

    def _tick_generic(self) -> bytes:
        kind = self._random.choice((23, 24, 54, 55, 56))
        return frame(45, 6, self._random.choice(TICKERS), kind, f"{self._random.uniform(0.01, 900):.4f}")

    def _level(self, key: int) -> tuple[int, int, int]:
        side = self._random.randint(0, 1)
        known = self._depth.get((key, side), 0)
        if known < _LEVELS:
            self._depth[key, side] = known + 1
            return known, 0, side
        return self._random.randrange(_LEVELS), 1, side

    def _depth_l1(self) -> bytes:
        key = self._random.choice(DEPTH_L1)
        position, operation, side = self._level(key)
        return frame(12, 1, key, position, operation, side, self._price(key), self._size())

    def _depth_l2(self) -> bytes:
        key = self._random.choice(DEPTH_L2)
        position, operation, side = self._level(key)
        maker = self._random.choice(("NSDQ", "ARCA", "BATS", "IEX"))
        return frame(13, 1, key, position, maker, operation, side, self._price(key), self._size(), 0)

    def _tick_by_tick(self) -> bytes:
        key = self._random.choice(TICK_BY_TICK)
        return frame(99, key, 3, self._seconds, self._price(key), self._price(key), self._size(), self._size(), 0)

    def _order_status(self) -> bytes:
        # the same status each time, as TWS repeats it: ib_async prints an order's whole history on every change, which
        # over a stream of this length would measure its log line and nothing else
        key = self._random.choice(ORDERS)
        return frame(3, key, "Submitted", 0, 1000, "0", 1_234_500_000 + key, 0, "0", CLIENT_ID, "", 0)

    def _execution(self) -> bytes:
        key = self._random.choice(ORDERS)
        self._executions += 1
        number = contract_number(key)
        name = symbol(number)
        contract = (contract_id(number), name, "STK", "", "0.0", "", "", "ARCA", "USD", name, "NMS")
        identity = (f"0000e0d5.{self._executions:08x}.01.01", "20260401 09:30:00 US/Eastern", ACCOUNT, "ARCA", "BOT")
        numbers = (1, "150.25", 1_234_500_000 + key, CLIENT_ID, 0, 1, "150.25")
        return frame(11, -1, key, *contract, *identity, *numbers, "", "", "", "", 2)

    def _notice(self) -> bytes:
        code, text = self._random.choice(
            (
                (2104, "Market data farm connection is OK:usfarm"),
                (2106, "HMDS data farm connection is OK:ushmds"),
                (2158, "Sec-def data farm connection is OK:secdefnj"),
            ),
        )
        return frame(4, 2, -1, code, text, "")

    def _history(self) -> bytes:
        bars: list[object] = []
        for minute in range(_BARS):
            prices = (self._price(2), self._price(2), self._price(2), self._price(2))
            bars += [f"20260401 10:{minute:02d}:00 US/Eastern", *prices, self._size(), self._price(2), 42]
        return frame(17, HISTORY, "20260401 10:00:00", "20260401 11:00:00", _BARS, *bars)
