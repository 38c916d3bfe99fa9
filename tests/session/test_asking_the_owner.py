"""An owner who wants to be asked before an order is sent again: a yes lets it out, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from script import Script, lose, only, with_settings
from speech import ask, error, order_status

from backstay.session.intents import IntentState
from backstay.session.order_words import AskOwner, OwnerSaid
from backstay.session.resend import OWNER_SECONDS, ResendRule
from backstay.session.vocabulary import Arm, Count, Disarm, Timer

V = 200
ORDER, OTHER, THIRD = (ask(V, 3, order_id) for order_id in (500, 501, 502))
RULE = ResendRule(enabled=True, asks_owner=True)
UNKNOWN = 201


def questions(script: Script) -> list[AskOwner]:
    return [effect for effect in script.new if isinstance(effect, AskOwner)]


def asked(*orders: bytes, rule: ResendRule = RULE) -> tuple[Script, AskOwner]:
    """TWS never had these orders; the owner has been asked about the first."""
    script = with_settings(resend=rule).ready().ask(*orders)
    lose(script).again()
    script.ring(Timer.RECONCILE, after=11.0).reconcile()
    return script, only(script.new, AskOwner)


def answer(script: Script, question: AskOwner, veto: str = "", *, after: float = 1.0) -> Script:
    script.step(OwnerSaid(question.epoch, question.token, veto), after=after)
    return script


def test_the_order_is_not_sent_again_before_the_answer_and_its_client_is_told_nothing():
    script, question = asked(ORDER)
    assert (question.intent.key.order_id, question.intent.payload) == (500, ORDER)
    assert (script.written(), script.codes()) == ([], [])
    assert script.armed(Timer.OWNER) == OWNER_SECONDS


def test_a_yes_sends_it_once_more_as_it_was():
    script, question = asked(ORDER)
    answer(script, question)
    assert (script.written(), script.codes()) == ([ORDER], [])
    assert Disarm(Timer.OWNER) in script.new
    assert script.reports("order_sent_again") == [{"epoch": 2, "order_id": 500}]
    assert not script.reports("order_resend_vetoed")


def test_a_veto_ends_it_as_unknown_and_is_counted_and_reported():
    script, question = asked(ORDER)
    answer(script, question, "too late for that")
    assert (script.written(), script.codes()) == ([], [(500, UNKNOWN)])
    assert Count("order_resends_vetoed") in script.new
    assert script.reports("order_resend_vetoed") == [{"epoch": 2, "order_id": 500, "reason": "too late for that"}]


def test_silence_is_a_veto():
    script, question = asked(ORDER)
    script.ring(Timer.OWNER, after=OWNER_SECONDS)
    assert (script.written(), script.codes()) == ([], [(500, UNKNOWN)])
    (report,) = script.reports("order_resend_vetoed")
    assert report["reason"] == "no answer within 10 s"
    assert answer(script, question).written() == [], "an answer that comes too late is none"


def test_the_owner_is_asked_about_one_order_after_the_other():
    script, first = asked(ORDER, OTHER, THIRD)
    answer(script, first)
    assert script.written() == [ORDER]
    second = only(script.new, AskOwner)
    script.ring(Timer.OWNER, after=OWNER_SECONDS)
    assert script.codes() == [(501, UNKNOWN)]
    third = only(script.new, AskOwner)
    assert [question.intent.key.order_id for question in (first, second, third)] == [500, 501, 502]
    assert answer(script, third).written() == [THIRD]
    assert questions(script) == []


def test_an_answer_to_another_question_counts_for_nothing():
    script, question = asked(ORDER)
    for token in (question.token - 1, question.token + 1):
        assert answer(script, replace(question, token=token)).written() == []
    assert answer(script, question).written() == [ORDER]


def test_an_order_that_grew_too_old_while_the_owner_thought_is_not_sent():
    script, question = asked(ORDER, rule=replace(RULE, ttl_seconds=20.0))
    answer(script, question, after=9.0)
    assert (script.written(), script.codes()) == ([], [(500, UNKNOWN)])
    assert not script.reports("order_resend_vetoed"), "the owner said yes"


def test_orders_that_grew_too_old_behind_another_are_not_asked_about():
    script, question = asked(ORDER, OTHER, rule=replace(RULE, ttl_seconds=20.0))
    answer(script, question, after=9.0)
    assert questions(script) == []
    assert script.codes() == [(500, UNKNOWN), (501, UNKNOWN)]


def test_an_order_that_its_client_cancels_meanwhile_is_not_sent():
    script, question = asked(ORDER)
    script.ask(ask(V, 4, 500))
    answer(script, question)
    assert ORDER not in script.written()
    assert (500, UNKNOWN) in script.codes()


@pytest.mark.parametrize("veto", ["", "no"])
def test_what_tws_says_of_the_order_meanwhile_counts_more_than_the_answer(veto):
    script, question = asked(ORDER)
    script.hear(order_status(V, 500))
    answer(script, question, veto)
    assert (script.written(), script.codes()) == ([], [])
    assert script.core.orders.table.get(7, 500).state is IntentState.LIVE


def test_with_a_new_socket_all_is_proved_and_asked_anew():
    script, question = asked(ORDER)
    lose(script)
    assert answer(script, question).written() == [], "of an earlier socket"
    script.again()
    script.ring(Timer.RECONCILE, after=11.0).reconcile()
    again = only(script.new, AskOwner)
    assert again.epoch > question.epoch
    assert answer(script, again).written() == [ORDER]


def test_when_the_link_to_ib_breaks_the_question_is_asked_anew_behind_it():
    script, question = asked(ORDER)
    script.hear(error(V, -1, 1100))
    assert Disarm(Timer.OWNER) in script.new
    answer(script, question)
    assert (script.written(), script.codes()) == ([], [])
    script.hear(error(V, -1, 1102)).reconcile()
    script.ring(Timer.RECONCILE, after=11.0).reconcile()
    assert answer(script, only(script.new, AskOwner)).written() == [ORDER]


def test_a_round_on_account_of_another_order_asks_no_second_question():
    script, question = asked(ORDER)
    script.core.orders.reconciliation.due = script.now
    script.ring(Timer.RECONCILE).reconcile()
    assert questions(script) == []
    assert answer(script, question).written() == [ORDER]


def test_a_veto_during_a_round_is_told_when_it_is_over():
    script, question = asked(ORDER)
    script.core.orders.reconciliation.due = script.now
    script.ring(Timer.RECONCILE)
    lists = list(script.new)
    answer(script, question, "no")
    assert script.codes() == []
    script.new = lists
    script.reconcile()
    assert (500, UNKNOWN) in script.codes()


def test_an_owner_is_not_asked_where_nothing_is_sent_again():
    script = with_settings(resend=ResendRule(asks_owner=True)).ready().ask(ORDER)
    lose(script).again()
    script.ring(Timer.RECONCILE, after=11.0).reconcile()
    assert questions(script) == []
    assert (500, UNKNOWN) in script.codes()


def test_words_and_bells_about_no_question_change_nothing():
    script = with_settings(resend=RULE)
    script.step(OwnerSaid(0, 1))
    script.ring(Timer.OWNER)
    assert script.new == []
    script.ready().ring(Timer.OWNER)
    assert not [effect for effect in script.new if isinstance(effect, Arm | Count)]
