"""Configurations on the pages are good ones, and the programs on them run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from walk import Terminal, blocks

from backstay import load
from backstay.simulator import Simulator
from backstay.simulator.ports import free_port

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "```toml" in page.read_text(encoding="utf-8"))
BIN = Path(sys.executable).parent
SECONDS = 60.0

pytestmark = pytest.mark.checkout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configurations_on_the_page_are_good(page, tmp_path):
    for block in blocks(page):
        if block.language == "toml":
            file = tmp_path / "backstay.toml"
            whole = "" if "[gateways." in block.text else REST
            file.write_text(whole + block.text.replace("scrypt$16384$8$1$...", PASSWORD), encoding="utf-8")
            for name in ("chain.pem", "key.pem"):
                (tmp_path / name).touch()
            load(file, {})


PASSWORD = "scrypt$16384$8$1$" + "A" * 22 + "==$" + "A" * 43 + "="
"""In the place of the hash that a page leaves out."""

REST = """
gateways.paper.endpoints = ["127.0.0.1:4002"]
connections.keeper = { gateway = "paper", client_id = 1 }
"""
"""In front of a page's block about one section alone."""


def test_the_program_that_asks_whether_orders_may_go_out_runs(tws_simulator: Simulator, tmp_path):
    (program,) = [block.text for block in blocks(DOCS / "howto.md") if block.language == "python"]
    http = free_port()
    (tmp_path / "backstay.toml").write_text(
        f"""
gateways.paper.endpoints = ["127.0.0.1:{tws_simulator.port}"]
connections.keeper = {{ gateway = "paper", client_id = 1 }}
http.listen = "127.0.0.1:{http}"
""",
        encoding="utf-8",
    )
    (tmp_path / "ask.py").write_text(program.replace("9464", str(http)).replace("paper/1", "keeper"), encoding="utf-8")
    daemon, asking = Terminal(tmp_path, os.environ), Terminal(tmp_path, os.environ)
    try:
        daemon.type(f"exec {BIN}/backstay run")
        daemon.see("backstay ... is ready: ...", SECONDS)
        asking.type(f"{BIN}/backstay resume keeper && {BIN}/python ask.py")
        asking.see("keeper is ready", SECONDS)
        asking.type(f"{BIN}/backstay pause keeper --yes && {BIN}/python ask.py")
        asking.see("keeper is paused", SECONDS)
    finally:
        asking.close()
        daemon.close()
