"""The operator's socket, from both ends, over a real unix socket."""

import json
import logging
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from backstay.actors.turnstile import Turnstile
from backstay.control import client as client_module
from backstay.control import server as server_module
from backstay.control.client import (
    ControlClient,
    ControlError,
    MisusedError,
    NotPermittedError,
    NotReadyError,
    RefusedError,
    TimedOutError,
    UnreachableError,
    locate_socket,
    require_ready,
)
from backstay.control.routes import ROUTES
from backstay.control.server import MAX_BODY_BYTES, CommandError, ControlServer
from backstay.control.unix_socket import claim, identity, peer_of, release
from backstay.control.vocabulary import FAILURES, Exit
from backstay.metrics.events import EventRing
from backstay.metrics.listening import ListenError
from backstay.status import ConnectionStatus, Status, status_as_dict

PATIENCE = 30.0
KEEPER = ConnectionStatus("keeper", "paper", "127.0.0.1:4002", 900, wanted=True, state="waiting")
STATUS = status_as_dict(Status(version="1", pid=2, started_wall=3.0, connections=(KEEPER,)))

Handler = Callable[[Mapping[str, object]], Mapping[str, object]]


class Desk:
    def __init__(self, **handlers: Handler) -> None:
        self.handlers = handlers

    def status(self) -> Mapping[str, object]:
        return STATUS

    def handler(self, name: str):
        handler = self.handlers.get(name)
        return None if handler is None else lambda arguments, _peer: handler(arguments)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "backstay.sock"


@contextmanager
def serving(path: Path, *, events: EventRing | None = None, **handlers: Handler) -> Iterator[ControlClient]:
    server = ControlServer(path, Desk(**handlers), events)
    server.start()
    try:
        yield ControlClient(path)
    finally:
        assert server.stop()


def test_the_status_comes_as_it_is(path):
    with serving(path) as client:
        assert client.status() == STATUS
        assert STATUS["schema"] == 1


def test_the_socket_is_for_its_owner_only_and_gone_after_the_stop(path):
    before = set(threading.enumerate())
    server = ControlServer(path, Desk())
    server.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.stop()
    assert not path.exists()
    assert server.stop()  # twice does no harm
    assert set(threading.enumerate()) <= before


def test_a_command_gets_its_arguments_and_its_result_goes_back(path):
    with serving(path, restart=lambda arguments: {"restarted": arguments["name"]}) as client:
        assert client.command("restart", {"name": "keeper"}) == {"restarted": "keeper"}


def test_a_command_that_waits_holds_up_nobody_else(path):
    go = threading.Event()
    answers: list[Mapping[str, object]] = []

    def wait(_: Mapping[str, object]) -> Mapping[str, object]:
        assert go.wait(10)
        return {"waited": True}

    with serving(path, drain=wait) as client:
        asking = threading.Thread(target=lambda: answers.append(client.command("drain", timeout=10)))
        asking.start()
        assert client.status() == STATUS
        go.set()
        asking.join(10)
    assert answers == [{"waited": True}]


def raising(error: BaseException) -> Handler:
    def handler(_: Mapping[str, object]) -> Mapping[str, object]:
        raise error

    return handler


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        ("refused", RefusedError, 1),
        ("unknown_connection", RefusedError, 1),
        ("bad_request", MisusedError, 2),
        ("not_ready", NotReadyError, 3),
        ("timed_out", TimedOutError, 5),
        ("not_permitted", NotPermittedError, 6),
        ("no such code", RefusedError, 1),
    ],
)
def test_a_failure_of_a_command_becomes_the_error_with_its_exit_code(path, code, kind, exit_code):
    failing = raising(CommandError(code, "because"))
    with serving(path, pause=failing) as client, pytest.raises(kind, match="because") as caught:
        client.command("pause")
    assert caught.value.exit == exit_code


