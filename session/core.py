"""The session: one `step` from an event to the effects it has. No thread, no socket, no clock, no chance.

The core joins the parts: the lifecycle table says where an event leads and what is to be done, the desk keeps what
the client is owed, the pulse judges silence. This module moves through the table and carries out its actions; what an
event means is read in `hearing` (the gateway speaks) and `calling` (the client, the owner, the clock).

The owner calls `step` from one thread, carries the effects out in order, and feeds timers back as `Rang`. `Owed` is
what must survive the core: hand the same one to its successor.
"""

from __future__ import annotations

from collections.abc import Callable

from backstay.protocol.commands import current_time, start_api
from backstay.protocol.handshake import Hello, VersionRange, answer
from backstay.session import draining
from backstay.session.acts import ACTS
from backstay.session.calendar import Downtime, Planned
from backstay.session.calling import CALLS
from backstay.session.causes import Cause, in_words
from backstay.session.desk import Desk
from backstay.session.downtime import NOT_YET_LOOKED, keep_calendar, loss_detail
from backstay.session.endpoints import Endpoints, Moves
from backstay.session.firsts import NEVER_DUE
from backstay.session.hearing import HEARINGS, hear_late
from backstay.session.hearsay import Hearsay, heed, is_master
from backstay.session.historical import Asked
from backstay.session.ledger import Entry
from backstay.session.lifecycle import SOCKET_STATES, Event, Link, State, public_state, step
from backstay.session.notices import Notice
from backstay.session.order_journal import keep_changes, look_up, open_book
from backstay.session.ordering import ask_what_may_be_asked, plan_round
from backstay.session.orders import Journal, Orders
from backstay.session.owed import Owed, View
from backstay.session.own_words import TellGap
from backstay.session.pacing import carried_over
from backstay.session.pulse import Pulse
from backstay.session.reasons import Reason
from backstay.session.reconcile import Phase, Source
from backstay.session.settings import Settings
from backstay.session.sieve_words import Identify
from backstay.session.told import Knowledge
from backstay.session.upstream import FIRST_PATIENCE_SECONDS
from backstay.session.vocabulary import (
    Arm,
    Count,
    Deliver,
    Disarm,
    Effect,
    Report,
    SessionEvent,
    Timer,
    Write,
)

LASTING_TIMERS = (
    Timer.STATE,
    Timer.RETRY,
    Timer.STABLE,
    Timer.HELD,
    Timer.JOURNAL,
    Timer.CALENDAR,
    Timer.LEAVING,
    Timer.DRAIN,
)
SOCKET_TIMERS = tuple(timer for timer in Timer if timer not in LASTING_TIMERS)
"""Timers of what goes on over a socket."""

RESOLVE_SECONDS = 5.0
"""The dial has its own time-out; this much more is for a name server that does not answer."""


