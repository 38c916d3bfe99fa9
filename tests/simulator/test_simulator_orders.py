"""Orders: their lives, their ids, who hears about them, and the faults that make them doubtful."""

import pytest

from backstay.simulator import Fills

pytestmark = pytest.mark.timeout(60)

ACCOUNT, TRANSMIT, PARENT, WHAT_IF = 22, 26, 27, 83
"""Where these stand in placeOrder at version 200, behind the message id."""

CANCEL_TAIL = ("", "", 2147483647)
"""What follows the order id in cancelOrder from version 192 on."""


def statuses(client, count):
    """The next order statuses as (order id, status)."""
    return [tuple(client.read(3)[1:3]) for _ in range(count)]


def open_ids(client, request=5):
    client.send(request, 1)
    return [int(row[1]) for row in client.rows(5, 53)]


def executions(client, request_id=20):
    client.send(7, 3, request_id, 0, "", "", "", "", "", "", 2147483647, 0)
    return [row for row in client.rows(11, 55) if row[1] == str(request_id)]


def test_a_market_order_fills_at_once_and_reports_everything(simulator, dial):
    client = dial(simulator).ready().place(1, kind="MKT", limit="")
    seen = [client.next() for _ in range(6)]
    assert [message[0] for message in seen] == ["5", "3", "11", "59", "5", "3"]
    assert [message[2] for message in seen if message[0] == "3"] == ["Submitted", "Filled"]
    assert seen[2][1:3] == ["-1", "1"], "a live fill has no request id"
    assert seen[2][14] == seen[3][2], "the commission report names the execution"


def test_orders_rest_when_nothing_fills_by_itself(tws_simulator_factory, dial):
    client = dial(tws_simulator_factory(fills=Fills.NONE)).ready().place(1, kind="MKT", limit="")
    assert statuses(client, 1) == [("1", "Submitted")]
    assert open_ids(client) == [1]


def test_a_fill_may_take_its_time(tws_simulator_factory, dial):
    client = dial(tws_simulator_factory(fill_seconds=0.05)).ready().place(1, kind="MKT", limit="")
    assert statuses(client, 1) == [("1", "Submitted")]
    assert open_ids(client) == [1]
    assert statuses(client, 1) == [("1", "Filled")]


def test_crossing_limits_fill_when_the_market_comes_to_them(tws_simulator_factory, dial):
    simulator = tws_simulator_factory(fills=Fills.CROSSING, tick_seconds=0.001)
    client = dial(simulator).ready()
    client.place(1, limit=191.0)
    assert statuses(client, 2) == [("1", "Submitted"), ("1", "Filled")]
    client.place(2, limit=189.9)
    assert statuses(client, 2) == [("2", "Submitted"), ("2", "Filled")]
    order = simulator.state()["orders"][1]
    assert order["filled"] == 10


def test_a_modification_keeps_the_order_and_counts_the_placement(simulator, dial):
    client = dial(simulator).ready().place(1).place(1, limit=101.5)
    assert statuses(client, 2) == [("1", "Submitted"), ("1", "Submitted")]
    order = simulator.state()["orders"]
    assert [(row["limit"], row["placements"]) for row in order] == [(101.5, 2)]


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ({"order_id": 5}, {"order_id": 4}, 103),
        ({"order_id": 5, "kind": "MKT"}, {"order_id": 5}, 104),
        ({"order_id": 5}, {"order_id": 5, "action": "SELL"}, 105),
        ({"order_id": 5}, {"order_id": 6, "quantity": 0}, 434),
        ({"order_id": 5}, {"order_id": 6, "limit": 100.001}, 110),
        ({"order_id": 5}, {"order_id": 6, "kind": "MAGIC"}, 387),
        ({"order_id": 5}, {"order_id": 6, "action": "HOLD"}, 321),
        ({"order_id": 5}, {"order_id": 6, "changes": {ACCOUNT: "DU999"}}, 321),
        ({"order_id": 5}, {"order_id": 6, "changes": {0: 6, 1: 1}}, 200),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_orders_that_break_a_rule_are_refused(simulator, dial, first, second, code):
    client = dial(simulator).ready()
    client.place(**first)
    client.read(3)
    client.place(**second)
    assert client.error(code)[0] == second["order_id"]


def test_an_order_out_of_step_is_unreadable(simulator, dial):
    client = dial(simulator).ready()
    client.send(3, 9, *[""] * 30)
    assert client.error(320)[0] == 9


