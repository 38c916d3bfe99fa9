"""What the owner and the client's coming and going mean, and how one core follows another."""

from __future__ import annotations

import pytest
from script import ENDPOINTS, Script, kinds, lose, only, with_settings
from speech import ask, tell

from backstay.protocol.framing import PREFIX_BYTES
from backstay.session.causes import Cause
from backstay.session.client_words import Attended, ClientAway, ClientLeft, ClientMoved, ClientRefused, ClientReturned
from backstay.session.errors import ImpossibleTransitionError
from backstay.session.lifecycle import Event, State
from backstay.session.notices import Notice
from backstay.session.settings import HeldSettings, PulseSettings, Settings
from backstay.session.vocabulary import (
    BackOff,
    Count,
    Dial,
    DialFailed,
    Disarm,
    HangUp,
    Leave,
    LinkRenewed,
    Observe,
    Ordered,
    Settle,
    Timer,
    Write,
)

V = 200


# -- orders of the owner -----------------------------------------------------------------------------------------------


def test_a_pause_hangs_up_tells_the_client_and_stays_until_it_is_over():
    script = Script().ready()
    script.step(Ordered(Event.PAUSE, "maintenance"))
    assert script.core.view().state == "paused"
    assert script.core.view().reason == "operator: maintenance"
    assert script.codes() == [(-1, 1100)]
    assert "paused (an operator asked for it: maintenance)" in script.said()[0].text
    script.step(Ordered(Event.PAUSE))
    script.step(Ordered(Event.RESUME))
    assert only(script.new, Dial).epoch == 2
    script.connect().hello().identify().verify()
    assert script.codes()[-1:] == [(-1, 1102)]


def test_a_pause_without_a_reason_has_one_all_the_same():
    script = Script().ready()
    script.step(Ordered(Event.PAUSE))
    assert script.core.view().reason == "operator: an operator asked for it"


def test_a_client_that_starts_while_paused_is_told():
    script = Script().greet(cached=True)
    script.step(DialFailed(1, Cause.REFUSED, ""))
    script.step(Ordered(Event.PAUSE))
    script.start()
    assert script.codes() == [(-1, 1100)]


def test_a_restart_is_a_new_epoch_at_once():
    script = Script().ready()
    script.step(Ordered(Event.RESTART, "operator"))
    assert kinds(script.new).index(HangUp) < kinds(script.new).index(Dial)
    assert Settle() in script.new
    assert script.reports("connection_lost")[0]["cause"] == "operator"


@pytest.mark.parametrize("state", ["waiting", "ready"])
def test_a_reset_forgets_failed_attempts(state):
    script = Script().ready()
    if state == "waiting":
        lose(script)
    script.step(Ordered(Event.RESET))
    assert Settle() in script.new
    assert any(isinstance(effect, Dial) for effect in script.new) is (state == "waiting")


def test_a_stop_gives_all_credit_back_and_leaves():
    script = with_settings(messages_per_second=2).ready()
    asked = (ask(V, 9, 1), ask(V, 3, 500), ask(V, 49))
    script.ask(ask(V, 9, 8), ask(V, 9, 9), after=5.0).ask(*asked)
    script.step(Ordered(Event.STOP, "end"))
    assert any(isinstance(effect, Leave) for effect in script.new)
    assert only(script.new, HangUp).epoch == 1
    assert script.refunded() == sum(len(p) + PREFIX_BYTES for p in (*asked, ask(V, 9, 8), ask(V, 9, 9)))
    assert script.reports("connection_lost")[0]["cause"] == "shutdown"
    assert Disarm(Timer.PULSE) in script.new


def test_a_drain_lets_out_what_is_queued_then_leaves():
    script = with_settings(messages_per_second=2).ready()
    asked = [ask(V, 9, key) for key in range(5)]
    script.ask(*asked, after=5.0)
    script.step(Ordered(Event.DRAIN))
    assert script.core.state is State.DRAINING
    assert script.armed(Timer.STATE) == 2.0
    seen = []
    for after in (1.0, 0.5, 0.5):
        assert not any(isinstance(effect, Leave) for effect in script.new)
        seen += script.ring(Timer.RELEASE, after=after).written()
    assert seen == asked[2:]
    assert kinds(script.new).index(Write) < kinds(script.new).index(HangUp) < kinds(script.new).index(Leave)


def test_a_drain_that_takes_too_long_ends_without_blaming_anybody():
    script = with_settings(messages_per_second=1).ready().ask(*(ask(V, 9, key) for key in range(5)))
    script.step(Ordered(Event.DRAIN))
    script.ring(Timer.STATE, after=2.0)
    assert any(isinstance(effect, Leave) for effect in script.new)
    assert script.reports("connection_lost")[0]["cause"] == "shutdown"


