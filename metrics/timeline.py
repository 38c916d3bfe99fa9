"""How the connections have been during the last day, from the events that tell it: a bounded list of changes each."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

KEPT_SECONDS = 86_400.0

MOST_CHANGES = 500
"""Of one connection: 250 outages in a day. Of more, the latest."""

MOST_CONNECTIONS = 512
"""One more, and that with the oldest last change is forgotten; clients choose their ids, so names come and go."""

LOOKS = {"ready": "ready", "degraded": "degraded", "draining": "off", "paused": "off", "stopped": "off"}
"""What is told apart; every state on the way to somewhere is `away`. One that is drained is nobody's wish any more."""


@dataclass(slots=True)
class _Track:
    """One connection. `changes`: since when (seconds since 1970), and how it looks from there on."""

    ready: bool = False
    cut_off: bool = False
    changes: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=MOST_CHANGES))


class Timeline:
    """See the module. Any thread."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tracks: dict[str, _Track] = {}

    def hear(self, event: str, fields: Mapping[str, object]) -> None:
        """Take note of an event, if it is one that changes how a connection looks."""
        name = str(fields.get("connection") or "")
        if event not in ("state_changed", "upstream_lost", "upstream_restored") or not name or ":" in name:
            return  # a colon: a client that has not said who it is
        with self._lock:
            track = self._tracks.pop(name, None) or _Track()
            self._tracks[name] = track  # at the end: the first is the one that is quiet for longest
            if len(self._tracks) > MOST_CONNECTIONS:
                del self._tracks[next(iter(self._tracks))]
            self._note(track, event, str(fields.get("to")))

    def _note(self, track: _Track, event: str, state: str) -> None:
        if event == "state_changed":
            track.ready = state == "ready"
            track.cut_off &= state != "connecting"  # what the last gateway had lost, the next one may have
            look = LOOKS.get(state, "away")
        else:
            track.cut_off = event == "upstream_lost"
            look = "ready"
            if not track.ready:
                return
        look = "degraded" if track.ready and track.cut_off else look
        if not track.changes or track.changes[-1][1] != look:
            track.changes.append((self._clock(), look))

    def changes(self) -> Mapping[str, object]:
        """The last day as JSON has it: for each connection its changes, the first of them at the day's beginning."""
        until = self._clock()
        begin = until - KEPT_SECONDS
        with self._lock:
            found = {name: _since(begin, list(track.changes)) for name, track in sorted(self._tracks.items())}
        return {"schema": 1, "until": until, "seconds": KEPT_SECONDS, "connections": found}


def _since(begin: float, changes: list[tuple[float, str]]) -> list[tuple[float, str]]:
    before = [one for one in changes if one[0] <= begin]
    return [(begin, look) for _, look in before[-1:]] + [one for one in changes if one[0] > begin]
