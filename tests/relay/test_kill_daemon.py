"""`backstay run` is killed outright at random points while a client places orders, and started again.

Whatever the simulator has must be on record, there once, under an id that was never used before; and the client, come
back with the same id, is told what has become of each. An order of which there is no record never left: its id is free.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from lives import CONFIGURATION, LIVES_A_PIECE, Daemon, Piece, settings
from trader import CANCELLED, FILLED, LIVE
from translated import PROTOBUF, TEXT

from backstay.simulator import Simulator

DURABILITIES = ("full", "process")
VERSIONS = (TEXT, PROTOBUF)


def seeds(config: pytest.Config) -> Iterator[tuple[int, int]]:
    first, kills = config.getoption("kills_seed"), config.getoption("kills")
    first = int.from_bytes(os.urandom(3)) if first is None else first
    while kills > 0:
        yield first, min(kills, LIVES_A_PIECE)
        first, kills = first + 1, kills - LIVES_A_PIECE


@pytest.mark.timeout(0)  # every wait is bounded by itself, and --kills may ask for many
def test_after_each_kill_every_order_has_a_record_none_is_there_twice_and_the_client_is_told(tmp_path, pytestconfig):
    total: Counter[str] = Counter()
    for seed, kills in seeds(pytestconfig):
        version = pytestconfig.getoption("kills_version") or VERSIONS[seed // 2 % 2]
        options = f"--kills {kills} --kills-seed {seed} --kills-version {version}"
        print(f"repeat with {options}")  # noqa: T201 - shown when the test fails
        chance = random.Random(seed)
        folder = tmp_path / "piece"
        folder.mkdir()
        with Simulator(server_version=version) as simulator:
            text = settings(simulator, chance, DURABILITIES[seed % 2])
            (folder / "backstay.toml").write_text(text, encoding="utf-8")
            piece = Piece(folder, simulator, chance, version=version)
            for _ in range(kills):
                piece.live_and_die()
                piece.meddle()
            assert simulator.errors == []
        total += piece.counts
        shutil.rmtree(folder)
        print(f"version {version}: {dict(total)}", flush=True)  # noqa: T201


def test_orders_whose_journal_was_deleted_by_hand_have_their_records_after_a_kill(tmp_path):
    with Simulator(server_version=200) as simulator:
        text = CONFIGURATION.format(port=simulator.port, durability="process", rate=1000)
        (tmp_path / "backstay.toml").write_text(text, encoding="utf-8")
        piece = Piece(tmp_path, simulator, random.Random(1))
        trader = piece.trader
        daemon = Daemon(tmp_path, signal.SIGKILL)
        try:
            assert trader.connect(daemon.address())
            for _ in range(2):
                trader.trade(random.Random(2), 10)
                trader.wait_for(lambda: all(one.believed for one in trader.asked.values()), "of each order")
                for ending in ("", "-wal"):
                    (tmp_path / f"orders.db{ending}").unlink()
            trader.trade(random.Random(3), 10)
            trader.wait_for(lambda: all(one.believed for one in trader.asked.values()), "of each order")
        finally:
            daemon.bury()
        trader.close()
        piece.look()
        again = Daemon(tmp_path, signal.SIGKILL)
        try:
            assert trader.connect(again.address())
            piece.see_fates()
        finally:
            again.bury()
        trader.close()


def test_an_order_of_which_there_is_no_record_is_found_out(tmp_path):
    with Simulator(server_version=200) as simulator:
        piece = Piece(tmp_path, simulator, random.Random(1))
        assert piece.trader.connect(simulator.address)
        piece.trader.trade(random.Random(1), 3)
        piece.trader.wait_for(lambda: piece.trader.asked[1].believed in (LIVE, FILLED, CANCELLED), "an answer")
        piece.trader.close()
        with pytest.raises(AssertionError, match="without a record"):
            piece.look()
