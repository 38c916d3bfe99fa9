"""The quickstart is typed through with what is installed here, on ports of its own; silence is judged sooner."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from walk import Block, Walk, blocks, expectation

from backstay.simulator.ports import free_port

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "quickstart.md"
BIN = Path(sys.executable).parent
FIRST_STEP = 2  # its command and what it shows

pytestmark = pytest.mark.checkout


def test_the_quickstart_and_the_page_about_nights_do_what_they_say(tmp_path):
    relay, http = free_port(), free_port()
    socket_path = tmp_path / "c.sock"
    environ = {
        **os.environ,
        "BACKSTAY_RELAYS__SIMULATOR__LISTEN": f"127.0.0.1:{relay}",
        "BACKSTAY_HTTP__LISTEN": f"127.0.0.1:{http}",
        "BACKSTAY_CONTROL__SOCKET": str(socket_path),
        "BACKSTAY_PULSE__IDLE_SECONDS": "0.5",
        "BACKSTAY_PULSE__PROBE_SECONDS": "1.5",
    }
    page = blocks(PAGE)
    assert {block.title for block in page} == {"Terminal 1", "Terminal 2", "Terminal 3", "quotes.py"}
    walk = Walk(tmp_path, environ)
    walk.instead = {
        "make run": f"{BIN}/backstay run --simulator",
        ".venv/bin/pip install ib_async": ":",  # it is in the group of the tests
        ".venv/bin/": f"{BIN}/",
        "7400": str(relay),
        "9464": str(http),
    }
    try:
        walk.follow(page[:FIRST_STEP])
        (line,) = [line for line in walk.terminal("Terminal 1").lines if "is ready" in line]
        where = re.search(r"http://127\.0\.0\.1:(\d+)/faults", line)
        assert where, line
        walk.instead["7401"] = where[1]
        walk.follow(page[FIRST_STEP:])
        assert "disconnected" not in walk.terminal("Terminal 2").lines
        told = "\n".join(walk.terminal("Terminal 3").lines)
        assert "connection_lost" in told
        assert "simulator/1 on gateway simulator" in told
        walk.follow([block for block in blocks(DOCS / "night.md") if block.title])
        assert "disconnected" not in walk.terminal("Terminal 2").lines
    finally:
        walk.close()
    assert "disconnected" in walk.terminal("Terminal 2").lines or walk.terminals["Terminal 2"].shell.returncode


def test_what_is_not_shown_is_missed(tmp_path):
    walk = Walk(tmp_path, os.environ, seconds=5.0)
    try:
        walk.follow([Block("console", "Terminal 1", "echo 1100 lost\n"), Block("text", "Terminal 1", "1100 lost\n")])
        walk.follow([Block("console", "Terminal 1", "exit\n")])
        with pytest.raises(AssertionError, match="1102 back"):
            walk.follow([Block("text", "Terminal 1", "1102 back\n")])
    finally:
        walk.close()


def test_prices_may_differ_and_codes_may_not():
    assert expectation("bid 205.46 ask 205.5").fullmatch("bid 31.2 ask 31.25")
    assert expectation("NAME   STATE").fullmatch("NAME  STATE")
    assert expectation("on 127.0.0.1:7400, ...").fullmatch("on 127.0.0.1:7400, and so on")
    assert not expectation("on 127.0.0.1:7400").fullmatch("on 127.0.0.2:7400")
    assert not expectation("1100 lost").fullmatch("1102 lost")
