"""Lives of `backstay run` over one journal and one simulator, while a client trades: each ends by a signal."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from trader import ABSENT, CANCELLED, LIVE, OVER, STATUSES, Trader
from translated import PROTOBUF, TEXT, Translated

from backstay.simulator import Simulator
from backstay.simulator.records import Event

PATIENCE = 30.0  # also for what is done at once on an idle machine
CLIENT = 7
LIVES_A_PIECE = 40  # then a new journal and a new simulator: lists that grow for ever make each life dearer
MAX_DEEDS = 60
QUICKEST_SECONDS = 0.5
DURATIONS_SECONDS = (0.05, 0.2, 0.6)
LOOK_SECONDS = 0.05
OWED = "SELECT order_id FROM intents WHERE cancel_wanted = 2 AND outcome IS NULL"

CONFIGURATION = """
[gateways.simulated]
endpoints = ["127.0.0.1:{port}"]
[relays.door]
gateway = "simulated"
listen = "127.0.0.1:0"
[pacing]
messages_per_second = {rate}
[orders]
settle_seconds = 1.0
[journal]
path = "orders.db"
durability = "{durability}"
[http]
enabled = false
[control]
socket = "control.sock"
holds = "holds"
[log]
level = "error"
"""


class Daemon:
    """`backstay run`, to be ended by a signal."""

    def __init__(self, folder: Path, number: int) -> None:
        command = [sys.executable, "-m", "backstay", "run", "--config", str(folder / "backstay.toml")]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("BACKSTAY")}
        self.process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
        self.is_up = False
        self.seconds = 0.0  # from the signal to the end
        self._number = number
        self._killing = threading.Lock()
        self._waiter: threading.Thread | None = None

    def address(self) -> tuple[str, int] | None:
        """Where its relay listens; None if it ended before it did."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            return None
        self.is_up = True
        host, port = line.partition("relay door on ")[2].partition(",")[0].split(":")
        return host, int(port)

    def kill(self) -> None:
        """From any thread, as often as one likes."""
        with self._killing:
            if self._waiter is None:  # nobody has waited for it yet, so that its id is still its own
                os.kill(self.process.pid, self._number)
                self._waiter = threading.Thread(target=self._wait, args=(time.monotonic(),))
                self._waiter.start()

    def _wait(self, begun: float) -> None:
        self.process.wait()
        self.seconds = time.monotonic() - begun

    def bury(self) -> int:
        """Kill it if nobody has; the code it has ended with."""
        self.kill()
        assert self._waiter is not None
        self._waiter.join(PATIENCE)
        if self._waiter.is_alive():
            self.process.kill()
            raise AssertionError(f"it has not ended {PATIENCE} s after signal {self._number}")
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.returncode


class Countdown:
    """Calls on the n-th time; for ever quiet without a number."""

    def __init__(self, act: Callable[[], object], left: int = -1) -> None:
        self.act, self.left = act, left

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()


