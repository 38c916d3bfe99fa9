"""A newcomer: the quickstart and the first page as they stand there, in a clean clone, with an environment of its own.

It is asked for by `--clean-clone`, since it installs everything anew. With `BACKSTAY_CI` set the ports are those of the
page, and it is a failure if something listens there. Else they are others, and that is said: on a machine with
neighbours a port that is free now may be taken when everything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from walk import Block, Walk, blocks

from backstay.simulator.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 300.0
INSTALLING_SECONDS = 200.0
FIRST_STEP = 2  # its command and what it shows
PORTS = ("7400", "9464", "7401")


def is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def own_environment() -> dict[str, str]:
    """What a newcomer's shell has: nothing of the make or the environment that runs this."""
    ours = ("BACKSTAY_", "MAKE", "MFLAGS", "PYTEST_", "PYTHON", "VENV", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def say(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{line}\n")


@pytest.fixture
def walk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Walk]:
    """Somebody in a clean clone."""
    assert shutil.which("git"), "the clone needs git"
    clone = tmp_path / "backstay"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    environ = own_environment()
    walk = Walk(clone, environ, seconds=INSTALLING_SECONDS)
    if "BACKSTAY_CI" in os.environ:
        taken = [port for port in PORTS if not is_free(int(port))]
        assert not taken, f"something listens on port {', '.join(taken)}"
    else:
        say(f"not as written: other ports than {', '.join(PORTS)}; those are for BACKSTAY_CI", capsys)
        walk.instead = {port: str(free_port()) for port in PORTS}
        environ["BACKSTAY_RELAYS__SIMULATOR__LISTEN"] = f"127.0.0.1:{walk.instead['7400']}"
        environ["BACKSTAY_HTTP__LISTEN"] = f"127.0.0.1:{walk.instead['9464']}"
        environ["BACKSTAY_CONTROL__SOCKET"] = str(tmp_path / "control.sock")
    try:
        yield walk
    finally:
        walk.close()


@pytest.mark.timeout(LIMIT_SECONDS + 60)
def test_a_newcomer_sees_a_cut_survived_within_five_minutes(walk, capsys):
    began = time.monotonic()
    page = blocks(walk.folder / "docs" / "quickstart.md")
    walk.follow(page[:FIRST_STEP])
    if walk.instead:
        line = walk.terminal("Terminal 1").lines[-1]
        walk.instead["7401"] = re.findall(r"http://127\.0\.0\.1:(\d+)/faults", line)[0]
    walk.follow(page[FIRST_STEP:])
    assert "disconnected" not in walk.terminal("Terminal 2").lines
    seconds = time.monotonic() - began
    say(f"the quickstart took {seconds:.0f} s", capsys)
    assert seconds < LIMIT_SECONDS


@pytest.mark.timeout(LIMIT_SECONDS)
def test_the_first_page_installs_checks_and_runs(walk):
    walk.environ.pop("BACKSTAY_RELAYS__SIMULATOR__LISTEN", None)  # this one has a relay in its file
    walk.environ["PATH"] = f"{walk.folder / 'own' / 'bin'}:{walk.environ['PATH']}"
    page = blocks(walk.folder / "README.md")
    (file,) = [block for block in page if "[gateways.paper]" in block.text and block.language == "toml"]
    (commands,) = [block for block in page if "pip install ." in block.text]
    install, check, run, status = commands.text.splitlines()
    walk.follow(
        [
            Block("toml", "backstay.toml", file.text),
            Block("console", "Terminal 1", f"python3 -m venv own\n{install}\n{check}\n"),
            Block("text", "Terminal 1", "backstay.toml: ok (1 gateway, 1 relay, 0 connections)\n"),
            Block("console", "Terminal 1", f"{run}\n"),
            Block("text", "Terminal 1", "backstay ... is ready: relay paper on 127.0.0.1:7400, ...\n"),
            Block("console", "Terminal 2", f"{status}\n"),
            Block("text", "Terminal 2", "relay paper on 127.0.0.1:7400 for paper: 0 clients\n"),
        ]
    )
