"""`backstay status` and `health` against a control socket of the test's own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.control.server import ControlServer
from backstay.status import ConnectionStatus, ListenerStatus, Status, status_as_dict

PATIENCE = 30.0

READY = ConnectionStatus(
    name="paper/1",
    gateway="paper",
    endpoint="127.0.0.1:4002",
    client_id=1,
    wanted=True,
    state="ready",
    since_wall=time.time() - 180_000,
    streams=12,
    restarts=2,
    round_trip_seconds=0.0042,
    messages_per_second=3.44,
)
WAITING = replace(
    READY,
    unready_since_wall=READY.since_wall - 86_400,
    name="keeper",
    state="waiting",
    reason="refused: nothing listens there",
    next_attempt_wall=time.time() + 92_000,
    round_trip_seconds=None,
    messages_per_second=None,
)
PAUSED = replace(READY, name="night", wanted=False, state="paused", reason="by an operator", admin="paused")
UNUSED = replace(READY, name="spare", wanted=False, state="stopped")


class Daemon:
    """What the control socket tells, changed by the test."""

    def __init__(self) -> None:
        self.connections: tuple[ConnectionStatus, ...] = (READY,)
        self.held: tuple[ConnectionStatus, ...] = ()
        self.asked = 0

    def status(self) -> Mapping[str, object]:
        self.asked += 1
        door = ListenerStatus("paper", "127.0.0.1:7400", "paper", 1)
        return status_as_dict(Status("1.2.3", 42, time.time() - 90, (door,), self.connections, self.held))

    def handler(self, _name: str) -> None:
        return None


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    commands = Daemon()
    server = ControlServer(tmp_path / "backstay.sock", commands)
    server.start()
    yield commands
    server.stop()


def answering(path: Path, answer: bytes | None) -> Iterator[None]:
    """A socket whose other end says this to whoever comes; None: nothing, and it stays open."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        opened = []

        def serve() -> None:
            sock, _ = listener.accept()
            opened.append(sock)
            if answer is not None:
                sock.recv(65536)
                sock.sendall(answer)
                sock.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(PATIENCE)
        for sock in opened:
            sock.close()


def test_the_table_has_a_row_for_each_connection(daemon, command):
    daemon.connections = (READY, WAITING, PAUSED, UNUSED)
    shown = command("status")
    assert shown.returncode == 3
    head, door, empty, titles, keeper, night, paper, spare = shown.stdout.splitlines()
    assert re.fullmatch(r"backstay 1\.2\.3, pid 42, up 1m3\ds", head)
    assert (door, empty) == ("relay paper on 127.0.0.1:7400 for paper: 1 client", "")
    assert re.sub(" +", " ", titles) == "NAME GATEWAY WANTED STATE SINCE RTT MSG/S STREAMS RESTARTS NEXT/REASON"
    assert re.fullmatch(r"paper/1 +paper 127\.0\.0\.1:4002 +up +ready +2d02h +4\.2ms +3\.4 +12 +2 +-", paper)
    assert re.fullmatch(
        r"keeper +paper \S+ +up +waiting +2d02h +- +- +12 +2 +"
        r"in 1d01h: not ready for 3d02h: refused: nothing listens there",
        keeper,
    )
    assert re.fullmatch(r"night +paper \S+ +paused +paused .* by an operator", night)
    assert re.fullmatch(r"spare +paper \S+ +no +stopped .*", spare)
    assert "\x1b" not in shown.stdout


def test_a_name_that_is_held_and_not_there_has_its_row(daemon, command):
    gone = ConnectionStatus("paper/3", "paper", "", -1, False, "absent", "bad fills", READY.since_wall, admin="paused")
    daemon.held = (gone,)
    shown = command("status")
    assert shown.returncode == 0
    assert re.fullmatch(r"paper/3 +paper +paused +absent +2d02h +- +- +0 +0 +bad fills", shown.stdout.splitlines()[-1])
    assert "paper/1" not in command("status", "paper/3").stdout
    for words, names in (((), ["paper/1"]), (("paper/3",), [])):
        told = json.loads(command("status", "--json", *words).stdout)
        assert [one["name"] for one in told["connections"]] == names
        assert [one["name"] for one in told["held"]] == ["paper/3"]
    assert json.loads(command("status", "--json", "paper/1").stdout)["held"] == []


@pytest.mark.parametrize(
    ("connections", "code"),
    [((READY,), 0), ((), 0), ((READY, PAUSED), 0), ((READY, WAITING), 3), ((replace(READY, state="degraded"),), 3)],
)
def test_the_exit_code_says_whether_what_is_wanted_is_ready(daemon, command, connections, code):
    daemon.connections = connections
    assert command("status").returncode == code
    health = command("health")
    assert health.returncode == code
    assert (health.stdout == "ok\n") == (code == 0)
    told = json.loads(command("health", "--json").stdout)
    assert (told["schema"], told.get("ok", False)) == (1, code == 0)
    assert code == 0 or told["error"]["exit"] == code
    assert command("health", "--live").returncode == 0


def test_names_choose_what_is_shown_and_judged(daemon, command):
    daemon.connections = (READY, WAITING)
    chosen = command("status", "paper/*")
    assert chosen.returncode == 0
    assert "keeper" not in chosen.stdout
    assert "no connections" not in chosen.stdout
    assert [one["name"] for one in json.loads(command("status", "--json", "keeper").stdout)["connections"]] == [
        "keeper"
    ]
    missing = command("status", "paper/1", "nobody")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "backstay: no connection 'nobody'\n"


