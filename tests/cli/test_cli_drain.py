"""`backstay drain` against a daemon of the test's own: what it waits for, how it looks meanwhile, how it ends."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace

import pytest

import backstay

PATIENCE = 30.0
AAPL = backstay.Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
CHEAP = backstay.Order(action="BUY", quantity=10, order_type="LMT", limit_price=1.0)
IDS = {"one": 901, "two": 902}


@pytest.fixture
def busy(place) -> Iterator:
    """Have a connection ask for something, and its gateway freeze before it answers."""

    def ask(name: str) -> Future:
        place.simulator.faults.freeze(IDS[name])
        pending = connection(place, name).submit("contract_details", contract=AAPL)
        assert place.daemon.manager.wait_until(lambda _: place.row(name).reads == 1, PATIENCE)
        return pending

    yield ask
    thaw(place)


def thaw(place) -> None:
    for client_id in IDS.values():
        place.simulator.faults.thaw(client_id)


def connection(place, name: str) -> backstay.Connection:
    return place.daemon.manager.connection(name)


def orders(place, name: str) -> list[str]:
    """The states of the orders that are open."""
    return [one["state"] for one in place.json("orders", name)[1]["orders"]]


def states(place, name: str) -> list[tuple[str, str]]:
    """The last two changes of state that were told."""
    events = place.json("events")[1]["events"]
    told = [(one["from"], one["to"]) for one in events if one["event"] == "state_changed" and one["connection"] == name]
    return told[-2:]


def test_a_drain_finishes_what_is_under_way_and_then_holds(place):
    code, told = place.json("drain", "one", "--within", "5")
    assert code == 0
    assert (told["results"][0]["state"], told["results"][0]["detail"]) == ("paused", "")
    assert place.row("one").admin == "drained"
    assert place.run("resume", "one")[0] == 0
    assert len(connection(place, "one").request("contract_details", contract=AAPL)) == 1


def test_a_drain_that_takes_too_long_says_so(place, busy):
    busy("one")
    code, told = place.json("drain", "one", "--within", "0.2")
    (result,) = told["results"]
    assert (code, result["ok"], result["code"], result["state"]) == (5, False, "timed_out", "paused")
    assert "not everything had finished" in result["detail"]
    assert result["seconds"] >= 0.2
    assert place.row("one").unfinished
    code, out, err = place.run("drain", "two", "one", "--within", "0.2", "--yes")
    assert (code, err) == (0, ""), "one that is down already has nothing to finish"
    assert re.fullmatch(r"two: drained \(paused, \d+\.\ds\)\none: drained \(paused, \d+\.\ds\)\n", out)


def test_as_text_it_says_with_what_reason_it_ended(place, busy):
    busy("one")
    code, out, err = place.run("drain", "one", "--within", "0.2", "--reason", "gateway moves")
    assert (code, out) == (5, "")
    assert re.fullmatch(r"one: drained \(paused, \d+\.\ds, operator: gateway moves; not everything.*\)\n", err)


def test_it_is_seen_everywhere_while_it_goes_on_and_waits_for_nobody_who_does_not(place, busy):
    pending = busy("one")
    code, out, _ = place.run("drain", "one", "--within", "3600", "--reason", "gateway moves", "--no-wait")
    assert (code, out) == (0, "one: drained (ordered)\n")
    place.until("draining", "one")
    row = place.row("one")
    assert (row.admin, row.wanted, row.reason) == ("drained", False, "operator: gateway moves")
    assert re.search(r"^one +paper \S+ +drained +draining .* gateway moves$", place.run("status")[1], re.MULTILINE)
    assert place.run("status", "one")[0] == 0, "nobody wants it to be ready"
    assert next(meter.state for meter in place.daemon.manager.meters() if meter.name == "one") == "draining"
    (event,) = [e for e in place.json("events")[1]["events"] if e["event"] == "operator_command"]
    assert (event["command"], event["reason"]) == ("drain", "gateway moves")
    assert states(place, "one")[-1] == ("ready", "draining")
    _, told = place.json("explain", "one")
    assert told["why"].startswith("An operator drains it, since ")
    assert told["next"].startswith("It takes nothing new, and is held down once nothing is under way, at ")
    assert told["todo"] == [
        "What is under way: backstay requests one, backstay orders one",
        "To let it stay up: backstay resume one",
    ]
    assert re.search(r"reqContractDetails|contract", place.run("requests", "one")[1])
    thaw(place)
    assert len(pending.result(PATIENCE)) == 1, "what was under way has finished"
    place.until("paused", "one")
    assert states(place, "one")[-1] == ("draining", "paused")


def test_what_is_new_is_refused_with_the_reason(place, busy):
    busy("one")
    assert place.run("drain", "one", "--within", "3600", "--no-wait")[0] == 0
    place.until("draining", "one")
    with pytest.raises(backstay.NotReadyError, match="an operator drains the connection") as refused:
        connection(place, "one").request("contract_details", contract=AAPL)
    assert refused.value.code == 504
    with pytest.raises(backstay.NotReadyError, match="an operator drains the connection"):
        list(connection(place, "one").subscribe("market_data", contract=AAPL))
    assert place.row("one").reads == 1


def test_an_application_places_nothing_makes_its_order_smaller_and_cancels_it(place, busy):
    one = connection(place, "one")
    working = one.place_order(AAPL, CHEAP).wait("Submitted", timeout=PATIENCE)
    pending = busy("one")
    assert place.run("drain", "one", "--within", "3600", "--no-wait")[0] == 0
    place.until("draining", "one")
    with pytest.raises(backstay.NotReadyError, match="an operator drains the connection"):
        one.place_order(AAPL, CHEAP).wait(timeout=PATIENCE)
    one.modify_order(working, replace(CHEAP, quantity=4))
    thaw(place)
    place.simulator.wait_for(lambda state: [order["quantity"] for order in state["orders"]] == [4])
    assert len(pending.result(PATIENCE)) == 1
    place.until("paused", "one")
    assert place.run("resume", "one")[0] == 0
    working.cancel()
    assert working.wait("Cancelled", timeout=PATIENCE).done


def test_an_order_in_doubt_is_what_is_told_first_of_a_connection_that_was_drained(place):
    place.simulator.faults.lose_orders(1, "answer")
    trade = connection(place, "one").place_order(AAPL, CHEAP)
    place.simulator.wait_for(lambda state: len(state["orders"]) == 1)  # before that it may be cut off, and in no doubt
    place.simulator.faults.freeze(IDS["one"])
    assert place.run("drain", "one", "--within", "0")[0] == 5
    assert orders(place, "one") == ["in_doubt"]
    code, told = place.json("explain", "one")
    assert code == 0
    assert "An operator has drained it" in told["why"]
    assert "1 order is in doubt" in told["why"]
    assert told["todo"][0].startswith("See which: backstay orders one.")
    assert told["todo"][1] == (
        "Not everything had finished when it was taken down: backstay requests one, backstay orders one"
    )
    thaw(place)
    assert place.run("resume", "one")[0] == 0
    assert trade.wait("Submitted", timeout=PATIENCE).order_id
    assert "in doubt" not in place.run("explain", "one")[1]


def test_resuming_ends_a_drain_and_what_is_up_stays_up(place, busy):
    pending = busy("one")
    epoch = place.row("one").epoch
    assert place.run("drain", "one", "--within", "3600", "--no-wait")[0] == 0
    place.until("draining", "one")
    assert place.run("resume", "one")[0] == 0
    row = place.row("one")
    assert (row.admin, row.state, row.wanted) == ("up", "ready", True)
    thaw(place)
    assert len(pending.result(PATIENCE)) == 1
    assert len(connection(place, "one").request("contract_details", contract=AAPL)) == 1
    assert place.row("one").epoch == epoch


def test_several_are_drained_at_once_if_that_is_said(place, busy):
    for name in IDS:
        busy(name)
    codes: list[int] = []
    words = ("drain", "one", "two", "--together", "--yes", "--within", "3600")
    asking = threading.Thread(target=lambda: codes.append(place.run(*words)[0]))
    asking.start()
    place.until("draining", "one", "two")
    thaw(place)
    asking.join(PATIENCE)
    assert codes == [0]
    assert [place.row(name).admin for name in IDS] == ["drained", "drained"]


def test_one_after_the_other_the_second_is_not_touched_before_the_first_is_down(place, busy):
    for name in IDS:
        busy(name)
    codes: list[int] = []
    words = ("drain", "one", "two", "--yes", "--within", "3600")
    asking = threading.Thread(target=lambda: codes.append(place.run(*words)[0]))
    asking.start()
    place.until("draining", "one")
    assert place.row("two").admin == "up"
    thaw(place)
    asking.join(PATIENCE)
    assert codes == [0]
    assert place.row("two").admin == "drained"


def test_many_drains_keep_no_other_command_waiting(place, busy):
    busy("one")
    for _ in range(20):
        assert place.run("drain", "one", "--within", "3600", "--no-wait")[0] == 0
    assert place.run("tree")[0] == 0
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("drain")] == []


@pytest.mark.parametrize("seconds", ["-1", "3601", "soon"])
def test_how_long_it_may_take_is_judged(place, seconds):
    code, _, err = place.run("drain", "one", "--within", seconds)
    assert code == 2
    assert err
    assert place.row("one").admin == "up"
