"""Pages typed through: their blocks are put into files and terminals, and what they say is to be seen is waited for.

A block's title says where it belongs: a file's name, or a terminal's. A console block is typed into its terminal, a
bash of its own; a text block is what that terminal shows from where the last look ended. In it ``...`` stands for
anything, and so does the value of a number with a decimal point: prices differ each time, codes and ports do not.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text(encoding="utf-8"))]


def expectation(line: str) -> re.Pattern[str]:
    """A line of output as a pattern."""
    pattern = re.escape(line.strip()).replace(re.escape("..."), ".*")
    pattern = re.sub(r"(?<![\d.])\d+\\\.\d+(?!\\?[\d.])", r"[\\d.]+", pattern)
    return re.compile(re.sub(r"(?:\\ )+", r"\\s+", pattern))


class Terminal:
    """A shell that types what it is told and keeps what it sees."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env={**environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "160"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.seen = 0
        self.over = False
        self.news = threading.Condition()
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()

    def _watch(self) -> None:
        assert self.shell.stdout is not None
        for line in self.shell.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.over = True
            self.news.notify_all()

    def type(self, line: str) -> None:
        assert self.shell.stdin is not None
        self.shell.stdin.write(line + "\n")
        self.shell.stdin.flush()

    def see(self, line: str, seconds: float) -> re.Match[str]:
        """Wait for a line like this, beyond what has been looked at."""
        pattern = expectation(line)

        def found() -> re.Match[str] | None:
            while self.seen < len(self.lines):
                self.seen += 1
                if match := pattern.fullmatch(self.lines[self.seen - 1].strip()):
                    return match
            return None

        match: list[re.Match[str] | None] = [None]

        def there() -> bool:
            match[0] = found()
            return match[0] is not None or self.over

        with self.news:
            self.news.wait_for(there, seconds)
        assert match[0], f"{line!r} was not to be seen in {seconds:g} s, but:\n" + "\n".join(self.lines)
        return match[0]

    def close(self, stop: signal.Signals = signal.SIGINT) -> None:
        """Ctrl-C, and the end of what is typed."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        try:
            if self.shell.poll() is None:
                os.killpg(self.shell.pid, stop)
            self.shell.stdin.close()
            self.shell.wait(STOP_SECONDS)
        finally:
            if self.shell.poll() is None:
                os.killpg(self.shell.pid, signal.SIGKILL)
                self.shell.wait()
            self.watcher.join(STOP_SECONDS)
            self.shell.stdout.close()


@dataclass(slots=True)
class Walk:
    """Someone who follows a page in a folder. `instead` has what is typed or seen otherwise than it stands there."""

    folder: Path
    environ: dict[str, str]
    seconds: float = 60.0
    instead: dict[str, str] = field(default_factory=dict)
    terminals: dict[str, Terminal] = field(default_factory=dict)

    def follow(self, page: list[Block]) -> None:
        for block in page:
            text = self.replaced(block.text)
            if block.language == "console":
                for line in text.splitlines():
                    self.terminal(block.title).type(line)
            elif block.language == "text":
                for line in text.splitlines():
                    self.terminal(block.title).see(line, self.seconds)
            else:
                (self.folder / block.title).write_text(text, encoding="utf-8")

    def replaced(self, text: str) -> str:
        """Each of `instead` once, none within what another has put there."""
        if not self.instead:
            return text
        places = re.compile("|".join(map(re.escape, sorted(self.instead, key=len, reverse=True))))
        return places.sub(lambda here: self.instead[here[0]], text)

    def terminal(self, name: str) -> Terminal:
        if name not in self.terminals:
            self.terminals[name] = Terminal(self.folder, self.environ)
        return self.terminals[name]

    def close(self) -> None:
        for terminal in reversed(self.terminals.values()):
            terminal.close()
