"""What is told of orders is told once, also where an actor dies between what is given to a client and what is noted."""

from __future__ import annotations

import pytest
from test_crashes import Bomb
from test_orders import LIVE, await_status, place

from backstay.actors.dispatcher import Dispatcher, SessionOverflowError
from backstay.protocol.messages import message_id, response_key
from backstay.session.vocabulary import Noted

EXECUTION, OPEN_ORDER, STATUS = 11, 5, 3


def of_a_fill(noted: Noted, *_: object) -> bool:
    return any(number == EXECUTION for number, *_ in noted.frames)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), SessionOverflowError("Noted")])
def test_a_fill_that_the_client_was_given_as_its_dispatcher_died_is_not_given_again(
    build, simulator, monkeypatch, error
):
    house = build(simulator.address)
    client = house.client().connect(7)
    place(client, 1)
    await_status(client, 1, *LIVE)
    bomb = Bomb(monkeypatch, Dispatcher, "_note", when=of_a_fill)
    bomb.armed = error
    simulator.faults.fill_order(7, 1)
    client.expect(EXECUTION, -1)
    client.expect_error(1102, -1)
    assert bomb.armed is None
    place(client, 2)
    await_status(client, 2, *LIVE)  # it leaves when all has been listed
    assert client.count(EXECUTION) == 1


def words_of(client, order_id: int) -> list[int]:
    """Which of openOrder and orderStatus it was told of an order."""
    told = [payload for payload in client.seen if message_id(payload, client.version) in (OPEN_ORDER, STATUS)]
    ours = [payload for payload in told if response_key(payload, client.version) == order_id]
    return [message_id(payload, client.version) for payload in ours]


def test_of_the_lists_behind_a_cut_a_client_is_told_what_is_new_once(build, simulator):
    house = build(simulator.address)
    client = house.client().connect(7)
    place(client, 1)
    await_status(client, 1, *LIVE)
    client.seen.clear()
    simulator.faults.lose_orders(1, where="answer", then_eof=True)
    place(client, 2)
    client.expect_error(2165, 2)
    client.expect_error(1102, -1)
    place(client, 3)
    await_status(client, 3, *LIVE)  # it leaves when all has been listed
    assert words_of(client, 1) == []
    assert words_of(client, 2) == [OPEN_ORDER, STATUS]
