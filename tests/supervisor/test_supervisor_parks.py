"""What needs too many restarts is parked with its reason, tried now and then, brought back; what hangs is replaced."""

import queue
import threading
from typing import Any

import pytest

from backstay.supervisor import watchdog as watchdog_module
from backstay.supervisor.messages import ExitKind, ForgetRestarts
from backstay.supervisor.specs import ChildSpec, Intensity, Restart, SpecError, Strategy, SupervisorSpec
from backstay.supervisor.supervisor import supervisor_child
from backstay.supervisor.tree import ChildState

PATIENCE = 10.0
RUNNING, PARKED = ChildState.RUNNING, ChildState.PARKED


def crash(_: Any) -> None:
    raise RuntimeError("on purpose")


def states(root: Any) -> dict[str, ChildState]:
    return {node.name: node.state for node in root.tree().children}


def wait_for(forest: Any, root: Any, **expected: ChildState) -> None:
    forest.diary.wait(lambda _: states(root) == expected)


def parking(forest: Any, strategy: Strategy = Strategy.ONE_FOR_ONE, **options: Any) -> Any:
    told: list[str] = []
    options = {"parked_seconds": 3_600.0, "on_parked": told.append, "intensity": Intensity(0, 60.0)} | options
    children = (forest.child("a"), forest.child("b"), forest.child("c"))
    root = forest.plant(SupervisorSpec(strategy=strategy, children=children, **options))
    forest.life.wait_count(3)
    return root, told


@pytest.mark.parametrize(
    ("strategy", "parked"),
    [(Strategy.ONE_FOR_ONE, "b"), (Strategy.REST_FOR_ONE, "abc"), (Strategy.ONE_FOR_ALL, "abc")],
)
def test_a_child_that_needs_too_many_restarts_is_parked_with_those_that_belong_to_it(forest, strategy, parked):
    root, told = parking(forest, strategy)
    assert root.book.send("b", crash)
    wait_for(forest, root, **{name: PARKED if name in parked else RUNNING for name in "abc"})
    forest.settle(root)
    assert root.exited is None
    assert [fields["id"] for fields in forest.diary.events("child_parked")] == ["b"]
    (reason,) = told
    assert reason == "more than 0 restarts in 60 s, the last of b (RuntimeError: on purpose)"
    assert {node.reason for node in root.tree().children} - {""} == {reason}


def test_children_that_are_never_restarted_stay_beside_those_that_are_parked(forest):
    children = (forest.child("socket", restart=Restart.TEMPORARY), forest.child("a"), forest.child("b"))
    root = forest.plant(
        SupervisorSpec(
            strategy=Strategy.REST_FOR_ONE, intensity=Intensity(0, 60.0), children=children, parked_seconds=3_600.0
        )
    )
    assert root.book.send("b", crash)
    wait_for(forest, root, socket=RUNNING, a=PARKED, b=PARKED)
    assert root.book.names() == ("root", "socket")


def test_what_is_parked_is_tried_after_a_while_on_probation(forest):
    root, told = parking(forest, parked_seconds=0.05)
    for incarnation in (1, 2, 3):
        forest.life.wait(lambda entries, n=incarnation: ("begin", "b", n) in entries)
        assert root.book.send("b", crash)
        forest.diary.wait_events("child_parked", incarnation)
    forest.life.wait(lambda entries: ("begin", "b", 4) in entries)
    wait_for(forest, root, a=RUNNING, b=RUNNING, c=RUNNING)
    assert len(told) == 3


def test_a_restart_that_somebody_asks_for_brings_back_all_that_is_parked_with_all_of_its_budget(forest):
    root, _ = parking(forest, Strategy.REST_FOR_ONE, intensity=Intensity(1, 60.0))
    for incarnation in (1, 2):
        forest.life.wait(lambda entries, n=incarnation: ("begin", "b", n) in entries)
        assert root.book.send("b", crash)
    wait_for(forest, root, a=PARKED, b=PARKED, c=PARKED)
    assert root.restart_child("", "c", reason="looked at it") is None
    assert set(states(root).values()) == {RUNNING}
    assert root.book.send("b", crash)
    forest.life.wait(lambda entries: ("begin", "b", 4) in entries)
    wait_for(forest, root, a=RUNNING, b=RUNNING, c=RUNNING)


