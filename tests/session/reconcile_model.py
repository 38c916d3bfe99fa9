"""A small world around the real rules: one order, a process that may crash, sockets that end, a TWS that restarts.

TWS remembers an order id until it restarts, and takes a second frame of that id as a change. IB takes whatever reaches
it as an order of its own: two arrivals are a duplicate. Whatever was written to a socket, and whatever TWS has passed
on, may still arrive after that socket or that TWS is gone, or never; the settling time is what it takes at the longest.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from backstay.protocol.order_fields import ExecutionFacts, OrderFacts, PlacedOrder
from backstay.session.evidence import VERDICT_EVENTS, Evidence, Executions
from backstay.session.intent_table import IntentTable
from backstay.session.intents import HighWater, Intent, IntentKey, IntentState, JournalPage, Moment
from backstay.session.reconcile import Ask, Judged, Phase, ReconcileSettings, Reconciliation, Source
from backstay.session.resend import ResendCase, ResendRule, resend_refusal

ME, ORDER = 7, 5
SETTLE = 10.0
FRAME = (b"3\x005\x00", 200)
RULE = ResendRule(enabled=True, ttl_seconds=1e9, attempts=3)


@dataclass(frozen=True)
class Limits:
    """How often each fault may strike in one course of events."""

    losses: int = 2
    restarts: int = 1
    crashes: int = 1


@dataclass(frozen=True)
class Variant:
    """The rule under test, or a broken one."""

    settle: bool = True
    reconcile: bool = True
    same_id: bool = True
    in_order: bool = True


class AllAtOnce(Reconciliation):
    """Asks for what has ended before it has heard what is open."""

    first = (Source.OPEN, Source.COMPLETED, Source.EXECUTIONS)
    followers = MappingProxyType({Source.OPEN: (Source.ALL_OPEN,)})


@dataclass
class World:
    """One state of everything."""

    variant: Variant
    # us
    table: IntentTable = field(init=False)
    work: Reconciliation = field(init=False)
    disk: dict[IntentKey, Intent] = field(default_factory=dict)
    now: float = 100.0  # what is 0 was never written by this process
    epoch: int = 1
    connected: bool = True
    to_write: int = 0  # order id that is in the journal and not yet on the wire
    asked: tuple[Source, ...] = ()
    next_id: int = ORDER
    # on its way to TWS: (socket's epoch, order id); on its way from TWS to IB: order ids
    wire: tuple[tuple[int, int], ...] = ()
    pipe: tuple[int, ...] = ()
    # TWS and IB
    tws_up: bool = True
    tws_knows: frozenset[int] = frozenset()
    ib_orders: tuple[int, ...] = ()
    filled: frozenset[int] = frozenset()
    # faults so far
    losses: int = 0
    restarts: int = 0
    crashes: int = 0

    def __post_init__(self):
        self.be_born()
        self.start_round()
        for source in (Source.OPEN, Source.ALL_OPEN, Source.COMPLETED, Source.EXECUTIONS):
            self.answer(source)
        self.place()

    @property
    def at(self):
        return Moment(self.now, 1_000_000.0 + self.now)

    # -- us ----------------------------------------------------------------------------------------------------------

    def be_born(self):
        self.table = IntentTable("paper")
        settings = ReconcileSettings(settle_seconds=SETTLE if self.variant.settle else 0.0)
        kind = Reconciliation if self.variant.in_order else AllAtOnce
        self.work = kind(settings, self.table.open_intents, _nobody)
        page = JournalPage(tuple(self.disk.values()), (HighWater("paper", ME, self.next_id - 1),))
        self.table.load(page, self.at)
        self.keep()

    def keep(self):
        page = self.table.take_page()
        if page is not None:
            self.disk = self.disk | {intent.key: intent for intent in page.intents}

    def place(self):
        order_id = self.next_id
        self.next_id += 1
        self.table.place(PlacedOrder(order_id=order_id), FRAME, client_id=ME, epoch=self.epoch, at=self.at)
        self.keep()
        self.to_write = order_id

    def start_round(self):
        self.take(self.work.begin(self.epoch, self.at, link_up=True, reaches_back_to=0.0))

    def take(self, effects):
        for effect in effects:
            if isinstance(effect, Ask):
                self.asked += (effect.source,)
            elif isinstance(effect, Judged):
                self.conclude(effect)

    def conclude(self, judged):
        for verdict in judged.verdicts:
            event = VERDICT_EVENTS[verdict.kind]
            intent = self.table.get(ME, verdict.key.order_id)
            case = ResendCase(verdict, self.epoch, link_up=True, version=200, at=self.at)
            if self.to_write == 0 and resend_refusal(intent, case, RULE) is None:
                self.resend(intent)
            elif event is not None and (intent.state, event) != (IntentState.LIVE, event):
                self.table.apply(verdict.key, event, self.at, perm_id=verdict.perm_id)
        self.keep()

    def resend(self, intent):
        if not self.variant.same_id:
            self.table.apply(intent.key, VERDICT_EVENTS_ABSENT, self.at)
            self.place()
            return
        self.table.send(intent.key, self.epoch, self.at)
        self.keep()
        self.to_write = intent.key.order_id

    def resend_blindly(self):
        for intent in self.table.in_doubt():
            if intent.attempt < RULE.attempts and self.to_write == 0:
                self.resend(intent)

    def lose(self):
        self.connected = False
        self.asked = ()
        if self.to_write:
            key = IntentKey("paper", ME, self.to_write)
            self.table.unsent(key, self.at)
            self.to_write = 0
        self.table.lost(self.at)
        self.work.lost()
        self.keep()

    # -- TWS ---------------------------------------------------------------------------------------------------------

    def answer(self, source):
        self.asked = tuple(s for s in self.asked if s is not source)
        known = self.tws_knows | set(self.ib_orders)
        if source in (Source.OPEN, Source.ALL_OPEN):
            for order_id in sorted(known - self.filled):
                self.work.hear_order(opened(order_id))
        elif source is Source.COMPLETED:
            for order_id in sorted(self.filled):
                self.work.hear_order(replace(opened(order_id), message_id=101, order_id=None, client_id=None))
        else:
            for order_id in sorted(self.filled):
                self.work.hear_execution(executed(order_id))
        end = {Source.COMPLETED: 102, Source.EXECUTIONS: 55}.get(source, 53)
        self.take(self.work.ended(end, self.at))

    def key(self):
        """Everything that makes a difference from here on; times only as far as the settling time reaches."""

        def age(then):
            return None if then is None else min(self.now - then, SETTLE)

        intents = tuple(
            (i.key.order_id, i.state, i.outcome, i.attempt, i.perm_id, i.epoch == self.epoch, age(i.written_at))
            for i in (*self.table.open_intents(), *self.table._concluded.values())
        )
        ongoing = self.work._round
        evidence = None
        if ongoing is not None:
            found = ongoing.evidence
            evidence = (
                age(ongoing.asked_at),
                *(tuple(ongoing.waiting), ongoing.repeated, tuple(sorted(found.orders.items()))),
                *(len(found.nameless), len(found.executions)),
            )
        due = None if self.work.due is None else max(0.0, self.work.due - self.now)
        sockets = tuple((epoch == self.epoch and self.connected, order_id) for epoch, order_id in self.wire)
        return (
            *(intents, evidence, due, age(self.work._link_up_at), self.connected, self.to_write, self.asked),
            *(tuple(sorted((k.order_id, i.state, i.attempt) for k, i in self.disk.items())), self.next_id),
            *(sockets, self.pipe, self.tws_up, self.tws_knows, self.ib_orders, self.filled),
            *(self.losses, self.restarts, self.crashes),
        )

    def copy(self):
        twin = copy.copy(self)
        twin.table = copy.copy(self.table)
        for name in ("_open", "_concluded", "_by_perm_id", "_strangers", "_high", "_unsaved", "_unsaved_high"):
            setattr(twin.table, name, copy.copy(getattr(self.table, name)))
        twin.work = copy.copy(self.work)
        twin.work._intents = twin.table.open_intents
        twin.work.executions = Executions()
        twin.work._first_listed = dict(self.work._first_listed)
        if self.work._round is not None:
            twin.work._round = _copy_round(self.work._round)
        return twin


VERDICT_EVENTS_ABSENT = next(event for event in VERDICT_EVENTS.values() if event is not None and event.name == "ABSENT")


def _nobody(_perm_id):
    return None


def _copy_round(ongoing):
    found = ongoing.evidence
    evidence = Evidence(dict(found.orders), list(found.nameless), dict(found.by_perm_id))
    evidence.owners.update(found.owners)
    evidence.numbers.update((key, set(numbers)) for key, numbers in found.numbers.items())
    for execution in found.executions:
        evidence.executions.add(execution)
    waiting = {source: copy.copy(question) for source, question in ongoing.waiting.items()}
    return replace(ongoing, evidence=evidence, waiting=waiting, missing=set(ongoing.missing))


def opened(order_id):
    return OrderFacts(message_id=5, order_id=order_id, client_id=ME, perm_id=order_id + 70, status="Submitted")


def executed(order_id):
    return ExecutionFacts(
        request_id=1, order_id=order_id, client_id=ME, exec_id=f"{order_id}.01.01", perm_id=order_id + 70
    )


# -- what can happen next ---------------------------------------------------------------------------------------------

Step = Callable[[World], None]


def steps(world: World, limits: Limits) -> Iterator[tuple[str, Step]]:
    """Every event that is possible in this state."""
    if world.connected:
        yield from _steps_of_a_socket(world, limits)
    elif world.tws_up:
        yield "connect", _connect
    yield from _steps_of_what_is_on_its_way(world)
    for order_id in sorted(set(world.ib_orders) - world.filled):
        yield f"{order_id} is filled", lambda w, o=order_id: _fill(w, o)
    if world.crashes < limits.crashes:
        yield "crash", _crash
    if not world.tws_up:
        yield "TWS is back", _tws_up
    elif world.restarts < limits.restarts:
        yield "TWS restarts", _tws_down


def _steps_of_what_is_on_its_way(world: World) -> Iterator[tuple[str, Step]]:
    for index, (epoch, _) in enumerate(world.wire):
        if world.tws_up:
            yield f"frame {index} arrives", lambda w, i=index: _arrive(w, i)
        if epoch != world.epoch or not world.connected:
            yield f"frame {index} is lost", lambda w, i=index: _drop_frame(w, i)
    for index in range(len(world.pipe)):
        yield f"IB takes {index}", lambda w, i=index: _reach_ib(w, i)
        if not set(world.pipe) <= world.tws_knows:  # the TWS that had passed it on is gone
            yield f"IB never gets {index}", lambda w, i=index: _drop_pipe(w, i)
    if not world.wire and not world.pipe:
        yield "time passes", _settle


def _steps_of_a_socket(world: World, limits: Limits) -> Iterator[tuple[str, Step]]:
    if world.to_write:
        yield "write", _write
    for source in world.asked[:2]:
        yield f"answer {source.value}", lambda w, s=source: w.answer(s)
    for order_id in sorted(world.tws_knows - world.filled):
        yield f"TWS tells of {order_id}", lambda w, o=order_id: _tell(w, o)
    if world.losses < limits.losses:
        yield "socket lost", _lose


def _write(world):
    world.wire += ((world.epoch, world.to_write),)
    world.to_write = 0


def _tell(world, order_id):
    world.table.hear_order(opened(order_id), world.at)
    world.work.hear_order(opened(order_id))
    world.keep()


def _lose(world):
    world.losses += 1
    world.lose()


def _connect(world):
    world.connected = True
    world.epoch += 1
    if not world.variant.reconcile:
        world.resend_blindly()
        return
    world.start_round()


def _arrive(world, index):
    _, order_id = world.wire[index]
    world.wire = world.wire[:index] + world.wire[index + 1 :]
    if order_id in world.tws_knows:
        return  # a change to what it is already
    world.tws_knows |= {order_id}
    world.pipe += (order_id,)


def _drop_frame(world, index):
    world.wire = world.wire[:index] + world.wire[index + 1 :]


def _reach_ib(world, index):
    world.ib_orders += (world.pipe[index],)
    world.pipe = world.pipe[:index] + world.pipe[index + 1 :]


def _drop_pipe(world, index):
    world.pipe = world.pipe[:index] + world.pipe[index + 1 :]


def _fill(world, order_id):
    world.filled |= {order_id}


def _tws_down(world):
    world.restarts += 1
    world.tws_up = False
    world.tws_knows = frozenset()
    if world.connected:
        world.lose()


def _tws_up(world):
    world.tws_up = True
    world.tws_knows = frozenset(world.ib_orders) - world.filled


def _crash(world):
    world.crashes += 1
    world.connected = False
    world.asked = ()
    world.to_write = 0
    world.epoch += 1
    world.be_born()


def _settle(world):
    world.now += SETTLE
    if world.connected and world.work.phase is Phase.WAITING:
        world.take(world.work.tick(world.at))


@dataclass
class Finding:
    """What walking every course of events has shown."""

    states: int = 0
    duplicates: int = 0
    shortest: tuple[str, ...] = ()
    resent: int = 0


def explore(variant: Variant, limits: Limits, *, to_the_first: bool = False) -> Finding:
    """Walk every state that can be reached, breadth first; `to_the_first` duplicate, or all."""
    start = World(variant)
    finding = Finding()
    seen = {start.key()}
    level: list[tuple[World, tuple[str, ...]]] = [(start, ())]
    while level:
        following: list[tuple[World, tuple[str, ...]]] = []
        for world, path in level:
            finding.states += 1
            finding.resent += any(intent.attempt > 1 for intent in world.disk.values())
            if len(world.ib_orders) > 1:
                finding.duplicates += 1
                finding.shortest = finding.shortest or path
                if to_the_first:
                    return finding
                continue
            for name, step in steps(world, limits):
                twin = world.copy()
                step(twin)
                key = twin.key()
                if key not in seen:
                    seen.add(key)
                    following.append((twin, (*path, name)))
        level = following
    return finding
