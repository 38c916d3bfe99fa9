"""The supervisor: an actor that starts, stops and restarts others, as OTP's `supervisor` does.

Children start in order and stop in reverse. When a child ends, the pure `plan` says who is stopped and who is
started again; `intensity` says when that has happened too often: then the supervisor fails itself and its own
supervisor deals with that. A start that fails is tried again by a timer message, so that `Stop` gets through.

Stopping a child: `Stop` on its control lane, `interrupt()` to break a blocking wait (again at half time, in case
the wait began in between), and after its grace the thread is abandoned: cut off, counted, left to itself. While a
supervisor waits for that, it serves no messages; it never waits for a message of a child.

An actor stopped from outside the tree (`ActorRegistry.stop_all()`) takes the whole tree down in order; nothing is
restarted.

Names: see `backstay.supervisor.book`.
"""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pykka

from backstay.supervisor.actor import Actor, Ref
from backstay.supervisor.book import Book
from backstay.supervisor.intensity import add_restart
from backstay.supervisor.messages import Exited, ExitKind, ExitReason, RestartChild, StartChild, StopChild
from backstay.supervisor.plan import Order, Plan, plan_exit, plan_restart
from backstay.supervisor.root import Root
from backstay.supervisor.specs import (
    SHUTDOWN_SECONDS,
    AutoShutdown,
    ChildKind,
    ChildSpec,
    Context,
    Log,
    Restart,
    SpecError,
    Strategy,
    SupervisorSpec,
    Tally,
    no_log,
)
from backstay.supervisor.tree import ChildState, Row, TreeNode, node

RETRY_SECONDS: Final = 0.01
"""Pause before a failed start is tried again: it must not spin a core where the intensity is generous."""

READY_SECONDS: Final = 5.0
"""How long a supervisor waits for a supervisor below it to have started its children, so that names are in the
book before the next child starts. Constructors do not block, so this is only a bound."""

SLACK_SECONDS: Final = 1.0
"""What a supervisor may take to stop beyond the graces of its children."""

JOIN_SECONDS: Final = 1.0
"""Bound for a thread to vanish after its actor is done: nothing is left for it to do."""


class RestartIntensityReached(Exception):  # noqa: N818 - OTP's words
    """A supervisor gives up: its children needed too many restarts in too short a time."""


@dataclass(frozen=True, slots=True)
class _Retry:
    """Start what is wanted: a timer message of the supervisor to itself."""


class _Child:
    """A supervisor's own record of one child."""

    __slots__ = ("actor", "incarnation", "restarts", "spec", "state")

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.state = ChildState.WANTED
        self.incarnation = 0
        self.restarts = 0
        self.actor: Actor | None = None


