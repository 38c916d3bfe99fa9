"""What the actors of one connection say to each other besides the session's own vocabulary.

Commands are imperative, events past. Names of addresses are the children's ids in the connection's book.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from backstay.protocol.framing import PREFIX_BYTES, Chunk
from backstay.session.causes import Cause

SESSION, DISPATCHER, CONNECTOR, READER = "session", "dispatcher", "connector", "reader"


def wire_bytes(payloads: tuple[bytes, ...]) -> int:
    """What these payloads take on the wire: the measure of a client's credit."""
    return sum(map(len, payloads)) + PREFIX_BYTES * len(payloads)


def notes_bytes(frames: tuple[tuple[int, bytes, bool], ...]) -> int:
    """What the copies for the session take of the connection's credit."""
    return sum(len(payload) for _, payload, _ in frames)


@dataclass(frozen=True, slots=True)
class Read:
    """To the Reader: read this socket to its end, as this epoch."""

    epoch: int
    sock: socket.socket


@dataclass(frozen=True, slots=True)
class Arrived:
    """From the Reader: whole frames of this epoch, one message for each recv, and when it came (monotonic seconds).

    `ticket`: what the turnstile wants back when the chunk is in the sink's hands.
    """

    epoch: int
    chunk: Chunk
    at: float = 0.0
    ticket: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """From the Reader: nothing more will be read from this epoch's socket."""

    epoch: int
    cause: Cause
    detail: str
    received: bool


@dataclass(frozen=True, slots=True)
class LinkStarted:
    """To the Session: Connector and Reader stand, for the first time or again; earlier sockets are gone."""


@dataclass(frozen=True, slots=True)
class Heed:
    """To the Session: something was left for you while you were away."""


@dataclass(frozen=True, slots=True)
class Finish:
    """To Dispatcher and Connector: let out what you were given before this, then say `Finished`."""


@dataclass(frozen=True, slots=True)
class Finished:
    """All that was given to this neighbour before `Finish` is out."""

    name: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The Session to itself: leave, finished or not."""
