"""What to do when a child has ended: pure, from the order of the children and the strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backstay.supervisor.messages import ExitKind
from backstay.supervisor.specs import Restart, Strategy

Order = Sequence[tuple[str, Restart]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Ids to act on, in the order to act: stop, then remove, then start."""

    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    costs: bool = False
    """Whether this uses up restart intensity: only a restart nobody asked for does."""

    ends: bool = False
    """Whether the supervisor itself ends: somebody outside the tree is stopping the actors."""


def plan_exit(order: Order, *, strategy: Strategy, failed: str, kind: ExitKind) -> Plan:
    """Plan for the exit of child `failed`, which is not running any more."""
    restart = dict(order)[failed]
    if kind is ExitKind.FOREIGN:
        return Plan(ends=True)
    if _restarts(restart, kind):
        plan = plan_restart(order, strategy=strategy, failed=failed)
        return Plan(tuple(name for name in plan.stop if name != failed), plan.start, plan.remove, costs=True)
    if restart is Restart.TEMPORARY:
        return Plan(remove=(failed,))
    return Plan()


def plan_restart(order: Order, *, strategy: Strategy, failed: str) -> Plan:
    """Plan to restart child `failed` and those tied to it. Temporary siblings that must stop are not started again."""
    names = [name for name, _ in order]
    tied = _tied(names, strategy, failed)
    gone = tuple(name for name, restart in order if name in tied and name != failed and restart is Restart.TEMPORARY)
    return Plan(
        stop=tuple(reversed(tied)),
        start=tuple(name for name in tied if name not in gone),
        remove=gone,
    )


def _restarts(restart: Restart, kind: ExitKind) -> bool:
    return restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and kind is ExitKind.CRASH)


def _tied(names: list[str], strategy: Strategy, failed: str) -> list[str]:
    first = names.index(failed)
    first, last = {
        Strategy.ONE_FOR_ONE: (first, first + 1),
        Strategy.ONE_FOR_ALL: (0, len(names)),
        Strategy.REST_FOR_ONE: (first, len(names)),
    }[strategy]
    return names[first:last]
