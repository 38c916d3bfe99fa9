"""Crashes of the process and of the machine: whatever was reported as kept is there."""

import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from backstay.actors.journal_store import JournalStore

HERE = Path(__file__).parent
ROUNDS = 24
LAST_RECORDS = 3


class Writer:
    """The program that keeps orders, until it is killed."""

    def __init__(self, path, first, under_way, *more):
        command = [sys.executable, str(HERE / "journal_writer.py"), str(path), str(first), str(under_way), *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def kill_after(self, count):
        """Kill it once it has told so many orders; return what it has told by then, as (order id, size of the log)."""
        lines = [self.process.stdout.readline() for _ in range(count)]
        self.process.kill()
        lines += self.process.stdout.read().splitlines(keepends=True)
        self.process.stdout.close()
        assert self.process.wait(10.0) == -9
        told = [line.split() for line in lines if line.endswith(b"\n")]  # the last line may be cut
        return [(int(order_id), int(size)) for _, order_id, size in told]


def kept_in(path):
    store = JournalStore(path)
    store.open()
    read = store.read()
    store.close()
    return {intent.key.order_id for intent in read.intents}, max((m.order_id for m in read.high_waters), default=0)


def test_every_order_that_was_told_as_kept_is_on_disk_wherever_the_process_is_killed(tmp_path):
    chance = random.Random(20260401)
    path = tmp_path / "orders.db"
    told, first = set(), 1
    for _ in range(ROUNDS):
        writer = Writer(path, first, under_way=chance.choice([1, 5, 50]))
        told |= {order_id for order_id, _ in writer.kill_after(chance.randint(1, 250))}
        on_disk, high_water = kept_in(path)
        assert told <= on_disk
        assert high_water == max(on_disk), "and the floor is above all of them"
        first = high_water + 1
    assert len(told) > ROUNDS


def test_a_journal_that_tells_too_early_is_found_out(tmp_path):
    path = tmp_path / "orders.db"
    told = {order_id for order_id, _ in Writer(path, 1, 5, "hasty").kill_after(20)}
    on_disk, _ = kept_in(path)
    assert not told <= on_disk


def crash(path):
    """Keep a dozen orders, one by one, and crash; return how long the log was after each of them."""
    return dict(Writer(path, 1, under_way=1).kill_after(12))


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """A file and its log as a crash leaves them, and how long the log was after each of the orders that were kept."""
    path = tmp_path_factory.mktemp("crash") / "orders.db"
    return path, crash(path)


@pytest.fixture(scope="module")
def finely_crashed(tmp_path_factory):
    """The same, in pages of 512 bytes: an eighth of the bytes to cut at."""
    path = tmp_path_factory.mktemp("fine") / "orders.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA page_size = 512")
        db.execute("VACUUM")
    return path, crash(path)


def test_a_log_cut_at_any_byte_of_the_last_records_keeps_all_before(finely_crashed, tmp_path):
    path, sizes = finely_crashed
    last = max(sizes)
    log = path.with_name("orders.db-wal").read_bytes()
    torn, torn_log = tmp_path / "torn.db", tmp_path / "torn.db-wal"
    seen = set()
    for cut in range(sizes[last - LAST_RECORDS], sizes[last] + 1):
        shutil.copyfile(path, torn)
        torn_log.write_bytes(log[:cut])
        whole = max(order_id for order_id, size in sizes.items() if size <= cut)
        with closing(sqlite3.connect(torn, isolation_level=None)) as db:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # as the journal does: no file beside the log
            db.execute("PRAGMA synchronous = OFF")  # thousands of copies, none worth keeping
            (found,) = db.execute("SELECT count(*) FROM intents WHERE order_id <= ?", (whole,)).fetchone()
            assert found == whole, cut
        seen.add(whole)
    assert seen == set(range(last - LAST_RECORDS, last + 1))


@pytest.mark.parametrize("damage", [b"", b"\x00" * 5000, b"\xff" * 5000])
def test_the_journal_opens_a_torn_file_and_goes_on(crashed, tmp_path, damage):
    path, sizes = crashed
    last = max(sizes)
    log = path.with_name("orders.db-wal").read_bytes()
    for record in range(last - LAST_RECORDS, last):
        for distance in (1, 23, 24, 25, 2000):
            torn = tmp_path / f"{record}-{distance}.db"
            shutil.copyfile(path, torn)
            torn.with_name(torn.name + "-wal").write_bytes(log[: sizes[record] + distance] + damage)
            on_disk, high_water = kept_in(torn)
            assert on_disk >= set(range(1, record + 1))
            assert high_water >= record
