"""The commands of operators against a daemon of the test's own: what they say, as JSON too, and with which code."""

from __future__ import annotations

import io
import itertools
import os
import re
import threading
from types import SimpleNamespace

import pytest

from backstay import cli_operate
from backstay.config import Config
from backstay.control.vocabulary import COMMANDS
from backstay.demo_client import QuoteClient
from backstay.logs import EventLog
from backstay.manager import Manager
from backstay.metrics.events import EventRing
from backstay.metrics.exporter import readiness
from backstay.operations import HANDLERS

PATIENCE = 30.0


def test_every_command_of_the_table_has_its_handler():
    assert set(COMMANDS) == set(HANDLERS)


# -- restart ---------------------------------------------------------------------------------------------------------


def test_a_restart_waits_for_a_new_socket(place):
    before = place.row("one").epoch
    code, out, err = place.run("restart", "one", "--reason", "stale  quotes")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"one: restarted \(ready, \d+\.\ds\)\n", out)
    assert place.row("one").epoch == before + 1
    (event,) = [e for e in place.json("events")[1]["events"] if e["event"] == "operator_command"]
    assert (event["command"], event["connection"], event["reason"]) == ("restart", "one", "stale quotes")
    assert isinstance(event["uid"], int)


def test_a_restart_as_json_has_a_result_for_each(place):
    code, told = place.json("restart", "one", "two")
    assert (code, told["schema"], told["command"]) == (0, 1, "restart")
    assert [(one["connection"], one["ok"], one["state"], one["exit"]) for one in told["results"]] == [
        ("one", True, "ready", 0),
        ("two", True, "ready", 0),
    ]


def test_what_does_not_come_back_in_time_is_code_5_and_the_rest_is_left_alone(place):
    place.simulator.faults.refuse()
    before = place.row("two").epoch
    code, out, err = place.run("restart", "one", "two", "--timeout", "0.3")
    assert (code, out) == (5, "")
    first, second = err.splitlines()
    assert re.fullmatch(r"one: not there after \d+ s: (waiting|connecting), refused: .*", first)
    assert second == "two: not tried, because of one"
    assert (place.row("two").epoch, place.row("two").state) == (before, "ready")
    place.simulator.faults.accept()


@pytest.mark.parametrize("command", ["restart", "reset", "resubscribe"])
def test_what_is_held_keeps_nobody_from_its_turn(place, command):
    assert place.run("pause", "one", "lost")[0] == 0
    before = place.row("two").epoch
    code, told = place.json(command, "--all")
    one, two, lost = told["results"]
    assert [one["connection"], two["connection"], lost["connection"]] == ["one", "two", "lost"]
    assert one["code"] == lost["code"] == ("" if command == "reset" else "refused")
    assert (two["ok"], two["state"], code) == (True, "ready", 0 if command == "reset" else 1)
    assert place.row("two").epoch == before + (command == "restart")


def test_what_was_down_anyway_keeps_nobody_from_its_turn(place):
    code, told = place.json("reset", "lost", "two", "--timeout", "0.3")
    assert (code, [one["code"] for one in told["results"]]) == (5, ["timed_out", ""])


def test_those_that_are_waited_for_together_have_their_time_together(place, monkeypatch):
    seconds = itertools.count(0.0, 0.1)  # as long as a look takes, and none takes longer
    monkeypatch.setattr(cli_operate, "time", SimpleNamespace(monotonic=seconds.__next__))
    place.simulator.faults.refuse()
    code, told = place.json("restart", "--all", "--together", "--yes", "--timeout", "2")
    place.simulator.faults.accept()
    assert (code, [one["exit"] for one in told["results"]]) == (5, [5, 5, 5])
    assert max(one["seconds"] for one in told["results"]) < 3.0


def test_who_does_not_wait_gives_the_order_and_leaves(place):
    assert place.run("restart", "one", "--no-wait") == (0, "one: restarted (ordered)\n", "")


def test_a_name_that_is_not_there_is_code_1(place):
    code, out, err = place.run("restart", "nobody")
    assert (code, out, err) == (1, "", "nobody: no connection 'nobody'\n")
    code, told = place.json("restart", "nobody")
    assert (code, told["results"][0]["code"]) == (1, "unknown_connection")
    assert place.run("restart", "no*")[0] == 1


def test_a_daemon_whose_socket_was_removed_is_found_again(place):
    place.configured[-1].control.socket.unlink()
    pause = threading.Event()  # never set
    for _ in range(int(PATIENCE / 0.1)):
        if place.run("status")[0] == 3:
            break
        pause.wait(0.1)
    told = [e for e in place.json("events")[1]["events"] if e["event"] == "control_restored"]
    assert len(told) == 1


