"""The judgement over a live run, and the pictures of it; the run itself is `make watch-check`'s."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from deploy.watch.alerts import ALERTS
from deploy.watch.live import AT_THE_END, OF_THE_MACHINE, PACE, called, unwanted, wanted
from deploy.watch.live_breaks import BREAKS, QUIET, RELAYS, configuration
from deploy.watch.live_daemons import Worn, daemon_breaks
from deploy.watch.live_planted import FASTER
from deploy.watch.live_stack import Call
from deploy.watch.pictures import Curve, Frame, Lane, Span, curves, lanes

ROOT = Path(__file__).resolve().parents[2]


def call(name, *, firing=True, **labels):
    return Call(0.0, firing, {"alertname": name, "job": "backstay", **labels}, {})


def calls_for(one):
    label = "gateway" if one.alert == "BackstayGatewayDown" else "connection"
    return [call(one.alert, **{label: subject}) for subject in one.subjects]


WORN, STARVED = (Worn(Path(), None, instance, {}, {}) for instance in ("worn:1", "starved:1"))
OF_DAEMONS = daemon_breaks(SimpleNamespace(instance="main:1"), WORN, STARVED)
ALL = [each for one in BREAKS for each in calls_for(one)]


def test_the_right_calls_and_no_others_are_what_is_wanted():
    assert unwanted(ALL, wanted(BREAKS)) == []
    assert called(ALL) == wanted(BREAKS)


@pytest.mark.parametrize("one", BREAKS, ids=lambda one: one.gateway)
def test_a_call_that_does_not_come_is_missed(one):
    rest = [each for each in ALL if each not in calls_for(one)]
    assert wanted([one]) - called(rest) == wanted([one])


def test_every_alert_is_provoked():
    provoked = [one.alert for one in (*BREAKS, *OF_DAEMONS)]
    assert len(set(provoked)) == len(provoked)
    assert {*provoked, AT_THE_END} == {alert.name for alert in ALERTS}


def test_the_ways_of_daemons_are_about_what_their_alerts_are_about():
    about = {alert.name: alert.about for alert in ALERTS}
    kinds = {one.alert: about[one.alert][-1] for one in OF_DAEMONS}
    subjects = {one.alert: one.subjects for one in OF_DAEMONS}
    assert {name: subjects[name] for name, kind in kinds.items() if kind == "instance"} == {
        "BackstayConfigReloadFailed": ("main:1",),
        "BackstayEventLoopLagHigh": ("starved:1",),
        "BackstayJournalWriteFailures": ("worn:1",),
    }


def test_what_is_planted_divides_patience_and_fails_once():
    program = f"""
import os, pathlib
from deploy.watch import live_planted
from backstay.session.settings import VerifySettings
from backstay.relay import guests
before = VerifySettings(), guests.STALL_SECONDS
live_planted.hurry()
after = VerifySettings(), guests.STALL_SECONDS
assert after[0].first_seconds * {FASTER} == before[0].first_seconds and after[0].repeats == before[0].repeats
assert after[1] * {FASTER} == before[1]
seen = []
live_planted.Journal.receive = lambda journal, message: seen.append(message)
live_planted.plant()
pathlib.Path("crash").touch()
try:
    live_planted.Journal.receive(None, 1)
except live_planted.PlantedError:
    live_planted.Journal.receive(None, 2)
print(seen)
"""
    with TemporaryDirectory() as folder:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", program]
        said = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert said.stdout == "[2]\n", said.stderr


def test_a_call_that_nobody_wanted_is_found():
    extra = call("BackstayConnectionDown", connection="gone.first")
    found = unwanted([*ALL, extra], wanted(BREAKS))
    assert found == ["BackstayConnectionDown was called for gone.first, which nobody wanted"]


def test_the_right_alert_for_another_connection_is_found():
    assert unwanted([call("BackstayFarmDown", connection="busy/7")], wanted(BREAKS)) != []


def test_the_end_of_an_alert_is_no_call_and_a_busy_machine_is_no_mistake():
    ended = call("BackstayFarmDown", firing=False, connection="busy/7")
    busy = [call(name, instance="127.0.0.1:9464") for name in OF_THE_MACHINE]
    assert unwanted([ended, *busy], wanted(BREAKS)) == []


def test_there_are_more_than_ten_ways_each_with_its_own_gateway_and_alert():
    names = [one.gateway for one in (*BREAKS, *QUIET)]
    assert len(BREAKS) >= 10
    assert len(set(names)) == len(names)
    assert len({one.alert for one in BREAKS}) == len(BREAKS)
    assert set(RELAYS) <= set(names)
    text = configuration(dict.fromkeys(RELAYS, 7400))
    assert all(f"[gateways.{name}]" in text for name in names)
    assert PACE.factor == 10


def parsed(svg):
    root = ET.fromstring(svg)  # noqa: S314  # our own
    return root, "{http://www.w3.org/2000/svg}"


def test_a_span_is_as_wide_as_it_lasts_and_its_words_are_shown_where_they_fit():
    rows = [Lane("a & b", (Span(0, 50, "red", "ready"), Span(50, 51, "blue", "waiting")))]
    root, space = parsed(lanes(Frame("title", "below", 100, 200), rows))
    bars = {one.get("fill"): float(one.get("width")) for one in root.iter(f"{space}rect")}
    assert bars["red"] == pytest.approx(50 * bars["blue"], rel=0.02)
    words = [one.text for one in root.iter(f"{space}text")]
    assert "ready" in words
    assert "waiting" not in words
    assert "a & b" in words


def test_a_gap_breaks_a_curve():
    points = ((0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 1.0), (4.0, 99.0))
    root, space = parsed(curves(Frame("title", "below", 10, 70), " s", [Curve("one", "red", points)], most=5))
    (path,) = root.iter(f"{space}path")
    assert path.get("d").count("M") == 2
    assert path.get("d").count("L") == 2