@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit("oops")])
def test_a_crash_in_a_command_is_its_failure_and_nobody_elses(path, error):
    with serving(path, reset=raising(error)) as client:
        with pytest.raises(RefusedError, match="oops") as caught:
            client.command("reset")
        assert caught.value.code == "internal"
        assert client.status() == STATUS


def test_unknown_commands_and_commands_that_are_not_offered_are_told_apart(path):
    with serving(path) as client:
        with pytest.raises(MisusedError, match="no command 'fly'; known: restart, pause") as caught:
            client.command("fly")
        assert caught.value.code == "unknown_command"
        with pytest.raises(RefusedError, match="does not offer restart") as refused:
            client.command("restart")
        assert refused.value.code == "not_offered"


def test_too_many_commands_at_a_time_are_refused(path, monkeypatch):
    monkeypatch.setattr("backstay.control.server.MAX_COMMANDS", 0)
    with serving(path, restart=dict) as client, pytest.raises(RefusedError, match="under way already"):
        client.command("restart")


def raw(path: Path, request: bytes) -> tuple[int, dict]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        sock.sendall(request)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("request_line", "body", "status", "code"),
    [
        ("GET /nothing", b"", 404, "not_found"),
        ("GET /v1/commands/restart", b"", 405, "method_not_allowed"),
        ("POST /v1/status", b"", 405, "method_not_allowed"),
        ("POST /v1/commands/restart", b"{", 400, "bad_request"),
        ("POST /v1/commands/restart", b"[]", 400, "bad_request"),
        ("POST /v1/commands/restart", b"x" * (MAX_BODY_BYTES + 1), 400, "bad_request"),
    ],
)
def test_every_refusal_has_the_same_form(path, request_line, body, status, code):
    with serving(path, restart=dict):
        head = f"{request_line} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        found, answer = raw(path, head + body)
    assert found == status == FAILURES[code].http_status
    assert answer["error"]["code"] == code
    assert answer["error"]["message"]
    assert set(answer) == {"error"}


@pytest.mark.parametrize(("path_asked", "answer"), [(row.path, one) for row in ROUTES for one in row.answers])
def test_each_route_gives_each_of_its_answers(path, path_asked, answer, monkeypatch):
    if answer.status == 503:
        monkeypatch.setattr("backstay.metrics.exporter.MAX_STREAMS", 0)
    method = next(row.method for row in ROUTES if row.path == path_asked)
    with serving(path, restart=dict), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(path))
        sock.sendall(f"{method} {path_asked.replace('{name}', 'restart')} HTTP/1.0\r\n\r\n".encode())
        head = iter(sock.makefile("rb").readline, b"\r\n")
        assert int(next(head).split()[1]) == answer.status
        content = next(line.partition(b":")[2] for line in head if line.lower().startswith(b"content-type:"))
    assert content.decode().strip().startswith(answer.content)


def test_a_status_that_cannot_be_made_is_an_error_in_the_same_form(path):
    class Broken(Desk):
        def status(self):
            raise KeyError("no root")

    server = ControlServer(path, Broken())
    server.start()
    try:
        with pytest.raises(RefusedError, match="no root"):
            ControlClient(path).status()
    finally:
        assert server.stop()


def test_the_kernel_says_who_asked_and_it_is_logged(path, caplog):
    with caplog.at_level(logging.DEBUG, logger="backstay.control.server"), serving(path, restart=dict) as client:
        client.command("restart")
    assert f"pid={os.getpid()}, uid={os.getuid()}, gid={os.getgid()}" in caplog.text
    assert "command=restart" in caplog.text


