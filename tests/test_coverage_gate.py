"""The gate on branch coverage fails where something is not met, with the very settings of pyproject.toml."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
ROOMS = ["backstay.protocol", "backstay.session", "backstay.supervisor"]

CODE = """
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import decimal


def sign(number):
    word = "positive"
    if number < 0:
        word = "negative"
    return word
"""


def gate(folder: Path, calls: str) -> tuple[int, str]:
    """The end and the words of a report on a room that these calls have been through."""
    (folder / "room").mkdir()
    (folder / "room" / "__init__.py").write_text("")
    (folder / "room" / "code.py").write_text(CODE)
    (folder / "calls.py").write_text(f"from room.code import sign\n{calls}\n")
    settings, replaced = re.subn(
        r"^source_pkgs = .*$", 'source_pkgs = ["room"]', PYPROJECT.read_text(), flags=re.MULTILINE
    )
    assert replaced == 1
    (folder / "pyproject.toml").write_text(settings)
    for command in (("run", "calls.py"), ("combine", "-q"), ("report",)):
        ended = subprocess.run(
            [sys.executable, "-m", "coverage", *command], cwd=folder, capture_output=True, text=True, check=False
        )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("calls", "missing"),
    [("sign(1)", r"code\.py .* 11$"), ("sign(-1)", r"code\.py .* 10->12$"), ("sign(-1), sign(1)", "")],
    ids=["a line", "a branch", "neither"],
)
def test_what_nothing_meets_is_named_and_fails(tmp_path, calls, missing):
    code, words = gate(tmp_path, calls)
    assert (code != 0) == bool(missing), words
    assert not missing or re.search(missing, words, re.MULTILINE), words


def test_what_is_measured_is_these_rooms_whole_and_up_to_the_last_branch():
    tools = tomllib.loads(PYPROJECT.read_text())["tool"]["coverage"]
    assert tools["run"]["source_pkgs"] == ROOMS
    assert tools["run"]["branch"] is True
    assert tools["report"]["fail_under"] == 100
    assert tools["report"]["exclude_also"] == ["if TYPE_CHECKING:"]
    assert not {"omit", "include", "exclude_lines", "partial_branches"} & {*tools["run"], *tools["report"]}
