"""A client that restarts quickly finds its connection kept, and nothing of its former life on it."""

from __future__ import annotations

from backstay.protocol.framing import text

LINGER = {"paper": {"linger_seconds": 30.0}}


def test_a_client_that_returns_in_time_gets_the_connection_that_was_kept(build, simulator):
    house = build(simulator.address, relays=LINGER)
    first = house.client().connect(7)
    first.market_data(11)
    first.expect(1, 11)
    first.close()
    simulator.wait_for(lambda state: not state["clients"]["7"]["subscriptions"])
    house.wait_state("ready")
    second = house.client()
    second.greet()
    second.start(7)
    second.expect(15)
    second.expect(9)
    second.market_data(11)
    second.expect(1, 11)
    house.wait_state("ready")
    state = simulator.state()["clients"]["7"]
    assert (state["connects"], state["sockets_max"]) == (1, 1)
    assert not {code for _, code in second.errors()} & {102, 300, 322, 326}


def test_a_client_that_returns_while_the_gateway_is_away_is_told_so(build, simulator):
    house = build(simulator.address, relays=LINGER)
    house.client().connect(7).close()
    house.wait(lambda _status: bool(house.told("client_away")))
    simulator.faults.refuse()
    simulator.faults.eof()
    house.wait(lambda status: status.connections[0].state == "waiting")
    second = house.client()
    second.greet()
    second.start(7)
    second.expect_error(1100)
    simulator.faults.accept()
    second.expect_error(1102)
    second.expect(9)


def test_nobody_comes_back_and_the_connection_ends(build, simulator):
    house = build(simulator.address, relays={"paper": {"linger_seconds": 0.05}})
    house.client().connect(7).close()
    house.wait(lambda status: not status.connections)
    house.client().connect(7)


def test_a_client_of_another_version_does_not_get_the_kept_connection_but_its_id(build, simulator):
    house = build(simulator.address, relays=LINGER)
    house.client().connect(7, b"v100..178").close()
    house.wait(lambda _status: bool(house.told("client_away")))
    second = house.client()
    assert second.greet(b"v100..200") == 200
    second.sock.sendall(text(71, 2, 7, ""))
    second.expect(9)


def test_a_stop_does_not_wait_for_clients_that_may_return(build, simulator):
    house = build(simulator.address, relays=LINGER)
    house.client().connect(7).close()
    house.wait(lambda _status: bool(house.told("client_away")))
    assert house.manager.stop(5.0)