def test_restarts_that_are_forgotten_count_no_longer_and_what_is_parked_stays_so(forest):
    root, _ = parking(forest, intensity=Intensity(1, 60.0))
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for incarnation in (1, 2):
        assert root.book.send("b", crash)
        forest.life.wait(lambda entries, n=incarnation: ("begin", "b", n + 1) in entries)
        root.book.urge("root", ForgetRestarts(answers.put))
        assert answers.get(timeout=PATIENCE) is None
    assert root.book.send("a", crash)
    forest.life.wait(lambda entries: ("begin", "a", 2) in entries)
    assert root.book.send("a", crash)
    wait_for(forest, root, a=PARKED, b=RUNNING, c=RUNNING)
    root.book.urge("root", ForgetRestarts(answers.put))
    assert answers.get(timeout=PATIENCE) is None
    assert states(root)["a"] is PARKED


def test_a_child_that_cannot_even_be_built_is_parked_with_those_that_wait_for_it(forest):
    def broken(_: Any) -> Any:
        raise RuntimeError("not to be built")

    children = (forest.child("a"), ChildSpec("b", broken), forest.child("c"))
    root = forest.plant(
        SupervisorSpec(
            strategy=Strategy.REST_FOR_ONE, intensity=Intensity(2, 60.0), children=children, parked_seconds=3_600.0
        )
    )
    wait_for(forest, root, a=PARKED, b=PARKED, c=PARKED)
    assert len(forest.diary.events("child_start_failed")) == 3
    assert root.start_child("", forest.child("late")) is None
    assert states(root)["late"] is ChildState.WANTED


def test_a_supervisor_below_that_gave_up_is_parked_like_any_child(forest):
    inner = SupervisorSpec(intensity=Intensity(0, 60.0), children=(forest.child("a"),))
    root = forest.plant(
        SupervisorSpec(
            children=(supervisor_child("inner", inner), forest.child("z")),
            intensity=Intensity(0, 60.0),
            parked_seconds=3_600.0,
        )
    )
    forest.life.wait_count(2)
    assert root.book.send("a", crash)
    wait_for(forest, root, inner=PARKED, z=RUNNING)
    assert "RestartIntensityReached" in root.tree().children[0].reason
    assert root.stop_child("", "inner") is None
    assert states(root) == {"z": RUNNING}


def test_a_tree_with_something_parked_stops_like_any_other(forest):
    root, _ = parking(forest)
    assert root.book.send("b", crash)
    wait_for(forest, root, a=RUNNING, b=PARKED, c=RUNNING)
    assert root.stop(PATIENCE)
    assert root.exited is not None
    assert root.exited.kind is ExitKind.SHUTDOWN


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_time_that_makes_no_sense_is_refused(seconds):
    with pytest.raises(SpecError, match="parked_seconds"):
        SupervisorSpec(parked_seconds=seconds)


# -- what hangs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick_watchdog(monkeypatch):
    monkeypatch.setattr(
        watchdog_module.Watchdog.__init__,
        "__kwdefaults__",
        {
            **watchdog_module.Watchdog.__init__.__kwdefaults__,
            "limit_seconds": 1.0,  # a machine at its limit keeps a thread waiting for a good part of this
            "period_seconds": 0.05,
        },
    )


def hang(root: Any, name: str) -> tuple[Any, threading.Event]:
    """Have this actor hang inside a message, until the event; returns the life that hangs."""
    reached, gate = threading.Event(), threading.Event()
    found: list[Any] = []

    def wait(actor: Any) -> None:
        found.append(actor)
        reached.set()
        gate.wait(PATIENCE)
        found.append(actor.book.send("z", lambda _: found.append("a late word was heard")))
        actor.after(0.0, crash)

    assert root.book.send(name, wait)
    assert reached.wait(PATIENCE)
    return found, gate