def test_json_is_what_the_daemon_says(daemon, command):
    shown = json.loads(command("status", "--json").stdout)
    assert shown["schema"] == 1
    assert (
        shown["connections"] == json.loads(json.dumps(status_as_dict(Status("", 0, 0.0, (), (READY,)))))["connections"]
    )


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_daemon_is_told_with_code_4(command, options):
    ended = command("status", *options)
    assert ended.returncode == 4
    text = "no daemon answers at backstay.sock: No such file or directory"
    if options:
        assert json.loads(ended.stdout)["error"] == {"code": "unreachable", "message": text, "exit": 4}
    else:
        assert (ended.stdout, ended.stderr) == ("", f"backstay: {text}; backstay doctor looks for the reason\n")


@pytest.mark.parametrize("words", [("status",), ("restart", "one"), ("pause", "one", "--no-wait")], ids=" ".join)
def test_a_daemon_that_says_nothing_is_told_with_code_5(tmp_path, command, words):
    with_silence = answering(tmp_path / "backstay.sock", None)
    next(with_silence)
    ended = command(*words, "--timeout", "0.2")
    assert (ended.returncode, ended.stderr) == (5, "backstay: no answer within 0.2 s from backstay.sock\n")
    next(with_silence, None)


def test_a_refusal_is_told_with_code_6(tmp_path, command):
    body = b'{"error": {"code": "not_permitted", "message": "not you"}}'
    with_refusal = answering(tmp_path / "backstay.sock", b"HTTP/1.0 403 Forbidden\r\n\r\n" + body)
    next(with_refusal)
    ended = command("status")
    assert (ended.returncode, ended.stderr) == (6, "backstay: not you\n")
    next(with_refusal, None)


def test_the_socket_is_found_by_option_variable_and_file(daemon, command, tmp_path):
    path = tmp_path / "backstay.sock"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = elsewhere / "other.toml"
    other.write_text('[control]\nsocket = "../backstay.sock"\n')
    (tmp_path / "backstay.toml").write_text('[control]\nsocket = "nowhere.sock"\n')
    assert command("status").returncode == 4
    assert command("status", "--control", str(path)).returncode == 0
    assert command("status", BACKSTAY_CONTROL__SOCKET=str(path)).returncode == 0
    assert command("status", "--config", str(other)).returncode == 0
    assert command("status", BACKSTAY_CONFIG=str(other)).returncode == 0
    assert command("status", "-c", "missing.toml").returncode == 2


def test_a_simulation_is_found_without_being_told(command, tmp_path):
    folder = tmp_path / "backstay"
    folder.mkdir(mode=0o700)
    server = ControlServer(folder / "simulator-7400.sock", Daemon())
    server.start()
    try:
        assert command("status").returncode == 0
        assert command("status", "--control", "backstay.sock").returncode == 4
    finally:
        server.stop()


QUICK = [["status"], ["health"], ["events"], ["tree"], ["explain", "x"], ["restart", "x"], ["pause", "x"], ["reload"]]


@pytest.mark.parametrize("words", QUICK, ids=lambda words: words[0])
def test_it_imports_nothing_heavy(daemon, tmp_path, words):
    program = (
        f"import sys; from backstay.cli import main; code = main({words}); "
        "print(code, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    code, *loaded = ended.stdout.splitlines()[-1].split()
    assert code == ("0" if words[0] in {"status", "health"} else "1")
    heavy = {"pydantic", "pydantic_core", "pykka", "starlette", "uvicorn", "structlog", "prometheus_client", "tenacity"}
    assert heavy.isdisjoint(loaded)
    assert {"typer", "rich", "asyncio", "tomllib"}.isdisjoint(loaded)


# A fork of a process with threads may in theory lock up before its exec; Python 3.12 and newer say so.
forks = pytest.mark.filterwarnings("ignore:.*use of forkpty.*:DeprecationWarning")


@forks
def test_there_is_colour_on_a_terminal_only_if_wanted(daemon, terminal):
    daemon.connections = (READY, WAITING, PAUSED)
    colourful = terminal("status")
    assert colourful.end() == 3
    assert "\x1b[32mready" in colourful.seen
    assert "\x1b[31mwaiting" in colourful.seen
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = terminal("status", **environ)
        assert plain.end() == 3
        assert "\x1b" not in plain.seen


@forks
def test_watching_shows_it_again_until_somebody_has_seen_enough(daemon, terminal):
    watching = terminal("status", "--watch")
    watching.read_until("ready")
    daemon.connections = (WAITING,)
    watching.read_until("waiting")
    assert watching.end(signal.SIGINT) == 3
    assert "Traceback" not in watching.seen
    assert daemon.asked >= 2


@forks
def test_watching_goes_on_while_the_daemon_is_away(terminal, tmp_path):
    watching = terminal("status", "--watch")
    watching.read_until("no daemon answers")
    server = ControlServer(tmp_path / "backstay.sock", Daemon())
    server.start()
    try:
        watching.read_until("ready")
    finally:
        server.stop()
    assert watching.end(signal.SIGINT) in {0, 4}


def test_a_reader_that_leaves_is_no_traceback(daemon, tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "backstay", "status"]
    ended = subprocess.run(
        command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, "")