def test_ids_rise_per_client_and_outlive_the_socket(simulator, dial):
    client = dial(simulator).ready(1).place(7)
    client.read(3)
    client.send(8, 1, 1)
    assert client.read(9)[2] == "8"
    client.close()
    assert dial(simulator).greet().start(2).read(9)[2] == "1"
    simulator.wait_for(lambda state: state["clients"]["1"]["sockets"] == 0)
    back = dial(simulator).greet().start(1)
    assert back.read(9)[2] == "8"
    assert open_ids(back) == [7]


def test_open_orders_may_be_pushed_before_the_session_is_ready(tws_simulator_factory, dial):
    simulator = tws_simulator_factory(push_open_orders=True)
    client = dial(simulator).ready(1).place(7)
    client.read(3)
    client.close()
    simulator.wait_for(lambda state: state["clients"]["1"]["sockets"] == 0)
    back = dial(simulator).greet().start(1)
    assert [back.next()[0] for _ in range(5)] == ["5", "3", "53", "15", "9"]


def test_a_cancel_is_confirmed_by_status_and_202(simulator, dial):
    client = dial(simulator).ready().place(1)
    client.read(3)
    client.send(4, 1, *CANCEL_TAIL)
    assert statuses(client, 1) == [("1", "Cancelled")]
    assert client.error(202)[0] == 1
    client.send(4, 1, *CANCEL_TAIL)
    assert client.error(10148)[0] == 1
    client.send(4, 2, *CANCEL_TAIL)
    assert client.error(10147)[0] == 2


def test_a_client_can_not_cancel_anothers_order_but_sees_it(simulator, dial):
    owner, other = dial(simulator).ready(1).place(4), dial(simulator).ready(2)
    owner.read(3)
    other.send(4, 4, *CANCEL_TAIL)
    assert other.error(10147)[0] == 4
    assert open_ids(other) == []
    assert open_ids(other, 16) == [4]


def test_a_global_cancel_takes_everybodys_orders(simulator, dial):
    one, two = dial(simulator).ready(1).place(1), dial(simulator).ready(2).place(1)
    one.read(3)
    two.read(3)
    one.send(58, "", 2147483647)
    assert statuses(one, 1) == statuses(two, 1) == [("1", "Cancelled")]


def test_children_wait_for_their_parent_and_fall_with_it(simulator, dial):
    client = dial(simulator).ready()
    client.place(1, changes={TRANSMIT: 0})  # transmit
    client.place(2, action="SELL", changes={TRANSMIT: 0, PARENT: 1})  # parent
    client.place(3, action="SELL", limit=120, changes={PARENT: 1})
    last = dict(statuses(client, 5))
    assert last == {"1": "Submitted", "2": "PreSubmitted", "3": "PreSubmitted"}
    simulator.faults.fill_order(client_id=1, order_id=1)
    assert dict(statuses(client, 3)) == {"1": "Filled", "2": "Submitted", "3": "Submitted"}
    simulator.faults.fill_order(client_id=1, order_id=2)
    assert dict(statuses(client, 2)) == {"2": "Filled", "3": "Cancelled"}


def test_a_partial_fill_leaves_the_rest(simulator, dial):
    client = dial(simulator).ready().place(1)
    client.read(3)
    simulator.faults.fill_order(client_id=1, order_id=1, quantity=4, price=99.5)
    status = client.read(3)
    assert status[2:6] == ["Submitted", "4", "6", "99.5"]
    assert len(executions(client)) == 1


def test_a_preview_books_nothing(simulator, dial):
    client = dial(simulator).ready()
    client.place(1, changes={WHAT_IF: 1})
    opened = client.read(5)
    assert "PreSubmitted" in opened
    assert simulator.state()["orders"] == []


def test_executions_are_filtered(simulator, dial):
    one, two = dial(simulator).ready(1), dial(simulator).ready(2)
    one.place(1, kind="MKT", limit="")
    two.place(1, kind="MKT", limit="", action="SELL")
    simulator.wait_for(lambda state: state["executions"] == 2)
    assert len(executions(one)) == 2
    one.send(7, 3, 21, 2, "", "", "AAPL", "STK", "", "SELL", 2147483647, 0)
    assert ["SLD" in row for row in one.rows(11, 55)] == [True]
    one.send(7, 3, 22, 0, "", "", "MSFT", "", "", "", 2147483647, 0)
    assert one.rows(11, 55) == []