def test_an_actor_that_hangs_is_named_and_replaced_and_what_it_does_late_counts_for_nothing(forest, quick_watchdog):
    children = (forest.child("a"), forest.child("z"))
    root = forest.plant(SupervisorSpec(children=children), watch=True)
    forest.life.wait_count(2)
    found, gate = hang(root, "a")
    forest.life.wait(lambda entries: ("begin", "a", 2) in entries)
    (stuck,) = forest.diary.events("actor_stuck")
    assert (stuck["path"], stuck["gone"]) == ("root/a", False)
    assert "in wait" in stuck["traceback"]
    told = forest.diary.wait_events("child_exited")[0]
    assert (told["id"], told["kind"], told["where"]) == ("a", "crash", "receive")
    assert told["error"].startswith("Stuck: ")
    assert root.tally.threads_abandoned == 1
    assert [fields["id"] for fields in forest.diary.events("child_abandoned")] == ["a"]

    gate.set()
    found[0].thread.join(PATIENCE)
    assert not found[0].thread.is_alive()
    forest.settle(root)
    assert found[1:] == [False]
    assert [(n.name, n.state, n.incarnation) for n in root.tree().children] == [("a", RUNNING, 2), ("z", RUNNING, 1)]


def test_an_actor_that_hangs_as_it_begins_is_replaced_too(forest, quick_watchdog):
    gate = threading.Event()

    def begin(actor: Any) -> None:
        if actor.context.incarnation == 1:
            gate.wait(PATIENCE)
        else:
            forest.life.note("begun")

    root = forest.plant(SupervisorSpec(children=(forest.child("a", begin=begin),)), watch=True)
    forest.life.wait(lambda entries: "begun" in entries)
    gate.set()
    assert forest.diary.wait_events("child_exited")[0]["where"] == "begin"
    assert root.tally.threads_abandoned == 1


def test_a_supervisor_that_waits_for_the_grace_of_a_child_is_not_stuck(forest, quick_watchdog):
    gate = threading.Event()
    slow = forest.child("slow", end=lambda *_: gate.wait(PATIENCE), shutdown_seconds=1.0)
    root = forest.plant(SupervisorSpec(children=(slow,)), watch=True)
    forest.life.wait(lambda _: root.tree().children[0].alive)
    assert root.restart_child("", "slow") is None
    gate.set()
    assert [fields["path"] for fields in forest.diary.events("actor_stuck")] in ([], ["root/slow"])
    assert root.exited is None


def test_a_supervisor_that_hangs_is_replaced_by_its_own_with_all_below_it(forest, quick_watchdog, monkeypatch):
    gate, reached = threading.Event(), threading.Event()

    def hang_as_it_is_built(context: Any) -> Any:
        reached.set()
        gate.wait(PATIENCE)
        return forest.Scripted.start(context)

    inner = SupervisorSpec(children=(forest.child("a"),), own_book=True)
    root = forest.plant(SupervisorSpec(children=(supervisor_child("inner", inner),)), watch=True)
    forest.life.wait_count(1)
    threads = {actor.context.id: actor.thread for actor in root.actors()}
    root.start_child("root/inner", ChildSpec("hangs", hang_as_it_is_built), timeout=0.0)
    assert reached.wait(PATIENCE)
    forest.life.wait(lambda entries: entries.count(("begin", "a", 1)) == 2)
    assert forest.diary.events("actor_stuck")[0]["path"] == "root/inner"
    gate.set()
    for name in ("inner", "a"):
        threads[name].join(PATIENCE)
        assert not threads[name].is_alive()
    forest.settle(root, "root/inner")
    assert [node.name for node in root.tree().children[0].children] == ["a"]


def test_an_abandoned_life_gives_back_what_others_wait_for(lone):
    given: list[Any] = []

    class Holder(lone.Scripted):
        def let_go(self) -> None:
            given.append(self.abandoned)
            raise SystemExit("and fails at it")

    actor = lone.start(kind=Holder)
    gate = lone.hold()
    actor.abandon()
    assert given == [True]
    assert lone.logged.events("let_go_failed")[0]["path"] == "a"
    gate.set()


def test_the_watchdog_ends_with_its_tree(forest):
    before = set(threading.enumerate())
    root = forest.plant(SupervisorSpec(children=(forest.child("a"),)), watch=True)
    assert any(thread.name == "watchdog" for thread in set(threading.enumerate()) - before)
    assert root.stop(PATIENCE)
    assert set(threading.enumerate()) <= before
