"""The journal's file: what was written is read, and everything that can be wrong with a file has a name."""

import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from journal_orders import ME, PAYLOAD, intent, page

from backstay.actors import journal_files, journal_store
from backstay.actors.journal_store import APPLICATION_ID, Durability, JournalError, JournalStore, Trouble
from backstay.protocol.order_fields import read_placed
from backstay.session.intents import HighWater, IntentState, JournalPage, Outcome

HERE = Path(__file__).parent
DONE = {"state": IntentState.DONE, "outcome": Outcome.FILLED}


@pytest.fixture
def store(path):
    made = JournalStore(path)
    made.open()
    yield made
    made.close()


def trouble_of(work):
    with pytest.raises(JournalError) as caught:
        work()
    return caught.value.trouble


def order_ids(read):
    return [found.key.order_id for found in read.intents]


# -- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owed", [False, True])
def test_what_was_written_is_read_by_the_next_process(store, path, owed):
    whole = intent(
        5,
        state=IntentState.IN_DOUBT,
        perm_id=2**62,
        attempt=2,
        life=3,
        changes=4,
        change_pending=True,
        cancel_wanted=True,
        cancel_owed=owed,
        sent_wall=1.5,
        changed_wall=2.5,
        written_at=9.0,
    )
    store.write([JournalPage((whole,), (HighWater("paper", ME, 5),))])
    store.close()
    again = JournalStore(path)
    again.open()
    placed = read_placed(PAYLOAD % 5, 200)
    assert placed is not None
    assert again.read() == JournalPage(
        (replace(whole, order=replace(placed, order_ref="", account=""), written_at=0.0),),
        (HighWater("paper", ME, 5),),
    )
    again.close()


def test_an_intent_is_kept_as_it_was_last_written(store):
    store.write([page(5), JournalPage((intent(5, **DONE),))])
    assert store.read().intents == ()
    (kept,) = store.read(concluded=True).intents
    assert (kept.state, kept.outcome) == (IntentState.DONE, Outcome.FILLED)


def test_a_payload_that_can_not_be_read_is_kept_all_the_same(store):
    store.write([JournalPage((replace(intent(5), payload=b"21\x00?"),))])
    (kept,) = store.read().intents
    assert (kept.payload, kept.order.order_id) == (b"21\x00?", 5)


def test_connections_are_told_apart(store):
    store.write([page(5), page(6, connection="live")])
    assert order_ids(store.read("paper")) == [5]
    assert store.read("live").high_waters == (HighWater("live", ME, 6),)
    assert sorted(order_ids(store.read())) == [5, 6]
    assert store.read("other") == JournalPage()


def test_of_what_is_concluded_the_latest_are_read(store, monkeypatch):
    monkeypatch.setattr(journal_store, "RECALL_ROWS", 2)
    ended = [intent(n, **DONE, changed_wall=float(n)) for n in (1, 2, 3)]
    store.write([JournalPage((*ended, intent(4, changed_wall=2.0), intent(5, changed_wall=1.0)))])
    assert order_ids(store.read()) == [5, 4]
    assert order_ids(store.read(concluded=True)) == [2, 3, 5, 4]


def test_a_high_water_only_rises(store):
    for order_id in (10, 30, 20):
        store.write([JournalPage((), (HighWater("paper", ME, order_id),))])
    assert store.read().high_waters == (HighWater("paper", ME, 30),)


def test_a_commit_that_fails_keeps_nothing_of_it(store):
    too_big = replace(intent(6), perm_id=2**70)
    with pytest.raises(OverflowError):
        store.write([page(5), JournalPage((too_big,))])
    assert store.read() == JournalPage()
    store.write([page(5)])
    assert order_ids(store.read()) == [5]


@pytest.mark.parametrize(("durability", "pragma"), [(Durability.HOST, 2), (Durability.PROCESS, 1)])
def test_durability_decides_whether_a_commit_waits_for_the_disk(path, durability, pragma):
    made = JournalStore(path, durability)
    made.open()
    assert made._opened().execute("PRAGMA synchronous").fetchone() == (pragma,)
    assert made._opened().execute("PRAGMA journal_mode").fetchone() == ("wal",)
    made.close()


def test_the_file_is_for_its_owner_alone(store, path):
    store.write([page(5)])
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


# -- pruning ----------------------------------------------------------------------------------------------------------


def test_old_concluded_intents_are_forgotten_in_portions_and_high_waters_are_not(store, monkeypatch):
    monkeypatch.setattr(journal_store, "PRUNE_ROWS", 2)
    old = [intent(n, **DONE, changed_wall=10.0 + n) for n in (1, 2, 3)]
    young = intent(4, **DONE, changed_wall=100.0)
    doubtful = intent(5, state=IntentState.IN_DOUBT, changed_wall=1.0)
    store.write([JournalPage((*old, young, doubtful), (HighWater("paper", ME, 5),))])
    assert store.prune(50.0) == 2
    assert store.prune(50.0) == 1
    assert store.prune(50.0) == 0
    assert order_ids(store.read(concluded=True)) == [4, 5]
    assert store.read().high_waters == (HighWater("paper", ME, 5),)


