"""Lives of a session under faults: each a list of steps made from a seed, so that any of them can be left out.

python tests/session/schedules.py run 10000          # many, on all cores; a failure is shortened and told
python tests/session/schedules.py replay 4711        # one again, with its trace
python tests/session/schedules.py replay 4711 --keep 3,8,9
python tests/session/schedules.py shorten 4711       # the shortest list of its steps that still fails
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from driver import ENDPOINTS, World
from driver_book import GATEWAY
from driver_checks import check, go_and_return, leave
from speech import VERSIONS

from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind
from backstay.session.causes import Cause
from backstay.session.lifecycle import Event
from backstay.session.resend import ResendRule
from backstay.session.settings import HeldSettings, Settings
from backstay.session.vocabulary import Answered, Connected, DialFailed, Lost, Noted

REQUESTS_EACH = 100
RECOVERY_SECONDS = 120.0
QUEUE_SECONDS = 300.0
SETTLING_SECONDS = 32.0  # streams that fell silent behind 1102 are asked for again after 20

STREAMS = (1, 1, 50, 97, 62, 10, 92, 61, 6)
READS = (9, 7, 81, 20, 96, 1, 5, 16, 99, 8, 17, 49, 49, 91, 91, 18, 105)
RETURNS = {
    "return": {},
    "return behind a cut": {"cut": True},
    "return long behind a cut": {"broken": True},
}
"""How a client whose connection was kept comes back."""

ENDINGS = tuple(RETURNS)
ELSEWHERE = "others trade"
OTHERS_SHARE = 6  # of some thirty faults, in one life of four; in every other of these the client is the master
PREVIEWS_SHARE = 0.4  # of orders, in one life of four
WAITS = (0.0, 0.005, 0.05, 0.3, 1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Step:
    """So long after the step before this happens; what exactly, the chance made of `seed` says."""

    wait_seconds: float
    kind: str
    count: int
    seed: int

    def __str__(self) -> str:
        return f"{self.wait_seconds:8.3f} s later: {self.kind}{f' {self.count}' if self.count else ''}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole life."""

    seed: int
    settings: Settings
    version: int
    chaos: float
    refusing: bool
    cached: bool
    steps: tuple[Step, ...]
    ending: str = ""
    previews: bool = False
    master: bool = False


