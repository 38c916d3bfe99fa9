"""The children of one supervisor: their records in order, and how one life is started and ended.

Used by the supervisor's thread alone; every change is published for readers in other threads.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import pykka

from backstay.supervisor.actor import Actor, Ref
from backstay.supervisor.book import Book
from backstay.supervisor.messages import Exited
from backstay.supervisor.plan import Order
from backstay.supervisor.specs import ChildSpec, Context
from backstay.supervisor.tree import Child, ChildState, Parent, RestartCause

READY_SECONDS: Final = 5.0
"""How long a supervisor waits for a supervisor below it to have started its children, so that their names are in
the book before the next child starts. Constructors do not block, so this is only a bound."""

JOIN_SECONDS: Final = 1.0
"""Bound for a thread to vanish after its actor is done: nothing is left for it to do."""


@dataclass(frozen=True, slots=True)
class Household:
    """What all children of one supervisor have in common."""

    context: Context
    """The supervisor's own."""

    book: Book
    parent_book: Book | None
    post: Callable[[Any], bool]
    """Puts a message on the supervisor's control lane."""

    publish: Callable[[tuple[Child, ...]], None]
    excuse: Callable[[float], None]
    """Says for how many seconds from now on the supervisor may wait for a child."""

    def log(self, event: str, **fields: Any) -> None:
        """Tell what happened, as this supervisor."""
        self.context.log(event, supervisor=self.context.path, **fields)

    def context_for(self, name: str, incarnation: int) -> Context:
        """Return the context of a new life."""
        return Context(
            id=name,
            path=f"{self.context.path}/{name}",
            book=self.book,
            report=self.post,
            clock=self.context.clock,
            incarnation=incarnation,
            parent_book=self.parent_book,
            command=self.post,
            log=self.context.log,
            tally=self.context.tally,
        )


class Children:
    """The records, in the order in which they start."""

    def __init__(self, household: Household, specs: Iterable[ChildSpec]) -> None:
        self._household = household
        self._records = {spec.id: Child(spec) for spec in specs}
        self._publish()

    def get(self, name: str) -> Child | None:
        """Return the record of a child."""
        return self._records.get(name)

    def all(self) -> tuple[Child, ...]:
        """Return all records, in order."""
        return tuple(self._records.values())

    def order(self) -> Order:
        """Return what a plan needs to know."""
        return [(name, child.spec.restart) for name, child in self._records.items()]

    def wanted(self) -> tuple[Child, ...]:
        """Return the children that are to be started, in order."""
        return tuple(child for child in self._records.values() if child.state is ChildState.WANTED)

    def add(self, spec: ChildSpec) -> Child:
        """Put a new child behind the last one."""
        self._records.pop(spec.id, None)
        return self._set(Child(spec))

    def want(self, names: Iterable[str], cause: RestartCause = RestartCause.CRASH) -> None:
        """Mark children as to be started."""
        for name in names:
            self._set(replace(self._records[name], state=ChildState.WANTED, reason="", cause=cause))

    def note_escalation(self, child: Child) -> None:
        """A supervisor below has given up."""
        self._set(replace(self._records[child.spec.id], escalations=child.escalations + 1))

    def park(self, names: Iterable[str], reason: str) -> None:
        """Mark children that do not run as parked."""
        for name in names:
            self._set(replace(self._records[name], state=ChildState.PARKED, reason=reason))

    def parked(self) -> tuple[str, ...]:
        """Return the names of the children that are parked, in order."""
        return tuple(name for name, child in self._records.items() if child.state is ChildState.PARKED)

    def forget(self, name: str) -> None:
        """Drop a child that does not run, and the book of its sub-tree."""
        self._records.pop(name, None)
        self._household.book.forget(name)
        self._publish()

    def start(self, child: Child) -> str | None:
        """Begin a new life. Returns what went wrong, or None; raises nothing."""
        name, house = child.spec.id, self._household
        child = self._set(replace(child, incarnation=child.incarnation + 1))
        try:
            actor = actor_of(child.spec.start(house.context_for(name, child.incarnation)))
        except BaseException as error:  # noqa: BLE001 - a constructor is foreign code in this thread
            text = f"{type(error).__name__}: {error}"
            house.log("child_start_failed", id=name, error=text, traceback=traceback.format_exc())
            return text
        again = child.incarnation > 1
        begun = child.restarted() if again else child
        self._set(replace(begun, actor=actor, state=ChildState.RUNNING))
        if isinstance(actor, Parent):
            house.excuse(READY_SECONDS)
            actor.ready.wait(READY_SECONDS)
        if again:
            house.context.tally.add_restart()
            house.log("child_restarted", id=name, incarnation=child.incarnation, cause=child.cause.value)
        else:
            house.log("child_started", id=name, incarnation=child.incarnation)
        return None

    def stop(self, child: Child, reason: str) -> None:
        """End a life: ask, interrupt, wait for its grace, and after that cut it off. Nothing to do if none runs."""
        actor, grace = child.actor, child.grace()
        self._set(replace(child, actor=None, state=ChildState.STOPPED))
        if actor is None:
            return
        self._household.excuse(grace + JOIN_SECONDS)
        actor.dismiss(reason)
        if _wait_done(actor, grace):
            self._tell_exit(child, actor.exited)
            return
        if actor.abandoned:
            return  # the watchdog was faster, and has told it
        actor.abandon()
        self._household.context.tally.add_abandoned()
        self._household.log("child_abandoned", id=child.spec.id, incarnation=child.incarnation, seconds=grace)

    def ended(self, exited: Exited) -> Child | None:
        """Take note of an exit. None if it is of a life that was stopped or given up before: dealt with then."""
        child = self._records.get(exited.id)
        if child is None or child.actor is None or child.incarnation != exited.incarnation:
            return None
        if not child.actor.abandoned:
            _wait_done(child.actor, JOIN_SECONDS)
        self._tell_exit(child, exited)
        return self._set(replace(child, actor=None, state=ChildState.STOPPED))

    def _tell_exit(self, child: Child, exited: Exited) -> None:
        self._household.log(
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

    def _set(self, child: Child) -> Child:
        self._records[child.spec.id] = child
        self._publish()
        return child

    def _publish(self) -> None:
        self._household.publish(tuple(self._records.values()))


def actor_of(ref: pykka.ActorRef[Any]) -> Actor:
    """Return the actor behind a reference. Raises `TypeError` if it is not one of ours (and stops it)."""
    actor: object = getattr(ref, "actor", None)
    if isinstance(ref, Ref) and isinstance(actor, Actor):
        return actor
    ref.stop(block=False)
    raise TypeError(f"start returned {ref!r}: not an actor of this tree")


def _wait_done(actor: Actor, seconds: float) -> bool:
    if not actor.settled.wait(seconds / 2):
        actor.interrupt_safely()  # the blocking wait may have begun after the first one
        actor.settled.wait(seconds / 2)
    if not actor.done.is_set():
        return False
    actor.thread.join(JOIN_SECONDS)
    return True
