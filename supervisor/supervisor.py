"""The supervisor: an actor that starts, stops and restarts others, as OTP's `supervisor` does.

Children start in order and stop in reverse. When a child ends, the pure `plan` says who is stopped and who is
started again; `intensity` says when that has happened too often: then the supervisor fails itself, and its own
supervisor deals with that, unless its spec has it park what keeps failing (`SupervisorSpec.parked_seconds`). What is
parked is tried now and then, on probation, until it lives long enough or somebody restarts it. A start that fails is
tried again by a timer message, so that `Stop` gets through. A child that is added while the tree runs and cannot be
started is refused and forgotten.

Stopping a child: `Stop` on its control lane, `interrupt()` to break a blocking wait (again at half time, in case the
wait began in between), and after its grace the thread is abandoned: cut off, counted, left to itself. While a
supervisor waits for that, it serves no messages.

An actor stopped from outside the tree (`ActorRegistry.stop_all()`) takes the whole tree down in order; nothing is
restarted.

Names: ids are unique per book; see `backstay.supervisor.book` for who shares one.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from backstay.supervisor.actor import Ref
from backstay.supervisor.book import Book
from backstay.supervisor.children import READY_SECONDS, Children, Household
from backstay.supervisor.intensity import add_restart
from backstay.supervisor.messages import (
    Command,
    Exited,
    ExitKind,
    ExitReason,
    ForgetRestarts,
    RestartChild,
    StartChild,
    StopChild,
)
from backstay.supervisor.plan import Plan, plan_exit, plan_restart
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
    no_log,
)
from backstay.supervisor.tree import Child, ChildState, Parent, RestartCause

RETRY_SECONDS: Final = 0.01
"""Pause before a failed start is tried again: it must not spin a core where the intensity is generous."""


class RestartIntensityReached(Exception):  # noqa: N818 - OTP's words
    """A supervisor gives up: its children needed too many restarts in too short a time."""


@dataclass(frozen=True, slots=True)
class _Retry:
    """Start what is wanted: a timer message of the supervisor to itself."""


@dataclass(frozen=True, slots=True)
class _Probe:
    """Try what is parked: a timer message of the supervisor to itself."""


class Supervisor(Parent):
    """See the module. Takes `StartChild`, `StopChild`, `RestartChild` and `ForgetRestarts`, on either lane."""

    def __init__(self, context: Context, spec: SupervisorSpec) -> None:
        super().__init__(context)
        self.spec = spec
        own = spec.own_book
        self.children_book: Book = context.book.open_inner(context.id) if own else context.book
        self._house = Household(
            context=context,
            book=self.children_book,
            parent_book=context.book if own else context.parent_book,
            post=functools.partial(self.actor_inbox.post, control=True, vital=True),
            publish=self._publish,
            excuse=self._excuse,
        )
        self._children = Children(self._house, spec.children)
        self._restarts: tuple[float, ...] = ()

    def begin(self) -> None:
        """Start the children."""
        self._start_wanted()

    def receive(self, message: Any) -> None:
        """Deal with an exit or a command. Whoever waits for an answer gets one, also when this fails."""
        handler = self._HANDLERS.get(message.__class__)
        if handler is None:
            self._house.log("message_unknown", message=type(message).__name__)
            return
        refusal: str | None = "the supervisor failed"
        try:
            refusal = handler(self, message)
        finally:
            if isinstance(message, Command):
                message.reply(refusal)

    def end(self, reason: ExitReason) -> None:
        """Stop the children, last first. If even that fails, cut them off: nothing may outlive this unseen."""
        text = reason.text or reason.kind.value
        try:
            self._end_lives(reversed(self._children.all()), text)
        except BaseException:
            self.cut_off_children(text)
            raise

    def _on_exited(self, exited: Exited) -> str | None:
        child = self._children.ended(exited)
        if child is None:
            return None
        name = exited.id
        plan = plan_exit(self._children.order(), strategy=self.spec.strategy, failed=name, kind=exited.kind)
        if plan.ends:
            self.depart_as(ExitReason(ExitKind.FOREIGN, f"{name} was stopped from outside the tree"))
            return None
        if plan.costs and (trouble := self._spend(name, exited.error or exited.kind.value)):
            self._park(name, trouble)
            return None
        gave_up = exited.error.partition(":")[0].endswith(RestartIntensityReached.__name__)
        if gave_up:
            self._children.note_escalation(child)
        self._carry_out(plan, f"{name} ended", RestartCause.ESCALATION if gave_up else RestartCause.CRASH)
        if name not in plan.start and child.spec.significant:
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
        alone = self.spec.strategy is Strategy.ONE_FOR_ONE
        must_wait = not alone and (self._children.wanted() or self._children.parked())
        child = self._children.add(spec)
        trouble = None if must_wait else self._children.start(child)
        if trouble is None:
            return None
        self._children.forget(spec.id)
        return self._refuse(spec.id, trouble)

    def _on_stop(self, command: StopChild) -> str | None:
        child = self._children.get(command.id)
        if child is None:
            return self._refuse(command.id, "no child of this id")
        self._end_lives([child], command.reason)
        self._children.forget(command.id)
        return None

    def _on_restart(self, command: RestartChild) -> str | None:
        name = command.id
        if self._children.get(name) is None:
            return self._refuse(name, "no child of this id")
        self._unpark()
        plan = plan_restart(self._children.order(), strategy=self.spec.strategy, failed=name)
        self._carry_out(plan, command.reason or "restart", RestartCause.OPERATOR)
        child = self._children.get(name)
        running = child is not None and child.state is ChildState.RUNNING
        return None if running else "not started yet: it will be tried again"

    def _on_forget(self, _: ForgetRestarts) -> str | None:
        self._restarts = ()
        return None

    def _on_retry(self, _: _Retry) -> str | None:
        self._start_wanted()
        return None

    def _on_probe(self, _: _Probe) -> str | None:
        self._children.want(self._children.parked())
        self._start_wanted()
        return None

    def _carry_out(self, plan: Plan, reason: str, cause: RestartCause) -> None:
        self._end_lives((child for name in plan.stop if (child := self._children.get(name)) is not None), reason)
        for name in plan.remove:
            self._children.forget(name)
        self._children.want(plan.start, cause)
        self._start_wanted()

    def _start_wanted(self) -> None:
        """Start in order whatever is wanted. Where children depend on earlier ones, stop at the first that fails."""
        for child in self._children.wanted():
            if self.stopping:
                return
            trouble = self._children.start(child)
            if trouble is None:
                continue
            if too_many := self._spend(child.spec.id, trouble):
                self._park(child.spec.id, too_many)
                return
            self.after(RETRY_SECONDS, _Retry(), key=_Retry)
            if self.spec.strategy is not Strategy.ONE_FOR_ONE:
                return

    def _end_lives(self, children: Iterable[Child], reason: str) -> None:
        for child in children:
            self._children.stop(child, reason)

    def _spend(self, name: str, reason: str) -> str:
        """Use up restart intensity for a restart nobody asked for. Returns why there is none left, or nothing.

        Raises that, if the spec is to give up.
        """
        limit = self.spec.intensity
        window = add_restart(self._restarts, self.now(), limit)
        self._restarts = window.restarts
        if not window.exceeded:
            return ""
        self._house.log("restart_intensity_reached", id=name, reason=reason)
        trouble = f"more than {limit.restarts} restarts in {limit.seconds:g} s, the last of {name} ({reason})"
        self.exceeded += 1
        if self.spec.parked_seconds is None:
            raise RestartIntensityReached(f"{self.context.path}: {trouble}")
        return trouble

    def _park(self, name: str, reason: str) -> None:
        """Take down what depends on one another, and try it again after a while.

        What it has used up of its intensity it keeps: one more failure soon after, and it is parked again.
        """
        assert self.spec.parked_seconds is not None  # noqa: S101  # `_spend` has raised
        alone = self.spec.strategy is Strategy.ONE_FOR_ONE
        tied = [
            child
            for child in self._children.all()
            if child.spec.id == name or not (alone or child.spec.restart is Restart.TEMPORARY)
        ]
        self._end_lives(reversed(tied), f"parked: {reason}")
        self._children.park([child.spec.id for child in tied], reason)
        self._house.log("child_parked", id=name, reason=reason)
        self.after(self.spec.parked_seconds, _Probe(), key=_Probe)
        if self.spec.on_parked is not None:
            self.spec.on_parked(reason)

    def _unpark(self) -> None:
        """Somebody has looked at it: what was parked begins anew, with all of its intensity."""
        parked = self._children.parked()
        if parked:
            self._restarts = ()
            self.cancel(_Probe)
            self._children.want(parked)

    def _excuse(self, seconds: float) -> None:
        self.excused_until = self.now() + seconds

    def _end_with(self, child: Child) -> None:
        """End with a significant child that ended for good, if the spec says so."""
        mode = self.spec.auto_shutdown
        left = any(other.spec.significant and other.state is not ChildState.STOPPED for other in self._children.all())
        if mode is AutoShutdown.ANY or (mode is AutoShutdown.ALL and not left):
            self.leave(f"significant child {child.spec.id} ended")

    def _refuse(self, name: str, reason: str) -> str:
        self._house.log("child_refused", id=name, reason=reason)
        return reason

    def _publish(self, children: tuple[Child, ...]) -> None:
        self._published = children

    _HANDLERS: ClassVar[Mapping[type, Callable[[Any, Any], str | None]]] = {
        Exited: _on_exited,
        StartChild: _on_start,
        StopChild: _on_stop,
        RestartChild: _on_restart,
        ForgetRestarts: _on_forget,
        _Retry: _on_retry,
        _Probe: _on_probe,
    }


def supervisor_child(
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
    watch: bool = False,
) -> Root:
    """Start a tree. Returns when its supervisors have started their children (or have begun to retry).

    With `watch` a watchdog looks at it from a thread of its own, and replaces actors that are stuck.

    `log` and `on_exit` are called in actors' threads; what they raise is dropped. `on_exit` hears once how the
    root ended: after `Root.stop`, or because it gave up.
    """
    root = Root(log=log, on_exit=on_exit)
    context = Context(
        id=name, path=name, book=Book(), report=root.on_exited, clock=clock, log=root.log, tally=root.tally
    )
    supervisor = _start_supervisor(context, spec=spec).actor
    root.attach(supervisor, supervisor.children_book, watch=watch)
    supervisor.ready.wait(READY_SECONDS)
    return root


def _start_supervisor(context: Context, *, spec: SupervisorSpec) -> Ref[Supervisor]:
    return Supervisor.start(context, spec)
