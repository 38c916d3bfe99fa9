"""`backstay doctor` names what was planted, and what to do about it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from backstay.cli import main
from backstay.protocol.errors import ErrorMessage, write_error, write_managed_accounts, write_next_valid_id
from backstay.protocol.framing import text
from backstay.protocol.handshake import Hello, answer
from backstay.simulator import Configuration, Simulator

VERSION = 176
QUICK = ("--timeout", "0.5")


@pytest.fixture
def examine(tmp_path: Path, monkeypatch, capsys) -> Callable[..., tuple[int, dict[str, dict]]]:
    """Run the doctor on a configuration with this gateway; its findings by what was looked at."""
    monkeypatch.chdir(tmp_path)

    def run(
        endpoint: str, *, http: str = "127.0.0.1:0", more: str = "", gateway: str = ""
    ) -> tuple[int, dict[str, dict]]:
        (tmp_path / "backstay.toml").write_text(
            f'[gateways.g]\nendpoints = ["{endpoint}"]\n{gateway}[connections.k]\ngateway = "g"\nclient_id = 1\n'
            f'[http]\nlisten = "{http}"\n{more}'
        )
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--json", *QUICK])
        told = json.loads(capsys.readouterr().out)
        assert told["ok"] == (ended.value.code == 0)
        return int(ended.value.code or 0), {one["check"].split(" 127")[0]: one for one in told["findings"]}

    return run


@contextmanager
def listening(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """Somebody who takes one connection and does this with it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with closing(server.accept()[0]) as sock:
                serve(sock)

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(10)


def saying(data: bytes) -> Callable[[socket.socket], object]:
    return lambda sock: (sock.recv(100), sock.sendall(data), sock.recv(100))


def gateway(*, wrong_by: float, error: int = 0) -> Callable[[socket.socket], object]:
    """One that answers as it should, but for its clock and one word of trouble."""

    def serve(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(answer(Hello(VERSION, b"20260101 10:00")))
        sock.recv(100)
        trouble = write_error(ErrorMessage(-1, error, "broken", "", 0), VERSION) if error else b""
        sock.sendall(trouble + write_next_valid_id(1, VERSION) + write_managed_accounts(b"DU1", VERSION))
        sock.recv(100)
        sock.sendall(text(49, 1, int(time.time() + wrong_by)))
        sock.recv(100)

    return serve


def of(simulator: Simulator) -> str:
    return "{}:{}".format(*simulator.address)


def test_all_is_well_with_a_gateway_that_answers(examine):
    with Simulator() as simulator:
        code, found = examine(of(simulator))
        assert code == 0, found
        assert "answers, server version" in found["gateway g"]["text"]
        doors = {"control.socket", "http.listen"}
        assert {
            "configuration",
            "journal",
            "control.holds",
            "daemon",
            "gateway g",
            "gateway g maintenance",
            *doors,
        } == set(found)


@pytest.mark.parametrize(
    ("serve", "told", "todo"),
    [
        (lambda sock: sock.recv(100), "accepted, then closed without a word", "trusted ones"),
        (lambda sock: (sock.recv(100), sock.recv(100)), "no answer to the greeting", "dialog"),
        (
            lambda sock: (sock.recv(100), sock.sendall(b"HTTP/1.0 400 Bad\r\n" * 9)),
            "does not speak the TWS",
            "Something",
        ),
        (
            lambda sock: (sock.recv(100), sock.sendall(b"\0\0\0\x1299\x0020260101 10:00\x00")),
            "version cannot",
            "Update TWS",
        ),
    ],
    ids=["closed", "silent", "no_tws", "too_old"],
)
def test_a_gateway_is_told_by_what_it_does(examine, serve, told, todo):
    with listening(serve) as endpoint:
        code, found = examine(endpoint)
    assert code == 1
    assert told in found["gateway g"]["text"]
    assert any(todo in line for line in found["gateway g"]["todo"])


def test_a_web_server_that_waits_for_a_whole_request_is_told_from_a_dialog(examine):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code, found = examine(f"127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    assert code == 1
    assert "it speaks HTTP" in found["gateway g"]["text"]


def test_a_port_where_nothing_listens_is_refused(examine):
    code, found = examine("127.0.0.1:1")
    assert code == 1
    assert found["gateway g"]["text"].startswith("nothing listens there")
    assert any("7496 (live)" in line for line in found["gateway g"]["todo"])


def test_a_host_that_has_no_address_is_told(examine):
    code, found = examine("no-such-host.invalid:4002")
    assert code == 1
    (gateway,) = (one for check, one in found.items() if check.startswith("gateway"))
    assert gateway["text"].startswith("the host name could not be resolved")


def test_a_client_id_in_use_and_a_dead_start_are_told_apart(examine):
    with Simulator() as simulator:
        simulator.faults.client_id_in_use(1)
        assert "client id is in use" in examine(of(simulator))[1]["gateway g"]["text"]
        simulator.faults.delay_ready(30.0)
        assert "startApi was not answered" in examine(of(simulator))[1]["gateway g"]["text"]


def test_a_port_that_is_taken_and_a_journal_that_cannot_be_written_are_told(examine, taken, tmp_path):
    with Simulator() as simulator:
        code, found = examine(of(simulator), http=taken, more='[journal]\npath = "nowhere/b.db"\n')
    assert code == 1
    assert found["http.listen"]["text"] == f"{taken} is in use by another process"
    assert found["journal"]["text"] == f"{Path('nowhere')} is no folder"


def test_what_would_refuse_a_start_is_told_before_it(examine, tmp_path):
    more = 'certificate = "no.pem"\nkey = "no.key"\n[control]\nsocket = "nowhere/b.sock"\n'
    with Simulator() as simulator:
        code, found = examine(of(simulator), more=more)
        assert code == 1
        assert found["control.socket"]["text"] == f"cannot be listened on: {Path('nowhere')} is no folder"
        assert found["http.certificate"]["text"] == f"{Path('no.pem')}: No such file or directory"
        assert all(found[check]["todo"] for check in ("control.socket", "http.certificate"))
        (tmp_path / "nowhere").mkdir()
        code, found = examine(of(simulator), more='[control]\nsocket = "nowhere/b.sock"\n')
        assert (code, found["control.socket"]["ok"], "http.certificate" in found) == (0, True, False)


def test_a_stand_in_that_is_down_has_a_finding_of_its_own(examine):
    with Simulator() as simulator:
        code, found = examine(f'{of(simulator)}", "127.0.0.1:1')
        assert code == 1
        assert found["gateway g"]["ok"]
        stand_in = found["gateway g stand-in"]
        assert stand_in["text"].startswith(f"could not stand in for {of(simulator)}: nothing listens there")
        assert stand_in["todo"][-1] == f"Until that is mended, nothing here takes over when {of(simulator)} goes away."
        code, found = examine(f'127.0.0.1:1", "{of(simulator)}')
        assert code == 1
        assert found["gateway g"]["text"].startswith("nothing listens there")
        assert found["gateway g stand-in"]["text"].startswith("could stand in for 127.0.0.1:1: answers, server version")


def test_a_daemon_that_does_not_run_is_said_so_and_one_that_was_killed_is_a_finding(examine, tmp_path):
    with Simulator() as simulator:
        code, found = examine(of(simulator))
        assert code == 0
        assert found["daemon"]["text"].startswith("does not run (no daemon answers at ")
        assert found["daemon"]["text"].endswith("; the rest is looked at without it")
        assert found["daemon"]["todo"] == ["Start it: backstay run, with the same configuration."]
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / "backstay.sock"))
        code, found = examine(of(simulator))
        assert (code, found["daemon"]["ok"]) == (1, False)
        assert "it was killed: look at the end of its log" in found["daemon"]["todo"][0]
        assert found["gateway g"]["ok"]


