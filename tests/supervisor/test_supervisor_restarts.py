import threading
from typing import Any

import pykka
import pytest

from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import ExitKind, RestartChild, StartChild, StopChild
from backstay.supervisor.specs import AutoShutdown, ChildSpec, Intensity, Restart, Strategy, SupervisorSpec
from backstay.supervisor.supervisor import start_root, supervisor_child
from backstay.supervisor.tree import ChildState

PATIENCE = 10.0
GENEROUS = Intensity(1_000_000, 60.0)


def crash(_: Any) -> None:
    raise RuntimeError("on purpose")


class Gate:
    """A start function that fails until it is opened."""

    def __init__(self, kind: type[Actor], failures: int = 10**9, error: type[BaseException] = RuntimeError) -> None:
        self.kind, self.failures, self.error, self.calls = kind, failures, error, 0
        self.failed = threading.Event()

    def __call__(self, context: Any) -> Any:
        self.calls += 1
        if self.calls <= self.failures:
            self.failed.set()
            raise self.error("not yet")
        return self.kind.start(context)


def states(root: Any) -> dict[str, ChildState]:
    return {node.name: node.state for node in root.tree().children}


def wait_for_state(forest: Any, root: Any, name: str, state: ChildState) -> None:
    forest.diary.wait(lambda _: states(root).get(name) is state)


def test_children_start_in_order_and_stop_in_reverse(forest):
    root = forest.plant(SupervisorSpec(children=tuple(forest.child(name) for name in "abc")))
    assert root.book.names() == ("root", "a", "b", "c")
    forest.life.wait_count(3)
    assert root.stop(PATIENCE)
    assert [entry[:2] for entry in forest.life.entries[3:]] == [("end", "c"), ("end", "b"), ("end", "a")]


def test_a_crash_is_told_with_its_traceback_and_the_address_stays(forest):
    root = forest.plant(SupervisorSpec(children=(forest.child("a"),)))
    assert root.book.send("a", crash)
    told = forest.diary.wait_events("child_exited")[0]
    assert (told["id"], told["kind"], told["where"], told["handling"]) == ("a", "crash", "receive", "function")
    assert "in crash" in told["traceback"]
    assert told["supervisor"] == "root"
    assert forest.diary.wait_events("child_restarted")[0]["incarnation"] == 2
    seen = threading.Event()
    assert root.book.send("a", lambda _: seen.set())
    assert seen.wait(PATIENCE)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit])
def test_a_constructor_that_fails_at_first_is_tried_again(forest, error):
    gate = Gate(forest.Scripted, failures=3, error=error)
    root = forest.plant(SupervisorSpec(children=(ChildSpec("a", gate),)))
    wait_for_state(forest, root, "a", ChildState.RUNNING)
    failed = forest.diary.events("child_start_failed")
    assert len(failed) == 3
    assert error.__name__ in failed[0]["traceback"]


def test_a_start_that_returns_a_stranger_fails(forest):
    strangers: list[Any] = []

    def start(_: Any) -> Any:
        strangers.append(pykka.ThreadingActor.start())
        return strangers[-1]

    root = forest.plant(SupervisorSpec())
    assert "not an actor of this tree" in str(root.start_child("", ChildSpec("a", start)))
    assert strangers[0].actor_stopped.wait(PATIENCE)


@pytest.mark.parametrize(
    ("strategy", "started"),
    [(Strategy.ONE_FOR_ONE, {"a", "c"}), (Strategy.REST_FOR_ONE, {"a"}), (Strategy.ONE_FOR_ALL, {"a"})],
)
def test_those_that_depend_on_a_failing_start_wait_for_it(forest, strategy, started):
    gate = Gate(forest.Scripted)
    children = (forest.child("a"), ChildSpec("b", gate), forest.child("c"))
    root = forest.plant(SupervisorSpec(strategy=strategy, intensity=GENEROUS, children=children))
    assert {name for name, state in states(root).items() if state is ChildState.RUNNING} == started
    gate.failures = 0
    wait_for_state(forest, root, "b", ChildState.RUNNING)
    wait_for_state(forest, root, "c", ChildState.RUNNING)
    assert set(states(root).values()) == {ChildState.RUNNING}
    assert [name for name in root.book.names() if name != "root"] == (
        ["a", "c", "b"] if "c" in started else list("abc")
    )


def test_stop_gets_through_at_once_while_a_restart_keeps_failing(forest):
    gate = Gate(forest.Scripted)
    root = forest.plant(SupervisorSpec(intensity=GENEROUS, children=(ChildSpec("a", gate),)))
    assert gate.failed.wait(PATIENCE)
    assert root.stop(1.0)
    assert root.exited is not None
    assert root.exited.kind is ExitKind.SHUTDOWN
    calls = gate.calls
    assert not root.supervisor.thread.is_alive()
    assert gate.calls == calls


