"""At three in the morning: who knows only `backstay --help` finds out why, what comes next, and what to do.

Each situation is planted at a gateway of its own. `status` has to show that something is wrong, `explain` why and what
to do about it, and `doctor` the same with everything else that it looks at.
"""

from __future__ import annotations

import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from backstay.cli import main
from backstay.config import load
from backstay.control.explaining import Line, explain
from backstay.daemon import Daemon
from backstay.logs import EventLog
from backstay.metrics.events import EventRing
from backstay.protocol.errors import ErrorMessage, write_error, write_managed_accounts, write_next_valid_id
from backstay.protocol.framing import text
from backstay.protocol.handshake import Hello, answer
from backstay.simulator import Simulator

PATIENCE = 30.0
VERSION = 176
LIFECYCLE = "[lifecycle]\nhandshake_seconds = 0.3\nstart_seconds = 0.3\nclient_id_attempts = 1\n"

Serve = Callable[[socket.socket], object]


@contextmanager
def peer(serve: Serve) -> Iterator[str]:
    """Somebody at an address who does this with every connection, until the end."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        taken: list[socket.socket] = []

        def take(sock: socket.socket) -> None:
            with suppress(OSError), sock:
                serve(sock)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = server.accept()
                    taken.append(sock)
                    thread = threading.Thread(target=take, args=(sock,), daemon=True)
                    thread.start()
                    stack.callback(thread.join, PATIENCE)

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        accepting.join(PATIENCE)
        for sock in taken:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def simulated(break_it: Callable[[Simulator], object]) -> Iterator[str]:
    with Simulator() as simulator:
        break_it(simulator)
        yield "{}:{}".format(*simulator.address)


@contextmanager
def nobody(endpoint: str) -> Iterator[str]:
    yield endpoint


def closes_at_once(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_RDWR)


def closes_after_the_greeting(sock: socket.socket) -> None:
    sock.recv(100)


def says_nothing(sock: socket.socket) -> None:
    while sock.recv(100):
        pass


def is_too_old(sock: socket.socket) -> None:
    sock.recv(100)
    sock.sendall(b"\0\0\0\x1299\x0020260101 10:00\x00")
    sock.recv(100)


def answers(*, wrong_by: float = 0.0, read_only: bool = False) -> Serve:
    """A gateway that works, but for its clock, or with Read-Only API ticked."""

    def serve(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(answer(Hello(VERSION, b"20260101 10:00")))
        sock.recv(100)
        sock.sendall(write_next_valid_id(1, VERSION) + write_managed_accounts(b"DU1", VERSION))
        refused = write_error(ErrorMessage(-1, 321, "The API is currently in Read-Only mode.", "", 0), VERSION)
        while asked := sock.recv(1000):
            number = asked[4:].partition(b"\0")[0]
            if number == b"49":
                sock.sendall(text(49, 1, int(time.time() + wrong_by)))
            elif number == b"8":
                sock.sendall(refused if read_only else write_next_valid_id(1, VERSION))

    return serve


@dataclass(frozen=True)
class Situation:
    name: str
    planted: Callable[[], object]
    states: tuple[str, ...]
    why: str
    todo: str
    doctor: str = ""
    order: tuple[str, ...] = ()
    more: str = ""


def parked_id(simulator: Simulator) -> None:
    simulator.faults.client_id_in_use(1000)


def without_login(simulator: Simulator) -> None:
    simulator.faults.delay_ready(PATIENCE)


def without_ib(simulator: Simulator) -> None:
    simulator.faults.upstream_lost()


REFUSED = Situation(
    "nothing listens",
    lambda: nobody("127.0.0.1:1"),
    ("waiting",),
    "refused",
    "Is TWS or IB Gateway running there?",
    doctor="nothing listens there",
)
SITUATIONS = (
    REFUSED,
    Situation(
        "address not trusted",
        lambda: peer(closes_after_the_greeting),
        ("waiting",),
        "rejected",
        "Trusted IPs",
        doctor="address not trusted",
    ),
    Situation(
        "forwarder in front of nothing",
        lambda: peer(closes_at_once),
        ("waiting",),
        "rejected",
        "port forwarder",
        doctor="accepted, then closed",
    ),
    Situation(
        "a dialog, or a hang",
        lambda: peer(says_nothing),
        ("awaiting_acceptance",),
        "a dialog waits for a person, or it hangs",
        "Accept it, or trust this machine's address",
        doctor="a dialog waits, or TWS hangs",
    ),
    Situation(
        "client id in use",
        lambda: simulated(parked_id),
        ("parked",),
        "client_id_taken",
        "end it, or give one of the two another id",
        doctor="client id is in use",
    ),
    Situation(
        "too old", lambda: peer(is_too_old), ("parked",), "version", "Update TWS", doctor="version cannot be used"
    ),
    Situation(
        "not logged in",
        lambda: simulated(without_login),
        ("waiting",),
        "not_started",
        "not logged in to IB yet",
        doctor="startApi was not answered",
    ),
    Situation(
        "no servers of IB",
        lambda: simulated(without_ib),
        ("degraded",),
        "has lost IB's servers (1100)",
        "IB's system status",
        doctor="has lost IB's servers",
    ),
    Situation(
        "unknown host",
        lambda: nobody("no-such-host.invalid:4002"),
        ("waiting",),
        "dns",
        "Check the host name",
        doctor="the host name could not be resolved",
    ),
    Situation(
        "paused by an operator",
        lambda: simulated(lambda _: None),
        ("paused",),
        "An operator has paused it",
        "backstay resume k",
        order=("pause", "k", "--reason", "gateway moves"),
    ),
    Situation(
        "journal cannot be written",
        lambda: simulated(lambda _: None),
        ("ready",),
        "Orders are refused:",
        "Look at journal.path",
        more='[journal]\npath = "gone/backstay.db"\n',
    ),
)


@dataclass
class Desk:
    """A daemon in a folder, and the commands that a person has there."""

    daemon: Daemon
    run: Callable[..., tuple[int, str]]

    def until(self, condition: Callable[[object], bool]) -> None:
        manager = self.daemon.manager
        assert manager.wait_until(lambda status: all(map(condition, status.connections)), PATIENCE), manager.status()


@pytest.fixture
def run(tmp_path: Path, monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        try:
            code = main(words)
        except SystemExit as ended:
            code = ended.code
        return int(code or 0), capsys.readouterr().out

    return run


def write(folder: Path, endpoint: str, more: str = "") -> Path:
    file = folder / "backstay.toml"
    file.write_text(
        f'[gateways.g]\nendpoints = ["{endpoint}"]\n[connections.k]\ngateway = "g"\nclient_id = 7\n'
        f"[http]\nenabled = false\n{LIFECYCLE}{more}"
    )
    return file


@contextmanager
def running(folder: Path, endpoint: str, run: Callable[..., tuple[int, str]], more: str = "") -> Iterator[Desk]:
    config = load(write(folder, endpoint, more), {})
    ring = EventRing()
    log = EventLog(config.log, io.StringIO(), follow=ring.publish)
    daemon = Daemon(config, log=log, events=ring, on_end=lambda _: None)
    daemon.start()
    try:
        yield Desk(daemon, run)
    finally:
        daemon.stop()
        log.close()


@pytest.mark.parametrize("one", SITUATIONS, ids=lambda one: one.name)
def test_a_person_finds_out_why_and_what_to_do(one, tmp_path, run):
    with one.planted() as endpoint, running(tmp_path, endpoint, run, one.more) as desk:
        if one.order:
            desk.until(lambda row: row.state == "ready")
            assert run(*one.order)[0] == 0
        desk.until(lambda row: row.state in one.states)
        told = {}
        for _ in range(1000):  # what it is in may change between two looks
            code, out = run("explain", "k", "--json")
            told = json.loads(out)
            if told["connection"]["state"] in one.states and one.why in told["why"]:
                break
        assert one.why in told["why"], told
        assert any(one.todo in line for line in told["todo"]), told
        assert told["next"]
        wanted = told["connection"]["wanted"]
        assert code == (3 if wanted and told["connection"]["state"] != "ready" else 0)
        shown, table = run("status")
        assert shown == code
        (row,) = (line for line in table.splitlines() if line.startswith("k "))
        assert not row.endswith(" -"), row  # the last column says what is the matter
        code, said = run("doctor", "--timeout", "0.3")
        assert code == (0 if one.order else 1), said
        assert one.doctor in said
        assert any(line.strip() for line in said.splitlines() if one.todo in line), said


def test_an_api_that_is_read_only_is_found_by_the_doctor(tmp_path, run):
    with peer(answers(read_only=True)) as endpoint:
        write(tmp_path, endpoint)
        code, said = run("doctor", "--timeout", "0.5")
        assert code == 1
        assert "Read-Only API: orders are refused" in said
        assert "take the tick from Read-Only API" in said
        write(tmp_path, endpoint, "[connections.x]\ngateway = 'g'\nclient_id = 9\nread_only = true\n")
        text_ = (tmp_path / "backstay.toml").read_text().replace("client_id = 7\n", "client_id = 7\nread_only = true\n")
        (tmp_path / "backstay.toml").write_text(text_)
        assert run("doctor", "--timeout", "0.5")[0] == 0  # nobody wants to place any


def test_clocks_that_differ_are_found_by_the_doctor(tmp_path, run):
    with peer(answers(wrong_by=60.0)) as endpoint:
        write(tmp_path, endpoint)
        code, said = run("doctor", "--timeout", "0.5")
    assert code == 1
    assert re.search(r"clock \+(59|60) s", said)
    assert "by NTP" in said


def test_clocks_that_differ_are_told_of_a_connection_that_works(tmp_path, run):
    with peer(answers(wrong_by=-60.0)) as endpoint, running(tmp_path, endpoint, run) as desk:
        desk.until(lambda row: row.state == "ready")
        told = told_of(run, "behind")
        assert "s behind ours" in told["why"]
        assert "by NTP" in told["todo"][0]
        assert re.search(r"clock -(59|60|61) s", run("status")[1])


def test_one_that_is_served_by_a_stand_in_says_so(tmp_path, run):
    with simulated(lambda _: None) as endpoint, running(tmp_path, f'127.0.0.1:1", "{endpoint}', run) as desk:
        desk.until(lambda row: row.state == "ready")
        told = json.loads(run("explain", "k", "--json")[1])
        assert "It works, on a stand-in: 127.0.0.1:1 did not answer" in told["why"]
        assert told["todo"] == []
        assert "stays there for as long as that one works (prefer_first_seconds = 0)" in told["next"]
        assert "--endpoint 127.0.0.1:1," in told["next"]
        assert "on a stand-in for 127.0.0.1:1" in run("status")[1]


def test_a_stand_in_that_is_left_by_itself_says_when():
    row = {"name": "k", "state": "ready", "reason": "", "wanted": True}
    line = Line(100.0, 5.0, 25.0, stands_in_for="gw1:4002", prefer_first_seconds=600.0)
    told = explain(row, None, now=100.0, line=line)
    assert told["next"] == "Every 600 s it is looked whether it can go back without a loss (prefer_first_seconds)."


def test_a_slip_in_the_file_does_not_lock_out_whoever_looks_at_the_daemon(tmp_path, run, capsys):
    with simulated(lambda _: None) as endpoint, running(tmp_path, endpoint, run) as desk:
        desk.until(lambda row: row.state == "ready")
        file = tmp_path / "backstay.toml"
        file.write_text("gateways = [\n")
        assert main(["status"]) == 0
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "backstay.toml" in said
        assert "asking the daemon at backstay.sock" in said
        assert run("explain", "k")[0] == 0
        code, said = run("doctor", "--timeout", "0.3")
        assert code == 1
        assert "BAD configuration: backstay.toml" in said
        assert "backstay check" in said
        assert "ok  connection k: ready: It works." in said
    assert run("status")[0] == 1  # there is nobody to ask: the file is to be mended


def told_of(run, word: str) -> dict:
    end = time.monotonic() + PATIENCE
    told = {}
    while word not in told.get("why", "") and time.monotonic() < end:
        told = json.loads(run("explain", "k", "--json")[1])
    return told


def test_a_farm_that_is_down_and_a_silent_gateway_are_told_although_it_is_ready(tmp_path, run):
    more = "[pulse]\nidle_seconds = 0.5\nprobe_seconds = 10\n"
    with Simulator() as simulator, running(tmp_path, "{}:{}".format(*simulator.address), run, more) as desk:
        desk.until(lambda row: row.state == "ready")
        assert "It works" in told_of(run, "It works")["why"]
        simulator.faults.farm("usfarm", up=False)
        told = told_of(run, "usfarm")
        assert "usfarm is down since" in told["why"]
        assert any("system status" in line for line in told["todo"])
        code, table = run("status")
        assert (code, "data farm usfarm down since " in table) == (0, True)
        code, said = run("doctor", "--timeout", "0.5")
        assert code == 1
        assert "BAD connection k: ready: IB's data farm usfarm is down since " in said
        simulator.faults.farm("usfarm", up=True)
        assert "It works" in told_of(run, "It works")["why"]
        simulator.faults.freeze()
        told = told_of(run, "silent")
        assert "silent for" in told["why"]
        assert "given up in" in told["next"]
        assert "silent for " in run("status")[1]
        assert "BAD connection k: ready: The gateway has been silent for " in run("doctor", "--timeout", "0.2")[1]


ON_THE_WAY = {
    "connecting": "Check the host, the port",
    "handshaking": "Look at the gateway's screen: a dialog",
    "starting": "not logged in to IB yet",
    "verifying": "not joined to IB",
}


@pytest.mark.parametrize("state", ON_THE_WAY)
def test_what_a_person_can_do_about_what_may_last_is_said_from_its_beginning(state):
    row = {"name": "k", "state": state, "wanted": True, "reason": "", "since_wall": 100.0}
    told = explain(row, None, now=101.0)
    assert told["todo"][0].startswith("If it lasts: ")
    assert ON_THE_WAY[state] in told["todo"][0]
    assert "Before that: eof: gone." in explain({**row, "reason": "eof: gone"}, None, now=101.0)["why"]
    told = explain({**row, "reason": "operator: stale quotes"}, None, now=101.0)
    assert "An operator had it begun anew: stale quotes." in told["why"]


def test_one_that_was_moved_to_where_nobody_answers_says_so_and_names_the_way_back(tmp_path, run):
    with simulated(lambda _: None) as endpoint, running(tmp_path, endpoint, run) as desk:
        desk.until(lambda row: row.state == "ready")
        code, _ = run("move", "k", "--endpoint", "127.0.0.1:1", "--timeout", "1", "--reason", "host is mended")
        assert code == 5
        desk.until(lambda row: row.state == "waiting")
        told = json.loads(run("explain", "k", "--json")[1])
        assert f"from {endpoint} to 127.0.0.1:1. refused: " in told["why"]
        assert told["why"].startswith("An operator has moved it, at ")
        assert told["todo"][0] == f"To move it back: backstay move k --endpoint {endpoint}"
        assert run(*told["todo"][0].removeprefix("To move it back: backstay ").split())[0] == 0
        told = json.loads(run("explain", "k", "--json")[1])
        assert (told["why"], told["todo"]) == ("It works.", [])
        assert run("move", "k", "--client-id", "9")[0] == 0
        told = json.loads(run("explain", "k", "--json")[1])
        assert "from client id 7 to client id 9. It works." in told["why"]
        assert run("move", "k", "--client-id", "7")[0] == 0
        assert json.loads(run("explain", "k", "--json")[1])["why"] == "It works."


def test_a_window_that_is_over_excuses_nothing_any_more_and_one_that_is_not_is_named_as_it_was_written(tmp_path, run):
    now = time.time()
    at = [time.strftime("%H:%M", time.gmtime(now + minutes * 60)) for minutes in (-60, -30, 30)]
    for window, excused in ((f"{at[0]}-{at[1]} UTC", False), (f"{at[0]}-{at[2]} UTC", True)):
        more = f'[gateways.h]\nendpoints = ["127.0.0.1:1"]\nmaintenance = ["{window}"]\n'
        more += '[connections.h]\ngateway = "h"\nclient_id = 8\n'
        with simulated(lambda _: None) as endpoint, running(tmp_path, endpoint, run, more) as desk:
            assert desk.daemon.manager.wait_until(
                lambda status: any(row.name == "h" and row.state == "waiting" for row in status.connections), PATIENCE
            )
            code, out = run("explain", "h", "--json")
            told = json.loads(out)
            assert (code, told["connection"]["wanted"]) == ((0, False) if excused else (3, True))
            assert (f"Planned downtime from {at[0]} to {at[2]} UTC: refused: " in told["why"]) == excused
            assert bool(told["todo"]) != excused


def test_one_of_several_endpoints_goes_back_by_a_reload():
    move = {"what": "endpoint", "before": "a:1, b:1", "after": "c:1", "at_wall": 100.0}
    row = {"name": "k", "state": "waiting", "wanted": True, "reason": "refused: c:1: no", "next_attempt_wall": 0.0}
    told = explain({**row, "operator_moves": [move]}, None, now=100.0)
    assert told["todo"][0] == "To move it back: backstay reload"


def test_one_that_crashed_too_often_says_so_and_names_the_way_back():
    row = {
        "name": "k",
        "state": "parked",
        "wanted": True,
        "reason": "session_died: 4 restarts within 60 s",
        "next_attempt_wall": 160.0,
    }
    told = explain(row, None, now=100.0)
    assert told["why"] == row["reason"]
    assert any("backstay dump" in line for line in told["todo"])
    assert any("backstay reset k" in line for line in told["todo"])


def test_the_help_names_the_commands_that_answer(run):
    _, said = run("--help")
    assert all(f" {name} " in said for name in ("status", "explain", "doctor"))


def test_one_that_works_in_planned_downtime_says_that_no_orders_are_taken():
    row = {
        "name": "a",
        "state": "ready",
        "reason": "",
        "wanted": False,
        "downtime": "planned downtime from 23:40 to 00:10 UTC",
    }
    told = explain(row, None, now=0.0)
    assert told["why"] == "It works. No orders are taken: planned downtime from 23:40 to 00:10 UTC."
    assert told["next"] == "Orders are taken again after it."