def test_a_gateway_that_is_away_in_its_planned_downtime_is_where_it_should_be(examine):
    now = time.time()
    begins, ends = (time.strftime("%H:%M", time.gmtime(now + minutes * 60)) for minutes in (-30, 30))
    code, found = examine("127.0.0.1:1", gateway=f'maintenance = ["{begins}-{ends} UTC"]\n')
    assert code == 0
    assert f"(planned downtime from {begins}" in found["gateway g"]["text"]
    assert found["gateway g"]["todo"] == ["Look again after it."]


def test_a_daemon_that_hangs_is_waited_for_as_long_as_was_said(examine, tmp_path):
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "backstay.sock"))
        deaf.listen()
        code, found = examine("127.0.0.1:1")
    assert code == 1
    assert found["daemon"]["text"] == "no answer within 0.5 s from backstay.sock"


def test_holds_that_are_a_folder_are_told_so(examine, tmp_path):
    (tmp_path / "backstay.holds").mkdir()
    code, found = examine("127.0.0.1:1")
    assert code == 1
    assert found["control.holds"]["text"] == "backstay.holds is a folder"
    assert found["control.holds"]["todo"] == ["Give the daemon's user the right to write there, or name another place."]


def test_holds_that_are_damaged_are_told_before_a_start_is_refused_because_of_them(examine, tmp_path):
    (tmp_path / "backstay.holds").write_text("{")
    code, found = examine("127.0.0.1:1")
    assert code == 1
    assert "is damaged" in found["control.holds"]["text"]
    assert found["control.holds"]["todo"] == ["Look at it and mend it, or remove it."]


def test_a_disk_that_is_nearly_full_is_told(examine, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=8 * 1024 * 1024))
    code, found = examine("127.0.0.1:1")
    assert code == 1
    assert found["journal"]["text"] == "only 8192 KiB are free in ."
    assert "Make room there" in found["journal"]["todo"][0]


