"""Strategy x restart kind x way to end, hook x exception, with real actors: who is begun again, and what is told."""

import itertools
import threading
import time
from typing import Any

import pykka
import pytest

from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import ExitKind, Stop
from backstay.supervisor.specs import ChildSpec, Intensity, Restart, Strategy, SupervisorSpec
from backstay.supervisor.tree import ChildState

PATIENCE = 10.0
BAR_SECONDS = 1.0
MARK = "raised on purpose"

P, T, X = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
INTENDED = ("leaves", "is told to stop", "fails as it is stopped")
CRASHES = ("crashes", "crashes in a timer", "crashes on an ask", "fails as it leaves", "is stuck")
RESTARTED = {(P, way) for way in (*INTENDED, *CRASHES)} | {(T, way) for way in CRASHES}
TIED = {Strategy.ONE_FOR_ONE: "b", Strategy.ONE_FOR_ALL: "abc", Strategy.REST_FOR_ONE: "bc"}
CELLS = list(itertools.product(Strategy, Restart, (*INTENDED, *CRASHES)))


def crash(*_: Any) -> None:
    raise SystemExit("on purpose")


def stick(root: Any, gate: threading.Event) -> None:
    reached = threading.Event()
    root.book.send("b", lambda _: [reached.set(), gate.wait(PATIENCE)])
    assert reached.wait(PATIENCE)
    actor = next(actor for actor in root.actors() if actor.context.id == "b")
    actor.replace(4.0, "its stack")


def ask(root: Any, _gate: threading.Event) -> None:
    actor = next(actor for actor in root.actors() if actor.context.id == "b")
    actor.actor_ref.ask(crash, block=False)


WAYS = {
    "leaves": lambda root, _: root.book.send("b", lambda actor: actor.leave()),
    "is told to stop": lambda root, _: root.book.urge("b", Stop()),
    "fails as it is stopped": lambda root, _: root.book.urge("b", Stop()),
    "crashes": lambda root, _: root.book.send("b", crash),
    "crashes in a timer": lambda root, _: root.book.send("b", lambda actor: actor.after(0.001, crash) and None),
    "crashes on an ask": ask,
    "fails as it leaves": lambda root, _: root.book.send("b", lambda actor: actor.leave()),
    "is stuck": stick,
}


def ids(cell: Any) -> str:
    return "-".join(getattr(part, "value", part).replace(" ", "_") for part in cell)


@pytest.mark.parametrize("cell", CELLS, ids=ids)
def test_the_middle_one_of_three_children_ends(forest, cell):
    strategy, restart, way = cell

    def end_badly(actor: Any, _reason: Any) -> None:
        forest.life.note(("end", "b", actor.context.incarnation))
        if actor.context.incarnation == 1:
            crash()

    hooks = {"end": end_badly} if way.startswith("fails") else {}
    children = (forest.child("a"), forest.child("b", restart=restart, **hooks), forest.child("c"))
    root = forest.plant(SupervisorSpec(strategy=strategy, children=children))
    forest.life.wait_count(3)
    gate = threading.Event()
    WAYS[way](root, gate)
    forest.diary.wait(lambda entries: any(entry[0] == "child_exited" and entry[1]["id"] == "b" for entry in entries))
    forest.settle(root)
    gate.set()

    restarted = TIED[strategy] if (restart, way) in RESTARTED else ""
    states = {node.name: (node.state, node.incarnation) for node in root.tree().children}
    expected = {name: (ChildState.RUNNING, 2 if name in restarted else 1) for name in "abc"}
    if not restarted:
        expected["b"] = (ChildState.STOPPED, 1)
        if restart is X:
            del expected["b"]
    assert states == expected
    assert root.tally.restarts == len(restarted)
    assert root.tally.threads_abandoned == (way == "is stuck")
    forest.life.wait_count(4 + len(restarted) + max(0, len(restarted) - 1))
    ends = [entry[1] for entry in forest.life.entries if entry[0] == "end"]
    others = [name for name in reversed(restarted) if name != "b"]
    assert ends == (["b", *others] if way != "is stuck" else [*others, "b"])
    restarts = [fields["id"] for fields in forest.diary.events("child_restarted")]
    assert restarts == list(restarted)


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("restart", Restart)
def test_a_child_that_is_stopped_through_pykka_ends_the_tree_whatever_its_kind(forest, strategy, restart):
    children = (forest.child("a"), forest.child("b", restart=restart), forest.child("c"))
    root = forest.plant(SupervisorSpec(strategy=strategy, children=children))
    actor = next(actor for actor in root.actors() if actor.context.id == "b")
    assert actor.actor_ref.stop(timeout=PATIENCE)
    assert root.wait_empty(PATIENCE)
    assert root.exited is not None
    assert (root.exited.kind, root.tally.restarts) == (ExitKind.FOREIGN, 0)
    assert root.book.names() == ()


