"""Ending children: politely, by interrupt, by cutting off; and the end of whole trees."""

import threading
import time
from typing import Any

import pykka
import pytest

from backstay.supervisor import children as children_module
from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import ExitKind, ExitReason
from backstay.supervisor.specs import ChildSpec, Intensity, Restart, Strategy, SupervisorSpec
from backstay.supervisor.supervisor import start_root, supervisor_child
from backstay.supervisor.tree import TreeNode

PATIENCE = 10.0


def crash(_: Any) -> None:
    raise RuntimeError("on purpose")


class Blocker:
    """A child whose `block` message waits until it is let go, or interrupted if it heeds that."""

    def __init__(self, forest: Any, name: str, *, heeds: bool, grace: float) -> None:
        self.reached, self.gate = threading.Event(), threading.Event()
        self.interrupts = 0
        self._heeds = heeds
        self.spec = forest.child(name, interrupt=self._interrupt, shutdown_seconds=grace)

    def block(self, _: Any) -> None:
        self.reached.set()
        self.gate.wait(PATIENCE)

    def _interrupt(self) -> None:
        self.interrupts += 1
        if self._heeds:
            self.gate.set()


def blocked(forest: Any, *, heeds: bool, grace: float, **options: Any) -> tuple[Any, Blocker]:
    blocker = Blocker(forest, "stuck", heeds=heeds, grace=grace)
    root = forest.plant(SupervisorSpec(children=(forest.child("a"), blocker.spec, forest.child("z")), **options))
    forest.life.wait_count(3)
    assert root.book.send("stuck", blocker.block)
    assert blocker.reached.wait(PATIENCE)
    return root, blocker


def test_a_child_in_a_blocking_wait_is_interrupted_at_once(forest):
    root, blocker = blocked(forest, heeds=True, grace=PATIENCE)
    began = time.monotonic()
    assert root.stop(PATIENCE)
    assert time.monotonic() - began < PATIENCE / 4
    assert blocker.interrupts == 1
    assert root.tally.threads_abandoned == 0


def test_an_interrupt_that_came_too_early_is_repeated_at_half_time(forest):
    blocker = Blocker(forest, "stuck", heeds=False, grace=0.2)
    root = forest.plant(SupervisorSpec(children=(blocker.spec,)))
    assert root.book.send("stuck", blocker.block)
    assert blocker.reached.wait(PATIENCE)
    first = blocker._interrupt

    def only_the_second_counts() -> None:
        first()
        if blocker.interrupts == 2:
            blocker.gate.set()

    root.supervisor.children()[0].actor._interrupt = only_the_second_counts
    assert root.stop(PATIENCE)
    assert (blocker.interrupts, root.tally.threads_abandoned) == (2, 0)


def test_one_that_ignores_even_that_is_cut_off_after_its_grace(forest):
    root, blocker = blocked(forest, heeds=False, grace=0.05)
    thread = root.supervisor.children()[1].actor.thread
    assert root.stop_child("", "stuck", reason="enough") is None
    assert forest.diary.wait_events("child_abandoned")[0]["id"] == "stuck"
    assert root.tally.threads_abandoned == 1
    assert (blocker.interrupts, root.book.names()) == (2, ("root", "a", "z"))
    assert thread.is_alive()
    assert root.stop(PATIENCE)
    blocker.gate.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_one_that_the_watchdog_replaces_while_it_is_stopped_is_cut_off_once(forest):
    root, blocker = blocked(forest, heeds=False, grace=0.05)
    actor = root.supervisor.children()[1].actor

    def the_watchdog_is_faster() -> None:
        blocker.interrupts += 1
        if blocker.interrupts == 2:
            actor.replace(1.0, "stack")

    actor._interrupt = the_watchdog_is_faster
    assert root.stop_child("", "stuck") is None
    assert root.tally.threads_abandoned == len(forest.diary.events("child_abandoned")) == 1
    assert root.book.names() == ("root", "a", "z")
    blocker.gate.set()
    actor.thread.join(PATIENCE)
    assert not actor.thread.is_alive()


