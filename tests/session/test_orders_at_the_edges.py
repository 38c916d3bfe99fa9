"""Orders where something is missing, late, forgotten or beyond a limit: nobody is told too much."""

from __future__ import annotations

from dataclasses import replace

import pytest
from script import ENDPOINTS, Script, lose, with_settings
from speech import CLIENT_ID, ask, error, tell
from speech_orders import Told, commission, completed_order, execution, status
from test_ordering import EMPTY, V, intent, journalled
from test_orders_under_faults import FILLED, fills_told, question, sent
from test_previews import V as PREVIEWS
from test_previews import preview

from backstay.protocol.messages import message_id
from backstay.session.causes import Cause
from backstay.session.client_words import ClientStarted
from backstay.session.intents import IntentKey, IntentState, JournalPage
from backstay.session.order_words import LookedUp, LookUp, NotWrittenDown, WriteDown, WrittenDown
from backstay.session.orders import MAX_COMMISSIONS, MAX_SENT, Journal, Orders, Readiness
from backstay.session.resend import ResendRule
from backstay.session.settings import Settings
from backstay.session.vocabulary import Count, Deliver, DialFailed, Timer

ORDER, CANCEL = ask(V, 3, 500), ask(V, 4, 500)
LIVE = replace(intent(500, IntentState.LIVE), perm_id=77)
SETTINGS = Settings(endpoints=ENDPOINTS, gateway="paper", journal=True)


def orders() -> Orders:
    return Orders.of(SETTINGS, CLIENT_ID)


def starts(script: Script) -> int:
    return sum(message_id(payload, V) == 71 for payload in script.written(script.effects))


# -- the journal -------------------------------------------------------------------------------------------------------


def test_a_socket_that_is_there_before_the_journal_was_read_waits_for_it_and_asks_once_more():
    script = Script(settings=SETTINGS).greet(cached=True)
    script.step(DialFailed(script.epoch, Cause.REFUSED, ""))
    script.step(ClientStarted(CLIENT_ID, b""))
    script.ring(Timer.RETRY, after=1.2).connect().hello()
    assert starts(script) == 0
    assert any(isinstance(effect, LookUp) for effect in script.new)
    script.step(LookedUp(script.core.orders.token, EMPTY))
    assert starts(script) == 1


def test_an_answer_to_an_earlier_question_to_the_journal_does_not_count():
    script = Script(settings=SETTINGS).greet().connect().hello().start()
    early = script.core.orders.token
    script.ring(Timer.JOURNAL, after=5.0)
    script.step(LookedUp(early, JournalPage((LIVE,))))
    assert script.core.orders.table.open_intents() == ()
    script.step(LookedUp(script.core.orders.token, JournalPage((LIVE,))))
    assert len(script.core.orders.table.open_intents()) == 1
    script.step(LookedUp(script.core.orders.token, EMPTY))
    assert len(script.core.orders.table.open_intents()) == 1, "read once"


@pytest.mark.parametrize("event", [WrittenDown(9), NotWrittenDown(9, "no room")])
def test_an_answer_that_a_former_life_was_to_have_changes_nothing(event):
    script = journalled()
    script.step(event)
    assert (script.written(), script.said()) == ([], [])


def test_a_page_that_nobody_waited_for_is_written_again_when_it_could_not_be_kept():
    script = sent(journalled())
    script.hear(status(V, Told(500, 77, 1, 0, "Submitted")))
    (page,) = [effect for effect in script.new if isinstance(effect, WriteDown)]
    script.step(NotWrittenDown(page.token, "no room"))
    assert script.said() == []
    script.ring(Timer.JOURNAL, after=5.0)
    (again,) = [effect for effect in script.new if isinstance(effect, WriteDown)]
    assert again.page == page.page


# -- what is told, and what is not -------------------------------------------------------------------------------------


def test_an_order_that_a_round_finds_as_it_was_is_not_told_again():
    script = sent(journalled())
    working = status(V, Told(500, 77, 1, 0, "Submitted"))
    script.hear(working).hear(error(V, -1, 1102))
    done = len(script.effects)
    script.hear(working, tell(V, 53)).hear(tell(V, 53)).hear(tell(V, 102), tell(V, 55, question(script)))
    assert not [effect for effect in script.effects[done:] if isinstance(effect, Deliver)]
    assert script.core.orders.table.open_intents()[0].state is IntentState.LIVE


