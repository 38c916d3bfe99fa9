"""What is counted of requests, streams and orders, and how they stand when somebody looks."""

from __future__ import annotations

from collections import Counter

import pytest
from script import Script, lose
from speech import ask, error, order_status, tell

from backstay.protocol.commands import cancel_frame
from backstay.protocol.framing import PREFIX_BYTES
from backstay.protocol.requests import OPERATIONS, REQUESTS, STREAM_KINDS
from backstay.session.census import Census, take_census
from backstay.session.lifecycle import State
from backstay.session.roll_call import EVERY_SECONDS, WINDOW_SECONDS
from backstay.session.sieve_words import Await
from backstay.session.vocabulary import Count, Observe, Timer

V = 200
QUOTES, TICK = ask(V, 1, 5), tell(V, 1, 5)
DETAILS, ROW, END = ask(V, 9, 6), tell(V, 10, 6), tell(V, 52, 6)
ORDER, CANCEL = ask(V, 3, 500), ask(V, 4, 500)
STATUS = order_status(V, 500)


def counts(script: Script) -> Counter[str]:
    """What was counted from the beginning, as name or name:label."""
    found = [e for e in script.effects if isinstance(e, Count)]
    return Counter(f"{e.name}:{e.label}" if e.label else e.name for e in found)


def durations(script: Script) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for effect in script.effects:
        if isinstance(effect, Observe) and effect.name == "request_duration":
            found.setdefault(effect.label, []).append(round(effect.seconds, 6))
    return found


def census(script: Script) -> Census:
    return take_census(script.owed, script.core.view())


def streams(script: Script) -> dict[tuple[str, ...], int]:
    return {key: count for key, count in census(script).subscriptions.items() if count}


def test_every_request_is_counted_under_one_of_at_most_fifteen_operations():
    assert len(OPERATIONS) <= 15
    assert {request.operation for request in REQUESTS.values()} == set(OPERATIONS)
    assert set(STREAM_KINDS) < set(OPERATIONS)


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_read_counts_when_it_is_sent_and_takes_until_its_last_row():
    script = Script().ready().ask(DETAILS)
    assert counts(script)["requests:contract"] == 1
    assert census(script).in_flight == 1
    script.hear(ROW, after=1.0)
    assert durations(script) == {}
    script.hear(END, after=1.0)
    assert durations(script) == {"contract": [2.0]}
    assert census(script).in_flight == 0


def test_a_stream_takes_until_its_first_sign_and_counts_once_however_often_it_is_put_back():
    script = Script().ready().ask(QUOTES)
    assert census(script).in_flight == 1
    script.hear(TICK, after=0.5)
    assert census(script).in_flight == 0
    lose(script).again().hear(TICK, after=0.5)
    assert durations(script) == {"market_data": [0.5]}
    assert counts(script)["requests:market_data"] == 1
    assert counts(script)["subscription_restores"] == 1
    assert counts(script)["subscription_restore_failures"] == 0


def test_a_read_that_waited_for_the_gateway_counts_once_it_is_sent_and_from_when_it_was_asked():
    script = lose(Script().ready())
    script.ask(DETAILS)
    assert counts(script)["requests:contract"] == 0
    assert census(script).in_flight == 1
    asked_at = script.now
    script.again().hear(END)
    assert counts(script)["requests:contract"] == 1
    assert durations(script) == {"contract": [round(script.now - asked_at, 6)]}


def test_an_error_that_ends_a_request_is_its_failure_and_a_warning_is_not():
    script = Script().ready().ask(DETAILS, QUOTES)
    script.hear(error(V, 5, 2100))
    assert not [name for name in counts(script) if name.startswith("request_failures")]
    script.hear(error(V, 6, 200), error(V, 5, 354))
    assert counts(script)["request_failures:contract"] == 1
    assert counts(script)["request_failures:market_data"] == 1
    assert durations(script) == {}


def test_a_half_answer_and_a_read_that_is_given_up_are_failures():
    script = Script().ready().ask(DETAILS).hear(ROW)
    lose(script)
    assert counts(script)["request_failures:contract"] == 1


def test_a_restored_stream_that_is_refused_did_not_come_back():
    script = lose(Script().ready().ask(QUOTES).hear(TICK)).again()
    script.hear(error(V, 5, 200))
    assert counts(script)["subscription_restore_failures"] == 1
    assert counts(script)["request_failures:market_data"] == 1