def test_a_restart_replaces_one_that_is_cut_off_and_its_late_exit_changes_nothing(forest):
    root, blocker = blocked(forest, heeds=False, grace=0.05, strategy=Strategy.ONE_FOR_ALL)
    thread = root.supervisor.children()[1].actor.thread
    assert root.book.send("a", crash)
    forest.life.wait(lambda entries: ("begin", "z", 2) in entries)
    blocker.gate.set()
    thread.join(PATIENCE)
    forest.settle(root)
    assert [(node.name, node.incarnation) for node in root.tree().children] == [("a", 2), ("stuck", 2), ("z", 2)]
    assert root.tally.threads_abandoned == 1


def test_a_supervisor_gets_as_long_as_its_children_may_take(forest):
    stuck = Blocker(forest, "stuck", heeds=False, grace=0.3)
    inner = SupervisorSpec(children=(stuck.spec,))
    root = forest.plant(SupervisorSpec(children=(supervisor_child("inner", inner, shutdown_seconds=0.0),)))
    assert root.book.send("stuck", stuck.block)
    assert stuck.reached.wait(PATIENCE)
    thread = next(actor.thread for actor in root.actors() if actor.context.id == "stuck")
    assert root.stop()
    assert [fields["id"] for fields in forest.diary.events("child_abandoned")] == ["stuck"]
    stuck.gate.set()
    thread.join(PATIENCE)


def test_a_supervisor_that_hangs_is_cut_off_with_all_below_it(forest, monkeypatch):
    monkeypatch.setattr(children_module, "READY_SECONDS", 0.05)
    monkeypatch.setattr("backstay.supervisor.tree.SLACK_SECONDS", 0.1)
    gate, reached = threading.Event(), threading.Event()

    def hang(context: Any) -> Any:
        reached.set()
        gate.wait(PATIENCE)
        return forest.Scripted.start(context)

    inner = SupervisorSpec(children=(forest.child("a", shutdown_seconds=0.0),), own_book=True)
    root = forest.plant(SupervisorSpec(children=(supervisor_child("inner", inner, shutdown_seconds=0.0),)))
    threads = {actor.context.id: actor.thread for actor in root.actors()}
    root.start_child("root/inner", ChildSpec("hangs", hang), timeout=0.0)
    assert reached.wait(PATIENCE)
    assert root.restart_child("", "inner") is None
    assert [fields["id"] for fields in forest.diary.events("child_abandoned")] == ["inner"]
    threads["a"].join(PATIENCE)
    assert not threads["a"].is_alive()
    forest.life.wait(lambda entries: entries.count(("begin", "a", 1)) == 2)
    gate.set()
    threads["inner"].join(PATIENCE)
    assert not threads["inner"].is_alive()
    forest.diary.wait(lambda _: root.book.inner("inner").names() == ("a",))
    forest.settle(root, "root/inner")
    assert [node.name for node in root.tree().children[0].children] == ["a"]


def test_root_stop_keeps_its_time_and_tells_who_is_left(forest):
    root, blocker = blocked(forest, heeds=False, grace=PATIENCE)
    assert not root.stop(0.05)
    told = forest.diary.events("stop_timed_out")[0]
    assert {"root", "root/a"} <= set(told["alive"])
    blocker.gate.set()
    assert root.wait_empty(PATIENCE)


def test_stopping_twice_is_no_harm(forest):
    root = forest.plant(SupervisorSpec(children=(forest.child("a"),)))
    assert root.stop(PATIENCE)
    assert root.stop(PATIENCE)
    assert root.wait_empty()
    assert len(forest.exits.entries) == 1
    assert root.start_child("", forest.child("b")) == "'' has ended"
    assert list(root.actors()) == []


def test_errors_of_children_on_their_way_out_are_not_lost(forest):
    root = forest.plant(SupervisorSpec(children=(forest.child("a", end=lambda *_: crash(None)),)))
    assert root.stop(PATIENCE)
    told = forest.diary.events("child_exited")[0]
    assert (told["kind"], told["where"]) == ("shutdown", "end")
    assert "in crash" in told["traceback"]