def test_an_order_waits_for_the_round_that_is_asked_and_leaves_after_it():
    script = Script(settings=SETTINGS).greet().connect().hello().start()
    script.step(LookedUp(script.core.orders.token, JournalPage((LIVE,))))
    script.identify().hear(tell(V, 49))
    other = ask(V, 3, 501)
    asked = list(script.new)
    script.ask(other)
    assert script.written() == []
    script.new = asked
    script.reconcile()
    script.step(WrittenDown(script.core.orders.token))
    assert other in script.written(script.effects)


def test_fills_that_the_client_asked_for_itself_are_not_told_as_new():
    script = sent(journalled()).ask(ask(V, 7, 5))
    script.hear(execution(V, FILLED, "0001.01", 1, key=5), tell(V, 55, 5))
    assert fills_told(script) == []
    assert script.core.orders.table.open_intents()[0].state is IntentState.SENT


def test_a_fill_of_an_order_that_was_concluded_is_an_alarm():
    script = sent(journalled()).hear(error(V, 500, 201))
    script.hear(execution(V, FILLED, "0001.01", 1))
    assert [alarm["order_id"] for alarm in script.reports("order_alarm")] == [500]


def test_a_fill_of_before_this_client_is_not_told_and_neither_is_what_it_cost():
    script = with_settings(gateway="paper", journal=True).greet().connect().hello().start()
    script.step(LookedUp(script.core.orders.token, JournalPage((LIVE,))))
    script.identify().hear(tell(V, 49)).hear(tell(V, 53)).hear(tell(V, 53))
    script.hear(tell(V, 102), execution(V, Told(499, 76, 1, 1, "Filled"), "0001.01", 1, key=question(script)))
    script.hear(commission(V, "0001.01"))
    assert not [effect for effect in script.new if isinstance(effect, Deliver)]
    assert fills_told(script) == []


def test_a_completed_order_without_an_order_id_is_known_by_its_permanent_id():
    script = with_settings(gateway="paper", journal=True).greet().connect().hello().start()
    script.step(LookedUp(script.core.orders.token, JournalPage((LIVE,))))
    script.identify().hear(tell(V, 49)).hear(tell(V, 53)).hear(tell(V, 53))
    others = completed_order(V, Told(0, 99, 1, 1, "Filled"))
    script.hear(others, completed_order(V, FILLED), tell(V, 102), tell(V, 55, question(script)))
    assert script.core.orders.table.open_intents() == ()


@pytest.mark.parametrize(("owner_known", "code"), [(False, 2162), (True, 201)], ids=["nobody's", "another one of ours"])
def test_a_completed_order_that_is_alike_keeps_one_in_doubt_from_being_called_unknown_unless_it_is_known(
    owner_known, code
):
    script = Script(settings=replace(SETTINGS, journal=False)).ready()
    if owner_known:
        script.ask(ask(V, 3, 499)).hear(status(V, Told(499, 99, 1, 1, "Filled")))
    script.ask(ORDER)
    lose(script).again()
    script.ring(Timer.RECONCILE, after=11.0).hear(tell(V, 53)).hear(tell(V, 53))
    done = len(script.effects)
    alike = completed_order(V, Told(0, 99, 1, 1, "Filled"))
    script.hear(alike, tell(V, 102), tell(V, 55, question(script)))
    assert script.codes(script.effects[done:]) == [(500, code)]
    told = [message_id(effect.data[4:], V) for effect in script.effects[done:] if isinstance(effect, Deliver)]
    # Behind the word, which some applications take for a warning about an order that works: inactive.
    assert [number for number in told if number in (3, 4)] == ([4] if owner_known else [4, 3])


def test_the_end_of_an_earlier_question_ends_no_round():
    script = sent(journalled()).hear(error(V, -1, 1102))
    script.hear(tell(V, 53)).hear(tell(V, 53)).hear(tell(V, 102))
    early = question(script)
    script.hear(error(V, -1, 1100)).hear(error(V, -1, 1102))
    script.hear(tell(V, 53)).hear(tell(V, 53)).hear(tell(V, 102))
    assert Count("order_reconciliations") not in script.hear(tell(V, 55, early)).new
    assert Count("order_reconciliations") in script.hear(tell(V, 55, question(script))).new


