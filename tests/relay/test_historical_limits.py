"""IB's limits on historical queries over real sockets, in front of a TWS that keeps count."""

from __future__ import annotations

import pytest

from backstay.protocol import builders
from backstay.protocol.builders_terms import Contract
from backstay.protocol.framing import frame
from backstay.simulator import Simulator

APPLE = Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")


@pytest.fixture
def counting_simulator():
    with Simulator(historical_pacing=True) as simulator:
        yield simulator


def ask_bars(client, key: int) -> None:
    """A question of its own about the same contract."""
    client.sock.sendall(frame(builders.build("historical_bars", terms(key), version=200, key=key)))


def terms(key: int) -> dict[str, object]:
    return {"contract": APPLE, "bar_size": "5 secs", "duration": f"{60 + key} S"}


def test_more_queries_than_ib_allows_are_all_answered_and_none_is_refused(build, counting_simulator):
    client = build(counting_simulator.address).client().connect(7)
    for key in range(1, 9):
        ask_bars(client, key)
    client.market_data(20)
    client.expect(1, 20)
    assert client.count(108) <= 5, "what waits for the limits is in nobody's way"
    client.expect(108, 8)
    assert client.count(108) == 8
    assert 162 not in [code for _, code in client.errors()]


def test_without_the_limits_tws_refuses_what_is_too_much(build, counting_simulator):
    client = build(counting_simulator.address, pacing={"historical_limits": False}).client().connect(7)
    for key in range(1, 9):
        ask_bars(client, key)
    client.expect(108, 5)
    client.market_data(20)
    client.expect(1, 20)
    assert client.count(108) == 5


def test_clients_and_the_library_on_one_gateway_keep_the_limits_together(build, counting_simulator):
    keepers = {"keeper": {"gateway": "paper", "client_id": 900}}
    house = build(counting_simulator.address, connections=keepers)
    keeper = house.manager.connection("keeper")
    assert keeper.wait_ready(15.0)
    one, two = house.client().connect(7), house.client().connect(8)
    asked = [keeper.submit("historical_bars", **terms(10 + key)) for key in range(3)]
    for key in (20, 21, 22):
        ask_bars(one, key)
        ask_bars(two, key + 10)
    one.expect(108, 22)
    two.expect(108, 32)
    assert all(read.result(15.0) for read in asked)
    assert [client.count(108) for client in (one, two)] == [3, 3]
    assert sum(meter.pacing_violations for meter in house.manager.meters()) == 0, "nine of one contract in two seconds"
