"""What the connections of one gateway know together.

Who has which client id, where it is, how it last answered, and what its login has asked lately of what IB counts.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from backstay.protocol.framing import Splitter
from backstay.protocol.handshake import Hello, VersionRange
from backstay.session.endpoints import NO_MOVES, Moved, Moves, learn
from backstay.session.historical import Asked, Sent, noted
from backstay.session.told import NOTHING_TOLD, Knowledge, Told
from backstay.session.told import learn as learn_told


@dataclass(frozen=True, slots=True)
class Visit:
    """A client that comes back to a connection that was kept for it: its socket, and what of it has been read."""

    sock: socket.socket
    address: str
    version: int
    splitter: Splitter
    payloads: tuple[bytes, ...]


class Reception(Enum):
    """What became of a visit."""

    NONE_KEPT = "no connection was kept"
    TAKEN = "the visitor has the connection that was kept"
    GIVEN_UP = "one of another version was kept; its client id comes free"


class Chair:
    """The place of a client that has left and may return."""

    def __init__(self, version: int) -> None:
        self.version = version
        self._visits: queue.SimpleQueue[Visit | None] = queue.SimpleQueue()

    def wait(self, seconds: float) -> Visit | None:
        """Who has come back within this time; None if nobody, or if the chair is needed."""
        try:
            return self._visits.get(timeout=seconds)
        except queue.Empty:
            return None

    def fill(self, visit: Visit | None) -> None:
        """Somebody comes back, or (None) nobody will."""
        self._visits.put(visit)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who has a client id, and how to find out whether its client has left."""

    name: str
    leaves: Callable[[], bool]


class Lobby:
    """One for each gateway. Thread-safe; only `claim` waits, and as long as it is told to."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._claims: dict[int, Claim] = {}
        self._chairs: dict[int, Chair] = {}
        self._hello: Hello | None = None
        self.moves: Moves = NO_MOVES
        """What TWS has said of its port (1300). Replaced as a whole."""
        self.asked: Asked = ()
        """Historical queries of all connections. Replaced as a whole."""
        self.told: Knowledge = NOTHING_TOLD
        """What it has told of itself. Replaced as a whole."""

    def claim(
        self,
        client_id: int,
        name: str,
        *,
        leaves: Callable[[], bool] = lambda: False,
        patience_seconds: float = 0.0,
    ) -> bool:
        """Take a client id for the connection of this name. False if another one has it and does not give it back.

        `leaves`: whether the client of this connection has left, and the id will come free.
        """
        with self._lock:
            if not self._lock.wait_for(lambda: self._is_free(client_id, name), patience_seconds):
                return False
            self._claims[client_id] = Claim(name, leaves)
            return True

    def comes_free(self, client_id: int) -> bool:
        """Whether nobody has this id, or one whose client has left."""
        with self._lock:
            claim = self._claims.get(client_id)
        return claim is None or claim.leaves()

    def _is_free(self, client_id: int, name: str) -> bool:
        claim = self._claims.get(client_id)
        return claim is None or claim.name == name

    def release(self, name: str) -> None:
        """Give back whatever this connection has claimed."""
        with self._lock:
            self._claims = {client_id: claim for client_id, claim in self._claims.items() if claim.name != name}
            self._lock.notify_all()

    def keep_chair(self, client_id: int, chair: Chair) -> None:
        """The client with this id has left; whoever comes with it may have its connection."""
        with self._lock:
            self._chairs[client_id] = chair

    def remove_chair(self, client_id: int, chair: Chair) -> bool:
        """Nobody came in time. False if somebody has just taken it: then there is a visit to be had."""
        with self._lock:
            if self._chairs.get(client_id) is not chair:
                return False
            del self._chairs[client_id]
            return True

    def visit(self, client_id: int, visit: Visit) -> Reception:
        """Take the connection that was kept for this id, if there is one and it speaks the visitor's version."""
        with self._lock:
            chair = self._chairs.pop(client_id, None)
            if chair is None:
                return Reception.NONE_KEPT
            fits = chair.version == visit.version
            chair.fill(visit if fits else None)  # before `remove_chair` can say that there is a visit
        return Reception.TAKEN if fits else Reception.GIVEN_UP

    def remember(self, hello: Hello) -> None:
        """Keep the highest version this gateway has agreed to, and when it said so last."""
        with self._lock:
            if self._hello is None or hello.version >= self._hello.version:
                self._hello = hello

    def move(self, moved: Moved) -> None:
        """TWS has told one connection where it is; the others will not hear it."""
        with self._lock:
            self.moves = learn(self.moves, moved)

    def note_asked(self, sent: Sent) -> None:
        """One connection has sent a historical query, which counts for all."""
        with self._lock:
            self.asked = noted(self.asked, sent)

    def note_told(self, told: Told) -> None:
        """TWS has told one connection of itself; others cannot ask."""
        with self._lock:
            self.told = learn_told(self.told, told)

    def hello_for(self, offer: VersionRange) -> Hello | None:
        """The answer this gateway would give to such an offer, as far as its last one tells; None if it does not.

        A gateway that agreed to a version agrees to a lower one that is the client's highest.
        """
        with self._lock:
            hello = self._hello
        if hello is None or hello.version < offer.low:
            return None
        return Hello(min(hello.version, offer.high), hello.time)
