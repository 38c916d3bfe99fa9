"""How orders of others end behind a cut, as a master client is told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from script import Script, lose, with_settings
from speech import ask, error, tell
from speech_orders import Told, completed_order, execution, open_order, status
from test_orders_under_faults import question

from backstay.protocol.messages import body_fields, message_id
from backstay.protocol.order_fields import Look, OrderFacts
from backstay.session import others
from backstay.session.others import Others
from backstay.session.vocabulary import Arm, Deliver, Timer

V = 200
THEIRS = Told(9, 70, 10, 4, "Submitted", client_id=99)
GONE = replace(THEIRS, status="Cancelled")


def shown(*, settle_seconds: float = 1.0, **settings) -> Script:
    """The master has seen that an order of theirs works."""
    script = with_settings(master_client_id=7, settle_seconds=settle_seconds, **settings).ready()
    return script.hear(open_order(V, THEIRS), status(V, THEIRS))


def lists(script: Script, *, opened: tuple[bytes, ...] = (), completed: tuple[bytes, ...] = (), fills=()) -> Script:
    """Behind a cut TWS lists these."""
    lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49)).hear(tell(V, 53)).hear(*opened, tell(V, 53))
    return answers(script, completed=completed, fills=fills)


def answers(script: Script, *, completed: tuple[bytes, ...] = (), fills=()) -> Script:
    key = question(script)
    script.hear(*completed, tell(V, 102))
    return script.hear(*(execution(V, THEIRS, fill, shares, key=key) for fill, shares in fills), tell(V, 55, key))


def ends(script: Script) -> list[list[str]]:
    """Order id, status, filled and remaining of each status that backstay has written, and its client id."""
    told = [effect.data[4:] for effect in script.new if isinstance(effect, Deliver)]
    rows = [[one.decode() for one in body_fields(data, V)] for data in told if message_id(data, V) == 3]
    return [[*row[:4], row[8]] for row in rows]


def test_an_order_of_others_that_was_cancelled_behind_a_cut_is_told_once():
    script = lists(shown(), completed=(completed_order(V, GONE),))
    assert ends(script) == [["9", "Cancelled", "0", "10", "99"]]
    assert ends(lists(script, completed=(completed_order(V, GONE),))) == []


def test_one_that_was_filled_is_told_filled_with_its_price():
    script = lists(shown(), fills=(("e.1.01", 10),))
    assert [row[1:3] for row in ends(script)] == [["Filled", "10"]]
    script = lists(shown(), completed=(completed_order(V, replace(THEIRS, status="Filled")),), fills=(("e.1.01", 4),))
    assert ends(script) == [["9", "Filled", "10", "0", "99"]]


def test_legs_of_a_combination_do_not_make_it_filled():
    script = shown()
    working = script.core.orders.others.working
    working[99, 9] = replace(working[99, 9], look=replace(working[99, 9].look, sec_type="BAG"))
    assert ends(lists(script, fills=(("e.1.01", 5), ("e.2.01", 5)))) == []


def test_one_that_works_on_is_passed_on_and_told_no_end():
    script = lists(shown(), opened=(open_order(V, THEIRS), status(V, THEIRS)))
    assert ends(script) == []
    assert script.core.orders.others.working


def test_one_that_stands_in_no_list_is_over_once_the_lists_have_settled():
    script = lists(shown())
    assert ends(script) == []
    due = script.core.orders.reconciliation.due
    assert due is not None
    script.ring(Timer.RECONCILE, after=due - script.now)
    script.hear(tell(V, 53)).hear(tell(V, 53))
    assert ends(answers(script)) == [["9", "Inactive", "0", "10", "99"]]


def test_where_open_orders_were_not_listed_no_end_is_concluded():
    script = shown()
    lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49)).hear(error(V, -1, 321))
    answers(script, completed=(completed_order(V, GONE),))
    assert ends(script) == []
    assert script.core.orders.others.working


def test_one_that_ended_while_the_gateway_had_no_link_is_told_too():
    script = shown().hear(error(V, -1, 1100)).hear(error(V, -1, 1102))
    script.hear(tell(V, 53)).hear(tell(V, 53))
    assert ends(answers(script, completed=(completed_order(V, GONE),))) == [["9", "Cancelled", "0", "10", "99"]]


def test_an_end_that_the_master_has_seen_is_not_told_again():
    script = shown().hear(status(V, GONE))
    assert ends(lists(script, completed=(completed_order(V, GONE),))) == []


def test_an_end_that_was_seen_and_not_passed_on_is_told_when_the_round_is_over():
    script = shown()
    script.core.orders.reconciliation.lost()
    known = script.core.orders.others
    known.hear(OrderFacts(message_id=3, order_id=9, client_id=99, perm_id=70, status="Cancelled"), shown=False)
    assert [owner for owner, _ in known.unlisted()] == [(99, 9)]


def test_who_is_not_the_master_is_told_nothing_of_others():
    script = Script().ready().hear(open_order(V, THEIRS))
    assert not script.core.orders.others.working
    assert ends(lists(script, completed=(completed_order(V, GONE),))) == []


def test_nothing_is_asked_once_more_for_orders_whose_end_is_known():
    script = lists(shown(settle_seconds=10.0), completed=(completed_order(V, GONE),))
    assert script.core.orders.reconciliation.due is None
    assert not [one for one in script.new if isinstance(one, Arm) and one.timer is Timer.RECONCILE]


def test_orders_of_others_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(others, "MAX_OTHERS", 3)
    known = Others()
    for number in range(1, 6):
        look = Look(quantity=Decimal(10))
        known.hear(OrderFacts(message_id=5, order_id=number, client_id=9, status="Submitted", look=look), shown=True)
        known.hear(OrderFacts(message_id=101, order_id=None, client_id=None, perm_id=number), shown=False)
    assert list(known.working) == [(9, 3), (9, 4), (9, 5)]
    assert known.listed == {(9, 3), (9, 4), (9, 5)}
    assert len(known.completed) == 3
    known.hear(OrderFacts(message_id=3, order_id=5, client_id=9, perm_id=77, status="Submitted"), shown=False)
    assert (known.working[9, 5].perm_id, known.working[9, 5].look.quantity) == (77, 10)
    known.hear(OrderFacts(message_id=3, order_id=8, client_id=9, status="Submitted"), shown=False)
    known.hear(OrderFacts(message_id=3, order_id=8, client_id=9, status="Cancelled"), shown=False)
    assert (9, 8) not in known.working


def test_a_client_that_asks_for_everybodys_orders_is_no_master_by_that():
    rows = open_order(V, THEIRS), status(V, THEIRS)
    script = Script().ready().ask(ask(V, 16)).hear(*rows, tell(V, 53))
    assert script.passed == b"".join((*rows, tell(V, 53))), "it gets its answer"
    lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49)).hear(tell(V, 53)).hear(*rows, tell(V, 53))
    assert script.passed == b"", "and nothing of what backstay asks"
    answers(script, fills=(("e.1.01", 4),))
    assert not script.core.orders.sees_others
    assert not [effect for effect in script.new if isinstance(effect, Deliver) and b"e.1.01" in effect.data]
