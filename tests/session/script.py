"""A session led by the hand: one event at a time, and a look at what it wants done about it."""

from __future__ import annotations

from typing import Any

import speech

from backstay.protocol.commands import all_open_orders, completed_orders, current_time, open_orders
from backstay.protocol.configuration import CONFIGURATION
from backstay.protocol.errors import ErrorMessage, read_error
from backstay.protocol.framing import PREFIX_BYTES
from backstay.protocol.handshake import VersionRange
from backstay.protocol.messages import request_key
from backstay.session.causes import Cause
from backstay.session.client_words import Attend, ClientAsked, ClientGreeted, ClientStarted
from backstay.session.core import Core
from backstay.session.order_words import WriteDown
from backstay.session.orders import FIRST_RESERVED_ID
from backstay.session.owed import Owed
from backstay.session.settings import Settings
from backstay.session.sieve import Sieve
from backstay.session.sieve_words import Await, Conceal, Identify, Mute, Swallow, Tune
from backstay.session.vocabulary import (
    Answered,
    Arm,
    Connected,
    Deliver,
    Lost,
    Noted,
    Rang,
    Refund,
    Report,
    Timer,
    Write,
)

ENDPOINTS = (("gw0", 4001), ("gw1", 4001))


class Script:
    """Everything that was wanted is in `effects`; `new` is what the last event brought."""

    def __init__(self, *, version: int = 200, settings: Settings | None = None, owed: Owed | None = None) -> None:
        self.version = version
        self.owed = owed or Owed()
        self.core = Core(settings or Settings(endpoints=ENDPOINTS), self.owed)
        self.sieve = Sieve()
        self.now = 100.0
        self.heard_at = 0.0
        self.wall_offset = 0.0
        self.new: list[Any] = []
        self.effects: list[Any] = []
        self.passed = b""

    def step(self, event: Any, *, after: float = 0.0) -> list[Any]:
        self.now += after
        self.new = self.core.step(event, self.now, heard_at=self.heard_at, wall=self.wall_offset + self.now)
        for effect in self.new:
            tell = _TO_SIEVE.get(type(effect))
            if tell is not None:
                tell(self.sieve, effect)
        self.effects += self.new
        return self.new

    # -- the usual way -------------------------------------------------------------------------------------------------

    def greet(self, *, cached: bool = False, low: int = 100) -> Script:
        hello = speech.Hello(self.version, speech.HELLO_TIME) if cached else None
        self.step(ClientGreeted(VersionRange(low, self.version), b"", hello))
        return self

    def connect(self) -> Script:
        self.step(Connected(self.epoch))
        return self

    def hello(self, data: bytes | None = None) -> Script:
        answer = speech.hello(self.version) if data is None else data
        self.sieve.sift(speech.chunk(answer))
        self.step(Answered(self.epoch, answer[PREFIX_BYTES:]))
        return self

    def start(self) -> Script:
        self.step(ClientStarted(speech.CLIENT_ID, b""))
        return self

    def identify(self) -> Script:
        return self.hear(speech.accounts(self.version), speech.next_id(self.version))

    def verify(self) -> Script:
        if self.core.pulse.probed_at is None:  # its moment has yet to come
            self.ring(Timer.PULSE, after=1.2)
        self.hear(speech.tell(self.version, 49))
        return self.reconcile()

    def reconcile(self) -> Script:
        """The gateway lists nothing, whatever it is asked for."""
        wanted, done = list(self.new), 0
        while done < len(wanted):
            asked = [one for one in wanted[done:] if isinstance(one, Conceal) and one.end != CONFIGURATION]
            done = len(wanted)
            for question in asked:
                self.hear(speech.tell(self.version, question.end, question.key))
                wanted += self.new
        self.new = wanted
        return self

    def ready(self) -> Script:
        """All the way, from where nothing has happened yet."""
        self.greet().connect().hello().start()
        return self.identify().verify()

    def again(self) -> Script:
        """All the way on a new socket, from where the retry timer rings."""
        self.ring(Timer.RETRY, after=1.2)
        return self.connect().hello().identify().verify()

    # -- single events -------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        return self.owed.epoch

    def hear(self, *frames: bytes, after: float = 0.0) -> Script:
        """What the gateway says, through a sieve."""
        sifted = self.sieve.sift(speech.chunk(*frames))
        self.passed = b"".join(sifted.out)
        self.heard_at = self.now + after
        self.step(Noted(self.epoch, sifted.notes), after=after)
        return self

    def ask(self, *payloads: bytes, after: float = 0.0) -> Script:
        self.step(ClientAsked(payloads), after=after)
        return self

    def ring(self, timer: Timer, *, after: float = 0.0) -> Script:
        self.step(Rang(timer), after=after)
        return self

    # -- what came of it: of the last event, or of all -----------------------------------------------------------------

    def written(self, effects: list[Any] | None = None) -> list[bytes]:
        """Payloads, without our own probes."""
        questions = (current_time, open_orders, all_open_orders, completed_orders)
        ours = {make(self.version)[PREFIX_BYTES:] for make in questions}
        found: list[bytes] = []
        for effect in self.new if effects is None else effects:
            if isinstance(effect, Write):
                found += [payload for payload in speech.payloads(effect.data) if not self._is_ours(payload, ours)]
        return found

    def _is_ours(self, payload: bytes, ours: set[bytes]) -> bool:
        key = request_key(payload, self.version)
        return payload in ours or (key is not None and key >= FIRST_RESERVED_ID)

    def said(self, effects: list[Any] | None = None) -> list[ErrorMessage]:
        """The errors that the client was told."""
        told: list[ErrorMessage] = []
        for effect in self.new if effects is None else effects:
            if isinstance(effect, Deliver):
                errors = [read_error(payload, self.version) for payload in speech.payloads(effect.data)]
                told += [error for error in errors if error is not None]
        return told

    def codes(self, effects: list[Any] | None = None) -> list[tuple[int, int]]:
        """Id and code of the errors."""
        return [(error.id, error.code) for error in self.said(effects)]

    def armed(self, timer: Timer) -> float | None:
        """For how long the last event armed this timer."""
        return next((e.seconds for e in reversed(self.new) if isinstance(e, Arm) and e.timer is timer), None)

    def refunded(self) -> int:
        return sum(effect.size_bytes for effect in self.effects if isinstance(effect, Refund))

    def reports(self, name: str) -> list[dict[str, object]]:
        return [dict(effect.fields) for effect in self.effects if isinstance(effect, Report) and effect.event == name]


