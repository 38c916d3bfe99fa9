"""What TWS drops without a word while it joins IB's servers: settings, orders and cancels as well as reads."""

from __future__ import annotations

from trader import cancel, limit_order

from backstay.simulator import Simulator

LIVE = ("Submitted", "PreSubmitted")
MARKET_DATA_TYPE, DELAYED = 59, 3


def test_a_setting_that_tws_dropped_holds_for_the_streams_behind_it(build):
    with Simulator(server_version=200, delayed_symbols=("AAPL",)) as simulator:
        simulator.faults.drop_requests(2.0)
        client = build(simulator.address).client().connect(7)
        client.send(MARKET_DATA_TYPE, 1, DELAYED)
        client.market_data(11)
        client.expect(1, 11)
        assert 354 not in {code for _, code in client.errors()}, "it has no right to live quotes"


def test_an_order_that_tws_dropped_is_in_doubt_and_proved_not_to_be_there(build, simulator):
    simulator.faults.drop_requests(2.0)
    house = build(simulator.address, orders={"settle_seconds": 1.0})
    client = house.client().connect(7)
    client.sock.sendall(limit_order(1, ref="one"))
    client.expect_error(2165, 1)
    client.expect_error(201, 1)
    assert simulator.state()["orders"] == []


def test_a_cancel_that_tws_dropped_is_sent_again(build, simulator):
    house = build(simulator.address)
    client = house.client().connect(7)
    client.sock.sendall(limit_order(1, ref="one"))
    while client.expect(3, 1)[1].decode() not in LIVE:
        pass
    simulator.faults.drop_requests(2.0)
    client.sock.sendall(cancel(1))
    while client.expect(3, 1)[1] != b"Cancelled":
        pass
    client.expect_error(202, 1)