@pytest.mark.parametrize("end", ["lost", "probes"])
def test_a_drain_whose_socket_breaks_is_over(end):
    settings = {"messages_per_second": 1, "pulse": PulseSettings(idle_seconds=0.1, probe_seconds=0.1, probes=2)}
    script = with_settings(**settings).ready().ask(*(ask(V, 9, key) for key in range(9)))
    script.step(Ordered(Event.DRAIN))
    if end == "lost":
        lose(script)
    for _ in range(8):
        if not any(isinstance(effect, Leave) for effect in script.new):
            script.ring(Timer.PULSE, after=1.2)
    assert any(isinstance(effect, Leave) for effect in script.new)


def test_the_pulse_goes_on_while_draining_and_stops_with_the_end():
    script = with_settings(messages_per_second=1).ready().ask(*(ask(V, 9, key) for key in range(5)))
    script.step(Ordered(Event.DRAIN))
    assert Disarm(Timer.PULSE) not in script.new
    script.ring(Timer.STATE, after=2.0)
    assert Disarm(Timer.PULSE) in script.new


@pytest.mark.parametrize("state", ["connecting", "handshaking", "starting", "waiting"])
def test_there_is_nothing_to_drain_before_the_gate_is_open(state):
    script = Script().greet()
    if state in ("handshaking", "starting"):
        script.connect()
    if state == "starting":
        script.hello()
    if state == "waiting":
        script.step(DialFailed(1, Cause.REFUSED, ""))
    script.step(ClientLeft())
    assert any(isinstance(effect, Leave) for effect in script.new)


def test_a_refused_client_hears_why_if_it_can_read_it():
    script = Script().greet().connect().hello()
    script.step(ClientRefused(Notice.ID_IN_USE, "7"))
    assert script.codes() == [(-1, 326)]
    assert any(isinstance(effect, Leave) for effect in script.new)
    silent = Script().greet()
    silent.step(ClientRefused(Notice.BAD_CLIENT))
    assert silent.codes() == []


# -- a client that goes and comes back ---------------------------------------------------------------------------------


def test_a_client_that_goes_takes_its_wishes_with_it_and_the_connection_stays():
    script = Script().ready()
    script.ask(ask(V, 59), ask(V, 1, 1), ask(V, 61), ask(V, 9, 2))
    script.step(ClientAway())
    numbers = [payload.split(b"\0")[0] for payload in script.written()]
    assert sorted(numbers) == [b"2", b"59", b"64"]
    assert script.core.view().state == "ready"
    assert (script.core.view().streams, script.core.view().reads) == (0, 0)
    script.step(ClientReturned(), after=1.0)
    assert [payload.split(b"\0")[0] for payload in script.written()] == [b"17", b"8"]
    assert script.codes() == []


def test_a_client_that_goes_while_the_gateway_is_away_leaves_only_its_cancels():
    script = lose(Script().ready()).ask(ask(V, 1, 1), ask(V, 4, 500), ask(V, 49), ask(V, 59))
    script.step(ClientAway())
    assert script.written() == []
    script.step(ClientReturned())
    script.step(Attended())
    assert script.codes() == [(-1, 1100)]
    script.again()
    assert [payload.split(b"\0")[0] for payload in script.written()] == [b"4", b"17", b"8"]
    assert script.codes()[-1:] == [(-1, 1102)]


def test_a_client_that_goes_gets_its_credit_back_for_questions_for_the_time_that_wait():
    script = Script().ready().ask(ask(V, 49), ask(V, 49))
    script.step(ClientAway())
    assert script.refunded() == 2 * (len(ask(V, 49)) + PREFIX_BYTES)


def test_orders_of_a_client_that_went_before_they_could_leave_still_leave():
    script = Script().greet().connect().hello().start().ask(ask(V, 3, 500))
    script.step(ClientAway())
    assert script.identify().verify().written() == [ask(V, 3, 500)]
    assert script.refunded() == len(ask(V, 3, 500)) + PREFIX_BYTES


def test_a_connection_whose_client_moved_to_another_ends():
    script = Script().ready()
    script.step(ClientMoved())
    assert any(isinstance(effect, Leave) for effect in script.new)


# -- successors --------------------------------------------------------------------------------------------------------


def test_the_successor_of_a_core_that_died_puts_everything_back_and_tells_of_the_outage():
    first = Script(settings=Settings(endpoints=ENDPOINTS, messages_per_second=2)).ready()
    first.ask(ask(V, 9, 1), ask(V, 1, 2), after=5.0)
    first.hear(tell(V, 10, 1)).ask(ask(V, 50, 3), ask(V, 3, 500), ask(V, 4, 501), ask(V, 9, 4))
    heir = Script(owed=first.owed)
    heir.now = first.now
    heir.step(Ordered(Event.START, "begun"))
    assert (heir.epoch, heir.core.state) == (2, State.CONNECTING)
    assert sorted(heir.codes()) == sorted([(500, 201), (1, 504), (-1, 1100)])
    assert heir.refunded() == 0
    heir.connect().hello().identify().verify()
    assert heir.written() == [ask(V, 4, 501), ask(V, 1, 2), ask(V, 50, 3), ask(V, 9, 4)]
    assert heir.codes()[-1:] == [(-1, 1102)]


