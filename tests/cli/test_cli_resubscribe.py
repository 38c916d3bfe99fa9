"""Streams asked for again by an operator: on the same sockets, with no word to the client but a first tick."""

from __future__ import annotations

import re
import time

import pytest

from backstay.demo_client import QuoteClient

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


def market_data_asked(place) -> int:
    return place.daemon.manager.charge("door/3").outside.meter.messages_sent


@pytest.mark.parametrize("words", [("door/3",), ("door/*",)])
def test_streams_are_cancelled_and_asked_for_again_on_the_same_socket(place, client, words):
    before, epoch = market_data_asked(place), place.row("door/3").epoch
    code, told = place.json("resubscribe", *words, "--reason", "stale quotes")
    assert (code, told["results"][0]["ok"]) == (0, True)
    asked = time.monotonic()
    assert client.wait_for_quotes(asked, PATIENCE) == 2
    place.daemon.manager.wait_until(lambda _: market_data_asked(place) >= before + 4, PATIENCE)
    assert market_data_asked(place) >= before + 4  # two cancels, two requests
    assert place.row("door/3").epoch == epoch
    assert client.closed is None
    assert not client.watch.told
    told = place.json("events")[1]["events"]
    assert {"resubscribe": "stale quotes"} in [
        {one["command"]: one["reason"]} for one in told if one["event"] == "operator_command"
    ]


def test_of_those_that_flow_none_is_asked_for_again_when_only_stale_ones_are_meant(place, client):
    before = market_data_asked(place)
    code, out, _ = place.run("resubscribe", "door/3", "--stale")
    assert code == 0
    assert re.fullmatch(r"door/3: asked again \(ready, \d+\.\ds\)\n", out)
    assert client.wait_for_quotes(time.monotonic(), PATIENCE) == 2
    assert market_data_asked(place) == before


def test_one_that_is_not_up_does_so_by_itself_and_is_refused(place):
    code, out, err = place.run("resubscribe", "lost")
    assert (code, out) == (1, "")
    assert err.endswith("its streams are asked for again once it is ready\n")
    assert place.run("resubscribe") == (2, "", "backstay: name connections, or say --all\n")
    assert place.json("resubscribe", "nobody")[1]["results"][0]["code"] == "unknown_connection"
