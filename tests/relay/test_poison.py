"""A message that killed an actor twice is set aside, told of, and not delivered a third time."""

from __future__ import annotations

import pytest

from backstay.protocol.framing import frame, text
from backstay.session.client_words import ClientAsked
from backstay.session.core import Core
from backstay.session.set_aside import word_of
from backstay.session.sieve import Sieve
from backstay.session.vocabulary import Noted

FARM = 2104


def poisonous(monkeypatch, owner, name, what):
    """Every call of this method that has to do with it fails; returns how many did."""
    original, deaths = getattr(owner, name), []

    def method(this, message, *args, **options):
        if what(message):
            deaths.append(message)
            raise RuntimeError("poison")
        return original(this, message, *args, **options)

    monkeypatch.setattr(owner, name, method)
    return deaths


def quarantined(house) -> list[tuple[str, int]]:
    return [(entry["actor"], entry["size"]) for entry in house.told("message_quarantined")]


def test_a_request_that_killed_the_session_twice_is_refused_the_third_time(build, simulator, monkeypatch):
    house = build(simulator.address)
    client = house.client().connect(7)
    client.market_data(11)
    client.expect(1, 11)
    house.wait_state("ready")
    deaths = poisonous(
        monkeypatch,
        Core,
        "step",
        lambda event: isinstance(event, ClientAsked) and any(b"POISON" in payload for payload in event.payloads),
    )
    for number in (1, 2):
        client.market_data(66, "POISON")
        client.expect_error(1102, -1)
        assert len(deaths) == number
    client.market_data(66, "POISON")
    error = client.expect_error(504, 66)
    assert "it made a part of backstay fail twice" in error.text
    assert len(deaths) == 2
    (told,) = quarantined(house)
    assert told[0] == "session"
    assert b"66" in house.told("message_quarantined")[0]["head"]

    client.market_data(67, "MSFT")
    client.expect(1, 67)
    assert house.manager.charge("paper/7").in_hand == 0


def test_innocent_requests_that_came_along_are_not_set_aside(build, simulator, monkeypatch):
    house = build(simulator.address)
    client = house.client().connect(7)
    house.wait_state("ready")
    poisonous(
        monkeypatch,
        Core,
        "step",
        lambda event: isinstance(event, ClientAsked) and any(b"POISON" in payload for payload in event.payloads),
    )
    stock = ("STK", "", "0.0", "", "", "SMART", "", "USD", "", "", 0, "", 0, 0, "")
    good, bad = text(1, 11, 71, 0, "AAPL", *stock), text(1, 11, 72, 0, "POISON", *stock)
    for _ in range(2):
        client.sock.sendall(bad + good)
        client.expect_error(1102, -1)
    client.sock.sendall(bad + good)
    client.expect_error(504, 72)
    client.expect(1, 71)
    assert len(quarantined(house)) == 1


PLACES = {"dispatcher": (Sieve, "sift"), "session": (Core, "step")}


@pytest.mark.parametrize("actor", PLACES)
def test_a_frame_that_killed_twice_reaches_the_client_and_nobody_looks_at_it_again(build, gateway, monkeypatch, actor):
    def is_poison(message) -> bool:
        if isinstance(message, Noted):
            return any(b"POISON" in payload for _, payload, _ in message.frames)
        return b"POISON" in getattr(message, "data", b"")

    monkeypatch.setattr("backstay.session.pulse.CLOCK_SPACING_SECONDS", 0.0)
    house = build(gateway.address, pulse={"idle_seconds": 60.0})
    client = house.client()
    client.sock.sendall(b"API\0" + frame(b"v100..200"))
    gateway.accept()
    gateway.say(text(176, "20260401 12:00:00 EST"))
    client.version = int(client.next_frame().split(b"\0")[0])
    client.start(7)
    begin(gateway)
    client.expect(9)
    house.wait_state("ready")
    deaths = poisonous(monkeypatch, *PLACES[actor], is_poison)
    for number in (1, 2):
        gateway.say(text(4, 2, -1, FARM, "fine") + text(4, 2, -1, FARM, "POISON"))
        gateway.accept()
        gateway.say(text(176, "20260401 12:00:00 EST"))
        begin(gateway)
        client.expect_error(1102, -1)
        assert len(deaths) == number
    assert [told for told, _ in quarantined(house)] == [actor]
    client.seen.clear()
    gateway.say(text(4, 2, -1, FARM, "fine") + text(4, 2, -1, FARM, "POISON") + text(4, 2, -1, FARM, "last"))
    assert [client.expect(4)[3] for _ in range(3)] == [b"fine", b"POISON", b"last"]
    house.wait_state("ready")
    assert len(deaths) == 2


def begin(gateway) -> None:
    """Identify the client and answer the probe."""
    gateway.receive_id(71)
    gateway.say(text(15, 1, "DU1234567") + text(9, 1, 1))
    assert gateway.receive().split(b"\0")[0] == b"49"
    gateway.say(text(49, 1, 1_785_600_000))


@pytest.mark.parametrize(
    ("request_fields", "key", "code"),
    [
        ((1, 11, 5, 0, "AAPL"), 5, 504),
        ((3, 5, 0, "AAPL"), 5, 2164),
        ((4, 1, 5), 5, 2166),
        (("not", "a", "number"), -1, 504),
        ((), -1, 504),
    ],
)
def test_what_a_client_is_told_never_ends_an_order_that_may_be_live(request_fields, key, code):
    word = word_of(text(*request_fields)[4:], 176)
    fields = word[4:].split(b"\0")
    assert (int(fields[2]), int(fields[3])) == (key, code)
