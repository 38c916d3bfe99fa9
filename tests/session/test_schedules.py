"""Thousands of short lives of a session under faults, each from a seed; the driver asserts what must never happen.

After the faults have stopped: ready within 120 simulated seconds without help, and every promise to the client kept.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from driver import ENDPOINTS, World
from driver_client import Asked
from speech import VERSIONS

from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind
from backstay.session.causes import Cause
from backstay.session.desk import MAX_SUMMARIES
from backstay.session.lifecycle import Event, State
from backstay.session.settings import HeldSettings, Settings
from backstay.session.vocabulary import Answered, Connected, DialFailed, Lost, Noted

SCHEDULES = 1_500
SHARES = 30
RECOVERY_SECONDS = 120.0
QUEUE_SECONDS = 200.0
SETTLING_SECONDS = 26.0  # streams that fell silent behind 1102 are asked for again after 20

STREAMS = (1, 1, 50, 97, 62, 10, 92, 61, 6)
READS = (9, 7, 81, 20, 96, 1, 5, 16, 99, 8, 17, 49, 49, 91, 91, 18, 105)
UNKEYED_WITH_CONTENT = (91, 18)
LONE_UNKEYED = (5, 16, 99, 8, 17, 49, 105)


class Schedule:
    """One life: a client that asks, a gateway that fails, an operator who meddles."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        held = HeldSettings(count=5, size_bytes=400, age_seconds=8.0, order_seconds=2.0)
        settings = Settings(
            endpoints=ENDPOINTS[: chance.choice((1, 2))],
            messages_per_second=chance.choice((4, 10, 45)),
            read_only=chance.random() < 0.1,
            held=held if chance.random() < 0.3 else HeldSettings(age_seconds=20.0),
            redirect_anywhere=chance.random() < 0.5,
        )
        self.world = World(
            seed, settings=settings, version=chance.choice(VERSIONS), chaos=chance.choice((0.0, 0.0, 0.3, 0.6, 0.9))
        )
        self.paused = False

    def run(self) -> World:
        world, chance = self.world, self.chance
        world.refusing = chance.random() < 0.1
        world.greet(cached=chance.random() < 0.3)
        for _ in range(chance.randrange(4, 24)):
            world.run(chance.choice((0.0, 0.005, 0.05, 0.3, 1.0, 3.0, chance.uniform(0.0, 30.0))))
            self._act()
        if self.paused:
            world.order(Event.RESUME)
        world.heal()
        world.run(1.0)  # what a frozen gateway had not said yet
        assert world.run(RECOVERY_SECONDS, lambda: world.ready), f"not ready, but {world.core.view()}"
        assert world.run(QUEUE_SECONDS, lambda: world.core.desk.idle), "what is queued leaves"
        world.run(SETTLING_SECONDS)
        return world

    def _act(self) -> None:
        world, chance = self.world, self.chance
        if chance.random() < 0.35:
            self._fault()
        elif world.client.version:
            world.send(*(self._request() for _ in range(chance.choice((1, 1, 2, 5, 12)))))

    def _request(self) -> bytes | None:
        client, chance = self.world.client, self.chance
        what = chance.random()
        version = self.world.version
        if what < 0.35:
            number = chance.choice([number for number in STREAMS if REQUESTS[number].since <= version])
            return client.ask(number, flag=number == 6).payload
        if what < 0.65:
            number = chance.choice([number for number in READS if REQUESTS[number].since <= version])
            return client.ask(number, flag=number == 1).payload
        if what < 0.75:
            return client.ask(chance.choice((59, 14, 15))).payload
        if what < 0.85:
            return self._order()
        if what < 0.87:
            return client.ask(chance.choice((19, 69))).payload
        return self._cancel()

    def _order(self) -> bytes:
        client, chance = self.world.client, self.chance
        placed = [asked.key for asked in client.asked if asked.number == 3]
        if placed and chance.random() < 0.4:
            return client.ask(chance.choice((3, 4)), key=chance.choice(placed)).payload
        return client.ask(3).payload

    def _cancel(self) -> bytes | None:
        client, chance = self.world.client, self.chance
        open_reads = [a for a in client.asked if a.kind in (Kind.SNAPSHOT, Kind.ONESHOT) and not a.cancelled]
        candidates = list(client.wanted.values()) + [a for a in open_reads if a.key is not None]
        return client.cancel(chance.choice(candidates)) if candidates else None

    def _fault(self) -> None:
        world, chance = self.world, self.chance
        upstream = world.socket
        if chance.random() < 0.3 or upstream is None:
            self._meddle()
            return
        faults = (
            lambda: upstream.close("eof"),
            lambda: upstream.close("reset"),
            lambda: upstream.say(b"\xff\xff\xff\xff"),
            lambda: setattr(upstream, "frozen", True),
            lambda: setattr(upstream, "deaf", True),
            upstream.upstream_lost,
            upstream.upstream_lost,
            lambda: upstream.upstream_restored(data_lost=True),
            lambda: upstream.upstream_restored(data_lost=False),
            upstream.move_port,
            lambda: setattr(upstream, "probes_to_drop", chance.choice((1, 5))),
        )
        chance.choice(faults)()

    def _meddle(self) -> None:
        world, chance = self.world, self.chance
        what = chance.random()
        if what < 0.2:
            world.refusing = not world.refusing
        elif what < 0.3:
            world.post(Lost(world.owed.epoch, Cause.READER_DIED, "a bug", received=True))
        elif what < 0.4:
            world.restart_session()
        elif what < 0.6:
            self._stale()
        elif what < 0.7:
            world.order(Event.RESUME if self.paused else Event.PAUSE)
            self.paused = not self.paused
        elif what < 0.8:
            world.order(chance.choice((Event.START, Event.RESTART, Event.RESET)))

    def _stale(self) -> None:
        """What belongs to another epoch has no effect."""
        world, epoch = self.world, self.world.owed.epoch
        for other in (epoch - 1, epoch + 1):
            events = (
                Connected(other),
                DialFailed(other, Cause.REFUSED, ""),
                Lost(other, Cause.EOF, ""),
                Answered(other, b"200\0now\0"),
                Noted(other, ((49, b"49\x001\x001\0", False), (9, b"9\x001\x001\0", False))),
            )
            view = world.core.view()
            for event in events:
                assert world.step(event) == []
            assert world.core.view() == view