def test_a_refused_order_is_an_event_with_the_reason(place):
    place.run("pause", "one")
    assert place.run("restart", "one")[0] == 1
    assert place.run("explain", "nobody")[0] == 1  # a question is none
    (event,) = [e for e in place.json("events")[1]["events"] if e["event"] == "operator_command_refused"]
    assert (event["command"], event["connection"], event["code"], event["uid"]) == (
        "restart",
        "one",
        "refused",
        os.getuid(),
    )
    assert event["why"] == "one is paused by an operator; backstay resume one"


@pytest.mark.parametrize("words", [(), ("--all", "one")])
def test_it_has_to_be_said_which(place, words):
    code, out, err = place.run("restart", *words)
    assert (code, out, err) == (2, "", "backstay: name connections, or say --all\n")


def test_patterns_go_one_after_the_other_and_do_not_ask(place):
    code, out, _ = place.run("restart", "[ot]*")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["one", "two"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("restart", "one", "two", "--together"), "restart takes 2 live connections down together: one, two"),
        (("restart", "one", "two", "--no-wait"), "restart takes 2 live connections down together: one, two"),
        (("pause", "--all"), "pause takes 2 live connections down together: one, two"),
        (("drain", "*"), "drain takes 2 live connections down together: one, two"),
    ],
)
def test_nobody_takes_two_live_connections_down_together_unasked(place, words, told):
    epochs = place.row("one").epoch, place.row("two").epoch
    code, out, err = place.run(*words)
    assert (code, out, err) == (2, "", f"backstay: {told}; say --yes if that is meant\n")
    assert (place.row("one").epoch, place.row("two").epoch) == epochs
    assert place.row("one").wanted


def test_who_says_yes_is_believed(place):
    code, told = place.json("restart", "one", "two", "--together", "--yes")
    assert (code, [one["ok"] for one in told["results"]]) == (0, [True, True])


# -- pause, resume, drain, reset -------------------------------------------------------------------------------------


def test_a_paused_connection_stays_down_until_it_is_resumed(place):
    code, out, _ = place.run("pause", "one", "--reason", "gateway moves")
    assert code == 0
    assert re.fullmatch(r"one: paused \(paused, \d+\.\ds\)\n", out)
    row = place.row("one")
    assert (row.wanted, row.admin, row.state) == (False, "paused", "paused")
    code, out, err = place.run("restart", "one")
    assert (code, err) == (1, "one: one is paused by an operator; backstay resume one\n")
    assert place.run("reset", "one")[0] == 0
    assert place.row("one").state == "paused"
    code, out, _ = place.run("resume", "one")
    assert code == 0
    assert re.fullmatch(r"one: resumed \(ready, \d+\.\ds\)\n", out)
    row = place.row("one")
    assert (row.wanted, row.admin, row.state) == (True, "up", "ready")


@pytest.mark.parametrize("hold", ["pause", "drain"])
def test_one_that_is_held_while_it_waits_has_no_next_attempt(place, hold):
    assert place.daemon.manager.wait_until(lambda _: place.row("lost").next_attempt_wall > 0.0, PATIENCE)
    assert place.run(hold, "lost")[0] == 0
    assert place.row("lost").next_attempt_wall == 0.0
    assert place.run("status", "lost")[1].endswith("  operator: an operator asked for it\n")


def test_what_holds_and_lets_go_tells_each_result_as_json(place):
    for command, state in (("pause", "paused"), ("resume", "ready"), ("reset", "ready")):
        code, told = place.json(command, "one", "--reason", "night")
        (one,) = told["results"]
        assert (code, told["schema"], told["command"]) == (0, 1, command)
        assert (one["connection"], one["ok"], one["state"], one["code"], one["exit"]) == ("one", True, state, "", 0)
        code, told = place.json(command, "nobody")
        assert (code, told["results"][0]["code"], told["results"][0]["exit"]) == (1, "unknown_connection", 1)


def test_the_status_shows_what_operators_want_apart_from_health(place):
    place.run("pause", "one")
    code, out, _ = place.run("status", "one", "two")
    assert code == 0
    assert re.search(r"^one +paper \S+ +paused +paused ", out, re.MULTILINE)
    assert re.search(r"^two +paper \S+ +up +ready ", out, re.MULTILINE)


def test_a_reset_of_one_that_cannot_come_up_is_tried_and_told(place):
    before = place.row("lost").epoch
    code, _, err = place.run("reset", "lost", "--timeout", "0.3")
    assert code == 5
    assert err.startswith("lost: not there after ")
    assert place.row("lost").epoch > before


def test_resuming_what_is_neither_there_nor_held_is_refused(place):
    assert place.run("resume", "nobody") == (1, "", "nobody: no connection 'nobody'\n")


