"""`backstay run` as a process: what it prints, what it opens, how it ends."""

import json
import os
import re
import signal
import stat
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from backstay import cli
from backstay.control.client import ControlClient
from backstay.demo_client import QuoteClient
from backstay.simulator import Simulator

FREE = {"BACKSTAY_RELAYS__SIMULATOR__LISTEN": "127.0.0.1:0", "BACKSTAY_HTTP__LISTEN": "127.0.0.1:0"}
PATIENCE = 30.0


def address_in(line: str) -> tuple[str, int]:
    host, port = re.search(r"relay \w+ on ([\d.]+):(\d+)", line).groups()
    return host, int(port)


def get(line: str, path: str) -> tuple[int, str]:
    url = re.search(r"HTTP on (http://[\d.:]+/)", line)[1]
    try:
        with urllib.request.urlopen(url + path, timeout=PATIENCE) as answer:  # noqa: S310  # http, as matched
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def wait_for_text(file: Path, text: str) -> bool:
    """Whether a file that another process writes to has this in the end."""
    looks, pause = range(round(PATIENCE / 0.05)), threading.Event()  # never set
    return any(text in file.read_text() or pause.wait(0.05) for _ in looks)


def write_config(folder: Path, *, gateway: str = "127.0.0.1:1", **over: str) -> Path:
    listen, http = over.get("listen", "127.0.0.1:0"), over.get("http", "127.0.0.1:0")
    file = folder / "backstay.toml"
    file.write_text(
        f"""
[gateways.paper]
endpoints = ["{gateway}"]
[relays.door]
gateway = "paper"
listen = "{listen}"
[connections.keeper]
gateway = "paper"
client_id = 900
[http]
listen = "{http}"
[backoff]
first_seconds = 0.05
[log]
format = "{over.get("format", "logfmt")}"
level = "{over.get("level", "info")}"
"""
    )
    return file


def test_it_says_in_one_line_where_it_listens(launch):
    program = launch("run", "--simulator", **FREE)
    line = program.ready()
    with_port = r"127\.0\.0\.1:[1-9]\d*"
    assert re.fullmatch(
        rf"backstay \S+ is ready: relay simulator on {with_port}, HTTP on http://{with_port}/, control socket \S+, "
        rf"gateway simulator simulated on {with_port}, to be broken on http://{with_port}/faults",
        line,
    )
    assert program.end(signal.SIGTERM) == 0
    assert program.out.all == [line]


def test_a_client_gets_quotes_through_it_and_the_watchers_see_it(launch, tmp_path):
    program = launch("run", "--simulator", **FREE)
    line = program.ready()
    client = QuoteClient(address_in(line), ("AAPL",), client_id=3)
    try:
        client.start()
        assert client.wait_for_quotes(0.0, PATIENCE) == 1
        socket_path = tmp_path / "backstay" / f"simulator-pid{program.process.pid}.sock"
        assert str(socket_path) in line
        (one,) = ControlClient(socket_path).status()["connections"]
        assert (one["name"], one["state"], one["streams"]) == ("simulator/3", "ready", 1)
        assert get(line, "livez")[0] == 200
        assert get(line, "readyz?verbose") == (200, "[+]simulator/3 ready\n[+]journal\nok\n")
        assert json.loads(get(line, "api/v1/status")[1])["connections"][0]["name"] == "simulator/3"
        status, metrics = get(line, "metrics")
        assert status == 200
        assert 'backstay_connection_up{connection="simulator/3"} 1' in metrics
        assert re.search(r'^backstay_actor_\w+{actor="connections/simulator/3/session"', metrics, re.MULTILINE)
        assert "simulator-1" not in metrics
    finally:
        client.stop()


