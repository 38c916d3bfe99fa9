"""What the relays of one gateway know together: which client ids are taken, and how the gateway last introduced itself."""

from __future__ import annotations

import threading

from backstay.protocol.handshake import Hello, VersionRange


class Lobby:
    """One for each gateway. Thread-safe; nothing in it waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[int, str] = {}
        self._hello: Hello | None = None

    def claim(self, client_id: int, name: str) -> bool:
        """Take a client id for the connection of this name. False if another one has it."""
        with self._lock:
            return self._claims.setdefault(client_id, name) == name

    def release(self, name: str) -> None:
        """Give back whatever this connection has claimed."""
        with self._lock:
            self._claims = {client_id: owner for client_id, owner in self._claims.items() if owner != name}

    def remember(self, hello: Hello) -> None:
        """Keep the highest version this gateway has agreed to, and when it said so last."""
        with self._lock:
            if self._hello is None or hello.version >= self._hello.version:
                self._hello = hello

    def hello_for(self, offer: VersionRange) -> Hello | None:
        """The answer this gateway would give to such an offer, as far as its last one tells; None if it does not.

        A gateway that agreed to a version agrees to a lower one that is the client's highest.
        """
        with self._lock:
            hello = self._hello
        if hello is None or hello.version < offer.low:
            return None
        return Hello(min(hello.version, offer.high), hello.time)
