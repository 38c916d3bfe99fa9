"""A drain in the pure session: what it refuses, what passes, what it waits for, and how it ends."""

from __future__ import annotations

import pytest
from script import Script, kinds, lose, only, size, with_settings
from speech import ask, error, order_status, tell
from speech_orders import place

from backstay.protocol.framing import PREFIX_BYTES, text_message
from backstay.session.client_words import ClientAway, ClientLeft, ClientReturned
from backstay.session.lifecycle import Event, State
from backstay.session.vocabulary import Count, Dial, Disarm, Drain, HangUp, Leave, Ordered, Timer, Write

V = 200
READ, STREAM, ORDER = ask(V, 9, 1), ask(V, 1, 2), ask(V, 3, 500)
UNKNOWN = text_message(V, 9_999, "from a later TWS")[PREFIX_BYTES:]
DRAIN = Drain("gateway moves", 30.0)


def order(order_id: int, quantity: int, word: str = "w") -> bytes:
    return place(V, order_id, quantity=quantity, order_ref="", word=word)


def draining(*asked: bytes) -> Script:
    """Ready, something asked and not answered, and then drained."""
    script = Script().ready().ask(READ, *asked)
    script.step(DRAIN)
    return script


def is_paused(script: Script) -> bool:
    return script.core.state is State.PAUSED


# -- how it ends -------------------------------------------------------------------------------------------------------


def test_what_has_nothing_under_way_is_paused_at_once_and_its_client_told():
    script = Script().ready().ask(STREAM).hear(tell(V, 1, 2))
    script.step(DRAIN)
    view = script.core.view()
    assert (view.state, view.reason, view.unfinished, view.expected) == (
        "paused",
        "operator: gateway moves",
        False,
        True,
    )
    assert script.codes() == [(-1, 1100)]
    assert only(script.new, HangUp).epoch == 1
    script.step(Ordered(Event.RESUME))
    assert only(script.new, Dial).epoch == 2
    assert script.ask(READ).codes() == []


def test_it_waits_for_the_last_answer_and_shows_itself_meanwhile():
    script = draining(ask(V, 9, 7))
    view = script.core.view()
    assert (view.state, view.reason, view.expected) == ("draining", "operator: gateway moves", False)
    assert script.armed(Timer.DRAIN) == 30.0
    script.hear(tell(V, 52, 1))
    assert not is_paused(script)
    script.hear(tell(V, 52, 7))
    assert is_paused(script)
    assert Disarm(Timer.DRAIN) in script.new
    moves = [(one["from"], one["to"], one["on"]) for one in script.reports("state_changed")][-2:]
    assert moves == [("ready", "draining", "drain ordered"), ("draining", "paused", "pause")]
    assert script.reports("connection_lost")[-1]["cause"] == "operator"


def test_one_that_takes_too_long_ends_and_says_so():
    script = draining()
    script.ring(Timer.DRAIN, after=29.0)
    assert not is_paused(script)
    script.ring(Timer.DRAIN, after=1.0)
    view = script.core.view()
    assert (view.state, view.unfinished) == ("paused", True)
    assert view.reason == "operator: gateway moves; not everything had finished"
    script.step(Ordered(Event.RESUME))
    assert not script.core.view().unfinished


@pytest.mark.parametrize(("asked", "end"), [((), ""), ((READ,), "; not everything had finished")])
def test_without_a_reason_it_has_one_all_the_same(asked, end):
    script = Script().ready().ask(*asked)
    script.step(Drain("", 0.0))
    assert script.core.view().reason == f"operator: {end.removeprefix('; ') or 'an operator asked for it'}"


@pytest.mark.parametrize(
    ("out", "answer"),
    [
        (ORDER, order_status(V, 500)),
        (ORDER, error(V, 500, 201)),
        (ask(V, 4, 500), order_status(V, 500, "Cancelled")),
        (ask(V, 4, 500), error(V, 500, 10147)),
    ],
    ids=["order", "rejected order", "cancel", "refused cancel"],
)
def test_orders_and_their_cancels_have_to_be_answered(out, answer):
    script = Script().ready().ask(out)
    script.step(DRAIN)
    assert not is_paused(script)
    assert is_paused(script.hear(answer))


def test_a_change_has_to_be_answered_too():
    script = Script().ready().ask(order(500, 9)).hear(order_status(V, 500)).ask(order(500, 5))
    script.step(DRAIN)
    assert not is_paused(script)
    assert is_paused(script.hear(order_status(V, 500)))


