"""Types the commands of pages where a daemon runs, and judges those that belong to another machine.

What stands behind ``#`` is a remark. A line with ``$`` in front is a command, and what follows it is to be seen; where
no line has one all lines are commands. Spans of time, dates and ports differ each time, words do not.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from backstay.cli import COMMANDS, load
from backstay.commands import Option, parameters

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0

ELSEWHERE = {
    "chronyc": "looks at a machine's clock",
    "date": "looks at a machine's clock",
    "df": "looks at a machine's disk",
    "dmesg": "reads the log of a machine's kernel",
    "groupadd": "makes a group on a machine",
    "grep": "picks from what another one says",
    "journalctl": "reads the log of a service",
    "ping": "asks for a gateway's machine",
    "sort": "orders what another one says",
    "ss": "looks at a machine's sockets",
    "systemctl": "asks for a service",
    "tail": "picks from what another one says",
    "timedatectl": "looks at a machine's clock",
    "top": "looks at a machine's processes",
    "uniq": "counts what another one says",
    "uptime": "looks at a machine",
    "vmstat": "looks at a machine",
}
"""Commands that only say something on the machine where the trouble is, and why they are there."""

OF_PYTEST = {"-x", "-s", "-k", "--timeout"}
LASTING = ("backstay simulator", "backstay run")
"""They run until they are ended, which is at the end of their block."""


class Command(NamedTuple):
    """A line that is typed, and what is to be seen then."""

    text: str
    shown: tuple[str, ...] = ()


def commands_in(text: str) -> Iterator[Command]:
    """The commands of a console block."""
    lines = [re.sub(r"\s+# .*", "", line) for line in text.replace("\\\n", " ").splitlines()]
    if not any(line.startswith("$ ") for line in lines):
        yield from (Command(line.strip()) for line in lines if line.strip() and not line.startswith("#"))
        return
    for typed in "\n".join(lines).split("$ ")[1:]:
        first, *shown = typed.splitlines()
        yield Command(first, tuple(line for line in shown if line.strip()))


def like(line: str) -> re.Pattern[str]:
    """A line of output as a pattern."""
    pattern = re.escape(" ".join(line.split())).replace(r"\ ", r"\s+").replace(r"\.\.\.", ".*")
    pattern = re.sub(r"\d{4}\\-\d\d\\-\d\d\\s\+\d\d:\d\d", r"[\\d-]+\\s+[\\d:]+", pattern)
    return re.compile(re.sub(r"\d+(?:\\\.\d+)?([smh])\b", r"\\d[\\d.]*\1", pattern))


# -- judging ---------------------------------------------------------------------------------------------------------


def problems_of(command: str) -> list[str]:
    """What is wrong with a command that is not typed here."""
    alone = re.sub(r"^for .*?; do (.*?) & done; wait$", r"\1", command)
    lexer = shlex.shlex(alone, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    parts = groupby(lexer, key=lambda word: set(word) <= set(";|&"))
    return [problem for between, words in parts if not between for problem in _problems_of_one(list(words))]


def _problems_of_one(words: list[str]) -> list[str]:
    first = Path(words[0]).name
    if first == "make":
        return _problems_of_make(words)
    if first in ("python", "python3"):
        return _problems_of_python(words)
    if first in ("docker", "kubectl", "install", "pip", "promtool", "curl"):
        return _problems_of_files(words)
    return [] if first in ELSEWHERE else [f"nobody knows how to judge {first}"]


def _problems_of_make(words: list[str]) -> list[str]:
    dry = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    problems = [] if dry.returncode == 0 else [dry.stderr.strip()]
    for word in words[1:]:
        name, _, value = word.partition("=")
        known = {"PYTEST_ARGS": ROOT / "tests" / "conftest.py", "BENCH_ARGS": ROOT / "bench" / "run.py"}.get(name)
        if known is not None:
            problems += _unknown_options(shlex.split(value), known)
            problems += _problems_of_files(shlex.split(value))
    return problems


def _problems_of_python(words: list[str]) -> list[str]:
    if "-m" not in words:
        return _problems_of_files(words[1:2]) + _unknown_options(words[2:], ROOT / words[1])
    module, rest = words[words.index("-m") + 1], words[words.index("-m") + 2 :]
    if module in ("venv", "pytest"):
        return _problems_of_files(rest)
    file = ROOT / (module.removeprefix("backstay.").replace(".", "/") + ".py")
    return _unknown_options(rest, file) if file.is_file() else [f"there is no module {module}"]


def _unknown_options(words: list[str], source: Path) -> list[str]:
    text = source.read_text(encoding="utf-8") if source.is_file() else ""
    options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return [f"{source.name} has no {one}" for one in options if one not in OF_PYTEST and f'"{one}"' not in text]


def _problems_of_files(words: list[str]) -> list[str]:
    """Files of the source tree that are named have to be there, and profiles of compose as well."""
    named = [word for word in words if re.match(r"(deploy|docs|tests|examples|bench)/", word)]
    problems = [f"there is no {word}" for word in named if not (ROOT / word).exists()]
    compose = (ROOT / "deploy" / "compose" / "compose.yaml").read_text(encoding="utf-8")
    profiles = {word.strip() for found in re.findall(r"profiles: \[(.*?)\]", compose) for word in found.split(",")}
    asked = [words[at + 1] for at, word in enumerate(words) if word == "--profile"]
    return problems + [f"there is no profile {name}" for name in asked if name not in profiles]


def misspelt(command: str) -> list[str]:
    """Whether `backstay ...` names a command that there is, with options that it has."""
    words = shlex.split(command)
    words = words[words.index("backstay") + 1 :]
    if not words or words[0].startswith("--") or words[0] == "COMMAND":
        return []
    row = next((one for one in COMMANDS if one.name == words[0]), None)
    if row is None:
        return [f"there is no command {words[0]!r}: {command}"]
    declared = [one.declared for one in parameters(load(row)) if isinstance(one.declared, Option)]
    known = {name for one in declared for name in one.names} | {"--help", "-h"}
    options = [word.partition("=")[0] for word in words[1:] if word.startswith("-")]
    return [f"{words[0]} has no {option}: {command}" for option in options if option not in known]


# -- typing ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Typist:
    """Somebody with a shell in a folder. `instead`: what is typed and seen otherwise than it stands there."""

    folder: Path
    environ: Mapping[str, str]
    instead: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    typed: set[Command] = field(default_factory=set)

    def follow(self, where: str, block: str, *, instead: Mapping[str, str] | None = None) -> None:
        """Type what can be typed here, judge the rest, and note what is wrong."""
        running: list[subprocess.Popen[str]] = []
        try:
            for command in map(self._as_here, commands_in(self._replaced(block, instead or {}))):
                if command in self.typed:
                    continue  # many pages begin with the same look
                if not self._is_for_here(command.text):
                    self.problems += [f"{where}: {problem}" for problem in problems_of(command.text)]
                elif command.text.startswith(LASTING):
                    running.append(self._begin(command.text))
                else:
                    self._type(where, command)
                    self.typed.add(command)
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=SECONDS)

    def _as_here(self, command: Command) -> Command:
        """A command within the container is typed without one, once its way there has been judged."""
        way, inside, rest = command.text.partition(" exec backstay backstay ")
        if not inside:
            return command
        self.problems += problems_of(f"{way} ps")
        return command._replace(text=f"backstay {rest}")

    @staticmethod
    def _is_for_here(text: str) -> bool:
        return text.startswith("backstay ") or (text.startswith("curl ") and "127.0.0.1" in text)

    def _replaced(self, text: str, instead: Mapping[str, str]) -> str:
        for old, new in {**self.instead, **instead}.items():
            text = text.replace(old, new)
        return text

    def _begin(self, text: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            shlex.split(text), cwd=self.folder, env=dict(self.environ), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline(), text
        return process

    def _type(self, where: str, command: Command) -> None:
        done = subprocess.run(
            ["bash", "-c", command.text],
            cwd=self.folder,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode != 0:
            self.problems.append(f"{where}: {command.text}: code {done.returncode}: {done.stdout}{done.stderr}")
        seen = iter(done.stdout.splitlines())
        for line in command.shown:
            if not any(like(line).fullmatch(" ".join(one.split())) for one in seen):
                self.problems.append(f"{where}: {command.text}: {line!r} is not in {done.stdout!r}")