def test_of_commands_only_a_mistake_of_ours_is_a_message(path, caplog):
    refuse, fail = raising(CommandError("refused", "no")), raising(ZeroDivisionError("ours"))
    with (
        caplog.at_level(logging.INFO, logger="backstay"),
        serving(path, explain=dict, pause=refuse, drain=fail) as client,
    ):
        client.command("explain")
        with pytest.raises(RefusedError):
            client.command("pause")  # whoever carries out commands tells of those that change something
        assert not caplog.records
        with pytest.raises(RefusedError, match="ours"):
            client.command("drain")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_whoever_leaves_in_the_middle_of_a_request_is_no_mistake_of_ours(path, caplog):
    with caplog.at_level(logging.INFO), serving(path, explain=dict) as client:
        for _ in range(5):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.sendall(b"POST /v1/commands/explain HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
                client.command("explain")
        client.command("explain")
    assert not caplog.records


def test_only_unix_sockets_have_peers():
    with socket.socket() as sock:
        assert peer_of(sock) is None


def test_events_are_followed_from_a_number_on(path):
    ring = EventRing(clock=lambda: 1.5)
    ring.publish("first")
    with serving(path, events=ring) as client, closing(client.events(since=0)) as events:
        assert next(events) == {"number": 1, "wall": 1.5, "event": "first"}
        ring.publish("second", {"a": 1})
        assert next(events) == {"number": 2, "wall": 1.5, "event": "second", "a": 1}


def test_following_ends_when_the_daemon_stops(path):
    ring = EventRing()
    ring.publish("only")
    server = ControlServer(path, Desk(), ring)
    server.start()
    events = ControlClient(path).events(since=0)
    assert next(events)["event"] == "only"
    assert server.stop()
    assert list(events) == []


# -- whose socket is it ----------------------------------------------------------------------------------------------


def leave_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()


def test_the_socket_of_a_dead_daemon_is_replaced(path):
    leave_stale(path)
    assert path.is_socket()
    with serving(path) as client:
        assert client.status() == STATUS


def test_a_socket_whose_file_somebody_has_removed_is_there_again(path):
    server = ControlServer(path, Desk())
    server.start()
    assert not server.keep()
    path.unlink()
    assert server.keep()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ControlClient(path).status() == STATUS
    assert not server.keep()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert not server.keep()  # somebody else's now
    assert server.stop()
    assert path.exists()
    assert not server.keep()


def test_a_socket_that_cannot_be_there_again_says_why(path):
    server = ControlServer(path, Desk())
    server.start()
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(ListenError, match="cannot listen on"):
        server.keep()
    path.parent.mkdir()
    assert server.keep()
    assert server.stop()
    assert not path.exists()


def test_a_living_daemon_keeps_its_socket(path):
    with serving(path) as client:
        second = ControlServer(path, Desk())
        with pytest.raises(ListenError, match="another daemon answers there"):
            second.start()
        assert second.stop()
        assert client.status() == STATUS


def test_a_daemon_that_hangs_with_a_full_queue_keeps_its_socket_too(path):
    with socket.socket(socket.AF_UNIX) as hanging, socket.socket(socket.AF_UNIX) as waiting:
        hanging.bind(str(path))
        hanging.listen(0)
        waiting.connect(str(path))
        with pytest.raises(ListenError, match="another daemon answers there"):
            claim(path)


def test_a_file_that_is_no_socket_is_never_removed(path):
    path.write_text("precious")
    with pytest.raises(ListenError, match="a file that is not a socket"):
        claim(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("broken", "reason"), [("missing/backstay.sock", "No such file or directory"), ("x" * 120, "too long")]
)
def test_a_path_that_cannot_be_used_is_told_in_one_sentence(tmp_path, broken, reason):
    with pytest.raises(ListenError, match=reason) as caught:
        claim(tmp_path / broken)
    assert str(caught.value).startswith(f"cannot listen on {tmp_path / broken}: ")


def test_of_many_daemons_that_start_over_a_stale_socket_exactly_one_gets_it(path):
    leave_stale(path)
    start = threading.Barrier(6)
    got: list[socket.socket] = []
    refused: list[ListenError] = []

    def run() -> None:
        start.wait(10)
        try:
            got.append(claim(path))
        except ListenError as error:
            refused.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(got), len(refused)) == (1, 5)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))  # the one that got it is the one that is reached
        got[0].settimeout(10)
        got[0].accept()[0].close()
    got[0].close()


