"""An actor that hangs is named, replaced, and fenced: what it does when it comes back to itself counts for nothing."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pykka
import pytest

from backstay.actors.connector import Connector
from backstay.protocol.framing import Splitter
from backstay.relay.outlet import Outlet
from backstay.session.client_words import ClientAsked
from backstay.session.core import Core
from backstay.session.sieve import Sieve
from backstay.session.vocabulary import Write
from backstay.supervisor import watchdog as watchdog_module

PATIENCE = 15.0


@pytest.fixture(autouse=True)
def quick_watchdog(monkeypatch):
    """Looks often; a second is still far more than any handler takes."""
    method = watchdog_module.Watchdog.__init__
    quick = {**method.__kwdefaults__, "limit_seconds": 1.0, "period_seconds": 0.1}
    monkeypatch.setattr(method, "__kwdefaults__", quick)


class Hang:
    """Hangs once when armed, in whatever thread calls it, until it is released; otherwise does what it replaces."""

    def __init__(self, monkeypatch, owner, name, *, when=lambda *_: True) -> None:
        self.original = getattr(owner, name)
        self.armed = False
        self.gate = threading.Event()
        self.reached = threading.Event()
        self.threads: list[threading.Thread] = []
        hang = self

        def hanging(*args: Any, **options: Any) -> Any:
            if hang.armed and when(*args):
                hang.armed = False
                hang.threads.append(threading.current_thread())
                hang.reached.set()
                hang.gate.wait(PATIENCE)
            return hang.original(*args, **options)

        monkeypatch.setattr(owner, name, hanging)

    def release(self) -> None:
        self.gate.set()
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


PLACES = {
    "session": (Core, "step", lambda _core, event, *_: isinstance(event, ClientAsked)),
    "dispatcher": (Sieve, "sift", lambda *_: True),
    "connector": (Connector, "_write", lambda _actor, message: isinstance(message, Write)),
    "reader": (Splitter, "push", lambda *_: threading.current_thread().name.endswith("/reader")),
}


def troubles(client) -> list[tuple[int, int]]:
    """Errors that are not just TWS's word that its farms work."""
    return [(key, code) for key, code in client.errors() if code not in (2104, 2106, 2158)]


def abandoned(house) -> int:
    return house.manager.root.tally.threads_abandoned


@pytest.mark.parametrize("actor", PLACES)
def test_an_actor_that_hangs_is_replaced_while_the_client_keeps_its_socket(build, simulator, monkeypatch, actor):
    house = build(simulator.address, pulse={"idle_seconds": 60.0})
    client = house.client().connect(7)
    client.market_data(11)
    client.expect(1, 11)
    house.wait_state("ready")
    owner, name, when = PLACES[actor]
    hang = Hang(monkeypatch, owner, name, when=when)
    hang.armed = True
    client.send(59, 1, 1)
    assert hang.reached.wait(PATIENCE)
    client.expect_error(1100, -1)
    client.expect_error(1102, -1)
    client.expect(1, 11)
    stuck = house.told("actor_stuck")
    assert [entry["path"].rpartition("/")[2] for entry in stuck] == [actor]
    assert "in hanging" in stuck[0]["traceback"]
    assert abandoned(house) == 1
    exits = [entry["id"] for entry in house.told("child_exited") if entry["kind"] == "crash"]
    assert exits == [actor]

    house.wait_state("ready")
    epoch = house.manager.status().connections[0].epoch
    hang.release()
    client.send(59, 1, 1)
    client.seen.clear()
    client.expect(1, 11)
    client.expect(1, 11)
    assert troubles(client) == []
    status = house.manager.status().connections[0]
    assert (status.state, status.epoch) == ("ready", epoch)
    assert simulator.state()["clients"]["7"]["sockets_max"] == 1


