"""The way up: greeting, answers, redirects, identification, verification, and every way to fail on it."""

from __future__ import annotations

import pytest
from script import ENDPOINTS, Script, kinds, lose, only, with_settings
from speech import CLIENT_ID, VERSIONS, accounts, ask, error, hello, next_id

from backstay.protocol.commands import start_api
from backstay.protocol.framing import PREFIX_BYTES, frame, text
from backstay.protocol.handshake import VersionRange, greeting
from backstay.session.calling import MAX_OPTIONS_BYTES
from backstay.session.causes import Cause
from backstay.session.client_words import ClientGreeted, ClientLeft, ClientStarted
from backstay.session.core import RESOLVE_SECONDS
from backstay.session.lifecycle import Event, State
from backstay.session.owed import Owed
from backstay.session.settings import capped, offers_something
from backstay.session.sieve_words import Tune
from backstay.session.vocabulary import (
    Answered,
    BackOff,
    Count,
    Deliver,
    Dial,
    DialFailed,
    HangUp,
    Observe,
    Ordered,
    Remember,
    Timer,
    Write,
)

V = 200


# -- the way up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_the_usual_way_up(version):
    script = Script(version=version)
    script.greet(low=100)
    dial = only(script.new, Dial)
    assert (dial.epoch, dial.host, dial.port) == (1, "gw0", 4001)
    assert dial.greeting == greeting(VersionRange(100, version))
    assert only(script.new, Tune) == Tune(1, hold_next_id=False, hold_accounts=False)
    assert script.armed(Timer.STATE) == dial.timeout_seconds + RESOLVE_SECONDS
    script.connect()
    assert script.core.state is State.HANDSHAKING
    script.hello()
    assert only(script.new, Deliver).data == hello(version)
    assert only(script.new, Remember).hello.version == version
    assert script.core.state is State.STARTING
    script.start()
    assert only(script.new, Write).data == start_api(version, CLIENT_ID, b"")
    script.identify()
    assert Count("heartbeats") in script.new
    script.verify()
    assert script.core.view().state == "ready"
    assert script.armed(Timer.STABLE) == 30.0
    assert only([e for e in script.new if isinstance(e, Observe) and e.name == "connect_duration"], Observe)
    view = script.core.view()
    assert (view.epoch, view.version, view.client_id) == (1, version, CLIENT_ID)


def test_options_travel_with_the_greeting_but_not_without_measure():
    script = Script()
    script.step(ClientGreeted(VersionRange(100, V), b"x" * 5000))
    assert only(script.new, Dial).greeting == greeting(VersionRange(100, V), b"x" * MAX_OPTIONS_BYTES)


def test_an_offer_is_capped_to_what_can_be_read():
    assert capped(VersionRange(38, 999)) == VersionRange(100, 226)
    script = Script()
    script.step(ClientGreeted(VersionRange(38, 999), b""))
    assert only(script.new, Dial).greeting == greeting(VersionRange(100, 226))


def test_a_second_start_of_the_client_changes_nothing():
    script = Script().ready()
    assert script.step(ClientStarted(99, b"")) == []
    assert script.core.view().client_id == CLIENT_ID


def test_a_client_that_starts_late_is_waited_for():
    script = Script().greet().connect().hello()
    assert script.armed(Timer.STATE) is None
    script.start()
    assert script.armed(Timer.STATE) == 60.0


def test_a_session_of_our_own_starts_by_itself_and_is_told_nothing_of_outages():
    owed = Owed(offer=VersionRange(176, V), start=ClientStarted(900, b""))
    script = Script(owed=owed)
    script.step(Ordered(Event.START))
    script.connect().hello()
    assert only(script.new, Write).data == start_api(V, 900)
    assert not any(isinstance(effect, Deliver) for effect in script.new)
    script.identify().verify()
    assert script.core.view().state == "ready"
    lose(script).again()
    assert script.codes(script.effects) == []


def test_without_an_offer_nobody_is_dialled_and_the_timer_brings_another_try():
    script = Script()
    script.step(Ordered(Event.START))
    assert not any(isinstance(effect, Dial) for effect in script.new)
    script.ring(Timer.STATE, after=10.0)
    assert script.core.state is State.WAITING
    assert script.reports("connect_failed") == []


def test_a_reconnect_offers_the_version_that_was_agreed_upon_and_holds_back_what_the_client_has():
    script = lose(Script(version=178).ready())
    script.ring(Timer.RETRY, after=1.0)
    assert only(script.new, Dial).greeting == greeting(VersionRange(178, 178))
    assert only(script.new, Tune) == Tune(2, hold_next_id=True, hold_accounts=True)


