"""What a gateway tells of itself: who asks when, what the client hears of it, and what follows."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from script import ENDPOINTS, Script, lose, only, with_settings
from speech import ask as request
from speech import error, payloads, tell
from speech_orders import Told as Order
from speech_orders import commission, execution, status
from test_orders_under_faults import fills_told, question

from backstay.protocol.configuration import Configuration
from backstay.protocol.errors import ErrorMessage, write_error
from backstay.protocol.framing import raw
from backstay.protocol.handshake import Hello, answer
from backstay.protocol.messages import message_id, request_key
from backstay.protocol.wire import bytes_field, varint_field
from backstay.session.calendar import Downtime, MaintenanceWindow
from backstay.session.causes import Cause
from backstay.session.endpoints import MAX_ENDPOINTS
from backstay.session.lifecycle import Event
from backstay.session.settings import Settings
from backstay.session.sieve_words import Conceal, Identify
from backstay.session.told import NOTHING_TOLD, Told, exit_in_words, learn, uncovered, zone_of
from backstay.session.told import tell as conclude
from backstay.session.vocabulary import BackOff, Count, Ordered, Timer, Write

V = 226
NOON = datetime(2026, 4, 5, 12, 0, 0, tzinfo=UTC).timestamp()
NEW_YORK_NOW = timezone(timedelta(hours=-4))
THEIRS = Order(9, 70, 10, 4, "Submitted", client_id=99)


def said(key: int, *, clock: bytes = b"11:45", kind: bytes = b"restart", master: int | None = None) -> bytes:
    lock = bytes_field(1, clock) + bytes_field(2, b"PM") + bytes_field(3, kind)
    settings = b"" if master is None else varint_field(18, master)
    body = varint_field(1, key) + bytes_field(2, lock) + bytes_field(4, bytes_field(2, settings))
    return raw(310, body)


def at_noon(*, version: int = V, zone_hours: int = -4, **settings: Any) -> Script:
    """A session that is ready; it is noon in UTC, and the gateway's clock shows that of its zone."""
    script = Script(version=version, settings=Settings(**{"endpoints": ENDPOINTS, **settings}))
    script.wall_offset = NOON - script.now
    shown = datetime.fromtimestamp(NOON, timezone(timedelta(hours=zone_hours)))
    hello = answer(Hello(version, f"{shown:%Y%m%d %H:%M:%S} EST".encode()))
    script.greet().connect().hello(hello).start()
    return script.identify().verify()


def asked(script: Script) -> int:
    """The id of the question, which is out once."""
    questions = [effect for effect in script.effects if isinstance(effect, Conceal) and effect.end == 110]
    assert questions[-1].epoch == script.epoch
    assert questions[-1].key is not None
    return questions[-1].key


def at(script: Script, hour: int, minute: int, *, day: int = 6) -> Script:
    """Let it be this time of a day in UTC."""
    moment = datetime(2026, 4, day, hour, minute, tzinfo=UTC).timestamp()
    return script.ring(Timer.CALENDAR, after=moment - script.wall_offset - script.now)


# -- asking ------------------------------------------------------------------------------------------------------------


def test_a_session_that_can_asks_once_a_socket_when_all_is_well():
    script = at_noon()
    written = b"".join(effect.data for effect in script.effects if isinstance(effect, Write))
    found = [payload for payload in payloads(written) if message_id(payload, V) == 108]
    assert [request_key(payload, V) for payload in found] == [asked(script)]
    first = asked(script)
    lose(script).again()
    assert asked(script) > first
    assert sum(isinstance(effect, Conceal) and effect.end == 110 for effect in script.effects) == 2


@pytest.mark.parametrize("version", [176, 200, 213, 218])
def test_a_session_of_an_older_version_does_not_ask(version):
    script = at_noon(version=version)
    assert not [effect for effect in script.effects if isinstance(effect, Conceal) and effect.end == 110]


def test_the_client_hears_neither_our_answer_nor_our_refusal():
    script = at_noon()
    key = asked(script)
    assert script.hear(said(key)).passed == b""
    for code in (321, 322, 504, 10000):
        assert script.hear(error(V, key, code)).passed == b""
        assert [effect for effect in script.new if isinstance(effect, Count) and effect.name == "api_errors"] == []
    assert script.core.state.value == "ready"


