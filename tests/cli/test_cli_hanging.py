"""Commands are answered while every actor of a connection hangs in a callback; parts are restarted one by one."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from backstay.actors.connector import Connector
from backstay.actors.dispatcher import Dispatcher
from backstay.actors.session import Session
from backstay.control.client import ControlClient

PATIENCE = 30.0
ANSWER_SECONDS = 0.1
HUNG = ("session", "dispatcher", "connector")


class Trap:
    """A message that an actor hangs on until it is released."""

    def __init__(self, monkeypatch) -> None:
        self.gate = threading.Event()
        self.reached = threading.Semaphore(0)
        for kind in (Session, Dispatcher, Connector):
            monkeypatch.setattr(kind, "receive", self._hanging(kind.receive))

    def _hanging(self, original: Any) -> Any:
        def receive(actor: Any, message: Any) -> Any:
            if message is self:
                self.reached.release()
                return self.gate.wait(PATIENCE)
            return original(actor, message)

        return receive


@pytest.fixture
def trap(monkeypatch):
    made = Trap(monkeypatch)  # before the daemon starts: an actor looks its `receive` up once
    yield made
    made.gate.set()


def test_every_question_is_answered_while_every_actor_of_a_connection_hangs(trap, place):
    root = place.daemon.manager.root
    for name in HUNG:
        assert root.book.inner("one").urge(name, trap)
        assert trap.reached.acquire(timeout=PATIENCE)
    for words in (("status",), ("tree",), ("events",), ("requests", "one"), ("orders", "one"), ("dump",)):
        assert place.run(*words)[0] in (0, 3), words
    assert "one" in place.run("explain", "one")[1]
    code, told = place.json("tree")
    assert code == 0
    assert told["tree"]["name"] == "root"
    assert place.run("restart", "two")[0] == 0
    assert place.run("restart", "one", "--no-wait")[0] == 0
    trap.gate.set()


def test_an_answer_takes_no_tenth_of_a_second_meanwhile(trap, place):
    root, client = place.daemon.manager.root, ControlClient(place.configured[-1].control.socket)
    for name in HUNG:
        assert root.book.inner("one").urge(name, trap)
        assert trap.reached.acquire(timeout=PATIENCE)
    asking = (client.status, *(functools.partial(client.command, name, {}) for name in ("tree", "events", "dump")))
    for name in ("explain", "requests", "orders"):
        asking += (functools.partial(client.command, name, {"name": "one"}),)
    for ask in asking:
        assert any(seconds_of(ask) < ANSWER_SECONDS for _ in range(20)), ask  # one that hung would be late each time
    trap.gate.set()


def seconds_of(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def budgets(node):
    found = [(node["budget"]["restarts_left"], node["budget"]["restarts_allowed"])] if "budget" in node else []
    return found + [one for child in node["children"] for one in budgets(child)]


@pytest.mark.parametrize("part", ["reader", "dispatcher", "session", "link"])
def test_a_part_of_a_connection_is_restarted_and_waited_for_and_that_costs_nothing(place, part):
    before, live = place.row("one"), place.daemon.manager._find("one")
    counted = dict(live.meter.disconnects)
    code, told = place.json("restart", "one", "--part", part)
    assert (code, told["results"][0]["ok"], told["results"][0]["state"]) == (0, True, "ready")
    after = place.row("one")
    assert after.epoch > before.epoch
    assert after.restarts == before.restarts == 0
    assert live.meter.disconnects == {**counted, "operator": counted["operator"] + 1}
    assert not live.charge.attempts
    events = [one for one in place.json("events")[1]["events"] if one.get("connection") == "one"]
    names = [one["event"] for one in events]
    (command,) = (one for one in events if one["event"] == "operator_command")
    assert command["command"] == f"restart {part}"
    (lost,) = (one for one in events if one["event"] == "connection_lost")
    assert (lost["cause"], lost["detail"]) == ("operator", f"restart of its {part}")
    assert "retry_planned" not in names
    assert "1 ordered restart" in place.run("tree")[1]
    tree = place.json("tree")[1]["tree"]
    assert budgets(tree)
    assert all(left == allowed for left, allowed in budgets(tree)), tree


@pytest.mark.parametrize("part", ["session", "reader"])
def test_a_reset_gives_back_the_restarts_that_crashes_have_used_up(place, part):
    book, epoch = place.daemon.manager.root.book.inner("one"), place.row("one").epoch
    assert book.urge(part, object()), "what no actor knows"
    assert place.daemon.manager.wait_until(lambda _: place.row("one").restarts > 0, PATIENCE)
    assert place.daemon.manager.wait_until(lambda _: place.row("one").epoch > epoch, PATIENCE)
    place.until("ready", "one")
    assert any(left < allowed for left, allowed in budgets(place.json("tree")[1]["tree"]))
    assert place.run("reset", "one")[0] == 0
    until_full(place)


def until_full(place):
    """Whoever counts them hears of it a moment later."""
    pause = threading.Event()
    for _ in range(100):
        tree = place.json("tree")[1]["tree"]
        if all(left == allowed for left, allowed in budgets(tree)):
            return
        pause.wait(0.05)
    pytest.fail(str(tree))


def test_a_part_that_hangs_is_replaced_by_its_restart(trap, place):
    root = place.daemon.manager.root
    assert root.book.inner("one").urge("dispatcher", trap)
    assert trap.reached.acquire(timeout=PATIENCE)
    code, out, _ = place.run("restart", "one", "--part", "dispatcher")
    assert code == 0
    assert out.startswith("one: restarted (ready")
    assert root.tally.threads_abandoned == 1
    trap.gate.set()


def test_a_part_that_is_none_is_a_wrong_use(place):
    code, _, err = place.run("restart", "one", "--part", "engine")
    assert code == 2
    assert "part must be one of session, dispatcher, link, reader" in err
