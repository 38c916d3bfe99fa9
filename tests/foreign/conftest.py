"""Foreign clients as separate processes, followed line by line."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

HERE = Path(__file__).parent
END_SECONDS = 10.0


class ForeignClient:
    """One client program and everything it has said, in order."""

    def __init__(self, program: str, *, port: int, client_id: int) -> None:
        self.program = program
        self.client_id = client_id
        self._events: list[dict[str, Any]] = []
        self._ended = False
        self._stderr: list[str] = []
        self._changed = threading.Condition()
        command = [sys.executable, str(HERE / program), "--port", str(port), "--client-id", str(client_id)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._read, self._read_stderr)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(END_SECONDS)
        for thread in self._threads:
            thread.join(END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def do(self, command: str) -> None:
        """Give a command: report, mark, order or quit."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps({"do": command}) + "\n")
        stdin.flush()

    def expect(self, event: str, timeout: float, *, after: int = -1, **fields: object) -> dict[str, Any]:
        """Wait for the first event of this name and fields behind the index ``after``; AssertionError without one.

        Every event carries its ``index``. A field given as a tuple is matched by any of its members.
        """

        def found() -> dict[str, Any] | None:
            return next((one for one in self._events[after + 1 :] if _fits(one, event, fields)), None)

        deadline = time.monotonic() + timeout
        with self._changed:
            one = found()
            while one is None and not self._ended and self._changed.wait(deadline - time.monotonic()):
                one = found()
        assert one is not None, f"{self.program}: no {event} {fields} within {timeout} s; {self.last_words()}"
        return one

    def wait_for(self, predicate: Callable[[list[dict[str, Any]]], object], timeout: float, what: str) -> None:
        """Wait until everything said so far satisfies the predicate; AssertionError otherwise."""
        with self._changed:
            fits = self._changed.wait_for(lambda: predicate(self._events), timeout)
        assert fits, f"{self.program}: not {what} within {timeout} s; {self.last_words()}"

    def all(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Every event of this name and fields so far."""
        with self._changed:
            return [one for one in self._events if _fits(one, event, fields)]

    @property
    def last_index(self) -> int:
        """Index of the last event so far."""
        with self._changed:
            return len(self._events) - 1

    def last_words(self) -> str:
        """What it said last, for the message of a failed assertion."""
        with self._changed:
            events = "\n  ".join(json.dumps(one) for one in self._events[-12:])
            errors = "".join(self._stderr[-12:])
        state = "ended" if self._ended else "running"
        return f"{state}, last events:\n  {events}\nlast of stderr:\n{errors}"

    def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        for line in stdout:
            with self._changed:
                self._events.append({**json.loads(line), "index": len(self._events)})
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read_stderr(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        for line in stderr:
            with self._changed:
                self._stderr.append(line)
                del self._stderr[:-200]


def _fits(one: dict[str, Any], event: str, fields: dict[str, object]) -> bool:
    return one["event"] == event and all(
        one.get(name) in wanted if isinstance(wanted, tuple) else one.get(name) == wanted
        for name, wanted in fields.items()
    )


StartForeignClient = Callable[..., ForeignClient]


@pytest.fixture
def start_foreign_client() -> Iterator[StartForeignClient]:
    """Start client programs that are ended with the test."""
    with ExitStack() as stack:

        def start(program: str, *, port: int, client_id: int) -> ForeignClient:
            return stack.enter_context(ForeignClient(program, port=port, client_id=client_id))

        yield start
