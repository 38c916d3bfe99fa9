"""Which of a gateway's endpoints is dialled next: in order, then round again, each with its own record of failures.

An endpoint that failed does not make another one wait: what is known of it, and the least delay that its cause asks
for, is its own. Only where a socket that had been ready breaks is the same one dialled again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from backstay.session.causes import Cause

Endpoint = tuple[str, int]

MAX_ENDPOINTS = 64
"""Twice as many as can be configured; a gateway that keeps naming new ports replaces the last."""


@dataclass(slots=True)
class Record:
    """How often in a row it failed for this cause, and for how long from then on it is not to be dialled."""

    cause: Cause | None = None
    streak: int = 0
    failed_at: float = 0.0
    rest_seconds: float = 0.0


@dataclass(slots=True)
class Endpoints:
    """See the module. `index` is that of the present one: dialled now, or next."""

    listed: list[Endpoint]
    index: int = 0
    last: Endpoint | None = None
    records: dict[Endpoint, Record] = field(default_factory=dict[Endpoint, Record])

    @property
    def present(self) -> Endpoint:
        """The one that is dialled now, or next."""
        return self.listed[self.index]

    def failed(self, cause: Cause, now: float) -> None:
        """The present one failed, or its socket broke."""
        record, self.last = self._record(), self.present
        record.streak = record.streak + 1 if record.cause is cause else 1
        record.cause = cause
        floor = cause.row.floor
        record.failed_at, record.rest_seconds = now, floor.seconds if record.streak >= floor.after else 0.0

    def rest_last(self, seconds: float, now: float) -> None:
        """The one that failed last needs a person: leave it alone for so long."""
        record = self.records.setdefault(self.last or self.present, Record())
        record.failed_at, record.rest_seconds = now, seconds

    def streak_of(self, cause: Cause) -> int:
        """How often in a row the present one has failed for this cause."""
        record = self._record()
        return record.streak if record.cause is cause else 0

    def wait_seconds(self, now: float) -> float:
        """The least delay before the present one is dialled."""
        record = self._record()
        return max(0.0, record.rest_seconds - (now - record.failed_at))

    def turn(self) -> None:
        """On to the next one."""
        self.index = (self.index + 1) % len(self.listed)

    def choose(self, endpoint: Endpoint) -> None:
        """This one is next; the gateway has named it, and those of before stay in the list."""
        if endpoint not in self.listed:
            del self.listed[MAX_ENDPOINTS - 1 :]
            self.listed.append(endpoint)
        self.index = self.listed.index(endpoint)

    def forget(self) -> None:
        """A connection has proved itself: what failed before does not count any more."""
        self.records.clear()

    def _record(self) -> Record:
        return self.records.setdefault(self.present, Record())
