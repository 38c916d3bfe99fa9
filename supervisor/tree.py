"""What a tree looks like from outside, readable from any thread without asking anybody.

A supervisor keeps one immutable `Child` record per child and swaps in a new tuple of them after every change. Readers
compose `TreeNode`s from that, also while the supervisor hangs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from backstay.metrics.blocks import Histogram
from backstay.supervisor.actor import Actor
from backstay.supervisor.specs import ChildKind, ChildSpec

SLACK_SECONDS: Final = 1.0
"""What a supervisor may take to stop beyond the graces of its children."""


class ChildState(Enum):
    """Where a child stands with its supervisor."""

    WANTED = "wanted"
    """To be started: the start is due or will be tried again."""

    RUNNING = "running"
    STOPPED = "stopped"
    """Ended as intended and still listed."""

    PARKED = "parked"
    """Needed too many restarts, or depends on one that did. Tried again after a while, or when somebody says so."""


class RestartCause(Enum):
    """Why a child is started again."""

    CRASH = "crash"
    OPERATOR = "operator"
    ESCALATION = "escalation"


@dataclass(frozen=True, slots=True)
class Child:
    """One child as its supervisor sees it."""

    spec: ChildSpec
    state: ChildState = ChildState.WANTED
    incarnation: int = 0
    """Lives begun, starts that failed included."""

    restarts: int = 0
    """Lives after the first, by this supervisor."""

    actor: Actor | None = None
    """The life that runs now."""

    reason: str = ""
    """Why it is parked."""

    cause: RestartCause = RestartCause.CRASH
    """Why it was wanted last."""

    operator_restarts: int = 0
    """Those of the restarts that somebody asked for."""

    escalation_restarts: int = 0
    """Those of the restarts because a supervisor had given up."""

    escalations: int = 0
    """How often it has given up itself, being a supervisor."""

    def restarted(self) -> Child:
        """Once more, for the cause that it was wanted for."""
        return replace(
            self,
            restarts=self.restarts + 1,
            operator_restarts=self.operator_restarts + (self.cause is RestartCause.OPERATOR),
            escalation_restarts=self.escalation_restarts + (self.cause is RestartCause.ESCALATION),
        )

    def grace(self) -> float:
        """Seconds this child may take to stop. A supervisor gets at least what its own children may take."""
        if isinstance(self.actor, Parent):
            return max(self.spec.shutdown_seconds, self.actor.stop_seconds())
        return self.spec.shutdown_seconds


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One actor and what is below it, at one moment."""

    name: str
    path: str
    kind: ChildKind
    state: ChildState
    alive: bool
    """Whether it has a living thread right now."""

    restarts: int
    """By its present supervisor."""

    incarnation: int
    mailbox_length: int
    handled: int
    """Messages handled in this life."""

    progress: float | None
    """When it last handled a message (the tree's clock); None if it does not run."""

    children: tuple[TreeNode, ...] = ()
    reason: str = ""
    """Why it is parked."""

    waits: Histogram | None = None
    """How long messages lay in its inbox, in this life; None if it does not run."""

    operator_restarts: int = 0
    """Those of the restarts that somebody asked for."""


class Parent(Actor):
    """The outside face of a supervisor. All of it for any thread."""

    _published: tuple[Child, ...] = ()
    exceeded: int = 0
    """How often its restart intensity was exceeded in this life, and it parked what kept failing."""

    def children(self) -> tuple[Child, ...]:
        """Return the children as last published."""
        return self._published

    def tree(self) -> tuple[TreeNode, ...]:
        """Return the nodes of the children and all below."""
        return tuple(_node(child, self.context.path) for child in self._published)

    def descendants(self) -> Iterator[Actor]:
        """All actors below, supervisors before their children."""
        for child in self._published:
            if child.actor is not None:
                yield child.actor
                if isinstance(child.actor, Parent):
                    yield from child.actor.descendants()

    def stop_seconds(self) -> float:
        """Longest time an orderly stop may take: what the children may take, one after the other."""
        return SLACK_SECONDS + sum(child.grace() for child in self._published if child.actor is not None)

    def abandon(self) -> None:
        """Cut off this supervisor and all below it."""
        super().abandon()
        self.cut_off_children("the supervisor was abandoned")

    def cut_off_children(self, reason: str) -> None:
        """Give up all below without waiting: told to stop, then cut off."""
        for actor in tuple(self.descendants()):
            actor.dismiss(reason)
            actor.abandon()


def is_alive(actor: Actor | None) -> bool:
    """Whether there is an actor with a thread that has not finished its life."""
    return actor is not None and actor.thread.is_alive() and not actor.done.is_set()


def _node(child: Child, parent_path: str) -> TreeNode:
    actor = child.actor
    return TreeNode(
        name=child.spec.id,
        path=f"{parent_path}/{child.spec.id}",
        kind=child.spec.kind,
        state=child.state,
        alive=is_alive(actor),
        restarts=child.restarts,
        incarnation=child.incarnation,
        mailbox_length=0 if actor is None else actor.actor_inbox.length(),
        handled=0 if actor is None else actor.handled,
        progress=None if actor is None else actor.progress,
        reason=child.reason,
        children=actor.tree() if isinstance(actor, Parent) else (),
        waits=None if actor is None else actor.actor_inbox.waits,
        operator_restarts=child.operator_restarts,
    )
