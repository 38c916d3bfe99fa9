"""What clients did: counts, bounded logs and the largest number of sockets, for tests to ask and to wait for."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LOG_MAX = 5000
"""Requests remembered per client id: a restore of a thousand streams fits, a day of requests does not."""


SECOND_MAX = 10_000
"""Requests of one second that are told apart; TWS ends a session at a hundredth of that."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, told to every hook in the simulator's own thread.

    ``kind`` is listening, accepted, started, ready, request, dropped, closed, fault or order; ``client_id`` is None as
    long as it is not known; ``seconds`` is monotonic.
    """

    kind: str
    client_id: int | None
    name: str
    key: int | None
    seconds: float


Hook = Callable[[Event], None]


@dataclass(slots=True)
class ClientRecord:
    """One client id over all its sockets. ``second_max``: the most requests in any second on one socket."""

    sockets: int = 0
    sockets_max: int = 0
    connects: int = 0
    second_max: int = 0
    second: deque[float] = field(default_factory=lambda: deque(maxlen=SECOND_MAX))
    requests: Counter[str] = field(default_factory=Counter[str])
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LOG_MAX))


class Records:
    """Counts by client id; written by the loop, read through it.

    ``changed`` is a condition other threads wait on; it is notified after everything that is not a tick.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.changes = 0
        self.hooks: list[Hook] = []
        self.requests: Counter[str] = Counter()
        self.accepted = 0
        self.open = 0
        self.open_max = 0
        self._clients: dict[int, ClientRecord] = {}

    def client(self, client_id: int) -> ClientRecord:
        """Return the record of a client id, a new one when it is new."""
        return self._clients.setdefault(client_id, ClientRecord())

    @property
    def clients(self) -> dict[int, ClientRecord]:
        """Every client id that was ever seen."""
        return self._clients

    def socket_opened(self) -> None:
        """Count a socket that was accepted; whose it is shows later."""
        self.accepted += 1
        self.open += 1
        self.open_max = max(self.open_max, self.open)
        self.tell("accepted", None)

    def socket_closed(self, client_id: int | None, reason: str) -> None:
        """Count a socket that ended; ``client_id`` None when it never said who it was."""
        self.open -= 1
        if client_id is not None:
            self.client(client_id).sockets -= 1
        self.tell("closed", client_id, reason)

    def started(self, client_id: int) -> None:
        """Count a socket to the client id its startApi names, also when it will be refused."""
        record = self.client(client_id)
        record.connects += 1
        record.sockets += 1
        record.second.clear()  # TWS counts by the socket
        record.sockets_max = max(record.sockets_max, record.sockets)
        self.tell("started", client_id)

    def request(self, client_id: int, name: str, key: int | None) -> None:
        """Count and log one request."""
        self.requests[name] += 1
        record = self.client(client_id)
        record.requests[name] += 1
        now = time.monotonic()
        record.second.append(now)
        while record.second[0] <= now - 1.0:
            record.second.popleft()
        record.second_max = max(record.second_max, len(record.second))
        record.log.append({"seconds": now, "wall": time.time(), "name": name, "key": key})
        self.tell("request", client_id, name, key=key)

    def tell(self, kind: str, client_id: int | None, name: str = "", *, key: int | None = None) -> None:
        """Tell hooks and waiting threads."""
        if self.hooks:
            event = Event(kind, client_id, name, key, time.monotonic())
            for hook in self.hooks:
                hook(event)
        with self.changed:
            self.changes += 1
            self.changed.notify_all()
