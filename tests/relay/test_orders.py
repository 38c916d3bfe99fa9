"""Orders over real sockets: written down before they leave, found again after an outage, each fate told once.

Everything holds in text and in protobuf.
"""

from __future__ import annotations

import sqlite3

import pytest
from translated import PROTOBUF, TEXT, Translated

from backstay.simulator import Simulator

APPLE = (0, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "")
FILLED, LIVE = "Filled", ("Submitted", "PreSubmitted")


@pytest.fixture(params=[TEXT, PROTOBUF])
def version(request):
    return request.param


@pytest.fixture
def simulator(version):
    with Simulator(server_version=version, tick_seconds=0.02) as running:
        yield running


@pytest.fixture
def simulator_that_forgot(version):
    """A gateway whose order ids have fallen back to the first."""
    with Simulator(server_version=version) as running:
        yield running


@pytest.fixture
def build(build, version):
    """As everywhere, with clients that speak this version."""

    def make(*args, **over):
        house = build(*args, **over)
        if version == PROTOBUF:
            house.over = Translated
        return house

    return make


def place(client, order_id: int, *, quantity: int = 10, limit: float = 1.0, group: tuple[int, int] = (1, 0)) -> None:
    """A limit order at server version 200, far below the market. `group`: whether it is transmitted, and its parent."""
    fields = [order_id, *APPLE, "", "", "BUY", quantity, "LMT", limit]
    fields += ["", "DAY", "", "", "", 0, f"ref-{order_id}", *group]
    fields += [0] * 6 + [""] * 8 + [0, "", -1, 0, "", "", 0, "", "", 0, 0, "", 0] + [""] * 5 + [0, "", "", "", ""]
    fields += [0] + [""] * 10 + [0, "", "", 0, 0, "", "", 0, "", 0, 0, 0, 0] + [""] * 6 + [0] + [""] * 8
    fields += [0, 0, 0, "", "", "", 0, "", "", "", 0, 0, "", 0]
    client.send(3, *fields)


def await_status(client, order_id: int, *statuses: str) -> list[bytes]:
    while True:
        fields = client.expect(3, order_id)
        if fields[1].decode() in statuses:
            return fields


def in_journal(house) -> dict[int, str]:
    """States by order id, as another process reads them once the daemon has stopped."""
    with sqlite3.connect(house.manager.config.journal.path) as db:
        return dict(db.execute("SELECT order_id, state FROM intents").fetchall())


def until_restored(client) -> None:
    client.expect_error(1100)
    client.expect_error(1102)


def sent_orders(simulator) -> int:
    return simulator.state()["clients"]["7"]["requests"].get("placeOrder", 0)


def test_an_order_is_in_the_journal_and_its_states_follow(build, simulator):
    house = build(simulator.address, orders={"settle_seconds": 1.0})
    client = house.client().connect(7)
    place(client, 1)
    await_status(client, 1, *LIVE)
    simulator.faults.fill_order(7, 1)
    await_status(client, 1, FILLED)
    place(client, 2)
    await_status(client, 2, *LIVE)
    for _ in range(2):  # two round trips: what came before them has been noted
        client.send(8, 1, 1)
        client.expect(9)
    house.manager.stop()
    assert in_journal(house) == {1: "done", 2: "live"}


def test_a_fill_while_the_gateway_was_away_is_told_once_with_its_commission_and_the_new_status(build, simulator):
    house = build(simulator.address)
    client = house.client().connect(7)
    place(client, 1)
    await_status(client, 1, *LIVE)
    simulator.faults.refuse()
    simulator.faults.eof()
    client.expect_error(1100)
    simulator.faults.fill_order(7, 1)
    simulator.faults.accept()
    fill = client.expect(11, 1)
    assert fill[0] == b"-1", "as if it had happened just now"
    client.expect(59)
    await_status(client, 1, FILLED)
    for _ in range(2):
        simulator.faults.eof()
        until_restored(client)
    client.send(49, 1)
    client.expect(49)
    assert (client.count(11), client.count(59)) == (1, 1)
    assert client.count(55) == client.count(53) == client.count(102) == 0, "the client asked for no list"
    assert sent_orders(simulator) == 1


def test_a_fill_during_1100_is_told_once(build, simulator):
    house = build(simulator.address)
    client = house.client().connect(7)
    place(client, 1)
    await_status(client, 1, *LIVE)
    simulator.faults.upstream_lost()
    client.expect_error(1100)
    simulator.faults.fill_order(7, 1)
    await_status(client, 1, FILLED)
    simulator.faults.upstream_restored(data_lost=False)
    client.expect_error(1102)
    client.send(49, 1)
    client.expect(49)
    assert client.count(11) == 1


def test_an_order_that_tws_never_got_is_in_doubt_until_settled_lists_prove_it(build, simulator):
    house = build(simulator.address, orders={"settle_seconds": 1.0})
    client = house.client().connect(7)
    simulator.faults.lose_orders(1, where="request", then_eof=True)
    place(client, 1)
    client.expect_error(2165, 1)
    assert "never had this order" in client.expect_error(201, 1).text
    assert sent_orders(simulator) == 1