@pytest.mark.parametrize(("code", "text"), [(100, "Max rate of messages"), (162, "pacing violation"), (420, "")])
def test_the_client_does_not_hear_that_our_question_was_too_much(code, text):
    script = at_noon()
    key = asked(script)
    assert script.hear(write_error(ErrorMessage(key, code, text), V)).passed == b""
    assert script.said(script.new) == []


def test_the_client_hears_the_answer_to_its_own_question_and_we_listen():
    script = at_noon().ask(request(V, 108, 5))
    assert script.hear(said(5)).passed != b""
    assert only(script.new, Told).configuration.exit_at == time(23, 45)
    assert not script.owed.ledger.entries


def test_a_refusal_concludes_nothing_that_the_client_has_asked():
    script = at_noon().ask(request(V, 17), request(V, 108, 5), request(V, 20, 6))
    before = list(script.owed.ledger.entries.values())
    script.hear(error(V, asked(script), 321), error(V, asked(script), 322))
    assert list(script.owed.ledger.entries.values()) == before


def test_commissions_reach_the_client_while_the_answer_is_awaited():
    script = at_noon().hear(execution(V, Order(5, 70, 10, 10, "Filled"), "e.1.01", 10), commission(V, "e.1.01"))
    assert [message_id(payload, V) for payload in payloads(script.passed)] == [11, 59]


def test_an_answer_that_cannot_be_read_tells_nothing():
    script = at_noon()
    script.hear(raw(310, varint_field(1, asked(script)) + b"\x12\x7f"))
    assert script.core.hearsay.known == NOTHING_TOLD
    assert script.passed == b""


# -- planned downtime --------------------------------------------------------------------------------------------------


def test_the_time_that_is_told_makes_planned_downtime():
    script = at_noon()
    script.hear(said(asked(script)))
    assert script.core.view().downtime == ""
    at(script, 3, 43)
    assert script.core.view().downtime == "planned downtime from 23:44 to 23:50 UTC-04:00, told by the gateway"
    assert script.core.desk.closed
    assert script.core.view().expected
    at(script, 3, 44)
    assert not script.core.view().expected
    lose(script)
    assert only(script.new, BackOff)
    at(script, 3, 50)
    assert script.core.view().expected
    assert script.core.view().downtime == ""
    phases = [(report["phase"], report["told"]) for report in script.reports("maintenance")]
    assert phases == [("near", True), ("now", True), ("none", True)]


def test_where_the_configuration_names_downtime_it_rules():
    window = MaintenanceWindow(time(3, 0), time(3, 10), ZoneInfo("UTC"))
    script = at_noon(maintenance=(window,))
    script.hear(said(asked(script)))
    at(script, 3, 45)
    assert (script.core.planned.phase, script.core.view().downtime) == (Downtime.NONE, "")
    at(script, 3, 5, day=7)
    assert script.core.view().downtime == "planned downtime from 03:00 to 03:10 UTC"


def test_where_the_configuration_says_that_there_is_none_what_is_told_makes_none():
    script = at_noon(maintenance=())
    script.hear(said(asked(script)))
    at(script, 3, 45)
    assert (script.core.planned.phase, script.core.desk.closed) == (Downtime.NONE, "")


def test_what_another_connection_was_told_counts_for_one_that_cannot_ask():
    script = at_noon(version=200)
    told = conclude(ENDPOINTS[0], Configuration(time(23, 45), restarts=True), NEW_YORK_NOW)
    script.core.hearsay.known = learn(NOTHING_TOLD, told)
    at(script, 3, 45)
    assert script.core.planned.phase is Downtime.NOW


def test_whichever_endpoint_is_dialled_meanwhile_the_downtime_of_the_one_that_is_away_counts():
    script = at_noon()
    script.hear(said(asked(script)))
    lose(at(script, 3, 45))
    dialled = set()
    for _ in range(6):
        script.ring(Timer.RETRY, after=5.0)
        dialled.add(script.core.desk.endpoint)
        assert not script.core.view().expected
        lose(script, Cause.REFUSED, received=False)
        assert not script.core.view().expected
    assert dialled == set(ENDPOINTS)
    assert [report["phase"] for report in script.reports("maintenance")] == ["now"]


