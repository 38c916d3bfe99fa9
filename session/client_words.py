"""What a client does, as its session hears of it, and misses: as in `vocabulary`, events are past."""

from __future__ import annotations

from dataclasses import dataclass

from backstay.protocol.handshake import Hello, VersionRange
from backstay.session.notices import Notice


@dataclass(frozen=True, slots=True)
class ClientGreeted:
    """The relay's client offered versions; `cached` is the last hello seen from this gateway, if any."""

    offer: VersionRange
    options: bytes
    cached: Hello | None = None


@dataclass(frozen=True, slots=True)
class ClientStarted:
    """The relay's client sent startApi."""

    client_id: int
    capabilities: bytes = b""


@dataclass(frozen=True, slots=True)
class ClientAsked:
    """Frames (payloads) from the client, in order.

    `fail_fast`: a read, stream or order among them that finds the gateway away is answered with an error at once, and
    so is a read whose socket breaks before its answer is complete. Settings and cancels wait all the same.
    """

    payloads: tuple[bytes, ...]
    fail_fast: bool = False


@dataclass(frozen=True, slots=True)
class ClientRefused:
    """The client may not stay: it is told why, and its session ends."""

    notice: Notice
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """The client closed its socket; what it asked before that is still to be sent."""


@dataclass(frozen=True, slots=True)
class ClientAway:
    """The client closed its socket, and its connection is kept for a while: what it had asked for is over."""


@dataclass(frozen=True, slots=True)
class ClientReturned:
    """A client with the same id has come to the connection that was kept; it knows nothing yet."""


@dataclass(frozen=True, slots=True)
class ClientMoved:
    """The client has gone to the connection that was kept for it; this one has no purpose any more."""


@dataclass(frozen=True, slots=True)
class Attend:
    """A client has come back: say so (`Attended`) behind everything that had nobody to hear it. An effect."""


@dataclass(frozen=True, slots=True)
class Attended:
    """From here on what is passed on and delivered is for the client that has come back."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """What was delivered (a frame) found no client there."""

    data: bytes


ClientEvent = (
    ClientAsked
    | ClientAway
    | ClientGreeted
    | ClientLeft
    | ClientMoved
    | ClientRefused
    | ClientReturned
    | ClientStarted
    | Attended
    | Unheard
)
"""What is true whoever hears it."""
