"""A world around the pure session: gateway, network, client and clock in one thread, all chance from one seed.

The world carries out the effects as the actors do: a connector whose dials block, a reader that splits, a dispatcher
with its sieve, an inbox between them and the core. What must never happen is asserted at the moment it would happen;
`settle` and `verdict` say what must be true once the faults are over.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, get_args

import speech
from driver_book import GATEWAY, Book
from driver_client import ORDERS, Asked, Client
from driver_disk import Disk
from driver_gateway import MANNERS, Upstream
from driver_network import Network
from driver_wire import PREFIX, Wire

from backstay.metrics.blocks import ConnectionMeter
from backstay.protocol.framing import Splitter
from backstay.protocol.handshake import VersionRange
from backstay.protocol.vocabulary import Kind
from backstay.session.causes import Cause
from backstay.session.client_words import (
    Attend,
    Attended,
    ClientAsked,
    ClientAway,
    ClientEvent,
    ClientGreeted,
    ClientLeft,
    ClientReturned,
    ClientStarted,
    Unheard,
)
from backstay.session.core import Core
from backstay.session.endpoints import Moved
from backstay.session.lifecycle import Event, Link, State
from backstay.session.order_words import AskOwner, LookUp, OwnerSaid, WriteDown
from backstay.session.owed import Owed
from backstay.session.settings import Settings
from backstay.session.sieve import Sieve
from backstay.session.sieve_words import Await, Conceal, Hush, Identify, Mute, PassClock, Swallow, Tune
from backstay.session.told import Told
from backstay.session.vocabulary import (
    Arm,
    BackOff,
    Count,
    Deliver,
    Dial,
    Disarm,
    Drain,
    FarmChanged,
    HangUp,
    Leave,
    LinkRenewed,
    Noted,
    Observe,
    Ordered,
    Rang,
    Refund,
    Remember,
    Report,
    Settle,
    Timer,
    Write,
)
from backstay.supervisor.backoff import Backoff

ENDPOINTS = (("gw0", 4001), ("gw1", 4001))
MAX_STEPS_AT_ONCE = 400
NOON = 1_700_049_600.0 - 1000.0
"""What a wall clock says when the world's own clock stands at nothing: the day is long enough for a schedule."""

LASTING = (*get_args(ClientEvent), Drain, Ordered)
LOSSES = ("connection_lost", "connect_failed")


