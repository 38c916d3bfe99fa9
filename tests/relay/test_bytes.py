"""Whatever way TCP cuts the bytes, and however much there is of them, they arrive whole and in order."""

from __future__ import annotations

import os
import threading
import time

import pytest

from backstay.protocol.framing import frame, text

PATIENCE = 15.0


def connect(house, gateway, version=176):
    client = house.client()
    client.sock.sendall(b"API\0" + frame(b"v100..200"))
    gateway.accept()
    gateway.say(text(version, "20260401 12:00:00 EST"))
    client.version = int(client.next_frame().split(b"\0")[0])
    client.start(7)
    gateway.receive_id(71)
    gateway.say(text(15, 1, "DU1234567") + text(9, 1, 1))
    assert gateway.receive().split(b"\0")[0] == b"49"
    gateway.say(text(49, 1, 1_785_600_000))
    client.expect(9)
    return client


def burst_of(size: int) -> bytes:
    """Ticks and one text that together are exactly so many bytes."""
    tick = text(2, 6, 11, 0, 300)
    ticks = tick * ((size - 60) // len(tick))
    rest = size - len(ticks) - len(text(46, 6, 11, 45, ""))
    return ticks + text(46, 6, 11, 45, "x" * rest)


def test_bursts_that_end_on_every_size_around_a_read_of_4096_arrive_whole_though_silence_follows(build, gateway):
    client = connect(build(gateway.address), gateway)
    for size in range(4_090, 4_101):
        burst = burst_of(size)
        assert len(burst) == size
        gateway.say(burst)
        received = b""
        while len(received) < size:
            received += frame(client.next_frame())
        assert received == burst


def last_heard(house) -> float:
    """When the Reader of the one connection there is has got bytes for the last time; 0 if never."""
    return max((live.charge.traffic.heard_at for live in list(house.manager._live.values())), default=0.0)


def wait_for_a_read(house, heard_at: float) -> None:
    """Until the Reader has taken what was said, so that the rest comes to it in another piece."""
    deadline = time.monotonic() + PATIENCE
    while last_heard(house) == heard_at:
        assert time.monotonic() < deadline, "nobody reads"
        os.sched_yield()


def test_a_handshake_answer_split_at_every_byte_is_understood(build, gateway):
    answer = text(176, "20260401 12:00:00 EST")
    house = build(gateway.address)
    for cut in range(1, len(answer)):
        client = house.client()
        client.sock.sendall(b"API\0" + frame(b"v100..200"))
        gateway.accept()
        heard_at = last_heard(house)
        gateway.say(answer[:cut])
        wait_for_a_read(house, heard_at)
        gateway.say(answer[cut:])
        assert client.next_frame() == answer[4:]
        client.close()
        with pytest.raises(EOFError):
            gateway.receive()


def test_a_clients_greeting_may_come_byte_by_byte(build, simulator):
    client = build(simulator.address).client()
    for byte in b"API\0" + frame(b"v100..178 +PACEAPI"):
        client.sock.sendall(bytes([byte]))
    assert client.next_frame().startswith(b"178\0")


def test_versions_options_and_capabilities_are_passed_on_as_the_client_gave_them(build, gateway):
    house = build(gateway.address)
    client = house.client()
    client.sock.sendall(b"API\0" + frame(b"v157..178 +PACEAPI"))
    assert gateway.accept() == b"v157..178 +PACEAPI"
    gateway.say(text(178, "20260401 12:00:00 EST"))
    assert client.next_frame().startswith(b"178\0")
    client.start(7, "capA")
    assert gateway.receive_id(71) == [b"71", b"2", b"7", b"capA"]


def test_an_offer_beyond_what_backstay_can_read_is_capped(build, gateway):
    client = build(gateway.address).client()
    client.sock.sendall(b"API\0" + frame(b"v100..999"))
    assert gateway.accept() == b"v100..226"


def test_a_reconnect_offers_exactly_the_version_first_agreed_on(build, gateway):
    client = connect(build(gateway.address), gateway)
    gateway.sock.close()
    client.expect_error(1100)
    assert gateway.accept() == b"v176"


def test_a_frame_of_sixteen_megabytes_passes(build, gateway):
    client = connect(build(gateway.address), gateway)
    large = text(19, 1, "x" * 16_000_000)
    sender = threading.Thread(target=gateway.say, args=(large,))
    sender.start()
    assert frame(client.next_frame()) == large
    sender.join()


MOST_BYTES = 64 * 1024 * 1024


def say_until_blocked(sock, burst):
    """Write until nobody takes any more; returns how many bytes were taken, partial bursts included."""
    said, rest = 0, memoryview(b"")
    while said < MOST_BYTES:
        rest = rest or memoryview(burst)
        try:
            sent = sock.send(rest)
        except TimeoutError:
            break
        said += sent
        rest = rest[sent:]
    return said


def test_a_client_that_reads_nothing_makes_the_gateway_wait_and_loses_nothing(build, gateway):
    """The bytes it does not take stay in TCP, not in this process, and no probe mistakes that for a dead gateway."""
    house = build(gateway.address, pulse={"idle_seconds": 2.0, "probe_seconds": 3.0, "probes": 3})
    client = connect(house, gateway)
    tick = text(2, 6, 11, 0, 300)
    burst = tick * 20_000
    gateway.sock.settimeout(1.0)
    said = say_until_blocked(gateway.sock, burst)
    assert said < MOST_BYTES, "nothing held the gateway back"
    received, whole = 0, said // len(tick) * len(tick)
    while received < whole:
        received += len(frame(client.next_frame()))
    assert house.manager.status().connections[0].state == "ready"
    assert (-1, 1100) not in client.errors()
