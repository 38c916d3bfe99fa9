"""The control port, the program, and the pytest fixtures."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from backstay.simulator.control import NAME, REFUSALS, ROUTES, ControlServer
from backstay.simulator.fault_group import COMMANDS
from backstay.simulator.program import read_address

pytestmark = pytest.mark.timeout(60)

SECONDS = 10.0

CONTRACT = (
    "eof reset freeze thaw refuse accept drop_requests delay_ready dialog accept_dialog upstream_lost "
    "upstream_restored farm client_id_in_use port_changed pacing_reject bad_frame slow split lose_orders restart"
)
"""The names scripts depend on."""


@pytest.fixture
def control(simulator):
    server = ControlServer(simulator, ("127.0.0.1", 0))
    server.start()
    yield server.address
    server.stop()


def call(address, path, body=None):
    """Status and answer of one request."""
    host, port = address
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{host}:{port}{path}", data=data)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_state_is_what_the_simulator_says(control, simulator, dial):
    dial(simulator).ready(7).stream()
    simulator.wait_for(lambda state: state["clients"]["7"]["subscriptions"])
    status, state = call(control, "/state")
    assert status == 200
    assert state["clients"]["7"]["subscriptions"] == [
        {"family": "market_data", "id": 11, "symbol": "AAPL", "dead": False}
    ]
    assert set(state) == set(simulator.state())


@pytest.mark.parametrize("name", CONTRACT.split())
def test_every_fault_of_the_contract_exists(name):
    assert name in COMMANDS


def test_a_fault_happens(control, simulator, dial):
    client = dial(simulator).ready()
    assert call(control, "/faults/eof", {}) == (200, {"ok": True})
    assert client.ended() == "eof"


def test_a_fault_needs_no_body_when_it_has_no_arguments(control, simulator):
    assert call(control, "/faults/refuse", b"") == (200, {"ok": True})
    assert not simulator.state()["listening"]


def test_commands_get_through_while_everything_is_frozen(control, simulator, dial):
    client = dial(simulator).ready()
    assert call(control, "/faults/freeze", {})[0] == 200
    assert call(control, "/state")[1]["faults"]["frozen"]
    assert call(control, "/faults/thaw", {})[0] == 200
    client.send(105)
    assert client.read(109)


MISTAKES = [
    ("/faults/nonsense", {}, 404, "there are eof, reset"),
    ("/faults/", {}, 404, "no fault ''"),
    ("/elsewhere", {}, 404, "POST /faults/NAME"),
    ("/elsewhere", None, 404, "GET /state"),
    ("/faults/split", b"{", 400, "not JSON"),
    ("/faults/split", [1], 400, "JSON object"),
    ("/faults/split", {}, 400, "split needs bytes"),
    ("/faults/split", {"bytes": "three"}, 400, "bytes can not be 'three'"),
    ("/faults/split", {"bytes": True}, 400, "bytes can not be True"),
    ("/faults/split", {"bytes": 3, "colour": 1}, 400, "no argument 'colour'"),
    ("/faults/lose_orders", {"where": "nowhere"}, 400, "nowhere"),
    ("/faults/fill_order", {"client_id": 1, "order_id": 2}, 400, "no live order 2"),
    ("/faults/eof", b" " * 70_000, 413, "at most"),
]


@pytest.mark.parametrize(("path", "body", "status", "reason"), MISTAKES)
def test_mistakes_are_told(control, path, body, status, reason):
    seen, answer = call(control, path, body)
    assert seen == status
    assert reason in answer["error"]


def test_each_route_answers_and_each_refusal_is_met(control):
    for row in ROUTES:
        path = row.path.replace(NAME, "thaw")
        assert call(control, path, {} if row.method == "POST" else None)[0] == 200
        assert call(control, path, None if row.method == "POST" else {})[0] == 404
    assert {status for _, _, status, _ in MISTAKES} == {status.value for status in REFUSALS}


def test_the_faults_can_be_listed(control):
    assert set(call(control, "/faults")[1]) == set(COMMANDS)


@pytest.fixture
def program():
    """The simulator as a process, and the first line it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "backstay.simulator", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process, process.stdout.readline()
    process.kill()
    process.communicate(timeout=SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_prints_one_line_and_stops_on_a_signal(program, number):
    process, line = program
    address = line.rsplit("http://", 1)[1].strip()
    state = call(read_address(address), "/state")[1]
    assert f"listens on 127.0.0.1:{state['address'][1]}," in line
    os.kill(process.pid, number)
    output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, output, errors) == (0, "", "")


@pytest.mark.parametrize(
    "options", [("--listen", "127.0.0.1:{}"), ("--listen", "127.0.0.1:0", "--control", "127.0.0.1:{}")]
)
def test_a_port_in_use_is_told_in_one_line_with_its_option(simulator, options):
    options = [option.format(simulator.port) for option in options]
    ended = subprocess.run(
        [sys.executable, "-m", "backstay.simulator", *options],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"backstay simulator: can not listen: {options[-2]} 127.0.0.1:{simulator.port}: ")
    assert ended.stderr.count("\n") == 1


def test_an_option_out_of_range_is_a_usage_error():
    command = [sys.executable, "-m", "backstay.simulator", "--server-version", "300"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 2
    assert "server_version is 100 to 226" in ended.stderr


def test_a_control_port_that_was_never_started_can_be_stopped(simulator):
    ControlServer(simulator, ("127.0.0.1", 0)).stop()


@pytest.mark.parametrize("text", ["localhost", ":1", "host:x", "host:70000"])
def test_an_address_needs_a_host_and_a_port(text):
    with pytest.raises(ValueError, match="HOST:PORT"):
        read_address(text)


def test_the_fixture_of_the_plugin_is_a_running_simulator(tws_simulator, dial):
    assert dial(tws_simulator).ready()
    assert tws_simulator.state()["server_version"] == 200


def test_a_mistake_inside_the_simulator_is_kept(simulator, dial, monkeypatch):
    monkeypatch.setattr("backstay.simulator.requests.handle", lambda *_: 1 / 0)
    client = dial(simulator).ready()
    client.send(49, 1)
    simulator.wait_for(lambda state: state["requests"])
    client.close()
    simulator.wait_for(lambda state: not state["sockets"]["open"])
    assert "ZeroDivisionError" in simulator.errors[0]
    simulator._loop.errors.clear()  # or the fixture fails, as it should


def test_the_plugin_imports_nothing_heavy():
    code = "import sys, backstay.simulator.pytest_plugin; print('backstay.simulator.server' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert ended.stdout.strip() == "False"