SUMMARY = 62


def check_streams(world: World) -> None:
    client, epoch = world.client, world.owed.epoch
    assert world.socket is not None
    # A refusal of what has no id cannot be told apart by the client.
    unclear = {None} if client.unsolicited_of(504) else set()
    have = {slot: payload for slot, payload in world.socket.streams.items() if slot[1] not in unclear}
    wanted = {slot: asked.payload for slot, asked in client.wanted.items() if slot[1] not in unclear}
    replaced = set(wanted) - set(have) if sum(slot[0] == SUMMARY for slot in wanted) > MAX_SUMMARIES else set()
    assert all(slot[0] == SUMMARY for slot in replaced), "only summaries make room for each other"
    assert have == {slot: payload for slot, payload in wanted.items() if slot not in replaced}
    heard = {code for asked in client.asked for code, ours in asked.errors if not ours}
    assert heard.isdisjoint({102, 322}), "that a repeated request had arrived is not told"
    for slot, asked in client.wanted.items():
        if slot in replaced:
            continue
        assert slot[1] in unclear or asked.writes.count(epoch) == 1 or epoch in world.wire.data_lost


def check_reads(world: World) -> None:
    for asked in world.client.asked:
        if asked.kind not in (Kind.ONESHOT, Kind.SNAPSHOT) or asked.cancelled:
            continue
        if asked.key is not None:
            assert asked.outcomes == 1, f"exactly one outcome: {asked}"
            if asked.ended and REQUESTS[asked.number].rows and asked.number in (9, 7, 96):
                assert asked.rows == 2, f"each row once: {asked}"
        elif asked.number in UNKEYED_WITH_CONTENT and not world.client.unsolicited_of(504):
            assert asked.writes, f"asked for, and never sent: {asked}"


