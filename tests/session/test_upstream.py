"""A gateway without a link to IB: one event, and after long an alarm and a new socket."""

from __future__ import annotations

from datetime import time
from zoneinfo import ZoneInfo

from script import Script, with_settings
from speech import error

from backstay.session.calendar import MaintenanceWindow
from backstay.session.lifecycle import State
from backstay.session.vocabulary import Count, Disarm, HangUp, Observe, Timer

V = 200
LOST, LOST_DATA, KEPT_DATA = error(V, -1, 1100), error(V, -1, 1101), error(V, -1, 1102)


def recycled(script: Script) -> bool:
    return any(isinstance(effect, HangUp) for effect in script.new)


def test_five_hundred_times_1100_is_one_event_and_one_timer():
    script = Script().ready().hear(LOST)
    assert script.armed(Timer.UPSTREAM) == 900.0
    for _ in range(499):
        script.hear(LOST, after=2.0)
        assert script.armed(Timer.UPSTREAM) is None
    assert len(script.reports("upstream_lost")) == 1


def test_after_a_quarter_of_an_hour_there_is_an_alarm_and_one_new_socket_then_each_half_hour():
    script = Script().ready().hear(LOST)
    script.ring(Timer.UPSTREAM, after=900.0)
    assert recycled(script)
    assert Count("disconnects", "upstream") in script.new
    assert script.reports("upstream_stays_lost") == [{"epoch": 1, "seconds": 900.0}]
    script.again().hear(LOST)
    assert script.armed(Timer.UPSTREAM) == 1_800.0
    script.ring(Timer.UPSTREAM, after=1_800.0)
    assert recycled(script)
    assert len(script.reports("upstream_stays_lost")) == 2


def test_what_is_restored_is_left_alone_and_the_next_loss_counts_from_the_start():
    for word in (LOST_DATA, KEPT_DATA):
        script = Script().ready().hear(LOST)
        script.ring(Timer.UPSTREAM, after=900.0)
        script.again().hear(LOST).hear(word)
        assert Disarm(Timer.UPSTREAM) in script.new
        script.ring(Timer.UPSTREAM)
        assert not recycled(script)
        assert script.hear(LOST).armed(Timer.UPSTREAM) == 900.0


def test_a_new_socket_to_a_gateway_that_still_has_no_link_is_no_recovery_until_the_link_is_back():
    def recoveries(script: Script) -> list[float]:
        found = [effect for effect in script.effects if isinstance(effect, Observe)]
        return [one.seconds for one in found if one.name == "recovery_duration"]

    script = Script().ready().hear(LOST)
    script.ring(Timer.UPSTREAM, after=900.0)
    script.ring(Timer.RETRY, after=1.2)
    script.connect().hello().identify().hear(LOST).verify()
    assert script.core.state is State.READY
    assert recoveries(script) == []
    script.hear(KEPT_DATA, after=60.0)
    (seconds,) = recoveries(script)
    assert seconds >= 60.0
    script.hear(LOST).hear(KEPT_DATA)
    assert len(recoveries(script)) == 1, "the socket was not lost again"


def test_that_farms_are_well_or_asleep_is_no_error_and_that_one_is_broken_is():
    script = Script().ready()
    for code in (2104, 2106, 2107, 2108, 2119, 2120, 2158):
        script.hear(error(V, -1, code, "a farm is OK:usfarm"))
        assert not [one for one in script.new if isinstance(one, Count) and one.name == "api_errors"]
    script.hear(error(V, -1, 2103, "broken:usfarm"))
    assert Count("api_errors", "farm") in script.new


def test_a_socket_that_works_for_long_forgets_the_alarm():
    script = Script().ready().hear(LOST)
    script.ring(Timer.UPSTREAM, after=900.0)
    script.again().ring(Timer.STABLE, after=30.0)
    assert script.hear(LOST).armed(Timer.UPSTREAM) == 900.0


def test_a_socket_that_is_gone_takes_its_timer_with_it():
    script = Script().ready().hear(LOST)
    script.ring(Timer.UPSTREAM, after=900.0)
    assert Disarm(Timer.UPSTREAM) in script.new
    script.ring(Timer.UPSTREAM)
    assert not recycled(script)


def test_in_planned_downtime_it_is_left_alone_until_a_quarter_of_an_hour_after_it():
    window = MaintenanceWindow(time(1, 0), time(2, 0), ZoneInfo("UTC"))
    script = with_settings(maintenance=(window,))
    script.wall_offset = 86_400.0 + 3_500.0 - script.now
    script.ready().hear(LOST)
    script.ring(Timer.UPSTREAM, after=900.0)
    assert not recycled(script)
    assert script.armed(Timer.UPSTREAM) == 3_700.0 - 900.0 + 900.0
    script.ring(Timer.UPSTREAM, after=3_700.0)
    assert recycled(script)