def test_positions_and_accounts_follow_fills(simulator, dial):
    client = dial(simulator).ready()
    client.send(61, 1)
    client.send(6, 2, 1, "DU1234567")
    client.send(62, 1, 9, "All", "NetLiquidation")
    assert client.rows(61, 62) == []
    client.read(54)
    client.read(64)
    client.place(1, kind="MKT", limit="")
    assert client.read(7)[13] == "10"
    client.place(2, kind="MKT", limit="", action="SELL", quantity=15)
    assert client.read(7)[13] == "-5"


def test_client_0_binds_what_a_person_enters(simulator, dial):
    zero, other = dial(simulator).ready(0), dial(simulator).ready(1)
    simulator.faults.manual_order(symbol="AAPL", limit=100)
    assert open_ids(zero) == [-1]
    assert open_ids(other, 16) == [-1]
    zero.send(15, 1, 1)
    other.send(15, 1, 1)
    assert other.error(327)[0] == -1
    simulator.faults.manual_order(symbol="MSFT", limit=100)
    assert zero.read(100)[2:] == ["0", "-2"]
    assert zero.read(5)[1] == "-2"
    zero.send(4, -2, *CANCEL_TAIL)
    assert statuses(zero, 2)[-1] == ("-2", "Cancelled")


def test_the_master_client_hears_of_everybodys_orders(tws_simulator_factory, dial):
    simulator = tws_simulator_factory(master_client_id=99)
    master, client = dial(simulator).ready(99), dial(simulator).ready(1)
    client.place(1, kind="MKT", limit="")
    assert master.read(11)[2] == "1"
    assert master.read(59)
    assert statuses(master, 1) == [("1", "Filled")]


def test_a_lost_order_is_never_known(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.lose_orders(count=1)
    client.place(1)
    assert client.silent(0.1)
    assert open_ids(client) == []
    client.place(1)
    assert statuses(client, 1) == [("1", "Submitted")]
    assert simulator.state()["orders"][0]["placements"] == 1


def test_an_order_whose_answers_are_lost_is_there(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.lose_orders(count=1, where="answer")
    client.place(1)
    assert client.silent(0.1)
    assert open_ids(client) == [1]


def test_the_socket_may_end_with_the_order(simulator, dial):
    client = dial(simulator).ready(1)
    simulator.faults.lose_orders(count=1, where="answer", then_eof=True)
    client.place(1)
    assert client.ended() == "eof"
    back = dial(simulator).ready(1)
    assert open_ids(back) == [1]


def test_what_ended_on_an_earlier_day_is_listed_no_more_and_known_all_the_same(simulator, dial):
    client = dial(simulator).ready().place(1).place(2)
    assert statuses(client, 2) == [("1", "Submitted"), ("2", "Submitted")]
    simulator.faults.fill_order(1, 1)
    simulator.faults.next_day()
    client.send(99, 0)
    assert client.rows(101, 102) == []
    assert executions(client, 77) == []
    client.send(4, 1, *CANCEL_TAIL)
    assert client.error(10148)[1].endswith("state: Filled.")
    assert open_ids(client) == [2]


def test_orders_wait_while_ib_is_away(simulator, dial):
    client = dial(simulator).ready().place(1)
    client.read(3)
    simulator.faults.upstream_lost()
    client.place(2, kind="MKT", limit="")
    client.send(4, 1, *CANCEL_TAIL)
    assert statuses(client, 2) == [("2", "PendingSubmit"), ("1", "PendingCancel")]
    simulator.faults.upstream_restored()
    assert set(statuses(client, 3)) == {("1", "Cancelled"), ("2", "Submitted"), ("2", "Filled")}


def test_orders_can_be_rejected_on_command(simulator, dial):
    client = dial(simulator).ready()
    simulator.faults.reject_orders(count=1, code=201, text="Order rejected - reason:no money")
    client.place(1)
    assert client.error(201) == (1, "Order rejected - reason:no money")
    assert simulator.state()["orders"] == []


def test_completed_orders_are_shown_with_their_end(simulator, dial):
    client = dial(simulator).ready().place(1, kind="MKT", limit="").place(2)
    client.send(4, 2, *CANCEL_TAIL)
    client.send(99, 0)
    rows = client.rows(101, 102)
    assert [row[-9] for row in rows] == ["Filled Size: 10", "Cancelled by Trader"]


def test_exercising_an_option_is_refused(simulator, dial):
    client = dial(simulator).ready()
    client.send(21, 2, 5, 700123456, *[""] * 9, 1, 1, "DU1234567", 0, "", "", 0)
    assert client.error(322)[0] == 5
