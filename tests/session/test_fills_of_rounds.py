"""Fills that a round finds: whom they are told, also of others' orders to the master, and the prices that follow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from script import Script, lose, with_settings
from speech import ask, error, tell
from speech_orders import Told, commission, completed_order, execution, status
from test_ordering import V
from test_orders_under_faults import fills_told, question

from backstay.protocol.messages import body_fields, message_id
from backstay.protocol.order_fields import read_execution
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
