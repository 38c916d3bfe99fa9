"""Figures and text for people."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.render import duration, printable, round_trip, table
from backstay.status import ConnectionStatus


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (185, "3m05s"),
        (7800, "2h10m"),
        (4 * 86400 + 21700, "4d06h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.0004, "0.4ms"), (0.012, "12ms"), (0.9996, "1000ms"), (1.31, "1.3s")]
)
def test_a_round_trip_has_a_digit_where_it_matters(seconds, text):
    assert round_trip(seconds) == text


@given(st.text())
def test_text_from_elsewhere_cannot_command_a_terminal(text):
    shown = printable(text)
    assert len(shown) == len(text)
    assert all(character.isprintable() for character in shown)


def test_no_connection_is_said_in_words():
    status = {"version": "1", "pid": 1, "started_wall": 0.0, "listeners": []}
    assert table(status, [], colour=False, now=5.0).splitlines() == ["backstay 1, pid 1, up 5s", "", "no connections"]


def test_rows_stand_by_name_and_clients_of_a_relay_by_number():
    names = ("paper/10", "keeper", "paper/waiting", "paper/2", "a")
    rows = [asdict(ConnectionStatus(name, "g", "", 1, True, "ready")) for name in names]
    status = {"version": "1", "pid": 1, "started_wall": 0.0, "listeners": []}
    shown = table(status, rows, colour=False, now=5.0).splitlines()[3:]
    assert [line.split()[0] for line in shown] == ["a", "keeper", "paper/2", "paper/10", "paper/waiting"]
