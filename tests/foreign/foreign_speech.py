"""What both foreign client programs share: one JSON object a line to the test and from it, and what has ticked.

Said: ready, next_valid_id, error, disconnected, all_ticked, report, placed, order, execution, commission, bye.
Understood: {"do": "report"}, {"do": "mark"}, {"do": "order"}, {"do": "cancel"}, {"do": "quit"}. A 1100 counts as a
mark: all_ticked then means ticked again after the loss.
"""

import argparse
import json
import sys
import threading
from collections.abc import Callable, Iterable

STOCKS = ("AAPL", "MSFT", "SPY", "QQQ", "GOOGL", "AMZN", "NVDA", "TSLA", "META", "IBM")
QUOTES = (*STOCKS, "EUR", "ES", "AAPL-C200")
TICK_BY_TICK = (("MSFT", "BidAsk"), ("NVDA", "Last"))
BARS = ("SPY", "QQQ")
DEPTH = "TSLA"

STREAMS = (
    *(f"quotes {symbol}" for symbol in QUOTES),
    *(f"ticks {symbol}" for symbol, _ in TICK_BY_TICK),
    *(f"bars {symbol}" for symbol in BARS),
    f"depth {DEPTH}",
    "account",
    "pnl",
)
"""The 20 streams each client holds, by name."""

ON_CHANGE = frozenset({"account"})
"""Streams that send everything when they begin and then only what has changed: silent in a quiet hour."""

CONTRACTS = {
    **{symbol: {"symbol": symbol, "secType": "STK", "exchange": "SMART", "currency": "USD"} for symbol in STOCKS},
    "EUR": {"symbol": "EUR", "secType": "CASH", "exchange": "IDEALPRO", "currency": "USD"},
    "ES": {
        "symbol": "ES",
        "secType": "FUT",
        "exchange": "CME",
        "currency": "USD",
        "lastTradeDateOrContractMonth": "20301220",
    },
    "AAPL-C200": {
        "symbol": "AAPL",
        "secType": "OPT",
        "exchange": "SMART",
        "currency": "USD",
        "lastTradeDateOrContractMonth": "20300118",
        "strike": 200.0,
        "right": "C",
        "multiplier": "100",
    },
}
ORDER = {"action": "BUY", "orderType": "LMT", "totalQuantity": 1, "lmtPrice": 1.0, "tif": "GTC"}
"""A limit far below the market: it rests until somebody cancels it."""

LOST = 1100


class Speech:
    """Lines of JSON on standard output, whole ones from any thread."""

    def __init__(self) -> None:
        self._saying = threading.Lock()

    def say(self, event: str, **fields: object) -> None:
        line = json.dumps({"event": event, **fields})
        with self._saying:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def listen(self, commands: dict[str, Callable[[], None]]) -> None:
        """Read commands from standard input in a thread of its own until it ends."""

        def read() -> None:
            for line in sys.stdin:
                commands[json.loads(line)["do"]]()
            commands["quit"]()  # the test has gone

        threading.Thread(target=read, daemon=True).start()


class Ticks:
    """Counts per stream, and which of them have not ticked since the last mark."""

    def __init__(self, speech: Speech, names: Iterable[str] = STREAMS) -> None:
        self._speech = speech
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(names, 0)
        self._missing = set(self._counts)
        self._since = "start"

    def tick(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1
            if name not in self._missing:
                return
            self._missing.remove(name)
            complete, since = not self._missing, self._since
        if complete:
            self._speech.say("all_ticked", since=since)

    def mark(self) -> None:
        """Wait for every stream that ticks by itself."""
        with self._lock:
            self._missing = set(self._counts) - ON_CHANGE
            self._since = "mark"

    def lost(self) -> None:
        """Wait for every stream: each begins anew."""
        with self._lock:
            self._missing = set(self._counts)
            self._since = str(LOST)

    def report(self) -> None:
        with self._lock:
            counts, missing = dict(self._counts), sorted(self._missing)
        self._speech.say("report", ticks=counts, missing=missing)

    def error(self, key: int, code: int, text: str) -> None:
        """Pass on an error; what ticked before a loss counts no more."""
        if code == LOST:
            self.lost()
        self._speech.say("error", id=key, code=code, text=text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--client-id", type=int, required=True)
    return parser.parse_args()