def test_an_order_takes_until_tws_speaks_of_it_and_so_does_its_cancel():
    script = Script().ready().ask(ORDER)
    script.hear(STATUS, after=0.25)
    script.ask(CANCEL, after=1.0)
    assert census(script).in_flight == 1
    script.hear(STATUS, after=0.5)
    script.hear(STATUS, after=9.0)
    assert durations(script) == {"order": [0.25], "order_cancel": [0.5]}
    assert counts(script)["requests:order"] == counts(script)["requests:order_cancel"] == 1


def test_a_rejected_order_is_a_failure_and_a_cancelled_one_is_none():
    script = Script().ready().ask(ORDER).hear(error(V, 500, 201))
    assert counts(script)["request_failures:order"] == 1
    other = Script().ready().ask(ORDER).hear(STATUS).ask(CANCEL).hear(error(V, 500, 202))
    assert not [name for name in counts(other) if name.startswith("request_failures")]


@pytest.mark.parametrize(
    ("state", "reason"),
    [(State.WAITING, "not_ready"), (State.PARKED, "circuit_open"), (State.DRAINING, "draining")],
)
def test_a_refused_order_is_counted_by_why(state, reason):
    script = lose(Script().ready())
    script.core.state = state
    script.ask(ORDER)
    assert script.codes() == [(500, 201)]
    assert counts(script)[f"requests_rejected:{reason}"] == 1


def test_what_waits_for_the_pace_is_in_the_queue_and_its_wait_is_measured():
    script = Script().ready()
    script.ask(*(ask(V, 9, key) for key in range(60)))
    waiting = census(script).queued
    assert waiting > 0
    script.ring(Timer.RELEASE, after=1.0)
    for _ in range(waiting - 1):
        script.ring(Timer.RELEASE, after=script.armed(Timer.RELEASE) or 0.0)
    assert census(script).queued == 0
    waits = [e.seconds for e in script.effects if isinstance(e, Observe) and e.name == "send_queue_wait"]
    assert len(waits) == 60
    assert sum(1.0 <= wait < 1.5 for wait in waits) == waiting


# -- streams -----------------------------------------------------------------------------------------------------------


def test_a_stream_is_pending_until_it_flows_and_pending_again_without_a_socket():
    script = Script().ready().ask(QUOTES)
    assert streams(script) == {("market_data", "pending"): 1}
    script.hear(TICK)
    assert streams(script) == {("market_data", "active"): 1}
    lose(script)
    assert streams(script) == {("market_data", "pending"): 1}
    script.again()
    assert streams(script) == {("market_data", "pending"): 1}
    script.hear(TICK)
    assert streams(script) == {("market_data", "active"): 1}


def test_a_stream_is_stale_while_ibs_link_is_down_and_after_it_until_it_shows():
    script = Script().ready().ask(QUOTES).hear(TICK).hear(error(V, -1, 1100))
    assert streams(script) == {("market_data", "stale"): 1}
    script.hear(error(V, -1, 1102))
    assert streams(script) == {("market_data", "stale"): 1}
    script.hear(TICK)
    assert streams(script) == {("market_data", "active"): 1}


def test_streams_that_flow_although_a_farm_is_down_are_found_out_by_the_roll_call():
    script = Script().ready()
    script.wall_offset = 1_000_000.0
    script.ask(QUOTES, ask(V, 1, 8), ask(V, 6, flag=True)).hear(TICK, tell(V, 1, 8), tell(V, 6))
    script.hear(error(V, -1, 2103, "Market data farm connection is broken:usfarm"), after=1.0)
    assert streams(script) == {("market_data", "stale"): 2, ("account", "active"): 1}
    script.ring(Timer.ROLL_CALL, after=EVERY_SECONDS)
    script.hear(TICK, after=0.1)
    assert streams(script) == {("market_data", "stale"): 1, ("market_data", "active"): 1, ("account", "active"): 1}


def test_a_stream_that_shows_no_sign_however_often_it_is_asked_for_has_failed():
    script = Script().ready().ask(QUOTES)
    for _ in range(20):
        script.hear(tell(V, 49), after=19.9)
        script.ring(Timer.VERIFY, after=0.1)
    assert streams(script) == {("market_data", "failed"): 1}
    assert counts(script)["request_failures:market_data"] == 1
    script.ring(Timer.ROLL_CALL, after=EVERY_SECONDS).hear(TICK)
    assert streams(script) == {("market_data", "active"): 1}


