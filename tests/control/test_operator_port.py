"""Where there are no unix sockets: a port of the loopback, and a file for its owner alone that tells port and token."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from backstay.control import client as client_module
from backstay.control.client import ControlClient, NotPermittedError, UnreachableError, is_there
from backstay.control.port import claim_port, port_file, read_place, release_port
from backstay.control.server import ControlServer
from backstay.control.unix_socket import claim
from backstay.doors import Doors
from backstay.errors import StartError
from backstay.metrics.events import EventRing
from backstay.metrics.listening import ListenError


class Desk:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def status(self) -> Mapping[str, object]:
        self.asked.append("status")
        return {"schema": 1}

    def handler(self, name: str):
        def handle(arguments: Mapping[str, object], _peer) -> Mapping[str, object]:
            self.asked.append(name)
            return dict(arguments)

        return handle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "backstay.sock"


@contextmanager
def serving(path: Path, events: EventRing | None = None) -> Iterator[Desk]:
    listener, token = claim_port(path)
    desk = Desk()
    server = ControlServer(path, desk, events, listener=listener, token=token)
    server.start()
    try:
        yield desk
    finally:
        assert server.stop()


def test_a_client_finds_port_and_token_beside_the_path_of_the_socket(path):
    with serving(path) as desk:
        client = ControlClient(path)
        assert client.status() == {"schema": 1}
        assert client.command("restart", {"name": "keeper"}) == {"name": "keeper"}
        assert desk.asked == ["status", "restart"]


def test_a_file_that_somebody_has_removed_is_there_again_with_the_same_token(path):
    listener, token = claim_port(path)
    server = ControlServer(path, Desk(), listener=listener, token=token)
    server.start()
    file = port_file(path)
    before = file.read_bytes()
    file.unlink()
    assert server.keep()
    assert not server.keep()
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (before, 0o600)
    assert ControlClient(path).status() == {"schema": 1}
    assert server.stop()
    assert not file.exists()


def test_events_are_followed_over_a_port_as_well(path):
    ring = EventRing()
    with serving(path, ring):
        ring.publish("connection_ready", {"connection": "keeper"})
        with closing(ControlClient(path).events(since=0)) as events:
            assert next(events)["event"] == "connection_ready"


def test_the_file_is_for_its_owner_only_and_gone_after_the_stop(path):
    with serving(path):
        assert stat.S_IMODE(port_file(path).stat().st_mode) == 0o600
        assert [one.name for one in path.parent.iterdir()] == ["backstay.sock.port"]
        assert is_there(path)
    assert not any(path.parent.iterdir())
    assert not is_there(path)


@pytest.mark.parametrize("header", ["", "Authorization: Bearer \r\n", f"Authorization: Bearer {'0' * 64}\r\n"])
@pytest.mark.parametrize("target", ["GET /v1/status", "GET /v1/events", "POST /v1/commands/restart", "GET /nothing"])
def test_whoever_has_no_token_is_told_nothing_and_does_nothing(path, header, target):
    with serving(path) as desk:
        place = read_place(port_file(path))
        assert place is not None
        with socket.create_connection(("127.0.0.1", place.port), 10) as sock:
            sock.sendall(f"{target} HTTP/1.0\r\nHost: backstay\r\n{header}\r\n".encode())
            answer = b"".join(iter(lambda: sock.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 403")
        assert desk.asked == []


def test_a_client_with_a_wrong_token_is_not_permitted(path):
    with serving(path) as desk:
        file = port_file(path)
        told = json.loads(file.read_text())
        file.write_text(json.dumps({**told, "token": "0" * 64}))
        with pytest.raises(NotPermittedError) as caught:
            ControlClient(path).command("restart")
        assert int(caught.value.exit) == 6
        assert desk.asked == []
        file.write_text(json.dumps(told))


def test_a_file_that_a_dead_daemon_left_is_taken_over(path):
    listener, token = claim_port(path)
    listener.close()
    with pytest.raises(UnreachableError):
        ControlClient(path).status()
    with serving(path):
        assert ControlClient(path).status() == {"schema": 1}
        release_port(path, token)  # the dead one's: it is not his file any more
        assert ControlClient(path).status() == {"schema": 1}


def test_a_port_that_somebody_else_has_got_since_is_not_taken_for_a_daemon(path, tmp_path):
    with serving(tmp_path / "other.sock"):
        other = read_place(port_file(tmp_path / "other.sock"))
        assert other is not None
        port_file(path).write_text(json.dumps({"port": other.port, "token": "of a dead daemon"}))
        with serving(path):
            assert ControlClient(path).status() == {"schema": 1}


def test_the_file_of_a_living_daemon_is_not_taken(path):
    with serving(path) as desk:
        with pytest.raises(ListenError, match="another daemon answers"):
            claim_port(path)
        assert ControlClient(path).status() == {"schema": 1}
        assert desk.asked == ["status"] * 2


def test_a_file_that_is_none_of_ours_is_left_alone(path):
    port_file(path).write_text("shopping list")
    with pytest.raises(ListenError, match="not ours"):
        claim_port(path)
    with pytest.raises(UnreachableError, match="none of ours"):
        ControlClient(path).status()
    assert port_file(path).read_text() == "shopping list"


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path):
    with pytest.raises(ListenError, match="cannot write"):
        claim_port(tmp_path / "nowhere" / "backstay.sock")


def test_no_second_daemon_comes_by_the_other_kind_of_door(path):
    doors = Doors(path, None)
    with serving(path), pytest.raises(StartError, match="another daemon answers"):
        doors.open()
    listener = claim(path)
    with closing(listener), pytest.raises(StartError, match="another daemon answers"):
        Doors(path, None, by_port=True).open()


def test_a_socket_that_a_dead_daemon_left_does_not_hide_the_port(path):
    claim(path).close()
    doors = Doors(path, None, by_port=True)
    doors.open()
    assert not path.exists()
    assert port_file(path).exists()
    doors.close()
    assert not any(path.parent.iterdir())


def test_the_file_of_another_user_is_not_believed(path, monkeypatch):
    with serving(path) as desk:
        monkeypatch.setattr(client_module, "is_trusted", lambda _owner, _user: False)
        with pytest.raises(NotPermittedError, match="not permitted"):
            ControlClient(path).status()
        assert desk.asked == []


def test_client_server_and_doors_can_be_imported_without_unix_sockets_and_locks():
    code = """
import socket, sys
del socket.AF_UNIX
sys.modules["fcntl"] = None
import backstay.control.client, backstay.control.server, backstay.config_sections, backstay.doors
print(backstay.config_sections.ControlConfig().transport)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "port", found.stderr
