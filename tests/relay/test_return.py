"""A client that comes back to its kept connection hears what became of its orders while nobody was there.

Everything holds in text and in protobuf.
"""

from __future__ import annotations

from collections import Counter

import pytest
from test_linger import LINGER
from test_orders import await_status, build, place, simulator, version  # noqa: F401  # fixtures


def ready(house):
    client = house.client().connect(7)
    house.wait_state("ready")
    for order_id in (1, 2, 3):
        place(client, order_id)
        await_status(client, order_id, "Submitted")
    return client


def leave(simulator, client) -> None:  # noqa: F811
    """Its stream ends when the session has heard of it."""
    client.market_data(11)
    client.expect(1, 11)
    client.close()
    simulator.wait_for(lambda state: not state["clients"]["7"]["subscriptions"])


def come_back(house):
    client = house.client()
    client.greet()
    client.start(7)
    return client


def check_news(client) -> None:
    """Order 1 was filled in two parts, order 2 was cancelled, order 3 works on."""
    wanted = {(b"1", b"Filled"), (b"2", b"Cancelled"), (b"3", b"Submitted")}
    while wanted:
        order_id, status, *_ = client.expect(3)
        wanted.discard((order_id, status))
    client.send(49, 1)
    client.expect(49)
    fills = Counter(payload.split(b"\0")[14] for payload in client.seen if payload.startswith(b"11\0"))
    assert len(fills) == 2
    assert set(fills.values()) == {1}
    assert client.count(59) == 2


def trade(simulator) -> None:  # noqa: F811
    simulator.faults.fill_order(7, 1, quantity=4)
    simulator.faults.fill_order(7, 1)
    simulator.faults.cancel_order(7, 2)


def test_what_became_of_its_orders_on_a_healthy_connection_is_told(build, simulator):  # noqa: F811
    house = build(simulator.address, relays=LINGER)
    leave(simulator, ready(house))
    trade(simulator)
    check_news(come_back(house))


def test_what_became_of_its_orders_in_an_outage_is_told(build, simulator):  # noqa: F811
    house = build(simulator.address, relays=LINGER)
    leave(simulator, ready(house))
    simulator.faults.refuse()
    simulator.faults.eof()
    trade(simulator)
    simulator.faults.accept()
    house.wait(lambda status: status.connections[0].epoch > 1)
    house.wait_state("ready")
    check_news(come_back(house))


@pytest.mark.parametrize("settles", [True, False], ids=["judged", "in doubt"])
def test_the_fate_of_an_order_that_tws_lost_is_told(build, simulator, settles):  # noqa: F811
    house = build(simulator.address, relays=LINGER, orders={"settle_seconds": 1.0 if settles else 4.0})
    client = ready(house)
    simulator.faults.lose_orders(1, where="request", then_eof=True)
    place(client, 4)
    client.close()
    rounds = 2 if settles else 1
    simulator.wait_for(lambda state: state["clients"]["7"]["requests"].get("reqExecutions", 0) >= rounds)
    client = come_back(house)
    if not settles:
        client.expect_error(2165, 4)
    client.expect_error(201, 4)


def test_who_comes_too_late_is_told_by_a_new_session(build, simulator):  # noqa: F811
    house = build(simulator.address, relays={"paper": {"linger_seconds": 1.0}})
    leave(simulator, ready(house))
    trade(simulator)
    house.wait(lambda status: not status.connections)
    check_news(come_back(house))
