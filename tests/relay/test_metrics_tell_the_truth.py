"""What the running product says in its metrics, compared with what was done to it; through a registry of the user's."""

from __future__ import annotations

import socket
import time
from typing import Any

from prometheus_client import CollectorRegistry

from backstay.actors.traffic import Credit
from backstay.protocol.framing import text
from backstay.relay.outlet import Outlet
from backstay.simulator import Simulator
from backstay.watching import collector

NAME = "paper/7"
PATIENCE = 15.0


class Scrape:
    """A registry of one's own with the manager's metrics in it."""

    def __init__(self, house: Any) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(collector(house.manager))

    def __call__(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(f"backstay_{name}", {"connection": NAME, **labels})
        assert value is not None, (name, labels)
        return value

    def until(self, value: float, name: str, **labels: str) -> None:
        """Look until the sample has this value. The session tells of nothing that only a scrape asks for."""
        deadline = time.monotonic() + PATIENCE
        while self(name, **labels) != value:
            assert time.monotonic() < deadline, (name, labels, self(name, **labels), value)


def ready(build, simulator: Simulator) -> tuple[Scrape, Any, Any]:
    house = build(simulator.address)
    client = house.client().connect(7)
    house.wait_state("ready")
    return Scrape(house), house, client


def test_requests_streams_and_their_course_over_a_cut_are_told(build, simulator):
    scrape, _, client = ready(build, simulator)
    client.market_data(11)
    client.expect(1, 11)
    scrape.until(1, "subscriptions", kind="market_data", state="active")
    assert scrape("requests_total", operation="market_data") == 1
    assert scrape("request_duration_seconds_count", operation="market_data") == 1
    assert scrape("subscriptions", kind="market_data", state="pending") == 0
    assert scrape("requests_in_flight") == 0
    assert abs(scrape("subscription_oldest_update_timestamp_seconds", kind="market_data") - time.time()) < PATIENCE
    simulator.faults.eof()
    client.expect_error(1102, -1)
    client.expect(1, 11)
    scrape.until(1, "subscriptions", kind="market_data", state="active")
    assert scrape("subscription_restores_total") == 1
    assert scrape("subscription_restore_failures_total") == 0
    assert scrape("requests_total", operation="market_data") == 1
    assert scrape("disconnects_total", reason="eof") == 1
    assert scrape("connect_attempts_total") == 2
    assert scrape("recovery_duration_seconds_count") == 1


def test_what_is_up_and_what_is_not_is_told_as_it_is(build, simulator):
    scrape, house, client = ready(build, simulator)
    assert scrape("connection_up") == scrape("connection_expected") == scrape("upstream_connected") == 1
    assert abs(scrape("clock_skew_seconds")) < 2
    simulator.faults.upstream_lost()
    client.expect_error(1100, -1)
    house.wait_state("degraded")
    assert scrape("upstream_connected") == 0
    assert scrape("connection_up") == 0
    simulator.faults.upstream_restored(data_lost=False)
    client.expect_error(1102, -1)
    house.wait_state("ready")
    scrape.until(1, "upstream_interruptions_total", data="kept")
    unavailable, expected = (scrape(f"connection_{word}_seconds_total") for word in ("unavailable", "expected"))
    assert 0 < unavailable < expected


def test_orders_and_their_reconciliation_are_told(build, simulator):
    scrape, _, client = ready(build, simulator)
    client.send(5, 1)
    client.expect(53)
    scrape.until(1, "requests_total", operation="order_query")
    scrape.until(1, "request_duration_seconds_count", operation="order_query")
    assert scrape("orders_in_doubt") == 0
    before = scrape("order_reconciliations_total")
    simulator.faults.eof()
    client.expect_error(1102, -1)
    scrape.until(before + 1, "order_reconciliations_total")


def test_a_read_that_tws_refuses_is_a_failure(build, simulator):
    scrape, _, client = ready(build, simulator)
    client.send(9, 8, 31, 0, "NOSUCHTHING", "STK", "", 0, "", "", "SMART", "", "USD", "", "", 0, "", "")
    client.expect_error(200, 31)
    scrape.until(1, "request_failures_total", operation="contract")


def test_delivery_is_timed_chunk_by_chunk(build, simulator):
    scrape, _, client = ready(build, simulator)
    client.market_data(11)
    client.expect(1, 11)
    chunks = scrape("event_delivery_delay_seconds_count")
    assert 0 < chunks <= scrape("messages_received_total")
    assert scrape("event_delivery_delay_seconds_sum") < PATIENCE


def test_what_a_client_misses_that_does_not_read_is_counted_before_it_is_cut_off():
    missed: list[int] = []
    ours, theirs = socket.socketpair()
    outlet = Outlet(ours, Credit(), missed.append)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    chunk = text(1, 6, 11, 1, "1.5", 100, 0) * 10_000
    puts = 0
    while not missed:
        outlet.put(chunk)
        puts += 1
    outlet.put(chunk)
    theirs.settimeout(PATIENCE)
    received = b"".join(iter(lambda: theirs.recv(1 << 20), b""))
    theirs.close()
    outlet.close()
    whole = len(received) // (len(chunk) // 10_000)
    assert missed == [puts * 10_000 - whole]