def plan(seed: int) -> Plan:
    """The plan of a seed: the same on every machine."""
    chance = random.Random(seed)
    held = HeldSettings(count=25, size_bytes=2000, age_seconds=8.0, order_seconds=2.0)
    journal = chance.random() < 0.8
    settings = Settings(
        endpoints=ENDPOINTS[: chance.choice((1, 2))],
        one_login=True,  # one TWS is behind both
        messages_per_second=chance.choice((10, 45, 45)),
        read_only=chance.random() < 0.05,
        held=held if chance.random() < 0.3 else HeldSettings(age_seconds=20.0),
        redirect_anywhere=chance.random() < 0.5,
        gateway=GATEWAY,
        journal=journal,
        resend=ResendRule(
            enabled=chance.random() < 0.3, ttl_seconds=chance.choice((60.0, 300.0)), asks_owner=seed % 3 == 0
        ),
    )
    others = seed % 4 == 1
    kinds = [kind for kind in FAULTS if kind not in ("crash", "disk") or journal]
    kinds = [kind for kind in kinds if kind != ELSEWHERE] + [ELSEWHERE] * (OTHERS_SHARE if others else 0)
    steps = [Step(1.0, ELSEWHERE, 0, seed)] if others else []
    asked = 0
    while asked < REQUESTS_EACH:
        wait = chance.choice((*WAITS, chance.uniform(0.0, 30.0)))
        kind = "ask" if chance.random() < 0.55 else chance.choice(kinds)
        count = chance.choice((1, 2, 5, 12, 12, 20)) if kind == "ask" else 0
        asked += count
        steps.append(Step(wait, kind, count, chance.getrandbits(32)))
    # What a client without a connection could not ask, it asks when all is well.
    steps += [Step(2.0, "ask at last", 20, chance.getrandbits(32)) for _ in range(REQUESTS_EACH // 20)]
    return Plan(
        seed,
        settings,
        chance.choice(VERSIONS),
        chance.choice((0.0, 0.0, 0.3, 0.6)),
        chance.random() < 0.1,
        chance.random() < 0.3,
        tuple(steps),
        ENDINGS[seed // 5 % len(ENDINGS)] if seed % 5 == 0 else "",
        previews=seed % 4 == 2,
        master=seed % 8 == 1,
    )


class Player:
    """One life as it is planned: a client that asks, a gateway that fails, an operator who meddles."""

    def __init__(self, planned: Plan, keep: Collection[int] | None = None, *, trace: bool = False) -> None:
        self.plan = planned
        kept = range(len(planned.steps)) if keep is None else sorted(keep)
        self.steps = [planned.steps[index] for index in kept]
        self.chance = random.Random(planned.seed)
        self.world = World(planned.seed, settings=planned.settings, version=planned.version, chaos=planned.chaos)
        self.world.refusing, self.world.master = planned.refusing, planned.master
        self.world.trace = [] if trace else None
        self.paused = False
        self.asked = 0

    def run(self) -> World:
        """Live it up to where all faults are over and everything is at rest."""
        world = self.world
        world.greet(cached=self.plan.cached)
        healed = False
        for step in self.steps:
            if step.kind == "ask at last" and not healed:
                healed = True
                self._heal()
            world.run(step.wait_seconds)
            # Whatever was left out before this step, it does what it did.
            self.chance = world.chance = random.Random(step.seed)
            world.note(step)
            if step.kind in FAULTS:
                FAULTS[step.kind](self)
            elif step.kind == "ask" or self.asked < REQUESTS_EACH:
                self._ask(step.count)
        if not healed:
            self._heal()
        assert world.run(QUEUE_SECONDS, self._is_idle), f"what is queued leaves: {world.core.view()}"
        world.run(SETTLING_SECONDS)
        world.book.market_closed = True  # or there is always a fill of which the client does not know yet
        world.run(1.0)
        return world

    def live(self) -> World:
        """All of it, and what must be true of it."""
        world = self.run()
        check(world)
        if self.plan.ending:
            go_and_return(world, **RETURNS[self.plan.ending])
        leave(world)
        return world

    def _heal(self) -> None:
        world = self.world
        if self.paused:
            world.order(Event.RESUME)
        world.note("all faults are over")
        world.heal()
        world.run(1.0)  # what a frozen gateway had not said yet
        assert world.run(RECOVERY_SECONDS, lambda: world.ready), f"not ready, but {world.core.view()}"

    def _is_idle(self) -> bool:
        orders, desk = self.world.owed.orders, self.world.core.desk
        doubtful = orders is not None and not self.plan.settings.read_only and bool(orders.table.in_doubt())
        ledger = self.world.owed.ledger
        return desk.idle and not ledger.reads() and not ledger.previews and not doubtful

    # -- the client ----------------------------------------------------------------------------------------------------

    def _ask(self, count: int) -> None:
        world = self.world
        if not world.client.version:
            return
        wanted = [self._request() for _ in range(count)]
        self.asked += len(wanted)
        world.send(*wanted)

    def _request(self) -> bytes | None:
        client, chance = self.world.client, self.chance
        what = chance.random()
        version = self.world.version
        if what < 0.3:
            number = chance.choice([number for number in STREAMS if REQUESTS[number].since <= version])
            return client.ask(number, flag=number == 6).payload
        if what < 0.6:
            number = chance.choice([number for number in READS if REQUESTS[number].since <= version])
            return client.ask(number, flag=number == 1).payload
        if what < 0.66:
            return client.ask(chance.choice((59, 14, 15))).payload
        if what < 0.85:
            return self._order()
        if what < 0.87:
            return client.ask(chance.choice((19, 69))).payload
        return self._cancel()

    def _order(self) -> bytes:
        client, chance = self.world.client, self.chance
        usable = {asked.key for asked in client.asked if asked.life == self.world.lives} | self.world.survivors
        placed = [asked.key for asked in client.asked if asked.number == 3 and asked.key in usable]
        if placed and chance.random() < 0.4:
            return client.ask(chance.choice((3, 4, 4)), key=chance.choice(placed)).payload
        if self.world.lives > 1 and not client.heard[9]:
            return client.ask(8).payload  # which ids are free an application learns anew when it connects anew
        if self.plan.previews and client.may_preview and chance.random() < PREVIEWS_SHARE:
            return client.preview().payload
        return client.ask(3, key=client.last_preview()).payload

    def _cancel(self) -> bytes | None:
        client, chance = self.world.client, self.chance
        open_reads = [a for a in client.asked if a.kind in (Kind.SNAPSHOT, Kind.ONESHOT) and not a.cancelled]
        candidates = list(client.wanted.values()) + [a for a in open_reads if a.key is not None]
        return client.cancel(chance.choice(candidates)) if candidates else None

    # -- faults --------------------------------------------------------------------------------------------------------

    def _refuse(self) -> None:
        self.world.refusing = not self.world.refusing

    def _reader_dies(self) -> None:
        self.world.post(Lost(self.world.owed.epoch, Cause.READER_DIED, "a bug", received=True))

    def _crash(self) -> None:
        self.paused = False
        self.world.crash()

    def _pause(self) -> None:
        self.world.order(Event.RESUME if self.paused else Event.PAUSE)
        self.paused = not self.paused

    def _drain(self) -> None:
        """Also one that is down; whoever pauses next lets it up again."""
        self.world.drain(self.chance.choice((0.0, 2.0, 60.0)))
        self.paused = True

    def _restart_gateway(self) -> None:
        world = self.world
        if world.socket is not None:
            world.socket.close(self.chance.choice(("eof", "reset")))
        world.book.restart()
        if not world.refusing:
            world.refusing = True
            world.after(self.chance.uniform(0.0, 20.0), lambda: setattr(world, "refusing", False))

    def _trade_elsewhere(self) -> None:
        for _ in range(3):
            self.world.book.trade_elsewhere()

    def _disk(self) -> None:
        self.world.disk.trouble = "" if self.world.disk.trouble else "no room"

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
            view, entries = world.core.view(), world.core.owed.ledger.entries.values()
            half = [entry for entry in entries if entry.epoch <= other and (entry.rows or entry.fail_fast)]
            half += [asked_in for asked_in in world.owed.ledger.previews.values() if asked_in <= other]
            for event in events:
                if isinstance(event, Lost) and half:
                    continue  # what was answered by half ends with its socket: that is news, if it has not been told
                assert world.step(event) == [], "what is of another epoch has no effect"
            assert world.core.view() == view, "what is of another epoch changes nothing"


def _at_socket(do: Callable[[Any, random.Random], object]) -> Callable[[Player], None]:
    def fault(player: Player) -> None:
        if player.world.socket is not None:
            do(player.world.socket, player.chance)

    return fault


FAULTS: dict[str, Callable[[Player], None]] = {
    "eof": _at_socket(lambda upstream, _: upstream.close("eof")),
    "reset": _at_socket(lambda upstream, _: upstream.close("reset")),
    "bad frame": _at_socket(lambda upstream, _: upstream.say(b"\xff\xff\xff\xff")),
    "freeze": _at_socket(lambda upstream, _: setattr(upstream, "frozen", True)),
    "hole": _at_socket(lambda upstream, _: setattr(upstream, "deaf", True)),
    "link lost": _at_socket(lambda upstream, _: upstream.upstream_lost()),
    "link lost, once more": _at_socket(lambda upstream, _: upstream.upstream_lost()),
    "link back, data lost": _at_socket(lambda upstream, _: upstream.upstream_restored(data_lost=True)),
    "link back": _at_socket(lambda upstream, _: upstream.upstream_restored(data_lost=False)),
    "farm lost": _at_socket(lambda upstream, _: upstream.flap_farm(up=False)),
    "farm back": _at_socket(lambda upstream, _: upstream.flap_farm(up=True)),
    "port moved": _at_socket(lambda upstream, _: upstream.move_port()),
    "probes dropped": _at_socket(lambda upstream, chance: setattr(upstream, "probes_to_drop", chance.choice((1, 5)))),
    "requests dropped": _at_socket(lambda upstream, chance: upstream.drop_for(chance.uniform(1.0, 60.0))),
    "some dropped": _at_socket(lambda upstream, _: setattr(upstream, "drop_share", 0.3)),
    "too fast": _at_socket(lambda upstream, _: upstream.complain()),
    "gateway restarts": Player._restart_gateway,
    "refusing": Player._refuse,
    "reader dies": Player._reader_dies,
    "link restarted by order": lambda player: player.world.order_part("link", told=player.chance.random() < 0.5),
    "session restarted by order": lambda player: player.world.order_part("session", told=False),
    "session dies": lambda player: player.world.restart_session(),
    "crash": Player._crash,
    "disk": Player._disk,
    ELSEWHERE: Player._trade_elsewhere,
    "stale": Player._stale,
    "pause": Player._pause,
    "drain": Player._drain,
    "restarted": lambda player: player.world.order(player.chance.choice((Event.START, Event.RESTART, Event.RESET))),
}
