"""`backstay run` is asked to end (SIGTERM) at random moments, also in the middle of a fault, and started again.

It ends in time, with code 0, and leaves nothing behind but its journal, which is whole: what has left is on record,
what has not is written down as never sent. The client, come back with the same id, is told what has become of each.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from pathlib import Path

import pytest
from lives import LIVES_A_PIECE, Daemon, Piece, settings

from backstay.simulator import Simulator

LIMIT_SECONDS = 12.0
"""Ten for connections and actors, as the daemon has it, and what an interpreter takes to end on a busy machine."""


class Terminated(Piece):
    """Lives that end as a service manager ends them."""

    number = signal.SIGTERM
    slowest = 0.0

    def disturb(self) -> None:
        faults = self.simulator.faults
        name, fault = self.chance.choice(
            (
                ("nothing", lambda: None),
                ("nothing", lambda: None),
                ("frozen", faults.freeze),
                ("refusing", faults.refuse),
                ("cut", faults.eof),
                ("dropping", lambda: faults.drop_requests(2.0)),
            )
        )
        self.counts[name] += 1
        fault()

    def judge(self, daemon: Daemon, code: int) -> None:
        self.mend()
        self.slowest = max(self.slowest, daemon.seconds)
        assert daemon.seconds < LIMIT_SECONDS
        if not daemon.is_up and code == -signal.SIGTERM:
            self.counts["before it began"] += 1  # Python had not yet come to the part that heeds signals
            return
        assert code == 0
        assert not (self.folder / "control.sock").exists()
        with sqlite3.connect(self.folder / "orders.db") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            states = dict(db.execute("SELECT state, count(*) FROM intents GROUP BY state").fetchall())
        db.close()
        assert "intent" not in states, "an order that is neither sent nor given up"

    def mend(self) -> None:
        faults, state = self.simulator.faults, self.simulator.state()
        faults.thaw()
        faults.drop_requests(0.0)
        if not state["listening"]:
            faults.accept()


@pytest.mark.timeout(0)  # every wait is bounded by itself, and --terms may ask for many
def test_sigterm_ends_it_in_time_with_code_0_and_no_order_is_lost(tmp_path: Path, pytestconfig):
    terms, seed = pytestconfig.getoption("terms"), pytestconfig.getoption("terms_seed")
    seed = int.from_bytes(os.urandom(3)) if seed is None else seed
    for first in range(0, terms, LIVES_A_PIECE):
        lives = min(LIVES_A_PIECE, terms - first)
        print(f"repeat with --terms {lives} --terms-seed {seed}")  # noqa: T201 - shown when the test fails
        chance = random.Random(seed)
        folder = tmp_path / str(first)
        folder.mkdir()
        with Simulator(server_version=200) as simulator:
            (folder / "backstay.toml").write_text(settings(simulator, chance, "process"), encoding="utf-8")
            piece = Terminated(folder, simulator, chance)
            for _ in range(lives):
                piece.live_and_die()
                piece.meddle()
            assert simulator.errors == []
        print(dict(piece.counts), f"the slowest took {piece.slowest:.2f} s", flush=True)  # noqa: T201
        seed += 1


def test_a_daemon_that_does_not_heed_the_signal_is_found_out(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("lives.PATIENCE", 0.2)
    (tmp_path / "backstay.toml").write_text("[gateways.x]\nendpoints = ['127.0.0.1:1']\n", encoding="utf-8")
    daemon = Daemon(tmp_path, signal.SIGURG)  # of which nobody takes notice
    try:
        with pytest.raises(AssertionError, match="has not ended"):
            daemon.bury()
    finally:
        daemon.process.wait()
        assert daemon.process.stdout is not None
        daemon.process.stdout.close()