class Core:
    """See the module. All public methods belong to the owner's thread."""

    def __init__(self, settings: Settings, owed: Owed) -> None:
        self.settings = settings
        self.owed = owed
        self.state = State.STOPPED
        self.link = Link.UNKNOWN
        self.reason = ""
        self.effects: list[Effect] = []
        self.pulse = Pulse(settings.pulse, owed.clock_asked_at)
        owed.waiting = carried_over(
            owed.waiting, settings.messages_per_second, owed.orders.unkept if owed.orders else ()
        )
        self.desk = Desk(settings, owed.ledger, self.pulse, owed.waiting)
        self.desk.version, self.desk.epoch = owed.version or 0, owed.epoch
        self.desk.told_down, self.desk.draining = owed.told_down, owed.draining is not None
        self.desk.client_gone = owed.away
        self.now = 0.0
        self.heard_at = 0.0
        self.live = False
        self.identified: set[int] = set()
        self.was_ready = False
        self.trouble = (Cause.SESSION_DIED, "")  # as far as this core knows, there was one before it
        self.endpoints = Endpoints(list(settings.endpoints))
        self.ready_at = 0.0
        self.redirects = 0
        self.detour: tuple[str, int] | None = None
        self.dialled: tuple[str, int] = settings.endpoints[0]
        self.dialled_at = 0.0
        self.offered = VersionRange(0, 0)
        self.lost_at: float | None = None
        self.broken_farms: set[tuple[str, str]] = set()
        self.broken_since: dict[str, float] = {}  # what for; seconds since the epoch
        self.called: list[Entry] = []  # streams that a sign is awaited of for a moment
        self.cached: Hello | None = None
        self.round_trip: float | None = None
        self.clock_skew = 0.0
        self.unfinished = False  # a drain ran out before all had finished
        self.leaving = False  # the client has left, and orders or cancels of it wait
        self.reconcile_due: float | None = None
        self.to_ask: list[Source] = []
        self.own_keys: set[int] = set()  # under which executions have been asked for in this round
        self.started: int | None = None  # the epoch in which startApi has been sent
        self.desk.orders = owed.orders
        self.upstream_patience_seconds = FIRST_PATIENCE_SECONDS
        self.identity: Identify | None = None
        self.hearsay = Hearsay()
        self.windows = settings.maintenance or ()
        self.planned = NOT_YET_LOOKED if settings.maintenance else Planned()

    # -- the outside -------------------------------------------------------------------------------------------------

    @property
    def orders(self) -> Orders:
        """What is known of the client's orders, once it has said its id."""
        assert self.owed.orders is not None  # noqa: S101  # the caller has looked
        return self.owed.orders

    def learn(self, moves: Moves, asked: Asked, told: Knowledge) -> None:
        """What the connections of this gateway know together, before a step."""
        self.endpoints.moved, self.hearsay.known = moves, told
        self.desk.historical.learn(asked)

    def step(self, event: SessionEvent, now: float, *, heard_at: float = 0.0, wall: float = 0.0) -> list[Effect]:
        """What has to be done about `event`.

        `now` and `heard_at` (the last byte's arrival): monotonic seconds. `wall`: seconds since the epoch.
        """
        self.now, self.heard_at = now, heard_at
        self.desk.now = self.desk.outbox.now = now
        self.desk.wall, self.desk.state, self.desk.families.heard_at = wall, self.state, heard_at
        self.effects = self.desk.effects = []
        heed(self)
        keep_calendar(self)
        epoch: int | None = getattr(event, "epoch", None)
        if epoch is not None and (epoch != self.owed.epoch or not self.live):
            if epoch <= self.owed.epoch:
                hear_late(self, event)
            return self.effects
        HANDLERS[type(event)](self, event)
        self.desk.link_up = self.link is not Link.DOWN
        if self.to_ask and self.desk.open:  # what a broken socket has left of them is not asked on the next
            ask_what_may_be_asked(self)
        keep_changes(self)
        self.desk.release(now)
        plan_round(self)
        self._settle_queue()
        draining.look(self)
        self.desk.settle()
        self.owed.clock_asked_at = self.pulse.clock_asked_at
        self.owed.told_down = self.desk.told_down
        return self.effects

    def view(self) -> View:
        """The present state, for everybody who wants to look."""
        ledger, drained = self.owed.ledger, self.owed.draining
        return View(
            state=public_state(self.state, self.link, draining=drained is not None),
            reason=draining.reason_of(self),
            epoch=self.owed.epoch,
            endpoint=self.dialled,
            version=self.owed.version,
            client_id=self.owed.start.client_id if self.owed.start else None,
            streams=ledger.streams,
            reads=ledger.reads(),
            held=self.desk.held(),
            round_trip_seconds=self.round_trip,
            upstream=self.live and self.link is Link.UP,
            clock_skew_seconds=self.clock_skew,
            broken=self.broken_since,
            downtime=self.planned.text if self.planned.phase is not Downtime.NONE else "",
            expected=self.planned.phase is not Downtime.NOW and drained is None,
            unfinished=self.unfinished,
        )

    @property
    def shown(self) -> str:
        """The state as an event tells it: what is the matter with the gateway's own link has events of its own."""
        return public_state(self.state, Link.UNKNOWN, draining=self.owed.draining is not None)

    # -- moving through the table ------------------------------------------------------------------------------------

    def move(self, event: Event) -> None:
        """Let an event have its way: change the state by the table and carry out the actions of the row."""
        transition = step(self.state, event)
        before, was_shown, self.state = self.state, self.shown, transition.to
        if transition.to is not before:
            self._change_timers(before, transition.to)
        for action in transition.actions:
            ACTS[action](self)
        if self.state is not before:
            fields = (("from", was_shown), ("to", self.shown), ("on", event.value), ("reason", self.reason))
            self.effects.append(Report("state_changed", (("epoch", self.owed.epoch), *fields)))

    def _change_timers(self, before: State, after: State) -> None:
        self.effects += [Disarm(Timer.STATE), Disarm(Timer.RETRY)]
        if before is State.READY:
            self.effects.append(Disarm(Timer.STABLE))
        if before in SOCKET_STATES and after not in SOCKET_STATES:
            self.effects += map(Disarm, SOCKET_TIMERS)
            self.desk.look_due = NEVER_DUE
        seconds = {
            State.CONNECTING: self.settings.dial_seconds + RESOLVE_SECONDS,
            State.HANDSHAKING: self.settings.handshake_seconds,
            State.AWAITING_ACCEPTANCE: self.settings.acceptance_seconds,
            State.DRAINING: self.settings.drain_seconds,
        }.get(after)
        if seconds is not None:
            self.effects.append(Arm(Timer.STATE, seconds))

    def fail(self, event: Event, cause: Cause, detail: str) -> None:
        """As `move`, with the cause of the trouble, which the endpoint's record keeps."""
        self.endpoints.failed(cause, self.now)
        self.trouble = (cause, detail)
        self.reason = in_words(cause, detail)
        self.move(event)

    # -- actions -----------------------------------------------------------------------------------------------------

    def tell_down(self) -> None:
        """Tell the client, once an outage, that the gateway is away; an application of our own, of each break."""
        (cause, detail), own = self.trouble, not self.owed.has_client
        if self.owed.start is None or not (own or self.owed.introduced):
            return
        if own:
            self.effects.append(TellGap(self.owed.epoch, cause, detail))
        paused = self.state is State.PAUSED
        self.desk.away = Reason.PAUSED if paused else Reason.AWAY
        if not self.desk.told_down:
            self.desk.told_down = True
            self.desk.refuse_orders()
            if not own:
                self.desk.say(Notice.GATEWAY_PAUSED if paused else Notice.GATEWAY_LOST, detail=loss_detail(self))

    def send_start(self) -> None:
        """Send the startApi of the client, or our own, and begin to wait for the identification.

        Not before its orders are known, or known not to be had: the lowest order id depends on them.
        """
        start = self.owed.start
        assert start is not None  # noqa: S101  # all callers have looked
        if self.owed.orders is None and not open_book(self, start.client_id):
            return
        if self.orders.journal is Journal.ASKED:
            look_up(self)
            return
        floor = self.orders.table.floor(start.client_id)
        self.orders.sees_others |= is_master(self)
        self.identity = Identify(self.owed.epoch, start.client_id, floor, self.orders.sees_others)
        self.effects.append(self.identity)
        if self.started == self.owed.epoch:
            return  # a journal that could not be read then can be read now: that does not start TWS's session anew
        self.started = self.owed.epoch
        data = start_api(self.desk.version, start.client_id, start.capabilities)
        self._write_past_gate(data)
        self.effects.append(Arm(Timer.STATE, self.settings.start_seconds))

    def book_is_open(self) -> None:
        """The journal has been read, or can not be: the session starts, or learns late how low an order id may be."""
        if self.owed.start is not None and (self.state is State.STARTING or self.started == self.owed.epoch):
            self.send_start()

    def probe(self) -> None:
        """Ask for the current time, now or as soon as TWS would answer again."""
        pulse, outbox = self.pulse, self.desk.outbox
        pulse.waiting = self.now < pulse.earliest_question()
        wait = pulse.earliest_question() - self.now if pulse.waiting else outbox.wait_seconds(self.now, urgent=True)
        outbox.reserved = wait > 0.0 and not pulse.waiting
        if wait > 0.0:
            self.effects.append(Arm(Timer.PULSE, wait))
            return
        if not self.desk.ask_the_time(self.now):  # the client's question is as good as ours, and need not wait for it
            self._write_past_gate(current_time(self.desk.version))
        self.pulse.probe_sent(self.now)
        self.effects.append(Count("heartbeats"))
        self.look_again(self.pulse.look(self.now, self.heard_at)[1])

    def _write_past_gate(self, data: bytes) -> None:
        self.desk.outbox.note_sent(self.now)
        self.effects.append(Write(self.owed.epoch, data, 1))

    def _settle_queue(self) -> None:
        # Who has no order out need not wait for lists of orders: they are compared while data flows.
        orders = self.owed.orders
        asking = orders is not None and orders.reconciliation.phase is Phase.ASKING and orders.table.open_intents()
        if self.state is State.SYNCING and self.desk.open and not self.desk.restoring and not asking:
            self.move(Event.SYNCED)
        if self.leaving and not self.desk.has_trades:
            self.leaving = False
            self.move(Event.DRAIN)
        if self.state is State.DRAINING and self.desk.open and self.desk.idle:
            self.move(Event.DRAINED)

    def introduce_client(self, hello: Hello) -> None:
        """Answer the client's greeting: with the gateway's own answer, or with the last one seen from it."""
        if self.owed.has_client and not self.owed.introduced:
            self.owed.introduced = True
            self.owed.version = self.desk.version = hello.version
            self.effects.append(Deliver(answer(hello)))

    def look_again(self, seconds: float) -> None:
        """Let the pulse be looked at again after so many seconds."""
        self.pulse.waiting = self.desk.outbox.reserved = False
        self.effects.append(Arm(Timer.PULSE, seconds))


HANDLERS: dict[type, Callable[..., None]] = {**HEARINGS, **CALLS}
