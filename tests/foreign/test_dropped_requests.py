"""All that a client asks right on nextValidId, while TWS drops whatever it is asked: each is answered, each once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.config import load
from backstay.manager import Manager
from backstay.simulator import Simulator

HERE = Path(__file__).parent
IBAPI, IB_ASYNC = "ibapi_asker.py", "ib_async_asker.py"
SPARE_SECONDS = 60.0  # the waits grow up to 20 s, and the machine may be busy
DUPLICATE = {102, 322}
FLOWING = {
    "tickPrice",
    "tickSize",
    "tickString",
    "tickGeneric",
    "tickReqParams",
    "marketDataType",
    "currentTime",
    "error",
}
FLOWING |= {"updateMktDepth", "realtimeBar", "tickByTickBidAsk", "pnl", "tickOptionComputation", "updateAccountTime"}
FLOWING |= {"priceSizeTick", "updateAccountValue", "updatePortfolio", "accountSummary", "managedAccounts"}
"""How often these come depends on the time; of streams the first is awaited."""

CONFIGURATION = """
[gateways.simulated]
endpoints = ["127.0.0.1:{port}"]
[relays.door]
gateway = "simulated"
listen = "127.0.0.1:0"
[journal]
path = "journal.db"
[http]
enabled = false
[control]
socket = "control.sock"
"""


def asked_on(port: int, seconds: float, program: str) -> dict:
    ended = subprocess.run(
        [sys.executable, HERE / program, str(port), "7", str(seconds)],
        capture_output=True,
        text=True,
        timeout=seconds + SPARE_SECONDS,
        check=True,
    )
    return json.loads(ended.stdout.splitlines()[-1])


def day_of_ib_async(port: int) -> dict:
    """It connects within 20 s or fails; all it fetches while connecting is dropped."""
    program = HERE.parent / "simulator" / "simulator_ib_async_client.py"
    command = [sys.executable, program, str(port), "7"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=2 * SPARE_SECONDS, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


def answers(seen: dict) -> dict:
    return {name: counts for name, counts in seen["counts"].items() if name not in FLOWING}


@pytest.mark.timeout(0)  # every wait is bounded by itself, and --dropped may ask for long ones
@pytest.mark.parametrize(("program", "version"), [(IBAPI, 176), (IBAPI, 200), (IBAPI, 226), (IB_ASYNC, 178)])
def test_whatever_is_asked_while_requests_are_dropped_is_answered_once(program, version, tmp_path, pytestconfig):
    with Simulator(server_version=version, tick_seconds=0.05, bar_seconds=0.2, pnl_seconds=0.2) as simulator:
        undisturbed = asked_on(simulator.port, SPARE_SECONDS, program)
        assert undisturbed["missing"] == []
        path = tmp_path / "backstay.toml"
        path.write_text(CONFIGURATION.format(port=simulator.port), encoding="utf-8")
        for dropped in map(float, pytestconfig.getoption("dropped").split(",")):
            simulator.faults.drop_requests(dropped)
            with Manager(load(path, {})) as manager:
                seen = asked_on(manager.address("door")[1], dropped + SPARE_SECONDS, program)
            assert seen["missing"] == [], f"after {dropped} s without an answer"
            assert answers(seen) == answers(undisturbed), f"after {dropped} s without an answer"
            assert not DUPLICATE & {code for _, code in seen["codes"]}


@pytest.mark.timeout(4 * SPARE_SECONDS)
def test_what_ib_async_fetches_while_requests_are_dropped_leaves_its_day_as_it_is_without(tmp_path):
    days = []
    path = tmp_path / "backstay.toml"
    for drops in (False, True):
        with Simulator(server_version=178, tick_seconds=0.02, bar_seconds=0.05, pnl_seconds=0.05) as simulator:
            if not drops:
                days.append(day_of_ib_async(simulator.port))
                continue
            simulator.faults.drop_requests(1.0)
            path.write_text(CONFIGURATION.format(port=simulator.port), encoding="utf-8")
            with Manager(load(path, {})) as manager:
                days.append(day_of_ib_async(manager.address("door")[1]))
    assert days[0] == days[1]