# -- answers to the greeting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "cause", "state"),
    [
        (text(99, "now"), Cause.VERSION, State.PARKED),
        (text(227, "now"), Cause.VERSION, State.PARKED),
        (text("x", "now"), Cause.NOT_TWS, State.WAITING),
        (frame(b"HTTP/1.1"), Cause.NOT_TWS, State.WAITING),
        (text(-1, "elsewhere:4001"), Cause.REDIRECTED, State.WAITING),
        (text(-1, "a b"), Cause.NOT_TWS, State.WAITING),
    ],
)
def test_an_answer_that_cannot_be_used_ends_the_dial_with_its_cause(answer, cause, state):
    script = with_settings(endpoints=ENDPOINTS[:1]).greet().connect().hello(answer)
    assert script.core.state is state
    assert script.reports("connect_failed")[0]["cause"] == cause.value
    assert Count("connect_failures", cause.row.connect_reason) in script.new
    if state is State.PARKED:
        assert script.armed(Timer.RETRY) == 60.0
        script.ring(Timer.RETRY, after=60.0)
        assert only(script.new, Dial).epoch == 2
    else:
        assert only(script.new, BackOff).floor_seconds == cause.row.floor.seconds


def test_a_redirect_to_another_port_is_followed_at_once_and_only_so_often():
    script = Script().greet()
    for port in (4003, 4004):
        script.connect().hello(text(-1, f"gw0:{port}"))
        dial = only(script.new, Dial)
        assert (dial.host, dial.port) == ("gw0", port)
        assert kinds(script.new).index(HangUp) < kinds(script.new).index(Dial)
    script.connect().hello(text(-1, "gw0"))
    assert script.core.state is State.WAITING
    assert script.reports("connect_failed")[-1]["detail"] == "to gw0:4004"
    script.ring(Timer.RETRY, after=6.0)
    assert only(script.new, Dial).port == 4001
    script.connect().hello(text(-1, "gw1:4005"))
    assert only(script.new, Dial).port == 4005, "a new dial may be redirected again"


def test_a_redirect_to_another_host_is_followed_where_that_is_allowed():
    script = with_settings(redirect_anywhere=True).greet().connect().hello(text(-1, "elsewhere"))
    dial = only(script.new, Dial)
    assert (dial.host, dial.port) == ("elsewhere", 4001)


def test_a_client_that_was_introduced_by_an_older_hello_is_dialled_for_again_exactly():
    """The offer was a range, the client has meanwhile been told a lower version, and the gateway answers a higher."""
    script = Script(version=178)
    script.step(ClientGreeted(VersionRange(100, V), b"", None))
    script.connect()
    script.owed.version = 178
    script.step(Answered(1, hello(V)[PREFIX_BYTES:]))
    assert only(script.new, Dial).greeting == greeting(VersionRange(178, 178))
    script.connect()
    script.step(Answered(2, hello(V)[PREFIX_BYTES:]))
    assert script.core.state is State.PARKED


# -- silence and ends on the way up ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "received", "seen_as"),
    [
        (Cause.EOF, False, Cause.REJECTED),
        (Cause.RESET, False, Cause.REJECTED),
        (Cause.EOF, True, Cause.EOF),
        (Cause.BAD_FRAME, True, Cause.NOT_TWS),
        (Cause.WRITE_FAILED, False, Cause.WRITE_FAILED),
        (Cause.READER_DIED, False, Cause.READER_DIED),
    ],
)
def test_an_end_before_the_answer_is_told_apart_from_a_broken_network(cause, received, seen_as):
    script = lose(Script().greet().connect(), cause, received=received)
    assert script.reports("connect_failed")[0]["cause"] == seen_as.value
    assert script.core.state is State.WAITING


@pytest.mark.parametrize("cause", [Cause.REFUSED, Cause.DNS, Cause.DIAL_TIMEOUT, Cause.UNREACHABLE])
def test_a_failed_dial_goes_round_the_endpoints(cause):
    script = Script().greet()
    hosts = []
    for _ in range(4):
        script.step(DialFailed(script.epoch, cause, "x"))
        assert Count("connect_failures", cause.row.connect_reason) in script.new
        script.ring(Timer.RETRY, after=1.0)
        hosts.append(only(script.new, Dial).host)
    assert hosts == ["gw1", "gw0", "gw1", "gw0"]


