"""The table of events and the source agree: whatever is logged is in it, with all that it carries."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.event_names import EVENTS, reference
from backstay.logs import LEVELS

ROOT = Path(__file__).parents[2]
ROOMS = ("actors", "control", "metrics", "relay", "session", "supervisor", "src/backstay")
TELLING = {"log", "_log", "Report"}
OF_SUPERVISORS = {"supervisor", "connection"}  # added on the way by a supervisor, and by a session


def names_in(node: ast.expr) -> Iterator[str]:
    """The names that a first argument may have: a literal, or one of two."""
    for part in (node.body, node.orelse) if isinstance(node, ast.IfExp) else (node,):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and re.fullmatch(r"[a-z_]+", part.value):
            yield part.value


def told() -> Iterator[tuple[str, frozenset[str], str]]:
    """Each event in the source: its name, the fields that can be seen there, the place."""
    for room in ROOMS:
        for file in sorted((ROOT / room).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
                if name in TELLING:
                    fields = frozenset(keyword.arg for keyword in node.keywords if keyword.arg)
                    for event in names_in(node.args[0]):
                        yield event, fields, f"{file.relative_to(ROOT)}:{node.lineno}"


TOLD = tuple(told())


@pytest.mark.checkout
def test_whatever_is_logged_is_in_the_table_with_its_fields():
    assert len(TOLD) > 20
    for event, fields, place in TOLD:
        assert event in EVENTS, f"{place}: {event}"
        assert fields - {"fields"} <= set(EVENTS[event].fields.split()) | OF_SUPERVISORS, f"{place}: {event}"


@pytest.mark.checkout
def test_whatever_is_in_the_table_is_logged_somewhere():
    source = "\n".join((ROOT / room / "x").parent.joinpath(f).read_text() for room in ROOMS for f in files(room))
    for event in EVENTS:
        assert f'"{event}"' in source, event


def files(room: str) -> list[str]:
    return [file.name for file in (ROOT / room).glob("*.py") if file.name != "event_names.py"]


@pytest.mark.parametrize("name", EVENTS)
def test_a_row_is_complete(name):
    row = EVENTS[name]
    assert row.meaning.endswith(".")
    assert row.level_of({}) in LEVELS
    assert bool(row.levels) == callable(row.level)
    assert len(set(row.fields.split())) == len(row.fields.split())


@pytest.mark.checkout
def test_the_documentation_is_what_the_table_gives():
    assert (ROOT / "docs" / "events.md").read_text(encoding="utf-8") == reference()  # python -m backstay.event_names
