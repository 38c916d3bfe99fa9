"""The log: one line an event on stderr, as logfmt or JSON, written by a thread of its own.

Those who log are actors; a terminal or pipe that nobody reads must not hold them up. Lines that find the queue full
are dropped and counted, and a line says how many as soon as one gets through again. Account numbers stay out of it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO, cast

from backstay.config import LogConfig
from backstay.event_names import EVENTS

QUEUE_LINES = 10_000
"""Some megabytes; a healthy reader of stderr is never more than a few lines behind."""

FLUSH_SECONDS = 1.0
"""How long the end of the process waits for the last lines."""

LEVELS: tuple[str, ...] = ("debug", "info", "warning", "error", "critical")

_ACCOUNT = re.compile(r"\b(D?[UFI])\d{5,12}")
"""Account numbers as IBKR writes them: U1234567, F1234567, I1234567, and DU..., DF..., DI... on paper."""

_WORD = re.compile(r"[^\s\"=\\\x00-\x1f\x7f]+")
"""What logfmt can have without quotes."""


def level_of(event: str, fields: Mapping[str, Any]) -> str:
    """How severe an event is."""
    row = EVENTS.get(event)
    return row.level_of(fields) if row is not None else "info"


class Stream(Protocol):
    """What lines are written to. Both may raise OSError, or ValueError once it is closed."""

    def write(self, text: str, /) -> object:
        """Take this text."""
        ...

    def flush(self) -> object:
        """Let go of it."""
        ...


class LineWriter:
    """Writes lines to a stream from a thread of its own. `write` never blocks; any thread."""

    def __init__(self, stream: Stream, loss: Callable[[int], str] | None, limit: int = QUEUE_LINES) -> None:
        """Write to `stream`; `loss`, if there is one, makes the line that tells how many others were lost."""
        self._stream = stream
        self._loss = loss
        self._limit = limit
        self._lines: deque[str] = deque()
        self._news = threading.Condition()
        self._closed = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue one line; dropped when the queue is full or closed."""
        with self._news:
            if self._closed or len(self._lines) >= self._limit:
                self.dropped += 1
                return
            self._lines.append(line)
            self._news.notify()

    def close(self, timeout: float = FLUSH_SECONDS) -> None:
        """Write what is queued and end the thread; what is not written in time is lost."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        told = 0
        while lines := self._take():
            lost, told = self.dropped - told, self.dropped
            if lost and self._loss is not None:
                lines.append(self._loss(lost))
            try:
                self._stream.write("".join(f"{line}\n" for line in lines))
                self._stream.flush()
            except (OSError, ValueError):  # the terminal is gone: there is nobody left to tell
                with self._news:
                    self.dropped += len(lines)

    def _take(self) -> list[str]:
        with self._news:
            self._news.wait_for(lambda: self._lines or self._closed)
            lines = list(self._lines)
            self._lines.clear()
            return lines


class EventLog:
    """The `log(event, **fields)` of the daemon. Any thread; never blocks, never raises.

    `counts` are the events seen by level, also of those too unimportant to be written. `follow` gets every event of
    level info and above as it was given.
    """

    def __init__(
        self,
        config: LogConfig,
        stream: TextIO | None = None,
        *,
        follow: Callable[[str, Mapping[str, object]], object] | None = None,
    ) -> None:
        self.writer = LineWriter(
            stream or sys.stderr, lambda count: self._line("lines_dropped", "warning", {"count": count})
        )
        self.counts = dict.fromkeys(LEVELS, 0)
        self._least = LEVELS.index(config.level)
        self._follow = follow
        self._lock = threading.Lock()
        self._render = _RENDERERS[config.format]

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Tell one event; values may be anything that can be printed."""
        level = level_of(event, fields)
        with self._lock:
            self.counts[level] += 1
        try:
            shown = {key: masked(value) for key, value in fields.items() if value is not None and value != ""}
            if self._follow is not None and level != "debug":
                self._follow(event, {key: value for key, value in shown.items() if key != "traceback"})
            if LEVELS.index(level) >= self._least:
                self.writer.write(self._line(event, level, shown))
        except Exception as error:  # noqa: BLE001  # a value that cannot be printed must not take an actor with it
            self.writer.write(self._line("log_failed", "error", {"about": event, "error": type(error).__name__}))

    def close(self, timeout: float = FLUSH_SECONDS) -> None:
        """Write what is left, within this time."""
        self.writer.close(timeout)

    def _loss(self, count: int) -> str:
        return self._line("lines_dropped", "warning", {"count": count})

    def _line(self, event: str, level: str, fields: Mapping[str, Any]) -> str:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"time": now, "level": level, "event": event}
        line |= {f"{key}_" if key in line else key: value for key, value in fields.items()}
        return self._render(line)


def masked(value: Any) -> Any:
    """The value with account numbers in it made unreadable; numbers and truth values as they are, lists as text."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, list | tuple):
        return ",".join(str(masked(item)) for item in cast("Iterable[Any]", value))
    return _ACCOUNT.sub(r"\1***", str(value))


def catch_strays(log: Callable[..., object]) -> Callable[[], None]:
    """Bring into our log what libraries say, warnings and above, what our own servers say, and what kills a thread.

    Returns what undoes it.
    """
    handler = _Handler(log)
    root, own, hook = logging.getLogger(), logging.getLogger("backstay"), threading.excepthook
    level = own.level
    root.addHandler(handler)
    own.setLevel(logging.INFO)

    def tell(dead: threading.ExceptHookArgs) -> None:
        name = dead.thread.name if dead.thread is not None else "?"
        trace = "".join(traceback.format_exception(dead.exc_value)) if dead.exc_value else ""
        log("thread_died", thread=name, error=repr(dead.exc_value), traceback=trace)

    threading.excepthook = tell

    def undo() -> None:
        root.removeHandler(handler)
        own.setLevel(level)
        threading.excepthook = hook

    return undo


class _Handler(logging.Handler):
    """Makes an event of a record."""

    def __init__(self, log: Callable[..., object]) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        severity = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        error = repr(record.exc_info[1]) if record.exc_info else None
        text = record.getMessage()
        self._log("library_message", logger=record.name, severity=severity, text=text, error=error)


def _logfmt(line: Mapping[str, Any]) -> str:
    """key=value with spaces between; a value that is more than a word is in quotes, escaped as in JSON."""
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in line.items())


def _logfmt_value(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if _WORD.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _json(line: Mapping[str, Any]) -> str:
    return json.dumps(line, default=str)


_RENDERERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {"json": _json, "logfmt": _logfmt}
