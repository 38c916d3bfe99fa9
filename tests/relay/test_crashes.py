"""A bug in one actor: the supervisor mends it, the client's socket stays, its streams come back."""

from __future__ import annotations

import pytest

from backstay.actors.connector import Connector
from backstay.protocol.framing import Splitter
from backstay.session.client_words import ClientAsked
from backstay.session.core import Core
from backstay.session.sieve import Sieve
from backstay.session.vocabulary import Write


class Bomb:
    """Raises once when armed, in whatever thread calls it; otherwise does what it replaces."""

    def __init__(self, monkeypatch, owner, name, *, when=lambda *_: True):
        self.original = getattr(owner, name)
        self.armed: BaseException | None = None
        self.when = when
        bomb = self

        def wrapped(this, *args, **kwargs):
            if bomb.armed is not None and bomb.when(*args):
                error, bomb.armed = bomb.armed, None
                raise error
            return bomb.original(this, *args, **kwargs)

        monkeypatch.setattr(owner, name, wrapped)


ERRORS = [
    ValueError("x"),
    RuntimeError("x"),
    OSError("x"),
    MemoryError(),
    RecursionError(),
    KeyError("x"),
    UnicodeDecodeError("ascii", b"x", 0, 1, "x"),
    AssertionError(),
    StopIteration(),
    SystemExit(1),
    KeyboardInterrupt(),
    GeneratorExit(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_reader_that_dies_of_anything_is_a_lost_connection_and_comes_back(build, simulator, monkeypatch, error):
    house = build(simulator.address, pulse={"idle_seconds": 10.0})
    client = house.client().connect(7)
    client.market_data(11)
    client.expect(1, 11)
    house.wait_state("ready")
    bomb = Bomb(monkeypatch, Splitter, "push")
    monkeypatch.setattr("backstay.relay.intake.Splitter", Splitter)
    bomb.armed = error
    client.expect_error(1100, -1)
    client.expect_error(1102, -1)
    client.expect(1, 11)
    assert house.told("connection_lost")[0]["cause"] == "reader_died"
    crash = next(entry for entry in house.told("child_exited") if entry["id"] == "reader" and entry["kind"] == "crash")
    assert type(error).__name__ in crash["traceback"]


CRASHES = {
    "dispatcher": (Sieve, "sift", lambda *_: True),
    "connector": (Connector, "_write", lambda message: isinstance(message, Write)),
    "session": (Core, "step", lambda event, *_: isinstance(event, ClientAsked)),
}


@pytest.mark.parametrize("actor", CRASHES)
def test_a_crashed_actor_is_replaced_while_the_client_keeps_its_socket(build, simulator, monkeypatch, actor):
    house = build(simulator.address, pulse={"idle_seconds": 10.0})
    client = house.client().connect(7)
    client.market_data(11)
    client.expect(1, 11)
    house.wait_state("ready")
    owner, name, when = CRASHES[actor]
    bomb = Bomb(monkeypatch, owner, name, when=when)
    bomb.armed = RuntimeError("a bug")
    client.send(59, 1, 1)
    client.expect_error(1102, -1)
    client.expect(1, 11)
    exits = [(entry["id"], entry["kind"]) for entry in house.told("child_exited")]
    assert (actor, "crash") in exits
    assert ("intake", "crash") not in exits
    assert ("writer", "crash") not in exits
    assert simulator.state()["clients"]["7"]["sockets_max"] == 1