_TO_SIEVE: dict[type, Any] = {
    Tune: Sieve.tune,
    Await: Sieve.await_,
    Swallow: Sieve.swallow,
    Mute: Sieve.mute,
    Identify: Sieve.identify,
    Conceal: Sieve.conceal,
    Deliver: lambda sieve, deliver: sieve.told.hear_own(deliver.data[PREFIX_BYTES:]),
    Attend: lambda sieve, _: sieve.told.forget_all(),
}


def kinds(effects: list[Any]) -> list[type]:
    return [type(effect) for effect in effects]


def only(effects: list[Any], kind: type) -> Any:
    """The one effect of this kind."""
    found = [effect for effect in effects if isinstance(effect, kind)]
    assert len(found) == 1, found
    return found[0]


def lose(script: Script, cause: Cause = Cause.EOF, *, received: bool = True) -> Script:
    script.step(Lost(script.epoch, cause, "why", received))
    return script


def with_settings(**settings: Any) -> Script:
    return Script(settings=Settings(**{"endpoints": ENDPOINTS, **settings}))


def size(*payloads: bytes) -> int:
    """Bytes of a client's credit."""
    return sum(len(payload) + PREFIX_BYTES for payload in payloads)


def owed(script: Script) -> set[int]:
    """Ids of the orders whose cancels are owed, by what the journal has in the end."""
    kept: dict[int, bool] = {}
    for effect in script.effects:
        if isinstance(effect, WriteDown):
            kept |= {one.key.order_id: one.cancel_owed for one in effect.page.intents}
    return {order_id for order_id, is_owed in kept.items() if is_owed}