def test_an_order_waits_while_the_journal_is_read_and_not_for_ever():
    script = Script(settings=SETTINGS).greet().connect().hello().identify().verify().start()
    assert script.core.orders.journal is Journal.ASKED
    assert script.core.orders.readiness(link_up=True)[0] is Readiness.SOON
    script.ask(ORDER)
    assert (script.written(), script.codes()) == ([], [])
    assert script.ring(Timer.HELD, after=10.0).codes() == [(500, 201)]


def test_an_order_that_can_not_be_read_is_refused():
    payload = ask(V, 3, 500).replace(b"500", b"abc")
    script = journalled().ask(payload)
    assert script.written() == []
    assert [code for _, code in script.codes()] == [201]


def test_a_preview_that_waits_for_its_turn_is_refused_when_the_gateway_loses_its_link():
    script = Script(version=PREVIEWS, settings=replace(SETTINGS, journal=False, messages_per_second=2)).ready()
    script.ask(*(ask(PREVIEWS, 1, key) for key in range(9)), preview(600))
    script.hear(error(PREVIEWS, -1, 1100))
    assert [key for key, _ in script.codes()] == [600]
    assert preview(600) not in script.written(script.effects)


def test_what_is_sent_again_and_does_not_leave_stays_in_doubt_without_another_word():
    script = lose(sent(journalled(resend=ResendRule(enabled=True)))).again()
    script.ring(Timer.RECONCILE, after=11.0).reconcile()
    (page,) = [effect for effect in script.new if isinstance(effect, WriteDown)]
    done = len(script.effects)
    script.hear(error(V, -1, 1100))
    script.step(WrittenDown(page.token))
    assert script.codes(script.effects[done:]) == []
    assert script.core.orders.table.open_intents()[0].state is IntentState.IN_DOUBT


def test_silence_about_an_order_of_which_a_list_has_shown_a_fill_is_told_as_no_doubt():
    script = sent(journalled()).hear(error(V, -1, 1102))
    script.hear(tell(V, 53)).hear(tell(V, 53))
    script.hear(tell(V, 102), execution(V, Told(500, 77, 2, 1, "Submitted"), "0001.01", 1, key=question(script)))
    assert script.core.orders.table.open_intents()[0].state is IntentState.LIVE
    done = len(script.effects)
    script.hear(tell(V, 49), after=1.0).ring(Timer.VERIFY, after=60.0)
    assert script.codes(script.effects[done:]) == []


# -- limits ------------------------------------------------------------------------------------------------------------


def test_where_orders_were_sent_is_remembered_up_to_a_limit_and_the_last_are():
    known = orders()
    for number in range(MAX_SENT + 2):
        known.note_endpoint(IntentKey("paper", CLIENT_ID, number), ENDPOINTS[0])
    assert len(known.sent_through) == MAX_SENT
    assert IntentKey("paper", CLIENT_ID, 1) not in known.sent_through


def test_commissions_that_were_told_are_remembered_up_to_a_limit():
    known = orders()
    assert all(known.tell_commission(str(number)) for number in range(MAX_COMMISSIONS + 1))
    assert not known.tell_commission(str(MAX_COMMISSIONS)), "told"
    assert known.tell_commission("0"), "forgotten"


def test_a_change_that_comes_into_doubt_in_a_round_that_has_seen_the_order_leaves_it_as_seen():
    script = sent(journalled()).hear(status(V, Told(500, 77, 1, 0, "Submitted")))
    script.ask(ask(V, 3, 501))
    script.step(WrittenDown(script.core.orders.token))
    script.hear(tell(V, 49), after=1.0).ring(Timer.VERIFY, after=60.0)
    assert script.codes() == [(501, 2165)]
    script.hear(tell(V, 49)).ring(Timer.RECONCILE, after=11.0)
    script.hear(status(V, Told(500, 77, 1, 0, "Submitted")))
    sent(script)
    assert script.written() == [ORDER]
    script.hear(tell(V, 49), after=1.0).ring(Timer.VERIFY, after=60.0)
    assert script.codes() == [(500, 2165)]
    script.hear(tell(V, 53)).hear(tell(V, 53)).hear(tell(V, 102), tell(V, 55, question(script)))
    assert script.core.orders.table.get(CLIENT_ID, 500).state is IntentState.LIVE
    assert (500, 2162) not in script.codes(script.effects)
