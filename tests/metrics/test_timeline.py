"""How the last day of each connection is remembered."""

from __future__ import annotations

import pytest

from backstay.metrics import timeline as module
from backstay.metrics.timeline import KEPT_SECONDS, Timeline


class Day:
    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.timeline = Timeline(clock=lambda: self.now)

    def after(self, seconds: float, event: str, name: str = "keeper", **fields: object) -> None:
        self.now += seconds
        self.timeline.hear(event, {"connection": name, **fields})

    def moved(self, seconds: float, to: str, name: str = "keeper") -> None:
        self.after(seconds, "state_changed", name, to=to)

    def told(self, name: str = "keeper") -> list[tuple[float, str]]:
        found = self.timeline.changes()["connections"][name]
        return [(wall - 1_000_000.0, look) for wall, look in found]


@pytest.fixture
def day() -> Day:
    return Day()


def test_steps_on_the_way_are_one_absence(day):
    for seconds, to in enumerate(("connecting", "handshaking", "starting", "verifying", "syncing", "ready")):
        day.moved(seconds, to)
    day.moved(100, "waiting")
    day.moved(1, "parked")
    day.moved(1, "paused")
    day.moved(1, "stopped")
    assert day.told() == [(0, "away"), (15, "ready"), (115, "away"), (117, "off")]


def test_one_that_is_drained_is_nobodys_wish_and_no_outage(day):
    day.moved(0, "ready")
    day.moved(5, "draining")
    day.after(1, "upstream_lost")
    day.moved(4, "ready")
    day.moved(5, "draining")
    day.moved(5, "paused")
    assert day.told() == [(0, "ready"), (5, "off"), (10, "degraded"), (15, "off")]


def test_a_gateway_without_its_servers_is_degraded_until_it_has_them_again(day):
    day.moved(0, "ready")
    day.after(5, "upstream_lost")
    day.after(5, "upstream_lost")
    day.after(5, "upstream_restored")
    assert day.told() == [(0, "ready"), (5, "degraded"), (15, "ready")]


def test_one_that_had_lost_them_before_it_was_ready_is_degraded_when_it_is(day):
    day.moved(0, "verifying")
    day.after(1, "upstream_lost")
    day.moved(1, "ready")
    day.moved(1, "waiting")
    day.moved(1, "connecting")
    day.moved(1, "ready")
    assert day.told() == [(0, "away"), (2, "degraded"), (3, "away"), (5, "ready")]


def test_what_is_older_than_a_day_is_one_look_at_its_beginning(day):
    day.moved(0, "connecting")
    day.moved(1, "ready")
    day.moved(KEPT_SECONDS, "waiting")
    day.now += 60
    assert day.told() == [(61, "ready"), (KEPT_SECONDS + 1, "away")]


def test_changes_and_connections_are_limited(day, monkeypatch):
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 3)
    for _ in range(module.MOST_CHANGES):
        day.moved(1, "ready")
        day.moved(1, "waiting")
    assert len(day.told()) == module.MOST_CHANGES
    for name in ("a", "b", "c"):
        day.moved(1, "ready", name)
    day.moved(1, "waiting", "a")
    day.moved(1, "ready", "d")
    assert list(day.timeline.changes()["connections"]) == ["a", "c", "d"]


def test_other_events_and_those_without_a_name_are_passed_over(day):
    day.moved(0, "ready", "paper:7")
    day.moved(0, "ready", "")
    day.after(0, "retry_planned")
    day.timeline.hear("started", {})
    assert day.timeline.changes() == {
        "schema": 1,
        "until": day.now,
        "seconds": KEPT_SECONDS,
        "connections": {},
    }
