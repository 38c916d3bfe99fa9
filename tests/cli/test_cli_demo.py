"""The demo as people see it, with and without a terminal."""

import re
import signal

import pytest

from backstay.demo import CUTS, SYMBOLS, Cut, Outcome, Sighting, summary

SEEN = (Sighting(1.0, "eof", 507), Sighting(1.1, "refused", 502), Sighting(1.2, "refused", 502))


def outcome(**over) -> Outcome:
    values = {
        "number": 1,
        "cut": CUTS[0],
        "seen": SEEN,
        "detect_seconds": 0.001,
        "dark_seconds": 2.0,
        "streams_back": len(SYMBOLS),
        "told": (1100, 1102),
        "closed": None,
    }
    return Outcome(**{**values, **over})


def test_without_a_terminal_every_cut_is_told_in_plain_lines(command):
    ended = command("demo", "--rounds", "2", "--seconds", "0")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "\x1b" not in ended.stdout
    first, *lines, last = ended.stdout.splitlines()
    assert re.fullmatch(r"client -> relay 127.0.0.1:\d+ -> simulated gateway 127.0.0.1:\d+: 5 streams", first)
    for number, (cut, code) in enumerate(((CUTS[0], "eof (507)"), (CUTS[1], "reset (507)"))):
        broke, seen, fate = lines[3 * number : 3 * number + 3]
        assert broke == f"cut {number + 1} of 2, {cut.name}: {cut.what}"
        assert re.match(rf"  seen after \S+ m?s as {re.escape(code)}.*: ", seen)
        assert re.fullmatch(r"  no quotes for \S+ m?s, 5 of 5 back, socket open; it was told 1100, 1102", fate)
    assert re.match(r"2 of 2 cuts survived: the client's socket never closed; it was without quotes for ", last)


@pytest.mark.filterwarnings("ignore:.*use of forkpty.*:DeprecationWarning")  # exec follows at once
def test_on_a_terminal_one_screen_is_redrawn(terminal):
    shown = terminal("demo", "--rounds", "1", "--seconds", "1")
    assert shown.end() == 0
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.seen)
    assert shown.seen.count("SEEN AS") >= 3
    assert "\x1b[2K" in shown.seen
    assert re.search(r"1 +the gateway hangs up +eof \(507\).* +5 of 5 back, socket open", text)
    assert text.rstrip().splitlines()[-1].startswith("1 of 1 cuts survived")
    assert shown.seen.rfind("\x1b[?25h") > shown.seen.rfind("\x1b[?25l")  # the cursor is given back


@pytest.mark.filterwarnings("ignore:.*use of forkpty.*:DeprecationWarning")  # as above
def test_somebody_who_has_seen_enough_gets_the_summary(terminal):
    shown = terminal("demo", "--rounds", "100", "--seconds", "0.5", TERM="dumb")
    shown.read_until("cut 2 of 100")
    code = shown.end(signal.SIGINT)
    last = shown.seen.rstrip().splitlines()[-1]
    assert re.search(r"\d+ of \d+ cuts survived: the client's socket never closed", last)
    assert code == 0


def test_a_cut_is_survived_only_if_it_was_seen_and_all_streams_are_back_on_the_same_socket():
    assert outcome().survived
    assert not outcome(seen=()).survived
    assert not outcome(streams_back=len(SYMBOLS) - 1).survived
    assert not outcome(closed="end of file").survived


def test_the_story_tells_the_same_thing_in_a_row_once():
    assert outcome().story == "eof (507), then refused (502)"
    assert outcome(seen=()).story == "not seen"


def test_the_summary_does_not_hide_what_failed():
    text = summary([outcome(), outcome(dark_seconds=4.0, closed="end of file")])
    assert text.startswith("1 of 2 cuts survived: the client's socket closed (end of file);")
    assert text.endswith("3.0 s in the median, 4.0 s at most.")
    assert summary([]) == "Nothing was cut."


def test_every_cut_differs_and_names_a_cause_that_there_is():
    assert len({cut.name for cut in CUTS}) == len(CUTS) == 7
    assert all(isinstance(cut, Cut) and cut.what for cut in CUTS)
    assert Sighting(0.0, "silent", -1).sentence == "the socket is open but nothing answers"
