"""Requests without an id over real sockets: a client may ask all at once, TWS is asked one of a family at a time."""

from __future__ import annotations

from backstay.protocol.framing import frame, text

RULE, PROVIDERS, OPEN, ALL_OPEN, MANAGED = 91, 85, 5, 16, 17
ANSWERED_BY = {RULE: 93, PROVIDERS: 85, MANAGED: 15, OPEN: 53, ALL_OPEN: 53}


def test_a_gateway_is_asked_for_the_next_when_it_has_answered_the_first(build, gateway):
    client = build(gateway.address).client()
    client.sock.sendall(b"API\0" + frame(b"v100..200"))
    client.send(71, 2, 7, "")
    gateway.welcome()
    client.version = int(client.next_frame().split(b"\0")[0])
    client.expect(9)
    rules, families = [text(RULE, number) for number in (26, 30)], [text(PROVIDERS)] * 2
    client.sock.sendall(b"".join([*rules, *families]))
    assert [gateway.receive()[:2] for _ in range(2)] == [b"91", b"85"]
    gateway.say(text(93, 26, 1, 0.0, 0.01))
    assert gateway.receive_id(RULE)[1] == b"30"
    gateway.say(text(85, 0))
    gateway.receive_id(PROVIDERS)
    gateway.say(text(93, 30, 1, 0.0, 0.05) + text(85, 0))
    client.expect(93, 30)
    client.expect(85)
    assert (client.count(93), client.count(85)) == (2, 2)


def test_whatever_a_client_asks_at_once_is_answered_as_often_as_it_asked(build, simulator):
    client = build(simulator.address).client().connect(7)
    asked = [ALL_OPEN, RULE, OPEN, ALL_OPEN, PROVIDERS, OPEN, PROVIDERS, RULE, MANAGED, RULE, MANAGED]
    before = client.count(15)
    client.sock.sendall(
        b"".join(text(n, 26) if n == RULE else text(n) if n == PROVIDERS else text(n, 1) for n in asked)
    )
    expected = {93: 3, 85: 2, 53: 4, 15: before + 2}
    while any(client.count(number) < count for number, count in expected.items()):
        client.next_frame()
    client.market_data(20)
    client.expect(1, 20)
    assert {number: client.count(number) for number in expected} == expected
    assert client.errors() == [(-1, code) for _, code in client.errors() if code >= 2100]


def test_what_tws_drops_of_a_family_is_asked_again_and_keeps_nobody_waiting(build, simulator):
    client = build(simulator.address).client().connect(7)
    simulator.faults.drop_requests(1.0)
    client.sock.sendall(text(RULE, 26) + text(RULE, 239) + text(PROVIDERS))
    client.expect(93, 239)
    client.expect(93, 26)
    while not client.count(85):
        client.next_frame()
