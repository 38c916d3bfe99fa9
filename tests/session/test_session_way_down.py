"""The way down: losses, silence, IB's own outages, and word that comes late."""

from __future__ import annotations

import pytest
from script import Script, lose, only
from speech import accounts, ask, chunk, error, next_id, order_status, tell

from backstay.protocol.framing import PREFIX_BYTES, text
from backstay.session.causes import Cause
from backstay.session.lifecycle import Event, Link, State
from backstay.session.vocabulary import (
    Answered,
    Connected,
    Count,
    Dial,
    DialFailed,
    HangUp,
    Lost,
    Noted,
    Observe,
    Ordered,
    Settle,
    Timer,
)

V = 200


# -- the way down ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", [c for c in Cause if c not in (Cause.OPERATOR, Cause.SHUTDOWN)])
def test_every_loss_is_told_once_with_its_code(cause):
    script = lose(Script().ready(), cause)
    report = script.reports("connection_lost")
    assert [(entry["epoch"], entry["cause"], entry["code"]) for entry in report] == [
        (1, cause.value, cause.row.tws_code)
    ]
    assert Count("disconnects", cause.row.disconnect_reason) in script.new
    assert script.codes() == [(-1, 1100)]
    assert str(cause.row.tws_code) in script.said()[0].text
    script.again()
    assert script.codes()[-1:] == [(-1, 1102)]
    assert (
        only([e for e in script.new if isinstance(e, Observe) and e.name == "recovery_duration"], Observe).seconds > 0
    )


def test_an_outage_is_told_once_however_many_dials_it_takes():
    script = lose(Script().ready())
    for _ in range(5):
        script.ring(Timer.RETRY, after=1.0)
        script.step(DialFailed(script.epoch, Cause.REFUSED, ""))
    script.again()
    assert script.codes(script.effects) == [(-1, 1100), (-1, 1102)]


def test_silence_is_probed_and_ends_the_connection():
    script = Script().ready()
    script.ring(Timer.PULSE, after=5.0)
    assert Count("heartbeats") in script.new
    assert script.armed(Timer.PULSE) == 10.0
    script.ring(Timer.PULSE, after=10.0)
    assert Count("heartbeat_failures") in script.new
    assert script.core.state is State.READY
    script.ring(Timer.PULSE, after=10.0)
    assert script.reports("connection_lost")[0]["cause"] == "silent"


def test_any_byte_keeps_the_connection():
    script = Script().ready()
    for _ in range(20):
        script.heard_at = script.now + 4.0
        script.ring(Timer.PULSE, after=4.5)
        assert script.armed(Timer.PULSE) == pytest.approx(4.5)
    assert script.core.state is State.READY


def test_a_late_answer_to_a_probe_is_no_answer_to_anything():
    script = Script().ready().hear(tell(V, 49), after=1.0)
    assert script.new == []


def test_a_connection_that_lasts_proves_itself():
    script = Script().ready().ring(Timer.STABLE, after=30.0)
    assert Settle() in script.new


def test_a_moved_port_is_dialled_from_then_on_and_the_old_one_if_that_fails():
    script = Script().ready().hear(error(V, -1, 1300, "new port: 4009"))
    assert script.reports("connection_lost")[0]["code"] == 1300
    for _ in range(2):
        script.ring(Timer.RETRY, after=1.0)
        dial = only(script.new, Dial)
        assert (dial.host, dial.port) == ("gw0", 4009)
        script.connect().hello().identify().verify()
        lose(script)
    script.ring(Timer.RETRY, after=1.0)
    script.step(DialFailed(script.epoch, Cause.REFUSED, ""))
    script.ring(Timer.RETRY, after=1.0)
    assert only(script.new, Dial).port == 4001


def test_a_moved_port_nobody_can_read_is_a_lost_socket():
    script = Script().ready().hear(error(V, -1, 1300, "somewhere else"))
    script.ring(Timer.RETRY, after=1.0)
    assert only(script.new, Dial).port == 4001


@pytest.mark.parametrize("code", [1100, 2110])
def test_a_gateway_without_ib_is_degraded_and_its_socket_stays(code):
    script = Script().ready()
    for _ in range(5):
        script.hear(error(V, -1, code))
    assert script.core.view().state == "degraded"
    assert script.core.link is Link.DOWN
    assert len(script.reports("upstream_lost")) == 1
    assert not any(isinstance(effect, HangUp) for effect in script.effects)
    script.hear(error(V, -1, 1102))
    assert script.core.view().state == "ready"
    assert Count("upstream_interruptions", "kept") in script.new


