"""An application on the official ibapi that cancels two hundred orders and closes its socket behind the last."""

import subprocess
import sys
from pathlib import Path

import pytest

from backstay.config import Config
from backstay.manager import Manager
from backstay.simulator import Simulator

PROGRAM = Path(__file__).parent / "ibapi_leaver.py"
CLIENT, ORDERS = 7, 200
PATIENCE = 60.0


@pytest.mark.parametrize("version", [200, 226])
def test_what_ibapi_cancels_before_it_closes_its_socket_is_cancelled(version, tmp_path):
    with Simulator(server_version=version) as simulator:
        tree = {
            "gateways": {"simulated": {"endpoints": [f"127.0.0.1:{simulator.port}"]}},
            "relays": {"door": {"gateway": "simulated", "listen": "127.0.0.1:0"}},
            "pacing": {"messages_per_second": 1000},
            "journal": {"path": str(tmp_path / "journal.db"), "durability": "process"},
            "http": {"enabled": False},
        }
        with Manager(Config.model_validate(tree)) as manager:
            port = manager.address("door")[1]
            command = [sys.executable, str(PROGRAM), str(port), str(CLIENT), str(ORDERS)]
            subprocess.run(command, check=True, timeout=2 * PATIENCE)
            manager.wait_until(lambda status: not status.connections, PATIENCE)
        seen = simulator.wait_for(lambda state: not state["sockets"]["open"], PATIENCE)
    cancelled = [order["order_id"] for order in seen["orders"] if order["status"] == "Cancelled"]
    first = min(order["order_id"] for order in seen["orders"])
    assert cancelled == list(range(first, first + len(cancelled)))
    # What its own system still holds when it closes is lost there: a dozen on a busy machine, not the half.
    assert len(cancelled) > ORDERS // 2
