"""Requests that TWS drops, streams that it lets go, and a pace that it refuses: found out and mended."""

from __future__ import annotations

import pytest
from script import Script, lose, with_settings
from speech import VERSIONS, ask, error, payloads, tell

from backstay.protocol.commands import cancel_frame
from backstay.protocol.framing import PREFIX_BYTES
from backstay.session.client_words import ClientAway, ClientReturned
from backstay.session.repair import MAX_FARMS, NOT_READ
from backstay.session.settings import VerifySettings
from backstay.session.vocabulary import Count, FarmChanged, Resubscribe, Timer

V = 200
QUOTES = ask(V, 1, 5)
TICK = tell(V, 1, 5)
DETAILS = ask(V, 9, 6)
ROW, END = tell(V, 10, 6), tell(V, 52, 6)
LOST, LOST_DATA, KEPT_DATA = error(V, -1, 1100), error(V, -1, 1101), error(V, -1, 1102)


def cancel(payload: bytes, version: int = V) -> bytes:
    frame = cancel_frame(payload, version)
    assert frame is not None
    return frame[PREFIX_BYTES:]


def sign(script: Script) -> Script:
    """Something arrives that has nothing to do with any request: the link answers."""
    return script.hear(tell(script.version, 49))


def look(script: Script, after: float) -> list[bytes]:
    """The link answers, and the time to look comes."""
    late = min(0.1, after / 2)
    script.now += after - late
    sign(script)
    script.ring(Timer.VERIFY, after=late)
    return script.written()


# -- requests that were dropped ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("number", "first"), [(1, 1), (9, 10), (50, 50), (6, 6), (61, 61), (20, 17), (7, 11)])
def test_what_is_not_answered_is_sent_again_after_growing_waits_and_what_is_answered_is_not(version, number, first):
    script = Script(version=version).ready()
    payload = ask(version, number, 5, flag=number == 6)
    script.ask(payload)
    assert script.armed(Timer.VERIFY) == 5.0
    waits = []
    for wait in (5.0, 10.0, 20.0, 20.0):
        waits.append(script.armed(Timer.VERIFY))
        assert look(script, wait) == [payload]
    assert waits == [5.0, 10.0, 20.0, 20.0]
    script.hear(tell(version, first, None if number in (6, 61) else 5, done=False))
    assert look(script, 30.0) == []
    assert script.said(script.effects) == []


def test_silence_of_the_whole_link_is_no_silence_of_a_request():
    script = Script().ready().ask(QUOTES)
    script.ring(Timer.VERIFY, after=5.0)
    assert script.written() == []
    assert script.armed(Timer.VERIFY) == 1.0
    sign(script)
    script.ring(Timer.VERIFY, after=1.0)
    assert script.written() == [QUOTES]


def test_while_the_gateway_has_no_link_nothing_is_judged():
    script = Script().ready().ask(QUOTES).hear(LOST)
    assert look(script, 5.0) == []
    script.hear(KEPT_DATA)
    assert look(script, 5.0) == [QUOTES]


@pytest.mark.parametrize("code", [102, 322, 385, 386, 10278, 10281])
def test_that_a_repeated_request_had_arrived_is_not_told_and_it_is_not_repeated_again(code):
    script = Script().ready().ask(QUOTES)
    assert look(script, 5.0) == [QUOTES]
    script.hear(error(V, 5, code, "Duplicate ticker id"))
    assert script.passed == b""
    assert script.core.view().streams == 1
    assert look(script, 60.0) == []
    script.hear(error(V, 5, code))
    assert script.passed == error(V, 5, code), "only the answer to what was repeated is kept back"


def test_bars_that_are_kept_up_to_date_outlive_a_late_word_on_each_repeat_and_the_next_cut():
    bars = ask(V, 20, 6, flag=True)
    script = Script().ready().ask(bars)
    assert look(script, 5.0) == [bars]
    assert look(script, 10.0) == [bars]
    script.hear(error(V, 6, 386), error(V, 6, 386))
    assert script.passed == b""
    lose(script)
    script.again()
    assert script.written() == [bars]


def test_of_a_read_that_is_answered_twice_the_client_gets_one_answer():
    script = Script().ready().ask(DETAILS)
    assert look(script, 5.0) == [DETAILS]
    script.hear(ROW, END)
    assert script.passed == ROW + END
    script.hear(ROW, TICK, END)
    assert script.passed == TICK


def test_a_read_under_the_id_of_a_repeated_one_gets_its_own_answer():
    script = Script().ready().ask(DETAILS)
    look(script, 5.0)
    script.hear(ROW, END).ask(DETAILS).hear(ROW, END)
    assert script.passed == ROW + END


