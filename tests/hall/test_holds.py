"""Holds are kept on disk, and never guessed."""

from __future__ import annotations

import json

import pytest

from backstay.errors import StartError
from backstay.holds import DRAINED, PAUSED, Hold, Holds

HOLD = Hold(PAUSED, "gateway moves", 1_000.0)


def test_what_one_process_held_the_next_one_knows(tmp_path):
    first = Holds(tmp_path / "x.holds")
    first.load()
    assert first.put("one", HOLD) == ""
    assert first.put("door/3", Hold(DRAINED, "", 2_000.0)) == ""
    assert first.put("one", HOLD) == ""
    second = Holds(tmp_path / "x.holds")
    second.load()
    assert second.get("one") == HOLD
    assert set(second.all()) == {"one", "door/3"}
    assert second.put("door/3", None) == ""
    assert set(json.loads((tmp_path / "x.holds").read_text())["held"]) == {"one"}
    assert [path.name for path in tmp_path.iterdir()] == ["x.holds"]


def test_holds_are_for_their_owner_alone_also_where_a_crash_has_left_half_of_one(tmp_path):
    path = tmp_path / "x.holds"
    path.with_name("x.holds.new").write_text("{")
    holds = Holds(path)
    assert holds.put("one", HOLD) == ""
    assert path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["x.holds"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"held": 5}', '{"held": {"a": {"wanted": "paused"}}}'])
def test_a_damaged_file_is_told_and_not_taken_for_empty(tmp_path, text):
    path = tmp_path / "x.holds"
    path.write_text(text)
    with pytest.raises(StartError, match=r"control\.holds: .*x\.holds is damaged .*mend it, or remove it"):
        Holds(path).load()


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(StartError, match=r"control\.holds: .* cannot be read: Is a directory"):
        Holds(tmp_path).load()


def test_a_hold_that_cannot_be_written_counts_all_the_same_and_is_told(tmp_path):
    holds = Holds(tmp_path / "nowhere" / "x.holds")
    assert "No such file or directory" in holds.put("one", HOLD)
    assert holds.get("one") == HOLD


def test_without_a_file_holds_last_as_long_as_the_process():
    holds = Holds()
    holds.load()
    assert holds.put("one", HOLD) == ""
    assert holds.get("one") == HOLD
