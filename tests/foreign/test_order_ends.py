"""An order that TWS proves not to work any more is over for foreign clients too, however little it tells of the end."""

import pytest

from backstay.config import Config
from backstay.manager import Manager
from backstay.simulator import Simulator

READY_SECONDS = 30.0
SETTLED_SECONDS = 60.0
CLIENT = 7
LOST, IN_DOUBT, OVER, TOO_LATE = 1100, 2165, 2162, 10148


@pytest.fixture
def simulator():
    with Simulator(server_version=178, tick_seconds=0.05, bar_seconds=0.2, pnl_seconds=0.2) as running:
        yield running


@pytest.fixture
def door(simulator, tmp_path):
    """Port of a relay before the simulator."""
    tree = {
        "gateways": {"simulated": {"endpoints": [f"127.0.0.1:{simulator.port}"]}},
        "relays": {"door": {"gateway": "simulated", "listen": "127.0.0.1:0"}},
        "orders": {"settle_seconds": 1.0},
        "journal": {"path": str(tmp_path / "journal.db")},
        "http": {"enabled": False},
        "backoff": {"base_seconds": 0.1, "cap_seconds": 0.5},
    }
    with Manager(Config.model_validate(tree)) as manager:
        yield manager.address("door")[1]


def test_ib_async_is_done_with_an_order_of_which_it_is_proved_that_it_works_no_longer(
    simulator, door, start_foreign_client
):
    client = start_foreign_client("ib_async_client.py", port=door, client_id=CLIENT)
    client.expect("ready", READY_SECONDS)
    simulator.faults.lose_orders(2)  # what was changed may have been carried out: its absence proves less
    client.do("order and change")
    placed = client.expect("placed", READY_SECONDS)["id"]
    simulator.wait_for(lambda state: state["clients"][str(CLIENT)]["requests"].get("placeOrder") == 2)
    simulator.faults.eof()
    doubt = client.expect("error", SETTLED_SECONDS, id=placed, code=IN_DOUBT)
    over = client.expect("error", SETTLED_SECONDS, id=placed, code=OVER, after=doubt["index"])
    end = client.expect("order", READY_SECONDS, id=placed, status="Inactive", after=over["index"])
    assert end["done"]
    assert not any(one["done"] for one in client.all("order", id=placed) if one["index"] < over["index"])
    assert simulator.state()["orders"] == []


ENDS = {"Filled": "fill_order", "Cancelled": "cancel_order"}


@pytest.mark.parametrize(("program", "end"), [("ib_async_client.py", "Filled"), ("ibapi_client.py", "Cancelled")])
def test_an_order_that_ended_on_an_earlier_day_ended_as_the_answer_to_its_cancel_says(
    simulator, door, start_foreign_client, *, program, end
):
    client = start_foreign_client(program, port=door, client_id=CLIENT)
    client.expect("ready", READY_SECONDS)
    client.do("order")
    placed = client.expect("placed", READY_SECONDS)["id"]
    client.expect("order", READY_SECONDS, id=placed, status="Submitted")
    simulator.faults.refuse()
    simulator.faults.eof()
    lost = client.expect("error", READY_SECONDS, code=LOST)
    getattr(simulator.faults, ENDS[end])(CLIENT, placed)
    simulator.faults.next_day()
    client.do("cancel")
    simulator.faults.accept()
    refused = client.expect("error", SETTLED_SECONDS, id=placed, code=TOO_LATE, after=lost["index"])
    told = client.expect("order", SETTLED_SECONDS, id=placed, status=end, after=lost["index"])
    assert told.get("done", True)
    assert refused["text"].endswith(f"state: {end}.")
    assert not client.all("error", id=placed, code=OVER)
