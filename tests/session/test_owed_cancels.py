"""A cancel is owed, by the journal too, from when the client wants it until TWS has answered or the client is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from script import Script, lose, owed, with_settings
from speech import ask, error, tell
from speech_orders import Told, completed_order, open_order, status
from test_ordering import V, intent, journalled
from test_orders_under_faults import question

from backstay.protocol.commands import cancel_order
from backstay.protocol.framing import PREFIX_BYTES, text
from backstay.session import counter as counter_module
from backstay.session.intents import IntentState, JournalPage
from backstay.session.lifecycle import Event
from backstay.session.order_words import LookedUp, WriteDown, WrittenDown
from backstay.session.settings import Settings
from backstay.session.vocabulary import Ordered, Timer

CANCEL, GLOBAL_CANCEL = ask(V, 4, 500), ask(V, 58)
OURS = cancel_order(V, 500)[PREFIX_BYTES:]
WORKING = Told(500, 77, 1, 0, "Submitted")
LIVE = replace(intent(500, IntentState.LIVE), perm_id=77)
TWO = JournalPage((LIVE, replace(intent(501, IntentState.LIVE), perm_id=78)))
OWED = JournalPage((replace(LIVE, cancel_wanted=True, cancel_owed=True),))
LIST_SECONDS = 10.0


def born_with(page: JournalPage = OWED) -> Script:
    """A life over what an earlier one has left, as far as its first question about orders."""
    script = with_settings(gateway="paper", journal=True).greet().connect().hello().start()
    script.step(LookedUp(script.core.orders.token, page))
    return script.identify().hear(tell(V, 49))


def cancels(script: Script) -> list[bytes]:
    return [payload for payload in script.written(script.effects) if payload in (CANCEL, OURS)]


# -- while the client is there -----------------------------------------------------------------------------------------


def test_a_cancel_that_waits_for_the_gateway_is_owed_although_its_client_is_there():
    assert owed(lose(journalled(TWO)).ask(CANCEL)) == {500}


def test_a_cancel_that_has_left_is_owed_until_tws_speaks_of_its_order():
    script = journalled(TWO).ask(CANCEL)
    assert cancels(script) == [CANCEL]
    assert owed(script) == {500}
    script.hear(status(V, WORKING))
    assert owed(script) == {500}, "that may have been said before"
    script.hear(status(V, replace(WORKING, status="PendingCancel")))
    assert owed(script) == set()


@pytest.mark.parametrize("code", [161, 10147, 10148, 202])
def test_a_refused_cancel_is_owed_no_longer(code):
    assert owed(journalled(TWO).ask(CANCEL).hear(error(V, 500, code))) == set()


def test_word_of_an_order_answers_no_cancel_that_still_waits():
    script = lose(journalled(TWO).ask(CANCEL))
    script.ask(ask(V, 4, 501))
    script.hear(status(V, replace(WORKING, status="PendingCancel")))
    assert owed(script) == {500, 501}


def test_a_cancel_that_was_answered_by_nothing_is_told_and_owed_no_longer():
    script = journalled(TWO).ask(CANCEL)
    for seconds in (5.0, 10.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0):
        script.now += seconds - 0.1
        script.hear(tell(V, 49)).ring(Timer.VERIFY, after=0.1)
    assert (500, 2163) in script.codes(script.effects)
    assert owed(script) == set()


def test_a_cancel_that_is_told_as_not_sent_at_the_end_is_not_sent_by_the_next_life():
    script = lose(journalled(TWO)).ask(CANCEL, GLOBAL_CANCEL)
    script.step(Ordered(Event.STOP, "backstay is stopping"))
    assert [code for _, code in script.codes()] == [2166, 2166]
    assert owed(script) == set()


def test_one_of_two_cancels_that_finds_no_room_leaves_the_other_owed(monkeypatch):
    monkeypatch.setattr(counter_module, "MAX_HELD_TRADES", 1)
    script = lose(journalled(TWO)).ask(CANCEL, CANCEL)
    assert script.codes() == [(500, 2166)]
    assert owed(script) == {500}


def test_of_cancels_that_find_no_room_and_are_owed_by_nobody_none_that_wait_are_looked_at(monkeypatch):
    script = lose(journalled(TWO))
    monkeypatch.setattr(counter_module, "MAX_HELD_TRADES", 20)
    for order_id in range(600, 620):
        script.ask(ask(V, 4, order_id))
    looked_at = []
    look = counter_module.Counter.cancelled_by
    monkeypatch.setattr(counter_module.Counter, "cancelled_by", lambda *call: looked_at.append(call) or look(*call))
    script.ask(ask(V, 4, 700))
    assert script.codes() == [(700, 2166)]
    assert len(looked_at) <= 3


def test_a_cancel_of_all_that_was_written_is_told_of_and_owed_no_longer_when_the_socket_breaks():
    script = journalled(TWO).ask(GLOBAL_CANCEL, ask(V, 4, 501))
    assert owed(script) == {500, 501}
    assert (-1, 2167) in lose(script).codes()
    assert owed(script) == {501}, "which is repeated by itself"


def test_a_cancel_of_all_that_nothing_is_heard_of_is_told_and_owed_no_longer():
    script = journalled(TWO).ask(GLOBAL_CANCEL)
    script.now += 9.9
    script.hear(tell(V, 49)).ring(Timer.VERIFY, after=0.1)
    assert (-1, 2167) in script.codes()
    assert owed(script) == set()


def test_of_a_cancel_of_all_each_order_is_owed_until_tws_speaks_of_it():
    script = journalled(TWO).ask(GLOBAL_CANCEL)
    script.hear(status(V, replace(WORKING, status="PendingCancel")))
    assert owed(script) == {501}


def test_a_cancel_given_before_the_journal_was_read_is_owed_once_it_is():
    script = Script(settings=Settings(endpoints=(("gw0", 4001),), gateway="paper", journal=True))
    script.greet().connect().hello().start().ask(CANCEL)
    script.step(LookedUp(script.core.orders.token, TWO))
    assert owed(script) == {500}


def test_a_cancel_that_waits_behind_its_order_is_owed_as_soon_as_both_leave():
    script = with_settings(gateway="paper", journal=True).greet().connect().hello().start()
    script.step(LookedUp(script.core.orders.token, JournalPage()))
    script.ask(ask(V, 3, 500), CANCEL).identify().verify()
    for page in [effect for effect in script.effects if isinstance(effect, WriteDown)]:
        script.step(WrittenDown(page.token))
    assert cancels(script) == [CANCEL]
    assert owed(script) == {500}


def test_a_cancel_of_a_client_that_has_not_said_its_id_is_told_and_owed_by_nobody():
    script = Script().greet().connect().hello().ask(CANCEL)
    script.step(Ordered(Event.STOP, "backstay is stopping"))
    assert (500, 2166) in script.codes()
    assert script.owed.orders is None


def test_a_cancel_without_an_order_id_is_a_cancel_of_none():
    script = journalled(TWO).ask(text(4, "")[PREFIX_BYTES:])
    assert script.core.orders.table.owed_cancels(7) == set()


# -- the next life -----------------------------------------------------------------------------------------------------


def test_an_owed_cancel_leaves_when_its_order_is_shown_to_be_open():
    script = born_with()
    assert cancels(script) == [], "the order may be over"
    script.hear(open_order(V, WORKING), status(V, WORKING), tell(V, 53))
    assert cancels(script) == [OURS]
    script.hear(open_order(V, WORKING), status(V, WORKING), tell(V, 53))
    script.reconcile()
    assert cancels(script) == [OURS], "once"
    assert script.reports("kept_cancels_sent") == [{"epoch": 1, "orders": 1}]


def test_the_cancel_of_an_order_that_is_over_is_not_sent():
    script = born_with().hear(tell(V, 53)).hear(tell(V, 53))
    script.hear(completed_order(V, replace(WORKING, status="Filled", filled=1)), tell(V, 102))
    script.hear(tell(V, 55, question(script)))
    assert script.core.orders.reconciliation.reconciled
    assert cancels(script) == []


def test_the_cancel_of_an_order_that_no_list_shows_is_sent_when_they_have_ended():
    assert cancels(born_with(JournalPage((replace(OWED.intents[0], state=IntentState.IN_DOUBT),))).reconcile()) == [
        OURS
    ]


def test_lists_that_do_not_come_are_not_waited_for():
    assert cancels(born_with().ring(Timer.RECONCILE, after=LIST_SECONDS)) == [OURS]


def test_an_owed_cancel_that_the_client_gives_once_more_is_sent_once():
    script = born_with().ask(CANCEL)
    script.hear(open_order(V, WORKING), status(V, WORKING), tell(V, 53))
    assert cancels(script) == [CANCEL]


def test_a_cancel_that_was_answered_in_the_last_life_is_not_sent():
    page = JournalPage((replace(LIVE, cancel_wanted=True), intent(501, IntentState.LIVE)))
    assert cancels(born_with(page).reconcile()) == []