def test_the_matrix_is_complete():
    assert len(CELLS) == 3 * 3 * 8
    assert set(WAYS) == {*INTENDED, *CRASHES}


class Odd(BaseException):
    """Neither an Exception nor one of the interpreter's own."""


KINDS = [RuntimeError, SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit, Odd]


class Fragile(Actor):
    """Raises in one of its hooks, in its first life only."""

    def __init__(self, context: Any, *, hook: str, provoke: Any) -> None:
        super().__init__(context)
        self._hook, self._provoke = hook, provoke
        self._raise_in("init")

    def _raise_in(self, hook: str) -> None:
        if hook == self._hook and self.context.incarnation == 1:
            self._provoke()

    def begin(self) -> None:
        if self._hook == "timer":
            self.after(0.001, "timer")
        self._raise_in("begin")

    def receive(self, message: Any) -> Any:
        if message == "leave":
            self.leave()
        elif message == "fail" and self.context.incarnation == 1:
            raise ValueError("the first failure")
        self._raise_in(message)

    def end(self, _reason: Any) -> None:
        self._raise_in("end")
        self._raise_in("end after a crash")


HOOKS = {
    "init": (None, "child_start_failed", None),
    "begin": (None, "child_exited", "begin"),
    "tell": (lambda actor: actor.actor_ref.tell("tell"), "child_exited", "receive"),
    "ask": (lambda actor: actor.actor_ref.ask("ask", block=False), "child_exited", "receive"),
    "timer": (None, "child_exited", "receive"),
    "end": (lambda actor: actor.actor_ref.tell("leave"), "child_exited", "end"),
    "end after a crash": (lambda actor: actor.actor_ref.tell("fail"), "child_exited", "receive"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hook", HOOKS)
def test_whatever_leaves_a_hook_is_told_by_the_supervisor_with_its_traceback_and_mended(forest, hook, kind):
    def provoke() -> None:
        raise kind(MARK)

    bystander = pykka.ThreadingActor.start()
    act, event, where = HOOKS[hook]
    spec = ChildSpec("a", lambda context: Fragile.start(context, hook=hook, provoke=provoke))
    began = time.monotonic()
    root = forest.plant(SupervisorSpec(intensity=Intensity(3, 60.0), children=(spec,)))
    if act is not None:
        act(next(actor for actor in root.actors() if actor.context.id == "a"))
    told = forest.diary.wait_events(event)[0]
    assert time.monotonic() - began <= BAR_SECONDS
    assert (told["supervisor"], told["id"]) == ("root", "a")
    assert "in provoke" in told["traceback"]
    assert f"{kind.__name__}: {MARK}" in told["traceback"]
    assert told.get("where") == where
    forest.diary.wait(lambda _: [(n.state, n.incarnation) for n in root.tree().children] == [(ChildState.RUNNING, 2)])
    assert bystander.is_alive()
    bystander.stop(timeout=PATIENCE)


def test_the_matrix_of_hooks_is_complete():
    assert len(HOOKS) * len(KINDS) == 42
