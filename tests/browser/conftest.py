"""A browser, and a daemon's public side with made-up contents."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from backstay.control.explaining import explain
from backstay.metrics.events import EventRing
from backstay.metrics.exporter import HttpServer, Views, create_app
from backstay.metrics.listening import Address
from backstay.status import ConnectionStatus, ListenerStatus, Status, status_as_dict

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from chromium import Chromium, find  # noqa: E402

READY = ConnectionStatus(
    name="paper/1",
    gateway="paper",
    endpoint="127.0.0.1:4002",
    client_id=1,
    wanted=True,
    state="ready",
    since_wall=time.time() - 180_000,
    epoch=1,
    streams=12,
    round_trip_seconds=0.0042,
    messages_per_second=241.7,
)
WAITING = replace(
    READY,
    name="orders",
    gateway="live",
    endpoint="gateway.example:4001",
    state="waiting",
    reason="refused: gateway.example:4001: Connection refused",
    next_attempt_wall=time.time() + 3600,
    round_trip_seconds=None,
    messages_per_second=0.0,
    since_wall=time.time() - 130,
    restarts=2,
)
PAUSED = replace(READY, name="night", wanted=False, state="paused", reason="over the weekend", admin="paused")


def node(path: str, *children: Mapping[str, Any], **over: Any) -> Mapping[str, Any]:
    plain = {"state": "running", "alive": True, "restarts": 0, "mailbox": 0, "handled": 5, "quiet_seconds": 2.0}
    return {"name": path.rpartition("/")[2], "path": path, **plain, **over, "children": children}


BUDGET = {"strategy": "one_for_one", "restarts_allowed": 5, "within_seconds": 60.0, "restarts_left": 4}
TREE = node(
    "root",
    node("root/journal"),
    node(
        "root/connections",
        node("root/connections/orders", node("root/connections/orders/session", restarts=2), budget=BUDGET),
        node("root/connections/night", node("root/connections/night/session", mailbox=7)),
        budget=BUDGET,
    ),
    budget=BUDGET,
)


@dataclass
class Site:
    """What the page is served from, to be changed by the test."""

    connections: tuple[ConnectionStatus, ...] = (READY, WAITING, PAUSED)
    held: tuple[ConnectionStatus, ...] = ()
    events: EventRing = field(default_factory=EventRing)
    server: HttpServer | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://{self.server.address}/"

    def status(self) -> Mapping[str, object]:
        door = ListenerStatus("paper", "127.0.0.1:7400", "paper", 1)
        return status_as_dict(Status("0.1.0", 4711, time.time() - 9_000, (door,), self.connections, self.held))

    def timeline(self) -> Mapping[str, object]:
        until = time.time()
        hour = [until - 3600 * back for back in range(24)]
        last = (until - 130, "away")
        tracks = {
            "night": [(hour[20], "away"), (hour[20] + 5, "ready"), (hour[3], "off")],
            "orders": [(hour[20], "away"), (hour[20] + 5, "ready"), (hour[9], "degraded"), (hour[8], "ready"), last],
            "paper/1": [(hour[20], "away"), (hour[20] + 5, "ready"), (hour[6], "away"), (hour[5], "ready")],
        }
        return {"schema": 1, "until": until, "seconds": 86_400.0, "connections": tracks}

    def connection(self, name: str) -> Mapping[str, object] | None:
        row = next((one for one in self.status()["connections"] if one["name"] == name), None)
        return None if row is None else explain(row, None, now=time.time())

    def start(self, address: Address | str = "127.0.0.1:0") -> None:
        views = Views(
            source=_Source(),
            status=self.status,
            tree=lambda: {"schema": 1, "tree": TREE},
            timeline=self.timeline,
            connection=self.connection,
            events=self.events,
        )
        self.server = HttpServer(address, create_app(views))
        self.server.start()

    def stop(self) -> Address:
        """Where it was."""
        assert self.server is not None
        assert self.server.address is not None
        self.server.stop()
        return self.server.address


class _Source:
    def connections(self) -> list[Any]:
        return []

    def actors(self) -> list[Any]:
        return []

    def now(self) -> float:
        return time.monotonic()


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    found.events.publish("started", {"version": "0.1.0", "pid": 4711})
    found.events.publish("connection_lost", {"connection": "orders", "epoch": 4, "cause": "eof", "code": 507})
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = find()
    assert program is not None, "no Chromium here: apt-get install chromium"
    opened = Chromium(program, Path(tmp_path_factory.mktemp("profile")))
    yield opened
    opened.close()
