"""The ordinary life of an actor: hooks, lanes, timers, leaving, and what is seen of it from outside."""

import threading
from typing import Any

import pykka
import pytest

from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import ExitKind, ExitReason, Stop

PATIENCE = 10.0


def test_hooks_run_in_order_in_the_actors_own_thread(lone):
    seen: list[Any] = []

    class Life(Actor):
        def __init__(self, context: Any) -> None:
            super().__init__(context)
            self._note("init")

        def _note(self, what: Any) -> None:
            seen.append((what, threading.current_thread().name))

        def begin(self) -> None:
            self._note("begin")

        def receive(self, message: Any) -> None:
            self._note(message)

        def end(self, reason: ExitReason) -> None:
            self._note(reason)

    actor = lone.start(kind=Life)
    lone.book.send("a", "hello")
    assert actor.ready.wait(PATIENCE)
    while lone.book.length("a"):
        actor.done.wait(0.001)
    actor.dismiss("bye")
    lone.exit_of(actor)
    here = threading.current_thread().name
    reason = ExitReason(ExitKind.SHUTDOWN, "bye")
    assert seen == [("init", here), ("begin", "a"), ("hello", "a"), (reason, "a")]


def test_an_actor_cannot_override_pykkas_hooks():
    with pytest.raises(TypeError, match="on_start"):
        type("Wrong", (Actor,), {"on_start": Actor.begin})


def test_the_thread_is_a_daemon_named_by_the_path(lone):
    actor = lone.start()
    assert (actor.thread.name, actor.thread.daemon) == ("a", True)


def test_leaving_is_a_normal_exit_after_the_message_at_hand(lone):
    seen: list[str] = []
    actor = lone.start()
    gate = lone.hold()
    lone.book.send(
        "a", lambda actor: (actor.leave("done here"), actor.leave("again"), seen.append("rest of the message"))
    )
    lone.book.send("a", lambda _: seen.append("never"))
    gate.set()
    exited = lone.exit_of(actor)
    assert (exited.kind, exited.text, exited.error, exited.where) == (ExitKind.NORMAL, "done here", "", None)
    assert seen == ["rest of the message"]
    assert lone.book.dead_letters == 1


def test_an_actor_may_leave_before_its_first_message(lone):
    actor = lone.start(begin=lambda actor: actor.leave("nothing to do"))
    assert lone.exit_of(actor).kind is ExitKind.NORMAL


def test_stop_overtakes_all_data(lone):
    actor = lone.start()
    gate = lone.hold()
    count = 99_990
    for number in range(count):
        lone.book.send("a", number)
    lone.book.urge("a", Stop("now"))
    gate.set()
    exited = lone.exit_of(actor)
    assert (exited.kind, exited.text) == (ExitKind.SHUTDOWN, "now")
    assert actor.handled == 2
    assert lone.book.dead_letters == count


def test_done_is_the_last_thing_that_happens(lone):
    actor = lone.start()
    actor.dismiss()
    assert actor.done.wait(PATIENCE)
    assert lone.book.names() == ()
    assert pykka.ActorRegistry.get_all() == []
    assert not actor.actor_ref.is_alive()
    assert actor.exited is lone.exits.entries[0]


def test_an_actor_knows_that_it_is_to_stop_while_it_handles_a_message(lone):
    reached, asked = threading.Event(), threading.Event()
    seen: list[bool] = []

    def work(actor: Any) -> None:
        seen.append(actor.stopping)
        reached.set()
        assert asked.wait(PATIENCE)
        seen.append(actor.stopping)

    actor = lone.start(interrupt=asked.set)
    lone.book.send("a", work)
    assert reached.wait(PATIENCE)
    actor.dismiss()
    lone.exit_of(actor)
    assert seen == [False, True]


def test_a_stop_through_pykka_is_foreign_and_answered_after_the_end(lone):
    ended: list[ExitReason] = []
    actor = lone.start(end=lambda _, reason: ended.append(reason))
    assert actor.actor_ref.stop(timeout=PATIENCE) is True
    assert [reason.kind for reason in ended] == [ExitKind.FOREIGN]
    assert lone.book.names() == ()
    assert lone.exit_of(actor).kind is ExitKind.FOREIGN
    assert actor.actor_ref.stop(timeout=PATIENCE) is False


def test_a_stop_through_pykka_breaks_a_blocking_wait(lone):
    broken, waiting = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        waiting.set()
        assert broken.wait(PATIENCE)

    actor = lone.start(interrupt=broken.set)
    lone.book.send("a", wait)
    assert waiting.wait(PATIENCE)
    assert actor.actor_ref.stop(timeout=PATIENCE)
    assert lone.exit_of(actor).kind is ExitKind.FOREIGN


