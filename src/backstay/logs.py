"""The log: one line an event on stderr, as logfmt or JSON, written by a thread of its own.

Those who log are actors; a terminal or pipe that nobody reads must not hold them up. Lines that find the queue full
are dropped and counted, and a line says how many as soon as one gets through again. Account numbers stay out of it.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO, cast

from structlog.processors import JSONRenderer, LogfmtRenderer

from backstay.config import LogConfig

QUEUE_LINES = 10_000
"""Some megabytes; a healthy reader of stderr is never more than a few lines behind."""

FLUSH_SECONDS = 1.0
"""How long the end of the process waits for the last lines."""

LEVELS: tuple[str, ...] = ("debug", "info", "warning", "error", "critical")

EVENT_LEVELS: Mapping[str, str] = {
    "accept_failed": "warning",
    "actor_stuck": "error",
    "bury_failed": "warning",
    "child_abandoned": "warning",
    "child_refused": "error",
    "child_restarted": "warning",
    "child_start_failed": "error",
    "child_started": "debug",
    "client_refused": "warning",
    "interrupt_failed": "warning",
    "message_unknown": "warning",
    "restart_intensity_reached": "error",
    "stop_timed_out": "warning",
    "thread_died": "error",
}
"""Events of which the name alone tells the level; all others are `info`, or have a row in `_DEPENDING`."""

QUIET_STATES = frozenset(
    {"waiting", "connecting", "handshaking", "awaiting_acceptance", "starting", "verifying", "syncing", "draining"}
)
"""On the way to somewhere: what ended and what was reached is worth a line, the steps between are not."""

_ACCOUNT = re.compile(r"\b(D?[UFI])\d{5,12}")
"""Account numbers as IBKR writes them: U1234567, F1234567, I1234567, and DU..., DF..., DI... on paper."""

_DEPENDING: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "child_exited": lambda fields: "error" if fields.get("kind") == "crash" else "debug",
    "library_message": lambda fields: fields.get("severity", "warning"),
    "state_changed": lambda fields: "debug" if fields.get("to") in QUIET_STATES else "info",
    "tree_ended": lambda fields: "info" if fields.get("kind") in {"normal", "shutdown"} else "error",
}


def level_of(event: str, fields: Mapping[str, Any]) -> str:
    """How severe an event is."""
    depending = _DEPENDING.get(event)
    return depending(fields) if depending is not None else EVENT_LEVELS.get(event, "info")


class LineWriter:
    """Writes lines to a stream from a thread of its own. `write` never blocks; any thread."""

    def __init__(self, stream: TextIO, loss: Callable[[int], str], limit: int = QUEUE_LINES) -> None:
        """Write to `stream`; `loss` makes the line that tells how many others could not be written."""
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
            if lost:
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
        self._render: Any = _RENDERERS[config.format]

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
        return str(self._render(None, "", line))


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


_RENDERERS: Mapping[str, Any] = {
    "json": JSONRenderer(default=str),
    "logfmt": LogfmtRenderer(bool_as_flag=False),
}
