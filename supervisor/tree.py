"""What a tree looks like from outside: rows a supervisor publishes, nodes a reader gets.

A supervisor swaps in a new tuple of rows after every change. Anybody may read it without asking, also while the
supervisor hangs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from backstay.supervisor.actor import Actor
from backstay.supervisor.specs import ChildKind, ChildSpec


class ChildState(Enum):
    """Where a child stands with its supervisor."""

    WANTED = "wanted"
    """To be started: the start is due or will be retried."""

    RUNNING = "running"
    STOPPED = "stopped"
    """Ended as intended and still listed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One child as its supervisor last saw it."""

    spec: ChildSpec
    state: ChildState
    incarnation: int
    restarts: int
    actor: Actor | None


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


def is_alive(actor: Actor | None) -> bool:
    """Whether there is an actor with a thread that has not finished its life."""
    return actor is not None and actor.thread is not None and actor.thread.is_alive() and not actor.done.is_set()


def node(row: Row, path: str, children: tuple[TreeNode, ...] = ()) -> TreeNode:
    """Return the node of a row under its full path."""
    actor = row.actor
    return TreeNode(
        name=row.spec.id,
        path=path,
        kind=row.spec.kind,
        state=row.state,
        alive=is_alive(actor),
        restarts=row.restarts,
        incarnation=row.incarnation,
        mailbox_length=0 if actor is None else len(actor.actor_inbox),
        handled=0 if actor is None else actor.handled,
        progress=None if actor is None else actor.progress,
        children=children,
    )
