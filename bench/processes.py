"""Child processes of one sample: started, pinned to a core, read line by line with a deadline, always ended."""

import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, Self

HERE: Final = Path(__file__).parent
SERVING_CORE: Final = 0
"""Core of the gateway, and of the counting client when it measures the relay."""
MEASURED_CORE: Final = 1
"""Core of whatever is measured, all its threads."""

_END_SECONDS: Final = 5.0
_LOOPS: Final = 1_000_000
_LAST_LINES: Final = 8
"""Lines of a failed child's error output that are shown: the end of a traceback."""
_LOOK_SECONDS: Final = 0.25
"""How often a wait looks whether the partner still lives."""


class SampleError(Exception):
    """A sample that could not be taken: a child ended early, said nothing in time, or lost frames."""


class Child:
    """One child process with its output lines."""

    def __init__(self, command: list[str], *, core: int) -> None:
        self.name = " ".join(Path(part).name for part in command[1:4] if not part.startswith(("{", "-")))
        self._errors = b""
        self._buffer = b""
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE)
        _pin(self._process.pid, core)

    @classmethod
    def script(cls, name: str, argument: str, *, core: int) -> Self:
        """Start one of the scripts beside this file."""
        return cls([sys.executable, str(HERE / name), argument], core=core)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def failed(self) -> bool:
        """Whether it has ended, and not well."""
        return bool(self._process.poll())

    def line(self, seconds: float, *, partner: "Child | None" = None) -> str:
        """Wait for its next line of output; SampleError with the last words when none comes, or the partner failed."""
        deadline = time.monotonic() + seconds
        stdout, stderr = self._pipes()
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                remaining = deadline - time.monotonic()
                ready = selector.select(max(0.0, min(remaining, _LOOK_SECONDS)))
                if partner is not None and partner.failed:
                    raise SampleError(f"{partner.name} failed{partner.last_words()}")
                if not ready and remaining <= 0:
                    raise SampleError(f"{self.name} said nothing for {seconds:.0f} s{self.last_words()}")
                for key, _ in ready:
                    self._take(selector, key.fileobj)
        text, _, self._buffer = self._buffer.partition(b"\n")
        return text.decode()

    def _take(self, selector: selectors.BaseSelector, pipe: Any) -> None:
        data = os.read(pipe.fileno(), 65536)
        if not data:
            selector.unregister(pipe)
            if pipe is self._process.stdout:
                raise SampleError(f"{self.name} ended too early{self.last_words()}")
        elif pipe is self._process.stdout:
            self._buffer += data
        else:
            self._errors = (self._errors + data)[-4000:]  # enough for the last traceback

    def _pipes(self) -> tuple[Any, Any]:
        return self._process.stdout, self._process.stderr

    def last_words(self) -> str:
        """What it wrote to its error output so far, as the tail of a message."""
        if self.failed and self._process.stderr:
            self._errors += self._process.stderr.read() or b""
        lines = self._errors.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        return "".join(f"\n    {line}" for line in lines)


def cores() -> int:
    """Cores this machine lets us choose from."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def loop_seconds(core: int) -> float:
    """CPU seconds that a fixed loop takes on a core just now: how fast the machine is at this moment."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    _pin(0, core)
    started = time.process_time()
    total = 0
    for number in range(_LOOPS):
        total += number
    seconds = time.process_time() - started
    if before:
        os.sched_setaffinity(0, before)
    return seconds


def _pin(pid: int, core: int) -> None:
    if cores() > core and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {sorted(os.sched_getaffinity(0))[core]})
