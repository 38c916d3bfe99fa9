"""What a cut has hidden of orders that a client sees without having placed them through backstay is told as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from test_orders import await_status, place
from translated import PROTOBUF, TEXT, Translated

from backstay.simulator import Simulator


def test_fills_of_others_before_within_and_after_a_cut_reach_the_master_once(build):
    with Simulator(server_version=200, tick_seconds=0.02, master_client_id=5) as simulator:
        house = build(simulator.address)
        owner, master = house.client().connect(7), house.client().connect(5)
        house.wait_state("ready", "ready")
        place(owner, 1, quantity=100)
        await_status(owner, 1, "Submitted")
        await_status(master, 1, "Submitted")
        simulator.faults.fill_order(7, 1, quantity=10)
        master.expect(59)
        simulator.faults.refuse()
        simulator.faults.eof()
        simulator.faults.fill_order(7, 1, quantity=20)
        simulator.faults.accept()
        owner.expect_error(1102)
        master.expect_error(1102)
        simulator.faults.fill_order(7, 1, quantity=70)
        for client in (owner, master):
            while client.count(59) < 3:
                client.next_frame()
            fills = Counter(payload.split(b"\0")[14] for payload in client.seen if payload.startswith(b"11\0"))
            assert len(fills) == 3
            assert set(fills.values()) == {1}


@pytest.mark.parametrize("version", [TEXT, PROTOBUF])
def test_a_master_that_is_known_hears_what_its_first_cut_has_hidden_of_others(build, version):
    """In text it is named by the configuration, in protobuf the gateway tells; it has seen nothing of others before."""
    with Simulator(server_version=version, tick_seconds=0.02, master_client_id=5) as simulator:
        named = {} if version == PROTOBUF else {"gateways": {"paper": {"master_client_id": 5}}}
        house = build(simulator.address, **named)
        if version == PROTOBUF:
            house.over = Translated
        owner = house.client().connect(7)
        for order_id in (1, 2):
            place(owner, order_id, quantity=100)
            await_status(owner, order_id, "Submitted")
        master = house.client().connect(5)
        house.wait_state("ready", "ready")
        if version == PROTOBUF:
            assert house.wait_told("gateway_told")["master"] == 5
        assert (master.count(3), master.count(11)) == (0, 0)
        cut(simulator, lambda: simulator.faults.fill_order(7, 1, quantity=30))
        await_status(master, 2, "Submitted")
        assert master.expect(11)[1] == b"1"
        master.expect(59)

        def end() -> None:
            simulator.faults.fill_order(7, 1, quantity=70)
            simulator.faults.cancel_order(7, 2)

        cut(simulator, end)
        master.expect_error(1100)
        wanted = {(b"1", b"Filled", b"100"), (b"2", b"Cancelled", b"0")}
        while wanted:
            order_id, status, filled, *_ = master.expect(3)
            wanted.discard((order_id, status, filled))
        assert master.count(11) == 2


def cut(simulator: Simulator, meanwhile: Callable[[], object]) -> None:
    simulator.faults.refuse()
    simulator.faults.eof()
    meanwhile()
    simulator.faults.accept()


def test_ends_of_orders_that_were_placed_before_backstay_was_there_are_told(build, simulator):
    house = build(simulator.address)
    client = house.client()
    before = type(client)(simulator.address).connect(7)  # not through the relay
    for order_id in (1, 2):
        place(before, order_id)
        await_status(before, order_id, "Submitted")
    before.close()
    simulator.wait_for(lambda state: state["clients"]["7"]["state"] == "closed")
    client.connect(7)
    client.send(5, 1)
    client.expect(53)
    simulator.faults.refuse()
    simulator.faults.eof()
    simulator.faults.fill_order(7, 1)
    simulator.faults.cancel_order(7, 2)
    simulator.faults.accept()
    wanted = {(b"1", b"Filled"), (b"2", b"Cancelled")}
    while wanted:
        order_id, status, *_ = client.expect(3)
        wanted.discard((order_id, status))
    assert client.count(11) == 1
