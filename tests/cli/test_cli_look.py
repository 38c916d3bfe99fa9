"""The commands that tell what goes on inside a daemon: their text, their JSON, their codes."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from decimal import Decimal
from types import SimpleNamespace

import pytest

from backstay.control.client import ControlClient
from backstay.control.explaining import HELP_BY_CAUSE, explain
from backstay.demo_client import QuoteClient
from backstay.outlook import ORDER_STATES, placed_orders, unlisted
from backstay.protocol.order_fields import Look, PlacedOrder
from backstay.session.causes import Cause
from backstay.session.intent_table import IntentTable
from backstay.session.intents import IntentState, Moment
from backstay.session.orders import Orders
from backstay.session.owed import Owed
from backstay.session.reconcile import Source
from backstay.session.settings import Settings

PATIENCE = 30.0


@pytest.fixture
def client(place):
    found = QuoteClient(place.daemon.manager.address("door"), ("AAPL", "MSFT"), client_id=3)
    try:
        found.start()
        assert found.wait_for_quotes(0.0, PATIENCE) == 2
        yield found
    finally:
        found.stop()


# -- events ----------------------------------------------------------------------------------------------------------


def test_events_are_told_oldest_first_and_may_be_the_last_ones_only(place):
    code, out, err = place.run("events")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [a-z_]+( |$)", line) for line in lines)
    assert any(" state_changed connection=one " in line and " to=ready " in line for line in lines)
    told = place.json("events", "--since", "1h")[1]
    assert [one["number"] for one in told["events"]] == sorted(one["number"] for one in told["events"])
    assert place.run("events", "--since", "0s") == (0, "no events\n", "")


@pytest.mark.parametrize("span", ["soon", "10", "m", "10y"])
def test_a_span_of_time_that_is_none_is_code_2(place, span):
    code, out, err = place.run("events", "--since", span)
    assert (code, out) == (2, "")
    assert "--since: not a time span such as 90s, 10m, 2h, 1d" in err


def test_following_goes_on_until_the_daemon_stops(launch, tmp_path):
    program = launch("run", "--simulator", BACKSTAY_RELAYS__SIMULATOR__LISTEN="127.0.0.1:0", BACKSTAY_HTTP__ENABLED="0")
    path = re.search(r"control socket (\S+?),", program.ready())[1]
    following = launch("events", "-f", "--json", "--control", path)
    first = json.loads(following.out.wait("started").string)
    assert first["event"] == "started"
    program.end(15)
    assert following.end() == 4
    assert any(json.loads(line).get("event") == "stopping" for line in following.out.all)


def test_following_ends_as_soon_as_nobody_reads_it(launch, tmp_path):
    program = launch("run", "--simulator", BACKSTAY_RELAYS__SIMULATOR__LISTEN="127.0.0.1:0", BACKSTAY_HTTP__ENABLED="0")
    path = re.search(r"control socket (\S+?),", program.ready())[1]
    words = [sys.executable, "-m", "backstay", "events", "-f", "--control", path]
    following = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE)
    assert b" started " in following.stdout.readline()
    following.stdout.close()  # nothing happens that would have to be written
    assert following.wait(PATIENCE) == 1
    assert program.end(15) == 0


# -- explain ---------------------------------------------------------------------------------------------------------


def test_what_is_wrong_is_explained_with_what_happens_next_and_what_to_do(place):
    code, out, err = place.run("explain", "lost")
    assert (code, err) == (3, "")
    assert re.search(r"^lost on gateway gone 127\.0\.0\.1:1: (waiting|connecting)", out)
    assert "Is TWS or IB Gateway running there?" in out
    code, told = place.json("explain", "lost")
    assert (code, told["schema"]) == (3, 1)
    assert {"why", "next", "todo", "connection"} <= set(told)


def test_what_works_is_told_so(place):
    code, out, _ = place.run("explain", "one")
    assert code == 0
    assert "why:  It works." in out
    assert "todo" not in out


def test_lists_that_the_gateway_owes_explain_why_orders_are_refused():
    row = {"name": "k", "state": "ready", "reason": "", "wanted": True, "since_wall": 0.0, "endpoint": "h:1"}
    told = explain(row, None, now=100.0, unlisted=("completed orders, executions", 104.0))
    assert "Orders are refused" in told["why"]
    assert "completed orders, executions" in told["why"]
    assert "again in 4 s" in told["next"]
    assert "Read-Only API" in told["todo"][0]
    assert "Orders" not in explain(row, None, now=100.0)["why"]


def test_the_lists_that_a_gateway_owes_are_named():
    settings = Settings(endpoints=(("h", 1),))
    charge = SimpleNamespace(owed=Owed())
    assert unlisted(charge) == ("", 0.0)
    charge.owed.orders = Orders.of(settings, 7)
    assert unlisted(charge) == ("", 0.0)
    charge.owed.orders.reconciliation.missing = frozenset({Source.OPEN, Source.COMPLETED})
    charge.owed.orders.reconciliation.retry_wall = 104.0
    assert unlisted(charge) == ("completed orders, open orders", 104.0)


def test_patterns_are_explained_and_without_a_name_the_only_connection(place, client, monkeypatch):
    code, out, err = place.run("explain")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"backstay: name one: (\S+, )+\S+\n", err)
    assert all(name in err for name in ("one", "lost", "door/3"))
    code, out, _ = place.run("explain", "l?st", "door/*")
    assert code == 3
    assert [line.split(" ")[0] for line in out.splitlines() if line[0] != " "] == ["lost", "door/3"]
    assert place.run("explain", "no*") == (1, "", "backstay: no connection 'no*'\n")
    status = ControlClient.status
    for only, told in (("one", "one on gateway"), ("", "there is no connection")):
        monkeypatch.setattr(
            ControlClient,
            "status",
            lambda self, only=only, **options: {
                "connections": [row for row in status(self, **options)["connections"] if row["name"] == only]
            },
        )
        assert told in "".join(map(str, place.run("explain")))
    assert place.run("explain", "nobody") == (1, "", "backstay: no connection 'nobody'\n")


MENDS_ITSELF = {Cause.EOF, Cause.RESET, Cause.WRITE_FAILED, Cause.PREFERRED, Cause.OPERATOR, Cause.SHUTDOWN}


def test_every_cause_that_needs_a_person_says_what_to_do():
    causes = {cause.value for cause in Cause}
    assert set(HELP_BY_CAUSE) <= causes
    assert causes - set(HELP_BY_CAUSE) == {cause.value for cause in MENDS_ITSELF}


@pytest.mark.parametrize("cause", [cause.value for cause in Cause])
def test_a_waiting_connection_is_explained_by_its_cause(cause):
    row = {"name": "x", "state": "waiting", "reason": f"{cause}: details", "next_attempt_wall": 107.0}
    told = explain(row, None, now=100.0)
    assert told["why"] == f"{cause}: details"
    assert told["next"].startswith("It is tried again in 7 s")
    assert told["todo"][-1] == "To try at once: backstay reset x"


def test_a_parked_connection_names_the_way_back():
    row = {"name": "x", "state": "parked", "reason": "version: 99", "next_attempt_wall": 130.0}
    assert "backstay reset x" in explain(row, None, now=100.0)["todo"][-1]


# -- tree, requests, orders, dump ------------------------------------------------------------------------------------


def test_the_tree_has_a_line_for_each_actor_and_the_budget_of_each_supervisor(place, client):
    code, out, err = place.run("tree")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert re.match(r"root: running, .*one_for_one, \d+ of \d+ left in ", lines[0])
    assert any(re.match(r"\W+door/3: running, .* left in ", line) for line in lines)
    assert sum("session: running" in line for line in lines) == 4
    code, told = place.json("tree")
    assert (code, told["schema"], told["tree"]["name"]) == (0, 1, "root")
    assert told["tree"]["budget"]["restarts_left"] <= told["tree"]["budget"]["restarts_allowed"]


def test_what_is_told_of_an_actor_names_the_client_that_it_is_of(place, client):
    place.until("ready", "door/3")
    for name in ("door/3", "one"):
        assert place.run("restart", name, "--part", "link")[0] == 0
        (event,) = [
            e
            for e in place.json("events")[1]["events"]
            if e["event"] == "child_restarted" and e["id"] == "link" and e["connection"] == name
        ]
        assert event["cause"] == "operator"


def test_what_is_owed_to_a_client_is_listed(place, client):
    code, out, _ = place.run("requests", "door/3")
    assert code == 0
    titles, *rows = out.splitlines()
    assert titles.split() == ["STATE", "KIND", "REQUEST", "ID", "AGE"]
    assert [row.split()[:3] for row in rows] == [[row.split()[0], "stream", "reqMktData"] for row in rows]
    assert len(rows) == 2
    assert len(place.json("requests", "door/3")[1]["requests"]) == 2
    assert place.run("requests", "one") == (0, "no requests\n", "")
    assert place.run("requests", "nobody")[0] == 1


def test_several_are_listed_under_their_names_by_name_by_pattern_or_all(place, client):
    code, out, err = place.run("requests", "one", "door/*")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if line.endswith(":")] == ["one:", "door/3:"]
    assert out.count("reqMktData") == 2
    assert place.run("requests", "door/*")[1] == place.run("requests", "door/3")[1]
    for words in (("requests",), ("orders",), ("explain",)):
        code, out, err = place.run(*words, "--all", "--json")
        told = [json.loads(line) for line in out.splitlines()]
        names = [one["connection"]["name"] if words == ("explain",) else one["connection"] for one in told]
        assert (names, err) == (["one", "two", "lost", "door/3"], "")
        assert place.run(*words, "one", "--all")[0] == 2
        assert place.run(*words)[0] == 2
    assert place.run("orders", "one", "nobody")[::2] == (1, "backstay: no connection 'nobody'\n")
    assert place.run("orders", "no*")[0] == 1


def test_what_a_pattern_fits_and_has_left_nothing_is_passed_over(place):
    place.run("pause", "two", "--no-wait")
    place.daemon._holds.put("door/9", place.daemon._holds.get("two"))
    assert place.run("orders", "door/*") == (
        0,
        "there is no connection: no client has come, and the configuration has none of its own\n",
        "",
    )
    assert place.run("orders", "door/9")[0] == 1


def test_orders_without_an_answer_come_first(place):
    ledger = place.daemon.manager.charge("one").owed.ledger
    ledger.orders.update({5: True, 7: False})
    said = [line.split() for line in place.run("orders", "one")[1].splitlines()]
    assert said == [["STATE", "ID", "ORDER", "SENT"], ["unanswered", "7", "-", "-"], ["acknowledged", "5", "-", "-"]]
    assert [one["id"] for one in place.json("orders", "one")[1]["orders"]] == [7, 5]
    assert place.run("orders", "two") == (0, "no orders\n", "")
    ledger.orders.clear()


def test_orders_in_doubt_come_before_all_others_and_what_has_ended_is_not_shown():
    table, at = IntentTable("paper"), Moment(1.0, 1_000.0)
    look = Look(symbol="AAPL", action="BUY", quantity=Decimal(100))
    table.place(PlacedOrder(order_id=4, look=look), (b"", 176), client_id=3, epoch=1, at=at)
    table.lost(at)
    table.place(PlacedOrder(order_id=3), (b"", 176), client_id=3, epoch=2, at=at)
    table.place(PlacedOrder(order_id=5), (b"", 176), client_id=3, epoch=2, at=at)
    table.hear_error(3, 5, 201, at=at)
    ledger = SimpleNamespace(orders={1: False, 2: True, 3: False, 5: True})
    owed = SimpleNamespace(orders=SimpleNamespace(table=table, client_id=3), ledger=ledger)
    rows = placed_orders(SimpleNamespace(owed=owed))
    assert [(row["id"], row["state"]) for row in rows] == [
        (4, "in_doubt"),
        (1, "unanswered"),
        (3, "sent"),
        (2, "acknowledged"),
    ]
    assert rows[0] == {
        "id": 4,
        "state": "in_doubt",
        "symbol": "AAPL",
        "action": "BUY",
        "quantity": "100",
        "sent_wall": 1_000.0,
    }
    assert set(ORDER_STATES) >= {state.value for state in IntentState if state.value not in ENDED}


ENDED = {"done", "rejected", "abandoned"}


def test_a_bundle_has_everything_and_no_account(place, tmp_path):
    place.run("restart", "one", "--reason", "account DU1234567 asked")
    code, out, _ = place.run("dump")
    found = json.loads(out)
    assert code == 0
    assert {"schema", "backstay", "python", "config", "status", "tree", "events", "threads"} <= set(found)
    assert found["config"]["connections"]["one"]["client_id"] == 901
    assert any("session" in name or "http" in name for name in found["threads"])
    assert "1234567" not in out
    file = tmp_path / "bundle.json"
    code, out, _ = place.run("dump", "--output", str(file))
    assert (code, out) == (0, f"written to {file}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["schema"] == 1
    assert place.run("dump", "--output", str(file))[0] == 1


@pytest.mark.parametrize("command", ["events", "tree", "dump"])
def test_without_a_daemon_they_end_with_code_4(place, command, tmp_path):
    assert place.run(command, "--control", str(tmp_path / "none.sock"))[0] == 4


@pytest.mark.parametrize("command", ["explain", "requests", "orders", "restart", "pause", "resume", "drain", "reset"])
def test_for_one_connection_they_do_too(place, command, tmp_path):
    code, told = place.json(command, "one", "--control", str(tmp_path / "none.sock"))
    assert (code, told["error"]["code"], told["error"]["exit"]) == (4, "unreachable", 4)