def test_a_supervisor_whose_end_fails_still_leaves_nobody_behind(forest, monkeypatch):
    root = forest.plant(SupervisorSpec(children=(forest.child("a"), forest.child("b"))))
    threads = [actor.thread for actor in root.actors()]

    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(children_module.Children, "stop", fail)
    assert root.stop(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert root.exited is not None
    assert root.exited.error.startswith("MemoryError")


def test_a_tree_may_end_without_anybody_listening(clean_house):
    root = start_root(SupervisorSpec())
    assert root.stop(PATIENCE)
    assert root.exited is not None


class Deep:
    """A tree of three levels with books of its own."""

    def __init__(self, forest: Any) -> None:
        link = SupervisorSpec(
            strategy=Strategy.ONE_FOR_ALL, children=(forest.child("connector"), forest.child("reader"))
        )
        connection = SupervisorSpec(
            strategy=Strategy.REST_FOR_ONE,
            own_book=True,
            children=(forest.child("session"), forest.child("dispatcher"), supervisor_child("link", link)),
        )
        self.root = forest.plant(
            SupervisorSpec(children=(forest.child("journal"), supervisor_child("paper", connection)))
        )


def test_no_thread_is_left_when_stop_returns(forest):
    before = set(threading.enumerate())
    root = Deep(forest).root
    assert len(set(threading.enumerate()) - before) == 8
    assert root.stop(PATIENCE)
    assert set(threading.enumerate()) <= before


def shape(node: TreeNode) -> Any:
    return (node.name, [shape(child) for child in node.children]) if node.children else node.name


def test_the_tree_shows_everything_at_every_depth(forest):
    root = Deep(forest).root
    tree = root.tree()
    paper = ("paper", ["session", "dispatcher", ("link", ["connector", "reader"])])
    assert shape(tree) == ("root", ["journal", paper])
    assert [actor.context.path for actor in root.actors()] == [
        "root",
        "root/journal",
        "root/paper",
        "root/paper/session",
        "root/paper/dispatcher",
        "root/paper/link",
        "root/paper/link/connector",
        "root/paper/link/reader",
    ]
    reader = tree.children[1].children[2].children[1]
    assert (reader.path, reader.alive, reader.mailbox_length) == ("root/paper/link/reader", True, 0)
    assert reader.progress is not None
    with pytest.raises(AttributeError):
        reader.alive = False


def test_the_tree_can_be_read_while_its_supervisor_hangs(forest):
    root = forest.plant(SupervisorSpec(children=(forest.child("a"),)))
    gate = threading.Event()

    def hang(context: Any) -> Any:
        gate.wait(PATIENCE)
        return forest.Scripted.start(context)

    root.start_child("", ChildSpec("b", hang), timeout=0.0)
    assert [node.name for node in root.tree().children][:1] == ["a"]
    gate.set()


def test_names_below_a_book_of_its_own_are_local_and_both_books_are_in_reach(forest):
    root = Deep(forest).root
    inner = root.book.inner("paper")
    assert root.book.names() == ("root", "journal", "paper")
    assert inner.names() == ("session", "dispatcher", "link", "connector", "reader")
    found: list[Any] = []
    seen = threading.Event()

    def look(actor: Any) -> None:
        found.extend((actor.book is inner, actor.context.parent_book is root.book, actor.context.path))
        seen.set()

    assert root.book.send("paper/reader", look)
    assert seen.wait(PATIENCE)
    assert found == [True, True, "root/paper/link/reader"]


def test_the_book_of_a_sub_tree_outlives_the_restart_of_its_supervisor(forest):
    root = Deep(forest).root
    inner = root.book.inner("paper")
    assert root.restart_child("", "paper") is None
    assert root.book.inner("paper") is inner
    assert inner.names() == ("session", "dispatcher", "link", "connector", "reader")
    assert root.stop_child("", "paper") is None
    assert root.book.inner_names() == ()
    assert not inner.send("session", "anybody there?")


def test_a_root_with_a_book_of_its_own_lists_only_its_children(forest):
    root = forest.plant(SupervisorSpec(own_book=True, children=(forest.child("a"),)), name="top")
    assert root.book.names() == ("a",)
    assert root.tree().name == "top"


def test_one_actor_stopped_through_pykka_takes_the_tree_down_in_order(forest):
    root = Deep(forest).root
    reader = next(actor for actor in root.actors() if actor.context.id == "reader")
    assert reader.actor_ref.stop(timeout=PATIENCE)
    assert root.wait_empty(PATIENCE)
    assert root.exited is not None
    assert root.exited.kind is ExitKind.FOREIGN
    assert root.tally.restarts == 0
    ends = [name for what, name, _ in forest.life.entries if what == "end"]
    assert ends == ["reader", "connector", "dispatcher", "session", "journal"]


def test_a_foreign_stop_of_everything_ends_cleanly_and_nothing_comes_back(forest):
    for number in range(100):
        root = Deep(forest).root
        if number % 2:
            root.book.send("paper/session", crash)  # a restart may be under way when the stop comes
        pykka.ActorRegistry.stop_all(timeout=PATIENCE)
        assert root.wait_empty(PATIENCE)
        assert pykka.ActorRegistry.get_all() == []
        assert root.exited is not None
        assert root.exited.kind is ExitKind.FOREIGN
        assert root.book.names() == root.book.inner("paper").names() == ()


def test_a_foreign_stop_of_everything_does_not_wait_for_a_blocked_child(forest):
    root, _ = blocked(forest, heeds=True, grace=PATIENCE)
    pykka.ActorRegistry.stop_all(timeout=PATIENCE)
    assert root.wait_empty(PATIENCE)
    assert root.exited is not None
    assert root.exited.kind is ExitKind.FOREIGN


def test_sub_trees_that_come_and_go_leave_nothing(forest):
    root = forest.plant(SupervisorSpec())
    leaf = SupervisorSpec(children=(ChildSpec("leaf", forest.Scripted.start),))
    guest = SupervisorSpec(
        own_book=True, children=(ChildSpec("session", forest.Scripted.start), supervisor_child("link", leaf))
    )
    threads, actors = threading.active_count(), len(pykka.ActorRegistry.get_all())
    for number in range(500):
        name = f"guest{number}"
        assert root.start_child("", supervisor_child(name, guest)) is None
        assert root.book.send(f"{name}/leaf", "hello")
        assert root.stop_child("", name) is None
    assert threading.active_count() == threads
    assert len(pykka.ActorRegistry.get_all()) == actors
    assert (root.book.names(), root.book.inner_names(), root.tree().children) == (("root",), (), ())


def test_temporary_sub_trees_that_fail_by_themselves_leave_nothing(forest):
    root = forest.plant(SupervisorSpec())
    guest = SupervisorSpec(own_book=True, intensity=Intensity(0, 60.0), children=(forest.child("a", begin=crash),))
    for number in range(20):
        name = f"guest{number}"
        assert root.start_child("", supervisor_child(name, guest, restart=Restart.TEMPORARY)) is None
    forest.diary.wait(lambda entries: sum(e[1].get("id", "").startswith("guest") for e in entries) == 40)
    forest.settle(root)
    assert (root.book.names(), root.book.inner_names(), root.tree().children) == (("root",), (), ())


def test_a_child_hears_why_it_ends(forest):
    reasons: list[ExitReason] = []

    class Listener(Actor):
        def end(self, reason: ExitReason) -> None:
            reasons.append(reason)

    root = forest.plant(SupervisorSpec(children=(ChildSpec("a", Listener.start),)))
    assert root.stop_child("", "a", reason="no longer wanted") is None
    assert reasons == [ExitReason(ExitKind.SHUTDOWN, "no longer wanted")]
