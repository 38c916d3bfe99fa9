"""Scenarios in plain sentences, one file each, played on the pure session in simulated time.

`scenarios/NNN-name.txt`: a title, where the case comes from, and lines that begin with Given, When, Then or And. The
sentences are those of `scenario_phrases`; the world asserts its own rules under each of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import driver_gateway
import pytest
import scenario_claims  # noqa: F401  # its sentences join the table
from scenario_phrases import TABLE, perform
from scenario_world import Stage

from backstay.session import core
from backstay.session.lifecycle import ROWS, Event, State

FOLDER = Path(__file__).parent / "scenarios"
LEAST = 80
LINE = re.compile(r"(?:Given|When|Then|And) (.+)")
NAME = re.compile(r"(\d{3})-[a-z0-9-]+\.txt")


@dataclass(frozen=True)
class Scenario:
    path: Path
    title: str
    source: str
    sentences: tuple[tuple[int, str], ...]

    @property
    def name(self) -> str:
        return self.path.stem


def read(path: Path) -> Scenario:
    """A scenario, or a complaint with its place."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# "), f"{path.name}:1: the first line is the title, behind #"
    assert lines[1].startswith("# From: "), f"{path.name}:2: the second line says where the case comes from"
    sentences = []
    for number, line in enumerate(lines[2:], start=3):
        if line.strip():
            found = LINE.fullmatch(line)
            assert found, f"{path.name}:{number}: a line begins with Given, When, Then or And"
            sentences.append((number, found[1]))
    assert any(line.startswith("Then ") for line in lines), f"{path.name}: nothing is claimed"
    return Scenario(path, lines[0][2:], lines[1][8:], tuple(sentences))


def play(scenario: Scenario) -> None:
    """Play it; what fails names its line."""
    stage = Stage()
    for number, sentence in scenario.sentences:
        try:
            perform(stage, sentence)
        except Exception as error:
            error.add_note(f"{scenario.path.name}:{number}: {sentence}")
            raise


FILES = sorted(FOLDER.glob("*.txt"))


@pytest.fixture(autouse=True)
def _nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_gateway, "_is_refused", lambda _payload: False)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_scenario_is_true(path: Path) -> None:
    play(read(path))


def test_there_are_enough_and_their_numbers_are_their_own() -> None:
    found = [NAME.fullmatch(path.name) for path in FILES]
    assert all(found), [path.name for path, name in zip(FILES, found, strict=True) if name is None]
    numbers = [name[1] for name in found if name]
    assert len(set(numbers)) == len(numbers) >= LEAST
    titles = [read(path).title for path in FILES]
    assert len(set(titles)) == len(titles)


@pytest.fixture
def rows_met(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The rows of the transition table that are used."""
    by_pair = {(state, event): row for row, (states, event, _, _) in enumerate(ROWS) for state in states}
    met: set[int] = set()
    honest = core.step

    def step(state: State, event: Event):
        met.add(by_pair[state, event])
        return honest(state, event)

    monkeypatch.setattr(core, "step", step)
    return met


def test_every_line_of_the_transition_table_is_met_by_a_scenario(rows_met: set[int]) -> None:
    for path in FILES:
        play(read(path))
    missing = [
        f"{[state.value for state in ROWS[row][0]]} x {ROWS[row][1].value}"
        for row in range(len(ROWS))
        if row not in rows_met
    ]
    assert not missing


def test_every_sentence_is_used() -> None:
    spoken = [sentence for path in FILES for _, sentence in read(path).sentences]
    unused = [pattern.pattern for pattern, _ in TABLE if not any(pattern.fullmatch(sentence) for sentence in spoken)]
    assert not unused


# -- the runner itself -------------------------------------------------------------------------------------------------


def written(tmp_path: Path, text: str) -> Scenario:
    path = tmp_path / "001-made-up.txt"
    path.write_text(f"# Made up\n# From: here\n{text}", encoding="utf-8")
    return read(path)


def test_what_is_not_true_fails_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        play(written(tmp_path, "Given a client whose connection is ready\nThen the connection is paused\n"))
    assert caught.value.__notes__ == ["001-made-up.txt:4: the connection is paused"]


def test_a_sentence_that_nobody_knows_fails_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="0 sentences of the table fit 'the moon is full'") as caught:
        play(written(tmp_path, "Then the moon is full\n"))
    assert caught.value.__notes__ == ["001-made-up.txt:3: the moon is full"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("whatever\n", ":3: a line begins with"), ("Given there is a single endpoint\n", "nothing is claimed")],
)
def test_a_scenario_out_of_form_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        written(tmp_path, text)
