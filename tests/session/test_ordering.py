"""The course of orders in the pure session: written down, in doubt, asked about, told."""

from __future__ import annotations

import pytest
from script import Script, lose, with_settings
from speech import CLIENT_ID, accounts, ask, error, next_id, order_status, tell

from backstay.protocol.order_fields import PlacedOrder
from backstay.session.intents import Intent, IntentKey, IntentState, JournalPage
from backstay.session.order_words import LookedUp, LookUp, NotWrittenDown, WriteDown, WrittenDown
from backstay.session.resend import ResendRule
from backstay.session.settings import VerifySettings
from backstay.session.sieve_words import Conceal
from backstay.session.vocabulary import Deliver, Timer

V = 200
ORDER, OTHER = ask(V, 3, 500), ask(V, 3, 501)
EMPTY = JournalPage()


def journalled(page: JournalPage = EMPTY, **settings) -> Script:
    """All the way, with a journal that knows this page."""
    script = with_settings(gateway="paper", journal=True, **settings).greet().connect().hello().start()
    asked = [effect for effect in script.new if isinstance(effect, LookUp)]
    script.step(LookedUp(asked[-1].token, page))
    return script.identify().verify()


def pages(script: Script) -> list[WriteDown]:
    return [effect for effect in script.new if isinstance(effect, WriteDown)]


def intent(order_id: int, state: IntentState = IntentState.SENT) -> Intent:
    key = IntentKey("paper", CLIENT_ID, order_id)
    return Intent(key=key, order=PlacedOrder(order_id=order_id), payload=ask(V, 3, order_id), version=V, state=state)


# -- written down first ------------------------------------------------------------------------------------------------


def test_an_order_leaves_when_its_record_is_kept_and_not_before():
    script = journalled().ask(ORDER)
    assert script.written() == []
    (page,) = pages(script)
    assert [(i.key.order_id, i.state) for i in page.page.intents] == [(500, IntentState.SENT)]
    script.step(WrittenDown(page.token))
    assert script.written() == [ORDER]


def test_what_is_behind_an_order_waits_with_it_and_keeps_its_place():
    cancel = ask(V, 4, 500)
    script = journalled().ask(ORDER, cancel, OTHER)
    first, second = pages(script)
    script.step(WrittenDown(second.token))
    assert script.written() == []
    script.step(WrittenDown(first.token))
    assert script.written() == [ORDER, cancel, OTHER]


def test_an_order_that_cannot_be_written_down_is_refused_and_the_next_is_not():
    script = journalled().ask(ORDER, OTHER)
    first, second = pages(script)
    script.step(NotWrittenDown(first.token, "no room"))
    assert script.codes() == [(500, 201)]
    assert "no room" in script.said()[0].text
    script.step(WrittenDown(second.token))
    assert script.written() == [OTHER]


def test_a_socket_lost_while_the_record_is_written_leaves_the_order_unsent_and_not_in_doubt():
    script = journalled().ask(ORDER)
    (page,) = pages(script)
    assert (500, 201) in lose(script).codes()
    assert (500, 2165) not in script.codes()
    script.step(WrittenDown(page.token))
    assert script.written() == []


def test_nothing_is_started_before_the_journal_was_read_and_the_lowest_order_id_is_above_all_it_knows():
    script = with_settings(gateway="paper", journal=True).greet().connect().hello().start()
    assert script.written() == []
    token = next(effect.token for effect in script.new if isinstance(effect, LookUp))
    script.step(LookedUp(token, JournalPage((intent(41, IntentState.REJECTED),))))
    assert len(script.written()) == 1
    script.identify()
    assert script.passed == accounts(V), "and not the nextValidId of a TWS that has forgotten"
    assert Deliver(next_id(V, 42)) in script.new


def test_a_journal_that_cannot_be_read_refuses_orders_lets_data_flow_and_is_read_again():
    script = with_settings(gateway="paper", journal=True).greet().connect().hello().start()
    token = next(effect.token for effect in script.new if isinstance(effect, LookUp))
    script.step(NotWrittenDown(token, "the disk fails"))
    script.identify().verify()
    script.ask(ask(V, 1, 1), ORDER)
    assert script.written() == [ask(V, 1, 1)]
    assert script.codes() == [(500, 201)]
    script.ring(Timer.JOURNAL, after=5.0)
    token = next(effect.token for effect in script.new if isinstance(effect, LookUp))
    script.step(LookedUp(token, EMPTY))
    script.reconcile()
    script.ask(ORDER)
    assert len(pages(script)) == 1


