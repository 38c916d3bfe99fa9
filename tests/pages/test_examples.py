"""The examples for foreign clients run against the relay, over a cut, and the one for tests passes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from walk import Terminal

from backstay import Manager
from backstay.simulator import Simulator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SECONDS = 60.0
LOST = "1100 backstay: connection to the gateway lost (507, the gateway closed the socket); it is being restored"
BACK = "1102 backstay: connection to the gateway restored; settings and streams were put back"

pytestmark = pytest.mark.checkout


@pytest.fixture
def relay(tws_simulator: Simulator, tmp_path: Path) -> Iterator[int]:
    tree = {
        "gateways": {"paper": {"endpoints": ["{}:{}".format(*tws_simulator.address)]}},
        "relays": {"paper": {"gateway": "paper", "listen": "127.0.0.1:0"}},
        "journal": {"path": str(tmp_path / "backstay.db")},
        "http": {"enabled": False},
    }
    with Manager(tree) as manager:
        (door,) = manager.status().listeners
        yield int(door.listen.rpartition(":")[2])


@pytest.mark.parametrize("name", ["ib_async_quotes.py", "ibapi_quotes.py"])
def test_a_foreign_client_streams_over_a_cut(name, relay, tws_simulator, tmp_path):
    terminal = Terminal(tmp_path, os.environ)
    try:
        terminal.type(f"exec {sys.executable} {EXAMPLES / name} 127.0.0.1 {relay} 300")
        terminal.see("bid ...", SECONDS)
        tws_simulator.faults.eof()
        terminal.see(LOST, SECONDS)
        terminal.see(BACK, SECONDS)
        terminal.see("bid ...", SECONDS)
        assert "disconnected" not in terminal.lines
    finally:
        terminal.close(signal.SIGTERM)  # ibapi does not end at Ctrl-C


def test_the_tests_of_a_strategy_pass(tmp_path):
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-c",
            os.devnull,
            f"--rootdir={tmp_path}",
            EXAMPLES / "test_strategy.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "2 passed" in ended.stdout, ended.stdout
