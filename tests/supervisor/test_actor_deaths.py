"""Whatever leaves whichever hook: one `Exited` with the traceback, within a second, and nobody else is hurt."""

import threading
import time
import traceback
from typing import Any

import pykka
import pytest

from backstay.supervisor import actor as actor_module
from backstay.supervisor.actor import ERROR_LIMIT, TRACEBACK_LIMIT, Actor
from backstay.supervisor.book import NameTaken
from backstay.supervisor.messages import ExitKind, Hook

PATIENCE = 10.0
BAR_SECONDS = 1.0


class Odd(BaseException):
    """Neither an Exception nor one of the interpreter's own."""


KINDS = [RuntimeError, SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit, Odd]
MARK = "raised on purpose"


def raiser(kind: type[BaseException]) -> Any:
    def provoke(*_: Any) -> None:
        raise kind(MARK)

    return provoke


@pytest.fixture
def bystander(clean_house, monkeypatch):
    """A foreign actor of the same process that must not be stopped."""

    def stop_all(**_: Any) -> None:
        raise AssertionError("stop_all was called")

    ref = pykka.ThreadingActor.start()
    monkeypatch.setattr(pykka.ActorRegistry, "stop_all", stop_all)
    yield ref
    assert ref.is_alive()
    ref.stop(timeout=PATIENCE)


def in_begin(lone, kind):
    return lone.start(begin=raiser(kind))


def in_a_tell(lone, kind):
    actor = lone.start()
    lone.book.send("a", raiser(kind))
    return actor


def in_control(lone, kind):
    actor = lone.start()
    lone.book.urge("a", raiser(kind))
    return actor


def in_an_ask(lone, kind):
    actor = lone.start()
    future = actor.actor_ref.ask(raiser(kind), block=False)
    with pytest.raises(kind if issubclass(kind, Exception) else pykka.ActorDeadError):
        future.get(timeout=PATIENCE)
    return actor


def in_a_timer(lone, kind):
    return lone.start(begin=lambda actor: actor.after(0.001, raiser(kind)) and None)


def in_end(lone, kind):
    actor = lone.start(end=raiser(kind))
    lone.book.send("a", lambda actor: actor.leave())
    return actor


def in_end_after_a_crash(lone, kind):
    actor = lone.start(end=raiser(kind))
    lone.book.send("a", raiser(RuntimeError))
    return actor


def in_end_after_begin_failed(lone, kind):
    return lone.start(begin=raiser(RuntimeError), end=raiser(kind))


