"""What outlives a session's core, and what a core shows of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backstay.protocol.handshake import VersionRange
from backstay.session.client_words import ClientStarted
from backstay.session.ledger import Ledger
from backstay.session.orders import Orders
from backstay.session.pacing import Waiting

Slot = tuple[int, str]
"""What a message is about: its id, and which fill, order or error; see `missed`."""


@dataclass(frozen=True, slots=True)
class Draining:
    """A drain that goes on, and until when at the latest, in monotonic seconds."""

    reason: str
    until: float


@dataclass(slots=True)
class Owed:
    """What outlives a core: who the client is, what it has been told, what it asked for, which epoch it is."""

    offer: VersionRange | None = None
    options: bytes = b""
    start: ClientStarted | None = None
    has_client: bool = False
    introduced: bool = False
    version: int | None = None
    next_id_given: bool = False
    accounts_given: bool = False
    told_down: bool = False
    epoch: int = 0
    ready_epoch: int = 0  # that was ready, and has not been told as lost; 0: none
    ordered: str = ""  # what an operator has begun anew: what breaks by it is no loss. Written in any thread
    clock_asked_at: float = float("-inf")
    ledger: Ledger = field(default_factory=Ledger)
    waiting: Waiting | None = None
    orders: Orders | None = None
    draining: Draining | None = None
    missed: dict[Slot, bytes] = field(default_factory=dict[Slot, bytes])  # had no client to hear it
    away: bool = False  # the client has left, and its connection is kept


@dataclass(frozen=True, slots=True)
class View:
    """What the core shows of itself; replaced as a whole after each change."""

    state: str
    reason: str
    epoch: int
    endpoint: tuple[str, int]
    version: int | None
    client_id: int | None
    streams: int
    reads: int
    held: int
    round_trip_seconds: float | None
    upstream: bool = False  # the gateway answers, and has not said that its link to IB is down
    clock_skew_seconds: float = 0.0  # the gateway's clock minus ours
    broken: Mapping[str, float] = field(
        default_factory=dict[str, float]
    )  # what farms are for, and since when one is down (seconds since 1970)
    downtime: str = ""  # planned, now or in a minute
    expected: bool = True  # not in planned downtime, nor while it is drained
    unfinished: bool = False  # it is paused since a drain ran out
