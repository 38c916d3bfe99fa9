"""What had no client to hear it does not count as told: who comes back hears it, once."""

from __future__ import annotations

from dataclasses import replace

from script import Script, lose
from speech import ask, error, tell
from speech_orders import Told, commission, completed_order, execution, open_order, status
from test_ordering import ORDER, V, intent, journalled, pages
from test_orders_under_faults import FILLED, question, sent

from backstay.protocol.errors import read_error
from backstay.protocol.framing import PREFIX_BYTES, frame
from backstay.protocol.messages import message_id
from backstay.session import missed
from backstay.session.causes import Cause
from backstay.session.client_words import Attend, Attended, ClientAway, ClientReturned, Unheard
from backstay.session.intents import IntentState, JournalPage
from backstay.session.notices import Notice
from backstay.session.order_words import WriteDown
from backstay.session.reasons import Reason
from backstay.session.vocabulary import Deliver, Lost, Noted, Timer

WORKING = Told(500, 77, 1, 0, "Submitted")


def away(script: Script) -> Script:
    script.step(ClientAway())
    return script


def gone() -> Script:
    """Order 500 works, and its client has gone."""
    return away(sent(journalled()).hear(open_order(V, WORKING), status(V, WORKING)))


def unheard(script: Script, *frames: bytes) -> Script:
    """TWS says this, and nobody hears it; nor what the session says on it."""
    script.step(Noted(script.epoch, tuple((message_id(f[4:], V), f[4:], True) for f in frames), heard=False))
    return lose_words(script)


def lose_words(script: Script) -> Script:
    for effect in [effect for effect in script.new if isinstance(effect, Deliver)]:
        script.step(Unheard(effect.data))
    return script


def back(script: Script) -> list[bytes]:
    """What a client is told that comes back."""
    script.step(ClientReturned())
    assert [effect for effect in script.new if isinstance(effect, Attend)]
    script.step(Attended())
    return [effect.data for effect in script.new if isinstance(effect, Deliver)]


def written_down(script: Script) -> dict[int, str]:
    """What the journal had as the last state of each order."""
    kept = [effect.page for effect in script.effects if isinstance(effect, WriteDown)]
    return {one.key.order_id: one.state.value for page in kept for one in page.intents}


def codes(data: list[bytes]) -> list[tuple[int, int]]:
    errors = [read_error(one[PREFIX_BYTES:], V) for one in data]
    return [(one.id, one.code) for one in errors if one is not None]


def test_a_fill_its_cost_and_the_end_of_an_order_wait_for_the_client_that_comes_back():
    news = (execution(V, FILLED, "e.1.01", 1), commission(V, "e.1.01"), status(V, FILLED))
    script = unheard(gone(), *news)
    assert back(script) == list(news)
    assert back(away(script)) == [], "each once"


def test_what_the_client_was_passed_on_is_not_told_to_the_next():
    script = sent(journalled()).hear(execution(V, FILLED, "e.1.01", 1), status(V, FILLED))
    assert back(away(script)) == []


def test_repeats_are_told_once_and_ticks_and_answers_to_the_former_client_not_at_all():
    script = gone()
    unheard(script, status(V, FILLED), status(V, FILLED), error(V, 3, 200), execution(V, FILLED, "e.2.01", 1, key=4))
    assert back(script) == [status(V, FILLED)]


def test_an_order_that_works_again_after_its_end_is_not_told_as_ended():
    script = unheard(gone(), status(V, Told(500, 77, 1, 0, "Cancelled")), status(V, WORKING))
    assert back(script) == []


def test_messages_that_can_not_be_read_are_not_kept():
    script = unheard(gone(), *(frame(b"%d\0?" % number) for number in (3, 4, 11)))
    assert back(script) == []


def test_a_rejection_that_nobody_has_heard_is_told():
    script = away(sent(journalled()))
    assert codes(back(unheard(script, error(V, 500, 201), error(V, 500, 202)))) == [(500, 201), (500, 202)]


def test_an_end_that_a_round_finds_while_nobody_is_there_is_told_to_who_comes_back():
    script = lose_words(lose(gone()))
    script.again()
    script.ring(Timer.RECONCILE, after=11.0).reconcile()
    lose_words(script)
    assert script.core.orders.table.open_intents() == ()
    over, inactive = back(script)
    assert codes([over]) == [(500, Notice.ORDER_OVER.value.code)]
    assert b"Inactive" in inactive


def test_an_order_that_came_into_doubt_while_nobody_was_there_is_told_as_in_doubt():
    script = lose(away(sent(journalled())))
    lose_words(script)
    told = back(script)
    assert codes(told) == [(-1, 1100), (500, 2165)]
    assert Reason.UNHEARD.encode() in told[-1]


