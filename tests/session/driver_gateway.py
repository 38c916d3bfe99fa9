"""A simulated gateway for the driver: answers as TWS does, and misbehaves as its fault plan says.

One `Upstream` per accepted socket. What must hold on the wire is asserted here, where the bytes arrive.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import speech

from backstay.protocol.framing import Splitter
from backstay.protocol.handshake import ServerGreeting
from backstay.protocol.messages import ends, kind_of, message_id, request_key
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind

if TYPE_CHECKING:
    from driver import World

TWS_CLOCK_SPACING = 1.0
"""A second reqCurrentTime within this time is not answered."""

TICKS = {1: 1, 10: 12, 20: 17, 50: 50, 92: 94, 97: 99}
"""Streams that flow, and with what."""

MANNERS = (
    "normal",
    "eof0",
    "reset0",
    "dialog",
    "hole",
    "bad answer",
    "bad version",
    "redirect near",
    "redirect far",
    "not tws",
    "late answer",
    "taken",
    "taken close",
    "never ready",
    "slow ready",
    "no probes",
    "early orders",
    "one of two",
)


def _is_refused(payload: bytes) -> bool:
    """One request in twenty is not to TWS's liking, however often it is asked."""
    return zlib.crc32(payload) % 20 == 0


@dataclass
class Upstream:
    """One socket, seen from the gateway."""

    world: World
    epoch: int
    manner: str
    chance: random.Random
    open: bool = True
    version: int = 0
    greeting: ServerGreeting = field(default_factory=ServerGreeting)
    splitter: Splitter = field(default_factory=Splitter)
    started: bool = False
    identified: bool = False
    frozen: bool = False
    deaf: bool = False
    probes_to_drop: int = 0
    drops_until: float = 0.0  # as while TWS joins IB's servers: everything but questions for the time
    drop_share: float = 0.0
    farm_up: bool = True
    swallowed: bool = False  # the client hung up, and part of what it had written is lost
    life: int = field(init=False)
    pent_up: list[bytes] = field(default_factory=list)
    unread: list[bytes] = field(default_factory=list)
    streams: dict[tuple[int, int | None], bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.life = self.world.book.lives

    @property
    def alive(self) -> bool:
        return self.open and not self.deaf

    # -- out -----------------------------------------------------------------------------------------------------------

    def say(self, data: bytes) -> None:
        if not self.open or self.deaf:
            return
        if self.frozen:
            self.pent_up.append(data)
            return
        if self.chance.random() < 0.1:
            cut = self.chance.randrange(len(data) + 1)
            self.world.to_reader(self, data[:cut])
            data = data[cut:]
        self.world.to_reader(self, data)

    def close(self, kind: str) -> None:
        if self.open and not self.deaf:
            self.open = False
            self.world.to_reader(self, kind)

    def later(self, seconds: float, data: bytes) -> None:
        self.world.after(seconds, lambda: self.say(data))

    # -- in ------------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        if not self.open:
            data = self._left_over(data)
        if not data or self.deaf:
            return
        if self.frozen:
            self.unread.append(data)
            return
        if not self.version:
            greeted = self.greeting.receive(data)
            assert self.greeting.failed is None
            if greeted is not None:
                assert not greeted.rest, "nothing may follow the greeting before its answer"
                self._answer(greeted.offer)
            return
        chunk = self.splitter.push(data)
        for payload in chunk.payloads() if chunk else ():
            self._request(payload)

    def _left_over(self, data: bytes) -> bytes:
        """The socket is gone; of what was on its way TWS gets all, or a part that ends anywhere, or nothing."""
        restarted = self.life != self.world.book.lives  # the process that had this socket is gone with it
        if self.swallowed or not self.started or self.frozen or restarted:
            return b""
        arrives = self.chance.random()
        self.swallowed = arrives > 0.5
        return data[: self.chance.randrange(len(data))] if 0.5 < arrives < 0.75 else data if arrives <= 0.5 else b""

    def _answer(self, offer) -> None:
        manner = self.manner
        version = min(self.world.version, offer.high)
        immediate = {
            "eof0": lambda: self.close("eof"),
            "reset0": lambda: self.close("reset"),
            "not tws": lambda: self.say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            "bad answer": lambda: self.say(speech.text_message(0, 12, "x", "y", "z")),
            "bad version": lambda: self.say(speech.hello(self.chance.choice((offer.low - 1, offer.high + 1)))),
            "redirect near": lambda: self.say(speech.text_message(0, -1, "gw0:4003")),
            "redirect far": lambda: self.say(speech.text_message(0, -1, "elsewhere:4003")),
        }
        if manner in immediate:
            immediate[manner]()
        elif manner in ("dialog", "hole"):
            self.deaf = manner == "hole"
            self.heal = lambda: self._hello(version)
        elif manner == "late answer":
            self.world.after(self.chance.uniform(5.0, 20.0), lambda: self._hello(version))
        else:
            self._hello(version)

    def heal(self) -> None:
        """Faults are over: a dialog is accepted, a frozen process goes on, a hole is found out by the kernel."""

    def recover(self) -> None:
        self.manner = "normal"
        self.probes_to_drop = 0
        self.drops_until = self.drop_share = 0.0
        if self.deaf:
            self.world.after(self.chance.uniform(1.0, 25.0), self._give_up)
            return
        if self.frozen:
            self.frozen = False
            said, self.pent_up = self.pent_up, []
            for data in said:
                self.say(data)
            unread, self.unread = self.unread, []
            for data in unread:
                self.receive(data)
        self.heal()
        self.heal = lambda: None
        if not self.farm_up:
            self.flap_farm(up=True)

    def _give_up(self) -> None:
        self.deaf = False
        self.close("reset")

    def _hello(self, version: int) -> None:
        if not self.version:
            self.version = version
            self.say(speech.hello(version))

    def _request(self, payload: bytes) -> None:
        number, kind = message_id(payload, self.version), kind_of(payload, self.version)
        if number == 71:
            assert not self.started, "startApi once a socket"
            self.started = True
            if self.open:
                self._start()
            return
        assert self.started, "nothing before startApi"
        assert self.identified, "nothing but the handshake before nextValidId and managedAccounts"
        if number == 49:
            self._clock()
        elif kind is not Kind.CANCEL and self._drops():  # what TWS streams it has joined IB for
            return
        elif kind in (Kind.ONESHOT, Kind.SNAPSHOT):
            self._read(payload)
        elif kind is Kind.STREAM:
            self._stream(payload)
        elif kind is Kind.CANCEL:
            self._cancel(payload)
        elif kind is Kind.ORDER:
            self.world.book.arrive(self, request_key(payload, self.version) or 0, payload)
        elif kind is Kind.ORDER_CANCEL and number == 4:
            self.world.book.cancel(self, request_key(payload, self.version) or 0)

    def _drops(self) -> bool:
        if self.world.now < self.drops_until:
            return True
        return bool(self.drop_share) and self.chance.random() < self.drop_share

    def _start(self) -> None:
        version, manner = self.version, self.manner
        if manner in ("taken", "taken close"):
            if manner == "taken":
                self.say(speech.error(version, -1, 326, "client id in use"))
            self.world.after(0.01, lambda: self.close("eof"))
            return
        if manner == "early orders":
            self.say(self.world.book.list_open(version, everybody=False) + speech.tell(version, 53))
        if manner == "no probes":
            self.probes_to_drop = self.chance.choice((1, 3, 20))
        if manner == "one of two":
            self.say(speech.accounts(version))
            self.heal = lambda: self._identify(next_id_only=True)
        elif manner == "never ready":
            self.heal = self._identify
        elif manner == "slow ready":
            self.world.after(self.chance.uniform(1.0, 80.0), self._identify)
        else:
            self._identify()

    def _identify(self, *, next_id_only: bool = False) -> None:
        if self.identified or not self.open or self.deaf:
            return
        self.identified = True
        first, second = speech.next_id(self.version, self.world.book.next_id()), speech.accounts(self.version)
        if next_id_only:
            self.say(first)
            return
        if self.chance.random() < 0.5:
            first, second = second, first
        self.say(first)
        self.say(second + speech.error(self.version, -1, 2104, "farm is OK:usfarm"))
        if not self.world.book.link_up and self.chance.random() < 0.8:
            self.say(speech.error(self.version, -1, self.chance.choice((1100, 2110)), "no link"))

    # -- requests ------------------------------------------------------------------------------------------------------

    def _clock(self) -> None:
        now, last = self.world.now, self.world.clock_answered_for
        self.world.clock_answered_for = now
        if self.probes_to_drop:
            self.probes_to_drop -= 1
        elif now - last >= TWS_CLOCK_SPACING:
            self.say(speech.tell(self.version, 49))

    def _read(self, payload: bytes) -> None:
        version = self.version
        request, key = REQUESTS[message_id(payload, version)], request_key(payload, version)
        token = self.world.client.token_of(payload)
        if key is not None and _is_refused(payload):
            self.later(0.05, speech.error(version, key, 321))
            return
        if request.id in _LISTS:
            self.world.after(0.01, lambda: self.say(_LISTS[request.id](self, key)))
            return
        last = min(ends(payload, version))
        rows = sorted(request.rows - {last} - {3, 5, 59, 90, 18, 97, 98, 106} - set(range(1, 3)))
        delay = self.chance.choice((0.01, 0.2, 0.6))
        if rows or last == 96:
            for word in (token, token + "2" if key is not None else token):
                self.later(delay, speech.tell(version, rows[0] if rows else 96, key, word=word, done=False))
        self.later(delay + self.chance.choice((0.01, 1.0)), speech.tell(version, last, key, word=token))

    def _stream(self, payload: bytes) -> None:
        number, key = message_id(payload, self.version), request_key(payload, self.version)
        if (number, key) in self.streams and key is not None:
            self.say(speech.error(self.version, key, 322, "Duplicate ticker id"))
            return
        if key is not None and _is_refused(payload):
            self.later(0.02, speech.error(self.version, key, 321))
            return
        self.streams[number, key] = payload
        tick = TICKS.get(number) or {62: 63, 6: 6, 61: 61}.get(number)
        for delay in (0.01, 0.5) if tick is not None else ():
            self.world.after(delay, lambda: self._tick_one(number, key, tick))
        if key is None and self.chance.random() < 0.9:  # the end of a list may stay away
            self.world.after(self.chance.choice((0.02, 1.0)), lambda: self._tick_one(number, key, REQUESTS[number].end))

    def _tick_one(self, number: int, key: int | None, tick: int | None) -> None:
        if (number, key) in self.streams and tick is not None:
            self.say(speech.tell(self.version, tick, key))

    def _cancel(self, payload: bytes) -> None:
        number, key = message_id(payload, self.version), request_key(payload, self.version)
        cancelled = REQUESTS[number].cancels or number
        if self.streams.pop((cancelled, key), None) is None and key is not None and cancelled in (1, 50, 97):
            self.say(speech.error(self.version, key, 300, "cannot find the ticker id"))

    def upstream_lost(self) -> None:
        self.world.book.lose_link()
        if self.identified:
            self.say(speech.error(self.version, -1, 1100, "lost"))

    def upstream_restored(self, *, data_lost: bool) -> None:
        self.world.book.restore_link()
        if not self.identified:
            return
        if data_lost and self.chance.random() < 0.5:
            self.streams.clear()
        if data_lost:
            self.world.wire.data_lost.add(self.epoch)
        else:
            self._flow_again()
        self.say(speech.error(self.version, -1, 1101 if data_lost else 1102, "restored"))

    def _flow_again(self) -> None:
        """After 1102 streams flow by themselves; now and then TWS has let some go all the same."""
        if self.chance.random() < 0.3:
            self.world.wire.data_lost.add(self.epoch)
            for slot in [slot for slot in self.streams if slot[0] in TICKS and self.chance.random() < 0.5]:
                del self.streams[slot]
        self.world.after(1.0, self._tick)

    def _tick(self) -> None:
        for number, key in self.streams:
            if number in TICKS:
                self.say(speech.tell(self.version, TICKS[number], key))

    def move_port(self) -> None:
        if self.identified:
            self.say(speech.error(self.version, -1, 1300, "the port was changed, new port: 4009"))
            self.world.after(0.01, lambda: self.close("eof"))

    def flap_farm(self, *, up: bool) -> None:
        """A market data farm is lost, or back; some of its streams do not come back with it."""
        if not self.identified:
            return
        if up:
            self._flow_again()
        self.farm_up = up
        self.say(speech.error(self.version, -1, 2104 if up else 2103, "Market data farm:usfarm"))

    def drop_for(self, seconds: float) -> None:
        self.drops_until = self.world.now + seconds

    def complain(self) -> None:
        """Too many messages, says TWS, of none in particular."""
        if self.identified:
            self.world.wire.data_lost.add(self.epoch)
            self.say(speech.error(self.version, -1, 100, "Max rate of messages per second has been exceeded"))


def _fills(upstream: Upstream, key: int | None) -> bytes:
    own = key or 0
    return upstream.world.book.list_fills(upstream.version, own) + speech.tell(upstream.version, 55, own)


_LISTS: dict[int, Callable[[Upstream, int | None], bytes]] = {
    5: lambda up, _: up.world.book.list_open(up.version, everybody=False) + speech.tell(up.version, 53),
    16: lambda up, _: up.world.book.list_open(up.version, everybody=True) + speech.tell(up.version, 53),
    99: lambda up, _: up.world.book.list_completed(up.version) + speech.tell(up.version, 102),
    7: _fills,
    8: lambda up, _: speech.next_id(up.version, up.world.book.next_id()),
    17: lambda up, _: speech.accounts(up.version),
}
"""Questions for what the gateway knows of orders and of us."""