def test_too_many_restarts_end_the_supervisor_and_its_owner_hears(forest):
    spec = SupervisorSpec(intensity=Intensity(2, 60.0), children=(forest.child("a"), forest.child("b")))
    root = forest.plant(spec)
    for incarnation in (1, 2, 3):
        forest.life.wait(lambda entries, n=incarnation: ("begin", "a", n) in entries)
        assert root.book.send("a", crash)
    assert root.wait_empty(PATIENCE)
    assert len(forest.diary.events("restart_intensity_reached")) == 1
    exited = forest.exits.entries[0]
    assert exited is root.exited
    assert exited.kind is ExitKind.CRASH
    assert "RestartIntensityReached" in exited.error
    assert "more than 2 restarts in 60 s, the last of a (RuntimeError: on purpose)" in exited.error
    assert ("end", "b", 1) in forest.life.entries
    assert root.book.names() == ()
    assert not root.tree().alive


def test_restarts_that_are_far_enough_apart_go_on_for_ever(forest, manual_clock):
    spec = SupervisorSpec(intensity=Intensity(1, 10.0), children=(forest.child("a"),))
    root = forest.plant(spec, clock=manual_clock)
    for incarnation in range(1, 20):
        forest.life.wait(lambda entries, n=incarnation: ("begin", "a", n) in entries)
        manual_clock.now += 10.1
        assert root.book.send("a", crash)
    forest.life.wait(lambda entries: ("begin", "a", 20) in entries)
    assert root.exited is None


def test_failing_starts_use_up_the_intensity_too(forest):
    root = forest.plant(SupervisorSpec(intensity=Intensity(3, 60.0), children=(ChildSpec("a", Gate(forest.Scripted)),)))
    assert root.wait_empty(PATIENCE)
    assert len(forest.diary.events("child_start_failed")) == 4
    assert root.exited is not None
    assert "not yet" in root.exited.error


def test_intended_exits_cost_nothing(forest):
    spec = SupervisorSpec(intensity=Intensity(0, 60.0), children=(forest.child("a"),))
    root = forest.plant(spec)
    for number in range(10):
        temporary = forest.child(f"t{number}", restart=Restart.TEMPORARY)
        transient = forest.child(f"k{number}", restart=Restart.TRANSIENT)
        assert root.start_child("", temporary) is None
        assert root.start_child("", transient) is None
        assert root.book.send(temporary.id, crash)
        assert root.book.send(transient.id, lambda actor: actor.leave())
    forest.diary.wait_events("child_exited", 20)
    for number in range(10):
        assert root.restart_child("", "a", reason="asked for") is None
        assert root.restart_child("", f"k{number}") is None
    assert root.exited is None
    assert root.tally.restarts == 20


def test_escalation_climbs_level_by_level_and_the_product_of_intensities_bounds_it(forest):
    """2 restarts allowed below, 1 above: (2 + 1) lives of the child in each of (1 + 1) lives of its supervisor."""
    inner = SupervisorSpec(intensity=Intensity(2, 60.0), children=(forest.child("a", begin=crash),))
    middle = SupervisorSpec(intensity=Intensity(1, 60.0), children=(supervisor_child("inner", inner),))
    root = forest.plant(
        SupervisorSpec(
            intensity=Intensity(0, 60.0),
            children=(forest.child("bystander"), supervisor_child("middle", middle, restart=Restart.TEMPORARY)),
        )
    )
    forest.diary.wait(lambda entries: any(e[0] == "child_exited" and e[1]["id"] == "middle" for e in entries))
    forest.settle(root)
    told = forest.diary.events("child_exited")
    assert [fields["id"] for fields in told].count("a") == 6
    assert [fields["id"] for fields in told].count("inner") == 2
    assert [fields["supervisor"] for fields in forest.diary.events("restart_intensity_reached")] == [
        "root/middle/inner",
        "root/middle/inner",
        "root/middle",
    ]
    assert "RestartIntensityReached" in told[-1 if told[-1]["id"] == "middle" else -2]["error"]
    assert states(root) == {"bystander": ChildState.RUNNING}
    assert root.book.names() == ("root", "bystander")


def test_a_supervisor_that_gave_up_is_started_afresh_by_its_own(forest):
    inner = SupervisorSpec(intensity=Intensity(0, 60.0), children=(forest.child("a"), forest.child("b")))
    root = forest.plant(SupervisorSpec(children=(supervisor_child("inner", inner),)))
    forest.life.wait_count(2)
    assert root.book.send("a", crash)
    forest.life.wait(lambda entries: entries.count(("begin", "b", 1)) == 2)
    forest.settle(root, "root/inner")
    (node,) = root.tree().children
    assert (node.incarnation, node.restarts, [child.name for child in node.children]) == (2, 1, ["a", "b"])
    assert root.exited is None