def test_an_order_whose_answers_were_lost_is_found_alive_and_not_sent_again(build, simulator):
    house = build(simulator.address, orders={"settle_seconds": 1.0, "resend": "settled"})
    client = house.client().connect(7)
    simulator.faults.lose_orders(1, where="answer", then_eof=True)
    place(client, 1)
    client.expect_error(2165, 1)
    await_status(client, 1, *LIVE)
    client.expect_error(1102)
    assert [order["order_id"] for order in simulator.state()["orders"]] == [1]
    assert sent_orders(simulator) == 1


def test_with_resend_settled_an_order_that_tws_never_got_is_sent_once_more_under_its_id(build, simulator):
    house = build(simulator.address, orders={"settle_seconds": 1.0, "resend": "settled"})
    client = house.client().connect(7)
    simulator.faults.lose_orders(1, where="request", then_eof=True)
    place(client, 1)
    client.expect_error(2165, 1)
    await_status(client, 1, *LIVE)
    assert [order["order_id"] for order in simulator.state()["orders"]] == [1]
    assert sent_orders(simulator) == 2
    assert house.told("order_sent_again")


def test_with_resend_settled_an_order_is_not_sent_again_without_the_one_it_waits_for(build, simulator):
    house = build(simulator.address, orders={"settle_seconds": 1.0, "resend": "settled"})
    client = house.client().connect(7)
    simulator.faults.lose_orders(2, where="request")
    place(client, 1, group=(0, 0))
    place(client, 2, group=(1, 1))
    simulator.wait_for(lambda state: state["clients"]["7"]["requests"]["placeOrder"] == 2)
    simulator.faults.eof()
    while not {(1, 2162), (2, 201)} <= set(client.errors()):
        client.next_frame()
    assert simulator.state()["orders"] == []
    assert sent_orders(simulator) == 2
    assert not house.told("order_sent_again")


def test_a_cancel_whose_client_left_while_the_gateway_was_away_leaves_when_its_id_comes_back(
    build, simulator, monkeypatch
):
    monkeypatch.setattr("backstay.session.calling.LEAVING_SECONDS", 0.1)
    house = build(simulator.address)
    client = house.client().connect(7)
    place(client, 1)
    await_status(client, 1, *LIVE)
    simulator.faults.refuse()
    simulator.faults.eof()
    client.expect_error(1100)
    client.send(4, 1, "", "", "")
    client.close()
    house.wait(lambda _: house.told("cancels_kept"))
    assert not house.told("orders_not_sent")
    simulator.faults.accept()
    house.client().connect(7)
    simulator.wait_for(lambda state: [order["status"] for order in state["orders"]] == ["Cancelled"])
    assert house.told("kept_cancels_sent")


def test_order_ids_go_on_after_a_restart_though_tws_has_forgotten(build, simulator, simulator_that_forgot):
    first = build(simulator.address)
    client = first.client().connect(7)
    for order_id in (1, 2, 3):
        place(client, order_id)
        await_status(client, order_id, *LIVE)
    first.manager.stop()
    second = build(simulator_that_forgot.address)
    client = second.client()
    client.greet()
    client.start(7)
    assert int(client.expect(9)[-1]) == 4
    client.send(8, 1, 1)
    assert int(client.expect(9)[-1]) == 4


def test_while_the_journal_cannot_be_used_orders_are_refused_and_data_flows(build, simulator, tmp_path):
    (tmp_path / "backstay.db").mkdir()
    house = build(simulator.address)
    client = house.client().connect(7)
    client.market_data(11)
    client.expect(1, 11)
    place(client, 1)
    assert "journal" in client.expect_error(201, 1).text
    client.expect(1, 11)
    assert simulator.state()["orders"] == []


def test_a_list_of_orders_that_the_client_asks_for_reaches_it_whole(build, simulator):
    house = build(simulator.address)
    client = house.client().connect(7)
    place(client, 1)
    await_status(client, 1, *LIVE)
    simulator.faults.eof()
    client.expect_error(1100)
    client.send(16, 1)
    client.send(99, 0)
    while not ((-1, 1102) in client.errors() and client.count(53) and client.count(102)):
        client.next_frame()  # in which order they come depends on how soon the gateway is back
    assert (client.count(53), client.count(102)) == (1, 1)


def test_with_resend_settled_an_id_below_one_that_tws_has_seen_is_not_sent_again(build, simulator):
    house = build(simulator.address, orders={"settle_seconds": 1.0, "resend": "settled"})
    client = house.client().connect(7)
    simulator.faults.lose_orders(1, where="request")
    place(client, 1)
    place(client, 2)
    await_status(client, 2, *LIVE)
    simulator.faults.eof()
    client.expect_error(2165, 1)
    assert "never had this order" in client.expect_error(201, 1).text
    assert [order["order_id"] for order in simulator.state()["orders"]] == [2]
    assert not house.told("order_sent_again")