def test_what_was_known_of_ib_is_forgotten_with_the_socket():
    script = Script().ready().hear(error(V, -1, 1100))
    lose(script).again()
    assert script.core.link is Link.UP
    assert script.core.view().state == "ready"


def test_a_gateway_that_loses_ib_while_it_is_verified_is_degraded_when_ready():
    script = Script().greet().connect().hello().start().hear(error(V, -1, 1100)).identify().verify()
    assert script.core.view().state == "degraded"


def test_lost_data_before_the_gate_is_open_needs_nothing_asked_again():
    script = Script().greet().connect().hello().start().identify().hear(error(V, -1, 1101))
    assert script.written() == []
    assert Count("upstream_interruptions", "lost") in script.new


def test_errors_are_counted_by_category_and_one_that_cannot_be_read_is_not():
    script = Script().ready().hear(error(V, 7, 200), text(4, "x"))
    assert [effect for effect in script.new if isinstance(effect, Count)] == [Count("api_errors", "contract")]


# -- frames of the epoch that was left ---------------------------------------------------------------------------------


def test_word_of_another_epoch_has_no_effect():
    script = Script().ready()
    view = script.core.view()
    for epoch in (0, 2):
        for event in (
            Connected(epoch),
            DialFailed(epoch, Cause.DNS, ""),
            Lost(epoch, Cause.EOF, ""),
            Answered(epoch, b""),
            Noted(epoch, ((9, next_id(V)[PREFIX_BYTES:], True),)),
        ):
            assert script.step(event) == []
    assert script.core.view() == view


def test_an_end_that_comes_behind_our_own_hanging_up_is_not_told_again():
    script = Script().ready()
    script.step(Ordered(Event.PAUSE))
    lose(script)
    assert script.new == []
    assert len(script.reports("connection_lost")) == 1


def late(script: Script, *frames: bytes) -> Script:
    """Frames that the sieve had passed on when the session hung up, and that the session hears of afterwards."""
    notes = script.sieve.sift(chunk(*frames)).notes
    script.step(Ordered(Event.RESTART))
    script.step(Noted(script.epoch - 1, notes))
    return script


def test_what_the_client_had_from_the_old_socket_is_not_asked_again():
    script = Script().ready().ask(ask(V, 9, 1), ask(V, 9, 2), ask(V, 9, 3), ask(V, 1, 4), ask(V, 3, 500))
    late(script, tell(V, 52, 1), tell(V, 10, 2), error(V, 4, 200), tell(V, 49))
    script.connect().hello().identify().verify()
    assert script.written() == [ask(V, 9, 3)]
    assert (2, 504) in script.codes()


def test_marks_that_reached_the_client_late_are_not_given_to_it_again():
    script = Script().greet().connect().hello().start()
    late(script, next_id(V), accounts(V))
    assert (script.owed.next_id_given, script.owed.accounts_given) == (True, True)
    assert script.core.state is State.CONNECTING


def test_word_of_an_order_that_comes_late_makes_its_next_loss_no_doubt():
    script = Script().ready().ask(ask(V, 3, 500))
    notes = script.sieve.sift(chunk(order_status(V, 501))).notes
    script.step(Ordered(Event.PAUSE))
    assert (500, 2165) in script.codes()
    script.step(Noted(1, notes))
    assert script.owed.ledger.order_known(501)


def test_a_half_answer_may_still_find_its_end_before_the_old_socket_does():
    script = Script().ready().ask(ask(V, 9, 1), ask(V, 9, 2)).hear(tell(V, 10, 1), tell(V, 10, 2))
    late(script, tell(V, 52, 1))
    assert script.codes() == []
    script.step(Lost(1, Cause.EOF, ""))
    assert script.codes() == [(2, 504)]
    script.connect().hello().identify().verify()
    assert script.written() == []


def test_frames_behind_the_one_that_ended_the_epoch_count_too():
    script = Script().ready().ask(ask(V, 9, 1))
    script.hear(error(V, -1, 1300, "new port: 4009"), tell(V, 52, 1))
    assert script.again().written() == []


def test_once_the_gate_is_open_again_nothing_of_the_old_socket_counts():
    script = Script().ready().ask(ask(V, 9, 1))
    script.step(Ordered(Event.RESTART))
    script.connect().hello().identify().verify()
    script.step(Noted(1, ((52, tell(V, 52, 1)[PREFIX_BYTES:], True),)))
    assert script.core.view().reads == 1


def test_a_socket_that_opens_too_late_is_no_news():
    script = lose(Script().ready())
    late = script.epoch
    script.ring(Timer.RETRY, after=1.2)
    assert script.step(Connected(late)) == []
    assert script.step(Answered(late, b"200\0now\0")) == []
