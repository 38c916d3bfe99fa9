"""What a client had sent when it left, or when its connection was ended: let out if it can be, told if it can not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from script import Script, lose, owed, with_settings
from speech import ask, order_status
from test_ordering import V, intent, journalled, pages
from test_orders_under_faults import ORDER, sent

from backstay.protocol.commands import cancel_order
from backstay.protocol.framing import PREFIX_BYTES, text
from backstay.session.calling import LEAVING_SECONDS
from backstay.session.client_words import ClientAway, ClientLeft, ClientReturned
from backstay.session.intents import IntentState, JournalPage, Outcome
from backstay.session.lifecycle import Event, State
from backstay.session.order_words import WrittenDown
from backstay.session.vocabulary import Leave, Ordered, Timer

CANCEL, GLOBAL_CANCEL, REPLACE_ADVISERS = ask(V, 4, 501), ask(V, 58), ask(V, 19)
UNHEARD_OF = text(9_999, 1)[PREFIX_BYTES:]


def has_left(script: Script) -> bool:
    return any(isinstance(effect, Leave) for effect in script.new)


def let_out(script: Script, *, rings: int) -> list[bytes]:
    """What leaves while the release timer rings so often."""
    seen: list[bytes] = []
    for _ in range(rings):
        assert not has_left(script)
        seen += script.ring(Timer.RELEASE, after=1.0).written()
    return seen


def test_all_cancels_of_a_client_that_left_go_out_however_long_the_pace_makes_it_last():
    script = with_settings(messages_per_second=1).ready()
    cancels = [ask(V, 4, key) for key in range(500, 510)]
    script.ask(*cancels, after=5.0)
    first = script.written()
    script.step(ClientLeft())
    assert script.armed(Timer.LEAVING) == LEAVING_SECONDS
    assert first + let_out(script, rings=len(cancels) - len(first)) == cancels
    assert has_left(script)
    assert script.reports("orders_not_sent") == []


def test_reads_and_streams_of_a_client_that_left_stand_in_the_way_of_no_order():
    script = with_settings(messages_per_second=1).ready()
    script.ask(ask(V, 1, 1), ask(V, 9, 1), ask(V, 49), CANCEL, after=5.0)
    script.step(ClientLeft())
    assert let_out(script, rings=1) == [CANCEL]
    assert has_left(script)


def test_cancels_of_a_client_that_left_while_the_gateway_was_away_go_out_once_it_is_back():
    script = lose(Script().ready()).ask(CANCEL)
    script.step(ClientLeft())
    assert not has_left(script)
    assert CANCEL in script.again().written()
    assert has_left(script)


def test_an_order_of_a_client_that_left_at_once_goes_out_when_the_gate_opens():
    script = Script().greet().connect().hello().start().ask(ORDER)
    script.step(ClientLeft())
    assert ORDER in script.identify().verify().written()
    assert has_left(script)


def test_an_order_that_is_being_written_down_when_its_client_leaves_goes_out():
    script = journalled().ask(ORDER)
    script.step(ClientLeft())
    assert not has_left(script)
    script.step(WrittenDown(script.core.orders.token))
    assert script.written() == [ORDER]
    assert has_left(script)


# -- kept for the next client of the id --------------------------------------------------------------------------------

LIVE = replace(intent(500, IntentState.LIVE), perm_id=77)
TWO = JournalPage((LIVE, replace(intent(501, IntentState.LIVE), perm_id=78)))


def gone_with(*cancels: bytes) -> Script:
    """A client that leaves while the gateway is away for good, and its cancels wait."""
    script = lose(journalled(TWO)).ask(*cancels)
    script.step(ClientLeft())
    return script.ring(Timer.LEAVING, after=LEAVING_SECONDS)


def test_a_cancel_that_can_not_leave_behind_its_client_is_kept_and_leaves_when_the_id_comes_back():
    script = gone_with(ask(V, 4, 500))
    assert has_left(script)
    assert owed(script) == {500}
    assert script.reports("cancels_kept") == [{"orders": 1}]
    assert script.reports("orders_not_sent") == [], "it is not given up"
    successor = journalled(JournalPage((replace(LIVE, cancel_wanted=True, cancel_owed=True),)))
    assert cancel_order(V, 500)[PREFIX_BYTES:] in successor.written(successor.effects)
    assert successor.reports("kept_cancels_sent") == [{"epoch": 1, "orders": 1}]
    assert owed(successor) == set()
    lose(successor.hear(order_status(V, 500, "Cancelled")))
    assert successor.again().written() == [], "once"


def test_of_a_cancel_of_all_those_of_the_orders_that_are_known_are_kept():
    assert owed(gone_with(GLOBAL_CANCEL)) == {500, 501}


def test_a_cancel_that_expires_while_its_connection_is_kept_leaves_when_the_gateway_is_back():
    script = lose(journalled(TWO)).ask(ask(V, 4, 500))
    script.step(ClientAway())
    done = len(script.effects)
    script.ring(Timer.HELD, after=60.0)
    assert script.codes(script.effects[done:]) == [], "nobody is there to hear it"
    script.again()
    assert cancel_order(V, 500)[PREFIX_BYTES:] in script.written(script.effects[done:])


def test_a_client_that_is_there_is_told_of_a_cancel_that_expires_and_nothing_is_kept():
    script = lose(journalled(TWO)).ask(ask(V, 4, 500))
    script.step(ClientAway())
    script.step(ClientReturned())
    script.ring(Timer.HELD, after=60.0)
    assert (500, 2166) in script.codes()
    assert owed(script) == set()


@pytest.mark.parametrize("make", [lambda: journalled(TWO), lambda: Script().ready()])
def test_a_cancel_of_an_order_that_nobody_has_written_down_is_given_up_and_logged(make):
    script = lose(make()).ask(ask(V, 4, 999))
    script.step(ClientLeft())
    script.ring(Timer.LEAVING, after=LEAVING_SECONDS)
    assert [row["cancels"] for row in script.reports("orders_not_sent")] == [1]
    assert owed(script) == set()


def test_a_gateway_that_stays_away_is_not_waited_for_for_ever_and_the_log_says_so():
    script = lose(Script().ready()).ask(CANCEL)
    script.step(ClientLeft())
    script.ring(Timer.LEAVING, after=LEAVING_SECONDS)
    assert has_left(script)
    assert script.codes() == [(501, 2166)]
    assert [(said["orders"], said["cancels"]) for said in script.reports("orders_not_sent")] == [(0, 1)]


def test_the_bound_of_leaving_changes_nothing_once_all_is_out():
    script = lose(Script().ready()).ask(CANCEL)
    script.step(ClientLeft())
    script.again()
    assert not script.ring(Timer.LEAVING, after=LEAVING_SECONDS).new


@pytest.mark.parametrize("event", [Event.PAUSE, Event.STOP])
def test_what_a_paused_connection_holds_is_not_waited_for(event):
    script = Script().ready()
    script.step(Ordered(event))
    script.ask(CANCEL)
    script.step(ClientLeft())
    assert has_left(script)
    assert script.core.state is State.STOPPED


def test_an_order_that_can_not_leave_before_the_end_is_refused_and_written_down_as_never_sent():
    script = journalled(messages_per_second=2)
    script.ask(*(ask(V, 1, key) for key in range(9)), ORDER, GLOBAL_CANCEL, CANCEL, REPLACE_ADVISERS)
    script.step(WrittenDown(script.core.orders.token))
    script.step(Ordered(Event.STOP, "backstay is stopping"))
    assert script.codes() == [(500, 201), (-1, 2166), (501, 2166), (-1, 504)]
    assert all("backstay is stopping" in said.text for said in script.said())
    (kept,) = pages(script)[-1].page.intents
    assert (kept.state, kept.outcome) == (IntentState.ABANDONED, Outcome.NEVER_SENT)
    assert [type(effect) for effect in script.new].index(Leave) > script.new.index(
        next(effect for effect in script.new if type(effect).__name__ == "WriteDown")
    )
    assert script.reports("orders_not_sent") == [{"orders": 1, "cancels": 2, "reason": "backstay is stopping"}]


def test_what_left_before_the_end_stays_in_question_and_is_not_said_to_be_unsent():
    script = sent(journalled())
    script.step(Ordered(Event.STOP, "end"))
    assert script.codes() == []
    assert script.core.orders.table.open_intents()[0].state is IntentState.SENT


def test_a_message_that_nobody_knows_is_given_up_at_the_end_without_a_word():
    script = with_settings(messages_per_second=1).ready().ask(ask(V, 9, 1), UNHEARD_OF)
    assert UNHEARD_OF not in script.written(script.effects)
    script.step(Ordered(Event.STOP, "end"))
    assert script.codes() == []