class World(Network):
    def __init__(self, seed: int, *, settings: Settings | None = None, version: int = 200, chaos: float = 0.0) -> None:
        self.chance = random.Random(seed)
        self.now = 1000.0
        self.heap: list[tuple[float, int, Callable[[], None]]] = []
        self.sequence = 0
        self.settings = settings or Settings(endpoints=ENDPOINTS, gateway=GATEWAY)
        self.version = version
        self.chaos = chaos
        self.refusing = self.master = False  # `master`: TWS tells this client of everybody's orders
        self.manners: tuple[str, ...] = MANNERS
        self.dials_fail = True
        self.owed = Owed()
        self.core = Core(self.settings, self.owed)
        self.sieve = Sieve()
        self.meter = ConnectionMeter(name="world")
        self.backoff = Backoff()
        self.client = Client(self)
        self.timers: dict[Timer, int] = {}
        self.inbox: deque[Any] = deque()
        self.inbox_busy = False
        self.orders_to_connector: deque[Any] = deque()
        self.connector_busy = False
        self.connector_life = 0
        self.book = Book(self)
        self.disk = Disk(self)
        self.lives, self.ended_before = 1, 0  # of the process, and what requests ended in earlier ones
        self.survivors: set[int] = set()  # orders that the journal had as open when the process began
        self.owed_cancels: set[int] = set()  # those of them whose cancels it had as owed
        self.trace: list[str] | None = None
        self.socket: Upstream | None = None
        self.sockets: list[Upstream] = []
        self.reader: tuple[int, Splitter, bool] = (0, Splitter(), False)
        self.heard_at = 0.0
        self.link_open: int | None = None
        self.reports: Counter[int] = Counter()
        self.log: list[tuple[float, str, dict[str, object]]] = []
        self.delays: list[tuple[float, float]] = []
        self.clock_answered_for = float("-inf")
        self.wire = Wire(self)
        self.taken = self.refunded = 0
        self.left = False
        self.steps = 0
        self.stepped_at = 0.0
        self.drains = 0
        self.wanted = False
        self.client_returned = False
        self.absent = False  # the client has gone, and its connection is kept
        self.cause: Any = None  # the event whose effects are being carried out
        self.ready_since = self.open_at = 0.0
        self.healed_at = float("inf")
        self.let_out: set[tuple[int, int]] = set()  # orders that the owner has let out once more, by epoch

    def note(self, what: object) -> None:
        """For whoever reads the trace: something happened outside the session."""
        if self.trace is not None:
            self.trace.append(f"{self.now:.6f} -- {what}")

    # -- time ----------------------------------------------------------------------------------------------------------

    def after(self, seconds: float, do: Callable[[], None]) -> int:
        self.sequence += 1
        heapq.heappush(self.heap, (self.now + seconds, self.sequence, do))
        return self.sequence

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; True as soon as `until` holds."""
        end = self.now + seconds
        while not until():
            if not self.heap or self.heap[0][0] > end:
                self.now = end
                return until()
            due, _, do = heapq.heappop(self.heap)
            self.now = max(self.now, due)
            do()
        return True

    # -- the core ------------------------------------------------------------------------------------------------------

    def post(self, event: Any) -> None:
        """Into the session's inbox: handled in order, a little later."""
        self.inbox.append(event)
        if not self.inbox_busy:
            self.inbox_busy = True
            self.after(self.chance.choice((0.0, 0.001, 0.01)), self._serve)

    def _serve(self) -> None:
        if self.inbox:
            self.step(self.inbox.popleft())
        if self.inbox:
            self.after(self.chance.choice((0.0, 0.001)), self._serve)
        else:
            self.inbox_busy = False

    def step(self, event: Any) -> list[Any]:
        if self.left:
            return []
        self._check_progress()
        self._before(event)
        self.wire.take_note(event)
        self.disk.heard(event)
        before = self.core.state
        effects = self.core.step(event, self.now, heard_at=self.heard_at, wall=NOON + self.now)
        if self.trace is not None:
            self.trace += [f"{self.now:.6f} {event!r}", *(f"    {effect!r}" for effect in effects)]
        after = self.core.state
        if after is not before:
            self._check_state(before, after)
        if self.core.desk.open:
            self.open_at = self.now
        self.cause = event
        for effect in effects:
            _EFFECTS[type(effect)](self, effect)
        if isinstance(event, ClientAsked):
            self.client.cancels_taken(event.payloads)
        self._check_credit()
        return effects

    def _before(self, event: Any) -> None:
        if isinstance(event, ClientAsked):
            self.taken += sum(len(payload) + PREFIX for payload in event.payloads)
            for payload in event.payloads:
                if payload in self.client.by_payload:
                    self.client.by_payload[payload].at = self.now
        elif isinstance(event, ClientGreeted):
            self.wanted = True
        elif isinstance(event, Ordered):
            self.wanted = event.event not in (Event.STOP, Event.DRAIN, Event.PAUSE)

    def _check_state(self, before: State, after: State) -> None:
        if before is State.VERIFYING and after in (State.SYNCING, State.READY):
            self.wire.restored_at[self.owed.epoch] = self.now
        if after is State.PAUSED:
            self.wanted = False  # also where a drain has ended so
        if after is State.READY:
            self.ready_since = self.now
            assert self.owed.epoch in self.wire.verified, "ready only after a probe was answered in this epoch"

    def _check_progress(self) -> None:
        self.steps = self.steps + 1 if self.now == self.stepped_at else 0
        self.stepped_at = self.now
        assert self.steps < MAX_STEPS_AT_ONCE, "timers ring without end and without time passing"

    def _check_credit(self) -> None:
        desk = self.core.desk
        waiting = [item for lane in desk.outbox.lanes for item in lane]
        waiting += [*desk.clocks, *desk.trades, *(desk.orders.unkept if desk.orders else ())]
        assert self.taken - self.refunded == sum(item.refund for item in waiting)
        if desk.told_down and not desk.open and not self.left:
            # One that is sent again has waited for lists of this gateway, which has proved to be back.
            asked = [self.client.by_payload.get(item.payload) for item in waiting]
            numbers = {request.number for request in asked if request is not None and not request.writes}
            assert numbers.isdisjoint(ORDERS), "no order waits for a gateway that is known to be away"

    def restart_session(self) -> None:
        """The actors of the connection die and come back; what is owed survives them, the client's socket too."""
        heard, self.inbox = self.inbox, deque()
        if self.link_open is not None and self.owed.ready_epoch != self.link_open:
            self.reports[self.link_open] += 1  # of one that was ready the successor tells
        self._drop_everything()
        for event in heard:
            if isinstance(event, Noted):
                self.step(event)
        if self.wanted:
            self.step(Ordered(Event.START, "begun"))
        for event in heard:
            if isinstance(event, LASTING):
                self.step(event)

    def order_part(self, part: str, *, told: bool) -> None:
        """An operator has the session begun anew, or who dials and reads."""
        self.owed.ordered = f"restart of its {part}"
        if part == "session":
            self.restart_session()
            return
        if self.socket is not None and told:
            self.socket.close("eof")  # the reader says so while it ends
        self.after(0.01, self._renew_link)

    def _renew_link(self) -> None:
        self.drop_socket()
        self.post(LinkRenewed())

    def _drop_everything(self) -> None:
        self.taken = self.refunded = 0
        self.drop_socket()
        self.link_open = None
        self.timers.clear()
        self.disk.said_no_at = None  # what a new session does not know
        self.sieve = Sieve()
        self.core = Core(self.settings, self.owed)

    def crash(self) -> None:
        """The process is killed, and started again: it has its journal, and its client connects anew."""
        self.lives += 1
        self.inbox.clear()
        self.disk.crash()
        unended = {key.order_id: intent for key, intent in self.disk.intents.items() if not intent.is_concluded}
        self.survivors = set(unended)
        self.owed_cancels = {order_id for order_id, intent in unended.items() if intent.cancel_owed}
        self.log.clear()
        self.ended_before = sum(self.meter.requests_ended.values())
        self.owed, self.backoff = Owed(), Backoff()
        self._drop_everything()
        self.wire = Wire(self)
        self.reports.clear()
        self.wanted = self.client_returned = False
        self._another_client()
        self.client.version = 0
        life = self.lives
        self.after(self.chance.uniform(0.05, 3.0), lambda: self.greet() if life == self.lives else None)

    # -- effects -------------------------------------------------------------------------------------------------------

    def _dial(self, dial: Dial) -> None:
        assert self.link_open is None, "the former epoch is hung up before another is dialled"
        assert not self.left
        fresh = self.core.link is Link.UNKNOWN and not self.core.broken_farms and self.core.pulse.probed_at is None
        assert fresh, "nothing of what an epoch has found out is believed in the next"
        if dial.epoch > 1:
            assert self.reports[dial.epoch - 1] == 1, "exactly one report of each epoch's end"
        self.link_open = dial.epoch
        self.orders_to_connector.append(dial)
        self._connector_goes_on()

    def _write(self, write: Write) -> None:
        assert self.link_open == write.epoch, "nothing is written on a socket that is hung up"
        frames = speech.payloads(write.data)
        assert len(frames) == write.messages
        for index, payload in enumerate(frames):
            self.wire.behind = frames[index + 1 :]
            self.wire.check_frame(write.epoch, payload)
        self.orders_to_connector.append(write)
        self._connector_goes_on()

    def _hang_up(self, hang_up: HangUp) -> None:
        assert self.link_open == hang_up.epoch
        self.link_open = None
        self.orders_to_connector.append(hang_up)
        self._connector_goes_on()

    def _arm(self, arm: Arm) -> None:
        assert arm.seconds >= 0.0

        def ring() -> None:
            if self.timers.get(arm.timer) == number:
                del self.timers[arm.timer]
                self.step(Rang(arm.timer))

        number = self.after(arm.seconds, ring)
        self.timers[arm.timer] = number

    def _back_off(self, effect: BackOff) -> None:
        drained = self.core.state is State.PAUSED  # in the step of the loss, which is none of the operator's
        blamed = self.core.trouble[0] is Cause.OPERATOR and not drained
        assert not blamed, "what an operator does costs no step of the backoff"
        delay, self.backoff = self.backoff.delay(self.chance, floor=effect.floor_seconds)
        self.delays.append((effect.floor_seconds, delay))
        self._arm(Arm(Timer.RETRY, delay))

    def _settle(self, _effect: Settle) -> None:
        ordered = isinstance(self.cause, LinkRenewed)
        ordered |= isinstance(self.cause, Ordered) and self.cause.event in (Event.RESTART, Event.RESET)
        proved = self.core.state is State.READY and self.now - self.ready_since >= self.settings.stable_seconds - 1e-6
        assert ordered or proved, "failures are forgotten when a connection has proved itself, and not before"
        self.backoff = self.backoff.reset()

    def _count(self, effect: Count) -> None:
        self.meter.count(effect.name, effect.label)

    def _observe(self, effect: Observe) -> None:
        self.meter.observe(effect.name, effect.seconds, effect.label)

    def _report(self, effect: Report) -> None:
        fields = dict(effect.fields)
        self.log.append((self.now, effect.event, fields))
        if effect.event in LOSSES:
            self.reports[fields["epoch"]] += 1
            assert self.reports[fields["epoch"]] == 1, "one report of an epoch's end"

    def _attend(self, _effect: Attend) -> None:
        self.sieve.told.forget_all()
        self.post(Attended())

    def _deliver(self, effect: Deliver) -> None:
        self.sieve.told.hear_own(effect.data[PREFIX:])
        if self.absent:
            self.post(Unheard(effect.data))
        else:
            self.client.hear(effect.data)

    def _ask_owner(self, effect: AskOwner) -> None:
        veto, seconds = self.owner_says()

        def answer() -> None:
            if not veto:
                self.let_out.add((effect.epoch, effect.intent.key.order_id))
            self.post(OwnerSaid(effect.epoch, effect.token, veto))

        self.after(seconds, answer)

    def owner_says(self) -> tuple[str, float]:
        """Yes or no, and after how many seconds: at once, or too late."""
        return self.chance.choice(("", "", "no")), self.chance.choice((0.001, 0.5, 4.0, 15.0))

    def _leave(self, _effect: Leave) -> None:
        self.left = True
        self._close()

    def _refund(self, effect: Refund) -> None:
        assert effect.size_bytes > 0
        self.refunded += effect.size_bytes

    def _pass_clock(self, effect: PassClock) -> None:
        if effect.epoch == self.sieve.epoch:
            self.sieve.clocks_owed += 1

    def _mute(self, effect: Mute) -> None:
        if effect.epoch == self.sieve.epoch:
            self.sieve.mute(effect)

    def _await(self, effect: Await) -> None:
        if effect.epoch == self.sieve.epoch:
            self.sieve.await_(effect)

    def _swallow(self, effect: Swallow) -> None:
        if effect.epoch == self.sieve.epoch:
            self.sieve.swallow(effect)

    def _identify(self, effect: Identify) -> None:
        if effect.epoch == self.sieve.epoch:
            self.sieve.identify(effect)

    def _conceal(self, effect: Conceal) -> None:
        if effect.epoch == self.sieve.epoch:
            self.sieve.conceal(effect)
        self.wire.ours[effect.epoch, effect.end] += 1

    def _hush(self, effect: Hush) -> None:
        if effect.epoch == self.sieve.epoch:
            self.sieve.hush()

    # -- the client ----------------------------------------------------------------------------------------------------

    def greet(self, *, cached: bool = False) -> None:
        low = self.chance.choice((100, 157, 176))
        offer = VersionRange(min(low, self.version), self.version + self.chance.choice((0, 5)))
        hello = speech.Hello(self.version, speech.HELLO_TIME) if cached else None
        self.post(ClientGreeted(offer, b"", hello))

    def client_has_hello(self) -> None:
        self.after(0.01, lambda: self.post(ClientStarted(speech.CLIENT_ID, b"")))

    def send(self, *payloads: bytes | None) -> None:
        wanted = tuple(payload for payload in payloads if payload is not None)
        if wanted:
            self.post(ClientAsked(wanted))

    def client_goes(self) -> None:
        """The client closes its socket, and its connection is kept."""
        self.absent = True
        self.client_returned = True
        self.post(ClientAway())

    def client_returns(self) -> None:
        self.absent = False
        self._another_client()
        self.post(ClientReturned())

    def _another_client(self) -> None:
        """It knows nothing yet; what the one before has asked for may still leave."""
        former, self.client = self.client, Client(self)
        self.client.version = former.version
        self.client.inherit(former)

    def order(self, event: Event) -> None:
        self.post(Ordered(event, "test"))

    def drain(self, seconds: float) -> None:
        self.drains += 1
        self.post(Drain("test", seconds))

    def leave(self) -> None:
        self.post(ClientLeft())

    # -- ends ----------------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """All faults stop now."""
        self.healed_at = self.now
        self.chaos, self.refusing, self.disk.trouble = 0.0, False, ""
        for upstream in self.sockets:
            if upstream.open:
                upstream.recover()
                if self.core.link.value == "down" or upstream.manner == "normal":
                    upstream.upstream_restored(data_lost=False)
        self.book.restore_link()

    def last_settings(self) -> dict[int, Asked]:
        """The last setting of each kind that the client asked for."""
        return {asked.number: asked for asked in self.client.asked if asked.kind is Kind.SETTING}

    @property
    def ready(self) -> bool:
        """Whether the session says so, on a socket with a living gateway behind it."""
        return self.core.state is State.READY and self.socket is not None and self.socket.alive

    @property
    def gateway_socket(self) -> Upstream | None:
        """The socket on which TWS speaks to us."""
        return self.socket


_EFFECTS: dict[type, Callable[[World, Any], None]] = {
    Dial: World._dial,
    Write: World._write,
    HangUp: World._hang_up,
    Tune: lambda world, effect: world.sieve.tune(effect),
    PassClock: World._pass_clock,
    Mute: World._mute,
    Await: World._await,
    Swallow: World._swallow,
    Identify: World._identify,
    Conceal: World._conceal,
    WriteDown: lambda world, effect: world.disk.ask(effect),
    LookUp: lambda world, effect: world.disk.ask(effect),
    AskOwner: World._ask_owner,
    FarmChanged: lambda _world, _effect: None,
    Hush: World._hush,
    Deliver: World._deliver,
    Attend: World._attend,
    Refund: World._refund,
    Arm: World._arm,
    Disarm: lambda world, effect: world.timers.pop(effect.timer, None) and None,
    BackOff: World._back_off,
    Settle: World._settle,
    Remember: lambda _world, _effect: None,
    Moved: lambda _world, _effect: None,
    Told: lambda _world, _effect: None,
    Count: World._count,
    Observe: World._observe,
    Report: World._report,
    Leave: World._leave,
}
