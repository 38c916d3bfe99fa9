"""Gateways that stand in for one another, over real sockets."""

from __future__ import annotations

from backstay.simulator import Simulator


def test_a_client_goes_on_at_the_second_gateway_when_the_first_is_gone(build, simulator):
    with Simulator() as other:
        addresses = [f"{host}:{port}" for host, port in (simulator.address, other.address)]
        house = build(simulator.address, gateways={"paper": {"endpoints": addresses}})
        client = house.client().connect(7)
        client.market_data(11)
        client.expect(1, 11)
        assert "7" not in other.state()["clients"]
        simulator.faults.refuse()
        simulator.faults.eof()
        client.expect_error(1100)
        client.expect_error(1102)
        client.expect(1, 11)
        (connection,) = house.manager.status().connections
        assert connection.endpoint == addresses[1]
        assert connection.client_id == 7
        simulator.faults.accept()
        other.faults.refuse()
        other.faults.eof()
        client.expect_error(1102)
        client.expect(1, 11)
        house.wait(lambda status: status.connections[0].endpoint == addresses[0])
