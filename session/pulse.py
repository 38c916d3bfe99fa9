"""Is anybody there? Probes after silence, spaced as TWS demands, and the verdict when none is answered.

Two uses of one machine. Verifying (right after the start): only the answer itself counts, since the gateway may speak
and still drop requests. Watching (afterwards): any byte proves that the peer lives.

Rule kept: TWS leaves a second reqCurrentTime within about a second unanswered, whoever asked; the spacing therefore
counts the client's own reqCurrentTime and outlives sockets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from backstay.session.settings import CLOCK_SPACING_SECONDS, PulseSettings


@unique
class Verdict(Enum):
    """What a look at the pulse found."""

    QUIET = "nothing to do yet"
    PROBE = "silent for long: ask"
    MISSED = "a probe was not answered: ask again"
    DEAD = "too many probes were not answered"


@dataclass(slots=True)
class Pulse:
    """State of the probes of one session. All times in seconds of the session's monotonic clock."""

    settings: PulseSettings
    clock_asked_at: float = float("-inf")  # the last reqCurrentTime on the wire, ours or the client's
    probed_at: float | None = None  # our probe that is still out
    missed: int = 0
    verifying: bool = True
    waiting: bool = False  # our next probe waits for its moment: the client's question comes after it

    def begin(self) -> None:
        """A new epoch: nothing is out, and the next answer has to be a real one."""
        self.probed_at = None
        self.missed = 0
        self.verifying = True
        self.waiting = False

    def earliest_question(self) -> float:
        """The first moment at which another reqCurrentTime may go out."""
        return self.clock_asked_at + CLOCK_SPACING_SECONDS

    def client_asked(self, now: float) -> None:
        """The client's own reqCurrentTime went out."""
        self.clock_asked_at = now

    def probe_sent(self, now: float) -> None:
        """Our probe went out."""
        self.clock_asked_at = self.probed_at = now

    def answered(self, now: float) -> float | None:
        """A currentTime arrived: the round trip in seconds if a probe of ours was out."""
        if self.probed_at is None:
            return None
        probed_at, self.probed_at = self.probed_at, None
        self.missed = 0
        self.verifying = False
        return now - probed_at

    def look(self, now: float, heard_at: float) -> tuple[Verdict, float]:
        """The verdict, and after how many seconds to look again; `heard_at` is when the last byte arrived."""
        if self.probed_at is not None and not self.verifying and heard_at > self.probed_at:
            self.probed_at = None
            self.missed = 0
        if self.probed_at is not None:
            return self._look_at_probe(now)
        if self.verifying:
            return Verdict.PROBE, 0.0
        silent_until = heard_at + self.settings.idle_seconds
        if now >= silent_until:
            return Verdict.PROBE, 0.0
        return Verdict.QUIET, silent_until - now

    def _look_at_probe(self, now: float) -> tuple[Verdict, float]:
        assert self.probed_at is not None  # noqa: S101  # the caller has looked
        patience = self.settings.verify_seconds if self.verifying else self.settings.probe_seconds
        limit = self.settings.verify_probes if self.verifying else self.settings.probes
        deadline = self.probed_at + patience
        if now < deadline:
            return Verdict.QUIET, deadline - now
        self.probed_at = None
        self.missed += 1
        return (Verdict.DEAD if self.missed >= limit else Verdict.MISSED), 0.0