def test_a_locked_folder_is_told_and_not_waited_for_for_ever(path, monkeypatch):
    monkeypatch.setattr("backstay.control.unix_socket.CLAIM_SECONDS", 0.1)
    code = (
        "import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_RDONLY); fcntl.flock(fd, fcntl.LOCK_EX);"
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path.parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(ListenError, match="locked by another process"):
            claim(path)
        holder.communicate(b"", timeout=10)


def test_a_successors_socket_is_not_removed(path):
    with claim(path):
        mine = identity(path)
        path.unlink()
        with claim(path):
            if identity(path) != mine:  # a file system may hand the number out again at once
                release(path, mine)
                assert path.exists()
            release(path, identity(path))
            assert not path.exists()
    release(path, mine)  # nothing there: nothing to do


# -- the client alone ------------------------------------------------------------------------------------------------


def test_without_a_daemon_the_client_says_unreachable(path):
    with pytest.raises(UnreachableError, match="No such file or directory") as caught:
        ControlClient(path).status()
    assert caught.value.exit is Exit.UNREACHABLE
    leave_stale(path)
    with pytest.raises(UnreachableError, match="Connection refused"):
        next(ControlClient(path).events())


@contextmanager
def answering(path: Path, answer: bytes | None) -> Iterator[ControlClient]:
    """A peer that answers each connection with these bytes, or not at all."""
    stopped = threading.Event()

    def run() -> None:
        while True:
            sock, _ = listener.accept()
            with sock:
                if stopped.is_set():
                    return
                sock.recv(65536)
                if answer is None:
                    stopped.wait(10)
                else:
                    sock.sendall(answer)

    with claim(path) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield ControlClient(path)
        finally:
            stopped.set()
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
            thread.join(10)


def test_a_daemon_that_does_not_answer_in_time_is_told_apart_from_none(path):
    with answering(path, None) as client:
        with pytest.raises(TimedOutError, match=r"no answer within 0\.1 s") as caught:
            client.status(timeout=0.1)
        assert caught.value.exit is Exit.TIMED_OUT


def test_a_follower_of_a_silent_daemon_times_out_before_the_first_answer(path, monkeypatch):
    monkeypatch.setattr(client_module, "ANSWER_SECONDS", 0.1)
    with answering(path, None) as client, pytest.raises(TimedOutError):
        next(client.events())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\n\r\n[1]",
        b"HTTP/1.1 500 X\r\n\r\nInternal Server Error",
        b'HTTP/1.1 500 X\r\n\r\n{"detail": "x"}',
        b"HTTP/1.1 abc\r\n\r\n{}",
    ],
)
def test_an_answer_that_is_not_ours_is_no_daemon(path, answer):
    with answering(path, answer) as client, pytest.raises(UnreachableError, match="is not backstay"):
        client.status()


def test_a_refusal_reaches_a_follower_too(path):
    body = b'{"error": {"code": "not_permitted", "message": "no"}}'
    answer = b"HTTP/1.1 403 X\r\nA: b\r\n\r\n" + body
    with answering(path, answer) as client, pytest.raises(NotPermittedError, match="no"):
        next(client.events())