def test_a_name_server_that_never_answers_costs_a_thread_and_not_the_connection(build, simulator, monkeypatch):
    def is_dial(*_: object) -> bool:
        return threading.current_thread().name.endswith("/connector")

    hang = Hang(monkeypatch, socket, "getaddrinfo", when=is_dial)
    hang.armed = True
    house = build(simulator.address, lifecycle={"dial_seconds": 1.0})
    client = house.client().connect(7)
    house.wait_state("ready")
    assert [entry["path"].rpartition("/")[2] for entry in house.told("actor_stuck")] == ["connector"]
    hang.release()
    client.market_data(11)
    client.expect(1, 11)
    assert troubles(client) == []
    assert simulator.state()["clients"]["7"]["sockets_max"] == 1


@pytest.mark.parametrize(
    ("actor", "owner", "name"), [("intake", Splitter, "push"), ("writer", Outlet, "pump")], ids=["intake", "writer"]
)
def test_what_holds_a_clients_socket_and_hangs_ends_that_client_and_frees_its_id(
    build, simulator, monkeypatch, actor, owner, name
):
    house = build(simulator.address)
    other, client = house.client().connect(6), house.client().connect(7)
    house.wait_state("ready", "ready")
    hang = Hang(monkeypatch, owner, name, when=lambda *_: threading.current_thread().name.endswith(f":2/{actor}"))
    hang.armed = True
    if actor == "writer":
        writer = next(one for one in house.manager.root.actors() if one.context.path.endswith(":2/writer"))
        writer.turns += 1  # as if it did not wait for the socket
        writer._outlet._filled.set()
    else:
        client.send(59, 1, 1)
    assert hang.reached.wait(PATIENCE)
    client.expect_closed()
    house.wait(lambda status: [one.client_id for one in status.connections] == [6])
    again = house.client().connect(7)
    hang.release()
    again.market_data(11)
    again.expect(1, 11)
    other.market_data(12)
    other.expect(1, 12)
    assert troubles(again) == troubles(other) == []


def test_everything_that_hangs_at_once_is_seen_named_and_replaced(build, simulator, monkeypatch):
    house = build(simulator.address, pulse={"idle_seconds": 60.0})
    good = house.client().connect(6)
    client = house.client().connect(7)
    client.market_data(11)
    client.expect(1, 11)
    house.wait_state("ready", "ready")

    def in_the_second(when: Any) -> Any:
        return lambda *args: ":2/" in threading.current_thread().name and when(*args)

    hangs = [
        Hang(monkeypatch, owner, name, when=in_the_second(when))
        for actor, (owner, name, when) in PLACES.items()
        if actor != "session"  # which is needed to make the connector write
    ]
    session = Hang(
        monkeypatch, Core, "step", when=in_the_second(lambda _core, event, *_: isinstance(event, ClientAsked))
    )
    for hang in hangs:
        hang.armed = True
    client.send(59, 1, 1)
    for hang in hangs[1:]:
        assert hang.reached.wait(PATIENCE)
    session.armed = True
    client.send(59, 1, 1)
    assert session.reached.wait(PATIENCE)
    status = house.manager.status()
    assert {one.client_id for one in status.connections} == {6, 7}
    assert house.manager.tree() is not None
    good.market_data(12)
    good.expect(1, 12)
    client.expect_error(1102, -1)
    client.expect(1, 11)
    assert {entry["path"].rpartition("/")[2] for entry in house.told("actor_stuck")} >= {"session"}
    for hang in (*hangs, session):
        hang.armed = False
        hang.release()
    house.wait(lambda status: all(one.state == "ready" for one in status.connections))


def test_a_foreign_stop_of_all_actors_ends_a_house_cleanly_and_nothing_comes_back(build, simulator):
    for _ in range(5):
        house = build(simulator.address, connections={"keeper": {"gateway": "paper", "client_id": 900}})
        client = house.client().connect(7)
        client.market_data(11)
        client.expect(1, 11)
        root = house.manager.root
        pykka.ActorRegistry.stop_all(timeout=PATIENCE)
        assert root.wait_empty(PATIENCE)
        client.expect_closed()
        assert pykka.ActorRegistry.get_all() == []
        assert root.exited.kind.value == "foreign"
        assert root.tally.restarts == 0
        assert house.manager.stop()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("root")]
        simulator.wait_for(lambda state: all(one["sockets"] == 0 for one in state["clients"].values()))