def test_a_read_that_is_never_answered_ends_with_an_error_and_its_cancel():
    script = with_settings(verify=VerifySettings(deadline_seconds=30.0)).ready()
    history = ask(V, 20, 6)
    script.ask(history)
    for wait in (5.0, 10.0):
        look(script, wait)
    assert look(script, 15.0) == [cancel(history)]
    assert script.codes() == [(6, 504)]
    assert script.core.view().reads == 0


def test_a_read_of_which_there_was_a_part_gets_more_time_but_not_for_ever():
    script = Script().ready().ask(DETAILS).hear(ROW)
    assert script.armed(Timer.VERIFY) is None
    assert look(script, 1_700.0) == []
    look(script, 101.0)
    assert script.codes() == [(6, 504)]


def test_a_kind_of_read_that_is_slow_is_given_more_time_the_next():
    script = Script().ready().ask(DETAILS)
    sign(script)
    script.hear(ROW, END, after=4.0)
    script.ask(ask(V, 9, 7))
    assert look(script, 7.9) == []
    assert look(script, 0.2) == [ask(V, 9, 7)]


def test_repeating_stops_when_repeats_are_answered_by_errors():
    script = Script().ready()
    for key in range(100, 110):
        script.ask(ask(V, 9, key), after=2.0)
    look(script, 30.0)
    script.hear(*(error(V, key, 200) for key in range(100, 110)))
    script.ask(DETAILS)
    assert look(script, 6.0) == []


def test_after_a_new_socket_waits_begin_anew():
    script = Script().ready().ask(QUOTES)
    assert look(script, 5.0) == [QUOTES]
    lose(script).again()
    assert look(script, 5.0) == [QUOTES]


def test_a_stream_that_is_cancelled_is_awaited_no_longer():
    script = Script().ready().ask(QUOTES).ask(cancel(QUOTES))
    assert script.sieve.awaited == {}
    assert look(script, 5.0) == []


# -- streams that may have stopped -------------------------------------------------------------------------------------


def test_after_1102_only_streams_that_stay_silent_are_asked_for_again():
    bars = ask(V, 50, 8)
    script = Script().ready().ask(QUOTES, bars).hear(TICK, tell(V, 50, 8)).hear(LOST).hear(KEPT_DATA)
    assert script.written() == []
    script.hear(TICK)
    assert look(script, 20.0) == [cancel(bars), bars]
    script.hear(tell(V, 50, 8))
    assert look(script, 60.0) == []


def test_what_speaks_only_when_something_happens_is_left_alone_after_1102():
    positions = ask(V, 61)
    script = Script().ready().ask(positions).hear(tell(V, 61)).hear(LOST).hear(KEPT_DATA)
    assert look(script, 60.0) == []


def test_a_farm_that_comes_back_has_only_its_own_silent_streams_repaired():
    history = ask(V, 20, 8, flag=True)
    script = Script().ready().ask(QUOTES, history).hear(TICK, tell(V, 17, 8))
    script.hear(error(V, -1, 2103, "Market data farm connection is broken:usfarm"))
    assert FarmChanged("usfarm", works=False) in script.new
    assert look(script, 60.0) == []
    script.hear(error(V, -1, 2104, "Market data farm connection is OK:usfarm"))
    assert FarmChanged("usfarm", works=True) in script.new
    assert look(script, 10.0) == [cancel(QUOTES), QUOTES]


def test_word_of_a_farm_that_was_never_broken_changes_nothing():
    script = Script().ready().ask(QUOTES).hear(TICK)
    script.hear(error(V, -1, 2104, "Market data farm connection is OK:usfarm"))
    assert script.reports("farm_changed") == []
    assert look(script, 60.0) == []


@pytest.mark.parametrize(
    ("number", "code", "delay"), [(50, 10225, 0.5), (10, 316, 1.0), (20, 10182, 5.0), (1, 10197, 30.0)]
)
def test_a_stream_that_tws_lets_go_is_asked_for_again_and_not_without_end(number, code, delay):
    payload = ask(V, number, 5, flag=number == 20)
    script = Script().ready().ask(payload)
    for turn in range(5):
        script.hear(error(V, 5, code))
        assert script.passed == error(V, 5, code), "the client hears of it"
        assert look(script, 0.9 * delay * 2**turn) == []
        assert look(script, 0.2 * delay * 2**turn) == [cancel(payload), payload]
    script.hear(error(V, 5, code))
    assert look(script, 1_000.0) == []


