"""A daemon whose door is a port, from the command line: found, obeyed, closed to strangers, taken over, gone."""

from __future__ import annotations

import json
import signal
import stat

CONFIGURATION = """
[gateways.paper]
endpoints = ["127.0.0.1:1"]
[connections.keeper]
gateway = "paper"
client_id = 900
[http]
listen = "127.0.0.1:0"
[control]
transport = "port"
"""


def test_a_daemon_behind_a_port_is_found_obeyed_and_taken_over_when_it_was_killed(tmp_path, launch, command):
    config = tmp_path / "backstay.toml"
    config.write_text(CONFIGURATION)
    file = tmp_path / "backstay.sock.port"
    where = ("--config", str(config))

    killed = launch("run", *where)
    killed.ready()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    killed.kill()
    assert command("status", *where).returncode == 4

    daemon = launch("run", *where)
    daemon.ready()
    assert not (tmp_path / "backstay.sock").exists()
    status = command("status", *where, "--json")
    assert [one["name"] for one in json.loads(status.stdout)["connections"]] == ["keeper"]
    assert command("restart", "keeper", "--no-wait", "--reason", "a test", *where).returncode == 0
    assert "another daemon answers" in command("run", *where).stderr

    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "token": "0" * 64}))
    for words in (("status",), ("restart", "keeper", "--no-wait"), ("events",)):
        assert command(*words, *where).returncode == 6
    file.write_text(json.dumps(told))
    assert daemon.end(signal.SIGTERM) == 0
    assert not file.exists()