def test_a_daemon_with_a_held_connection_does_not_wait_for_it_to_end(place, monkeypatch):
    assert place.run("pause", "one")[0] == 0
    wait_until, waited = Manager.wait_until, []
    monkeypatch.setattr(Manager, "wait_until", lambda *words: waited.append(wait_until(*words)))
    place.daemon.stop()
    assert waited == [True]


def test_a_hold_survives_the_process(place):
    place.run("pause", "one", "--reason", "over the weekend")
    place.daemon.stop()
    log = EventLog(Config().log, io.StringIO())
    again = place.begin(place.configured, log, EventRing())
    try:
        place.daemon = again
        place.until("ready", "two")
        row = place.row("one")
        assert (row.wanted, row.admin, row.state, row.reason) == (False, "paused", "paused", "over the weekend")
        code, out, _ = place.run("explain", "one")
        assert code == 0
        assert "over the weekend" in out
        assert place.run("resume", "one")[0] == 0
        assert place.row("one").state == "ready"
    finally:
        again.stop()
        log.close()


def test_holding_and_letting_go_are_told_as_json(place):
    for command, state in (("pause", "paused"), ("resume", "ready"), ("reset", "ready")):
        code, told = place.json(command, "one", "--reason", "gateway moves")
        assert (code, told["schema"], told["command"]) == (0, 1, command)
        (result,) = told["results"]
        assert result.pop("seconds") >= 0.0
        assert result == {"connection": "one", "ok": True, "state": state, "detail": "", "code": "", "exit": 0}


def test_health_is_told_as_json(place):
    code, told = place.json("health")
    assert (code, told["error"]["code"], told["error"]["exit"]) == (3, "not_ready", 3)
    assert "lost is waiting" in told["error"]["message"] or "lost is connecting" in told["error"]["message"]
    assert place.json("health", "--live") == (0, {"schema": 1, "ok": True})


def told_to_probes(place, name: str) -> str:
    """What /readyz says of it."""
    return next(readiness(meter).detail for meter in place.daemon.manager.meters() if meter.name == name)


def test_a_name_that_is_held_and_not_there_is_shown_explained_and_let_go(place):
    client = QuoteClient(place.daemon.manager.address("door"), ("AAPL",), client_id=3)
    try:
        client.start()
        assert place.run("pause", "door/3", "--reason", "bad fills")[0] == 0
    finally:
        client.stop()
    assert place.daemon.manager.wait_until(lambda s: [c.name for c in s.held] == ["door/3"], PATIENCE)
    row = place.json("status", "door/3")[1]["held"][0]
    assert [row[key] for key in ("gateway", "admin", "state", "reason")] == ["paper", "paused", "absent", "bad fills"]
    code, out, _ = place.run("explain", "door/*")
    assert code == 0
    assert re.match(
        r"door/3 on gateway paper: absent for \d+s\n  why:  An operator has paused it, .*: bad fills\n", out
    )
    assert out.endswith("next: Who comes under this name is held down.\n  todo: backstay resume door/3\n")
    assert place.run("pause", "door/*") == (1, "", "backstay: no connection 'door/*'\n")
    assert told_to_probes(place, "door/3") == "stopped, not wanted now: operator: bad fills"
    assert place.run("resume", "door/*") == (0, "door/3: resumed (nobody is there under that name now)\n", "")
    assert told_to_probes(place, "door/3") == "stopped, not wanted now"
    assert place.json("status")[1]["held"] == []


def test_a_client_of_a_held_name_waits_with_its_socket_open(place):
    host, port = place.daemon.manager.address("door")
    client = QuoteClient((host, port), ("AAPL",), client_id=3)
    try:
        client.start()
        assert client.wait_for_quotes(0.0, PATIENCE) == 1
        assert place.run("pause", "door/3")[0] == 0
        assert place.row("door/3").state == "paused"
        assert not client.wait_closed(0.0)
        before = client.quotes
        assert place.run("resume", "door/3")[0] == 0
        assert client.wait_for_quotes(1.0, PATIENCE) == 1
        assert client.quotes >= before
        assert place.run("pause", "door/3")[0] == 0
    finally:
        client.stop()
    place.daemon.manager.wait_until(lambda s: all(c.name != "door/3" for c in s.connections), PATIENCE)
    came: list[QuoteClient] = []

    def come_again() -> None:
        came.append(QuoteClient((host, port), ("AAPL",), client_id=3))
        came[0].start()

    coming = threading.Thread(target=come_again, daemon=True)  # it waits for nextValidId, which is held back
    try:
        coming.start()
        place.daemon.manager.wait_until(lambda s: any(c.name == "door/3" for c in s.connections), PATIENCE)
        place.until("paused", "door/3")
        assert place.run("resume", "door/3")[0] == 0
        coming.join(PATIENCE)
        assert came[0].wait_for_quotes(0.0, PATIENCE) == 1
    finally:
        for client in came:
            client.stop()
