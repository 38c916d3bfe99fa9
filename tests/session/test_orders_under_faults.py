"""Orders in the courses of events that the schedules have found: each was told wrongly, or not at all, once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from script import ENDPOINTS, Script, lose, size
from speech import CLIENT_ID, ask, error, next_id, tell
from speech_orders import Told, completed_order, execution, status
from test_ordering import V, intent, journalled, pages

from backstay.protocol.messages import message_id
from backstay.session.causes import Cause
from backstay.session.client_words import ClientStarted
from backstay.session.core import Owed
from backstay.session.intents import IntentState, JournalPage, Outcome
from backstay.session.ledger import Ledger
from backstay.session.lifecycle import Event
from backstay.session.order_words import LookedUp, LookUp, NotWrittenDown, WrittenDown
from backstay.session.reasons import Reason
from backstay.session.settings import Settings
from backstay.session.sieve_words import Conceal
from backstay.session.vocabulary import Deliver, DialFailed, Ordered, Timer
from backstay.session.watched import EXECUTION_END

ORDER = ask(V, 3, 500)
FILLED = Told(500, 77, 1, 1, "Filled")


def fills_told(script: Script) -> list[bytes]:
    return [e.data for e in script.new if isinstance(e, Deliver) and message_id(e.data[4:], script.version) == 11]


def question(script: Script) -> int:
    """The request id under which executions have been asked for last."""
    keys = [effect.key for effect in script.effects if isinstance(effect, Conceal) and effect.end == EXECUTION_END]
    assert keys
    return keys[-1]


def sent(script: Script) -> Script:
    """Order 500 is written."""
    script.ask(ORDER)
    return script.step(WrittenDown(script.core.orders.token)) and script


# -- leaving -----------------------------------------------------------------------------------------------------------


def test_an_order_that_waits_for_its_record_is_refused_when_the_gateway_loses_its_link():
    script = journalled().ask(ORDER)
    token = script.core.orders.token
    script.hear(error(V, -1, 1100))
    assert script.codes() == [(500, 201)]
    script.step(WrittenDown(token))
    assert script.written() == []


def test_an_order_that_waits_for_its_turn_is_refused_when_the_gateway_loses_its_link_and_cancels_are_not():
    script = journalled(messages_per_second=2)
    cancel = ask(V, 4, 501)
    script.ask(*(ask(V, 1, key) for key in range(9)), ORDER, cancel)
    script.step(WrittenDown(script.core.orders.token))
    assert ORDER not in script.written(script.effects)
    script.hear(error(V, -1, 1100))
    assert (500, 201) in script.codes()
    script.ring(Timer.RELEASE, after=1.0)
    assert script.written()[0] == cancel


# -- what is told of an end --------------------------------------------------------------------------------------------


def test_the_first_round_of_a_life_tells_fills_of_orders_that_the_journal_had_as_open():
    live = replace(intent(500, IntentState.LIVE), perm_id=77)
    script = journalled_until_probe(JournalPage((live,)))
    script.hear(tell(V, 49)).hear(tell(V, 53)).hear(tell(V, 53))
    script.hear(completed_order(V, Told(500, 77, 1, 1, "Filled")), tell(V, 102))
    script.hear(execution(V, FILLED, "e.1.01", 1, key=question(script)))
    assert len(fills_told(script)) == 1
    script.hear(tell(V, 55, question(script)))
    assert any(isinstance(e, Deliver) and message_id(e.data[4:], V) == 3 for e in script.new)


def journalled_until_probe(page: JournalPage) -> Script:
    script = Script(settings=Settings(endpoints=ENDPOINTS, gateway="paper", journal=True))
    script.greet().connect().hello().start()
    script.step(LookedUp(script.core.orders.token, page))
    return script.identify()


def test_an_end_that_the_client_finds_in_a_list_without_order_ids_is_told_with_its_id():
    script = sent(journalled())
    script.hear(status(V, Told(500, 77, 1, 0, "Submitted")))
    script.ask(ask(V, 99)).hear(completed_order(V, FILLED))
    told = [e.data for e in script.new if isinstance(e, Deliver)]
    assert [message_id(data[4:], V) for data in told] == [3]


# -- the journal -------------------------------------------------------------------------------------------------------


def without_journal() -> Script:
    """As far as startApi, with a journal that can not be read."""
    script = Script(settings=Settings(endpoints=ENDPOINTS, gateway="paper", journal=True))
    script.greet().connect().hello().start()
    script.step(NotWrittenDown(script.core.orders.token, "no room"))
    return script


def starts(script: Script) -> int:
    return sum(message_id(payload, V) == 71 for payload in script.written(script.effects))


def test_tws_is_started_once_however_often_the_journal_is_asked():
    script = without_journal()
    assert starts(script) == 1
    script.ring(Timer.JOURNAL, after=5.0)
    script.step(NotWrittenDown(script.core.orders.token, "no room"))
    script.ring(Timer.JOURNAL, after=5.0)
    script.step(LookedUp(script.core.orders.token, JournalPage()))
    assert starts(script) == 1


def test_a_journal_that_is_read_late_still_keeps_ids_that_were_used_from_being_offered_again():
    script = without_journal().identify().verify()
    script.ring(Timer.JOURNAL, after=5.0)
    script.step(LookedUp(script.core.orders.token, JournalPage((intent(5_000, IntentState.LIVE),))))
    script.ask(ask(V, 8)).hear(next_id(V))
    assert script.passed == b""
    assert next_id(V, 5_001) in [effect.data for effect in script.new if isinstance(effect, Deliver)]


@pytest.mark.parametrize("event", [Event.START, Event.RESUME])
def test_a_successor_asks_for_a_journal_that_could_not_be_read_also_if_it_was_born_paused(event: Event):
    first = without_journal().identify().verify()
    heir = Script(owed=first.owed, settings=first.core.settings)
    heir.step(Ordered(event, "begun"))
    assert any(isinstance(effect, LookUp) for effect in heir.new)


def test_fills_that_were_listed_while_the_journal_could_not_be_read_are_told_when_it_can():
    script = without_journal().identify().verify()
    script.hear(error(V, -1, 1102)).hear(tell(V, 53)).hear(tell(V, 53))
    script.hear(tell(V, 102), execution(V, FILLED, "e.1.01", 1, key=question(script)))
    assert fills_told(script) == []
    script.hear(tell(V, 55, question(script)))
    script.step(LookedUp(script.core.orders.token, JournalPage((intent(500, IntentState.LIVE),))))
    script.hear(tell(V, 53)).hear(tell(V, 53))
    script.hear(tell(V, 102), execution(V, FILLED, "e.1.01", 1, key=question(script)))
    assert len(fills_told(script)) == 1


def with_a_full_disk() -> Script:
    """Order 500 works on, and that could not be written down."""
    script = sent(journalled()).hear(status(V, Told(500, 77, 1, 0, "Submitted")))
    (page,) = pages(script)
    return script.step(NotWrittenDown(page.token, "no room")) and script


def test_a_disk_that_is_full_is_tried_again_after_a_while_and_not_at_once():
    script = with_a_full_disk()
    assert pages(script) == []
    assert script.armed(Timer.JOURNAL) == 5.0
    script.hear(status(V, FILLED))
    assert pages(script) == []
    script.ring(Timer.JOURNAL, after=5.0)
    (page,) = pages(script)
    assert [kept.outcome for kept in page.page.intents] == [Outcome.FILLED]


def test_an_order_is_written_down_with_whatever_a_full_disk_has_not_kept():
    script = with_a_full_disk().ask(ask(V, 3, 501))
    (page,) = pages(script)
    assert {kept.key.order_id for kept in page.page.intents} == {500, 501}
    script.step(NotWrittenDown(page.token, "no room"))
    assert script.armed(Timer.JOURNAL) is None, "or one that orders without end would put it off without end"
    script.ring(Timer.JOURNAL, after=5.0)
    (page,) = pages(script)
    assert 500 in {kept.key.order_id for kept in page.page.intents}
    script.step(WrittenDown(page.token))
    script.hear(status(V, FILLED))
    assert len(pages(script)) == 1, "there is room again"


def test_a_change_of_an_order_of_an_earlier_life_is_refused_as_a_change_while_the_gateway_is_away():
    script = Script(settings=Settings(endpoints=ENDPOINTS, gateway="paper", journal=True)).greet(cached=True)
    script.step(DialFailed(script.epoch, Cause.REFUSED, ""))
    script.step(ClientStarted(CLIENT_ID, b""))
    token = script.core.orders.token
    assert script.ask(ORDER).codes() == [(500, 2164)], "as long as the journal is not read it may be one"
    script.step(LookedUp(token, JournalPage((intent(500, IntentState.LIVE),))))
    assert script.ask(ORDER, ask(V, 3, 501)).codes() == [(500, 2164), (501, 201)]


# -- answered by what proves nothing -----------------------------------------------------------------------------------

DUPLICATE_ID = 103


def over_in_time(script: Script) -> list[tuple[int, int]]:
    """What is told once the lists are asked for, as they will be, and show nothing."""
    return script.ring(Timer.RECONCILE, after=11.0).reconcile().codes()


def test_an_order_that_tws_has_dropped_does_not_stay_sent_because_a_change_of_it_is_refused():
    script = Script().ready().ask(ORDER, ORDER).hear(error(V, 500, DUPLICATE_ID))
    assert script.core.orders.table.get(CLIENT_ID, 500).state is IntentState.IN_DOUBT
    assert over_in_time(script) == [(500, 2162)], "its id was used twice, and one of the two may have been there"


def test_a_refused_change_of_an_order_at_work_leaves_it_at_work():
    script = Script().ready().ask(ORDER).hear(status(V, Told(500, 77, 1, 0, "Submitted")))
    script.ask(ORDER).hear(error(V, 500, DUPLICATE_ID))
    assert script.core.orders.table.get(CLIENT_ID, 500).state is IntentState.LIVE


def test_an_order_in_doubt_for_what_tws_said_of_it_is_not_told_of_a_break_that_there_was_not():
    script = Script().ready().ask(ORDER).hear(error(V, 500, DUPLICATE_ID))
    script.now += 9.0
    script.ask(ask(V, 3, 501)).hear(error(V, 501, DUPLICATE_ID))
    script.ring(Timer.RECONCILE, after=2.0).reconcile()
    doubts = [told for told in script.said() if told.code == 2165]
    assert [told.id for told in doubts] == [501]
    assert Reason.NOT_PROVED in doubts[0].text


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_what_was_queued_when_the_socket_broke_waits_for_the_gateway_from_then_on():
    ledger = Ledger()
    script = Script(owed=Owed(ledger=ledger), settings=Settings(endpoints=ENDPOINTS, messages_per_second=2)).ready()
    script.ask(*(ask(V, 9, key) for key in range(5)))
    script.now += 1.0
    lose(script)
    assert {entry.asked_at for entry in ledger.entries.values()} == {script.now}


def test_a_successor_gives_no_credit_back_for_orders_that_waited_for_their_record():
    first = journalled().ask(ORDER)
    assert first.refunded() == 0
    heir = Script(owed=first.owed, settings=first.core.settings)
    heir.step(Ordered(Event.START, "begun"))
    assert heir.refunded() == 0
    assert size(ORDER) > 0
