"""What becomes of a client's requests while the gateway is there: order, rate, clocks, read-only, 1101."""

from __future__ import annotations

import pytest
from script import ENDPOINTS, Script, lose, size, with_settings
from speech import VERSIONS, ask, error

from backstay.protocol.commands import cancel_frame
from backstay.protocol.framing import PREFIX_BYTES, text
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind
from backstay.session.settings import PulseSettings, Settings
from backstay.session.sieve_words import Mute, PassClock
from backstay.session.vocabulary import Count, Timer, Write

V = 200


def cancel(payload: bytes) -> bytes:
    frame = cancel_frame(payload, V)
    assert frame is not None
    return frame[PREFIX_BYTES:]


# -- healthy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_in_health_every_request_leaves_as_it_came_and_in_its_order(version):
    script = Script(version=version).ready()
    numbers = [n for n, request in REQUESTS.items() if request.since <= version and request.kind is not Kind.HANDSHAKE]
    numbers = [n for n in numbers if n not in (49, 16)]  # the time; the other one of a family
    payloads = [ask(version, n, 40 + n, word=str(n), flag=n in (6, 10)) for n in numbers]
    payloads += [text(240, 1)[PREFIX_BYTES:]] if version <= 200 else [b"\0\0\x01\xb8x"]
    for turn in range(0, len(payloads), 40):
        part = payloads[turn : turn + 40]
        script.ask(*part, after=1.1)
        assert script.written() == part
        assert sum(isinstance(effect, Write) for effect in script.new) == 1
    assert script.said(script.effects) == []
    assert script.refunded() == size(*payloads)


def test_a_handshake_message_is_not_passed_on():
    script = Script().ready().ask(ask(V, 65), ask(V, 72))
    assert script.written() == []
    assert script.codes() == [(-1, 504)] * 2


def test_beyond_the_rate_orders_go_first_and_everything_goes():
    script = with_settings(messages_per_second=3).ready()
    reads = [ask(V, 9, key) for key in range(3)]
    order = ask(V, 3, 500)
    script.ask(*reads, order, after=2.0)
    assert script.written() == reads[:3]
    script.ask(ask(V, 9, 9))
    assert script.written() == []
    assert script.armed(Timer.RELEASE) == pytest.approx(1.0)
    script.ring(Timer.RELEASE, after=1.0)
    assert script.written() == [order]
    script.ring(Timer.RELEASE, after=1 / 3)
    assert script.written() == [ask(V, 9, 9)]
    assert script.refunded() == size(*reads, order, ask(V, 9, 9))


def test_a_command_keeps_its_place_among_the_orders():
    script = with_settings(messages_per_second=1).ready()
    group, order, read = ask(V, 19, 1), ask(V, 3, 500), ask(V, 9, 2)
    script.ask(read, read, group, order, after=1.0)
    for expected in (group, order, read):
        script.ring(Timer.RELEASE, after=1.0)
        assert script.written() == [expected]


def test_a_setting_keeps_its_place_among_the_requests():
    script = with_settings(messages_per_second=1).ready()
    asked = [ask(V, 1, 1), ask(V, 59, word="3"), ask(V, 1, 2)]
    script.ask(ask(V, 9, 9), *asked, after=1.0)
    for expected in asked:
        script.ring(Timer.RELEASE, after=1.0)
        assert script.written() == [expected]


def test_what_was_cancelled_before_it_left_never_leaves_and_costs_no_time():
    script = with_settings(messages_per_second=1).ready()
    streams = [ask(V, 1, key) for key in range(5)]
    script.ask(ask(V, 9, 9), *streams, *map(cancel, streams[:4]), after=1.0)
    script.ring(Timer.RELEASE, after=1.0)
    assert script.written() == [streams[4]]
    assert script.refunded() == size(ask(V, 9, 9), *streams, *map(cancel, streams[:4]))


def test_a_cancel_of_what_tws_has_leaves_and_so_does_one_of_what_nobody_knows():
    stream = ask(V, 1, 7)
    script = Script().ready().ask(stream)
    script.ask(cancel(stream), cancel(ask(V, 1, 8)))
    assert script.written() == [cancel(stream), cancel(ask(V, 1, 8))]