@pytest.mark.parametrize(("client_id", "told"), [(1, ", and both may use client id 1"), (2, "")])
def test_one_tws_under_two_names_is_told(examine, client_id, told):
    with Simulator() as simulator:
        where = of(simulator)
        more = f'[gateways.h]\nendpoints = ["{where}"]\n[connections.l]\ngateway = "h"\nclient_id = {client_id}\n'
        code, found = examine(where, more=more)
        assert code == (1 if told else 0)
        assert found["gateways g and h"]["text"] == f"both dial {where}{told}"


def test_a_mistake_in_the_configuration_is_told_and_planned_downtime_as_well(examine):
    code, found = examine("nonsense")
    assert code == 1
    assert "gateways.g.endpoints[0]: must be HOST:PORT" in found["configuration"]["text"]
    with Simulator() as simulator:
        window = '[gateways.h]\nendpoints = ["127.0.0.1:1"]\nmaintenance = ["23:40-00:10 UTC"]\n'
        assert (
            "planned downtime from 23:40 to 00:10 UTC"
            in examine(of(simulator), more=window)[1]["gateway h maintenance"]["text"]
        )


def test_what_a_running_daemon_knows_is_told_with_it(place, tmp_path, monkeypatch):
    file = tmp_path / "backstay.toml"
    host, port = place.simulator.address
    file.write_text(
        f'[gateways.g]\nendpoints = ["{host}:{port}"]\n[connections.k]\ngateway = "g"\nclient_id = 1\n'
        '[http]\nenabled = false\n[journal]\npath = "other.db"\n'
    )
    code, out, _ = place.run("doctor", "--config", str(file), *QUICK)
    assert code == 1
    assert "ok  daemon: runs, pid " in out
    assert re.search("BAD connection lost: (waiting|connecting): refused: ", out), "it is dialled again and again"
    assert "      Is TWS or IB Gateway running there?" in out
    assert "ok  connection one: ready" in out


# -- what a gateway tells of itself ------------------------------------------------------------------------------------


def told_by(examine, *, gateway: str = "", **options) -> tuple[int, dict[str, dict]]:
    with Simulator(server_version=226, **options) as simulator:
        return examine(of(simulator), gateway=gateway)


def soon(minutes: int) -> str:
    return f"{datetime.now(UTC) + timedelta(minutes=minutes):%H:%M}"


def test_the_time_of_the_next_restart_is_told(examine):
    at = soon(90)
    code, found = told_by(examine, exit_at=at)
    assert code == 0, found
    exits = found["gateway g exit"]
    assert re.fullmatch(rf"restarts each day at {at} UTC, in 1\.[45] h", exits["text"])
    assert exits["todo"] == []
    assert "gateway g maintenance" not in found


def test_a_gateway_that_logs_off_is_told_with_what_would_have_it_come_back(examine):
    code, found = told_by(examine, exit_at="12:00", restarts=False)
    assert code == 0
    assert found["gateway g exit"]["text"].startswith("logs off each day at 12:00 UTC, in ")
    assert "Auto restart" in found["gateway g exit"]["todo"][0]


def test_a_restart_outside_the_configured_downtime_is_wrong(examine):
    code, found = told_by(examine, exit_at="12:00", gateway='maintenance = ["03:00-03:30 UTC"]\n')
    assert code == 1
    assert "outside its maintenance" in found["gateway g exit"]["text"]
    assert "maintenance" in found["gateway g exit"]["todo"][0]
    code, found = told_by(examine, exit_at="03:10", gateway='maintenance = ["03:00-03:30 UTC"]\n')
    assert code == 0
    assert "planned downtime from 03:00" in found["gateway g maintenance"]["text"]


@pytest.mark.parametrize("manner", [Configuration.REFUSED, Configuration.SILENT, Configuration.TOLD])
def test_where_nothing_tells_of_a_restart_the_line_to_write_is_told(examine, manner):
    code, found = told_by(examine, configuration=manner)
    assert code == 0
    assert found["gateway g maintenance"]["text"] == "no planned restart is known"
    assert "[gateways.g]: maintenance = [" in found["gateway g maintenance"]["todo"][0]
    assert ("gateway g settings" in found) is (manner is Configuration.TOLD)


def test_settings_of_the_api_are_told(examine):
    text = told_by(examine, master_client_id=5)[1]["gateway g settings"]["text"]
    assert text == (
        "master client id 5; connections from localhost only; trusts 127.0.0.1; messages above the rate are delayed"
    )
    code, found = told_by(examine, read_only=True)
    assert code == 1
    assert "Read-Only API is ticked; no master client id" in found["gateway g settings"]["text"]
    assert "orders are refused" in found["gateway g"]["text"]


def test_a_master_client_that_is_another_than_the_configured_one_is_wrong(examine):
    code, found = told_by(examine, master_client_id=5, gateway="master_client_id = 6\n")
    assert code == 1
    assert "the configuration says that its master client id is 6" in found["gateway g settings"]["text"]
    assert "be 5" in found["gateway g settings"]["todo"][0]
    assert told_by(examine, master_client_id=5, gateway="master_client_id = 5\n")[0] == 0
