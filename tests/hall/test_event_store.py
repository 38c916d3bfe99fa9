"""Events outlive the process, in bounded files, and cost nobody anything when they cannot be written."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.claims import Claim
from backstay.config import LogConfig
from backstay.event_store import MAX_VALUE, EventStore
from backstay.logs import EventLog
from backstay.metrics.events import Event, EventRing

PATIENCE = 30.0


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "b.db"


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "b.sock"


def lived(journal: Path, socket: Path, *names: str, clock=lambda: 1.0, **sizes: int) -> EventRing:
    """The life of a process in which this happened, to its end."""
    store = EventStore(journal, socket, **sizes)
    ring = EventRing(keeper=store, clock=clock)
    for name in names:
        ring.publish(name, {"reason": f"of {name}"})
    store.close()
    return ring


def test_what_happened_in_one_life_is_known_in_the_next_which_goes_on_counting(journal, socket):
    lived(journal, socket, "one", "two")
    ring = lived(journal, socket, "three")
    found, missed = ring.since(0)
    assert missed == 0
    assert [(one.number, one.name, one.fields) for one in found] == [
        (1, "one", {"reason": "of one"}),
        (2, "two", {"reason": "of two"}),
        (3, "three", {"reason": "of three"}),
    ]
    assert (journal.parent / "b.db.events").stat().st_mode & 0o777 == 0o600
    assert not list(journal.parent.glob("*.lock"))


def test_what_the_ring_has_no_room_for_is_found_in_the_files_as_far_as_it_is_asked_for(journal, socket):
    store = EventStore(journal, socket)
    times = iter(range(1, 10))
    ring = EventRing(2, keeper=store, clock=lambda: float(next(times)))
    for name in "abcde":
        ring.publish(name)
    store.close()
    assert "".join(one.name for one in ring.of(0.0)) == "abcde"
    assert "".join(one.name for one in ring.of(2.0)) == "bcde"
    assert "".join(one.name for one in ring.of(5.0)) == "e"
    assert ring.of(9.0) == ()
    assert "".join(one.name for one in EventRing().of(0.0)) == ""


def test_the_files_have_a_bound_and_the_latest_events_stay(journal, socket):
    names = [f"n{number}" for number in range(200)]
    lived(journal, socket, *names, max_bytes=1_000)
    files = sorted(journal.parent.glob("b.db.events*"))
    assert [file.name for file in files] == ["b.db.events", "b.db.events.1"]
    assert all(0 < file.stat().st_size <= 1_000 for file in files)
    kept = [one.name for one in lived(journal, socket).of(0.0)]
    assert len(kept) > 10
    assert kept == names[-len(kept) :]


def test_a_line_that_a_crash_has_torn_is_left_out_and_the_next_one_is_whole(journal, socket):
    lived(journal, socket, "one", "two")
    file = journal.parent / "b.db.events"
    file.write_bytes(file.read_bytes()[:-7])
    assert [one.name for one in lived(journal, socket, "three").of(0.0)] == ["one", "three"]
    broken = [b"{}", b"[]", b"\xff", b'"x"', b'{"number": "x", "wall": 1, "event": "e"}', b"[" * 100_000]
    broken.append(b'{"number": 1e999, "wall": 1, "event": "e"}')
    file.write_bytes(b"\n".join(broken) + b"\n" + file.read_bytes())
    assert [one.name for one in lived(journal, socket).of(0.0)] == ["one", "three"]


def test_events_that_change_files_while_they_are_read_are_told_once(journal, socket):
    lived(journal, socket, "one", "two")
    file = journal.parent / "b.db.events"
    (journal.parent / "b.db.events.1").write_bytes(file.read_bytes())
    assert [one.name for one in lived(journal, socket).of(0.0)] == ["one", "two"]


def test_a_long_value_is_cut(journal, socket):
    store = EventStore(journal, socket)
    store.keep(Event(1, 1.0, "long", {"text": "x" * 5_000, "count": 3}))
    store.close()
    assert json.loads((journal.parent / "b.db.events").read_text())["text"] == "x" * MAX_VALUE
    assert lived(journal, socket).of(0.0)[0].fields["count"] == 3


def test_there_are_no_account_numbers_and_no_tracebacks_in_it(journal, socket):
    store = EventStore(journal, socket)
    log = EventLog(LogConfig(), io.StringIO(), follow=EventRing(keeper=store).publish)
    log("operator_command", reason="of DU1234567", command="pause")
    log("thread_died", thread="x", error="boom", traceback="in a file")
    log.close()
    store.close()
    text = (journal.parent / "b.db.events").read_text()
    assert "of DU***" in text
    assert "boom" in text
    assert not any(word in text for word in ("1234567", "traceback"))


@pytest.fixture
def astray(journal: Path, socket: Path) -> Iterator[tuple[EventStore, list[str], threading.Condition]]:
    """A store that cannot write, what it tells, and how that is waited for."""
    (journal.parent / "b.db.events").mkdir()
    told: list[str] = []
    news = threading.Condition()

    def tell(reason: str) -> None:
        with news:
            told.append(reason)
            news.notify_all()

    store = EventStore(journal, socket)
    store.tell_by(tell)
    yield store, told, news
    store.close()


def test_a_disk_that_takes_nothing_is_told_once_until_it_takes_something(journal, astray):
    store, told, news = astray
    store.keep(Event(1, 1.0, "one", {}))
    with news:
        assert news.wait_for(lambda: told, PATIENCE)
    store.keep(Event(2, 1.0, "two", {}))
    store.close()
    assert len(told) == 1
    assert "b.db.events: Is a directory" in told[0]


def test_beside_the_journal_of_another_daemon_nothing_is_written_and_that_is_told(journal, socket):
    lived(journal, socket, "one")
    other = Claim(journal, journal.parent / "other.sock")
    store = EventStore(journal, socket)
    told: list[str] = []
    store.tell_by(told.append)
    ring = EventRing(keeper=store)
    ring.publish("two")
    store.close()
    assert [one.name for one in ring.of(0.0)] == ["two"]
    assert "is in use by another daemon" in told[0]
    other.release()
    assert [one.name for one in lived(journal, socket).of(0.0)] == ["one"]
