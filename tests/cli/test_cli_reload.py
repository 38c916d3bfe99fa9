"""A configuration read again while the daemon runs: what is told, what is taken over, and who does not notice."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
from pathlib import Path

import pytest

from backstay.config import Address, Config, ConnectionConfig, PacingConfig, RelayConfig
from backstay.demo_client import QuoteClient
from backstay.simulator import Simulator

PATIENCE = 30.0


def changed(config: Config, **sections: object) -> Config:
    return Config.model_validate({**dict(config), **sections})


@pytest.fixture
def client(place):
    found = QuoteClient(place.daemon.manager.address("door"), ("AAPL",), client_id=3)
    try:
        found.start()
        assert found.wait_for_quotes(0.0, PATIENCE) == 1
        yield found
    finally:
        found.stop()


def test_nothing_changed_is_told_so(place):
    assert place.run("reload") == (0, "nothing has changed\n", "")
    code, told = place.json("reload", "--dry-run")
    assert (code, told) == (0, {"schema": 1, "applied": False, "changes": []})


def test_a_dry_run_prints_the_difference_and_does_nothing(place):
    config = place.configured[-1]
    place.configured.append(changed(config, pacing=PacingConfig(messages_per_second=20)))
    epoch = place.row("one").epoch
    code, out, err = place.run("reload", "--dry-run")
    assert (code, err) == (0, "")
    assert out == "~ pacing.messages_per_second: 45 -> 20  (each connection in turn, with a new socket)\n"
    assert place.row("one").epoch == epoch
    assert place.daemon.manager.config is config


def test_a_mistake_leaves_everything_as_it_is(place):
    place.configured.clear()
    for words in (("reload",), ("reload", "--dry-run")):
        assert place.run(*words) == (1, "", "backstay: b.toml: pacing: is a mistake\n")
    code, told = place.json("reload")
    assert (code, told["error"]["code"]) == (1, "refused")
    assert place.row("one").state == "ready"


def test_settings_reach_every_connection_and_no_client_is_cut(place, client):
    place.configured.append(changed(place.configured[-1], pacing=PacingConfig(messages_per_second=20)))
    epochs = {name: place.row(name).epoch for name in ("one", "two", "door/3")}
    code, told = place.json("reload")
    assert (code, told["applied"]) == (0, True)
    place.until("ready", *epochs)
    for name, epoch in epochs.items():
        assert place.row(name).epoch > epoch
        assert place.daemon.manager._find(name).charge.settings.messages_per_second == 20
    assert not client.wait_closed(0.0)
    assert client.wait_for_quotes(0.0, PATIENCE) == 1


def test_connections_come_and_go_and_the_others_do_not_notice(place, client):
    config = place.configured[-1]
    keepers = {"two": ConnectionConfig(gateway="paper", client_id=912), "new": config.connections["one"]}
    place.configured.append(changed(config, connections=keepers))
    before = place.row("door/3").epoch
    code, out, _ = place.run("reload")
    assert code == 0
    assert "~ connections.two.client_id: 902 -> 912  (the connection anew)" in out.splitlines()
    place.until("ready", "two", "new")
    assert {one.name for one in place.daemon.manager.status().connections} == {"two", "new", "door/3"}
    assert place.row("two").client_id == 912
    assert place.row("door/3").epoch == before
    assert not client.wait_closed(0.0)


def test_a_relay_comes_and_another_goes_with_its_clients(place, client):
    config = place.configured[-1]
    second = RelayConfig(gateway="paper", listen=Address("127.0.0.1", 0))
    place.configured.append(changed(config, relays={"second": second}))
    assert place.run("reload")[0] == 0
    assert client.wait_closed(PATIENCE)
    host, port = place.daemon.manager.address("second")
    again = QuoteClient((host, port), ("AAPL",), client_id=4)
    try:
        again.start()
        assert again.wait_for_quotes(0.0, PATIENCE) == 1
    finally:
        again.stop()
    assert [door.name for door in place.daemon.manager.status().listeners] == ["second"]


def test_a_door_that_cannot_be_opened_refuses_the_whole_change(place, client):
    config = place.configured[-1]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = Address(*taken.getsockname()[:2])
        relays = {**config.relays, "second": RelayConfig(gateway="paper", listen=listen, client_ids="40")}
        place.configured.append(changed(config, relays=relays, pacing=PacingConfig(messages_per_second=20)))
        code, _, err = place.run("reload")
    assert (code, err) == (1, f"backstay: {listen} is in use by another process\n")
    assert place.daemon.manager.config is config
    assert not client.wait_closed(0.0)


def test_what_needs_a_new_process_is_told_and_waits(place, tmp_path: Path):
    config = place.configured[-1]
    control = config.control.model_copy(update={"socket": tmp_path / "other.sock"})
    place.configured.append(changed(config, control=control))
    code, out, _ = place.run("reload")
    assert code == 0
    assert out.endswith("(with the next start of the process)\n")
    assert place.daemon.manager.config.control.socket == tmp_path / "b.sock"


def test_a_hangup_reloads(launch, tmp_path):
    file = tmp_path / "backstay.toml"
    text = (
        '[gateways.g]\nendpoints = ["127.0.0.1:1"]\n[connections.k]\ngateway = "g"\nclient_id = 1\n'
        "[http]\nenabled = false\n"
    )
    file.write_text(text)
    program = launch("run")
    program.ready()
    file.write_text(text + "[pacing]\nmessages_per_second = 20\n")
    program.process.send_signal(signal.SIGHUP)
    program.err.wait("event=configuration_reloaded changes=pacing.messages_per_second")
    file.write_text("nonsense")
    program.process.send_signal(signal.SIGHUP)
    program.err.wait("event=configuration_refused")
    assert program.end(signal.SIGTERM) == 0


def test_a_bundle_is_written_on_demand_also_when_the_socket_is_out_of_reach(launch, tmp_path):
    program = launch("run", "--simulator", BACKSTAY_RELAYS__SIMULATOR__LISTEN="127.0.0.1:0", BACKSTAY_HTTP__ENABLED="0")
    program.ready()
    program.process.send_signal(signal.SIGUSR1)
    path = Path(program.err.wait(r"event=dump_written path=(\S+)")[1])
    assert path.parent == tmp_path / "backstay"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["schema"] == 1
    assert program.end(signal.SIGTERM) == 0


# -- move ------------------------------------------------------------------------------------------------------------


def test_a_connection_moves_to_another_gateway_and_its_client_stays(place, client):
    with Simulator() as other:
        where = "{}:{}".format(*other.address)
        code, out, err = place.run("move", "door/3", "--endpoint", where, "--reason", "host is to be mended")
        assert (code, err) == (0, "")
        assert re.fullmatch(r"door/3: moved \(ready, \d+\.\ds\)\n", out)
        assert place.row("door/3").endpoint == where
        assert place.row("one").endpoint == "{}:{}".format(*place.simulator.address)
        assert client.wait_for_quotes(0.0, PATIENCE) == 1
        assert not client.wait_closed(0.0)
        place.until("ready", "door/3")
        client.stop()


def test_a_connection_of_ours_moves_to_another_client_id(place):
    code, told = place.json("move", "one", "--client-id", "950")
    assert (code, told["results"][0]["ok"]) == (0, True)
    assert place.row("one").client_id == 950


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("one",), 2, "name one connection, and either --endpoint or --client-id"),
        ((), 2, "name one connection"),
        (("one", "two", "--client-id", "5"), 2, "name one connection"),
        (("one", "--endpoint", "nowhere"), 1, "must be HOST:PORT"),
        (("one", "--client-id", "902"), 1, "client id 902 on gateway paper belongs to connections.one.client_id"),
        (("nobody", "--client-id", "5"), 1, "no connection 'nobody'"),
    ],
)
def test_a_move_that_cannot_be_is_refused(place, words, code, told):
    ended, out, err = place.run("move", *words)
    assert (ended, out) == (code, "")
    assert told in err
    assert place.row("one").client_id == 901


def test_a_client_chooses_its_id_itself(place, client):
    assert "it chooses its client id itself" in place.run("move", "door/3", "--client-id", "9")[2]
