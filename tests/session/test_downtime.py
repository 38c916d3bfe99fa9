"""Planned downtime: the calendar with its odd days, and what a session does before, in and after it."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from script import ENDPOINTS, Script, lose, only
from speech import ask

from backstay.session.calendar import Downtime, MaintenanceWindow, look_up
from backstay.session.lifecycle import Event
from backstay.session.settings import Settings
from backstay.session.vocabulary import Arm, BackOff, Count, Ordered, Timer

V = 200
NEW_YORK = ZoneInfo("America/New_York")
NIGHT = MaintenanceWindow(time(23, 40), time(0, 10), NEW_YORK)


def at(*moment: int, zone: ZoneInfo = NEW_YORK, fold: int = 0) -> float:
    return datetime(*moment, tzinfo=zone, fold=fold).timestamp()  # type: ignore[misc, arg-type]


# -- the calendar ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "phase", "left"),
    [
        ((2026, 7, 1, 12, 0, 0), Downtime.NONE, 11 * 3600 + 39 * 60),
        ((2026, 7, 1, 23, 38, 59), Downtime.NONE, 1),
        ((2026, 7, 1, 23, 39, 0), Downtime.NEAR, 60),
        ((2026, 7, 1, 23, 40, 0), Downtime.NOW, 30 * 60),
        ((2026, 7, 2, 0, 9, 59), Downtime.NOW, 1),
        ((2026, 7, 2, 0, 10, 0), Downtime.NONE, 23 * 3600 + 29 * 60),
        ((2026, 10, 31, 12, 0, 0), Downtime.NONE, 11 * 3600 + 39 * 60),
        ((2026, 11, 1, 0, 10, 0), Downtime.NONE, 24 * 3600 + 29 * 60),  # a day of 25 hours
        ((2026, 3, 8, 0, 10, 0), Downtime.NONE, 22 * 3600 + 29 * 60),  # a day of 23 hours
    ],
)
def test_a_moment_is_before_near_in_or_behind_a_window(moment, phase, left):
    planned = look_up((NIGHT,), at(*moment))
    assert planned.phase is phase
    assert planned.until - at(*moment) == left


@pytest.mark.parametrize(
    ("start", "end", "begins", "minutes"),
    [
        (time(1, 30), time(1, 45), at(2026, 11, 1, 1, 30), 75),  # the hour comes twice, and so may the restart
        (time(0, 50), time(1, 10), at(2026, 11, 1, 0, 50), 80),
        (time(1, 50), time(2, 10), at(2026, 11, 1, 1, 50), 80),
        (time(2, 10), time(2, 40), at(2026, 11, 1, 2, 10), 30),
        (time(2, 15), time(2, 45), at(2026, 3, 8, 3, 15), 30),  # the hour is left out: it comes later
        (time(1, 50), time(2, 20), at(2026, 3, 8, 1, 50), 30),
        (time(2, 50), time(3, 10), at(2026, 3, 8, 3, 50), 20),
    ],
)
def test_on_days_on_which_the_clocks_change_the_window_covers_what_it_should(start, end, begins, minutes):
    window = MaintenanceWindow(start, end, NEW_YORK)
    day = datetime.fromtimestamp(begins, NEW_YORK).replace(hour=0, minute=0).timestamp()
    spans = [span for span in window.spans(day + 12 * 3600) if day <= span[0] < day + 20 * 3600]
    assert [(span[0], round((span[1] - span[0]) / 60)) for span in spans] == [(begins, minutes)]


def test_windows_that_touch_are_one():
    windows = (
        MaintenanceWindow(time(1, 0), time(2, 0), ZoneInfo("UTC")),
        MaintenanceWindow(time(2, 0), time(3, 0), ZoneInfo("UTC")),
        MaintenanceWindow(time(2, 30), time(2, 40), ZoneInfo("UTC")),
        MaintenanceWindow(time(1, 0), time(2, 0), ZoneInfo("UTC")),
    )
    planned = look_up(windows, at(2026, 7, 1, 1, 30, zone=ZoneInfo("UTC")))
    assert (planned.phase, planned.ends - planned.begins) == (Downtime.NOW, 7200)
    assert planned.text == "planned downtime from 01:00 to 03:00 UTC"


def test_without_windows_there_is_nothing_planned():
    planned = look_up((), 0.0)
    assert (planned.phase, planned.until) == (Downtime.NONE, float("inf"))


ZONES = st.sampled_from(("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"))
CLOCKS = st.times().map(lambda clock: clock.replace(second=0, microsecond=0))


@given(ZONES, CLOCKS, CLOCKS, st.integers(min_value=0, max_value=500 * 24 * 60))
def test_what_the_calendar_says_holds_until_it_says(zone, start, end, minutes):
    if start == end:
        return
    windows = (MaintenanceWindow(start, end, ZoneInfo(zone)),)
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    planned = look_up(windows, moment.timestamp())
    assert planned.holds(moment.timestamp())
    assert (planned.phase is Downtime.NOW) == windows[0].covers(moment.timestamp())
    later = look_up(windows, planned.until)
    assert later.phase is not planned.phase or planned.phase is not Downtime.NONE
    between = (moment.timestamp() + planned.until) / 2
    assert look_up(windows, between).phase is planned.phase


# -- the session -------------------------------------------------------------------------------------------------------


class Nightly(Script):
    """A session whose clock on the wall is known; it begins five minutes before the window."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(settings=Settings(endpoints=ENDPOINTS, maintenance=(NIGHT,), **settings))
        self.wall_offset = at(2026, 7, 1, 23, 35) - self.now

    def clock(self, hour: int, minute: int, second: int = 0) -> Nightly:
        """Come to this time, and have the timer ring."""
        self.now = at(2026, 7, 1 if hour > 12 else 2, hour, minute, second) - self.wall_offset
        self.ring(Timer.CALENDAR)
        return self


