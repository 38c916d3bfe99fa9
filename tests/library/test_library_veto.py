"""The owner of a process is asked before an order is sent again, and an answer is not waited for in vain."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from library_house import AAPL, CHEAP, PATIENCE

import backstay
from backstay import veto as veto_module
from backstay.protocol.order_fields import Look, PlacedOrder
from backstay.session import resend, verdicts
from backstay.session.intents import Intent, IntentKey
from backstay.veto import MAX_QUESTIONS, Veto

SETTLED = {"orders": {"settle_seconds": 1.0, "resend": "settled"}}
INTENT = Intent(
    key=IntentKey("paper", 7, 500),
    order=PlacedOrder(order_id=500, look=Look(symbol="AAPL", action="BUY", quantity=Decimal(10))),
    payload=b"",
    version=200,
)


def lost_order(house, simulator) -> backstay.Trade:
    """One that leaves, and that TWS never gets."""
    connection = house.ready()
    simulator.faults.lose_orders(1, where="request", then_eof=True)
    return connection.place_order(AAPL, CHEAP)


def sent(simulator) -> int:
    return simulator.state()["clients"]["7"]["requests"].get("placeOrder", 0)


def never_there(trade: backstay.Trade) -> str:
    with pytest.raises(backstay.BackstayError) as raised:
        trade.wait(timeout=PATIENCE)
    return str(raised.value)


def test_a_yes_lets_the_order_out_once_more(build, simulator):
    asked: list[backstay.Resend] = []

    def may_resend(order: backstay.Resend) -> bool:
        asked.append(order)
        return True

    house = build(simulator.address, may_resend=may_resend, **SETTLED)
    trade = lost_order(house, simulator)
    assert trade.wait(timeout=PATIENCE).status in ("PreSubmitted", "Submitted")
    (order,) = asked
    assert (order.connection, order.gateway, order.client_id, order.order_id) == ("keeper", "paper", 7, trade.order_id)
    assert (order.action, order.quantity, order.symbol, order.times_sent) == ("BUY", Decimal(10), "AAPL", 1)
    assert 0.0 < order.age_seconds < PATIENCE
    assert sent(simulator) == 2


def _no(_: backstay.Resend) -> bool:
    return False


def _nothing(_: backstay.Resend) -> None:
    """As one forgets to return something."""


def _fails(_: backstay.Resend) -> bool:
    raise SystemExit("the owner goes home")


@pytest.mark.parametrize(
    ("may_resend", "reason"),
    [(_no, "the owner said no"), (_nothing, "the owner said no"), (_fails, "the owner failed: SystemExit")],
)
def test_a_no_nothing_and_an_exception_are_vetoes(build, simulator, may_resend, reason):
    house = build(simulator.address, may_resend=may_resend, **SETTLED)
    trade = lost_order(house, simulator)
    assert "never had this order" in never_there(trade)
    assert sent(simulator) == 1
    (told,) = house.told("order_resend_vetoed")
    assert told["reason"].startswith(reason)
    assert house.manager.meters()[0].order_resends_vetoed == 1


def test_an_owner_who_hangs_costs_the_resend_and_nothing_else(build, simulator, monkeypatch):
    monkeypatch.setattr(verdicts, "OWNER_SECONDS", 0.2)
    hangs, goes_on = threading.Event(), threading.Event()

    def may_resend(_: backstay.Resend) -> bool:
        hangs.set()
        return goes_on.wait(PATIENCE)

    try:
        house = build(simulator.address, may_resend=may_resend, **SETTLED)
        trade = lost_order(house, simulator)
        assert hangs.wait(PATIENCE)
        assert "never had this order" in never_there(trade)
        assert house.connection.request("current_time", timeout=PATIENCE) is not None
        assert sent(simulator) == 1
        assert house.told("order_resend_vetoed")[0]["reason"] == "no answer within 0.2 s"
    finally:
        goes_on.set()


def test_a_question_whose_time_is_over_is_not_asked_any_more(monkeypatch):
    asked: list[int] = []
    first, goes_on, done = threading.Event(), threading.Event(), threading.Event()

    def may_resend(order: backstay.Resend) -> bool:
        asked.append(order.times_sent)
        first.set()
        return goes_on.wait(PATIENCE)

    veto = Veto(may_resend)
    veto.ask("keeper", INTENT, lambda _: None)
    assert first.wait(PATIENCE)
    monkeypatch.setattr(veto_module, "OWNER_SECONDS", -1.0)
    veto.ask("keeper", INTENT, lambda _: asked.append(-1))
    monkeypatch.setattr(veto_module, "OWNER_SECONDS", resend.OWNER_SECONDS)
    veto.ask("keeper", INTENT, lambda _: done.set())
    goes_on.set()
    assert done.wait(PATIENCE)
    assert asked == [1, 1]
    veto.close()


def test_questions_that_find_no_room_are_answered_with_no_at_once():
    answers: list[str] = []
    busy, goes_on = threading.Event(), threading.Event()

    def may_resend(_: backstay.Resend) -> bool:
        busy.set()
        return goes_on.wait(PATIENCE)

    veto = Veto(may_resend)
    veto.ask("keeper", INTENT, lambda _: None)
    assert busy.wait(PATIENCE)
    for _ in range(MAX_QUESTIONS + 1):
        veto.ask("keeper", INTENT, answers.append)
    assert answers == ["too many questions wait for an answer"]
    goes_on.set()
    veto.close()


def test_one_that_was_closed_leaves_no_thread_and_begins_anew():
    veto = Veto(lambda _: True)
    veto.close()
    for _ in range(2):
        answered = threading.Event()
        veto.ask("keeper", INTENT, lambda _, done=answered: done.set())
        assert answered.wait(PATIENCE)
        veto.close()
        assert "backstay-veto" not in [thread.name for thread in threading.enumerate()]