def test_a_lost_connection_is_dialled_where_it_was():
    script = lose(Script().ready())
    script.ring(Timer.RETRY, after=1.0)
    assert only(script.new, Dial).host == "gw0"


@pytest.mark.parametrize("cached", [False, True])
def test_an_unanswered_greeting_keeps_its_socket_and_the_client_is_told_if_it_can_be(cached):
    script = Script().greet(cached=cached).connect().ring(Timer.STATE, after=10.0)
    assert script.core.state is State.AWAITING_ACCEPTANCE
    assert not any(isinstance(effect, HangUp) for effect in script.new)
    assert script.armed(Timer.STATE) == 600.0
    introduced = any(isinstance(effect, Deliver) for effect in script.new)
    assert introduced is cached
    if cached:
        script.start()
        assert script.codes() == [(-1, 1100)]
        script.hello().identify().verify()
        assert script.codes()[-1:] == [(-1, 1102)]
    else:
        script.hello().start().identify().verify()
        assert script.codes(script.effects) == []


def test_a_greeting_that_is_never_answered_is_given_up_after_ten_minutes():
    script = with_settings(endpoints=ENDPOINTS[:1]).greet().connect()
    script.ring(Timer.STATE, after=10.0).ring(Timer.STATE, after=600.0)
    assert script.reports("connect_failed")[0]["cause"] == "dialog"
    assert only(script.new, BackOff).floor_seconds == 60.0


@pytest.mark.parametrize(("ready", "cause"), [(False, "dial_timeout"), (True, "not_started")])
def test_a_state_that_lasts_too_long_ends_the_dial(ready, cause):
    script = Script().greet()
    if ready:
        script.connect().hello().start()
    script.ring(Timer.STATE, after=60.0)
    assert script.reports("connect_failed")[0]["cause"] == cause
    assert only(script.new, HangUp).epoch == 1


@pytest.mark.parametrize("first", [9, 15])
def test_one_of_the_two_marks_is_not_enough(first):
    script = Script().greet().connect().hello().start()
    marks = {9: next_id(V), 15: accounts(V)}
    script.hear(marks[first])
    assert script.core.state is State.STARTING
    script.hear(marks[first])
    assert script.core.state is State.STARTING
    script.hear(marks[24 - first])
    assert script.core.state is State.VERIFYING


def test_nothing_but_probes_leaves_before_one_is_answered():
    script = Script().greet().connect().hello().start().ask(ask(V, 9, 1), ask(V, 3, 500)).identify()
    assert script.written() == []
    script.ring(Timer.PULSE, after=5.0)
    assert Count("heartbeat_failures") in script.new
    assert Count("heartbeats") in script.new
    assert script.written() == []
    script.verify()
    assert script.written() == [ask(V, 3, 500), ask(V, 9, 1)]


def test_a_gateway_that_answers_no_probe_is_given_up_as_unresponsive():
    script = Script().greet().connect().hello().start().identify()
    for _ in range(12):
        script.ring(Timer.PULSE, after=5.0)
    assert script.reports("connect_failed")[0]["cause"] == "unresponsive"


def test_an_id_in_use_parks_the_session_at_the_sixth_time():
    script = with_settings(endpoints=ENDPOINTS[:1]).greet()
    for turn in range(1, 8):
        script.connect().hello()
        if turn == 1:
            script.start()
        script.hear(error(V, -1, 326, "in use"))
        assert script.core.state is (State.PARKED if turn >= 6 else State.WAITING)
        if turn < 6:
            assert only(script.new, BackOff).floor_seconds == 5.0
        script.ring(Timer.RETRY, after=60.0)
    assert (-1, 326) not in script.codes(script.effects)


def test_an_id_in_use_is_only_heard_while_starting():
    script = Script().ready().hear(error(V, -1, 326))
    assert script.core.state is State.READY


@pytest.mark.parametrize(
    ("low", "high", "offered"),
    [(100, 226, True), (226, 300, True), (1, 100, True), (1, 99, False), (227, 300, False), (150, 150, True)],
)
def test_an_offer_is_worth_something_if_it_has_a_version_that_can_be_read(low, high, offered):
    assert offers_something(VersionRange(low, high)) is offered


def test_a_client_that_leaves_while_its_gateway_is_dialled_is_no_failure_of_the_gateway():
    script = Script().greet()
    script.step(ClientLeft())
    assert script.core.state is State.STOPPED
    assert script.reports("connect_failed") == []
    assert Count("connect_failures", "other") not in script.effects
