"""A newcomer: the quickstart as it stands there, in a clone of the last commit, with an environment of its own.

It is asked for by `--clean-clone`, since it installs everything anew. On a machine where something listens on the
ports of the page other ports are used, and that is said; with `BACKSTAY_CI` set it is a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from walk import Walk, blocks

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 300.0
INSTALLING_SECONDS = 200.0
FIRST_STEP = 2  # its command and what it shows
PORTS = {"7400": "BACKSTAY_RELAYS__SIMULATOR__LISTEN", "9464": "BACKSTAY_HTTP__LISTEN", "7401": ""}


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


def other_ports(walk: Walk, environ: dict[str, str]) -> None:
    for port, name in PORTS.items():
        with socket.create_server(("127.0.0.1", 0)) as server:
            walk.instead[port] = str(server.getsockname()[1])
        if name:
            environ[name] = f"127.0.0.1:{walk.instead[port]}"
    environ["BACKSTAY_CONTROL__SOCKET"] = str(walk.folder.parent / "control.sock")


def say(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{line}\n")


@pytest.mark.timeout(LIMIT_SECONDS + 60)
def test_a_newcomer_sees_a_cut_survived_within_five_minutes(tmp_path, capsys):
    assert shutil.which("git"), "the clone needs git"
    clone = tmp_path / "backstay"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    began = time.monotonic()
    environ = own_environment()
    walk = Walk(clone, environ, seconds=INSTALLING_SECONDS)
    taken = [port for port in PORTS if not is_free(int(port))]
    if taken:
        assert "BACKSTAY_CI" not in os.environ, f"something listens on port {', '.join(taken)}"
        say(f"not as written: other ports, since something listens on {', '.join(taken)}", capsys)
        other_ports(walk, environ)
    page = blocks(clone / "docs" / "quickstart.md")
    try:
        walk.follow(page[:FIRST_STEP])
        if taken:
            line = walk.terminal("Terminal 1").lines[-1]
            walk.instead["7401"] = re.findall(r"http://127\.0\.0\.1:(\d+)/faults", line)[0]
        walk.follow(page[FIRST_STEP:])
        assert "disconnected" not in walk.terminal("Terminal 2").lines
    finally:
        walk.close()
    seconds = time.monotonic() - began
    say(f"the quickstart took {seconds:.0f} s", capsys)
    assert seconds < LIMIT_SECONDS
