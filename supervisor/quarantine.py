"""Messages that kill: which pieces an actor had in hand when it died, and which did it twice. Pure.

A piece is what comes again by itself, or may: a request that a client sends once more, a frame that the gateway repeats
on its next socket. It is known again by its bytes, without the epoch it came in. After a first death all pieces of the
message at hand are under suspicion, and the owner handles one at a time, so that a second death names exactly one.
That one is condemned: it is not handled a third time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

MAX_SUSPECTS: Final = 5_000
"""More than one `recv` holds of the smallest frames."""

MAX_CONDEMNED: Final = 100
"""Of a connection that meets so many, the oldest may try again."""

PATIENCE_PIECES: Final = 100_000
"""So many pieces without another death, and suspicion ends: what comes again comes with the next socket."""


def _nothing() -> Iterable[bytes]:
    return ()


class Quarantine:
    """Outlives the lives of one actor; each in turn is its only user."""

    def __init__(self) -> None:
        self.in_hand: Callable[[], Iterable[bytes]] = _nothing
        """What the actor is about to handle; asked for the pieces only if it dies."""
        self._suspects: dict[bytes, None] = {}
        self._condemned: dict[bytes, None] = {}
        self._judged = 0

    @property
    def wary(self) -> bool:
        """Whether pieces have to be handled one at a time, and judged before."""
        return bool(self._suspects or self._condemned)

    def put_down(self) -> None:
        """What was in hand has been dealt with."""
        self.in_hand = _nothing

    def is_condemned(self, piece: bytes) -> bool:
        """Whether this one must not be handled."""
        self._judged += 1
        if self._judged >= PATIENCE_PIECES:
            self._suspects.clear()
        return bool(self._condemned) and _name(piece) in self._condemned

    def blame(self) -> bytes | None:
        """The actor has died. Returns the piece that is condemned for it, if there is one."""
        pieces, self.in_hand = list(self.in_hand()), _nothing
        self._judged = 0
        if len(pieces) == 1 and (name := _name(pieces[0])) in self._suspects:
            del self._suspects[name]
            _keep(self._condemned, name, MAX_CONDEMNED)
            return pieces[0]
        for piece in pieces[-MAX_SUSPECTS:]:
            _keep(self._suspects, _name(piece), MAX_SUSPECTS)
        return None


def _name(piece: bytes) -> bytes:
    return blake2b(piece, digest_size=16).digest()


def _keep(names: dict[bytes, None], name: bytes, limit: int) -> None:
    names[name] = None
    while len(names) > limit:
        del names[next(iter(names))]
