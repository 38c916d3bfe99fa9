"""How often a session knocks: jittered, capped, floors by cause, and from the beginning only after proof."""

from __future__ import annotations

from itertools import pairwise
from statistics import pstdev

import pytest
from driver import ENDPOINTS, World

from backstay.session.lifecycle import Event, State
from backstay.session.settings import Settings
from backstay.supervisor.backoff import Backoff

CAP_SECONDS = Backoff().cap_seconds * (1.0 + Backoff().jitter_ratio)
FIVE_MINUTES = 300.0


def refused(seed: int, seconds: float = FIVE_MINUTES) -> World:
    world = World(seed)
    world.refusing = True
    world.greet(cached=True)
    world.run(seconds)
    return world


@pytest.mark.parametrize("seed", range(20))
def test_five_minutes_of_refusals_end_in_ready_without_help(seed):
    world = refused(seed)
    assert world.core.state in (State.WAITING, State.CONNECTING)
    world.refusing = False
    assert world.run(CAP_SECONDS + 5.0, lambda: world.ready)
    assert world.client.outages == [1100, 1102]


@pytest.mark.parametrize("seed", range(20))
def test_delays_grow_to_a_cap_and_no_further(seed):
    delays = [delay for _, delay in refused(seed).delays]
    assert delays[0] <= 0.25
    assert all(delay <= CAP_SECONDS for delay in delays)
    assert all(delay >= 0.5 * Backoff().cap_seconds for delay in delays[10:])
    assert 10 <= len(delays) <= 40, "it neither gives up nor hammers"


def test_no_two_sessions_knock_in_step():
    fifth = [refused(seed, 60.0).delays[4][1] for seed in range(40)]
    assert pstdev(fifth) > 0.3


def ready(seed: int = 1, **settings) -> World:
    world = World(seed, settings=Settings(endpoints=ENDPOINTS, **settings))
    world.greet()
    assert world.run(10.0, lambda: world.ready)
    return world


def lose(world: World) -> float:
    """End the connection; returns the delay that was chosen."""
    assert world.socket is not None
    world.socket.close("eof")
    count = len(world.delays)
    assert world.run(5.0, lambda: len(world.delays) > count)
    return world.delays[-1][1]


def test_a_connection_that_dies_young_is_called_back_later_and_later():
    world = ready()
    delays = []
    for _ in range(6):
        delays.append(lose(world))
        assert world.run(60.0, lambda: world.ready)
        world.run(29.0)
    assert delays[0] <= 0.25
    assert all(later > earlier for earlier, later in pairwise(delays[1:]))


def test_a_connection_that_was_ready_for_half_a_minute_is_called_back_at_once():
    world = ready()
    for _ in range(5):
        assert lose(world) <= 0.25
        assert world.run(60.0, lambda: world.ready)
        world.run(30.1)


def test_connecting_alone_does_not_forget_failed_attempts():
    world = ready()
    lose(world)
    world.chaos = 0.0
    for _ in range(8):
        assert world.run(60.0, lambda: world.core.state is State.STARTING)
        lose(world)
    assert world.delays[-1][1] > 5.0


@pytest.mark.parametrize("order", [Event.RESTART, Event.RESET])
def test_an_operator_need_not_wait(order):
    world = refused(3)
    world.refusing = False
    assert world.core.state is State.WAITING
    world.order(order)
    assert world.run(1.0, lambda: world.ready)
    assert lose(world) <= 0.25, "and attempts count from the beginning"


def manner(name: str, *, seconds: float, **settings) -> World:
    """A world whose gateway has only one manner."""
    world = World(5, settings=Settings(endpoints=ENDPOINTS[:1], **settings))
    world.manners, world.chaos = (name,), 1.0
    world.dials_fail = False
    world.greet()
    world.run(seconds)
    return world


@pytest.mark.parametrize(
    ("name", "floor", "after"),
    [
        ("eof0", 30.0, 4),
        ("reset0", 30.0, 4),
        ("not tws", 30.0, 1),
        ("bad answer", 30.0, 1),
        ("redirect far", 5.0, 1),
        ("taken", 5.0, 1),
    ],
)
def test_the_floor_of_each_cause_is_kept(name, floor, after):
    world = manner(name, seconds=200.0)
    asked_for = [floor_seconds for floor_seconds, _ in world.delays]
    assert asked_for[: after - 1] == [0.0] * (after - 1)
    assert asked_for[after - 1 :] == [floor] * (len(asked_for) - after + 1)
    assert len(asked_for) >= after
    assert all(delay >= floor_seconds for floor_seconds, delay in world.delays)


def test_an_unanswered_greeting_is_one_dial_in_ten_minutes_then_one_a_minute_at_most():
    world = manner("dialog", seconds=600.0)
    assert world.owed.epoch == 1
    assert world.core.state is State.AWAITING_ACCEPTANCE
    world.run(100.0)
    assert world.delays[0][0] == 60.0


def test_a_gateway_that_never_says_who_we_are_is_left_after_a_minute():
    world = manner("never ready", seconds=59.0)
    assert (world.owed.epoch, world.core.state) == (1, State.STARTING)
    world.run(5.0)
    assert world.delays[0][0] == 5.0


def test_a_version_that_cannot_be_used_parks_the_session_which_tries_once_a_minute():
    world = manner("bad version", seconds=1.0)
    assert world.core.state is State.PARKED
    assert world.core.reason.startswith("version")
    world.run(600.0)
    assert 9 <= world.owed.epoch <= 11
    world.manners = ("normal",)
    assert world.run(65.0, lambda: world.ready)


def test_a_client_id_in_use_is_tried_six_times_and_then_once_a_minute():
    world = manner("taken", seconds=1.0)
    assert world.core.state is State.WAITING
    world.run(300.0, lambda: world.core.state is State.PARKED)
    assert world.owed.epoch == 6
    before = world.owed.epoch
    world.run(300.0)
    assert 4 <= world.owed.epoch - before <= 6
    world.manners = ("normal",)
    assert world.run(65.0, lambda: world.ready)


def test_the_count_of_326_begins_anew_after_a_proven_connection():
    world = manner("taken", seconds=300.0)
    world.manners = ("normal",)
    assert world.run(65.0, lambda: world.ready)
    world.run(31.0)
    world.manners = ("taken",)
    lose(world)
    world.run(10.0)
    assert world.core.state is State.WAITING
