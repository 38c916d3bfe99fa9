"""Trouble that no connection shows: a journal that cannot be used, and orders of clients that have left."""

from __future__ import annotations

import threading

from prometheus_client import CollectorRegistry

from backstay.actors.journal import Keep
from backstay.config import ConnectionConfig
from backstay.protocol.order_fields import PlacedOrder
from backstay.session.intents import Intent, IntentKey, IntentState, JournalPage
from backstay.watching import collector

FULL = "no room (database or disk is full, SQLITE_FULL)"


def metric(place, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(collector(place.daemon.manager))
    return registry.get_sample_value(name, labels)


def written(place, *intents: Intent) -> None:
    """As a session that has ended left them behind."""
    done = threading.Event()
    assert place.daemon.manager.keeping.send(Keep(JournalPage(intents, ()), 1, lambda _: done.set()))
    assert done.wait(30.0)
    place.daemon.manager.meters()


def order(order_id: int, state: IntentState, client_id: int = 31) -> Intent:
    key = IntentKey("paper", client_id, order_id)
    return Intent(key=key, order=PlacedOrder(order_id=order_id), payload=b"", version=200, state=state)


def test_a_journal_that_cannot_be_used_is_named_everywhere_for_as_long_as_it_lasts(place):
    place.daemon.manager.keeping.meter.trouble = FULL
    _, out, _ = place.run("status")
    assert f"orders are refused: {FULL}" in out.splitlines()[2]
    assert out.count("orders are refused") == 4, "once for all, and for each connection that may place orders"
    code, found = place.json("status")
    assert found["journal"] == FULL
    code, _, err = place.run("health")
    assert code == 3
    assert FULL in err
    code, out, _ = place.run("explain", "one")
    assert f"Orders are refused: {FULL}" in out
    _, found = place.json("doctor")
    (finding,) = (one for one in found["findings"] if one["check"] == "orders")
    assert (finding["ok"], FULL in finding["text"]) == (False, True)
    (check,) = place.daemon._journal()
    assert str(check) == f"[-]journal orders are refused: {FULL}"
    assert metric(place, "backstay_journal_usable") == 0

    place.daemon.manager.keeping.meter.trouble = ""
    assert "orders are refused" not in place.run("status")[1]
    assert place.daemon._journal()[0].ok
    assert metric(place, "backstay_journal_usable") == 1


def test_orders_in_doubt_of_a_client_that_has_left_are_shown_listed_and_explained(place):
    written(place, order(5, IntentState.IN_DOUBT), order(6, IntentState.SENT), order(7, IntentState.LIVE))
    assert metric(place, "backstay_orders_in_doubt", connection="door/31") == 2
    _, out, _ = place.run("status", "door/*")
    assert out.splitlines()[-1].split()[:4] == ["door/31", "paper", "no", "absent"]
    assert "2 orders in doubt" in out
    code, found = place.json("orders", "door/31")
    assert (code, [(row["id"], row["state"]) for row in found["orders"]]) == (
        0,
        [(5, "in_doubt"), (6, "sent"), (7, "live")],
    )
    code, out, _ = place.run("explain", "door/31")
    assert "backstay orders door/31" in out
    _, found = place.json("doctor")
    assert not next(one for one in found["findings"] if one["check"] == "connection door/31")["ok"]

    over = order(5, IntentState.ABANDONED), order(6, IntentState.LIVE)
    written(place, *over)
    assert metric(place, "backstay_orders_in_doubt", connection="door/31") == 0
    assert place.run("status", "door/31")[0] == 1


def test_a_held_name_with_orders_in_doubt_says_both(place):
    written(place, order(5, IntentState.IN_DOUBT))
    place.run("pause", "one", "--yes")
    place.daemon._holds.put("door/31", place.daemon._holds.get("one"))
    _, found = place.json("status", "door/31")
    (row,) = found["held"]
    assert row["reason"].endswith("1 order in doubt")
    assert found["absent"] == []
    _, told = place.json("explain", "door/31")
    assert "An operator has paused it" in told["why"]
    assert "1 order is in doubt" in told["why"]
    assert told["todo"][0].startswith("See which: backstay orders door/31.")


def test_names_that_a_reload_takes_out_are_shown_for_a_while_and_of_many_the_latest(place, monkeypatch):
    monkeypatch.setattr("backstay.meters.MAX_GONE", 2)
    config, manager = place.configured[-1], place.daemon.manager
    for number in range(4):
        keepers = {f"n{number}": ConnectionConfig(gateway="paper", client_id=910 + number)}
        place.configured.append(config.model_copy(update={"connections": keepers}))
        assert place.run("reload")[0] == 0
    assert {meter.name for meter in manager.meters()} == {"n3", "n2", "n1"}
    monkeypatch.setattr("backstay.meters.GONE_SECONDS", 0.0)
    assert {meter.name for meter in manager.meters()} == {"n3"}


def test_a_name_of_which_nothing_is_known_has_no_orders(place):
    for name in ("door/30", "nobody", "door/waiting"):
        code, _, err = place.run("orders", name)
        assert (code, err.strip()) == (1, f"backstay: no connection {name!r}")
