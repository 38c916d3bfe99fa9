"""Orders and cancels of which TWS says nothing on a link that answers: dropped, maybe, as requests are."""

from __future__ import annotations

import pytest
from script import Script, lose
from speech import ask, error, order_status, tell

from backstay.session.pacing import Item, Lane
from backstay.session.vocabulary import Timer

V = 200
ORDER, CHANGE, CANCEL, CANCEL_ALL = ask(V, 3, 500), ask(V, 3, 500, word="change"), ask(V, 4, 500), ask(V, 58)
TOO_LATE = error(V, 500, 10148)


def look(script: Script, after: float, *, answers: bool = True) -> Script:
    """The link answers, unless it does not, and the time to look comes."""
    if answers:
        script.now += after - 0.1
        script.hear(tell(V, 49))
        after = 0.1
    return script.ring(Timer.VERIFY, after=after)


def codes(script: Script) -> list[tuple[int, int]]:
    return [told for told in script.codes() if told[0] >= 0 or told[1] == 2167]


def test_an_order_without_a_word_comes_into_doubt_once_and_is_asked_about():
    script = Script().ready().ask(ORDER)
    assert codes(look(script, 9.0)) == []
    look(script, 1.0)
    assert codes(script) == [(500, 2165)]
    assert script.armed(Timer.RECONCILE) == 0.0
    assert ORDER not in look(script, 30.0).written()
    assert codes(script) == [], "once"


def test_a_change_without_a_word_brings_its_order_into_doubt():
    script = Script().ready().ask(ORDER).hear(order_status(V, 500)).ask(CHANGE)
    assert codes(look(script, 10.0)) == [(500, 2165)]


@pytest.mark.parametrize("word", [order_status(V, 500), error(V, 500, 201), error(V, 500, 110)])
def test_an_order_of_which_tws_has_spoken_is_in_no_doubt(word):
    script = Script().ready().ask(ORDER).hear(word)
    assert (500, 2165) not in codes(look(script, 10.0))


def test_an_order_that_ended_meanwhile_is_in_no_doubt():
    script = Script().ready().ask(ORDER).hear(order_status(V, 500, "Filled")).ask(CANCEL)
    assert codes(look(script, 10.0)) == []


def test_silence_of_the_whole_link_proves_nothing_of_an_order():
    script = Script().ready().ask(ORDER)
    assert codes(look(script, 10.0, answers=False)) == []
    assert script.armed(Timer.VERIFY) == 1.0
    assert codes(look(script, 1.0)) == [(500, 2165)]


def test_while_tws_has_no_link_to_ib_nobody_is_in_doubt():
    script = Script().ready().ask(ORDER).hear(error(V, -1, 1100))
    assert codes(look(script, 10.0)) == []


def test_a_cancel_without_a_word_is_written_again_after_growing_waits():
    script = Script().ready().ask(CANCEL)
    for wait in (5.0, 10.0, 20.0, 20.0):
        script.written()
        assert look(script, wait).written() == [CANCEL]
    script.hear(order_status(V, 500, "Cancelled"))
    assert look(script, 20.0).written() == []
    assert codes(script) == []


def test_that_a_repeated_cancel_had_arrived_is_not_told():
    script = look(Script().ready().ask(CANCEL), 5.0)
    script.hear(TOO_LATE)
    assert script.passed == b""
    assert look(script, 20.0).written() == []


def test_a_cancel_that_stays_without_a_word_is_in_doubt_in_the_end():
    script = Script().ready().ask(CANCEL)
    for _ in range(13):
        look(script, 20.0)
    assert codes(script) == [(500, 2163)]
    assert look(script, 20.0).written() == []


def test_a_cancel_of_all_without_a_word_is_told_of_where_there_is_something_to_cancel():
    script = Script().ready().ask(CANCEL_ALL)
    assert codes(look(script, 10.0)) == []
    script = Script().ready().ask(ORDER).hear(order_status(V, 500)).ask(CANCEL_ALL)
    assert codes(look(script, 10.0)) == [(-1, 2167)]
    assert CANCEL_ALL not in look(script, 10.0).written()


@pytest.mark.parametrize("ended", ["Filled", "Cancelled"])
def test_a_cancel_of_all_is_not_answered_by_the_end_of_one_order_while_another_works(ended):
    def several() -> Script:
        script = Script().ready().ask(ask(V, 3, 500), ask(V, 3, 501)).hear(order_status(V, 500), order_status(V, 501))
        return script.ask(CANCEL_ALL).hear(order_status(V, 500, ended))

    assert codes(look(several(), 10.0)) == [(-1, 2167)]
    assert codes(lose(several())) == [(-1, 2167)]
    assert codes(lose(several().hear(order_status(V, 501, "PendingCancel")))) == []


def test_a_cancel_of_all_is_not_answered_by_the_end_of_an_order_that_came_after_it():
    script = Script().ready().ask(ORDER).hear(order_status(V, 500)).ask(CANCEL_ALL, ask(V, 3, 501))
    script.hear(order_status(V, 501), order_status(V, 501, "Filled"))
    assert codes(look(script, 10.0)) == [(-1, 2167)]


def test_on_a_new_socket_waits_begin_anew():
    script = Script().ready().ask(CANCEL)
    look(script, 4.0)
    assert lose(script).again().written() == [CANCEL]
    assert look(script, 4.0).written() == []
    assert look(script, 6.0).written() == [CANCEL]


def test_settings_that_were_written_before_a_request_without_an_answer_are_written_again_before_it():
    script = Script().ready().ask(ask(V, 59), ask(V, 1, 5))
    script.written()
    script.now += 1.0
    script.ask(ask(V, 14))
    script.written()
    assert look(script, 4.0).written() == [ask(V, 59), ask(V, 1, 5)]


def test_settings_that_wait_to_be_written_again_are_not_queued_once_more():
    script = Script().ready().ask(ask(V, 59))
    desk = script.core.desk
    desk.repeat_settings(until=script.now)
    desk.repeat_settings(until=script.now)
    assert [item.payload for item in desk.outbox.lanes[Lane.SETTINGS]] == [ask(V, 59)]


def test_a_repeated_cancel_that_had_not_left_when_the_socket_broke_is_held_once():
    script = Script().ready().ask(CANCEL)
    script.core.desk.push_trade(Item(CANCEL, since=script.now, repeats=1))
    lose(script)
    assert [item.payload for item in script.core.desk.trades] == [CANCEL]