def test_a_cancel_of_a_duplicate_that_has_not_left_cancels_what_tws_has():
    script = with_settings(messages_per_second=1).ready()
    script.ask(ask(V, 1, 7, word="a"), after=1.0)
    script.ask(ask(V, 1, 7, word="b"), cancel(ask(V, 1, 7)))
    script.ring(Timer.RELEASE, after=1.0)
    assert script.written() == [cancel(ask(V, 1, 7))]


# -- the clock ---------------------------------------------------------------------------------------------------------


def test_the_clients_questions_for_the_time_are_spaced_and_only_their_answers_pass():
    script = Script().ready()
    first, second = ask(V, 49, word="a"), ask(V, 49, word="b")
    script.ask(first, second)
    assert script.written() == []
    assert script.armed(Timer.RELEASE) == pytest.approx(1.1)
    script.ring(Timer.RELEASE, after=1.1)
    assert script.written() == [first]
    assert [type(effect) for effect in script.new if isinstance(effect, PassClock | Write)] == [PassClock, Write]
    script.ring(Timer.RELEASE, after=1.1)
    assert script.written() == [second]


def test_while_a_question_for_the_time_waits_the_others_leave_together():
    script = Script().ready()
    reads = [ask(V, 9, key) for key in range(5)]
    script.ask(ask(V, 49), *reads)
    assert [effect.messages for effect in script.new if isinstance(effect, Write)] == [5]
    assert script.armed(Timer.RELEASE) == pytest.approx(1.1)


def test_the_same_question_twice_is_one_and_passes_one_answer():
    script = Script().ready()
    script.ask(ask(V, 49), ask(V, 49))
    script.ring(Timer.RELEASE, after=1.1)
    assert script.written() == [ask(V, 49)]
    script.ring(Timer.RELEASE, after=1.1)
    assert script.written() == []
    assert sum(isinstance(effect, PassClock) for effect in script.effects) == 1
    assert script.refunded() == 2 * size(ask(V, 49))


def test_a_question_for_the_time_waits_for_the_rate_too():
    script = with_settings(messages_per_second=2).ready()
    script.ask(ask(V, 9, 1), ask(V, 9, 2), after=5.0)
    script.ask(ask(V, 49), after=0.1)
    assert script.written() == []
    assert script.armed(Timer.RELEASE) == pytest.approx(0.9)
    script.ring(Timer.RELEASE, after=0.9)
    assert script.written() == [ask(V, 49)]


def test_a_probe_that_is_due_lets_the_clients_question_go_in_its_place():
    script = Script(settings=Settings(endpoints=ENDPOINTS, pulse=PulseSettings(idle_seconds=0.5))).ready()
    script.ask(ask(V, 49))
    script.ring(Timer.PULSE, after=0.6)
    assert script.armed(Timer.PULSE) == pytest.approx(0.5)
    script.ring(Timer.RELEASE, after=0.4999)
    script.ask(ask(V, 9, 1), after=0.0001)
    assert ask(V, 49) not in script.written()
    script.ring(Timer.PULSE)
    assert Count("heartbeats") in script.new
    assert script.written() == [ask(V, 49)]
    assert PassClock(1) in script.new
    assert script.core.pulse.probed_at == script.now, "its answer is a sign of life"


def test_a_probe_that_is_due_takes_the_next_moment_of_a_full_second():
    pulse = PulseSettings(idle_seconds=3.0)
    script = Script(settings=Settings(endpoints=ENDPOINTS, pulse=pulse, messages_per_second=2)).ready()
    script.ask(*(ask(V, 9, key) for key in range(5)), after=2.9)
    script.ring(Timer.PULSE, after=0.2)
    assert script.armed(Timer.PULSE) == pytest.approx(0.8)
    assert script.armed(Timer.RELEASE) is None
    script.ask(ask(V, 49))
    assert script.armed(Timer.RELEASE) is None
    script.ring(Timer.PULSE, after=0.8)
    assert Count("heartbeats") in script.new
    assert script.written() == [ask(V, 49)]
    assert script.armed(Timer.RELEASE) == pytest.approx(0.5)
    assert script.ring(Timer.RELEASE, after=0.5).written() == [ask(V, 9, 2)]


# -- 1101 --------------------------------------------------------------------------------------------------------------