# -- the roll call -----------------------------------------------------------------------------------------------------


def test_the_roll_call_begins_when_ready_and_ends_with_the_socket():
    script = Script().ready()
    assert script.armed(Timer.ROLL_CALL) == EVERY_SECONDS
    lose(script)
    assert "ROLL_CALL" in str(script.new)


def test_the_roll_call_looks_for_a_moment_and_tells_when_each_was_last_seen():
    script = Script().ready()
    script.wall_offset = 1_000_000.0
    script.ask(QUOTES, ask(V, 1, 8)).hear(TICK, tell(V, 1, 8))
    begun = script.wall_offset + script.now
    script.hear(TICK, after=30.0)
    assert census(script).oldest_wall == {"market_data": begun}, "nobody looks in between"
    script.ring(Timer.ROLL_CALL, after=30.0)
    assert script.armed(Timer.ROLL_CALL) == WINDOW_SECONDS
    script.hear(TICK, tell(V, 1, 8), after=0.5)
    seen = script.wall_offset + script.now
    assert census(script).oldest_wall == {"market_data": seen}
    script.ring(Timer.ROLL_CALL, after=0.5)
    assert script.armed(Timer.ROLL_CALL) == EVERY_SECONDS
    assert script.sieve.awaited == {}


def test_what_shows_nothing_during_the_roll_call_is_looked_for_no_longer_and_keeps_its_time():
    script = Script().ready()
    script.wall_offset = 1_000_000.0
    script.ask(QUOTES).hear(TICK)
    begun = script.wall_offset + script.now
    script.ring(Timer.ROLL_CALL, after=60.0)
    assert len(script.sieve.awaited) == 1
    script.ring(Timer.ROLL_CALL, after=1.0)
    assert script.sieve.awaited == {}
    assert census(script).oldest_wall == {"market_data": begun}
    assert streams(script) == {("market_data", "active"): 1}
    assert script.written() == []


def test_a_stream_cancelled_during_the_roll_call_is_looked_for_no_longer():
    script = Script().ready().ask(QUOTES).hear(TICK).ring(Timer.ROLL_CALL, after=60.0)
    cancel = cancel_frame(QUOTES, V)
    assert cancel is not None
    script.ask(cancel[PREFIX_BYTES:])
    assert script.sieve.awaited == {}
    script.ring(Timer.ROLL_CALL, after=1.0)
    assert not [effect for effect in script.new if isinstance(effect, Await)]


def test_a_roll_call_does_not_end_the_search_for_streams_after_a_farm_came_back():
    script = Script().ready().ask(QUOTES).hear(TICK)
    script.hear(error(V, -1, 2103, "Market data farm connection is broken:usfarm"))
    script.ring(Timer.ROLL_CALL, after=60.0)
    script.hear(error(V, -1, 2104, "Market data farm connection is OK:usfarm"))
    script.ring(Timer.ROLL_CALL, after=1.0)
    assert len(script.sieve.awaited) == 1
    assert streams(script) == {("market_data", "stale"): 1}


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_the_clock_of_the_gateway_is_compared_at_the_middle_of_the_round_trip():
    script = Script().ready()
    script.wall_offset = 1_000_000.0
    script.ring(Timer.PULSE, after=6.0)
    theirs = int(script.wall_offset + script.now) - 100
    frame = tell(V, 49, word=str(theirs))
    script.hear(frame, after=0.2)
    ours = script.wall_offset + script.now - 0.1
    assert script.core.view().clock_skew_seconds == pytest.approx(theirs + 0.5 - ours)


def test_ibs_link_that_was_down_when_the_socket_broke_was_interrupted_with_an_unknown_end():
    script = Script().ready().hear(error(V, -1, 1100))
    assert not script.core.view().upstream
    lose(script)
    assert counts(script)["upstream_interruptions:unknown"] == 1
    script.again()
    assert script.core.view().upstream


def test_reads_do_not_stand_among_the_streams():
    script = Script().ready().ask(QUOTES, DETAILS).hear(TICK)
    assert sum(streams(script).values()) == 1
    assert census(script).in_flight == 1