def test_a_cancel_that_comes_meanwhile_leaves_before_the_socket_is_closed():
    script = Script().ready().ask(ORDER).hear(order_status(V, 500)).ask(READ)
    script.step(DRAIN)
    cancel = ask(V, 4, 500)
    assert script.ask(cancel).written() == [cancel]
    assert not is_paused(script.hear(tell(V, 52, 1)))
    assert is_paused(script.hear(order_status(V, 500, "Cancelled")))


def test_a_cancel_of_everything_needs_no_answer_and_is_out_before_the_socket_is_closed():
    script = draining()
    script.step(DRAIN)
    assert len(script.ask(ask(V, 58)).written()) == 1
    assert is_paused(script.hear(tell(V, 52, 1)))


def test_a_new_socket_is_dialled_meanwhile_until_the_fate_of_an_order_is_known():
    script = Script().ready().ask(ORDER)
    script.step(DRAIN)
    lose(script)
    assert (500, 2165) in script.codes()
    view = script.core.view()
    assert (view.state, view.expected) == ("waiting", False)
    assert view.reason.startswith("eof")
    script.again()
    assert not is_paused(script)
    assert script.core.view().state in ("syncing", "draining")
    assert is_paused(script.hear(order_status(V, 500)))


def test_what_waits_for_the_gateway_is_waited_for():
    script = lose(Script().ready()).ask(READ)
    script.step(DRAIN)
    assert not is_paused(script)
    script.again()
    assert script.written(script.effects).count(READ) == 1
    assert is_paused(script.hear(tell(V, 52, 1)))


def test_one_that_is_not_up_and_owes_nothing_is_paused_at_once():
    script = lose(Script().ready())
    script.step(DRAIN)
    assert is_paused(script)


def test_another_order_sets_another_limit_and_reason():
    script = draining()
    script.step(Drain("now", 5.0), after=10.0)
    assert script.armed(Timer.DRAIN) == 5.0
    script.ring(Timer.DRAIN, after=5.0)
    assert script.core.view().reason == "operator: now; not everything had finished"
    assert len([one for one in script.reports("state_changed") if one["on"] == "drain ordered"]) == 1


def test_one_that_is_down_already_stays_so():
    script = Script().ready()
    script.step(Ordered(Event.PAUSE, "lunch"))
    script.step(DRAIN)
    assert (script.core.view().state, script.core.view().reason) == ("paused", "operator: lunch")
    assert script.new == []
    script.step(Ordered(Event.RESUME))
    script.connect().hello().identify().verify()
    assert script.ask(READ).written() == [READ]


# -- who ends it -------------------------------------------------------------------------------------------------------


def test_resuming_ends_it_and_what_is_new_is_taken_again():
    script = draining()
    script.step(Ordered(Event.RESUME))
    view = script.core.view()
    assert (view.state, view.reason, view.expected) == ("ready", "", True)
    assert Disarm(Timer.DRAIN) in script.new
    assert script.reports("state_changed")[-1] | {"epoch": 0} == {
        "epoch": 0,
        "from": "draining",
        "to": "ready",
        "on": "resume",
        "reason": "",
    }
    assert script.ask(STREAM).written() == [STREAM]
    script.ring(Timer.DRAIN, after=60.0)
    assert not is_paused(script)


def test_a_pause_does_not_wait_for_it():
    script = draining()
    script.step(Ordered(Event.PAUSE, "at once"))
    view = script.core.view()
    assert (view.state, view.reason, view.unfinished, view.expected) == ("paused", "operator: at once", False, True)
    assert [(one["from"], one["to"]) for one in script.reports("state_changed")][-1] == ("draining", "paused")


def test_a_client_that_leaves_ends_its_connection_and_leaves_no_paused_one():
    script = Script().ready().ask(ORDER)
    script.step(DRAIN)
    script.step(ClientLeft())
    assert any(isinstance(effect, Leave) for effect in script.new)


def test_orders_of_a_client_that_has_left_go_out_all_the_same():
    script = lose(Script().ready()).ask(ask(V, 4, 500))
    script.step(DRAIN)
    script.step(ClientLeft())
    assert not any(isinstance(effect, Leave) for effect in script.new)
    script.ring(Timer.DRAIN, after=30.0)
    assert not is_paused(script)
    assert ask(V, 4, 500) in script.again().written(script.effects)