class Supervisor(Actor):
    """See the module. Takes `StartChild`, `StopChild` and `RestartChild`, on either lane."""

    def __init__(self, context: Context, spec: SupervisorSpec) -> None:
        super().__init__(context)
        self.spec = spec
        own = spec.own_book
        self.children_book: Book = context.book.inner(context.id) if own else context.book
        self._parent_book = context.book if own else context.parent_book
        self._children = {child.id: _Child(child) for child in spec.children}
        self._restarts: tuple[float, ...] = ()
        self._rows: tuple[Row, ...] = ()
        self._publish()

    # Any thread.

    def rows(self) -> tuple[Row, ...]:
        """Return the children as last published."""
        return self._rows

    def tree(self) -> tuple[TreeNode, ...]:
        """Return the nodes of the children and all below."""
        return tuple(
            node(
                row, f"{self.context.path}/{row.spec.id}", row.actor.tree() if isinstance(row.actor, Supervisor) else ()
            )
            for row in self._rows
        )

    def descendants(self) -> Iterator[Actor]:
        """All actors below, supervisors before their children."""
        for row in self._rows:
            if row.actor is not None:
                yield row.actor
                if isinstance(row.actor, Supervisor):
                    yield from row.actor.descendants()

    def stop_seconds(self) -> float:
        """Longest time an orderly stop may take: what the children may take one after the other."""
        return SLACK_SECONDS + sum(_grace(row.spec, row.actor) for row in self._rows if row.actor is not None)

    def abandon(self) -> None:
        """Cut off this supervisor and all below it."""
        super().abandon()
        for actor in self.descendants():
            actor.dismiss("the supervisor was abandoned")
            actor.abandon()

    # Life.

    def begin(self) -> None:
        """Start the children."""
        self._start_wanted()

    def receive(self, message: Any) -> None:
        """Deal with an exit or a command. Whoever waits for an answer gets one, also when this fails."""
        handler = _HANDLERS.get(type(message))
        if handler is None:
            self._log("message_unknown", message=type(message).__name__)
            return
        refusal: str | None = "the supervisor failed"
        try:
            refusal = handler(self, message)
        finally:
            self._publish()
            answer = getattr(message, "answer", None)
            if answer is not None:
                answer(refusal)

    def end(self, reason: ExitReason) -> None:
        """Stop the children, last first."""
        self._stop_all(reversed(tuple(self._children.values())), reason.text or reason.kind.value)
        self._publish()

    # Messages.

    def _on_exited(self, exited: Exited) -> str | None:
        child = self._children.get(exited.id)
        if child is None or child.actor is None or child.incarnation != exited.incarnation:
            return None  # of a life that was stopped or given up: dealt with then
        self._let_go(child)
        self._tell_exit(child, exited)
        plan = plan_exit(self._order(), strategy=self.spec.strategy, failed=exited.id, kind=exited.kind)
        if plan.ends:
            self._depart_as(ExitReason(ExitKind.FOREIGN, f"{exited.id} was stopped from outside the tree"))
            return None
        if plan.costs:
            self._spend(child, exited.error or exited.kind.value)
        self._carry_out(plan, f"{exited.id} ended")
        if exited.id not in plan.start and child.spec.significant:
            self._end_with(child)
        return None

    def _on_start(self, command: StartChild) -> str | None:
        spec = command.spec
        present = self._children.get(spec.id)
        if present is not None and present.state is not ChildState.STOPPED:
            return self._refuse(spec.id, "a child of this id is there already")
        try:
            self.spec.admit(spec)
        except SpecError as error:
            return self._refuse(spec.id, str(error))
        self._children.pop(spec.id, None)
        must_wait = self.spec.strategy is not Strategy.ONE_FOR_ONE and self._wanted()
        child = self._children[spec.id] = _Child(spec)
        if must_wait:
            return None
        trouble = self._start(child)
        if trouble is None:
            return None
        self._forget(spec.id)
        return self._refuse(spec.id, trouble)

    def _on_stop(self, command: StopChild) -> str | None:
        child = self._children.get(command.id)
        if child is None:
            return self._refuse(command.id, "no child of this id")
        self._stop_all([child], command.reason)
        self._forget(command.id)
        return None

    def _on_restart(self, command: RestartChild) -> str | None:
        child = self._children.get(command.id)
        if child is None:
            return self._refuse(command.id, "no child of this id")
        plan = plan_restart(self._order(), strategy=self.spec.strategy, failed=command.id)
        self._carry_out(plan, command.reason or "restart")
        return None if child.state is ChildState.RUNNING else "its start failed and will be tried again"

    def _on_retry(self, _: _Retry) -> str | None:
        self._start_wanted()
        return None

    # Plans.

    def _order(self) -> Order:
        return [(name, child.spec.restart) for name, child in self._children.items()]

    def _carry_out(self, plan: Plan, reason: str) -> None:
        self._stop_all([self._children[name] for name in plan.stop], reason)
        for name in plan.remove:
            self._forget(name)
        for name in plan.start:
            self._children[name].state = ChildState.WANTED
        self._start_wanted()

    def _spend(self, child: _Child, reason: str) -> None:
        """Use up restart intensity for a restart nobody asked for. Raises when there is none left."""
        window = add_restart(self._restarts, self.now(), self.spec.intensity)
        self._restarts = window.restarts
        if window.exceeded:
            limit = self.spec.intensity
            self._log("restart_intensity_reached", id=child.spec.id, reason=reason)
            raise RestartIntensityReached(
                f"{self.context.path}: more than {limit.restarts} restarts in {limit.seconds:g} s, "
                f"the last of {child.spec.id} ({reason})"
            )

    def _end_with(self, child: _Child) -> None:
        mode = self.spec.auto_shutdown
        others = [
            other
            for other in self._children.values()
            if other is not child and other.spec.significant and other.state is not ChildState.STOPPED
        ]
        if mode is AutoShutdown.ANY or (mode is AutoShutdown.ALL and not others):
            self.leave(f"significant child {child.spec.id} ended")

    # Starting.

    def _wanted(self) -> list[_Child]:
        return [child for child in self._children.values() if child.state is ChildState.WANTED]

    def _start_wanted(self) -> None:
        """Start in order whatever is wanted. Where children depend on earlier ones, stop at the first that fails."""
        for child in self._wanted():
            if self.stopping:
                break
            trouble = self._start(child)
            if trouble is None:
                continue
            self._spend(child, trouble)
            self.after(RETRY_SECONDS, _Retry(), key=_Retry)
            if self.spec.strategy is not Strategy.ONE_FOR_ONE:
                break
        self._publish()

    def _start(self, child: _Child) -> str | None:
        """Begin a new life of a child. Returns what went wrong; raises nothing."""
        child.incarnation += 1
        try:
            actor = _actor_of(child.spec.start(self._context_of(child)))
        except BaseException as error:  # noqa: BLE001 - a constructor is foreign code in this thread
            text = f"{type(error).__name__}: {error}"
            self._log("child_start_failed", id=child.spec.id, error=text, traceback=traceback.format_exc())
            return text
        if isinstance(actor, Supervisor):
            actor.ready.wait(READY_SECONDS)
        child.actor = actor
        child.state = ChildState.RUNNING
        again = child.incarnation > 1
        if again:
            child.restarts += 1
            self.context.tally.add_restart()
        self._log("child_restarted" if again else "child_started", id=child.spec.id, incarnation=child.incarnation)
        return None

    def _context_of(self, child: _Child) -> Context:
        return Context(
            id=child.spec.id,
            path=f"{self.context.path}/{child.spec.id}",
            book=self.children_book,
            report=functools.partial(self.actor_inbox.post, control=True, vital=True),
            clock=self.context.clock,
            incarnation=child.incarnation,
            parent_book=self._parent_book,
            log=self.context.log,
            tally=self.context.tally,
        )

    # Stopping.

    def _stop_all(self, children: Iterable[_Child], reason: str) -> None:
        for child in children:
            actor = self._let_go(child)
            if actor is None:
                continue
            actor.dismiss(reason)
            if _wait_done(actor, _grace(child.spec, actor)):
                if actor.exited is not None:
                    self._tell_exit(child, actor.exited)
            else:
                self._abandon(child, actor)

    def _abandon(self, child: _Child, actor: Actor) -> None:
        actor.abandon()
        self.context.tally.add_abandoned()
        self._log(
            "child_abandoned", id=child.spec.id, incarnation=child.incarnation, seconds=child.spec.shutdown_seconds
        )

    def _let_go(self, child: _Child) -> Actor | None:
        actor, child.actor = child.actor, None
        child.state = ChildState.STOPPED
        return actor

    def _forget(self, name: str) -> None:
        self._children.pop(name, None)
        self.children_book.forget(name)

    # Telling.

    def _tell_exit(self, child: _Child, exited: Exited) -> None:
        self._log(
            "child_exited",
            id=exited.id,
            incarnation=exited.incarnation,
            kind=exited.kind.value,
            restart=child.spec.restart.value,
            reason=exited.text,
            where=exited.where.value if exited.where else None,
            handling=exited.handling,
            error=exited.error,
            traceback=exited.traceback_text,
        )

    def _refuse(self, name: str, reason: str) -> str:
        self._log("child_refused", id=name, reason=reason)
        return reason

    def _log(self, event: str, **fields: Any) -> None:
        self.context.log(event, supervisor=self.context.path, **fields)

    def _publish(self) -> None:
        self._rows = tuple(
            Row(child.spec, child.state, child.incarnation, child.restarts, child.actor)
            for child in self._children.values()
        )


