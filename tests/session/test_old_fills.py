"""A fill is told as new once, and only if this session could have missed it; an id that TWS has passed stays away."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from script import Script, lose, with_settings
from speech import CLIENT_ID, ask, error, next_id, order_status, tell
from speech_orders import Told, commission, execution, status
from test_ordering import ORDER, OTHER, V, intent, journalled
from test_orders_under_faults import FILLED, fills_told, question

from backstay.protocol.handshake import VersionRange
from backstay.protocol.order_fields import read_execution
from backstay.session.client_words import ClientStarted
from backstay.session.intent_table import HIGHEST_OF_OTHERS
from backstay.session.intents import IntentState, JournalPage
from backstay.session.lifecycle import Event
from backstay.session.order_words import LookedUp
from backstay.session.orders import moment_of
from backstay.session.resend import ResendRule
from backstay.session.vocabulary import Deliver, Ordered, Timer

STRANGER = Told(400, 70, 1, 1, "Filled")


def written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%d-%H:%M:%S")


def listed(script: Script, *times: str) -> int:
    """So many fills are told that are found in the list after a cut, made at these times."""
    lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49)).hear(tell(V, 53)).hear(tell(V, 53))
    key = question(script)
    script.hear(*(execution(V, STRANGER, f"e.{place}.01", 1, key=key, time=at) for place, at in enumerate(times)))
    return len(fills_told(script))


def test_fills_of_before_this_session_are_not_told_after_a_cut_and_those_of_since_are():
    script = Script().ready()
    since = script.core.orders.watched_since
    assert listed(script, written(since - 3600), written(since - 1), written(since + 2), written(since + 60)) == 2
    assert listed(script, written(since - 3600), written(since + 2)) == 0, "each once"


def seen_by_the_client_itself(script: Script, *, answer: int) -> Script:
    """Behind a cut the client asks for executions, and has its answer before ours comes."""
    script.ask(ORDER).hear(order_status(V, 500))
    lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49)).hear(tell(V, 53)).hear(tell(V, 53))
    ours = question(script)
    script.ask(ask(V, 7, answer))
    theirs = execution(V, FILLED, "e.1.01", 1, key=answer) + commission(V, "e.1.01") + tell(V, 55, answer)
    script.hear(theirs)
    assert execution(V, FILLED, "e.1.01", 1, key=answer) in script.passed
    return script.hear(execution(V, FILLED, "e.1.01", 1, key=ours))


def test_a_fill_that_the_client_has_found_by_a_question_of_its_own_is_not_told_as_new():
    script = seen_by_the_client_itself(Script().ready(), answer=9)
    assert fills_told(script) == []
    told = [effect.data for effect in script.effects if isinstance(effect, Deliver)]
    assert told.count(commission(V, "e.1.01")) == 1, "what it cost is told, as our question hides it"
    script.hear(execution(V, FILLED, "e.1.02", 1, key=question(script)))
    assert len(fills_told(script)) == 1, "its correction is news"


def test_an_application_in_this_process_is_told_of_it_all_the_same_since_its_answers_go_elsewhere():
    script = Script()
    script.owed.offer, script.owed.start = VersionRange(V, V), ClientStarted(CLIENT_ID)
    script.step(Ordered(Event.START))
    script.connect().hello().identify().verify()
    assert len(fills_told(seen_by_the_client_itself(script, answer=9))) == 1


def test_a_fill_whose_time_can_not_be_read_may_have_been_missed():
    assert listed(Script().ready(), "yesterday") == 1


HALF = Told(500, 77, 10, 4, "Cancelled")
LONG_AGO = "19700101-00:00:00"


def cancelled_at_once() -> Script:
    """An order of an earlier session is cancelled before the lists have come that tell of its fills meanwhile."""
    script = with_settings(gateway="paper", journal=True).greet().connect().hello().start()
    page = JournalPage((intent(500, IntentState.LIVE), intent(501, IntentState.LIVE)))
    script.step(LookedUp(script.core.orders.token, page))
    return script.identify().hear(tell(V, 49)).hear(status(V, HALF), error(V, 500, 202))


def fills_of_before(script: Script) -> int:
    key = question(script.hear(tell(V, 53)).hear(tell(V, 53)))
    script.hear(execution(V, HALF, "e.1.01", 4, key=key, time=LONG_AGO))
    told = len(fills_told(script))
    script.hear(tell(V, 102), tell(V, 55, key))
    return told


def test_a_fill_of_before_this_session_is_told_though_its_order_has_ended_when_the_list_comes():
    assert fills_of_before(cancelled_at_once()) == 1


def test_such_a_fill_is_told_as_well_behind_a_cut_of_the_first_round():
    script = lose(cancelled_at_once()).ring(Timer.RETRY, after=1.2).connect().hello().identify().hear(tell(V, 49))
    assert fills_of_before(script) == 1


def test_once_fills_have_been_listed_those_of_before_are_no_news_of_an_order_that_has_ended():
    script = journalled(JournalPage((intent(500, IntentState.LIVE), intent(501, IntentState.LIVE))))
    script.hear(status(V, HALF), error(V, 500, 202))
    script = lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify().hear(tell(V, 49))
    assert fills_of_before(script) == 0


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("20260401 09:30:00 US/Eastern", 1_775_050_200.0),
        ("20260401-13:30:00", 1_775_050_200.0),
        ("20260401  15:30:00", 1_775_050_200.0),
        ("20260401 13:30:00 UTC", 1_775_050_200.0),
        ("20260401 13:30:00 Nowhere/AtAll", None),
        ("20260401 13:30:00 ../etc", None),
        ("20261341 13:30:00", None),
        ("", None),
    ],
)
def test_the_time_of_a_fill_is_read_in_all_its_forms(time, moment):
    assert moment_of(time, "Europe/Berlin") == moment


@pytest.mark.parametrize("version", [200, 226])
def test_an_execution_carries_its_time(version):
    facts = read_execution(execution(version, STRANGER, "e.1.01", 1, time="20260401-13:30:00")[4:], version)
    assert facts is not None
    assert facts.time == "20260401-13:30:00"


# -- ids that TWS has passed -------------------------------------------------------------------------------------------


def allowed() -> Script:
    return with_settings(resend=ResendRule(enabled=True)).ready()


def settled(script: Script) -> Script:
    lose(script).again()
    return script.ring(Timer.RECONCILE, after=11.0).reconcile()


def test_an_order_below_one_that_tws_has_seen_is_not_sent_again_but_told_as_unknown():
    script = settled(allowed().ask(ORDER, OTHER).hear(order_status(V, 501)))
    assert ORDER not in script.written()
    assert (500, 201) in script.codes()


def test_an_order_of_which_an_error_was_passed_on_is_not_sent_again():
    script = settled(allowed().ask(ORDER).hear(error(V, 500, 103)))
    assert ORDER not in script.written()
    assert (500, 201) in script.codes()


def test_a_warning_about_an_order_does_not_show_that_tws_has_passed_its_id():
    script = allowed().ask(ORDER).hear(error(V, 500, 2109))
    assert script.core.orders.table.highest_seen(CLIENT_ID) < 500


def test_an_order_of_somebody_else_with_an_id_near_the_end_leaves_room_for_ours():
    script = Script().ready()
    floor = script.core.orders.table.floor(CLIENT_ID)
    script.hear(status(V, Told(HIGHEST_OF_OTHERS + 1, 77, 0, 0, "Submitted", client_id=CLIENT_ID + 1)))
    assert script.core.orders.table.floor(CLIENT_ID) == floor


def test_the_next_id_that_tws_names_shows_what_it_has_passed():
    script = allowed().hear(next_id(V, 900))
    assert script.core.orders.table.highest_seen(CLIENT_ID) == 899
    assert script.core.orders.table.highest_seen(CLIENT_ID + 1) == 0


def test_a_fill_of_another_clients_order_says_nothing_of_our_order_with_the_same_number():
    theirs = execution(V, Told(500, 77, 1, 1, "Filled", client_id=CLIENT_ID + 1), "e.9.01", 1)
    script = Script().ready().hear(theirs)
    assert script.passed == theirs, "this client is the master"
    lose(script).ask(ORDER)
    assert script.codes() == [(500, 201)], "a new order of ours, and not a change of theirs"
    script = Script().ready().ask(ORDER).hear(theirs)
    assert (500, 2165) in lose(script).codes(), "ours has had no answer"
