import threading
from typing import Any

import pytest

from backstay.supervisor.actor import Actor
from backstay.supervisor.watchdog import Stuck, Watchdog

PATIENCE = 10.0


class Patient(Actor):
    """One whose work is a wait that may last for ever."""

    def receive(self, message: Any) -> Any:
        self.turns += 1
        message(self)
        self.turns += 1


@pytest.fixture
def watch(lone, manual_clock):
    told: list[Stuck] = []
    dog = Watchdog(lambda: lone.started, told.append, limit_seconds=4.0, clock=manual_clock)

    def after(seconds: float) -> list[Stuck]:
        """Look once a second for so long, and at the end."""
        found = []
        while seconds > 1.0:
            manual_clock.now += 1.0
            seconds -= 1.0
            found += dog.check()
        manual_clock.now += seconds
        return [*found, *dog.check()]

    return after


def hang_here(gate: threading.Event, reached: threading.Event) -> Any:
    def hang(_: Any) -> None:
        reached.set()
        gate.wait(PATIENCE)

    return hang


def test_an_idle_actor_is_never_stuck(lone, watch):
    actor = lone.start()
    actor.actor_ref.ask("hello", timeout=PATIENCE)
    while not actor.actor_inbox.waiting:
        actor.done.wait(0.001)
    assert watch(0) == watch(100) == watch(1000) == []


def test_an_actor_that_finishes_nothing_is_told_of_once_with_its_stack(lone, watch):
    lone.start()
    gate, reached = threading.Event(), threading.Event()
    lone.book.send("a", hang_here(gate, reached))
    assert reached.wait(PATIENCE)
    assert watch(0) == watch(3.9) == []
    (stuck,) = watch(0.1)
    assert (stuck.name, stuck.seconds, stuck.gone) == ("a", pytest.approx(4.0), False)
    assert "in hang" in stuck.stack
    assert watch(100) == []
    gate.set()


def test_a_busy_actor_that_makes_progress_is_not_stuck(lone, watch):
    actor = lone.start()
    for round_number in range(5):
        gate = lone.hold()
        assert watch(3.0) == []
        gate.set()
        while actor.handled <= round_number:
            actor.done.wait(0.001)


def test_one_that_was_stuck_moved_and_is_stuck_again_is_told_of_again(lone, watch):
    actor = lone.start()
    for _ in range(2):
        handled = actor.handled
        gate = lone.hold()
        assert watch(0) == []
        assert [stuck.name for stuck in watch(5)] == ["a"]
        gate.set()
        while actor.handled == handled:
            actor.done.wait(0.001)


def test_an_actor_in_a_wait_that_may_last_is_left_alone(lone, watch):
    lone.start(kind=Patient)
    gate = lone.hold()
    assert watch(0) == watch(1000) == []
    gate.set()


def test_one_that_waits_on_while_something_lies_in_its_inbox_is_stuck(lone, watch):
    lone.start(kind=Patient)
    gate = lone.hold()
    assert watch(100) == []
    lone.book.send("a", lambda _: None)
    assert watch(0) == watch(3.9) == []
    assert [stuck.name for stuck in watch(0.2)] == ["a"]
    gate.set()


def test_one_that_hangs_between_two_waits_is_stuck(lone, watch):
    actor = lone.start(kind=Patient)
    reached, gate = threading.Event(), threading.Event()

    def work(_: Any) -> None:
        actor.turns += 1
        reached.set()
        gate.wait(PATIENCE)
        actor.turns += 1

    lone.book.send("a", work)
    assert reached.wait(PATIENCE)
    assert watch(0) == []
    assert [stuck.name for stuck in watch(4)] == ["a"]
    gate.set()


def test_turns_of_a_long_job_are_progress(lone, watch):
    actor = lone.start(kind=Patient)
    gate = lone.hold()
    for _ in range(5):
        actor.turns += 2
        lone.book.send("a", lambda _: None)
        assert watch(3) == []
    gate.set()


def test_one_that_has_said_how_long_it_will_take_has_so_long(lone, manual_clock):
    told: list[Stuck] = []
    actor = lone.Scripted.start(lone.context(clock=manual_clock)).actor
    lone.started.append(actor)
    dog = Watchdog(lambda: lone.started, told.append, limit_seconds=4.0, clock=manual_clock)
    gate = lone.hold()
    found = []
    with actor.excused(30.0):
        for _ in range(36):
            found.append(bool(dog.check()))
            manual_clock.now += 1.0
    assert found.index(True) == 34  # four seconds after the thirty
    gate.set()


def test_one_that_is_through_with_it_is_no_longer_excused(lone, manual_clock):
    actor = lone.Scripted.start(lone.context(clock=manual_clock)).actor
    lone.started.append(actor)
    dog = Watchdog(lambda: lone.started, lambda _: None, limit_seconds=4.0, clock=manual_clock)
    gate = lone.hold()
    with pytest.raises(OSError, match="the disk"), actor.excused(30.0):
        raise OSError("the disk")
    found = []
    for _ in range(6):
        found.append(bool(dog.check()))
        manual_clock.now += 1.0
    assert found.index(True) == 4
    gate.set()


def test_a_process_that_was_suspended_makes_nobody_stuck(lone, manual_clock):
    dog = Watchdog(lambda: lone.started, lambda _: None, limit_seconds=4.0, clock=manual_clock)
    lone.start()
    gate = lone.hold()
    assert dog.check() == []
    manual_clock.now += 3_600.0
    assert dog.check() == []
    gate.set()


@pytest.mark.parametrize("kind", [Actor, Patient])
def test_a_thread_that_is_gone_without_a_word_is_told_of_at_once(lone, watch, kind):
    actor = lone.start(kind=kind)
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    real, actor.thread = actor.thread, ended
    (stuck,) = watch(0)
    assert (stuck.name, stuck.gone, stuck.stack) == ("a", True, "")
    actor.thread = real


def test_an_actor_that_has_ended_is_no_longer_watched(lone, watch):
    actor = lone.start()
    actor.dismiss()
    assert actor.done.wait(PATIENCE)
    assert watch(0) == watch(1000) == []


def test_a_hook_that_hangs_at_the_beginning_is_found_too(lone, watch):
    gate, reached = threading.Event(), threading.Event()
    lone.start(begin=hang_here(gate, reached))
    assert reached.wait(PATIENCE)
    assert watch(0) == []
    assert [stuck.name for stuck in watch(4)] == ["a"]
    gate.set()


def test_the_thread_looks_on_whatever_the_listener_does(lone):
    lone.start()
    gate = lone.hold()
    told = threading.Semaphore(0)

    def tell(stuck: Stuck) -> None:
        told.release()
        raise RuntimeError(stuck.name)

    dog = Watchdog(lambda: lone.started, tell, limit_seconds=0.0, period_seconds=0.01)
    dog.start()
    assert told.acquire(timeout=PATIENCE)
    gate.set()
    lone.book.send("a", lambda _: None)
    gate = lone.hold()
    assert told.acquire(timeout=PATIENCE)
    gate.set()
    dog.stop(PATIENCE)
    assert not dog._thread.is_alive()


def test_the_thread_looks_once_a_period(clean_house):
    looked = threading.Semaphore(0)

    def actors() -> list[Actor]:
        looked.release()
        return []

    dog = Watchdog(actors, lambda _: None, period_seconds=0.001)
    dog.start()
    assert all(looked.acquire(timeout=PATIENCE) for _ in range(5))
    dog.stop(PATIENCE)


def test_stopping_before_starting_is_no_harm(lone):
    Watchdog(lambda: lone.started, lambda _: None).stop()
