"""An actor dies between what the client is given and what the session notes of it: nothing is told twice."""

from __future__ import annotations

import pytest
from test_crashes import Bomb
from test_orders import LIVE, await_status, place

from backstay.actors.dispatcher import Dispatcher, SessionOverflowError
from backstay.session.vocabulary import Noted

EXECUTION = 11


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
