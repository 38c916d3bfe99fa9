"""Whatever a client sends, the simulator answers or closes; it never fails inside."""

import random

import pytest

from backstay.protocol.framing import frame
from backstay.simulator.requests import HANDLERS

pytestmark = pytest.mark.timeout(60)

APPLE = (265598, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "")

VALUES = (
    *("", "0", "1", "-1", "2", "5", "AAPL", "STK", "BAG", "SMART", "USD", "265598", "700123456", "x", "1 D", "1 hour"),
    *("TRADES", "Last", "All", "DU1234567", "20260401 16:00:00 UTC", "nan", "inf", "1e309", "-5.5", "²", "é", "--5"),
    *("99999999999999999999999", "2147483647", "1.7976931348623157e+308", "BUY", "LMT", "PEG BENCH", "1 Y", "9 W"),
)


def garbage(source, message_id):
    """A request with an id: now random fields, now a contract in front."""
    count = source.randrange(40)
    fields = [source.choice(VALUES) for _ in range(count)]
    if source.random() < 0.5:
        version = [source.choice(["3", "11"])] if source.random() < 0.5 else []
        fields = [*version, str(source.randrange(50)), *map(str, APPLE), *fields]
    return [message_id, *fields]


@pytest.mark.parametrize("version", [100, 157, 200])
def test_no_request_makes_the_simulator_fail_inside(tws_simulator_factory, dial, version):
    simulator = tws_simulator_factory(server_version=version)
    source = random.Random(version)
    client = dial(simulator).ready(1)
    client.sock.settimeout(0.001)
    for _ in range(40):
        for message_id in HANDLERS:
            client.send(*garbage(source, message_id))
        drain(client)
    assert simulator.errors == []
    check(simulator, client)


def test_no_change_of_a_good_order_makes_the_simulator_fail_inside(simulator, dial):
    source = random.Random(5)
    client = dial(simulator).ready(1)
    client.sock.settimeout(0.001)
    for order_id in range(1, 800):
        changes = {source.randrange(117): source.choice(VALUES) for _ in range(source.randrange(1, 4))}
        client.place(order_id, kind=source.choice(["MKT", "LMT", "STP"]), changes=changes)
        drain(client)
    assert simulator.errors == []
    check(simulator, client)


@pytest.mark.parametrize("payload", [b"", b"\0", b"abc\0", b"49", b"99999999999\0", b"\xff\xfe\0", b"1\0" * 5000])
def test_odd_frames_are_answered_or_close(simulator, dial, payload):
    client = dial(simulator).ready(1)
    client.sock.sendall(frame(payload))
    dial(simulator).ready(2)
    assert simulator.errors == []


def drain(client):
    """Take what has arrived, so that nothing waits for us."""
    try:
        while client.sock.recv(1 << 20):
            pass
    except TimeoutError:
        return
    raise AssertionError("the simulator closed the session")


def check(simulator, client):
    """The session still works, and so does everybody else's."""
    client.sock.settimeout(10)
    assert simulator.state()["clients"]["1"]["state"] == "ready"
