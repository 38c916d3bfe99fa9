"""What a shell is offered: names of the daemon that runs, parts from the table, and nothing where nobody answers."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from backstay.cli import COMMANDS, load
from backstay.cli_completing import OFFERS
from backstay.commanding import PARTS as RESTARTED
from backstay.commands import parameters
from backstay.control.vocabulary import PARTS


@pytest.fixture
def completed(command) -> Callable[..., list[str]]:
    """What is offered for the last word of a line, which may be empty."""

    def complete(words: str, **environ: str) -> list[str]:
        given = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_BACKSTAY_COMPLETE": "complete_bash"}
        shown = command(**given, **environ)
        assert shown.stderr == ""
        return shown.stdout.split()

    return complete


def test_names_are_those_of_the_running_daemon_that_make_sense_there(place, completed, tmp_path):
    where = {"BACKSTAY_CONTROL__SOCKET": str(tmp_path / "b.sock")}
    assert completed("backstay restart ", **where) == ["lost", "one", "two"]
    assert completed("backstay restart t", **where) == ["two"]
    assert completed("backstay pause one --reason night ", **where) == ["lost", "two"]
    assert place.run("pause", "two", "--no-wait")[0] == 0
    place.daemon._holds.put("door/9", place.daemon._holds.get("two"))
    assert completed("backstay resume d", **where) == ["door/9"]
    assert completed("backstay explain d", **where) == ["door/9"]
    assert completed("backstay restart d", **where) == []
    assert completed(f"backstay status --control {tmp_path}/b.sock o") == ["one"]


def test_endpoints_are_those_that_are_dialled_or_configured_and_parts_those_of_the_table(place, completed, tmp_path):
    where = {"BACKSTAY_CONTROL__SOCKET": str(tmp_path / "b.sock")}
    here = "{}:{}".format(*place.simulator.address)
    assert completed("backstay move one --endpoint ", **where) == sorted(["127.0.0.1:1", here])
    file = tmp_path / "backstay.toml"
    file.write_text('[gateways.paper]\nendpoints = ["gw1:4002", "gw2:4002"]\n')
    assert completed("backstay move one --endpoint gw", **where) == ["gw1:4002", "gw2:4002"]
    for text in ("[", "gateways = 5", "[gateways]\nx = 5", "[gateways.x]\nendpoints = 5"):
        file.write_text(text)
        assert completed("backstay move one --endpoint ", **where) == sorted(["127.0.0.1:1", here])
    assert completed("backstay restart one --part ") == list(PARTS)
    assert set(PARTS) == set(RESTARTED)


def test_a_broken_file_beside_the_socket_is_no_word_in_the_line(place, completed, tmp_path):
    (tmp_path / "b.toml").write_text("[")
    (tmp_path / "backstay.sock").symlink_to(tmp_path / "b.sock")
    assert completed("backstay explain --config b.toml o") == ["one"]


def test_where_no_daemon_answers_nothing_is_offered_and_nothing_is_said(completed, tmp_path):
    assert completed("backstay restart ") == []
    assert completed("backstay restart --config nowhere.toml ") == []
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "backstay.sock"))
        deaf.listen()
        assert completed("backstay explain ") == []


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_what_is_declared_is_in_the_table(row):
    for parameter in parameters(load(row)):
        assert parameter.declared.offers in {"", *OFFERS}
        if parameter.name == "names":
            assert parameter.declared.offers == "connection"
