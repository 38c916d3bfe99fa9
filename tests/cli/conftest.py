"""Commands as people run them: processes of their own, on free ports, waited for by what they print."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from backstay.cli import main
from backstay.config import (
    Address,
    Config,
    ConnectionConfig,
    ControlConfig,
    GatewayConfig,
    HttpConfig,
    JournalConfig,
    RelayConfig,
)
from backstay.daemon import Daemon
from backstay.errors import ConfigError, Problem
from backstay.logs import EventLog
from backstay.metrics.events import EventRing
from backstay.simulator import Simulator

PATIENCE = 30.0  # a process that imports everything, on a busy machine
COMMAND = [sys.executable, "-m", "backstay"]


def environment(**over: str) -> dict[str, str]:
    """The present one without what would change how backstay behaves."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BACKSTAY", "_BACKSTAY"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "CI", "GITHUB_ACTIONS", "COLUMNS"):
        kept.pop(name, None)
    return {**kept, **over}


class Lines:
    """The lines of a stream, as they come."""

    def __init__(self, stream) -> None:
        self.all: list[str] = []
        self.ended = False
        self._stream = stream
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, pattern: str, patience: float = PATIENCE) -> re.Match[str]:
        """The first line with this in it."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.all if (match := re.search(pattern, line))), None)

        with self._news:
            self._news.wait_for(lambda: found() or self.ended, patience)
            match = found()
        assert match is not None, f"no line with {pattern!r} in {self.all}"
        return match

    def join(self) -> list[str]:
        self._thread.join(PATIENCE)
        return self.all

    def _read(self) -> None:
        with self._stream:
            for line in self._stream:
                with self._news:
                    self.all.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self.ended = True
            self._news.notify_all()


class Program:
    """A running command."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, environ: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out, self.err = Lines(self.process.stdout), Lines(self.process.stderr)

    def ready(self) -> str:
        return self.out.wait(r"is ready: ").string

    def end(self, number: int | None = None) -> int:
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.out.join()
        self.err.join()
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.out.join()
        self.err.join()


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, environ: Mapping[str, str]) -> None:
        self.seen = ""
        self._code: int | None = None
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(sys.executable, [*COMMAND, *arguments], dict(environ))  # noqa: S606  # a shell has no place here
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))

    def read_until(self, text: str) -> None:
        while text not in self.seen:
            assert self._read(), f"ended without {text!r}: {self.seen!r}"

    def end(self, number: int | None = None) -> int:
        """Read to the end; the exit code."""
        if self._code is None:
            if number is not None:
                os.kill(self.pid, number)
            while self._read():
                pass
            os.close(self._fd)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # how a terminal ends on Linux
            return False
        self.seen += data.decode()
        return bool(data)


Launch = Callable[..., Program]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start a command in an empty folder, which is also where its runtime files go."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, **environ: str) -> Program:
            program = Program(arguments, tmp_path, environment(XDG_RUNTIME_DIR=str(tmp_path), **environ))
            stack.callback(program.kill)
            return program

        yield start


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start a command on a terminal, in an empty folder."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, **environ: str) -> Terminal:
            here = environment(XDG_RUNTIME_DIR=str(tmp_path), **{"TERM": "xterm-256color", **environ})
            opened = Terminal(arguments, tmp_path, here)
            stack.callback(opened.end, signal.SIGKILL)
            return opened

        yield start


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command to its end."""

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=environment(XDG_RUNTIME_DIR=str(tmp_path), **environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@dataclass
class Place:
    """A daemon with two connections to a simulated gateway, one to nowhere, and a relay."""

    daemon: Daemon
    simulator: Simulator
    configured: list[Config]  # what a reload reads: the last one
    run: Callable[..., tuple[int, str, str]]

    @staticmethod
    def begin(configured: list[Config], log: EventLog, ring: EventRing) -> Daemon:
        def load() -> Config:
            if not configured:
                raise ConfigError([Problem("b.toml", "pacing", "is a mistake")])
            return configured[-1]

        daemon = Daemon(configured[-1], log=log, events=ring, on_end=lambda _: None, load=load)
        daemon.start()
        return daemon

    def until(self, state: str, *names: str) -> None:
        def there(status) -> bool:
            return all(one.state == state for one in status.connections if one.name in names)

        assert self.daemon.manager.wait_until(there, PATIENCE), self.daemon.manager.status()

    def json(self, *words: str) -> tuple[int, dict]:
        code, out, err = self.run(*words, "--json")
        assert err == ""
        return code, json.loads(out)

    def row(self, name: str):
        return next(one for one in self.daemon.manager.status().connections if one.name == name)


def configuration(folder: Path, simulator: Simulator) -> Config:
    return Config(
        gateways={
            "paper": GatewayConfig(endpoints=(Address(*simulator.address),)),
            "gone": GatewayConfig(endpoints=(Address("127.0.0.1", 1),)),
        },
        relays={"door": RelayConfig(gateway="paper", listen=Address("127.0.0.1", 0))},
        connections={
            "one": ConnectionConfig(gateway="paper", client_id=901),
            "two": ConnectionConfig(gateway="paper", client_id=902),
            "lost": ConnectionConfig(gateway="gone", client_id=903),
        },
        http=HttpConfig(enabled=False),
        journal=JournalConfig(path=folder / "b.db"),
        control=ControlConfig(socket=folder / "b.sock", holds=folder / "b.holds"),
    )


@pytest.fixture
def place(tmp_path, capsys, monkeypatch) -> Iterator[Place]:
    monkeypatch.setenv("BACKSTAY_CONTROL__SOCKET", str(tmp_path / "b.sock"))
    ring = EventRing()
    log = EventLog(Config().log, io.StringIO(), follow=ring.publish)

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(words)
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return int(code), said.out, said.err

    with Simulator() as simulator:
        configured = [configuration(tmp_path, simulator)]
        daemon = Place.begin(configured, log, ring)
        try:
            found = Place(daemon, simulator, configured, run)
            found.until("ready", "one", "two")
            found.until("waiting", "lost")
            yield found
        finally:
            daemon.stop()
            log.close()