def test_a_journal_that_does_not_answer_counts_as_broken():
    script = with_settings(gateway="paper", journal=True).greet().connect().hello().start()
    script.ring(Timer.JOURNAL, after=5.0)
    assert len(script.written()) == 1
    script.identify().verify().ask(ORDER)
    assert script.codes() == [(500, 201)]


def test_the_gateway_without_a_link_to_ib_gets_no_order():
    script = journalled().hear(error(V, -1, 1100)).ask(ORDER)
    assert script.codes() == [(500, 201)]


def test_a_second_order_under_an_id_in_doubt_is_refused_in_the_warning_band():
    script = Script().ready().ask(ORDER)
    lose(script).again()
    script.ask(ORDER)
    assert script.codes() == [(500, 2164)]


# -- asked about -------------------------------------------------------------------------------------------------------


def test_after_a_new_socket_lists_are_asked_for_one_after_the_other_and_their_ends_are_concealed():
    script = Script().ready().ask(ORDER).hear(order_status(V, 500))
    lose(script)
    script.ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49))
    asked = []
    while questions := [effect for effect in script.new if isinstance(effect, Conceal)]:
        asked += [question.end for question in questions]
        script.hear(*(tell(V, question.end, question.key) for question in questions))
        assert script.passed == b""
    assert asked == [53, 53, 102, 55]
    assert script.core.view().state == "ready"


def test_a_client_that_asks_for_the_same_list_gets_its_own_end():
    script = Script().ready().ask(ORDER).hear(order_status(V, 500))
    lose(script)
    script.ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49)).ask(ask(V, 5))
    for _ours in range(2):
        assert script.core.view().held == 1, "it is asked when ours have been answered"
        script.hear(tell(V, 53))
        assert script.passed == b""
    assert script.core.view().held == 0
    script.hear(tell(V, 53))
    assert script.passed == tell(V, 53)


def test_lists_that_do_not_come_leave_data_flowing_and_orders_refused_until_they_come():
    script = Script().ready().ask(ORDER)
    lose(script)
    script.ring(Timer.RETRY, after=1.2).connect().hello().identify().hear(tell(V, 49))
    for _ in range(9):  # three lists, each with three questions to its end
        script.ring(Timer.RECONCILE, after=5.0)
    assert script.core.view().state == "ready"
    assert script.armed(Timer.RECONCILE) == 0.0
    assert script.ask(OTHER).codes() == [(501, 201)]
    script.ring(Timer.RECONCILE)
    asked = list(script.new)
    assert script.ask(OTHER).codes() == [(501, 201)], "they have not come yet"
    script.new = asked
    script.reconcile()
    assert script.ask(OTHER).written() == [OTHER]


def test_a_settled_round_without_the_order_proves_that_tws_never_had_it():
    script = Script().ready().ask(ORDER)
    lose(script).again()
    assert (500, 201) not in script.codes()
    script.ring(Timer.RECONCILE, after=11.0).reconcile()
    assert (500, 201) in script.codes()
    assert script.written() == []


def test_with_resend_it_is_sent_once_more_as_it_was():
    script = with_settings(resend=ResendRule(enabled=True)).ready().ask(ORDER)
    lose(script).again()
    script.ring(Timer.RECONCILE, after=11.0).reconcile()
    assert script.written() == [ORDER]
    assert script.codes() == []


def test_orders_of_an_earlier_process_are_told_in_doubt_and_decided():
    script = journalled(JournalPage((intent(7),)), verify=VerifySettings())
    assert (7, 2165) in script.codes(script.effects)


@pytest.mark.parametrize("code", [1101, 1102])
def test_a_link_that_comes_back_has_the_orders_asked_about(code):
    script = Script().ready().ask(ORDER).hear(order_status(V, 500)).hear(error(V, -1, 1100))
    script.hear(error(V, -1, code))
    assert [effect.end for effect in script.new if isinstance(effect, Conceal)] == [53]


def test_tws_in_read_only_mode_refuses_the_lists_and_the_client_does_not_hear_of_it():
    script = Script().ready().ask(ORDER)
    lose(script)
    script.ring(Timer.RETRY, after=1.2).connect().hello().identify().hear(tell(V, 49))
    script.hear(error(V, -1, 321, "The API interface is currently in Read-Only mode."))
    assert script.passed == b""
