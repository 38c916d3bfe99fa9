"""What the pages and examples show is run against the simulated TWS, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0

pytestmark = pytest.mark.checkout


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def run(*command: str, folder: Path) -> list[str]:
    environ = {**os.environ, "PYTHONWARNINGS": "error"}
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr
    return ended.stdout.splitlines()


def test_the_page_about_the_library_runs_from_its_first_line_to_its_last(simulator, tmp_path):
    program = "".join(blocks("docs/library.md")).replace("127.0.0.1:4002", "{}:{}".format(*simulator.address))
    said = run("-c", program, folder=tmp_path)
    assert said[0] == "ready 200"
    assert "TWS: 200" in said
    assert said[-1].startswith("(265598, ")


def test_the_first_page_shows_the_library_as_it_is(simulator, tmp_path):
    (program,) = [block for block in blocks("README.md") if "import backstay" in block]
    said = run("-c", program.replace("127.0.0.1:4002", "{}:{}".format(*simulator.address)), folder=tmp_path)
    assert float(said[-1].split()[1]) > 0


def test_the_example_of_quotes_tells_of_a_gap(simulator, tmp_path):
    endpoint = "{}:{}".format(*simulator.address)
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "watch_quotes.py"), endpoint, "6"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        simulator.wait_for(lambda state: state["clients"]["11"]["subscriptions"], timeout=SECONDS)
        simulator.faults.eof()
        said = program.communicate(timeout=SECONDS)[0].splitlines()
    assert program.returncode == 0
    assert "gap: eof (507)" in said
    assert any(line.startswith("resumed after") for line in said)
    assert any(line.startswith("bid ") for line in said)


def test_the_example_of_orders_places_and_cancels(simulator, tmp_path):
    endpoint = "{}:{}".format(*simulator.address)
    said = run(str(ROOT / "examples" / "place_order.py"), endpoint, folder=tmp_path)
    assert said == ["order 1 Submitted", "order 1 Cancelled"]
