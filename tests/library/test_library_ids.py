"""Order ids and request ids share the numbers of TWS's errors, whatever numbers a client has come to."""

from __future__ import annotations

import pytest
from library_house import AAPL, CHEAP, PATIENCE, until

import backstay
from backstay import events
from backstay.library_ids import FIRST_REQUEST_ID, RequestIds
from backstay.simulator import Simulator

NOTHING = backstay.Contract(symbol="NOSUCHTHING", sec_type="STK", exchange="SMART", currency="USD")


@pytest.mark.parametrize("first", [1_785_600_000, FIRST_REQUEST_ID])
def test_an_order_whose_id_is_a_time_hears_of_its_rejection_and_of_its_doubt(build, first):
    with Simulator(server_version=200, first_order_id=first) as simulator:
        connection = build(simulator.address).ready()
        assert len(connection.request("contract_details", contract=AAPL)) == 1
        rejected = connection.place_order(NOTHING, CHEAP)
        assert rejected.order_id >= first
        with pytest.raises(backstay.RemoteError):
            rejected.wait(timeout=PATIENCE)
        simulator.faults.lose_orders(1, where="request", then_eof=True)
        with connection.events() as told:
            lost = connection.place_order(AAPL, CHEAP)
            until(told, backstay.Resumed)
        with pytest.raises(backstay.NotReadyError, match="never had this order"):
            lost.wait("Filled", timeout=PATIENCE)


def test_orders_and_requests_take_no_number_of_each_other():
    ids = RequestIds()
    assert [ids.give(lambda number: number == FIRST_REQUEST_ID + 1) for _ in range(2)] == [
        FIRST_REQUEST_ID,
        FIRST_REQUEST_ID + 2,
    ]
    assert ids.has_given(FIRST_REQUEST_ID + 2)
    assert not ids.has_given(FIRST_REQUEST_ID + 3)
    assert [ids.free_from(number) for number in (5, FIRST_REQUEST_ID, 2_000_000_000)] == [
        5,
        FIRST_REQUEST_ID + 3,
        2_000_000_000,
    ]


def test_an_error_is_about_the_order_or_the_request_by_what_is_known_and_by_its_code(build, lines):
    house = build(lines.address)
    lines.welcome()
    connection = house.ready()
    trade = connection.place_order(AAPL, CHEAP)
    lines.receive(3)
    with connection.subscribe("market_data", contract=AAPL) as stream:
        lines.receive(1)
        key = stream.key
        lines.say(*open_order(key))  # TWS brings an order of an earlier life that has the number of a request
        lines.say(4, 2, key, 201, "rejected", "")
        lines.say(4, 2, key, 10167, "delayed data follows", "")
        lines.say(*open_order(-7))  # one that was placed by hand, and bound
        lines.say(4, 2, -7, 201, "rejected", "")
        lines.say(4, 2, trade.order_id, 201, "rejected", "")
        with pytest.raises(backstay.RemoteError):
            trade.wait(timeout=PATIENCE)
        assert [event.code for event in until(stream, events.Error)] == [10167]
    told = {one.order_id: one.error for one in connection.orders()}
    assert set(told) == {trade.order_id, key, -7}
    assert all(isinstance(error, backstay.RemoteError) for error in told.values())


def open_order(order_id: int) -> tuple[object, ...]:
    """An orderStatus of this client."""
    return (3, order_id, "Submitted", 0, 10, 0.0, 0, 0, 0.0, 7, "", 0.0)


def test_a_change_of_order_zero_changes_that_order(build, lines):
    house = build(lines.address, connections={"keeper": {"client_id": 0}})
    lines.welcome()
    connection = house.ready()
    with connection.events() as told:
        lines.say(3, 0, "Submitted", 0, 10, 0.0, 0, 0, 0.0, 0, "", 0.0)
        until(told, events.OrderStatus)
    (trade,) = connection.orders()
    trade.contract = AAPL
    assert connection.modify_order(trade, CHEAP) is trade
    assert lines.receive(3)[1] == b"0"
    assert connection.orders() == (trade,)


def test_another_clients_order_near_the_top_leaves_ids_for_ours(build, lines):
    house = build(lines.address)
    lines.welcome()
    connection = house.ready()
    with connection.events() as told:
        for order_id in (2**31 - 2, 3_000):
            lines.say(3, order_id, "Submitted", 0, 10, 0.0, 0, 0, 0.0, 8, "", 0.0)
            until(told, events.OrderStatus)
        first = connection.place_order(AAPL, CHEAP).order_id
        assert lines.receive(3)[1] == b"%d" % first
        assert first < connection.place_order(AAPL, CHEAP).order_id < 3_010


def test_where_the_ids_are_used_up_this_is_said(build, lines):
    house = build(lines.address)
    lines.welcome(next_id=2**31 - 1)
    with pytest.raises(backstay.MisuseError, match="used up; reset them in TWS"):
        house.ready().place_order(AAPL, CHEAP)