HOOKS = {
    in_begin: Hook.BEGIN,
    in_a_tell: Hook.RECEIVE,
    in_control: Hook.RECEIVE,
    in_an_ask: Hook.RECEIVE,
    in_a_timer: Hook.RECEIVE,
    in_end: Hook.END,
    in_end_after_a_crash: Hook.RECEIVE,
    in_end_after_begin_failed: Hook.BEGIN,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("provoke", HOOKS)
def test_every_exception_in_every_hook_is_reported_once(bystander, lone, provoke, kind):
    began = time.monotonic()
    actor = provoke(lone, kind)
    exited = lone.exits.wait_count(1)[0]
    took = time.monotonic() - began
    assert lone.exit_of(actor) is exited
    assert (exited.kind, exited.where) == (ExitKind.CRASH, HOOKS[provoke])
    assert MARK in exited.traceback_text
    assert kind.__name__ in exited.traceback_text
    assert "in provoke" in exited.traceback_text
    assert MARK in exited.error
    assert took <= BAR_SECONDS
    assert lone.book.names() == ()
    actor.thread.join(PATIENCE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constructor_that_fails_leaves_nothing_behind(bystander, lone, kind):
    class Broken(Actor):
        def __init__(self, context: Any) -> None:
            super().__init__(context)
            raise kind(MARK)

    with pytest.raises(kind):
        lone.start(kind=Broken)
    assert lone.book.names() == ()


def test_the_first_error_is_reported_and_that_of_end_is_added(lone):
    actor = lone.start(end=raiser(SystemExit))
    lone.book.send("a", raiser(ZeroDivisionError))
    exited = lone.exit_of(actor)
    assert exited.error.startswith("ZeroDivisionError")
    assert "Then end() failed" in exited.traceback_text
    assert "SystemExit" in exited.traceback_text


def test_the_message_at_hand_is_named(lone):
    actor = lone.start()
    lone.book.send("a", raiser(ValueError))
    assert lone.exit_of(actor).handling == "function"
    asked = lone.start("b")
    with pytest.raises(ValueError, match=MARK):
        asked.actor_ref.ask(raiser(ValueError), timeout=PATIENCE)
    assert lone.exit_of(asked).handling == "function"


def test_an_exception_that_cannot_be_told_is_still_reported(lone):
    class Mute(BaseException):
        def __str__(self) -> str:
            raise SystemExit("no words")

    actor = lone.start()
    lone.book.send("a", raiser(Mute))
    exited = lone.exit_of(actor)
    assert exited.kind is ExitKind.CRASH
    assert "Mute" in exited.error
    assert "Mute" in exited.traceback_text


def test_a_failure_that_leaves_no_memory_to_describe_it_is_still_reported(lone, monkeypatch):
    monkeypatch.setattr(traceback, "format_exception", raiser(MemoryError))
    actor = lone.start()
    lone.book.send("a", raiser(MemoryError))
    exited = lone.exit_of(actor)
    assert (exited.error, exited.traceback_text) == ("MemoryError", "MemoryError (no traceback could be made)")


def test_a_report_that_cannot_be_made_is_replaced_by_one_made_before(lone, monkeypatch):
    monkeypatch.setattr(actor_module, "replace", raiser(MemoryError))
    actor = lone.start()
    actor.dismiss()
    exited = lone.exit_of(actor)
    assert (exited.kind, exited.text) == (ExitKind.CRASH, "the actor's loop failed")


def test_endless_recursion_is_a_crash_like_others(lone):
    def deeper(actor: Any) -> None:
        deeper(actor)

    actor = lone.start()
    lone.book.send("a", deeper)
    exited = lone.exit_of(actor)
    assert exited.error.startswith("RecursionError")
    assert len(exited.traceback_text) <= TRACEBACK_LIMIT


def test_what_an_exception_says_is_kept_within_bounds(lone):
    def provoke(_: Any) -> None:
        raise RuntimeError("x" * 1_000_000)

    actor = lone.start()
    lone.book.send("a", provoke)
    exited = lone.exit_of(actor)
    assert len(exited.error) == ERROR_LIMIT
    assert len(exited.traceback_text) == TRACEBACK_LIMIT


def test_an_asker_who_answers_his_own_question_kills_nobody(lone):
    actor = lone.start()
    gate = lone.hold()
    future = actor.actor_ref.ask("question", block=False)
    future.set("own answer")
    gate.set()
    assert actor.actor_ref.ask("next", timeout=PATIENCE) == "next"
    assert future.get(timeout=0) == "own answer"


def test_a_failing_end_of_an_actor_that_was_told_to_stop_is_no_crash_but_is_told(lone):
    actor = lone.start(end=raiser(OSError))
    actor.dismiss("enough")
    exited = lone.exit_of(actor)
    assert (exited.kind, exited.where, exited.text) == (ExitKind.SHUTDOWN, Hook.END, "enough")
    assert MARK in exited.traceback_text


def test_what_breaks_by_the_interrupt_of_a_stop_is_part_of_that_stop(lone):
    broken, waiting = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        waiting.set()
        assert broken.wait(PATIENCE)
        raise OSError("the socket was shut")

    actor = lone.start(interrupt=broken.set)
    lone.book.send("a", wait)
    assert waiting.wait(PATIENCE)
    actor.dismiss()
    exited = lone.exit_of(actor)
    assert exited.kind is ExitKind.SHUTDOWN
    assert exited.error == "OSError: the socket was shut"


def test_an_interrupt_that_fails_is_told_to_the_log_and_nobody_else(lone):
    actor = lone.start(interrupt=raiser(SystemExit))
    assert lone.book.interrupt("a")
    assert lone.logged.events("interrupt_failed")[0]["path"] == "a"
    actor.dismiss()
    assert lone.exit_of(actor).kind is ExitKind.SHUTDOWN


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_done_is_set_even_if_the_report_fails(lone):
    context = lone.context(name="b")
    object.__setattr__(context, "report", raiser(RuntimeError))
    actor = lone.Scripted.start(context).actor
    actor.dismiss()
    assert actor.done.wait(PATIENCE)
    assert actor.ready.is_set()
    actor.thread.join(PATIENCE)


def test_a_name_that_is_taken_stops_the_start_and_leaves_the_owner_alone(lone):
    owner = lone.start()
    with pytest.raises(NameTaken):
        lone.start()
    assert pykka.ActorRegistry.get_all() == [owner.actor_ref]
    assert owner.actor_ref.ask("hello", timeout=PATIENCE) == "hello"


def test_a_thread_that_cannot_be_started_leaves_nothing_behind(lone, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", raiser(RuntimeError))
    with pytest.raises(RuntimeError):
        lone.start()
    assert lone.book.names() == ()
    assert pykka.ActorRegistry.get_all() == []


def race_with_death(lone: Any, rounds: int, act: Any, judge: Any) -> None:
    """Let two threads act on an actor while it is told to stop, and judge each round."""
    start, stop = threading.Barrier(3), threading.Barrier(3)
    state: dict[str, Any] = {}

    def run(place: int) -> None:
        for _ in range(rounds):
            start.wait(PATIENCE)
            state[place] = act(state["actor"])
            stop.wait(PATIENCE)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        actor = state["actor"] = lone.Scripted.start(lone.context()).actor
        start.wait(PATIENCE)
        actor.dismiss()
        stop.wait(PATIENCE)
        assert actor.done.wait(PATIENCE)
        judge(actor, state[0])
        judge(actor, state[1])
    for thread in threads:
        thread.join(PATIENCE)


@pytest.mark.parametrize("kind", KINDS)
def test_an_actor_that_can_not_bury_its_dead_ends_all_the_same_and_they_are_counted(lone, kind):
    class Careless(lone.Scripted):
        def bury(self, leftovers: list[Any]) -> list[Any]:
            raise kind(f"{MARK}: {leftovers}")

    actor = lone.start(kind=Careless)
    gate = lone.hold()
    assert lone.book.send("a", "left over")
    actor.dismiss()
    gate.set()
    assert lone.exit_of(actor).kind is ExitKind.SHUTDOWN
    assert lone.logged.events("bury_failed")[0]["path"] == "a"
    assert lone.book.dead_letters == 1


def test_asks_racing_with_death_are_all_answered(lone, fast_switching):
    fates = {"handled": 0, "refused": 0, "open": 0}

    def judge(_: Any, future: Any) -> None:
        try:
            assert future.get(timeout=1.0) == "question"
            fates["handled"] += 1
        except pykka.ActorDeadError:
            fates["refused"] += 1
        except pykka.Timeout:
            fates["open"] += 1

    race_with_death(lone, 1_500, lambda actor: actor.actor_ref.ask("question", block=False), judge)
    assert fates["open"] == 0
    assert fates["handled"] + fates["refused"] == 3_000


def test_messages_racing_with_death_are_handled_or_counted(lone, fast_switching):
    handled: list[Any] = []
    race_with_death(lone, 1_500, lambda _: lone.book.send("a", handled.append), lambda *_: None)
    assert len(handled) + lone.book.dead_letters == 3_000