def test_an_endpoint_that_answers_has_no_part_in_the_downtime_of_the_one_before():
    script = at_noon()
    script.hear(said(asked(script)))
    lose(at(script, 3, 45))
    for _ in range(2):
        script.ring(Timer.RETRY, after=5.0)
        if script.core.desk.endpoint != ENDPOINTS[1]:
            lose(script, Cause.REFUSED, received=False)
    script.connect().hello().identify().verify()
    assert (script.core.desk.endpoint, script.core.desk.closed) == (ENDPOINTS[1], "")
    lose(script)
    assert script.core.view().expected


def test_what_one_endpoint_told_does_not_count_on_another():
    script = at_noon(version=200)
    told = conclude(ENDPOINTS[1], Configuration(time(23, 45)), NEW_YORK_NOW)
    script.core.hearsay.known = learn(NOTHING_TOLD, told)
    at(script, 3, 45)
    assert script.core.planned.phase is Downtime.NONE


def test_what_was_told_is_reported_when_it_is_news():
    script = at_noon()
    script.hear(said(asked(script), master=5)).hear(said(asked(script), master=5)).hear(said(asked(script)))
    news = [(one["endpoint"], one["ends"], one["master"]) for one in script.reports("gateway_told")]
    assert news == [("gw0:4001", "restarts each day at 23:45 UTC-04:00", master) for master in (5, None)]


def test_a_time_that_is_told_anew_counts_at_once_and_one_that_is_told_no_more_no_longer():
    script = at_noon()
    script.hear(said(asked(script)))
    at(script, 3, 45)
    assert script.core.planned.phase is Downtime.NOW
    script.hear(said(asked(script), clock=b"11:30"))
    assert script.core.planned.phase is Downtime.NONE
    script.hear(said(asked(script)))
    assert script.core.planned.phase is Downtime.NOW
    script.hear(said(asked(script), clock=b""))
    assert script.reports("maintenance")[-1] == {"phase": "none", "begins": 0.0, "ends": 0.0, "told": False}
    assert script.core.desk.closed == ""


@pytest.mark.parametrize(
    ("shown", "hours"),
    [
        (b"20260405 08:00:00 EDT", -4),
        (b"20260405 07:59:41 EDT", -4),
        (b"20260405 08:07:29 fast", -4),
        (b"20260405 17:45:00 NPT", 5.75),
        (b"20260406 02:00:00 +14", 14),
        (b"20260406 02:15:00", None),
        (b"20250405 08:00:00", None),
        (b"noon", None),
    ],
)
def test_the_zone_of_the_gateway_is_known_by_its_clock(shown, hours):
    zone = zone_of(Hello(V, shown), NOON)
    assert zone == (None if hours is None else timezone(timedelta(hours=hours)))


def test_without_its_zone_a_time_is_told_and_makes_no_downtime():
    told = conclude(ENDPOINTS[0], Configuration(time(23, 45), restarts=True), None)
    assert told.windows == ()
    assert exit_in_words(told) == "restarts each day at 23:45 by its own clock"


@pytest.mark.parametrize(
    ("said_", "words"),
    [
        (Configuration(time(0, 2), restarts=True), "restarts each day at 00:02 UTC-04:00"),
        (Configuration(time(23, 45)), "logs off each day at 23:45 UTC-04:00"),
        (Configuration(), ""),
    ],
)
def test_the_end_of_the_day_is_told_in_words(said_, words):
    assert exit_in_words(conclude(ENDPOINTS[0], said_, NEW_YORK_NOW)) == words


