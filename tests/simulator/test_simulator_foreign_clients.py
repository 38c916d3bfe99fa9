"""Unmodified clients of others, each in a process of its own, accept the simulator as a TWS."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAM_SECONDS = 60

pytestmark = pytest.mark.timeout(120)


def run(program, simulator, client_id):
    """Run a client program to its end and return the JSON object it prints."""
    ended = subprocess.run(
        [sys.executable, HERE / program, str(simulator.port), str(client_id)],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr + simulator.errors[0] if simulator.errors else ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize("version", [100, 145, 176, 189, 193, 200, 206, 213, 226])
def test_the_official_client_understands_every_answer(tws_simulator_factory, version):
    simulator = tws_simulator_factory(server_version=version, tick_seconds=0.02, bar_seconds=0.05, pnl_seconds=0.05)
    seen = run("simulator_ibapi_client.py", simulator, 7)
    assert seen["version"] == version
    assert seen["warnings"] == []
    assert seen["refusals"] == []
    assert seen["details"][:4] == [265598, "APPLE INC", 0.01, "US/Eastern"]
    assert seen["history"][0] == 24
    assert seen["orders"]["differences"] == []
    assert seen["orders"]["filled"] == ["10", "0", 7]
    assert seen["orders"]["execution"] == ["BOT", "10", "first", 7, 1]
    assert seen["orders"]["preview"] == ["PreSubmitted", 1.0, True]
    assert seen["orders"]["algo"] == ["adaptivePriority=Normal;"]
    assert len(seen["orders"]["conditions"]) == (2 if version >= 102 else 0)
    assert seen["orders"]["legs"] == [[265598, "BUY"], [272093, "SELL"]]
    assert seen["accounts"] == {
        "tags": ["NetLiquidation", "TotalCashValue"],
        "position": ["AAPL", "10"],
        "portfolio": ["AAPL", "10"],
        "executions": 1,
    }


@pytest.mark.parametrize("version", [157, 176, 178])
def test_ib_async_does_a_days_work(tws_simulator_factory, version):
    simulator = tws_simulator_factory(server_version=version, tick_seconds=0.02, bar_seconds=0.05, pnl_seconds=0.05)
    seen = run("simulator_ib_async_client.py", simulator, 5)
    assert seen["version"] == version
    assert seen["warnings"] == []
    assert seen["details"] == [265598, "NASDAQ", "APPLE INC", 0.01, "COMMON", 1, 2, 0.01, []]
    assert seen["quotes"] == [True, 1, 0.01, "9c0001", True]
    assert seen["history"][0] == 24
    assert seen["history"][3:] == [9, 5, 11]
    assert seen["orders"] == {
        "market": ["Filled", 10.0, "first"],
        "fill": ["BOT", 10.0, 5],
        "open": [101.0],
        "limit": "Cancelled",
        "preview": ["PreSubmitted", 1.0, True],
        "bracket": ["Submitted", "PreSubmitted", "PreSubmitted"],
        "completed": ["Cancelled"] * 4 + ["Filled"],
        "executions": 1,
    }
    assert seen["accounts"] == {
        "accounts": ["DU1234567"],
        "summary": ["BuyingPower", "NetLiquidation"],
        "values": ["BuyingPower", "NetLiquidation"],
        "position": ["AAPL", 10.0, 10.0],
    }
