"""Orders of an application that embeds backstay: each sent once, its fate told, its id never used again."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from decimal import Decimal

import pytest
from library_house import AAPL, CHEAP, PATIENCE, until

import backstay
from backstay import events
from backstay.simulator import Simulator


def sent(simulator) -> int:
    return simulator.state()["clients"]["7"]["requests"].get("placeOrder", 0)


def test_an_order_is_placed_changed_and_cancelled(house, simulator):
    connection = house.ready()
    trade = connection.place_order(AAPL, replace(CHEAP, order_ref="mine"))
    assert trade.wait(timeout=PATIENCE).status in ("PreSubmitted", "Submitted")
    assert trade.contract.con_id == 265598
    connection.modify_order(trade, replace(CHEAP, limit_price=2.0))
    simulator.wait_for(lambda state: state["clients"]["7"]["requests"]["placeOrder"] == 2)
    assert [one.limit_price for one in connection.request("open_orders")] == [2.0]
    trade.cancel()
    assert trade.wait("Cancelled", timeout=PATIENCE).done
    assert trade.error is None
    assert connection.orders() == (trade,)
    assert sent(simulator) == 2


def test_a_fill_comes_with_its_executions_and_their_commission(house, simulator):
    connection = house.ready()
    with connection.events() as told:
        trade = connection.place_order(AAPL, CHEAP)
        trade.wait(timeout=PATIENCE)
        simulator.faults.fill_order(7, trade.order_id)
        trade.wait("Filled", timeout=PATIENCE)
        until(told, events.Commission)
        assert trade.filled == sum(fill.shares for fill in trade.fills) == Decimal(10)
        assert set(trade.commissions) == {fill.exec_id for fill in trade.fills}
        assert [one.exec_id for one in connection.request("executions")] == [fill.exec_id for fill in trade.fills]


def test_orders_leave_as_soon_as_they_are_reconciled_though_streams_are_still_being_put_back(build, simulator):
    house = build(simulator.address, pacing={"messages_per_second": 20})
    connection = house.ready()
    streams = [connection.subscribe("market_data", contract=AAPL) for _ in range(30)]
    until(streams[-1], events.TickPrice)
    trade = connection.place_order(AAPL, CHEAP).wait(timeout=PATIENCE)
    simulator.faults.refuse()
    simulator.faults.eof()
    house.wait_state("waiting")
    simulator.faults.fill_order(7, trade.order_id)
    simulator.faults.accept()
    trade.wait("Filled", timeout=PATIENCE)  # which the lists have told
    assert connection.place_order(AAPL, CHEAP).wait(timeout=PATIENCE).acknowledged


def test_a_preview_says_what_an_order_would_cost_and_places_nothing(house, simulator):
    connection = house.ready()
    preview = connection.preview(AAPL, CHEAP)
    assert preview.initial_after > preview.initial_before
    assert (preview.commission, preview.commission_currency) == (Decimal(1), "USD")
    assert connection.orders() == ()
    assert not simulator.state()["orders"]


def test_a_preview_that_tws_drops_is_asked_again_until_it_is_answered(house, simulator):
    connection = house.ready()
    simulator.faults.drop_requests(3.0)
    preview = connection.preview(AAPL, CHEAP, timeout=PATIENCE)
    assert preview.commission_currency == "USD"
    assert sent(simulator) == 2
    assert not simulator.state()["orders"]


def test_what_tws_rejects_is_raised_with_its_code(house):
    nothing = backstay.Contract(symbol="NOSUCHTHING", sec_type="STK", exchange="SMART", currency="USD")
    trade = house.ready().place_order(nothing, CHEAP)
    with pytest.raises(backstay.RemoteError) as told:
        trade.wait(timeout=PATIENCE)
    assert told.value.code == 200
    assert trade.done


def test_what_cannot_be_an_order_is_refused_at_once_and_uses_up_no_id(house):
    connection = house.ready()
    for order, word in (
        (replace(CHEAP, action="BYE"), "action"),
        (replace(CHEAP, more={"no_such": 1}), "no_such"),
        (replace(CHEAP, what_if=True), "preview"),
    ):
        with pytest.raises(backstay.MisuseError, match=word):
            connection.place_order(AAPL, order)
    assert connection.place_order(AAPL, CHEAP).order_id == 1


def test_an_order_is_refused_while_the_gateway_is_away_and_a_cancel_goes_first_when_it_is_back(house, simulator):
    connection = house.ready()
    trade = connection.place_order(AAPL, CHEAP)
    trade.wait(timeout=PATIENCE)
    simulator.faults.refuse()
    simulator.faults.eof()
    house.wait_state("waiting")
    with pytest.raises(backstay.NotReadyError) as told:
        connection.place_order(AAPL, CHEAP)
    assert told.value.code == 504
    trade.cancel()
    simulator.faults.accept()
    trade.wait("Cancelled", timeout=PATIENCE)
    assert sent(simulator) == 1


@pytest.mark.parametrize("where", ["request", "answer"])
def test_an_order_that_was_cut_off_is_in_doubt_and_then_decided(house, simulator, where):
    connection = house.ready()
    simulator.faults.lose_orders(1, where=where, then_eof=True)
    with connection.events() as told:
        trade = connection.place_order(AAPL, CHEAP)
        errors = [event for event in until(told, backstay.Resumed) if isinstance(event, events.Error)]
        assert (trade.order_id, 2165) in [(error.request_id, error.code) for error in errors]
    if where == "answer":
        assert trade.wait(timeout=PATIENCE).status in ("PreSubmitted", "Submitted")
        assert not trade.in_doubt
    else:
        with pytest.raises(backstay.NotReadyError, match="never had this order"):
            trade.wait("Filled", timeout=PATIENCE)
        assert trade.done
    assert sent(simulator) == 1


def test_a_trade_in_doubt_says_so_when_nothing_more_is_known(build, lines):
    house = build(lines.address)
    lines.welcome()
    trade = house.ready().place_order(AAPL, CHEAP)
    lines.receive(3)
    lines.sock.close()
    lines.accept()
    with pytest.raises(backstay.RequestInDoubtError) as told:
        trade.wait("Filled", timeout=0.5)
    assert told.value.request_id == trade.order_id
    assert trade.in_doubt


def test_order_ids_only_rise_over_a_restart_and_a_gateway_that_has_forgotten(build, simulator, tmp_path):
    forgetful = Simulator(server_version=200)
    first = build(simulator.address)
    ids = [first.ready().place_order(AAPL, CHEAP).wait(timeout=PATIENCE).order_id for _ in range(3)]
    first.manager.stop()
    with forgetful:
        second = build(forgetful.address)
        connection = second.ready()
        ids.append(connection.place_order(AAPL, CHEAP).wait(timeout=PATIENCE).order_id)
        assert ids == sorted(set(ids))
        assert [trade.order_id for trade in connection.orders()] == ids, "those of the earlier life among them"
        second.manager.stop()
    with sqlite3.connect(tmp_path / "backstay.db") as db:
        assert [row[0] for row in db.execute("SELECT order_id FROM intents ORDER BY order_id")] == ids


def test_threads_place_orders_and_ids_rise_on_the_wire(build, simulator):
    connection = build(simulator.address, pacing={"messages_per_second": 1000}).ready()
    trades: list[backstay.Trade] = []

    def place() -> None:
        trades.extend(connection.place_order(AAPL, CHEAP) for _ in range(10))

    threads = [threading.Thread(target=place) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for trade in trades:
        trade.wait(timeout=PATIENCE)
    orders = [order["order_id"] for order in simulator.state()["orders"]]
    assert sorted(orders) == orders == list(range(1, 41)), "each once, and in order"


def test_a_read_only_connection_sends_no_order(build, simulator):
    house = build(simulator.address, connections={"keeper": {"read_only": True}})
    trade = house.ready().place_order(AAPL, CHEAP)
    with pytest.raises(backstay.MisuseError, match="read-only"):
        trade.wait(timeout=PATIENCE)
    assert sent(simulator) == 0


def test_startapi_goes_out_when_the_application_says_so(build, simulator):
    house = build(simulator.address, connections={"keeper": {"start": "manual"}})
    connection = house.connection
    with connection.events() as told:
        assert connection.wait_connect_ack(PATIENCE)
        assert connection.state().state == "starting"
        connection.start_api()
        assert house.ready()
        simulator.faults.eof()
        assert isinstance(until(told, backstay.Resumed)[-1], backstay.Resumed), "from now on by itself"
        assert connection.server_version == 200


def test_what_became_of_orders_while_the_process_was_away_is_there_when_it_is_ready(build, simulator):
    first = build(simulator.address)
    ids = [first.ready().place_order(AAPL, CHEAP).wait(timeout=PATIENCE).order_id for _ in range(4)]
    first.manager.stop()
    simulator.faults.fill_order(7, ids[0])
    simulator.faults.cancel_order(7, ids[1])
    simulator.faults.fill_order(7, ids[2], quantity=4)
    found = {trade.order_id: trade for trade in build(simulator.address).ready().orders()}
    assert sorted(found) == ids
    assert [found[order_id].wait("Filled", timeout=PATIENCE).filled for order_id in ids[:1]] == [Decimal(10)]
    assert found[ids[1]].wait("Cancelled", timeout=PATIENCE).done
    for order_id, filled in zip(ids[2:], (4, 0), strict=True):
        trade = found[order_id].wait(timeout=PATIENCE)
        assert (trade.status, trade.filled, trade.contract.symbol) == ("Submitted", Decimal(filled), "AAPL")
    assert found[ids[0]].contract.symbol == "AAPL"
    assert [fill.shares for fill in found[ids[0]].fills] == [Decimal(10)]


def test_an_option_is_exercised_like_an_order_on_disk_first_and_tells_what_tws_says(house, simulator, tmp_path):
    connection = house.ready()
    option = replace(AAPL, sec_type="OPT", expiry="20270115", strike=190.0, right="C", multiplier="100")
    with pytest.raises(backstay.MisuseError, match=r"connection\.exercise_options"):
        connection.request("exercise_options", contract=option, action=1, quantity=1, account="DU1234567")
    with pytest.raises(backstay.MisuseError, match="place_order"):
        connection.request("placeOrder")
    trade = connection.exercise_options(option, action=1, quantity=1, account="DU1234567")
    with pytest.raises(backstay.RemoteError) as told:
        trade.wait(timeout=PATIENCE)
    assert told.value.code == 322
    house.manager.stop()
    with sqlite3.connect(tmp_path / "backstay.db") as db:
        assert db.execute("SELECT order_id FROM intents").fetchall() == [(trade.order_id,)]


def test_who_is_told_to_wait_or_got_no_answer_has_the_code_of_a_connection_that_is_not_there(house, simulator):
    connection = house.ready()
    simulator.faults.refuse()
    simulator.faults.eof()
    house.wait_state("waiting")
    with pytest.raises(backstay.NotReadyError) as away:
        connection.request("contract_details", contract=AAPL, fail_fast=True)
    with pytest.raises(backstay.NoAnswerError) as late:
        connection.request("contract_details", contract=AAPL, timeout=0.01)
    assert (away.value.code, late.value.code) == (504, 504)


def test_a_stop_tells_an_order_without_an_answer_from_one_that_was_not_sent(build, lines):
    house = build(lines.address, pacing={"messages_per_second": 2})
    lines.welcome()
    connection = house.ready()
    trades = [connection.place_order(AAPL, CHEAP) for _ in range(40)]
    lines.receive(3)
    house.manager.stop()
    with pytest.raises(backstay.RequestInDoubtError):
        trades[0].wait(timeout=0.0)
    with pytest.raises(backstay.NotReadyError, match="not sent"):
        trades[-1].wait(timeout=0.0)
    assert (trades[0].in_doubt, trades[-1].in_doubt) == (True, False)