_HANDLERS: Final[dict[type, Callable[[Supervisor, Any], str | None]]] = {
    Exited: Supervisor._on_exited,
    StartChild: Supervisor._on_start,
    StopChild: Supervisor._on_stop,
    RestartChild: Supervisor._on_restart,
    _Retry: Supervisor._on_retry,
}


def supervisor_child(  # noqa: PLR0913 - mirrors ChildSpec
    id: str,  # noqa: A002 - as in ChildSpec
    spec: SupervisorSpec,
    *,
    restart: Restart = Restart.PERMANENT,
    shutdown_seconds: float = SHUTDOWN_SECONDS,
    significant: bool = False,
) -> ChildSpec:
    """Spec of a nested supervisor."""
    return ChildSpec(
        id,
        functools.partial(_start_supervisor, spec=spec),
        restart=restart,
        shutdown_seconds=shutdown_seconds,
        kind=ChildKind.SUPERVISOR,
        significant=significant,
    )


def start_root(
    spec: SupervisorSpec,
    *,
    name: str = "root",
    clock: Callable[[], float] = time.monotonic,
    log: Log = no_log,
    on_exit: Callable[[Exited], object] | None = None,
) -> Root:
    """Start a tree. Returns when its supervisors have started their children (or have begun to retry).

    `log` and `on_exit` are called in actors' threads; what they raise is dropped. `on_exit` hears once how the
    root ended: after `Root.stop`, or because it gave up.
    """
    root = Root(log=log, on_exit=on_exit)
    context = Context(
        id=name, path=name, book=Book(), report=root.on_exited, clock=clock, log=root.log, tally=root.tally
    )
    supervisor = _actor_of(_start_supervisor(context, spec=spec))
    root.supervisor = supervisor
    supervisor.ready.wait(READY_SECONDS)
    return root


def _start_supervisor(context: Context, *, spec: SupervisorSpec) -> pykka.ActorRef[Supervisor]:
    return Supervisor.start(context, spec)


def _actor_of(ref: pykka.ActorRef[Any]) -> Actor:
    if isinstance(ref, Ref):
        return ref.actor
    ref.stop(block=False)
    raise TypeError(f"start returned {ref!r}: not an actor of this tree")


def _grace(spec: ChildSpec, actor: Actor | None) -> float:
    return max(spec.shutdown_seconds, actor.stop_seconds()) if isinstance(actor, Supervisor) else spec.shutdown_seconds


def _wait_done(actor: Actor, seconds: float) -> bool:
    if not actor.done.wait(seconds / 2):
        actor.interrupt_safely()
        if not actor.done.wait(seconds / 2):
            return False
    if actor.thread is not None:
        actor.thread.join(JOIN_SECONDS)
    return True
