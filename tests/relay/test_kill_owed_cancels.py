"""`backstay run` is killed outright while cancels wait for the gateway, or for its answer: the next life sends them."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lives import CLIENT, CONFIGURATION, PATIENCE, Daemon, Piece
from trader import CANCELLED, FILLED, LIVE, cancel, limit_order

from backstay.simulator import Simulator
from backstay.simulator.records import Event


@pytest.fixture
def simulator():
    with Simulator(server_version=200) as running:
        yield running


@pytest.fixture
def piece(simulator, tmp_path):
    text = CONFIGURATION.format(port=simulator.port, durability="process", rate=1000)
    (tmp_path / "backstay.toml").write_text(text, encoding="utf-8")
    made = Piece(tmp_path, simulator, random.Random(1))
    yield made
    made.trader.close()


@contextmanager
def living(piece: Piece) -> Iterator[None]:
    """A life with the client connected, to its kill."""
    daemon = Daemon(piece.folder, signal.SIGKILL)
    try:
        assert piece.trader.connect(daemon.address())
        yield
    finally:
        daemon.bury()


def place(piece: Piece, count: int) -> None:
    """So many orders, from id 1 on, that rest."""
    for order_id in range(1, count + 1):
        piece.trader.send(limit_order(order_id, ref=f"r{order_id}"))
    believed(piece, dict.fromkeys(range(1, count + 1), LIVE))


def believed(piece: Piece, fates: dict[int, str]) -> None:
    trader = piece.trader
    trader.wait_for(lambda: all(trader.heard.get(key) == fate for key, fate in fates.items()), str(fates))


def test_a_cancel_that_waited_for_the_gateway_leaves_in_the_next_life_unless_its_order_is_over(piece, simulator):
    arrived: list[int | None] = []

    def note(event: Event) -> None:
        if event.kind == "request" and event.name == "cancelOrder":
            arrived.append(event.key)

    with living(piece):
        place(piece, 2)
        simulator.faults.refuse()
        simulator.faults.eof()
        simulator.wait_for(lambda state: not state["sockets"]["open"], PATIENCE)
        piece.trader.send(cancel(1) + cancel(2))
        piece.until(lambda: piece.owed_cancels() == {1, 2})
    simulator.faults.fill_order(CLIENT, 2)
    simulator.events.append(note)
    simulator.faults.accept()
    with living(piece):
        believed(piece, {1: CANCELLED, 2: FILLED})
        piece.trader.send(limit_order(3, ref="r3"))
        believed(piece, {3: LIVE})
        piece.until(lambda: piece.owed_cancels() == set())
    assert arrived == [1]


def test_a_cancel_that_tws_has_not_answered_when_the_kill_comes_is_sent_again(piece, simulator):
    with living(piece):
        place(piece, 1)
        simulator.faults.drop_requests(PATIENCE)
        piece.trader.send(cancel(1))
        simulator.wait_for(lambda state: state["clients"][str(CLIENT)]["requests"].get("cancelOrder"), PATIENCE)
        piece.until(lambda: piece.owed_cancels() == {1})
    simulator.faults.drop_requests(0.0)
    with living(piece):
        believed(piece, {1: CANCELLED})