@pytest.mark.parametrize(
    ("mode", "ending", "ended"),
    [
        (AutoShutdown.ANY, "a", True),
        (AutoShutdown.ANY, "plain", False),
        (AutoShutdown.ALL, "a", False),
        (AutoShutdown.ALL, "ab", True),
    ],
)
def test_significant_children_take_their_supervisor_with_them(forest, mode, ending, ended):
    transient, temporary = Restart.TRANSIENT, Restart.TEMPORARY
    children = (
        forest.child("a", restart=transient, significant=True),
        forest.child("b", restart=temporary, significant=True),
        forest.child("plain", restart=transient),
    )
    inner = SupervisorSpec(children=children, auto_shutdown=mode)
    root = forest.plant(SupervisorSpec(children=(supervisor_child("inner", inner, restart=transient),)))
    for name in [ending] if ending == "plain" else ending:
        assert root.book.send(name, lambda actor: actor.leave())
        forest.diary.wait(lambda entries, n=name: any(e[0] == "child_exited" and e[1]["id"] == n for e in entries))
    if ended:
        wait_for_state(forest, root, "inner", ChildState.STOPPED)
        told = next(fields for fields in forest.diary.events("child_exited") if fields["id"] == "inner")
        assert (told["kind"], told["reason"]) == ("normal", f"significant child {ending[-1]} ended")
        assert root.book.names() == ("root",)
    else:
        forest.settle(root, "root/inner")
        assert states(root) == {"inner": ChildState.RUNNING}


def test_a_significant_child_that_is_restarted_ends_nobody(forest):
    children = (forest.child("a", restart=Restart.TRANSIENT, significant=True),)
    root = forest.plant(SupervisorSpec(children=children, auto_shutdown=AutoShutdown.ANY))
    assert root.book.send("a", crash)
    forest.diary.wait_events("child_restarted")
    assert states(root) == {"a": ChildState.RUNNING}


def test_children_come_and_go_while_the_tree_runs(forest):
    root = forest.plant(SupervisorSpec(children=(forest.child("a"),)))
    assert root.start_child("", forest.child("b")) is None
    assert root.start_child("root", forest.child("b")) == "a child of this id is there already"
    assert root.stop_child("", "b") is None
    assert root.stop_child("", "b") == "no child of this id"
    assert root.restart_child("", "b") == "no child of this id"
    assert root.start_child("root/nowhere", forest.child("b")) == "no supervisor at 'root/nowhere'"
    assert root.start_child("root/a", forest.child("b")) == "no supervisor at 'root/a'"
    assert [fields["reason"] for fields in forest.diary.events("child_refused")] == [
        "a child of this id is there already",
        "no child of this id",
        "no child of this id",
    ]
    assert list(states(root)) == ["a"]


def test_a_new_child_that_cannot_start_is_refused_and_forgotten(forest):
    root = forest.plant(SupervisorSpec(intensity=Intensity(0, 60.0)))
    assert root.start_child("", ChildSpec("a", Gate(forest.Scripted))) == "RuntimeError: not yet"
    assert root.tree().children == ()
    assert root.exited is None


def test_a_significant_child_is_refused_where_it_has_no_meaning(forest):
    root = forest.plant(SupervisorSpec())
    child = forest.child("a", restart=Restart.TRANSIENT, significant=True)
    assert "auto_shutdown" in str(root.start_child("", child))


def test_a_new_child_takes_the_place_of_one_that_has_stopped(forest):
    root = forest.plant(SupervisorSpec(children=(forest.child("a", restart=Restart.TRANSIENT),)))
    assert root.book.send("a", lambda actor: actor.leave())
    wait_for_state(forest, root, "a", ChildState.STOPPED)
    assert root.start_child("", forest.child("a")) is None
    assert states(root) == {"a": ChildState.RUNNING}


def test_a_new_child_waits_behind_one_that_it_depends_on(forest):
    gate = Gate(forest.Scripted)
    spec = SupervisorSpec(strategy=Strategy.REST_FOR_ONE, intensity=GENEROUS, children=(ChildSpec("a", gate),))
    root = forest.plant(spec)
    assert root.start_child("", forest.child("b")) is None
    assert states(root) == {"a": ChildState.WANTED, "b": ChildState.WANTED}
    assert root.restart_child("", "b") == "not started yet: it will be tried again"
    gate.failures = 0
    wait_for_state(forest, root, "b", ChildState.RUNNING)