def test_the_successor_of_a_paused_core_is_resumed_as_that_one_would_have_been():
    first = Script().ready()
    first.step(Ordered(Event.PAUSE))
    heir = Script(owed=first.owed)
    heir.step(Ordered(Event.RESUME))
    heir.connect().hello().identify().verify()
    assert heir.codes(heir.effects) == [(-1, 1102)]


def test_the_spacing_of_questions_for_the_time_outlives_a_core():
    first = Script().ready()
    heir = Script(owed=first.owed)
    heir.now = first.now + 0.4
    heir.step(Ordered(Event.START))
    heir.connect().hello().identify()
    assert Count("heartbeats") not in heir.new
    assert heir.armed(Timer.PULSE) == pytest.approx(0.7)


# -- what cannot be ----------------------------------------------------------------------------------------------------


def test_an_event_that_cannot_be_is_our_own_mistake():
    with pytest.raises(ImpossibleTransitionError):
        Script().ring(Timer.RETRY)


@pytest.mark.parametrize("timer", [Timer.RELEASE, Timer.HELD])
def test_a_timer_with_nothing_to_do_does_nothing(timer):
    assert Script().ready().ring(timer).new == []


def test_a_view_counts_what_waits_only_while_it_waits():
    script = with_settings(held=HeldSettings()).ready()
    script.ask(ask(V, 9, 1))
    assert script.core.view().held == 0
    lose(script).ask(ask(V, 9, 2), ask(V, 4, 500))
    assert script.core.view().held == 3


# -- parts that are begun anew -----------------------------------------------------------------------------------------


def test_a_link_that_is_begun_anew_by_order_is_dialled_at_once_and_no_failure():
    script = Script().ready()
    script.owed.ordered = "restart of its reader"
    lose(script, Cause.WRITE_FAILED)
    assert (script.core.state, BackOff in kinds(script.new)) == (State.WAITING, False)
    assert script.core.view().reason == "operator: restart of its reader"
    assert script.reports("connection_lost")[0]["cause"] == "operator"
    assert Count("disconnects", "operator") in script.new
    script.step(LinkRenewed())
    assert only(script.new, Dial).epoch == 2
    assert script.owed.ordered == ""
    lose(script, Cause.EOF, received=False)  # the next one is its own
    assert BackOff in kinds(script.new)


def test_a_dial_that_is_cut_short_by_order_is_neither_counted_nor_does_it_turn_to_the_next_endpoint():
    script = Script().greet()
    script.owed.ordered = "restart of its link"
    script.step(DialFailed(1, Cause.UNREACHABLE, "stopped while dialling"))
    assert script.reports("connect_failed")[0]["cause"] == "operator"
    assert not [effect for effect in script.new if effect in (Count("connect_failures", "other"), BackOff(0.0))]
    script.step(LinkRenewed())
    assert only(script.new, Dial).host == "gw0"


def test_one_that_rests_is_dialled_when_its_link_is_begun_anew_by_order():
    script = lose(Script().ready())
    script.owed.ordered = "restart of its link"
    script.step(LinkRenewed())
    assert only(script.new, Dial).epoch == 2


def test_a_link_that_died_of_a_mistake_is_lost_as_ever():
    script = Script().ready()
    script.step(LinkRenewed())
    assert script.reports("connection_lost")[0]["cause"] == "reader_died"
    assert BackOff in kinds(script.new)
    script.step(LinkRenewed())  # nothing is left to lose
    assert len(script.reports("connection_lost")) == 1


@pytest.mark.parametrize(("ordered", "cause"), [("moved to gw9:1", "operator"), ("", "session_died")])
def test_the_successor_of_a_session_tells_once_what_became_of_its_socket(ordered, cause):
    first = Script().ready()
    first.owed.ordered = ordered
    second = Script(owed=first.owed)
    second.step(Ordered(Event.START, "begun"))
    (lost,) = second.reports("connection_lost")
    assert (lost["epoch"], lost["cause"], lost["detail"]) == (1, cause, ordered)
    assert ("an operator asked for it: moved to gw9:1" in second.said()[0].text) == bool(ordered)
    assert second.owed.ordered == ""
    third = Script(owed=second.owed)
    third.step(Ordered(Event.START, "begun"))
    assert third.reports("connection_lost") == []  # of a dial there is nothing to tell


def test_a_pause_during_an_outage_is_no_outage_that_lasts():
    script = lose(Script().ready())
    script.step(Ordered(Event.PAUSE, "gateway moves"))
    script.step(Ordered(Event.RESUME), after=3600.0)
    script.connect().hello().identify().verify()
    assert not [
        effect for effect in script.effects if isinstance(effect, Observe) and effect.name == "recovery_duration"
    ]


def test_orders_of_a_client_whose_connection_is_paused_are_refused_in_these_words():
    script = Script().ready()
    script.step(Ordered(Event.PAUSE, "gateway moves"))
    script.ask(ask(V, 3, 1))
    assert "order not sent: an operator has paused the connection" in script.said()[0].text
    script.step(Ordered(Event.RESUME))
    script.step(DialFailed(2, Cause.REFUSED, ""))
    script.ask(ask(V, 3, 2))
    assert "order not sent: the gateway is away" in script.said()[0].text