def test_after_lost_data_streams_are_cancelled_and_asked_for_again_and_reads_are_not():
    streams = [ask(V, 1, 1), ask(V, 50, 2), ask(V, 61)]
    script = Script().ready().ask(ask(V, 59), *streams, ask(V, 9, 4))
    script.hear(error(V, -1, 1101), after=2.0)
    cancels = [cancel(stream) for stream in streams]
    assert script.written() == [ask(V, 59), *cancels, ask(V, 61), *streams[:2]]
    assert {effect.key for effect in script.new if isinstance(effect, Mute)} == {1, 2}
    assert script.core.view().state == "ready"


def test_after_kept_data_nothing_is_asked_again():
    script = Script().ready().ask(ask(V, 1, 1)).hear(error(V, -1, 1102), after=2.0)
    assert script.written() == []


def test_a_stream_that_is_asked_for_anew_hears_its_own_errors_again():
    script = Script().ready().ask(ask(V, 1, 1)).hear(error(V, -1, 1101), after=2.0)
    script.ask(ask(V, 1, 1, word="new"))
    assert Mute(1, 1, frozenset()) in script.new


def test_while_the_pace_holds_them_back_streams_that_tws_forgot_are_not_lost_with_the_socket():
    script = with_settings(messages_per_second=1).ready().ask(ask(V, 1, 1), after=1.0)
    script.hear(error(V, -1, 1101), after=0.1)
    lose(script).ask(ask(V, 1, 2), after=200.0)
    script.ring(Timer.HELD, after=59.0)
    assert script.codes() == []
    seen = script.again().written()
    for _ in range(8):
        seen += script.ring(Timer.RELEASE, after=1.1).written()
    assert seen[0] == ask(V, 1, 1)


def test_the_client_may_cancel_or_replace_what_is_being_asked_for_again():
    script = with_settings(messages_per_second=1).ready()
    for key in (1, 2, 3):
        script.ask(ask(V, 1, key), after=1.0)
    script.hear(error(V, -1, 1101), after=0.1)
    script.ask(cancel(ask(V, 1, 1)), ask(V, 1, 2, word="new"))
    seen = []
    for _ in range(8):
        seen += script.ring(Timer.RELEASE, after=1.0).written()
    cancels = [cancel(ask(V, 1, key)) for key in (1, 2, 3)]
    assert seen[:3] == cancels
    assert sorted(seen[3:]) == sorted([ask(V, 1, 2, word="new"), ask(V, 1, 3)])


# -- read-only, summaries --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [n for n, request in REQUESTS.items() if request.changes and request.since <= V])
def test_read_only_lets_nothing_out_that_changes_anything(number):
    script = with_settings(read_only=True).ready().ask(ask(V, number, 500))
    assert script.written() == []
    key = 500 if REQUESTS[number].key.value != "none" else -1
    assert script.codes() == [(key, 321)]
    assert script.refunded() == size(ask(V, number, 500))


def test_read_only_lets_nothing_out_that_nobody_knows():
    script = with_settings(read_only=True).ready().ask(text(240, 1)[PREFIX_BYTES:], ask(V, 9, 1))
    assert script.written() == [ask(V, 9, 1)]
    assert script.codes() == [(-1, 321)]


@pytest.mark.parametrize("version", [200, 226])
def test_a_third_account_summary_takes_the_place_of_one_that_asks_the_same(version):
    script = Script(version=version).ready()
    script.ask(*(ask(version, 62, key) for key in (1, 2, 3)), ask(version, 62, 4, word="other"))
    asked = [ask(version, 62, key) for key in (1, 2, 3)] + [ask(version, 62, 4, word="other")]
    if version == 226:
        assert script.written() == asked
        return
    assert script.written() == [*asked[:2], cancel(asked[0]), *asked[2:]]
    lose(script).ask(ask(version, 62, 5))
    assert script.again().written() == [asked[2], asked[3], ask(version, 62, 5)]


@pytest.mark.parametrize("code", [200, 203, 320, 321, 322, 323])
def test_an_error_on_an_order_without_an_answer_leaves_the_stream_of_the_same_number_alone(code):
    script = Script(version=V).ready().ask(ask(V, 1, 5)).ask(ask(V, 3, 5), after=1.1)
    script.hear(error(V, 5, code))
    assert script.owed.ledger.find(1, 5) is not None
    assert not script.owed.ledger.order_unanswered(5)
    script.hear(error(V, 5, 200))
    assert script.owed.ledger.find(1, 5) is None, "the order is answered: now it is the stream that is meant"