def test_a_socket_of_somebody_else_is_not_permitted(path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(client_module.socket.socket, "connect", refuse)
    with pytest.raises(NotPermittedError) as caught:
        ControlClient(path).status()
    assert caught.value.exit is Exit.NOT_PERMITTED


def test_a_wanted_connection_that_is_not_ready_ends_a_check_with_its_exit_code():
    with pytest.raises(NotReadyError, match="keeper is waiting") as caught:
        require_ready(STATUS)
    assert caught.value.exit is Exit.NOT_READY
    require_ready({"connections": []})
    require_ready({"connections": [{"name": "a", "wanted": False, "state": "paused"}]})


def test_each_exit_code_of_a_failure_has_its_error():
    assert {kind.exit for kind in ControlError.__subclasses__()} == set(Exit) - {Exit.OK}
    assert {failure.exit for failure in FAILURES.values()} <= set(Exit) - {Exit.OK}


def test_a_daemon_that_goes_away_in_the_middle_is_unreachable(path, monkeypatch):
    def reset(*_: object) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(client_module.socket.socket, "sendall", reset)
    with claim(path):
        with pytest.raises(UnreachableError, match="went away"):
            ControlClient(path).status()
        with pytest.raises(UnreachableError, match="went away"):
            next(ControlClient(path).events())


def test_an_answer_that_drips_does_not_outlast_its_deadline(path, monkeypatch):
    moments = iter([0.0, 1.0, 99.0])
    monkeypatch.setattr(client_module.time, "monotonic", lambda: next(moments))
    with answering(path, b"HTTP/1.1 200 OK\r\n") as client, pytest.raises(TimedOutError):
        client.status(timeout=5)


# -- finding the daemon ----------------------------------------------------------------------------------------------


def test_the_socket_is_found_as_said_then_by_the_environment_then_by_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate_socket(None, None, {}) == Path("backstay.sock")
    (tmp_path / "backstay.toml").write_text('[control]\nsocket = "here.sock"\n')
    assert locate_socket(None, None, {}) == Path("here.sock")
    other = tmp_path / "etc" / "other.toml"
    other.parent.mkdir()
    other.write_text('[control]\nsocket = "/run/x.sock"\n')
    assert locate_socket(None, None, {"BACKSTAY_CONFIG": str(other)}) == Path("/run/x.sock")
    other.write_text('[control]\nsocket = "there.sock"\n')
    assert locate_socket(str(other), None, {}) == tmp_path / "etc" / "there.sock"
    environ = {"BACKSTAY_CONTROL__SOCKET": "/run/env.sock"}
    assert locate_socket(str(other), None, environ) == Path("/run/env.sock")
    assert locate_socket(str(other), "/run/said.sock", environ) == Path("/run/said.sock")


def test_a_file_without_a_socket_means_the_one_beside_it_and_one_that_is_not_there_is_a_usage_error(tmp_path):
    file = tmp_path / "b.toml"
    with pytest.raises(MisusedError, match="No such file"):
        locate_socket(str(file), None, {})
    file.write_text("[http]\n")
    assert locate_socket(str(file), None, {}) == tmp_path / "backstay.sock"
    file.write_text("control = [")
    with pytest.raises(RefusedError, match=r"b\.toml"):
        locate_socket(str(file), None, {})


HEAVY = {"pydantic", "starlette", "uvicorn", "typer", "rich", "structlog", "prometheus_client", "pykka", "asyncio"}


def test_the_client_costs_no_heavy_import():
    code = "import sys, backstay.control.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "backstay.control.client" in loaded
    assert not loaded & HEAVY
    assert "tomllib" not in loaded


def test_a_command_that_never_returns_does_not_keep_the_daemon_from_stopping(path):
    started, release_it = threading.Event(), threading.Event()

    def hang(_: Mapping[str, object]) -> Mapping[str, object]:
        started.set()
        release_it.wait(30)
        return {}

    def ask() -> None:
        with pytest.raises(ControlError):
            ControlClient(path).command("drain", timeout=20)

    server = ControlServer(path, Desk(drain=hang))
    server.start()
    asking = threading.Thread(target=ask)
    asking.start()
    assert started.wait(10)
    began = time.monotonic()
    assert server.stop()
    assert time.monotonic() - began < 2.5
    release_it.set()
    asking.join(10)
    assert not asking.is_alive()


def test_whoever_moves_bytes_at_full_speed_steps_back_while_an_operator_is_answered(path, monkeypatch):
    turnstile, held = Turnstile(clock=lambda: 0.0), []
    monkeypatch.setattr(server_module, "PROCESS_TURNSTILE", turnstile)

    def look(_: Mapping[str, object]) -> Mapping[str, object]:
        held.append(turnstile.held)
        return {}

    with serving(path, tree=look) as client:
        client.command("tree")
    assert held == [True]
    assert turnstile.enter("x")