def worn_out() -> Script:
    """A stream that was let go and asked for again as often as on one socket it may be."""
    script = Script().ready().ask(QUOTES)
    for turn in range(5):
        script.hear(error(V, 5, 10197))
        assert look(script, 30.1 * 2**turn) == [cancel(QUOTES), QUOTES]
    return script.hear(TICK)


def test_a_stream_that_has_flowed_for_an_hour_may_be_let_go_again():
    script = worn_out()
    script.now += 3_600.0
    script.hear(error(V, 5, 10197))
    assert look(script, 30.1) == [cancel(QUOTES), QUOTES]


def test_a_new_socket_gives_a_stream_its_renewals_back():
    script = lose(worn_out()).again().hear(TICK, error(V, 5, 10197))
    assert look(script, 30.1) == [cancel(QUOTES), QUOTES]


# -- the pace ----------------------------------------------------------------------------------------------------------


def test_a_request_refused_for_its_pace_is_kept_from_the_client_and_sent_again():
    script = Script().ready().ask(DETAILS)
    script.hear(error(V, 6, 100, "Max rate of messages per second has been exceeded"))
    assert script.passed == b""
    assert look(script, 1.0) == [DETAILS]
    script.hear(ROW, END)
    assert script.passed == ROW + END


def test_too_fast_pauses_for_a_second_and_halves_the_rate_for_a_minute():
    script = with_settings(messages_per_second=10).ready()
    script.hear(error(V, -1, 100))
    script.ask(*(ask(V, 9, key) for key in range(30)))
    assert script.written() == []
    assert script.armed(Timer.RELEASE) == pytest.approx(1.0)
    assert released(script, within=1.9) == 5
    assert 12 * 5 - 1 <= released(script.ask(*(ask(V, 9, key) for key in range(30, 200))), within=12.0) <= 12 * 5 + 1
    script.now += 60.0
    assert 9 <= released(script, within=1.0) <= 10


def released(script: Script, *, within: float) -> int:
    """How many requests leave within so many seconds, each when its time has come."""
    end, count = script.now + within, 0
    while (wait := script.armed(Timer.RELEASE) or 0.0) + script.now <= end:
        count += len(script.ring(Timer.RELEASE, after=wait).written())
    return count


def test_too_fast_without_an_id_has_all_that_was_just_sent_looked_at_soon():
    script = Script().ready().ask(DETAILS, QUOTES)
    script.hear(TICK)
    script.hear(error(V, -1, 100))
    assert look(script, 1.1) == [DETAILS]


@pytest.mark.parametrize("code", sorted(NOT_READ))
def test_a_refusal_without_an_id_of_the_only_thing_that_has_left_is_its_answer(code):
    script = Script().ready()
    script.now += 2.0
    script.ask(QUOTES)
    script.hear(error(V, -1, code))
    assert [look(script, wait) for wait in (5.0, 10.0, 20.0)] == [[], [], []]


def test_a_read_that_was_refused_without_an_id_ends_at_its_deadline():
    script = Script().ready()
    script.now += 2.0
    script.ask(DETAILS)
    script.hear(error(V, -1, 320))
    assert look(script, 200.0) == []
    assert (6, 504) not in script.codes(script.effects)
    look(script, 40.0)
    assert (6, 504) in script.codes(script.effects)


def test_a_read_without_an_id_that_was_refused_takes_no_answer_of_the_next():
    first, second = ask(V, 91, 32), ask(V, 91, 26)
    script = Script().ready()
    script.now += 2.0
    script.ask(first)
    script.hear(error(V, -1, 321))
    script.now += 2.0
    script.ask(second)
    script.written()
    script.hear(tell(V, 93, 26))
    assert [look(script, wait) for wait in (5.0, 10.0, 20.0)] == [[], [], []]


@pytest.mark.parametrize(
    ("asked", "code", "after"),
    [((QUOTES, DETAILS), 320, 0.0), ((ask(V, 59), QUOTES), 320, 0.0), ((QUOTES,), 200, 0.0), ((QUOTES,), 320, 1.5)],
    ids=["two requests", "a setting beside it", "another code", "too late"],
)
def test_a_refusal_without_an_id_that_may_be_about_something_else_stops_no_repeat(asked, code, after):
    script = Script().ready()
    script.now += 2.0
    script.ask(*asked)
    script.now += after
    script.hear(error(V, -1, code))
    assert QUOTES in look(script, 5.0)


@pytest.mark.parametrize("named", [900, -1])
def test_what_is_too_fast_and_not_ours_to_mend_is_told(named):
    script = Script().ready().ask(ask(V, 3, 900))
    script.hear(error(V, named, 100, "too fast"))
    assert script.codes() == [(named, 100)]