def test_a_second_foreign_stop_is_answered_too(lone):
    actor = lone.start()
    gate = lone.hold()
    futures = [actor.actor_ref.stop(block=False) for _ in range(3)]
    gate.set()
    assert [future.get(timeout=PATIENCE) for future in futures] == [True, True, True]


def test_asks_left_over_at_the_end_fail_at_once(lone):
    actor = lone.start()
    gate = lone.hold()
    future = actor.actor_ref.ask("question", block=False)
    actor.dismiss()
    gate.set()
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=PATIENCE)
    assert lone.exit_of(actor).kind is ExitKind.SHUTDOWN
    assert lone.book.dead_letters == 1


def test_pykkas_proxies_work_from_outside(lone):
    class Counter(Actor):
        count = 3

        def add(self, number: int) -> int:
            self.count += number
            return self.count

    actor = lone.start(kind=Counter)
    proxy = actor.actor_ref.proxy()
    assert proxy.add(4).get(timeout=PATIENCE) == 7
    proxy.add.defer(5)
    assert proxy.count.get(timeout=PATIENCE) == 12


def test_timers_deliver_in_order_are_replaced_and_cancelled(lone):
    seen: list[str] = []
    over = threading.Event()

    def arm(actor: Any) -> None:
        actor.after(0.03, lambda _: seen.append("c"))
        actor.after(0.01, lambda _: seen.append("a"))
        actor.after(0.02, lambda _: seen.append("b"))
        gone = actor.after(0.01, lambda _: seen.append("cancelled"))
        actor.after(0.01, lambda _: seen.append("replaced"), key="key")
        actor.after(0.04, lambda _: (seen.append("d"), over.set()), key="key")
        assert actor.cancel(gone)
        assert not actor.cancel(gone)

    lone.start(begin=arm)
    assert over.wait(PATIENCE)
    assert seen == ["a", "b", "c", "d"]


def test_no_timer_fires_after_the_end(lone, manual_clock):
    fired: list[Any] = []
    actor = lone.Scripted.start(lone.context(clock=manual_clock)).actor
    lone.book.send("a", lambda actor: actor.after(1.0, fired.append))
    lone.book.send("a", lambda actor: actor.leave())
    lone.exit_of(actor)
    manual_clock.now += 10
    lone.book.wake()
    actor.after(0.0, fired.append)
    assert fired == []
    assert actor.actor_inbox._timers == {}


def test_timers_follow_the_clock_that_was_given(lone, manual_clock):
    fired = threading.Event()
    actor = lone.Scripted.start(lone.context(clock=manual_clock)).actor
    lone.started.append(actor)
    lone.book.send("a", lambda actor: actor.after(3600.0, lambda _: fired.set()) and None)
    while not (actor.handled and actor.actor_inbox.waiting):
        fired.wait(0.001)
    assert actor.now() == manual_clock.now
    manual_clock.now += 3600.0
    lone.book.wake()
    assert fired.wait(PATIENCE)


def test_progress_and_handled_follow_the_messages(lone, manual_clock):
    actor = lone.Scripted.start(lone.context(clock=manual_clock)).actor
    lone.started.append(actor)
    began = manual_clock.now
    assert (actor.handled, actor.progress) == (0, began)
    manual_clock.now += 5
    actor.actor_ref.ask("hello", timeout=PATIENCE)
    actor.actor_ref.ask("hello", timeout=PATIENCE)
    assert actor.handled >= 1
    assert actor.progress == began + 5


def test_an_abandoned_actor_is_struck_off_and_ends_when_it_wakes(lone):
    gate, waiting = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        waiting.set()
        gate.wait(PATIENCE)

    actor = lone.start()
    lone.book.send("a", wait)
    lone.book.send("a", "left over")
    assert waiting.wait(PATIENCE)
    actor.abandon()
    assert lone.book.names() == ()
    assert pykka.ActorRegistry.get_all() == []
    assert lone.book.dead_letters == 1
    successor = lone.start()
    gate.set()
    exited = lone.exits.wait_count(1)[0]
    assert (exited.kind, exited.text) == (ExitKind.SHUTDOWN, "abandoned")
    assert lone.book.names() == ("a",)
    assert successor.actor_ref.ask("hello", timeout=PATIENCE) == "hello"
    actor.thread.join(PATIENCE)


def test_without_a_supervisor_commands_go_nowhere(lone):
    assert lone.context().command("anything") is False


def test_the_inbox_is_as_large_as_the_class_says(lone):
    class Small(Actor):
        inbox_limit = 3

        def receive(self, message: Any) -> None:
            message.wait(PATIENCE)

    gate = threading.Event()
    actor = lone.start(kind=Small)
    lone.book.send("a", gate)
    while actor.actor_inbox.length():
        gate.wait(0.001)
    assert [lone.book.send("a", gate) for _ in range(5)] == [True, True, True, False, False]
    assert (lone.book.overflows, lone.book.dead_letters) == (2, 0)
    gate.set()