def test_the_control_socket_of_a_simulation_is_for_its_owner_alone_and_goes_with_it(launch, tmp_path):
    program = launch("run", "--simulator", **FREE)
    program.ready()
    folder = tmp_path / "backstay"
    (socket_path,) = folder.glob("*.sock")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600
    assert program.end(signal.SIGTERM) == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order_while_a_client_streams(launch, number):
    program = launch("run", "--simulator", **FREE)
    client = QuoteClient(address_in(program.ready()), ("AAPL", "MSFT"))
    try:
        client.start()
        assert client.wait_for_quotes(0.0, PATIENCE) == 2
        assert program.end(number) == 0
        assert client.wait_closed(PATIENCE)
    finally:
        client.stop()
    assert re.search(rf"event=stopping reason={number.name}$", "\n".join(program.err.all), re.MULTILINE)
    assert program.err.all[-1].endswith("event=stopped")


def test_a_hangup_changes_nothing(launch):
    program = launch("run", "--simulator", **FREE)
    line = program.ready()
    program.process.send_signal(signal.SIGHUP)
    assert get(line, "livez")[0] == 200
    assert program.end(signal.SIGTERM) == 0


def test_a_file_is_run_and_found_by_name_or_in_the_folder(launch, tmp_path, command):
    with Simulator() as simulator:
        file = write_config(tmp_path, gateway="{}:{}".format(*simulator.address))
        for arguments, environ in (
            (("--config", str(file)), {}),
            ((), {"BACKSTAY_CONFIG": str(file)}),
            ((), {}),
        ):
            program = launch("run", *arguments, **environ)
            program.ready()
            program.err.wait("event=state_changed connection=keeper .*to=ready")
            assert command("status", *arguments, **environ).returncode == 0
            assert (tmp_path / "backstay.sock").is_socket()
            assert program.end(signal.SIGTERM) == 0
            assert not (tmp_path / "backstay.sock").exists()
        assert simulator.errors == []


def test_it_is_up_while_the_gateway_is_down(launch, tmp_path, command):
    write_config(tmp_path)
    program = launch("run")
    line = program.ready()
    program.err.wait("event=connect_failed connection=keeper .*cause=refused code=502")
    assert get(line, "livez")[0] == 200
    assert get(line, "readyz")[0] == 503
    shown = command("status")
    assert shown.returncode == 3
    assert re.search(
        r"^keeper +paper 127.0.0.1:1 +up +waiting .* refused: 127.0.0.1:1: Connection refused$",
        shown.stdout,
        re.MULTILINE,
    )
    assert program.end(signal.SIGTERM) == 0


def test_a_simulation_takes_the_place_of_the_gateways_of_a_file(launch, tmp_path):
    write_config(tmp_path)
    program = launch("run", "--simulator", "--config", "backstay.toml")
    assert "gateway paper simulated on" in program.ready()
    program.err.wait("event=state_changed connection=keeper .*to=ready")
    assert program.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(("door", "key"), [("listen", "relays.door.listen"), ("http", "http.listen")])
def test_a_port_in_use_is_one_sentence_and_nothing_stays_behind(command, tmp_path, taken, door, key):
    write_config(tmp_path, **{door: taken})
    ended = command("run")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == f"backstay: {key}: {taken} is in use by another process\n"
    assert [path.name for path in tmp_path.iterdir()] == ["backstay.toml"]


@pytest.mark.parametrize("transport", ["socket", "port"])
def test_a_place_for_the_socket_that_cannot_be_looked_at_is_one_sentence(command, tmp_path, transport):
    write_config(tmp_path)
    place = {"BACKSTAY_CONTROL__SOCKET": "backstay.toml/backstay.sock", "BACKSTAY_CONTROL__TRANSPORT": transport}
    ended = command("run", **place)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("backstay: control.socket: ")
    assert ended.stderr.endswith(": Not a directory\n")
    assert ended.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["backstay.toml"]


def test_a_second_daemon_does_not_take_the_socket_of_the_first(launch, tmp_path, command):
    write_config(tmp_path)
    program = launch("run")
    program.ready()
    ended = command("run")
    assert ended.returncode == 1
    assert ended.stderr == ("backstay: control.socket: cannot listen on backstay.sock: another daemon answers there\n")
    assert program.end(signal.SIGTERM) == 0