def test_what_is_said_on_our_own_account_carries_its_time():
    script = Script().ready()
    lose(script)
    assert [said.time_ms for said in script.said()] == [round((script.wall_offset + script.now) * 1000)]


def test_a_historical_pacing_violation_is_waited_out():
    history = ask(V, 20, 6)
    script = Script().ready().ask(history)
    script.hear(error(V, 6, 162, "Historical data request pacing violation"))
    assert script.passed == b""
    assert look(script, 14.9) == []
    assert look(script, 0.2) == [history]
    script.hear(error(V, 6, 162, "HMDS query returned no data"))
    assert payloads(script.passed) == payloads(error(V, 6, 162, "HMDS query returned no data"))


# -- asked for again by an operator ------------------------------------------------------------------------------------


def test_an_operator_has_all_streams_cancelled_and_asked_for_again():
    script = Script().ready().ask(QUOTES).hear(TICK)
    script.step(Resubscribe(stale=False))
    assert script.written() == [cancel(QUOTES), QUOTES]


def test_an_operator_has_only_the_silent_streams_asked_for_again_and_only_after_a_while():
    script = Script().ready().ask(QUOTES, ask(V, 1, 7)).hear(TICK, tell(V, 1, 7))
    script.step(Resubscribe(stale=True))
    assert script.written() == []
    script.hear(tell(V, 1, 7))
    assert look(script, VerifySettings().watch_seconds) == [cancel(QUOTES), QUOTES]


def test_an_operator_has_a_stream_that_was_given_up_asked_for_again_at_once_and_as_often_as_before():
    script = with_settings(verify=VerifySettings(repeats=1)).ready().ask(QUOTES, ask(V, 1, 7)).hear(tell(V, 1, 7))
    assert look(script, 5.0) == [QUOTES]
    assert look(script, 10.0) == []
    script.step(Resubscribe(stale=True))
    assert script.written() == [cancel(QUOTES), QUOTES]
    script.step(Resubscribe(stale=True))  # it is on its way already
    assert script.written() == []
    script.hear(tell(V, 1, 7))
    assert look(script, 5.0) == [QUOTES]


@pytest.mark.parametrize("stale", [True, False])
def test_while_the_gateway_is_away_there_is_nothing_to_ask_for_again_before_it_is_back(stale):
    script = lose(Script().ready().ask(QUOTES).hear(TICK))
    script.step(Resubscribe(stale=stale))
    assert script.written() == []
    script.again()
    assert script.written(script.effects).count(QUOTES) == 2


def test_farms_that_are_named_without_end_are_not_all_remembered():
    script = Script().ready()
    for number in range(MAX_FARMS + 5):
        script.hear(error(V, -1, 2103, f"Market data farm connection is broken:farm{number}"))
    assert len(script.core.broken_farms) == MAX_FARMS
    script.hear(error(V, -1, 2104, "Market data farm connection is OK:farm0"))
    assert len(script.core.broken_farms) == MAX_FARMS - 1


def test_streams_that_wait_for_the_pace_to_be_put_back_are_not_judged_meanwhile():
    quotes = [ask(V, 1, key) for key in range(30)]
    script = with_settings(messages_per_second=2).ready()
    assert script.ask(quotes[0], after=1.0).written() == [quotes[0]]
    script.ask(*quotes[1:]).hear(LOST_DATA)
    repeated = [effect for effect in script.effects if effect == Count("requests_repeated")]
    look(script, 5.0)
    assert [effect for effect in script.effects if effect == Count("requests_repeated")] == repeated
    assert len(script.written(script.effects)) < len(quotes)


def test_what_is_asked_for_the_client_is_repeated_so_often_and_then_left():
    script = with_settings(verify=VerifySettings(repeats=1)).ready()
    script.step(ClientAway())
    script.step(ClientReturned())
    asked = script.written()
    assert len(asked) == 2
    assert sorted(look(script, 5.0)) == sorted(asked)
    assert look(script, 1_000.0) == []


def test_a_stream_that_was_given_up_has_failed_once_whatever_is_said_of_it_later():
    script = with_settings(verify=VerifySettings(repeats=0)).ready().ask(QUOTES)
    look(script, 5.0)
    failures = [effect for effect in script.effects if effect == Count("request_failures", "market_data")]
    assert len(failures) == 1
    script.hear(error(V, 5, 200))
    assert [effect for effect in script.effects if effect == Count("request_failures", "market_data")] == failures
