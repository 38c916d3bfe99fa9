"""The last events on disk, so that who did what and why is known after a restart: two bounded files at the journal.

A line is what `backstay events --json` tells of an event. Lines are written by a thread of their own; a disk that is
full or hangs costs these lines and nothing else. Nothing waits for the disk: a crash of the host takes no order here.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from backstay.claims import Claim, TakenError
from backstay.logs import LineWriter
from backstay.metrics.events import CAPACITY, Event

SUFFIX, OLDER = ".events", ".1"

MAX_BYTES = 2 * 1024 * 1024
"""Of each of the two: ten thousand events or so, days of them unless something flaps."""

MAX_VALUE = 1_000
"""Characters of a value that are kept; a traceback is in the log."""

QUEUE_LINES = 1_000
"""As many as are shown; a disk that is behind by more loses them."""

MODE = 0o600


class EventStore:
    """See the module. Raises nothing: what is wrong is told by `tell`, once for each trouble. Any thread."""

    def __init__(self, journal: Path, socket: Path, *, max_bytes: int = MAX_BYTES) -> None:
        """They are kept beside `journal`, unless another daemon uses that. `socket`: where this one is commanded."""
        self.path = journal.with_name(f"{journal.name}{SUFFIX}")
        self._tell: Callable[[str], object] = lambda _: None
        self._trouble = ""
        self._max_bytes = max_bytes
        self._claim: Claim | None = None
        try:
            self._claim = Claim(journal, socket)
        except TakenError as error:
            self._trouble = str(error)
        self._writer = LineWriter(self, None, QUEUE_LINES)

    def tell_by(self, tell: Callable[[str], object]) -> None:
        """Where trouble is told from here on; what there is already, at once. Called in any thread."""
        self._tell = tell
        if self._trouble:
            tell(self._trouble)

    def keep(self, event: Event) -> None:
        """Have it written down. Never blocks."""
        if self._claim is not None:
            self._writer.write(line_of(event))

    def last(self, count: int = CAPACITY) -> Sequence[Event]:
        """The last ones that were kept, oldest first. Reads the files."""
        return tuple(_parsed(deque(self._lines(), count))) if self._claim is not None else ()

    def all(self) -> Sequence[Event]:
        """All that are kept. Reads the files."""
        return tuple(_parsed(self._lines())) if self._claim is not None else ()

    def close(self) -> None:
        """Write what is queued, for a second at the most, and let others have the files."""
        self._writer.close()
        if self._claim is not None:
            self._claim.release()

    # -- for the thread that writes ------------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        """Append these lines. Raises OSError when they could not all be written."""
        try:
            for line in text.encode().splitlines(keepends=True):
                self._append(line)
        except OSError as error:
            trouble = f"{self.path}: {error.strerror or error}"
            if trouble != self._trouble:
                self._trouble = trouble
                self._tell(trouble)
            raise
        self._trouble = ""

    def flush(self) -> None:
        """Nothing waits anywhere: the system has each line."""

    def _append(self, line: bytes) -> None:
        """Open and close for each: a file that somebody takes away or replaces is no trouble then."""
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
        try:
            size = os.fstat(file).st_size
            if size == 0 or size + len(line) <= self._max_bytes:
                torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
                _write_all(file, b"\n" + line if torn else line)
                return
        finally:
            os.close(file)
        self.path.replace(self._older)
        self._append(line)

    @property
    def _older(self) -> Path:
        return self.path.with_name(f"{self.path.name}{OLDER}")

    def _lines(self) -> Iterator[str]:
        """Oldest first. Between two looks files may change places: then some lines are there twice, none is lost."""
        found = [_read(path) for path in (self.path, self._older)]
        for text in reversed(found):
            yield from text.splitlines()


def line_of(event: Event) -> str:
    """An event as a line."""
    fields = {key: value[:MAX_VALUE] if isinstance(value, str) else value for key, value in event.fields.items()}
    return json.dumps({"number": event.number, "wall": event.wall, "event": event.name, **fields}, default=str)


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _parsed(lines: Iterable[str]) -> Iterator[Event]:
    """Each once, in the order of their numbers; a line that a crash has torn is left out."""
    last = 0
    for line in lines:
        try:
            fields = dict(cast("Mapping[str, Any]", json.loads(line)))
            event = Event(int(fields.pop("number")), float(fields.pop("wall")), str(fields.pop("event")), fields)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):  # whatever has been written over it
            continue
        if event.number > last:
            last = event.number
            yield event


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