def test_two_daemons_of_one_folder_do_not_share_their_files(launch, tmp_path, command):
    write_config(tmp_path)
    program = launch("run")
    program.ready()
    other = {"BACKSTAY_CONTROL__SOCKET": "other.sock"}
    ended = command("run", **other)
    whose = rf"another daemon \(pid {program.process.pid}, control socket {tmp_path}/backstay.sock\)"
    told = rf"control.holds: backstay.holds is in use by {whose}; give each daemon a file of its own"
    assert ended.returncode == 1
    assert re.fullmatch(rf"backstay: {told}\n", ended.stderr)
    assert command("check", "backstay.toml").returncode == 0
    judged = command("check", "backstay.toml", **other)
    assert judged.returncode == 1
    assert re.search(rf"^backstay.toml: {told}$", judged.stderr, re.MULTILINE)
    assert re.search(rf"^backstay.toml: journal.path: backstay.db is in use by {whose}", judged.stderr, re.MULTILINE)
    found = {one["check"]: one for one in json.loads(command("doctor", "--json", **other).stdout)["findings"]}
    assert re.search(whose, found["control.holds"]["text"])
    assert found["control.holds"]["todo"] == ["Name another file, or end the other daemon."]
    assert program.end(signal.SIGTERM) == 0
    apart = launch("run", **other)
    apart.ready()
    assert apart.end(signal.SIGTERM) == 0


def test_who_did_what_and_why_is_known_after_a_restart_of_the_daemon(launch, tmp_path, command):
    write_config(tmp_path)
    for how in (signal.SIGKILL, signal.SIGTERM):
        program = launch("run", BACKSTAY_JOURNAL__PATH="orders.db")
        program.ready()
        program.err.wait("event=retry_planned connection=keeper")
        assert command("reset", "keeper", "--no-wait", "--reason", f"before {how.name}").returncode == 0
        assert command("events", "--json").returncode == 0
        file = tmp_path / "orders.db.events"
        assert wait_for_text(file, f"before {how.name}"), file.read_text()
        program.end(how)
    program = launch("run", BACKSTAY_JOURNAL__PATH="orders.db")
    program.ready()
    for words in ((), ("--since", "1h")):
        told = json.loads(command("events", "--json", *words).stdout)
        reasons = [one["reason"] for one in told["events"] if one["event"] == "operator_command"]
        assert reasons == ["before SIGKILL", "before SIGTERM"]
        numbers = [one["number"] for one in told["events"]]
        assert numbers == sorted(set(numbers))
    assert program.end(signal.SIGTERM) == 0
    assert json.loads(file.read_text().splitlines()[-1])["event"] == "stopped"
    assert not list(tmp_path.glob("*.lock"))


def test_events_that_cannot_be_kept_stop_nothing_and_that_is_an_event(launch, tmp_path, command):
    write_config(tmp_path)
    (tmp_path / "backstay.db.events").mkdir()
    program = launch("run")
    program.ready()
    program.err.wait('event=events_not_kept reason="backstay.db.events: Is a directory"')
    assert "started" in command("events").stdout
    assert program.end(signal.SIGTERM) == 0


