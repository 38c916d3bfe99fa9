"""The first page does what it says: its script runs against `backstay run --simulator`."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
START_SECONDS = 30.0  # two processes and a session on a busy machine
STOP_SECONDS = 15.0
SCRIPT_SECONDS = 60.0

pytestmark = pytest.mark.skipif(not README.is_file(), reason="reads the README; these tests run without it")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def script_of_the_readme() -> str:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (script,) = [block for block in blocks if "ib_async" in block]
    return script


@pytest.fixture
def relay_port(tmp_path: Path) -> Iterator[int]:
    """Port of a relay before a simulated TWS; as ``make run`` starts it, but for its ports and its folder."""
    port = free_port()
    environ = {
        **os.environ,
        "BACKSTAY_RELAYS__SIMULATOR__LISTEN": f"127.0.0.1:{port}",
        "BACKSTAY_HTTP__LISTEN": f"127.0.0.1:{free_port()}",
    }
    command = [str(Path(sys.executable).with_name("backstay")), "run", "--simulator"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stdout is not None
            watch = threading.Timer(START_SECONDS, daemon.kill)
            watch.start()
            line = daemon.stdout.readline()
            watch.cancel()
            watch.join()
            assert str(port) in line, f"no line about being ready: {line!r}"
            yield port
            daemon.terminate()
            assert daemon.wait(STOP_SECONDS) == 0
        finally:
            daemon.kill()


def test_the_script_sees_quotes_and_its_order_rests(relay_port: int):
    script = script_of_the_readme()
    assert "7400" in script
    ended = subprocess.run(
        [sys.executable, "-c", script.replace("7400", str(relay_port))],
        capture_output=True,
        text=True,
        timeout=SCRIPT_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    quotes, order = ended.stdout.splitlines()
    bid, ask = re.fullmatch(r"bid ([\d.]+) ask ([\d.]+)", quotes).groups()
    assert 0 < float(bid) < float(ask)
    assert order == "order Submitted"
