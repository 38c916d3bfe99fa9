"""A journal whose file is deleted or replaced while it is in use: what was kept is where the next process looks."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from journal_deeds import DEEDS, delete_with_log, replace_with_text
from journal_orders import page

from backstay.actors.journal import TEND_SECONDS, Keep, Kept, NotKept, Recall
from backstay.actors.journal_files import FRESH, LOG, UNFINISHED
from backstay.actors.journal_store import JournalError, JournalStore, Trouble

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("CREATE TABLE t (x)")
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(path, tmp_path):
    """A database that another process writes, to be put somewhere."""
    other = tmp_path / "other.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(other)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        yield other
        process.stdin.close()


def found_by_the_next(path: Path, tmp_path: Path) -> list[int]:
    """Order ids in a copy of what lies at the path now: as a kill would leave it."""
    folder = tmp_path / "next"
    folder.mkdir()
    for ending in ("", LOG, FRESH):
        part = path.with_name(path.name + ending)
        if part.exists():
            shutil.copy(part, folder / part.name)
    store = JournalStore(folder / path.name)
    store.open()
    try:
        return sorted(found.key.order_id for found in store.read(concluded=True).intents)
    finally:
        store.close()


@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_reported_as_kept_is_found_whatever_became_of_the_file(desk, path, answers, deed, tmp_path):
    desk.start(lambda: JournalStore(path))
    desk.send(Keep(page(1), 1, answers))
    answers.wait(1)
    deed(path)
    desk.send(Keep(page(2), 2, answers))
    assert answers.wait(2)[1] == Kept(2)
    assert found_by_the_next(path, tmp_path) == [1, 2]
    desk.send(Keep(page(3), 3, answers))
    assert answers.wait(3)[2] == Kept(3)
    assert [entry[0] for entry in desk.logged.entries].count("journal_rescued") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(f"*{FRESH}"))
    assert not list(tmp_path.glob(f"*{UNFINISHED}"))


@pytest.mark.parametrize("deed", DEEDS)
def test_a_file_that_goes_while_nothing_is_written_is_noticed_by_the_clock(desk, path, answers, deed, tmp_path):
    desk.start(lambda: JournalStore(path))
    desk.send(Keep(page(1), 1, answers))
    answers.wait(1)
    deed(path)
    desk.pass_time(TEND_SECONDS)
    desk.send(Recall("sync", answers))
    answers.wait(2)
    assert found_by_the_next(path, tmp_path) == [1]


def test_a_stop_writes_a_file_that_has_gone_anew(desk, path, answers, tmp_path):
    desk.start(lambda: JournalStore(path))
    desk.send(Keep(page(1), 1, answers))
    answers.wait(1)
    delete_with_log(path)
    desk.stop()
    assert found_by_the_next(path, tmp_path) == [1]


def test_a_file_that_was_put_in_its_place_is_moved_aside(desk, path, answers, tmp_path):
    desk.start(lambda: JournalStore(path))
    desk.send(Recall("open", answers))
    answers.wait(1)
    replace_with_text(path)
    desk.send(Keep(page(1), 1, answers))
    answers.wait(2)
    aside = tmp_path / f"orders.db.aside-{desk.wall:.0f}"
    assert aside.read_text(encoding="utf-8") == "a note\n"
    assert ("journal_rescued", {"found": "replaced", "aside": str(aside)}) in desk.logged.entries


def test_a_file_that_another_process_uses_is_left_alone_and_orders_are_refused_until_it_has_gone(
    desk, path, answers, held, tmp_path
):
    desk.start(lambda: JournalStore(path))
    desk.send(Keep(page(1), 1, answers))
    answers.wait(1)
    delete_with_log(path)
    held.rename(path)
    for count in (2, 3):
        desk.send(Keep(page(count), count, answers))
        refused = answers.wait(count)[-1]
        assert isinstance(refused, NotKept)
        assert refused.trouble is Trouble.LOCKED
        assert "replaced" in refused.text
    assert not desk.parts.meter.usable
    path.rename(tmp_path / "elsewhere")
    desk.pass_time(TEND_SECONDS)
    desk.send(Recall("sync", answers))
    answers.wait(4)
    desk.send(Keep(page(4), 4, answers))
    assert answers.wait(5)[-1] == Kept(4)
    assert {1, 4} <= set(found_by_the_next(path, tmp_path))


def test_a_file_that_is_put_back_is_gone_on_with(desk, path, answers, held, tmp_path):
    desk.start(lambda: JournalStore(path))
    desk.send(Recall("open", answers))
    answers.wait(1)
    kept = tmp_path / "kept"
    path.rename(kept)
    held.rename(path)
    desk.send(Keep(page(1), 1, answers))
    assert isinstance(answers.wait(2)[1], NotKept)
    kept.replace(path)
    desk.pass_time(TEND_SECONDS)
    desk.send(Recall("sync", answers))
    answers.wait(3)
    desk.send(Keep(page(2), 2, answers))
    assert answers.wait(4)[-1] == Kept(2)
    assert "journal_rescued" not in [entry[0] for entry in desk.logged.entries]


def test_a_folder_that_has_gone_is_trouble_until_it_is_back(desk, tmp_path, answers):
    folder, away = tmp_path / "state", tmp_path / "away"
    folder.mkdir()
    path = folder / "orders.db"
    desk.start(lambda: JournalStore(path))
    desk.send(Recall("open", answers))
    answers.wait(1)
    folder.rename(away)
    desk.send(Keep(page(1), 1, answers))
    refused = answers.wait(2)[1]
    assert isinstance(refused, NotKept)
    assert refused.text == (
        "cannot be opened (its file was deleted, and writing it anew failed: No such file or directory)"
    )
    folder.mkdir()
    desk.pass_time(TEND_SECONDS)
    desk.send(Recall("sync", answers))
    answers.wait(3)
    desk.send(Keep(page(2), 2, answers))
    assert answers.wait(4)[-1] == Kept(2)


def test_a_rescue_that_was_cut_short_is_finished_by_the_next_process(path):
    store = JournalStore(path)
    store.open()
    store.write([page(1)])
    store.close()
    path.rename(path.with_name(path.name + FRESH))
    store.open()
    assert [found.key.order_id for found in store.read().intents] == [1]
    store.close()


def test_what_an_older_rescue_left_behind_does_not_take_the_place_of_a_journal(path):
    store = JournalStore(path)
    store.open()
    store.write([page(1)])
    left = path.with_name(path.name + FRESH)
    left.write_bytes(b"of before what was written last")
    os.utime(left, (0, path.stat().st_mtime - 1.0))
    store.close()
    store.open()
    assert [found.key.order_id for found in store.read().intents] == [1]
    store.close()


def test_a_rescue_keeps_what_makes_the_file_ours(path):
    store = JournalStore(path)
    store.open()
    path.unlink()
    assert store.astray() == "deleted"
    store.rescue("1")
    store.close()
    with sqlite3.connect(path) as db:
        found = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    db.close()
    assert all(found)


def test_a_rescue_for_which_there_is_no_room_leaves_nothing_half_written_in_place(path, monkeypatch):
    store = JournalStore(path)
    store.open()
    path.unlink()
    monkeypatch.setattr("backstay.actors.journal_store.sync", lambda _path: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(JournalError, match="no room"):
        store.rescue("1")
    assert not path.exists()
    store.close()