@given(st.times(), st.integers(-56, 56))
def test_the_downtime_lies_around_the_time_that_was_told(moment, quarters):
    zone = timezone(timedelta(minutes=15 * quarters))
    moment = moment.replace(second=0, microsecond=0)
    (window,) = conclude(ENDPOINTS[0], Configuration(moment), zone).windows
    told = datetime.combine(date(2026, 4, 5), moment, tzinfo=zone).timestamp()
    inside = [window.covers(told + seconds) for seconds in (-61, -60, 0, 299, 300)]
    assert inside == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("start", "end", "is_uncovered"),
    [
        (time(23, 40), time(0, 10), False),
        (time(23, 45), time(23, 46), False),
        (time(23, 46), time(0, 10), True),
        (time(23, 0), time(23, 45), True),
    ],
)
def test_downtime_of_the_configuration_is_compared_with_what_is_told(start, end, is_uncovered):
    told = conclude(ENDPOINTS[0], Configuration(time(23, 45)), NEW_YORK_NOW)
    window = MaintenanceWindow(start, end, ZoneInfo("America/New_York"))
    assert uncovered((window,), told, NOON) is is_uncovered
    assert uncovered((), told, NOON)
    assert not uncovered((window,), conclude(ENDPOINTS[0], Configuration(), NEW_YORK_NOW), NOON)


def test_what_endpoints_tell_is_kept_of_so_many():
    known = NOTHING_TOLD
    for port in range(MAX_ENDPOINTS + 5):
        known = learn(known, Told(("gw", port), Configuration()))
    assert len(known) == MAX_ENDPOINTS
    assert ("gw", MAX_ENDPOINTS + 4) in known
    assert learn(known, Told(("gw", 10), Configuration(port=1)))[("gw", 10)].configuration.port == 1
    assert len(learn(known, Told(("gw", 10), Configuration()))) == MAX_ENDPOINTS


# -- the master client -------------------------------------------------------------------------------------------------


def lists(script: Script, *fills: str) -> Script:
    """Behind a cut TWS lists these fills of theirs."""
    version = script.version
    lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.hear(tell(version, 49)).hear(tell(version, 53)).hear(tell(version, 53))
    key = question(script)
    told = [execution(version, THEIRS, fill, 2, key=key) for fill in fills]
    return script.hear(*told, *(commission(version, fill) for fill in fills))


def test_the_master_that_is_told_is_known_before_it_has_seen_anything_of_others():
    script = Script(version=V).ready()
    script.hear(said(asked(script), master=7))
    assert only(script.new, Identify).sees_others
    assert len(fills_told(lists(script, "e.1.01"))) == 1
    assert only([one for one in script.effects if isinstance(one, Identify)][-1:], Identify).sees_others


def test_a_master_shown_by_the_configuration_is_known_in_text_too():
    script = with_settings(master_client_id=7).ready()
    assert len(fills_told(lists(script, "e.1.01"))) == 1


def test_orders_of_others_in_our_own_lists_pass_to_a_master_that_is_known():
    script = with_settings(master_client_id=7).ready().ask(request(200, 16))
    script.sieve.own_ends[53] = 1
    assert script.hear(status(200, THEIRS)).passed != b""


@pytest.mark.parametrize("master", [None, 0, 8])
def test_a_client_that_is_not_the_master_is_told_nothing_of_others(master):
    script = Script(version=V).ready()
    script.hear(said(asked(script), master=master))
    assert fills_told(lists(script, "e.1.01")) == []


def test_the_configuration_knows_better_who_the_master_is_than_the_gateway():
    script = Script(version=V, settings=Settings(endpoints=ENDPOINTS, master_client_id=8)).ready()
    script.hear(said(asked(script), master=7))
    assert fills_told(lists(script, "e.1.01")) == []


def test_a_master_that_another_connection_was_told_of_is_known():
    script = Script().ready()
    told = conclude(ENDPOINTS[0], Configuration(master_client_id=7), None)
    script.core.hearsay.known = learn(NOTHING_TOLD, told)
    script.ring(Timer.CALENDAR)
    assert len(fills_told(lists(script, "e.1.01"))) == 1


def test_a_session_that_begins_anew_knows_the_master_before_it_has_said_who_it_is():
    first = Script().ready()
    script = Script(owed=first.owed)
    script.core.learn({}, (), learn(NOTHING_TOLD, conclude(ENDPOINTS[0], Configuration(master_client_id=7), None)))
    script.step(Ordered(Event.START))
    script.connect()
    assert script.core.orders.sees_others
    assert not [one for one in script.effects if isinstance(one, Identify)]
    script.hello()
    assert only(script.new, Identify).sees_others