def test_every_problem_of_a_configuration_has_its_line(command, tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text(
        '[gateways.a]\nendpoints = ["nowhere"]\n[relays.r]\ngateway = "b"\nlisten = "127.0.0.1:0"\n[http]\nx = 1\n'
    )
    run, check = command("run", "--config", str(file)), command("check", str(file))
    assert (run.returncode, check.returncode) == (1, 1)
    assert run.stderr == check.stderr
    assert len(run.stderr.splitlines()) == 3
    assert all(line.startswith(f"{file}: ") for line in run.stderr.splitlines())
    assert run.stdout == check.stdout == ""
    told = json.loads(command("check", "--json", str(file)).stdout)
    assert (told["ok"], len(told["problems"])) == (False, 3)
    assert set(told["problems"][0]) == {"origin", "key", "reason"}


def test_a_good_configuration_is_told_so(command, tmp_path):
    file = write_config(tmp_path)
    good = command("check", "backstay.toml")
    assert (good.returncode, good.stdout) == (0, "backstay.toml: ok (1 gateway, 1 relay, 1 connection)\n")
    assert json.loads(command("check", "--json", str(file)).stdout) == {"schema": 1, "ok": True, "problems": []}


def test_without_a_configuration_it_says_what_to_do(command):
    ended = command("run")
    assert ended.returncode == 1
    assert "no backstay.toml here: name one with --config, or try `backstay run --simulator`" in ended.stderr


def test_the_environment_alone_will_do(launch):
    program = launch(
        "run",
        BACKSTAY_GATEWAYS__PAPER='{"endpoints": ["127.0.0.1:1"]}',
        BACKSTAY_RELAYS__DOOR='{"gateway": "paper", "listen": "127.0.0.1:0"}',
        BACKSTAY_HTTP__ENABLED="false",
    )
    assert re.fullmatch(r"backstay \S+ is ready: relay door on \S+, control socket backstay.sock", program.ready())
    assert program.end(signal.SIGTERM) == 0


def test_the_log_has_one_json_object_a_line_when_told_so(launch, tmp_path):
    write_config(tmp_path, format="json", level="debug")
    program = launch("run")
    program.ready()
    program.err.wait('"connect_failed"')
    assert program.end(signal.SIGTERM) == 0
    lines = [json.loads(line) for line in program.err.all]
    assert all({"time", "level", "event"} <= set(line) for line in lines)
    assert {"child_started", "started", "stopped"} <= {line["event"] for line in lines}
    assert {line["level"] for line in lines if line["event"] == "child_started"} == {"debug"}


def test_the_log_tells_no_account_and_no_message(launch):
    program = launch("run", "--simulator", **FREE, BACKSTAY_LOG__LEVEL="debug")
    client = QuoteClient(address_in(program.ready()), ("AAPL",))
    try:
        client.start()
        assert client.wait_for_quotes(0.0, PATIENCE) == 1
        before = client.quotes
        assert client.wait_for_quotes(1.0, PATIENCE) == 1
        assert client.quotes >= before
    finally:
        client.stop()
    assert program.end(signal.SIGTERM) == 0
    assert not re.search(r"\bD?U\d{5}", "\n".join(program.err.all))
    assert not any("AAPL" in line for line in program.err.all)


def test_the_simulator_says_where_it_listens_and_takes_orders(launch):
    program = launch("simulator", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
    url = program.out.wait(r"listens on 127.0.0.1:\d+, control on (http://\S+)")[1]
    with urllib.request.urlopen(url + "/state", timeout=PATIENCE) as answer:  # noqa: S310  # http, as matched
        assert "clients" in json.load(answer)
    assert program.end(signal.SIGTERM) == 0


def test_the_simulator_refuses_what_it_cannot_do(command, taken):
    wrong = command("simulator", "--listen", "nowhere")
    assert wrong.returncode == 2
    assert "not HOST:PORT" in wrong.stderr
    busy = command("simulator", "--listen", taken)
    assert busy.returncode == 1
    assert len(busy.stderr.splitlines()) == 1


def test_signals_that_come_while_it_still_loads_do_not_end_it(monkeypatch):
    def loading() -> int:
        for name in ("SIGHUP", "SIGUSR1"):
            os.kill(os.getpid(), signal.Signals[name])
            assert signal.getsignal(signal.Signals[name]) is signal.SIG_IGN
        return 7

    before = [signal.getsignal(one) for one in (signal.SIGHUP, signal.SIGUSR1)]
    monkeypatch.setattr(cli, "load", lambda _: loading)
    assert cli.main(["run"]) == 7
    assert [signal.getsignal(one) for one in (signal.SIGHUP, signal.SIGUSR1)] == before