def test_an_order_in_doubt_is_told_so_to_each_client_that_comes():
    script = lose(sent(journalled()))
    assert (500, 2165) in script.codes()
    assert codes(back(away(script))) == [(-1, 1100), (500, 2165)]


def test_a_client_that_comes_back_is_shown_its_open_orders():
    script = gone()
    back(script)
    script.hear(open_order(V, WORKING), status(V, WORKING), tell(V, 53))
    assert script.passed == open_order(V, WORKING) + status(V, WORKING)


def test_nothing_is_asked_of_tws_for_a_client_without_orders():
    script = away(journalled())
    assert back(script) == []
    assert not [payload for payload in script.written(script.effects) if payload == ask(V, 5)]


def test_a_client_that_leaves_before_it_was_attended_is_told_nothing_and_the_next_one_all():
    script = unheard(gone(), status(V, FILLED))
    script.step(ClientReturned())
    script.step(ClientAway())
    script.step(Attended())
    assert [effect for effect in script.new if isinstance(effect, Deliver)] == []
    assert back(script) == [status(V, FILLED)]


def test_word_that_was_under_way_when_the_client_came_back_waits_for_the_end_of_the_line():
    script = gone()
    script.step(ClientReturned())
    unheard(script, status(V, FILLED))
    script.step(Attended())
    assert [effect.data for effect in script.new if isinstance(effect, Deliver)] == [status(V, FILLED)]


def test_an_outage_of_which_nobody_has_heard_is_told_once_to_who_comes_back():
    script = lose(gone())
    assert codes([effect.data for effect in script.new if isinstance(effect, Deliver)]) == [(-1, 1100)]
    assert codes(back(lose_words(script)))[0] == (-1, 1100)
    other = lose(gone())  # this time somebody has come before the session knew, and has heard it
    other.step(ClientReturned())
    other.step(Attended())
    assert other.codes() == []


def test_frames_of_a_socket_that_was_hung_up_are_kept_too():
    script = gone()
    script.step(Lost(script.epoch, Cause.EOF, "why"))
    lose_words(script)
    unheard(script, execution(V, FILLED, "e.1.01", 1))
    assert execution(V, FILLED, "e.1.01", 1) in back(script)


def test_of_too_much_the_oldest_is_forgotten(monkeypatch):
    monkeypatch.setattr(missed, "MAX_MISSED", 2)
    script = unheard(gone(), *(execution(V, FILLED, f"e.{fill}.01", 1) for fill in range(3)))
    assert back(script) == [execution(V, FILLED, f"e.{fill}.01", 1) for fill in (1, 2)]


def test_what_nobody_there_could_have_asked_is_not_kept_before_a_client_has_said_its_id():
    script = Script().greet()
    script.step(Unheard(error(V, -1, 1100)))
    assert script.owed.missed == {}


# -- the journal -------------------------------------------------------------------------------------------------------


def test_an_end_that_nobody_has_heard_is_written_down_when_somebody_does():
    script = unheard(gone(), status(V, FILLED))
    assert written_down(script)[500] == "live"
    back(script)
    assert written_down(script)[500] == "done"
    assert pages(script)


def test_a_session_that_ends_before_anybody_comes_leaves_its_successor_an_open_order():
    script = unheard(gone(), status(V, FILLED))
    live = replace(intent(500, IntentState(written_down(script)[500])), perm_id=77)
    heir = journalled(JournalPage((live,)))
    assert heir.core.orders.table.open_intents()


def test_an_order_in_doubt_from_an_earlier_session_is_told_as_such():
    script = journalled(JournalPage((intent(500),)))
    doubts = [said for said in script.said(script.effects) if said.code == 2165]
    assert [Reason.SESSION_ENDED in said.text for said in doubts] == [True]


def test_a_round_for_who_comes_back_finds_fills_and_tells_each_once():
    script = lose_words(lose(gone()))
    script.ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(V, 49)).hear(tell(V, 53)).hear(tell(V, 53))
    script.hear(completed_order(V, FILLED), tell(V, 102))
    fill = execution(V, FILLED, "e.1.01", 1, key=question(script))
    script.hear(fill)
    lose_words(script)
    script.hear(tell(V, 55, question(script)))
    lose_words(script)
    told = back(script)
    assert [message_id(data[4:], V) for data in told] == [11, 3]


def test_an_order_that_waits_is_refused_when_who_came_back_hears_that_the_gateway_is_away():
    script = lose_words(lose(gone()))
    script.step(ClientReturned())
    script.ask(replace_id(ORDER))
    assert script.codes() == []
    script.step(Attended())
    assert (501, 201) in script.codes()


def replace_id(payload: bytes) -> bytes:
    return payload.replace(b"500", b"501", 1)