# -- what can be wrong with a file ------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_denied(tmp_path):
    assert trouble_of(JournalStore(tmp_path / "no" / "orders.db").open) is Trouble.DENIED


def test_a_folder_in_its_place_is_denied(tmp_path):
    made = JournalStore(tmp_path)
    assert trouble_of(made.open) is Trouble.DENIED
    made.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 50, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_what_is_no_database_is_unreadable_and_left_alone(path, content):
    path.write_bytes(content)
    made = JournalStore(path)
    assert trouble_of(made.open) is Trouble.UNREADABLE
    made.close()
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (x)", "PRAGMA user_version = 3", "PRAGMA application_id = 9"]
)
def test_the_database_of_another_program_is_left_alone(path, statement):
    with sqlite3.connect(path) as theirs:
        theirs.execute(statement)
    theirs.close()
    before = path.read_bytes()
    made = JournalStore(path)
    assert trouble_of(made.open) is Trouble.UNREADABLE
    made.close()
    assert path.read_bytes() == before


def test_a_file_of_a_later_version_is_left_alone(store, path):
    store.close()
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 2")
    later.close()
    made = JournalStore(path)
    assert trouble_of(made.open) is Trouble.NEWER
    made.close()


def test_a_damaged_file_is_unreadable(store, path):
    store.write([page(*range(1, 200))])
    store.close()
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 5 * 4096] = b"\xaa" * 8192
    path.write_bytes(content)
    made = JournalStore(path)
    assert trouble_of(made.open) is Trouble.UNREADABLE
    made.close()


def test_a_state_that_is_not_known_is_unreadable(store):
    store.write([page(5)])
    store._opened().execute("UPDATE intents SET state = 'levitating'")
    assert trouble_of(store.read) is Trouble.UNREADABLE


def test_a_table_that_is_missing_is_unreadable(store):
    store._opened().execute("DROP TABLE high_waters")
    assert trouble_of(store.read) is Trouble.UNREADABLE


def test_a_file_that_is_in_use_is_locked(store, path):
    second = JournalStore(path)
    assert trouble_of(second.open) is Trouble.LOCKED
    second.close()
    store.write([page(5)])
    store.close()
    second.open()
    assert order_ids(second.read()) == [5]
    second.close()


def test_a_file_that_another_process_uses_is_locked(store, path):
    store.write([page(5)])
    code = (
        "import sys; from pathlib import Path; from backstay.actors.journal_store import *\n"
        "try: JournalStore(Path(sys.argv[1])).open()\n"
        "except JournalError as error: print(error.trouble.name)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "LOCKED\n"
    store.write([page(6)])


def test_a_full_file_says_so_and_goes_on_once_there_is_room(path):
    small = JournalStore(path, max_pages=20)
    small.open()
    written = []

    def fill():
        for order_id in range(1, 1000):
            small.write([page(order_id, **DONE)])
            written.append(order_id)

    assert trouble_of(fill) is Trouble.FULL
    assert written
    assert trouble_of(small.try_room) is Trouble.FULL
    assert order_ids(small.read(concluded=True)) == written, "what was kept stays kept"
    assert small.prune(1e9) == len(written)
    small.try_room()
    small.write([page(1000)])
    assert order_ids(small.read()) == [1000]
    small.close()


def test_a_disk_that_takes_no_more_bytes_is_broken_and_what_was_kept_is_kept(path):
    done = subprocess.run(
        [sys.executable, HERE / "journal_full_disk.py", path], capture_output=True, text=True, timeout=60, check=True
    )
    kept, trouble = done.stdout.split()
    assert trouble in ("BROKEN", "FULL")
    made = JournalStore(path)
    made.open()
    assert order_ids(made.read())[: int(kept)] == list(range(1, int(kept) + 1))
    assert int(kept) > 0
    made.close()


@pytest.mark.parametrize("work", [lambda s: s.read(), lambda s: s.write([]), lambda s: s.prune(0.0)])
def test_a_store_that_is_not_open_says_so(path, work):
    assert trouble_of(lambda: work(JournalStore(path))) is Trouble.DENIED


def test_a_file_system_without_a_log_is_denied(monkeypatch):
    memory = JournalStore(Path(":memory:"))
    monkeypatch.setattr(journal_store, "create", lambda _path: None)
    assert trouble_of(memory.open) is Trouble.DENIED
    memory.close()


def test_no_room_for_the_file_itself_is_full(path, monkeypatch):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_files.os, "open", no_room)
    assert trouble_of(JournalStore(path).open) is Trouble.FULL


def test_our_own_mistakes_are_no_trouble_of_the_file(store):
    caught = []

    def misuse():
        try:
            store.read()
        except sqlite3.ProgrammingError as error:
            caught.append(error)

    stranger = threading.Thread(target=misuse)
    stranger.start()
    stranger.join(10.0)
    assert len(caught) == 1


def test_a_trouble_reads_as_a_sentence():
    assert str(JournalError(Trouble.FULL, "")) == "no room"
    assert str(JournalError(Trouble.FULL, "disk")) == "no room (disk)"
    assert APPLICATION_ID.to_bytes(4, "big") == b"bsta"