def check_orders(world: World) -> None:
    client, epoch = world.client, world.owed.epoch
    frames: dict[int | None, list[Asked]] = {}
    for asked in client.asked:
        if asked.number in (3, 4):
            frames.setdefault(asked.key, []).append(asked)
            assert len(asked.writes) <= 1 or asked.number == 4, "a cancel may be repeated, an order never"
    for order_id, asked_for in frames.items():
        told = Counter(client.order_errors.get(order_id or 0, ()))
        unsent = [asked for asked in asked_for if not asked.writes]
        said_no = told[201] + told[321] + told[2164] + told[2166]
        not_there = world.tws_orders.get(order_id or 0) != "live" and len(unsent) < len(asked_for)
        assert len(unsent) <= said_no <= len(unsent) + not_there, (asked_for, told)
        lost = [asked for asked in asked_for if asked.number == 3 and asked.writes and asked.writes[0] != epoch]
        if lost and order_id not in client.orders_spoken_of:
            assert told[2165] >= 1, "an order of unknown fate is told of"


def check_told(world: World) -> None:
    client = world.client
    assert client.outages == [1100, 1102] * (len(client.outages) // 2)
    losses = [fields for _, event, fields in world.log if event == "connection_lost"]
    assert client.outages or not losses
    asked_for = Counter(asked.number for asked in client.asked)
    writes = {number: sum(len(a.writes) for a in client.asked if a.number == number) for number in asked_for}
    assert 1 <= client.heard[9] <= 1 + writes.get(8, 0)
    assert 1 <= client.heard[15] <= 1 + writes.get(17, 0)
    assert client.heard[49] <= writes.get(49, 0), "our own probes' answers are not for the client"
    assert not [told for told in client.unsolicited if told[1] in (300, 322)], "nor what our own cancels brought about"


def check_books(world: World) -> None:
    assert world.taken == world.refunded
    assert len(world.core.desk.outbox) == 0
    for number, last in world.last_settings().items():
        assert world.wire.settings_sent.get((world.owed.epoch, number)) is last, "the last setting of its kind holds"


def check(world: World) -> None:
    check_streams(world)
    check_reads(world)
    check_orders(world)
    check_told(world)
    check_books(world)


def live(seed: int) -> None:
    """A whole life."""
    world = Schedule(seed).run()
    check(world)
    if seed % 5 == 0:
        go_and_return(world, cut=seed % 2 == 0)
    leave(world)


def go_and_return(world: World, *, cut: bool) -> None:
    """The client goes, its connection is kept, and one with the same id comes: to a clean table."""
    world.client_goes()
    world.run(30.0, lambda: world.core.desk.idle and not world.inbox)
    world.run(2.0)
    assert world.socket is not None
    assert world.socket.streams == {}, "what the client had asked for is over"
    if cut:
        world.socket.close("eof")
        world.run(0.01)
    world.client_returns()
    assert world.run(RECOVERY_SECONDS, lambda: world.ready and world.client.heard[9] > 0)
    world.run(5.0)
    told = world.client.heard
    assert (told[9], told[15], told[49]) == (1, 1, 0)
    assert world.client.outages == ([1100, 1102] if cut else [])


def leave(world: World) -> None:
    """What the client asked for last still leaves; then the session is over, and owes nothing."""
    last = [world.client.ask(9) for _ in range(3)]
    world.send(*(asked.payload for asked in last))
    world.leave()
    assert world.run(world.settings.drain_seconds + 1.0, lambda: world.left)
    assert all(asked.writes for asked in last)
    assert world.taken == world.refunded
    assert world.link_open is None


@pytest.mark.parametrize("share", range(SHARES))
def test_promises_hold_in_every_schedule_and_the_session_recovers(share: int) -> None:
    for seed in range(share, SCHEDULES, SHARES):
        try:
            live(seed)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


def test_the_same_seed_gives_the_same_life() -> None:
    assert Schedule(11).run().log == Schedule(11).run().log


def test_the_schedules_meet_every_state_and_most_causes() -> None:
    states: set[object] = set()
    causes: set[object] = set()
    for seed in range(200):
        world = Schedule(seed).run()
        states |= {fields["to"] for _, event, fields in world.log if event == "state_changed"}
        causes |= {fields["cause"] for _, _, fields in world.log if "cause" in fields}
    assert {state.value for state in State} - states <= {"stopped", "draining"}
    rare = {"write_failed", "shutdown", "session_died", "dialog", "unresponsive", "not_started"}
    rare |= {"upstream_lost"}  # takes a quarter of an hour, and no schedule is that long
    assert {cause.value for cause in Cause} - causes <= rare
