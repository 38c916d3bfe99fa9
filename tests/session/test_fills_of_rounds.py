"""Fills that a round finds: whom they are told, also of others' orders to the master, and the prices that follow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from script import Script, lose, with_settings
from speech import ask, error, tell
from speech_orders import Told, commission, completed_order, execution, open_order, status
from test_ordering import V
from test_orders_under_faults import fills_told, question

from backstay.protocol.messages import body_fields, message_id
from backstay.protocol.order_fields import read_execution
from backstay.session import intent_table
from backstay.session.vocabulary import Deliver, Timer

THEIRS = Told(9, 70, 10, 4, "Submitted", client_id=99)
OURS = Told(500, 77, 10, 10, "Filled")


def lists(script: Script, *fills: str) -> Script:
    """Behind a cut TWS lists these fills of theirs."""
    lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49))
    return answer(script, *fills)


def answer(script: Script, *fills: str) -> Script:
    script.hear(tell(V, 53)).hear(tell(V, 53))
    key = question(script)
    told = [execution(V, THEIRS, fill, 2, key=key) for fill in fills]
    return script.hear(*told, *(commission(V, fill) for fill in fills))


def master(**settings) -> Script:
    return with_settings(**settings).ready().hear(execution(V, THEIRS, "e.1.01", 4), commission(V, "e.1.01"))


@pytest.mark.parametrize("read_only", [False, True])
def test_the_master_is_told_fills_of_others_that_a_cut_has_hidden_each_once(read_only):
    script = lists(master(read_only=read_only), "e.1.01", "e.2.01")
    told = [effect.data for effect in script.new if isinstance(effect, Deliver)]
    assert [message_id(data[4:], V) for data in told] == [11, 59]
    assert read_execution(told[0][4:], V).exec_id == "e.2.01"
    assert fills_told(lists(script, "e.1.01", "e.2.01")) == []


def test_who_sees_how_orders_of_others_stand_is_the_master():
    script = lists(Script().ready().hear(status(V, THEIRS)), "e.2.01")
    assert len(fills_told(script)) == 1


def test_who_is_shown_orders_of_others_because_it_has_asked_is_not_the_master():
    script = Script().ready().ask(ask(V, 16)).hear(status(V, THEIRS), tell(V, 53))
    assert fills_told(lists(script, "e.2.01")) == []


def test_nobody_else_is_told_fills_of_others():
    assert fills_told(lists(Script().ready(), "e.2.01")) == []


def test_the_master_is_told_what_was_filled_while_the_gateway_had_no_link():
    script = master().hear(error(V, -1, 1100)).hear(error(V, -1, 1102))
    assert len(fills_told(answer(script, "e.2.01"))) == 1


# -- orders that were placed elsewhere ---------------------------------------------------------------------------------


ELSEWHERE = Told(300, 44, 10, 0, "Submitted")


def shown(*orders: Told, **settings) -> Script:
    """TWS shows the client orders of its own that backstay has no record of."""
    script = with_settings(**settings).ready()
    return script.hear(*(open_order(V, order) + status(V, order) for order in orders))


def ends(script: Script, completed: bytes = b"") -> list[bytes]:
    """What is told behind a cut within which it has ended, and all has settled."""
    script = lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49)).hear(tell(V, 53)).hear(tell(V, 53))
    script.hear(completed + tell(V, 102))
    script.hear(tell(V, 55, question(script)))
    found = script.new
    found += script.ring(Timer.RECONCILE, after=11.0).reconcile().new
    told = [effect.data[4:] for effect in found if isinstance(effect, Deliver)]
    return [payload for payload in told if b"1102" not in payload]


def test_an_end_in_a_cut_of_an_order_that_was_placed_elsewhere_is_told():
    filled = replace(ELSEWHERE, status="Filled", filled=10)
    told = [body_fields(payload, V) for payload in ends(shown(ELSEWHERE), completed_order(V, filled))]
    assert [fields[:3] for fields in told] == [[b"300", b"Filled", b"10"]]
    over, inactive = ends(shown(ELSEWHERE))
    assert b"2162" in over
    assert body_fields(inactive, V)[1] == b"Inactive"


def test_what_is_not_at_work_nor_of_this_client_is_not_followed():
    others = (replace(ELSEWHERE, status="Filled"), replace(ELSEWHERE, client_id=99), replace(ELSEWHERE, order_id=0))
    assert shown(*others).core.orders.table.open_intents() == ()
    assert shown(ELSEWHERE, ELSEWHERE).core.orders.table.get(7, 300).perm_id == 44


def test_old_fills_of_an_order_that_was_placed_elsewhere_are_not_told():
    script = shown(ELSEWHERE)
    long_ago = "19700101-00:00:00"
    script = lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49)).hear(tell(V, 53)).hear(tell(V, 53))
    script.hear(execution(V, ELSEWHERE, "e.1.01", 4, key=question(script), time=long_ago))
    assert fills_told(script) == []


def test_an_order_that_was_placed_elsewhere_gets_a_record_when_a_cancel_of_it_is_owed():
    table = shown(ELSEWHERE).core.orders.table
    assert table.take_page().intents == ()
    table.want_cancel(7, 300)
    assert [one.cancel_owed for one in table.take_page().intents] == [True]
    table.settle_cancel(7, 300)
    assert [one.cancel_owed for one in table.take_page().intents] == [False], "or it would be owed for ever"


def test_an_order_that_was_placed_elsewhere_gets_a_record_when_it_is_changed():
    script = shown(replace(ELSEWHERE, order_id=500)).ask(ask(V, 3, 500))
    page = script.core.orders.table.take_page()
    assert page is None or [one.changes for one in page.intents] == [1]


def test_no_more_orders_of_elsewhere_are_followed_than_leave_room_for_ours(monkeypatch):
    monkeypatch.setattr(intent_table, "MAX_ADOPTED", 1)
    assert len(shown(ELSEWHERE, replace(ELSEWHERE, order_id=301)).core.orders.table.open_intents()) == 1


# -- prices ------------------------------------------------------------------------------------------------------------


def filled_in_a_cut(order: Told, *fills: tuple[str, int, str]) -> list[bytes]:
    """The status with which the client is told of its end."""
    script = Script().ready().ask(ask(V, 3, 500)).hear(status(V, replace(order, filled=0, status="Submitted")))
    lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49)).hear(tell(V, 53)).hear(tell(V, 53))
    script.hear(completed_order(V, order), tell(V, 102))
    key = question(script)
    listed = (execution(V, order, fill, shares, key=key, price=price) for fill, shares, price in fills)
    script.hear(*listed, tell(V, 55, key))
    told = [effect.data[4:] for effect in script.new if isinstance(effect, Deliver)]
    return [body_fields(payload, V) for payload in told if message_id(payload, V) == 3][-1]


def test_an_end_that_a_cut_has_hidden_is_told_with_average_and_last_price():
    fields = filled_in_a_cut(OURS, ("e.1.01", 4, "1.0"), ("e.2.01", 6, "2.0"))
    assert (fields[1], fields[2], fields[4], fields[7]) == (b"Filled", b"10", b"1.6", b"2.0")


def test_an_end_without_a_fill_is_told_with_no_price():
    fields = filled_in_a_cut(replace(OURS, status="Cancelled", filled=0))
    assert (fields[1], fields[4], fields[7]) == (b"Cancelled", b"0.0", b"0.0")


@pytest.mark.parametrize("version", [200, 226])
def test_an_execution_carries_its_price(version):
    facts = read_execution(execution(version, OURS, "e.1.01", 4, price="1.25")[4:], version)
    assert str(facts.price) == "1.25"
    assert read_execution(execution(version, OURS, "e.1.01", 4)[4:], version).price == 0
