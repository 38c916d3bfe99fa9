"""A file belongs to one daemon, and whoever finds it taken hears by whom."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from backstay.claims import Claim, TakenError, claim, lock_of, taken_by_another
from backstay.errors import StartError

PATIENCE = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.holds"


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return tmp_path / "a.sock"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return tmp_path / "b.sock"


def test_a_file_that_is_taken_is_refused_with_the_name_of_the_daemon_that_has_it(path, ours, theirs):
    first = Claim(path, theirs)
    with pytest.raises(StartError) as refused:
        claim("control.holds", path, ours)
    assert str(refused.value) == (
        f"control.holds: {path} is in use by another daemon (pid {os.getpid()}, control socket {theirs}); "
        "give each daemon a file of its own"
    )
    first.release()
    first.release()
    claim("control.holds", path, ours).release()
    assert list(path.parent.iterdir()) == []


def test_whoever_looks_hears_of_another_daemon_and_not_of_its_own(path, ours, theirs):
    assert taken_by_another(path, ours) == ""
    held = Claim(path, ours)
    assert taken_by_another(path, ours) == ""
    assert taken_by_another(path, ours.parent / ".." / ours.parent.name / ours.name) == ""
    assert str(ours) in taken_by_another(path, theirs)
    held.release()
    assert taken_by_another(path, theirs) == ""


def test_the_lock_is_for_its_owner_alone(path, ours):
    held = Claim(path, ours)
    assert lock_of(path).stat().st_mode & 0o777 == 0o600
    held.release()


def hold(path: Path, socket: Path, ready) -> None:
    Claim(path, socket)
    ready.set()
    signal.pause()


def test_a_daemon_that_was_killed_holds_nothing(path, ours, theirs):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(path, theirs, ready))
    process.start()
    assert ready.wait(PATIENCE)
    with pytest.raises(TakenError, match=rf"pid {process.pid}, "):
        Claim(path, ours)
    process.kill()
    process.join(PATIENCE)
    process.close()
    assert lock_of(path).exists()
    assert taken_by_another(path, ours) == ""
    Claim(path, ours).release()


@pytest.mark.parametrize("words", [b"", b"[]", b"{", b'{"pid": 1}'])
def test_a_lock_that_says_nothing_is_a_lock_all_the_same(path, ours, theirs, words):
    held = Claim(path, theirs)
    lock_of(path).write_bytes(words)
    with pytest.raises(TakenError, match=r"in use by another process; give each"):
        Claim(path, ours)
    assert "another process" in taken_by_another(path, ours)
    held.release()


def test_who_lets_go_removes_no_lock_but_his_own(path, ours, theirs):
    first = Claim(path, theirs)
    lock_of(path).unlink()
    second = Claim(path, ours)
    first.release()
    with pytest.raises(TakenError):
        Claim(path, theirs)
    second.release()
    assert not lock_of(path).exists()


def test_where_nothing_can_be_written_there_is_nothing_to_guard(tmp_path, ours):
    nowhere = tmp_path / "nowhere" / "x.holds"
    Claim(nowhere, ours).release()
    assert taken_by_another(nowhere, ours) == ""
