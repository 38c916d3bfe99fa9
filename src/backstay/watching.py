"""What the running tree looks like to those who watch: restarts for the status, samples for the metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from backstay._version import __version__
from backstay.keeping import Keeping
from backstay.metrics.blocks import ActorSample, ConnectionMeter, ProcessSample
from backstay.supervisor.actor import Actor
from backstay.supervisor.root import Root
from backstay.supervisor.tree import Child, Parent, TreeNode

if TYPE_CHECKING:
    from backstay.metrics.collector import BackstayCollector

CONNECTIONS = "connections"
"""The top-level supervisor with one child a connection."""


class Watched(Protocol):
    """The manager's outside, as far as it is looked at here."""

    def meters(self) -> Sequence[ConnectionMeter]: ...  # noqa: D102

    def names(self) -> Mapping[str, str]: ...  # noqa: D102

    @property
    def root(self) -> Root | None: ...  # noqa: D102

    @property
    def keeping(self) -> Keeping: ...  # noqa: D102


def collector(watched: Watched) -> BackstayCollector:
    """All metrics of a manager, to be registered in a registry of your own: `registry.register(collector(manager))`.

    It reads the manager when the registry is scraped, from the thread that does so. One manager a registry: the names
    are the same for each. What belongs to the daemon alone (operators, reloads, logs) stays at 0.
    """
    from backstay.metrics.collector import BackstayCollector  # noqa: PLC0415  # what nobody scrapes need not be imported

    return BackstayCollector(Source(watched), lambda: ProcessSample(version=__version__, **_journal(watched)))


def _journal(watched: Watched) -> dict[str, Any]:
    meter = watched.keeping.meter
    return {
        "journal_usable": watched.keeping.usable,
        "journal_write_failures": meter.write_failures,
        "journal_commit_seconds": meter.commit_seconds,
    }


def connection_id(path: str, child: object) -> str:
    """The id of the connection that an actor at this path is of, or this child of it; else empty."""
    parts = (*path.split("/"), str(child))
    return parts[2] if parts[1] == CONNECTIONS and len(parts) > 2 else ""


def restarts_below(tree: TreeNode | None) -> dict[str, int]:
    """Restarts of actors that nobody asked for, by the id of the connection they belong to."""
    tops = tree.children if tree is not None else ()
    return {node.name: _restarts(node) for top in tops if top.name == CONNECTIONS for node in top.children}


def _restarts(node: TreeNode) -> int:
    return node.restarts - node.operator_restarts + sum(map(_restarts, node.children))


class Source:
    """What the metrics are read from. Any thread; asks no actor."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def connections(self) -> Sequence[ConnectionMeter]:
        """The meters of all connections there are or were."""
        return self._watched.meters()

    def actors(self) -> Sequence[ActorSample]:
        """The actors, each under the name of its connection.

        A client's connection has an id that is never used again; as a label that would grow without a limit. A client
        that has not said who it is has no name yet, and one being turned away has that of another: the last one counts.
        """
        root = self._watched.root
        if root is None:
            return ()
        top = root.supervisor
        walk = _Walk(self._watched.names(), time.time() - time.monotonic())
        walk.note(top.context.id, top, restarts=0, supervisor=top.context.id)
        walk.below(top, top.context.id, "")
        return tuple(walk.found.values())

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()


class _Walk:
    """Down the tree once a scrape: nothing is built but what is shown."""

    def __init__(self, names: Mapping[str, str], wall_offset: float) -> None:
        self._names = names
        self._wall_offset = wall_offset
        self.found: dict[str, ActorSample] = {}

    def note(self, name: str, actor: Actor | None, *, restarts: int, supervisor: str) -> None:
        if actor is None:
            self.found[name] = ActorSample(name, 0, restarts, 0.0, supervisor)
            return
        inbox = actor.actor_inbox
        wall = self._wall_offset + actor.progress
        self.found[name] = ActorSample(name, inbox.length(), restarts, wall, supervisor, mailbox_wait=inbox.waits)

    def below(self, parent: Parent, name: str, prefix: str) -> None:
        renamed = self._names if prefix == f"{CONNECTIONS}/" else None
        for child in parent.children():
            label = child.spec.id if renamed is None else renamed.get(child.spec.id)
            if label is None:
                continue
            path, actor = prefix + label, child.actor
            self.note(path, actor, restarts=child.restarts, supervisor=name)
            if child.restarts or child.escalations:
                self._note_causes(self.found[path], child)
            if isinstance(actor, Parent):
                self.found[path].escalations += actor.exceeded
                self.below(actor, path, f"{path}/")

    def _note_causes(self, sample: ActorSample, child: Child) -> None:
        sample.operator_restarts = child.operator_restarts
        sample.escalation_restarts = child.escalation_restarts
        sample.restarts -= child.operator_restarts + child.escalation_restarts
        sample.escalations = child.escalations