def test_a_session_that_died_is_followed_by_one_that_drains_on():
    script = draining()
    heir = Script(owed=script.owed)
    heir.now = script.now + 10.0
    heir.step(Ordered(Event.START, "begun"))
    assert [effect.seconds for effect in heir.new if getattr(effect, "timer", None) is Timer.DRAIN] == [20.0]
    assert heir.ask(STREAM).codes() == [(2, 504)]
    heir.connect().hello().identify().verify()
    assert heir.core.view().state == "draining"
    assert is_paused(heir.hear(tell(V, 52, 1)))


def test_who_comes_back_to_a_kept_connection_finds_it_drained_all_the_same():
    script = Script().ready().ask(ORDER)
    script.step(DRAIN)
    script.step(ClientAway())
    script.step(ClientReturned())
    assert len(script.written()) == 2, "what a fresh TWS would say by itself"
    assert script.ask(READ).codes() == [(1, 504)]
    assert not is_paused(script)


# -- what is refused, and what is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (ask(V, 9, 7), (7, 504)),
        (ask(V, 20, 7), (7, 504)),
        (ask(V, 49), (-1, 504)),
        (STREAM, (2, 504)),
        (ask(V, 61), (-1, 504)),
        (ask(V, 19), (-1, 504)),
        (UNKNOWN, (-1, 504)),
        (ORDER, (500, 201)),
        (order(500, 5), (500, 201)),
    ],
    ids=["read", "bars", "time", "stream", "positions", "command", "unknown", "order", "readable order"],
)
def test_what_is_new_is_refused_once_under_its_id_and_never_leaves(asked, told):
    script = draining()
    refunded = script.refunded()
    assert script.ask(asked).codes() == [told]
    assert script.said()[0].text.endswith(
        "an operator drains the connection; what is new is taken again once it is resumed"
    )
    assert not any(isinstance(effect, Write) for effect in script.new)
    assert Count("requests_rejected", "draining") in script.new
    assert script.refunded() - refunded == size(asked)
    assert is_paused(script.hear(tell(V, 52, 1)))


@pytest.mark.parametrize(
    "asked",
    [ask(V, 2, 2), ask(V, 59, 3), ask(V, 58), ask(V, 4, 600)],
    ids=["cancel of a stream", "setting", "cancel of everything", "cancel of an order"],
)
def test_what_ends_something_passes(asked):
    script = Script().ready().ask(STREAM).hear(tell(V, 1, 2)).ask(READ)
    script.step(DRAIN)
    assert script.ask(asked).codes() == []
    assert script.written() == [asked]


@pytest.mark.parametrize(
    ("quantity", "passes"), [(5, True), (9, True), (10, False)], ids=["smaller", "as large", "larger"]
)
def test_a_change_passes_if_it_makes_the_order_no_larger(quantity, passes):
    script = Script().ready().ask(order(500, 9)).hear(order_status(V, 500)).ask(READ)
    script.step(DRAIN)
    change = order(500, quantity, "x")
    script.ask(change)
    assert script.written() == ([change] if passes else [])
    assert script.codes() == ([] if passes else [(500, 2164)])


def test_a_change_of_which_the_size_is_not_known_is_refused_and_so_is_one_of_an_order_that_has_ended():
    script = Script().ready().ask(ORDER, order(501, 9))
    script.hear(order_status(V, 500), order_status(V, 501, "Filled")).ask(READ)
    script.step(DRAIN)
    assert script.ask(ORDER).codes() == [(500, 2164)]
    assert script.ask(order(501, 9)).codes() == [(501, 2164)]


def test_an_order_from_before_that_waits_for_its_turn_leaves():
    script = with_settings(messages_per_second=2).ready().ask(READ, ask(V, 9, 7), ORDER, after=5.0)
    assert ORDER not in script.written()
    script.step(DRAIN)
    assert script.ring(Timer.RELEASE, after=1.0).written() == [ORDER]
    assert is_paused(script.hear(tell(V, 52, 1), tell(V, 52, 7), order_status(V, 500)))


def test_a_read_only_relay_says_first_that_it_is_one():
    script = with_settings(read_only=True).ready().ask(READ)
    script.step(DRAIN)
    assert script.ask(ORDER).codes() == [(500, 321)]


def test_streams_go_on_meanwhile():
    script = Script().ready().ask(STREAM).hear(tell(V, 1, 2)).ask(READ)
    script.step(DRAIN)
    assert script.hear(tell(V, 1, 2)).passed == tell(V, 1, 2)
    assert kinds(script.new) == []
