"""A configuration read again while the daemon runs: what is told, what is taken over, and who does not notice."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import threading
from pathlib import Path

import pytest

from backstay import turns
from backstay.config import Address, Config, ConnectionConfig, PacingConfig, RelayConfig
from backstay.demo_client import QuoteClient
from backstay.metrics.listening import parse_address
from backstay.names import Names
from backstay.simulator import Simulator

PATIENCE = 30.0
PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


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
    assert code == 0
    assert told == {"schema": 1, "applied": False, "complete": False, "changes": [], "connections": [], "cut": []}


def test_a_dry_run_prints_the_difference_and_does_nothing(place):
    config = place.configured[-1]
    place.configured.append(changed(config, pacing=PacingConfig(messages_per_second=20)))
    epoch = place.row("one").epoch
    code, out, err = place.run("reload", "--dry-run")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "~ pacing.messages_per_second: 45 -> 20  (each connection in turn, with a new socket)",
        "to be taken over, one after the other, by: one, two, lost",
    ]
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
    assert "to be cut off: door/3\n" in place.run("reload", "--dry-run")[1]
    code, told = place.json("reload")
    assert (code, told["cut"], told["connections"]) == (0, ["door/3"], [])
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
        looked, code_and = place.run("reload", "--dry-run"), place.run("reload")
    text = f"backstay: the new configuration: relays.second.listen: {listen} is in use by another process\n"
    assert looked == code_and == (1, "", text)
    assert place.daemon.manager.config is config
    assert not client.wait_closed(0.0)


def with_endpoints(config: Config, *endpoints: str) -> Config:
    gateway = config.gateways["paper"].model_copy(update={"endpoints": tuple(map(parse_address, endpoints))})
    return changed(config, gateways={**config.gateways, "paper": gateway})


def test_a_name_without_an_address_refuses_the_whole_change_with_its_place(place, client):
    config, epoch = place.configured[-1], place.row("one").epoch
    here = "{}:{}".format(*place.simulator.address)
    place.configured.append(with_endpoints(config, here, "no-such-host.invalid:4002"))
    for words in (("reload", "--dry-run"), ("reload",)):
        code, out, err = place.run(*words)
        assert (code, out) == (1, "")
        told = "backstay: the new configuration: gateways.paper.endpoints[1]: no-such-host.invalid has no address: "
        assert err.startswith(told)
    assert place.daemon.manager.config is config
    assert place.row("one").epoch == epoch
    (event,) = (one for one in place.json("events")[1]["events"] if one["event"] == "configuration_refused")
    assert "gateways.paper.endpoints[1]" in event["reason"]
    code, _, err = place.run("move", "one", "--endpoint", "no-such-host.invalid:4002")
    assert code == 1
    assert "no-such-host.invalid has no address" in err
    assert (place.row("one").epoch, place.row("one").state) == (epoch, "ready")


def test_a_name_that_is_there_already_is_looked_up_if_a_socket_depends_on_it(place, monkeypatch):
    config = place.configured[-1]
    place.configured.append(changed(config, pacing=PacingConfig(messages_per_second=20)))
    monkeypatch.setattr(Names, "troubles", lambda _self, hosts: dict.fromkeys(hosts, "broken"))
    code, _, err = place.run("reload")
    assert code == 1
    assert "gateways.paper.endpoints[0]: 127.0.0.1 has no address: broken" in err
    assert "gateways.gone" not in err  # nothing that is up depends on it


def shown_on_page() -> list[str]:
    block = PAGE.read_text(encoding="utf-8").partition('title="a reload that stops"\n$ backstay reload\n')[2]
    return block.partition("```")[0].splitlines()


def shape(line: str) -> str:
    """A line without what differs from one house to the next: addresses, names and times."""
    line = re.sub(r"[\w.-]+:\d+", "ADDRESS", line)
    line = re.sub(r"\b(one|two|keeper|door/\d|paper/\d)\b", "NAME", line)
    return re.sub(r"NAME(, NAME)*", "NAMES", re.sub(r"\d+(\.\d+)?", "NUMBER", line))


def test_a_reload_stops_at_the_first_that_does_not_come_back_and_tells_how_to_go_on(place, client, monkeypatch):
    monkeypatch.setattr(turns, "BACK_SECONDS", 0.5)
    config = place.configured[-1]
    epochs = {name: place.row(name).epoch for name in ("two", "door/3")}
    place.configured.append(with_endpoints(config, "127.0.0.1:1"))
    assert place.run("reload", "--dry-run")[0] == 0
    code, out, err = place.run("reload")
    assert (code, out) == (5, "")
    said = err.splitlines()
    assert said[0].startswith("~ gateways.paper.endpoints: ")
    assert said[1].startswith("stopped: one did not come back within 0.5 s (waiting, refused: 127.0.0.1:1: ")
    assert said[2:4] == ["taken over by: one", "as before: two, door/3"]
    assert "backstay reload" in said[4]
    assert not PAGE.is_file() or [shape(line) for line in said] == [shape(line) for line in shown_on_page()]
    assert {name: place.row(name).epoch for name in epochs} == epochs
    assert all(place.row(name).state == "ready" for name in epochs)
    (event,) = (one for one in place.json("events")[1]["events"] if one["event"] == "configuration_stopped")
    assert (event["failed"], event["left"]) == ("one", "two,door/3")
    code, told = place.json("reload")  # goes on: the next one has its turn
    assert (code, told["complete"], told["stopped"]["failed"], told["stopped"]["left"]) == (5, False, "two", ["door/3"])
    place.configured.append(config)
    code, told = place.json("reload", "--dry-run")
    assert (code, told["connections"]) == (0, ["one", "two"])
    assert place.run("reload")[0] == 0
    place.until("ready", "one", "two", "door/3")
    assert place.row("door/3").epoch == epochs["door/3"]
    assert not client.wait_closed(0.0)
    assert place.run("reload") == (0, "nothing has changed\n", "")


def test_connections_of_the_configuration_have_their_turns_one_by_one_as_well(place, monkeypatch):
    monkeypatch.setattr(turns, "BACK_SECONDS", 0.5)
    config = place.configured[-1]
    keepers = {
        name: ConnectionConfig(gateway="gone", client_id=one.client_id) for name, one in config.connections.items()
    }
    place.configured.append(changed(config, connections=keepers))
    two = place.row("two").epoch
    code, told = place.json("reload")
    assert (code, told["stopped"]["failed"], told["stopped"]["left"]) == (5, "one", ["two"])
    assert (place.row("two").epoch, place.row("two").gateway, place.row("two").state) == (two, "paper", "ready")
    assert [change["key"] for change in place.json("reload", "--dry-run")[1]["changes"]] == ["connections.two.gateway"]
    place.configured.append(config)
    assert place.run("reload")[0] == 0
    place.until("ready", "one", "two")
    assert place.row("two").epoch == two


def test_two_connections_exchange_their_client_ids(place):
    config = place.configured[-1]
    one, two = config.connections["one"], config.connections["two"]
    place.configured.append(changed(config, connections={**config.connections, "one": two, "two": one}))
    received = place.row("one").messages_received
    code, told = place.json("reload")
    assert (code, told["complete"], told["connections"]) == (0, True, ["one", "two"])
    place.until("ready", "one", "two")
    lost = [one for one in place.json("events")[1]["events"] if one["event"] == "connection_lost"]
    assert [(one["connection"], one["cause"]) for one in lost] == [("two", "operator"), ("one", "operator")]
    assert place.daemon.manager._find("one").meter.disconnects["operator"] == 1
    assert place.row("one").messages_received >= received
    assert (place.row("one").client_id, place.row("two").client_id) == (902, 901)


def test_what_needs_a_new_process_is_told_and_waits(place, tmp_path: Path):
    config = place.configured[-1]
    control = config.control.model_copy(update={"socket": tmp_path / "other.sock"})
    place.configured.append(changed(config, control=control))
    code, out, _ = place.run("reload")
    assert code == 0
    assert out.endswith("(with the next start of the process)\n")
    assert place.daemon.manager.config.control.socket == tmp_path / "b.sock"


def test_a_reload_that_nobody_waits_for_is_judged_and_then_goes_on_by_itself(place):
    config = place.configured[-1]
    place.configured.append(changed(config, pacing=PacingConfig(messages_per_second=20)))
    code, out, err = place.run("reload", "--no-wait", "--reason", "calm")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "ordered; backstay events tells what comes of it"
    found = wait_for_event(place, "configuration_reloaded")
    assert found["changed"] == "one,two,lost"
    assert wait_for_event(place, "operator_command")["reason"] == "calm"
    assert place.daemon.manager.config.pacing.messages_per_second == 20
    assert place.json("reload", "--no-wait")[1]["ordered"] is True
    wait_for_event(place, "configuration_unchanged")
    place.configured.clear()
    code, _, err = place.run("reload", "--no-wait")
    assert code == 1
    assert "is a mistake" in err


def test_a_reload_that_begins_while_another_one_is_at_it_says_so_later(place, monkeypatch):
    changes = place.daemon._operations._changes
    told = changes.look()
    monkeypatch.setattr(changes, "look", lambda: told)
    with changes._turn():
        assert place.json("reload", "--no-wait")[0] == 0
        assert "already" in wait_for_event(place, "configuration_refused")["reason"]


def wait_for_event(place, name: str) -> dict:
    """The first of this name, as soon as there is one."""
    news, ring = threading.Event(), place.daemon._events
    leave = ring.follow(news.set)
    try:
        while True:
            found = next((one.fields for one in ring.since(0)[0] if one.name == name), None)
            if found is not None:
                return found
            assert news.wait(PATIENCE), name
            news.clear()
    finally:
        leave()


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
    file.write_text(text + "[pacing]\nmessages_per_second = 20\n")
    program.process.send_signal(signal.SIGHUP)
    program.err.wait("event=configuration_unchanged")
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
    code, told = place.json("move", "one", "--client-id", "950", "--reason", "902 is for the night")
    assert (code, told["results"][0]["ok"]) == (0, True)
    assert place.row("one").client_id == 950
    (event,) = (one for one in place.json("events")[1]["events"] if one["event"] == "operator_command")
    assert (event["command"], event["to"], event["reason"]) == ("move", "client id 950", "902 is for the night")


def test_a_move_touches_nobody_else_and_undoes_no_other_move(place, client):
    with Simulator() as other:
        where = "{}:{}".format(*other.address)
        for name in ("two", "door/3"):
            assert place.run("move", name, "--endpoint", where)[0] == 0
        epoch = place.row("door/3").epoch
        for words in (("one", "--client-id", "950"), ("two", "--client-id", "951"), ("two", "--endpoint", where)):
            assert place.run("move", *words)[0] == 0
        assert (place.row("door/3").epoch, place.row("door/3").endpoint) == (epoch, where)
        assert (place.row("two").endpoint, place.row("two").client_id, place.row("two").state) == (where, 951, "ready")
        told = place.json("explain", "two")[1]["why"]
        assert "from client id 902 to client id 951" in told
        assert f" to {where}. " in told
        assert place.json("reload", "--dry-run")[1]["connections"] == ["one", "two", "door/3"]
        client.stop()


def test_a_move_carries_on_no_reload_that_has_stopped(place, client, monkeypatch):
    monkeypatch.setattr(turns, "BACK_SECONDS", 0.5)
    place.configured.append(with_endpoints(place.configured[-1], "127.0.0.1:1"))
    assert place.run("reload")[0] == 5
    epoch = place.row("door/3").epoch
    assert place.run("move", "two", "--client-id", "950")[0] == 0
    assert (place.row("two").state, place.row("two").client_id) == ("ready", 950)
    assert (place.row("door/3").state, place.row("door/3").epoch) == ("ready", epoch)
    assert place.json("reload", "--dry-run")[1]["connections"] == ["two", "door/3"]
    assert not client.wait_closed(0.0)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("one",), 2, "name one connection, and either --endpoint or --client-id"),
        ((), 2, "name one connection"),
        (("one", "two", "--client-id", "5"), 2, "name one connection"),
        (("one", "--endpoint", "nowhere"), 2, "endpoint: must be HOST:PORT"),
        (("one", "--client-id", "902"), 1, "client id 902 on gateway paper belongs to connections.one.client_id"),
        (("one", "--client-id", "99999999999"), 2, "a client id is 0 to 2147483647"),
        (("nobody", "--client-id", "5"), 1, "no connection 'nobody'"),
    ],
)
def test_a_move_that_cannot_be_is_refused(place, words, code, told):
    ended, out, err = place.run("move", *words)
    assert (ended, out) == (code, "")
    assert told in err
    assert place.row("one").client_id == 901


def test_a_move_lasts_until_the_next_reload(place):
    with Simulator() as other:
        assert place.run("move", "one", "--endpoint", "{}:{}".format(*other.address))[0] == 0
        assert place.json("reload", "--dry-run")[1]["connections"] == ["one"]
        code, out, _ = place.run("reload")
        assert (code, out) == (0, "taken over by: one\n")
        assert place.row("one").endpoint == "{}:{}".format(*place.simulator.address)


def test_a_client_chooses_its_id_itself(place, client):
    assert "it chooses its client id itself" in place.run("move", "door/3", "--client-id", "9")[2]
