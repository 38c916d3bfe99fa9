"""The first page does what it says: each of its blocks is run, by a test here or by the one named for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from walk import Block, Terminal, Walk, blocks

from backstay.simulator import Simulator
from backstay.simulator.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BIN = Path(sys.executable).parent
SECONDS = 60.0

pytestmark = pytest.mark.checkout

RUN_BY = {
    "make run": "test_both_commands_are_run_by_what_a_change_has_to_pass",
    "from ib_async": "test_the_script_sees_quotes_and_its_order_rests",
    "/faults/eof\ncurl": "test_each_fault_is_taken",
    "import backstay": "tests/library/test_library_pages.py",
    "[gateways.paper]": "test_a_configuration_of_ones_own_is_checked_and_run",
    "backstay check backstay.toml": "test_a_configuration_of_ones_own_is_checked_and_run",
    "def test_my_client": "test_the_tests_of_somebody_elses_client_pass",
}
"""What is in a block, and who runs it."""


def block(part: str) -> Block:
    (found,) = [one for one in blocks(README) if part in one.text]
    return found


def test_every_block_is_run_by_somebody():
    runners = [[RUN_BY[part] for part in RUN_BY if part in one.text] for one in blocks(README)]
    assert all(len(found) == 1 for found in runners), runners
    here = Path(__file__).read_text(encoding="utf-8")
    assert all(f"def {name}(" in here or (ROOT / name).is_file() for (name,) in runners)


def test_both_commands_are_run_by_what_a_change_has_to_pass():
    commands = [line.partition("#")[0].strip() for line in block("make run").text.splitlines()]
    assert commands == ["make run", "make test"]
    assert blocks(ROOT / "docs" / "quickstart.md")[0].text == "make run\n"  # typed through in a clean clone
    stages = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "from_make clean-clone\n" in stages
    assert "from_make test\n" in stages


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Ports of a relay before a simulated TWS and of its faults; as `make run` starts it, but for ports and folder."""
    port = free_port()
    environ = {
        **os.environ,
        "BACKSTAY_RELAYS__SIMULATOR__LISTEN": f"127.0.0.1:{port}",
        "BACKSTAY_HTTP__LISTEN": f"127.0.0.1:{free_port()}",
    }
    terminal = Terminal(tmp_path, environ)
    try:
        terminal.type(f"exec {BIN}/backstay run --simulator 2>log")
        line = terminal.see(f"backstay ... is ready: relay simulator on 127.0.0.1:{port}, ...", SECONDS)[0]
        yield port, int(re.findall(r"http://127\.0\.0\.1:(\d+)/faults", line)[0])
    finally:
        terminal.close()
    assert terminal.shell.returncode == 0


def test_the_script_sees_quotes_and_its_order_rests(ready: tuple[int, int]):
    script = block("from ib_async").text
    assert "7400" in script
    ended = subprocess.run(
        [sys.executable, "-c", script.replace("7400", str(ready[0]))],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    quotes, order = ended.stdout.splitlines()
    bid, ask = re.fullmatch(r"bid ([\d.]+) ask ([\d.]+)", quotes).groups()
    assert 0 < float(bid) < float(ask)
    assert order == "order Submitted"


def test_each_fault_is_taken(ready: tuple[int, int], tmp_path: Path):
    commands = block("/faults/eof\ncurl").text.replace("7401", str(ready[1])).splitlines()
    assert len(commands) == 3
    for command in commands:
        said = subprocess.run(command.split(), capture_output=True, text=True, timeout=SECONDS, check=True)
        assert said.stdout == '{"ok": true}'


def test_a_configuration_of_ones_own_is_checked_and_run(tws_simulator: Simulator, tmp_path: Path):
    relay, http = free_port(), free_port()
    walk = Walk(tmp_path, {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"})
    walk.environ["BACKSTAY_HTTP__LISTEN"] = f"127.0.0.1:{http}"
    walk.instead = {"127.0.0.1:4002": "{}:{}".format(*tws_simulator.address), "7400": str(relay)}
    (tmp_path / "backstay.toml").write_text(walk.replaced(block("[gateways.paper]").text), encoding="utf-8")
    install, check, run, status = block("backstay check").text.splitlines()
    assert install == "pip install ."  # typed in a clean clone
    try:
        walk.follow(
            [
                Block("console", "Terminal 1", f"{check}\n"),
                Block("text", "Terminal 1", "backstay.toml: ok (1 gateway, 1 relay, 0 connections)\n"),
                Block("console", "Terminal 1", f"{run}\n"),
                Block("text", "Terminal 1", "backstay ... is ready: relay paper on 127.0.0.1:7400, ...\n"),
                Block("console", "Terminal 2", f"{status}\n"),
                Block("text", "Terminal 2", "relay paper on 127.0.0.1:7400 for paper: 0 clients\n"),
            ]
        )
    finally:
        walk.close()


MY_CLIENT = """
import backstay


class MyClient:
    def __init__(self, host, port, client_id):
        self.manager = backstay.Manager({
            "gateways": {"here": {"endpoints": [f"{host}:{port}"]}},
            "connections": {"mine": {"gateway": "here", "client_id": client_id}},
            "http": {"enabled": False},
        })

    def __enter__(self):
        self.manager.start()

    def __exit__(self, *_):
        self.manager.stop()
"""


def test_the_tests_of_somebody_elses_client_pass(tmp_path: Path):
    (tmp_path / "my_client.py").write_text(MY_CLIENT, encoding="utf-8")
    (tmp_path / "test_mine.py").write_text(block("def test_my_client").text, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout
