"""Help is complete, mistakes are told, and both readers of command lines agree."""

from __future__ import annotations

import contextlib
import inspect
import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay import __version__, cli
from backstay.cli import COMMANDS, load
from backstay.cli_reference import reference
from backstay.cli_typer import build
from backstay.commands import NotPlainError, Option, parameters, read

LONGEST_SUMMARY = 120


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_and_every_option_is_explained(row):
    function = load(row)
    summary, _, more = inspect.getdoc(function).partition("\n")
    assert summary.endswith(".")
    assert len(summary) <= LONGEST_SUMMARY
    assert more.strip()
    for parameter in parameters(function):
        assert parameter.declared.text.endswith(".")
        if isinstance(parameter.declared, Option):
            assert any(name.startswith("--") for name in parameter.declared.names)


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_help_of_every_command_names_all_its_options(command, row):
    shown = command(row.name, "--help")
    assert shown.returncode == 0
    assert shown.stderr == ""
    assert "Exit codes: 0 ok" in shown.stdout
    assert "\x1b" not in shown.stdout
    for parameter in parameters(load(row)):
        if isinstance(parameter.declared, Option):
            assert all(name in shown.stdout for name in parameter.declared.names)
        else:
            assert parameter.declared.metavar in shown.stdout


def test_the_first_help_lists_all_commands(command):
    shown = command("--help")
    assert shown.returncode == 0
    assert all(f" {row.name} " in shown.stdout for row in COMMANDS)
    assert command().stdout.strip() == shown.stdout.strip()


def test_a_shell_can_complete_commands_and_options(command):
    def completed(words: str) -> list[str]:
        given = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_BACKSTAY_COMPLETE": "complete_bash"}
        return command(**given).stdout.split()

    operations = {"restart", "resume", "reset", "resubscribe", "reload", "requests"}
    assert set(completed("backstay re")) == operations
    assert "--stale" in completed("backstay resubscribe --st")


def test_the_version_is_told(command):
    assert command("--version").stdout == f"backstay {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("statsu",), "'status'"),
        (("status", "--jsn"), "--jsn"),
        (("status", "--timeout", "soon"), "--timeout"),
        (("status", "--timeout", "0"), "0.1"),
        (("status", "--control"), "--control"),
        (("health", "paper"), "paper"),
        (("demo", "--rounds", "0"), "--rounds"),
        (("check",), "FILE"),
    ],
)
def test_a_mistake_is_told_with_code_2(command, arguments, told):
    ended = command(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("statsu",), "No such command 'statsu'"),
        (("status", "--jsn"), "No such option: --jsn"),
        (("drain", "keepa", "--within", "-1"), "'--within'"),
        (("status", "--timeout", "soon"), "'--timeout'"),
        (("check",), "FILE"),
        (("simulator", "--listen", "nowhere"), ""),
    ],
)
def test_a_mistake_is_told_as_json_where_that_is_wanted(command, arguments, told):
    ended = command(*arguments, "--json")
    assert (ended.returncode, ended.stderr) == (2, "")
    error = json.loads(ended.stdout)["error"]
    assert (error["code"], error["exit"]) == ("bad_request", 2)
    assert told in error["message"]


def test_what_is_no_mistake_ends_as_ever_also_as_json(command, tmp_path):
    (tmp_path / "bad.toml").write_text("[nothing]\n")
    assert command("check", "bad.toml", "--json").returncode == 1
    assert command("check", "--json", "--help").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "--config", "nowhere.toml"), 2),
        (("check", "nowhere.toml"), 2),
        (("status", "--config", "nowhere.toml"), 2),
        (("restart", "one", "--config", "nowhere.toml"), 2),
        (("run", "--config", "bad.toml"), 1),
        (("check", "bad.toml"), 1),
        (("status", "--config", "bad.toml"), 1),
        (("restart", "one", "--config", "bad.toml"), 1),
        (("status",), 4),
        (("restart", "one"), 4),
        (("events", "-f"), 4),
    ],
)
def test_like_mistakes_end_with_like_codes(command, tmp_path, arguments, code):
    (tmp_path / "bad.toml").write_text("[\n")
    ended = command(*arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr


def test_what_belongs_under_one_heading_of_the_help_stands_together():
    headings = [heading for heading, _ in groupby(row.panel for row in COMMANDS)]
    assert len(headings) == len(set(headings))


@pytest.mark.checkout
def test_the_reference_of_the_documentation_is_what_the_commands_declare():
    written = Path(__file__).parents[2] / "docs" / "commands.md"
    assert written.read_text(encoding="utf-8") == reference()  # python -m backstay.cli_reference


def test_a_command_is_one_row():
    assert len({row.name for row in COMMANDS}) == len(COMMANDS)
    assert all(callable(load(row)) for row in COMMANDS)


def test_only_the_command_that_is_asked_for_is_imported():
    program = "import sys; from backstay.cli import main\ntry: main(['check', '--help'])\nfinally: print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = ended.stdout.splitlines()[-1].split()
    assert "backstay.cli_daemon" in loaded
    assert not {"backstay.cli_status", "backstay.cli_demo", "backstay.program", "backstay.config"} & set(loaded)


def by_typer(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a command is called with by Typer; None when it was not called."""
    called: list[dict[str, Any]] = []
    row = next(row for row in COMMANDS if row.name == name)
    function = load(row)

    def record(**options: Any) -> int:
        called.append(options)
        return 0

    record.__wrapped__ = function
    record.__annotations__ = function.__annotations__
    record.__doc__ = function.__doc__
    monkeypatch.setattr(f"{row.module}.{row.function}", record)
    with contextlib.suppress(SystemExit):
        build([row])(args=[name, *words], prog_name="backstay")
    monkeypatch.undo()
    return called[0] if called else None


FLAGS = ("--json", "--watch", "-w", "--live", "--no", "--", "-", "-1", "-wc", "-cx")
VALUES = ("--config", "-c", "--config=b.toml", "--control", "--control=", "--timeout", "--timeout=3.5")
WORDS = st.sampled_from((*FLAGS, *VALUES, "a.toml", "s.sock", "2", "0.01", "paper/1", "night"))


@pytest.mark.parametrize("name", [row.name for row in COMMANDS if row.quick])
@settings(max_examples=150)
@given(words=st.lists(WORDS, max_size=5))
def test_both_readers_agree_on_plain_lines(name, words):
    function = load(next(row for row in COMMANDS if row.name == name))
    try:
        plain = read(function, words)
    except NotPlainError:
        return
    defaults = {key: one.default for key, one in inspect.signature(function).parameters.items()}
    with pytest.MonkeyPatch.context() as monkeypatch:
        full = by_typer(name, words, monkeypatch)
    assert full is not None, f"Typer refuses {words}"
    given_or_default = {key: value or defaults[key] for key, value in full.items()}
    assert {**defaults, **{key: value or defaults[key] for key, value in plain.items()}} == given_or_default


def test_plain_lines_do_not_need_typer(monkeypatch):
    called: list[dict[str, Any]] = []
    function = load(next(row for row in COMMANDS if row.name == "status"))
    assert read(function, ["paper/1", "--json", "--timeout", "2", "-c", "x.toml", "night"]) == {
        "names": ["paper/1", "night"],
        "as_json": True,
        "timeout": 2.0,
        "config": "x.toml",
    }
    monkeypatch.setattr("backstay.cli.load", lambda _: lambda **options: called.append(options) or 7)
    monkeypatch.setattr("backstay.cli.read", lambda *_: {"as_json": True})
    assert cli.main(["status", "--json"]) == 7
    assert called == [{"as_json": True}]
