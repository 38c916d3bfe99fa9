"""A house is closed at random moments, whatever it is at: within its limit, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backstay.config import Config
from backstay.manager import Manager
from backstay.protocol.framing import frame, text
from backstay.session.client_words import ClientAsked
from backstay.simulator import Simulator
from backstay.supervisor.messages import RestartChild

PATIENCE = 15.0
LIMIT_SECONDS = 8.0
"""What the daemon gives its tree, on top of the time for draining."""

DRAIN_SECONDS = 0.3
LONGEST_MOMENT_SECONDS = 0.25


class Scene:
    """A simulated gateway, one that accepts and is silent, one that refuses, and a house in front of one of them."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self.silent = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.full = socket.create_server(("127.0.0.1", 0), backlog=0)  # a dial to it hangs once its queue is full
        self.plugs = [socket.socket() for _ in range(4)]
        for plug in self.plugs:
            plug.setblocking(False)
            plug.connect_ex(self.full.getsockname())
        self.clients: list[socket.socket] = []

    def close(self) -> None:
        for sock in (self.silent, self.full, *self.plugs):
            sock.close()

    def house(self, address: tuple[str, int], **over: Any) -> Manager:
        tree = {
            "gateways": {"paper": {"endpoints": [f"{address[0]}:{address[1]}"]}},
            "relays": {"paper": {"gateway": "paper", "listen": "127.0.0.1:0"}},
            "connections": {"keeper": {"gateway": "paper", "client_id": 900}},
            "journal": {"path": str(self.folder / "backstay.db")},
            "lifecycle": {"drain_seconds": DRAIN_SECONDS, "handshake_seconds": 0.5},
            "backoff": {"first_seconds": 0.02, "base_seconds": 0.02, "cap_seconds": 0.2},
            "http": {"enabled": False},
            **over,
        }
        return Manager(Config.model_validate(tree)).start()

    def client(self, manager: Manager, client_id: int | None = None, *, streams: int = 0) -> socket.socket:
        """A client that has greeted; with an id one that has started, too, and asked for quotes."""
        sock = socket.create_connection(manager.address("paper"), timeout=PATIENCE)
        self.clients.append(sock)
        sock.sendall(b"API\0" + frame(b"v100..176"))
        if client_id is not None:
            assert sock.recv(100)
            sock.sendall(text(71, 2, client_id, ""))
            for request_id in range(streams):
                stock = (0, "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")
                sock.sendall(text(1, 11, request_id, *stock, 0, "", 0, 0, ""))
        return sock


def working(scene: Scene, **over: Any) -> Manager:
    manager = scene.house(scene.simulator.address, **over)
    scene.client(manager, 7, streams=3)
    scene.client(manager, 8)
    return manager


def ready(scene: Scene) -> Manager:
    manager = working(scene)
    assert manager.wait_until(lambda s: [c.state for c in s.connections] == ["ready"] * 3, PATIENCE), manager.status()
    return manager


def dialling(scene: Scene) -> Manager:
    return scene.house(scene.full.getsockname())


def greeting(scene: Scene) -> Manager:
    manager = scene.house(scene.silent.getsockname())
    scene.client(manager)
    return manager


def dialog(scene: Scene) -> Manager:
    manager = greeting(scene)
    assert manager.wait_until(lambda s: any(c.state == "awaiting_acceptance" for c in s.connections), PATIENCE)
    return manager


def backing_off(scene: Scene) -> Manager:
    manager = scene.house(("127.0.0.1", 1))
    scene.client(manager)
    return manager


def verifying(scene: Scene) -> Manager:
    scene.simulator.faults.drop_requests(5.0)
    scene.simulator.faults.delay_ready(0.1)
    return working(scene)


def frozen(scene: Scene) -> Manager:
    manager = ready(scene)
    scene.simulator.faults.freeze()
    return manager


def cut(scene: Scene) -> Manager:
    manager = ready(scene)
    scene.simulator.faults.eof()
    return manager


def restarting(scene: Scene) -> Manager:
    manager = ready(scene)
    root = manager.root
    assert root is not None
    for child in ("session", "dispatcher", "link"):
        root.book.urge("keeper", RestartChild(child))
    return manager


def slow_client(scene: Scene) -> Manager:
    """One that reads nothing, so that its buffers fill."""
    manager = scene.house(scene.simulator.address)
    sock = scene.client(manager, 7, streams=50)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    return manager


def full_mailbox(scene: Scene) -> Manager:
    manager = ready(scene)
    root = manager.root
    assert root is not None
    book = root.book.inner("keeper")
    for number in range(20_000):
        book.send("session", ClientAsked((f"59\0{number}\0".encode(),)))
    return manager


def draining(scene: Scene) -> Manager:
    manager = ready(scene)
    for sock in scene.clients:
        sock.close()
    return manager


def silent_client(scene: Scene) -> Manager:
    manager = scene.house(scene.simulator.address)
    scene.clients.append(socket.create_connection(manager.address("paper"), timeout=PATIENCE))
    return manager


STATES: tuple[Callable[[Scene], Manager], ...] = (
    working,
    ready,
    dialling,
    greeting,
    dialog,
    backing_off,
    verifying,
    frozen,
    cut,
    restarting,
    slow_client,
    full_mailbox,
    draining,
    silent_client,
)


@pytest.fixture
def scene(tmp_path) -> Iterator[Scene]:
    with (
        Simulator(server_version=176, tick_seconds=0.01) as simulator,
        contextlib.closing(Scene(simulator, tmp_path)) as made,
    ):
        yield made


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def mend(simulator: Simulator) -> None:
    simulator.faults.thaw()
    simulator.faults.drop_requests(0.0)
    simulator.faults.delay_ready(0.0)
    simulator.wait_for(lambda state: state["sockets"]["open"] == 0)


@pytest.mark.timeout(0)  # each close has its limit, and --closes may ask for many
def test_a_house_closes_within_its_limit_at_any_moment_of_any_state_and_leaves_nothing(scene, pytestconfig):
    seed = pytestconfig.getoption("closes_seed")
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    print(f"repeat with --closes-seed {seed}")  # noqa: T201 - shown when the test fails
    source = random.Random(seed)
    slowest: dict[str, float] = {}
    ready(scene).stop()  # whatever is loaded and opened once
    end_round(scene)
    threads, files = set(threading.enumerate()), descriptors()
    pause = threading.Event()
    for number in range(pytestconfig.getoption("closes")):
        state = STATES[number % len(STATES)]
        manager = state(scene)
        moment = source.random() ** 2 * LONGEST_MOMENT_SECONDS
        print(f"{state.__name__} after {moment:.3f} s")  # noqa: T201
        pause.wait(moment)
        begun = time.monotonic()
        ended = manager.stop(LIMIT_SECONDS)
        slowest[state.__name__] = max(slowest.get(state.__name__, 0.0), time.monotonic() - begun)
        assert ended, state.__name__
        end_round(scene)
        assert set(threading.enumerate()) <= threads, state.__name__
        assert descriptors() <= files, state.__name__
    print({name: round(seconds, 3) for name, seconds in slowest.items()})  # noqa: T201


def end_round(scene: Scene) -> None:
    for sock in scene.clients:
        sock.close()
    scene.clients.clear()
    scene.silent.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            scene.silent.accept()[0].close()
    mend(scene.simulator)
