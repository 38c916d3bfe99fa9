"""Nothing is left behind: not after five hundred reconnects, not after clients, not after a stop."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from pathlib import Path

from backstay.protocol.framing import frame, text

RECONNECTS = 500
GROWTH_BYTES = 256 * 1024  # windows and buffers that fill up once; a leak of 1 KiB a reconnect would be twice this


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_thread_socket_or_memory_is_left_after_five_hundred_reconnects(build, gateway, monkeypatch):
    """Whole rounds: dialled, started, probed, put back, the client told. Only the spacing of probes is taken out,
    which would make each round last a second.
    """
    monkeypatch.setattr("backstay.session.pulse.CLOCK_SPACING_SECONDS", 0.0)
    backoff = {"first_seconds": 0.001, "base_seconds": 0.001, "cap_seconds": 0.001}
    house = build(gateway.address, backoff=backoff, pacing={"messages_per_second": 1000})
    client = house.client()
    client.sock.sendall(b"API\0" + frame(b"v100..200"))
    gateway.accept()
    gateway.say(text(176, "20260401 12:00:00 EST"))
    client.version = int(client.next_frame().split(b"\0")[0])
    client.start(7)
    for request_id in (11, 12, 13):
        client.market_data(request_id)

    def start() -> None:
        gateway.receive_id(71)
        gateway.say(text(15, 1, "DU1234567") + text(9, 1, 1))
        assert gateway.receive().split(b"\0")[0] == b"49"
        gateway.say(text(49, 1, 1_785_600_000))
        assert [gateway.receive_id(1)[2] for _ in range(3)] == [b"11", b"12", b"13"]

    def rounds(count: int) -> None:
        for _ in range(count):
            gateway.sock.close()
            gateway.opened.clear()
            client.expect_error(1100)
            gateway.accept()
            gateway.say(text(176, "20260401 12:00:00 EST"))
            start()
            client.expect_error(1102)
            client.seen.clear()

    start()
    client.expect(9)
    rounds(20)
    gc.collect()
    threads, files = threading.active_count(), descriptors()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    rounds(RECONNECTS)
    house.events.clear()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert threading.active_count() == threads
    assert descriptors() == files
    assert grown < GROWTH_BYTES
    assert house.manager.status().connections[0].epoch > RECONNECTS
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
