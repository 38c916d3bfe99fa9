"""An order that TWS proves not to work any more, without telling how it ended, is over for ib_async too."""

from backstay.config import Config
from backstay.manager import Manager
from backstay.simulator import Simulator

READY_SECONDS = 30.0
SETTLED_SECONDS = 60.0
CLIENT = 7
IN_DOUBT, OVER = 2165, 2162


def test_ib_async_is_done_with_an_order_of_which_it_is_proved_that_it_works_no_longer(tmp_path, start_foreign_client):
    with Simulator(server_version=178, tick_seconds=0.05, bar_seconds=0.2, pnl_seconds=0.2) as simulator:
        tree = {
            "gateways": {"simulated": {"endpoints": [f"127.0.0.1:{simulator.port}"]}},
            "relays": {"door": {"gateway": "simulated", "listen": "127.0.0.1:0"}},
            "orders": {"settle_seconds": 1.0},
            "journal": {"path": str(tmp_path / "journal.db")},
            "http": {"enabled": False},
            "backoff": {"base_seconds": 0.1, "cap_seconds": 0.5},
        }
        with Manager(Config.model_validate(tree)) as manager:
            client = start_foreign_client("ib_async_client.py", port=manager.address("door")[1], client_id=CLIENT)
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