ORDER, CHANGE, CANCEL = ask(V, 3, 500), ask(V, 3, 500, word="other"), ask(V, 4, 500)


def test_orders_are_refused_a_minute_before_cancels_and_data_go_on():
    script = Nightly().ready().ask(ORDER)
    assert script.written() == [ORDER]
    script.clock(23, 38, 59)
    assert script.core.view().downtime == ""
    script.clock(23, 39).ask(ask(V, 3, 501), CHANGE, CANCEL, ask(V, 1, 5), ask(V, 9, 6))
    assert script.codes() == [(501, 201), (500, 2164)]
    assert "planned downtime from 23:40 to 00:10 America/New_York" in script.said()[0].text
    assert script.written() == [CANCEL, ask(V, 1, 5), ask(V, 9, 6)]
    view = script.core.view()
    assert (view.state, view.expected) == ("ready", True)
    assert view.downtime == "planned downtime from 23:40 to 00:10 America/New_York"


def test_orders_are_taken_again_after_the_window_and_not_before():
    script = Nightly().ready().clock(23, 40)
    assert script.core.view().expected is False
    lose(script).again()
    script.ask(ask(V, 3, 501))
    assert script.codes() == [(501, 201)]
    script.clock(0, 9, 59).ask(ask(V, 3, 502))
    assert script.codes() == [(502, 201)]
    script.clock(0, 10).ask(ask(V, 3, 503))
    assert script.codes() == []
    assert script.written() == [ask(V, 3, 503)]
    assert script.core.view().expected is True


def test_an_order_that_waits_for_a_first_connection_is_refused_when_the_minute_comes():
    script = Nightly().greet().connect().hello().start().ask(ORDER)
    script.clock(23, 39)
    script.identify().verify()
    assert (500, 201) in script.codes(script.effects)
    assert ORDER not in script.written(script.effects)


def test_a_loss_in_the_window_is_counted_and_told_as_planned():
    script = lose(Nightly().ready().clock(23, 45))
    assert Count("disconnects", "maintenance") in script.new
    assert "planned downtime from 23:40" in script.said()[0].text
    assert script.codes() == [(-1, 1100)]
    script = lose(Nightly().ready())
    assert Count("disconnects", "eof") in script.new


def test_what_somebody_wants_in_the_window_is_counted_as_that():
    script = Nightly().ready().clock(23, 45)
    script.step(Ordered(Event.RESTART, "why not"))
    assert Count("disconnects", "operator") in script.new


@pytest.mark.parametrize(
    ("clock", "cap"), [((23, 39), None), ((23, 40), None), ((23, 59, 59), None), ((0, 0), 10.0), ((0, 10), None)]
)
def test_delays_are_short_in_the_last_third(clock, cap):
    script = lose(Nightly().ready().clock(*clock))
    assert only(script.new, BackOff).cap_seconds == cap


def test_the_calendar_is_looked_at_again_in_time_and_after_ten_minutes_at_most():
    script = Nightly().ready()
    assert next(e.seconds for e in script.effects if isinstance(e, Arm) and e.timer is Timer.CALENDAR) == 240.0
    script.clock(23, 39)
    assert script.armed(Timer.CALENDAR) == 60.0
    script.clock(23, 40)
    assert script.armed(Timer.CALENDAR) == 600.0
    phases = [report["phase"] for report in script.reports("maintenance")]
    assert phases == ["near", "now"]
    assert script.clock(0, 10).reports("maintenance")[-1]["phase"] == "none"


def test_a_clock_that_is_set_back_opens_what_had_closed_too_early():
    script = Nightly().ready().clock(23, 39)
    script.wall_offset -= 3600
    script.ask(ORDER)
    assert script.written() == [ORDER]


def test_a_window_is_written_as_it_is_configured():
    assert str(NIGHT) == "23:40-00:10 America/New_York"


def test_a_clock_that_is_set_back_within_the_day_is_no_news():
    script = Script(settings=Settings(endpoints=ENDPOINTS, maintenance=(NIGHT,)))
    script.wall_offset = at(2026, 7, 1, 12, 0, 0)
    script.ready()
    before = script.reports("maintenance")
    script.wall_offset -= 3600.0
    script.ring(Timer.CALENDAR)
    assert script.reports("maintenance") == before
    assert script.armed(Timer.CALENDAR) is not None
