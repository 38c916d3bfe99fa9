"""What a cut has hidden of orders that a client sees without having placed them through backstay is told as well."""

from __future__ import annotations

from collections import Counter

from test_orders import await_status, place

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