class Piece:
    """Some lives over one journal and one simulator."""

    number = signal.SIGKILL

    def __init__(self, folder: Path, simulator: Simulator, chance: random.Random, *, version: int = TEXT) -> None:
        """`version`: of the simulator, text or protobuf; the client writes text, translated where it has to be."""
        self.folder, self.simulator, self.chance = folder, simulator, chance
        self.trader = Trader(CLIENT, Translated) if version == PROTOBUF else Trader(CLIENT)
        self.writes: Counter[int | None] = Counter()  # placeOrder by order id, as they arrive
        self.on_written: Callable[[], object] = lambda: None
        self.highest = 0
        self.owed: set[int] = set()  # cancels that the last life has left behind
        self.counts: Counter[str] = Counter()
        simulator.events.append(self._happened)

    def _happened(self, event: Event) -> None:
        if event.kind == "request" and event.name in ("placeOrder", "cancelOrder"):
            if event.name == "placeOrder":  # a cancel may be of an order that was refused, and has no record
                self.writes[event.key] += 1
            self.on_written()

    def live_and_die(self) -> None:
        """Start, see that the client is told of the life before, trade, kill, and look at what is left."""
        daemon, chance, trader = Daemon(self.folder, self.number), self.chance, self.trader
        moment = chance.choice(("asked", "written", "told", "time", "early"))
        self.counts[moment] += 1
        countdown = Countdown(daemon.kill, chance.randint(1, MAX_DEEDS))
        timer = threading.Timer(chance.uniform(0, chance.choice(DURATIONS_SECONDS)), daemon.kill)
        early = threading.Timer(chance.uniform(QUICKEST_SECONDS / 2, 2 * QUICKEST_SECONDS), daemon.kill)
        if moment == "early":
            early.start()
        try:
            address = daemon.address()
            if address is not None and trader.connect(address) and moment != "early":
                assert trader.next_id > self.highest
                self.see_fates()
                self.on_written = countdown if moment == "written" else lambda: None
                trader.on_asked = countdown if moment == "asked" else lambda: None
                trader.on_told = countdown if moment == "told" else lambda: None
                if moment == "time":
                    timer.start()
                self.disturb()
                trader.trade(chance, MAX_DEEDS)
            if moment == "early" or not trader.gone:
                trader_gone = threading.Event()
                trader_gone.wait(chance.uniform(0, QUICKEST_SECONDS))
        finally:
            code = daemon.bury()
            for one in (timer, early):
                one.cancel()
                if one.ident is not None:
                    one.join(PATIENCE)
        trader.close()
        self.judge(daemon, code)
        self.look()

    def disturb(self) -> None:
        """What else is to happen in a life, before the client trades."""

    def judge(self, _daemon: Daemon, code: int) -> None:
        """How it has ended."""
        assert code == -self.number

    def look(self) -> None:
        """What is at the simulator and in the journal once the daemon is dead."""
        state = self.simulator.wait_for(lambda state: not state["sockets"]["open"], PATIENCE)
        records, self.owed = self.records(), self.owed_cancels()
        self.counts["owed cancels"] += len(self.owed)
        orders = {order["order_id"]: order for order in state["orders"]}
        assert len(orders) == len(state["orders"]), "an id twice"
        assert orders.keys() <= records.keys(), "an order without a record"
        refs = [order["order_ref"] for order in orders.values()]
        assert len(refs) == len(set(refs)), "an order twice, under two ids"
        self.highest = max([self.highest, *records, *orders])
        self.trader.forget_from(self.highest + 1)
        for order_id, order in orders.items():
            asked = self.trader.asked[order_id]
            assert records[order_id] == order["order_ref"] == asked.ref
        for order_id, count in self.writes.items():
            assert order_id in self.trader.asked, f"order {order_id} was written, and was never asked for, or forgotten"
            assert count <= self.trader.asked[order_id].writes, "written more often than asked"
        self.counts["orders"] = len(orders)
        self.counts["records"] = len(records)

    def records(self) -> dict[int, str]:
        """References by order id."""
        with contextlib.closing(self._copy()) as db:
            return dict(db.execute("SELECT order_id, order_ref FROM intents").fetchall()) if _has_orders(db) else {}

    def _copy(self) -> sqlite3.Connection:
        """The journal has to find its file as the kill has left it."""
        copy = self.folder / "copy.db"
        for ending in ("", "-wal"):
            part = self.folder / f"orders.db{ending}"
            copy.with_name(copy.name + ending).write_bytes(part.read_bytes() if part.exists() else b"")
        return sqlite3.connect(copy)

    def owed_cancels(self) -> set[int]:
        """Orders whose cancels the journal has as owed; also while it is being written."""
        with contextlib.closing(self._copy()) as db:
            return {order_id for (order_id,) in db.execute(OWED)} if _has_orders(db) else set()

    def until(self, condition: Callable[[], object]) -> None:
        """Look at what is on disk until it is so: nobody tells of that."""
        deadline, pause = time.monotonic() + PATIENCE, threading.Event()
        while not condition():
            assert time.monotonic() < deadline
            pause.wait(LOOK_SECONDS)

    def meddle(self) -> None:
        """While nobody looks orders fill, are cancelled, and ids are forgotten."""
        live = [order["order_id"] for order in self.simulator.state()["orders"] if STATUSES[order["status"]] == LIVE]
        for order_id in self.chance.sample(live, min(len(live), self.chance.choice((0, 0, 1, 3)))):
            deed = self.chance.choice((self.simulator.faults.fill_order, self.simulator.faults.cancel_order))
            deed(CLIENT, order_id)
        if self.chance.random() < 0.2:
            self.simulator.faults.restart(0.0, order_ids_fall_back=True)
            self.simulator.wait_for(lambda state: state["listening"], PATIENCE)

    def see_fates(self) -> None:
        """The client comes to believe of each order what is true of it."""
        truth = {order["order_id"]: order for order in self.simulator.state()["orders"]}
        asked = self.trader.asked

        def wrong() -> dict[int, tuple[str, str]]:
            found = {}
            for order_id, one in asked.items():
                fact = STATUSES[truth[order_id]["status"]] if order_id in truth else ABSENT
                # Of a changed order nothing can prove that it never was.
                never_was = fact is ABSENT and one.writes > 1 and one.believed is OVER
                by_now = one.believed is CANCELLED and order_id in self.owed
                if one.believed != fact and not never_was and not by_now:
                    found[order_id] = (one.believed, fact)
            return found

        try:
            self.trader.wait_for(lambda: not wrong() or self.trader.gone, "the fate of each order")
        except AssertionError:
            raise AssertionError(f"believed and true, by order id: {wrong()}") from None
        live = ("Submitted", "PreSubmitted", "PendingSubmit")
        self.simulator.wait_for(
            lambda state: (
                self.trader.gone
                or not any(order["order_id"] in self.owed and order["status"] in live for order in state["orders"])
            ),
            PATIENCE,
        )


def _has_orders(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'intents'").fetchone()[0])


def settings(simulator: Simulator, chance: random.Random, durability: str) -> str:
    """A configuration for some lives."""
    return CONFIGURATION.format(port=simulator.port, durability=durability, rate=chance.choice((45, 1000)))
