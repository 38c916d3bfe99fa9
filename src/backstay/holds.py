"""What operators want of connections, apart from how these are: held down or not. It survives the process.

One small JSON file, replaced as a whole. A connection without a hold is up as far as operators are concerned.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from backstay.errors import StartError

UP, PAUSED, DRAINED = "up", "paused", "drained"

MODE = 0o600
"""Reasons are for those who operate the daemon."""

MAX_HOLDS = 10_000
"""More connections than one daemon has; a script that holds what does not exist must not fill the disk."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Somebody has taken a connection down. `wanted` is PAUSED or DRAINED; `since_wall`: seconds since 1970."""

    wanted: str
    reason: str
    since_wall: float


class Holds:
    """All holds, by the name of their connection. Any thread. Without a path they last as long as the process."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._held: Mapping[str, Hold] = {}

    def load(self) -> None:
        """Read what an earlier process left. Raises StartError: a hold that is not heeded may cost money."""
        if self._path is None:
            return
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except OSError as error:
            raise StartError(f"control.holds: {self._path} cannot be read: {error.strerror or error}") from error
        try:
            found = cast("Mapping[str, Mapping[str, Any]]", json.loads(text)["held"])
            self._held = {name: Hold(**hold) for name, hold in found.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            advice = "look at it and mend it, or remove it to let all connections up"
            raise StartError(f"control.holds: {self._path} is damaged ({error!r}): {advice}") from error

    def get(self, name: str) -> Hold | None:
        """The hold of this connection, if there is one."""
        return self._held.get(name)

    def all(self) -> Mapping[str, Hold]:
        """All holds at this moment by name, also of what is not there now. Not to be changed."""
        return self._held

    def put(self, name: str, hold: Hold | None) -> str:
        """Hold, or with None let go. Returns why it will not survive the process; empty when it will."""
        with self._lock:
            held = {key: value for key, value in self._held.items() if key != name}
            if hold is not None:
                if len(held) >= MAX_HOLDS:
                    return f"there are {MAX_HOLDS} holds already"
                held[name] = hold
            if held == self._held:
                return ""
            self._held = held
            try:
                self._keep(held)
            except OSError as error:
                return f"{self._path}: {error.strerror or error}"
            return ""

    def _keep(self, held: Mapping[str, Hold]) -> None:
        if self._path is None:
            return
        text = json.dumps({"schema": 1, "held": {name: asdict(hold) for name, hold in held.items()}}, indent=1)
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w", encoding="utf-8") as file:
                file.write(f"{text}\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
