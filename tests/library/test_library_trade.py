"""How an order stands for the application: what waiting for a status means, and when a change is no change any more."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from decimal import Decimal

import pytest
from library_house import AAPL, CHEAP, PATIENCE

import backstay
from backstay import aio, events
from backstay.session.notices import Notice
from backstay.simulator import Simulator
from backstay.trade import Trade

MARKET = backstay.Order(action="BUY", quantity=10, order_type="MKT")


@pytest.fixture
def trade() -> Trade:
    return Trade(5, threading.Condition(), client_id=7)


def status(word: str, filled: int = 0) -> events.OrderStatus:
    return events.OrderStatus(5, word, Decimal(filled), Decimal(10 - filled), 1.0, 9, 0, 1.0, 7, "")


def error(code: int, text: str = "in TWS's words") -> events.Error:
    return events.Error(5, code, text)


def opened(word: str = "Submitted") -> events.OpenOrder:
    return events.OpenOrder(5, AAPL, "BUY", Decimal(10), "LMT", 1.0, None, "DAY", "DU1", "", 7, 9, word)


ENDS = {
    "cancelled": ([status("Cancelled"), error(202, "Order Canceled - reason:too far")], "Cancelled", 202, "too far"),
    "filled": ([status("Filled", 10)], "Filled", 104, "over, Filled"),
    "inactive, as backstay found out": (
        [error(Notice.ORDER_OVER.value.code, Notice.ORDER_OVER.text()), status("Inactive")],
        *("Inactive", 2162, "works no longer"),
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_status_that_an_order_will_not_reach_any_more_raises_how_it_ended(trade, end):
    heard, word, code, why = ENDS[end]
    for event in (status("Submitted"), *heard):
        trade.hear(event)
    for act in (lambda: trade.wait("ApiCancelled", timeout=0.0), trade.check_lives):
        with pytest.raises(backstay.OrderOverError, match=why) as told:
            act()
        assert (told.value.order_id, told.value.status, told.value.code) == (5, word, code)
    assert trade.wait(timeout=0.0) is trade, "TWS has spoken of it"
    assert trade.wait(word, timeout=0.0).done


def test_an_order_has_reached_what_it_has_gone_beyond(trade):
    trade.hear(status("Submitted"))
    for reached in ("ApiPending", "PendingSubmit", "PreSubmitted", "Submitted"):
        trade.wait(reached, timeout=0.0)
    for not_yet in ("Filled", "Cancelled", "NoSuchStatus"):
        with pytest.raises(backstay.NoAnswerError, match="Submitted after 0 s"):
            trade.wait(not_yet, timeout=0.0)
    trade.hear(status("ApiCancelled"))
    assert trade.wait("Cancelled", timeout=0.0).done
    with pytest.raises(backstay.OrderOverError):
        trade.wait("Submitted", timeout=0.0)


def test_an_order_that_tws_refused_after_taking_it_is_over_and_one_that_only_waits_is_not(trade):
    trade.hear(opened("Inactive"))
    assert not trade.done
    trade.check_lives()  # it may wait for just this change
    with pytest.raises(backstay.NoAnswerError, match="Inactive"):
        trade.wait("Submitted", timeout=0.0)
    trade.hear(error(201, "no margin"))
    assert trade.done
    for act in (lambda: trade.wait("Submitted", timeout=0.0), trade.check_lives):
        with pytest.raises(backstay.RemoteError, match="no margin"):
            act()


def test_what_tws_repeats_of_an_order_that_has_ended_changes_nothing(trade):
    for event in (status("Filled", 10), status("Submitted"), opened("PreSubmitted"), error(10148)):
        trade.hear(event)
    assert (trade.status, trade.filled, trade.error) == ("Filled", Decimal(10), None)


def test_an_order_that_was_held_to_be_over_and_works_is_taken_up_again(trade):
    trade.hear(error(201))
    assert trade.done
    trade.hear(status("Submitted"))
    assert not trade.done
    trade.check_lives()
    assert trade.wait("Submitted", timeout=0.0).error is None


def test_without_a_status_the_answer_to_a_change_is_waited_for(trade):
    trade.changing(AAPL, CHEAP)
    trade.hear(opened())
    trade.wait(timeout=0.0)
    trade.changing(AAPL, replace(CHEAP, limit_price=2.0))
    with pytest.raises(backstay.NoAnswerError):
        trade.wait(timeout=0.0)
    assert trade.wait("Submitted", timeout=0.0), "it works meanwhile"
    trade.hear(error(105))
    with pytest.raises(backstay.RemoteError, match="105"):
        trade.wait(timeout=0.0)
    assert not trade.wait("Submitted", timeout=0.0).done, "and goes on, as it was"
    trade.changing(AAPL, replace(CHEAP, limit_price=3.0))
    assert trade.error is None
    trade.hear(events.Error(5, Notice.CHANGE_NOT_SENT.value.code, Notice.CHANGE_NOT_SENT.text("the journal is full")))
    with pytest.raises(backstay.NotReadyError, match="the journal is full"):
        trade.wait(timeout=0.0)


def test_a_change_of_an_order_that_is_over_is_refused_and_never_sent(house, simulator):
    connection = house.ready()
    filled = connection.place_order(AAPL, MARKET).wait("Submitted", timeout=PATIENCE).wait("Filled", timeout=PATIENCE)
    cancelled = connection.place_order(AAPL, CHEAP).wait(timeout=PATIENCE)
    cancelled.cancel()
    cancelled.wait("Cancelled", timeout=PATIENCE)
    simulator.faults.reject_orders(1)
    refused = connection.place_order(AAPL, CHEAP)
    with pytest.raises(backstay.RemoteError):
        refused.wait(timeout=PATIENCE)
    simulator.faults.lose_orders(1, then_eof=True)
    unknown = connection.place_order(AAPL, CHEAP)
    with pytest.raises(backstay.NotReadyError):
        unknown.wait(timeout=PATIENCE)
    house.ready()
    simulator.faults.lose_orders(1, where="answer", then_eof=True)
    simulator.faults.refuse()
    with connection.events() as told:
        in_doubt = connection.place_order(AAPL, CHEAP)
        while not in_doubt.in_doubt:
            told.next_event(PATIENCE)
    blame = {
        filled: backstay.OrderOverError,
        cancelled: backstay.OrderOverError,
        refused: backstay.RemoteError,
        unknown: backstay.NotReadyError,
        in_doubt: backstay.RequestInDoubtError,
    }
    for trade, kind in blame.items():
        before = trade.order
        with pytest.raises(kind):
            connection.modify_order(trade, replace(CHEAP, limit_price=2.0))
        assert trade.order is before
    simulator.faults.accept()
    in_doubt.wait("Submitted", timeout=PATIENCE)
    assert all(order["placements"] == 1 for order in simulator.state()["orders"])
    assert sum(order["status"] == "Submitted" for order in simulator.state()["orders"]) == 1


def test_a_change_that_tws_refuses_is_raised_and_the_order_stands(house):
    connection = house.ready()
    trade = connection.place_order(AAPL, CHEAP).wait(timeout=PATIENCE)
    connection.modify_order(trade, replace(CHEAP, action="SELL"))
    with pytest.raises(backstay.RemoteError) as told:
        trade.wait(timeout=PATIENCE)
    assert told.value.code == 105
    assert not connection.modify_order(trade, replace(CHEAP, limit_price=2.0)).wait(timeout=PATIENCE).done
    assert [(one.action, one.limit_price) for one in connection.request("open_orders")] == [("BUY", 2.0)]


def test_a_bracket_stands_and_its_legs_follow_their_parent(house, simulator):
    connection = house.ready()
    parent = connection.place_order(AAPL, replace(CHEAP, transmit=False))
    leg = replace(CHEAP, action="SELL", limit_price=999.0, parent_id=parent.order_id)
    profit = connection.place_order(AAPL, replace(leg, transmit=False))
    loss = connection.place_order(AAPL, replace(leg, order_type="STP", limit_price=None, aux_price=0.5))
    parent.wait("Submitted", timeout=PATIENCE)
    simulator.faults.fill_order(7, parent.order_id)
    for trade in (profit, loss):
        trade.wait("PreSubmitted", timeout=PATIENCE).wait("Submitted", timeout=PATIENCE)
    simulator.faults.fill_order(7, profit.order_id)
    profit.wait("Filled", timeout=PATIENCE)
    with pytest.raises(backstay.OrderOverError, match="Cancelled"):
        loss.wait("Filled", timeout=PATIENCE)


def test_an_order_that_works_when_the_manager_stops_is_not_called_done_and_is_heard_of_again(house, simulator):
    connection = house.ready()
    trade = connection.place_order(AAPL, CHEAP).wait(timeout=PATIENCE)
    house.manager.stop()
    with pytest.raises(backstay.ConnectionLostError):
        trade.wait("Filled", timeout=PATIENCE)
    with pytest.raises(backstay.NotReadyError, match="cancel was not sent"):
        trade.cancel()
    assert (trade.done, trade.unheard) == (False, True)
    house.manager.start()
    house.ready()
    simulator.faults.fill_order(7, trade.order_id)
    assert trade.wait("Filled", timeout=PATIENCE).error is None
    assert not trade.unheard


def test_an_order_of_another_connection_is_neither_changed_nor_cancelled(build, simulator, tmp_path):
    with Simulator(server_version=200) as elsewhere:
        here = build(simulator.address).ready()
        there = build(elsewhere.address, journal={"path": str(tmp_path / "there.db")}).ready()
        mine, theirs = (one.place_order(AAPL, CHEAP).wait(timeout=PATIENCE) for one in (here, there))
        assert mine.order_id == theirs.order_id
        with pytest.raises(backstay.MisuseError, match="not of this connection"):
            here.modify_order(theirs, replace(CHEAP, limit_price=2.0))
        with pytest.raises(backstay.MisuseError, match="not of this connection"):
            here.cancel_order(theirs)
        with pytest.raises(backstay.MisuseError, match="whole number"):
            here.cancel_order("5")
        assert len(here.request("open_orders")) == 1


def test_a_cancel_of_an_order_that_never_was_makes_none(house):
    connection = house.ready()
    with connection.events() as told:
        connection.cancel_order(4711)
        while (event := told.next_event(PATIENCE)).request_id != 4711:
            pass
    assert event.code == 10147
    assert connection.orders() == ()


def test_what_waits_is_refused_in_the_connections_own_thread(house):
    connection = house.ready()
    trade = connection.place_order(AAPL, CHEAP).wait(timeout=PATIENCE)
    told: list[str] = []
    tried = threading.Event()

    def wait_for_everything(_: object) -> None:
        for wait in (
            lambda: connection.request("current_time"),
            lambda: connection.preview(AAPL, CHEAP),
            lambda: connection.wait_ready(PATIENCE),
            lambda: connection.wait_connect_ack(PATIENCE),
            lambda: trade.wait("Filled", timeout=PATIENCE),
        ):
            try:
                wait()
            except backstay.MisuseError as refusal:
                told.append(str(refusal).partition(":")[0])
        tried.set()

    with connection.subscribe("market_data", contract=AAPL, callback=wait_for_everything, inline=True):
        assert tried.wait(PATIENCE)
    assert told[:5] == ["current_time", "preview", "wait_ready", "wait_connect_ack", "wait"]


def test_asyncio_waits_for_trades_by_the_same_rules_and_takes_no_callbacks(house):
    connection = aio.Connection(house.ready())

    async def scene() -> None:
        trade = connection.place_order(AAPL, CHEAP)
        await connection.wait_trade(trade, "Submitted", timeout=PATIENCE)
        with pytest.raises(backstay.NoAnswerError, match=r"Submitted after 0\.01 s"):
            await connection.wait_trade(trade, "Filled", timeout=0.01)
        waiting = asyncio.create_task(connection.wait_trade(trade, "Filled", timeout=PATIENCE))
        await asyncio.sleep(0)
        connection.cancel_order(trade)
        with pytest.raises(backstay.OrderOverError, match="Cancelled"):
            await waiting
        with pytest.raises(backstay.OrderOverError):
            connection.modify_order(trade, CHEAP)
        with pytest.raises(backstay.MisuseError, match="iterated"):
            connection.subscribe("market_data", contract=AAPL, callback=print)

    assert (connection.is_ready, connection.server_version) == (True, 200)
    asyncio.run(scene())
    assert not connection.plain._desk.keyed