def test_a_restart_that_is_asked_for_follows_the_strategy(forest):
    children = tuple(forest.child(name) for name in "abc")
    root = forest.plant(SupervisorSpec(strategy=Strategy.REST_FOR_ONE, children=children))
    assert root.restart_child("", "b", reason="new settings") is None
    assert [(node.name, node.incarnation) for node in root.tree().children] == [("a", 1), ("b", 2), ("c", 2)]
    assert {fields["reason"] for fields in forest.diary.events("child_exited")} == {"new settings"}


def test_a_child_can_command_its_supervisor(forest):
    root = forest.plant(SupervisorSpec(children=(forest.child("a"), forest.child("b"))))
    forest.life.wait_count(2)
    assert root.book.send("a", lambda actor: actor.context.command(RestartChild("b", "it knows why")))
    forest.life.wait(lambda entries: ("begin", "b", 2) in entries)


def test_commands_may_come_by_name_on_either_lane(forest):
    root = forest.plant(SupervisorSpec())
    answers: list[Any] = []
    done = threading.Event()
    assert root.book.send("root", StartChild(forest.child("a"), answers.append))
    assert root.book.send("root", StopChild("a", "", lambda refusal: (answers.append(refusal), done.set())))
    assert done.wait(PATIENCE)
    assert answers == [None, None]


def test_an_answer_that_fails_and_a_message_nobody_knows_are_survived(forest):
    root = forest.plant(SupervisorSpec())
    assert root.book.send("root", StopChild("nobody", "", crash))
    assert root.book.send("root", "what?")
    assert forest.diary.wait_events("message_unknown")[0]["message"] == "str"
    forest.settle(root)


def test_a_command_that_breaks_the_supervisor_is_answered_all_the_same(forest):
    gate = Gate(forest.Scripted, failures=0)
    spec = SupervisorSpec(intensity=Intensity(0, 60.0), children=(ChildSpec("a", gate),))
    root = forest.plant(SupervisorSpec(children=(supervisor_child("inner", spec),)))
    gate.failures = 2
    assert root.restart_child("root/inner", "a") == "the supervisor failed"
    wait_for_state(forest, root, "inner", ChildState.RUNNING)


def test_a_command_that_a_dying_supervisor_leaves_behind_is_answered(forest):
    gate, reached = threading.Event(), threading.Event()

    def hang(context: Any) -> Any:
        reached.set()
        gate.wait(PATIENCE)
        return forest.Scripted.start(context)

    root = forest.plant(SupervisorSpec())
    answers: list[Any] = []
    assert root.book.send("root", StartChild(ChildSpec("a", hang), answers.append))
    assert reached.wait(PATIENCE)
    assert root.book.send("root", StartChild(forest.child("b"), answers.append))
    root.supervisor.dismiss()
    gate.set()
    assert root.wait_empty(PATIENCE)
    assert answers == [None, "the supervisor has ended"]


def test_a_child_whose_name_is_taken_elsewhere_in_the_book_is_refused(forest):
    inner = SupervisorSpec()
    root = forest.plant(SupervisorSpec(children=(forest.child("a"), supervisor_child("inner", inner))))
    assert "NameTaken" in str(root.start_child("root/inner", forest.child("a")))
    assert root.book.names() == ("root", "a", "inner")


def test_an_exit_of_an_earlier_life_is_ignored(forest):
    root = forest.plant(SupervisorSpec(strategy=Strategy.ONE_FOR_ALL, children=(forest.child("a"), forest.child("b"))))
    forest.life.wait_count(2)
    barrier = threading.Barrier(2)

    def crash_together(_: Any) -> None:
        barrier.wait(PATIENCE)
        raise RuntimeError("on purpose")

    assert root.book.send("a", crash_together)
    assert root.book.send("b", crash_together)
    forest.life.wait(lambda entries: ("begin", "a", 2) in entries and ("begin", "b", 2) in entries)
    forest.settle(root)
    assert [(node.name, node.incarnation) for node in root.tree().children] == [("a", 2), ("b", 2)]
    assert len(forest.diary.events("child_exited")) == 3  # both crashed, one restart; the third is "settled"


def test_the_log_may_fail_without_hurting_anybody(forest):
    def log(event: str, /, **fields: Any) -> None:
        raise RuntimeError(event)

    root = start_root(SupervisorSpec(children=(forest.child("a"),)), log=log, on_exit=crash)
    forest.roots.append(root)
    assert root.book.send("a", crash)
    forest.life.wait(lambda entries: ("begin", "a", 2) in entries)
    assert root.stop(PATIENCE)
