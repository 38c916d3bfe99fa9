"""Nobody but the owner gets at the control socket, and nobody takes the word of somebody else's."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from backstay.control import client as client_module
from backstay.control import server as server_module
from backstay.control.client import ControlClient, NotPermittedError, is_trusted, peer_uid
from backstay.control.server import ControlServer
from backstay.control.unix_socket import Peer, claim

STRANGER = 65534
STRANGER_ASKS = """
import os, sys
from backstay.control.client import ControlClient, ControlError
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
try:
    ControlClient({path!r}).command("restart", {{"name": "x"}})
except ControlError as error:
    print(error); sys.exit(int(error.exit))
"""


class Desk:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def status(self) -> Mapping[str, object]:
        return {"schema": 1}

    def handler(self, name: str):
        def handle(*_: object) -> Mapping[str, object]:
            self.asked.append(name)
            return {}

        return handle


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may look into, unlike pytest's own."""
    found = Path(tempfile.mkdtemp(dir="/tmp"))  # nobody else can get into the usual one
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


@pytest.fixture
def desk(folder: Path) -> Iterator[Desk]:
    found = Desk()
    server = ControlServer(folder / "b.sock", found)
    server.start()
    yield found
    assert server.stop()


def test_the_mode_is_ours_before_anybody_can_get_in_whatever_the_umask(folder, monkeypatch):
    seen: list[int] = []
    listen = socket.socket.listen

    def look(self: socket.socket, *backlog: int) -> None:
        seen.append(stat.S_IMODE((folder / "b.sock").lstat().st_mode))
        listen(self, *backlog)

    monkeypatch.setattr(socket.socket, "listen", look)
    before = os.umask(0)
    try:
        claim(folder / "b.sock").close()
    finally:
        os.umask(before)
    assert seen == [0o600]


@pytest.mark.parametrize("mode", [0o600, 0o666], ids=["as made", "opened to all"])
def test_another_user_is_refused_even_when_somebody_has_opened_the_mode(desk, folder, mode, monkeypatch):
    (folder / "b.sock").chmod(mode)
    if os.getuid() == 0:
        program = STRANGER_ASKS.format(uid=STRANGER, path=str(folder / "b.sock"))
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode, ended.stderr) == (6, ""), ended.stdout
        assert "Permission" in ended.stdout or "not permitted" in ended.stdout or "may not" in ended.stdout
    else:  # only root can be somebody else: the daemon is made to see one
        peer = Peer(1, STRANGER, STRANGER)
        monkeypatch.setattr(server_module, "peer_of", lambda _: peer)
        with pytest.raises(NotPermittedError, match=f"user {STRANGER} may not command this daemon"):
            ControlClient(folder / "b.sock").command("restart", {"name": "x"})
    assert desk.asked == []


@pytest.mark.parametrize("path", ["status", "command"])
def test_whoever_the_kernel_calls_a_stranger_gets_nothing_at_all(desk, folder, path, monkeypatch):
    monkeypatch.setattr(server_module, "peer_of", lambda _: Peer(1, STRANGER, STRANGER))
    client = ControlClient(folder / "b.sock")
    with pytest.raises(NotPermittedError, match=f"user {STRANGER} may not command this daemon"):
        client.status() if path == "status" else client.command("pause", {"name": "x"})
    with pytest.raises(NotPermittedError):
        next(client.events())
    assert desk.asked == []


def test_the_owner_and_root_are_let_in(desk, folder, monkeypatch):
    for uid in (os.getuid(), 0):
        monkeypatch.setattr(server_module, "peer_of", lambda _, uid=uid: Peer(1, uid, uid))
        ControlClient(folder / "b.sock").command("pause", {"name": "x"})
    assert desk.asked == ["pause", "pause"]


def test_a_client_does_not_take_the_word_of_somebody_elses_socket(desk, folder, monkeypatch):
    monkeypatch.setattr(client_module, "peer_uid", lambda _: STRANGER)
    monkeypatch.setattr(client_module, "is_trusted", lambda owner, _: is_trusted(owner, 1000))
    with pytest.raises(NotPermittedError, match=f"is served by another user \\({STRANGER}\\)"):
        ControlClient(folder / "b.sock").status()


@pytest.mark.parametrize(
    ("owner", "user", "trusted"),
    [(1000, 1000, True), (0, 1000, True), (1000, 0, True), (1001, 1000, False), (None, 1, True)],
)
def test_whose_word_is_taken(owner, user, trusted):
    assert is_trusted(owner, user) is trusted


def test_the_kernel_tells_the_user_at_the_other_end():
    one, other = socket.socketpair()
    with one, other:
        assert peer_uid(one) == os.getuid()
