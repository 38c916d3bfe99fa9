"""Nothing is left behind: not after five hundred reconnects, not after clients, not after a stop."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from pathlib import Path

from backstay.protocol.framing import text

RECONNECTS = 500


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_thread_socket_or_memory_is_left_after_five_hundred_reconnects(build, gateway):
    """The gateway cuts right after each probe; the spacing of probes would make each round last a second, so the
    rounds end where the handshake does: a socket dialled, greeted, started and lost."""
    house = build(
        gateway.address,
        relays={"paper": {"client_ids": "0-3"}},
        connections={"keeper": {"gateway": "paper", "client_id": 900}},
        backoff={"first_seconds": 0.001, "base_seconds": 0.001, "cap_seconds": 0.001},
    )

    def rounds(count: int) -> None:
        for _ in range(count):
            gateway.accept()
            gateway.say(text(176, "20260401 12:00:00 EST"))
            gateway.receive_id(71)
            gateway.say(text(15, 1, "DU1234567") + text(9, 1, 1))
            gateway.sock.close()
            gateway.opened.clear()

    rounds(50)
    gc.collect()
    threads, files = threading.active_count(), descriptors()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    rounds(RECONNECTS)
    gc.collect()
    house.events.clear()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert threading.active_count() == threads
    assert descriptors() <= files + 1
    assert grown < 1024 * RECONNECTS
    assert house.manager.status().connections[0].epoch >= RECONNECTS
    root = house.manager.root
    assert root is not None
    assert root.tally.restarts == 0, "a lost socket must not cost a restart"


def test_no_thread_or_socket_is_left_after_clients_and_a_stop(build, simulator):
    threads, files = threading.active_count(), descriptors()
    house = build(simulator.address)
    for round_number in range(20):
        client = house.client().connect(round_number % 4)
        client.market_data(11)
        client.expect(1, 11)
        client.close()
        house.wait(lambda status: not status.connections)
    house.clients.clear()
    assert house.manager.stop()
    simulator.wait_for(lambda state: all(client["sockets"] == 0 for client in state["clients"].values()))
    assert threading.active_count() == threads
    assert descriptors() <= files


def test_stopping_ends_everything_from_any_state(build, simulator, gateway):
    threads = threading.active_count()
    for address, state in (
        (gateway.address, "handshaking"),
        (simulator.address, "ready"),
        (("127.0.0.1", 1), "waiting"),
    ):
        house = build(address, connections={"keeper": {"gateway": "paper", "client_id": 900}})
        house.wait_state(state)
        assert house.manager.stop(5.0)
        assert threading.active_count() == threads
