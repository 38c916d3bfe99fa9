"""The fields that tell orders apart, in every layout; the long layouts are checked against another table of them."""

import json
import runpy
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backstay.protocol import order_fields
from backstay.protocol.framing import raw, text_message
from backstay.protocol.order_fields import Look, PlacedOrder, read_execution, read_order, read_placed
from backstay.protocol.wire import bytes_field, varint_field
from backstay.simulator.layout import Record, write
from backstay.simulator.order_layouts import COMPLETED_ORDER, OPEN_ORDER, PLACE_ORDER

HERE = Path(__file__).parent
FRAMES = runpy.run_path(str(HERE / "frames_data.py"))

VERSIONS = st.integers(100, 200)
WORDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=8)
NUMBERS = st.integers(0, 2**31 - 1).map(str)
GROUPS = st.integers(0, 3)

NAMED = {
    "order_id": NUMBERS,
    "client_id": NUMBERS,
    "perm_id": st.integers(0, 2**63 - 1).map(str),
    "order_ref": WORDS,
    "account": WORDS,
    "status": WORDS,
    "con_id": NUMBERS,
    "symbol": WORDS,
    "sec_type": st.sampled_from(["STK", "BAG", "OPT"]),
    "action": st.sampled_from(["BUY", "SELL", ""]),
    "quantity": st.sampled_from(["0", "10", "0.5", ""]),
    "transmit": st.sampled_from(["0", "1"]),
    "what_if": st.sampled_from(["0", "1"]),
    "parent_id": NUMBERS,
    "oca_group": WORDS,
    # what other fields depend on
    "hedge_order_type": st.sampled_from(["", "LMT"]),
    "scale_increment": st.sampled_from(["", "0.5", "0", "1.7976931348623157E308"]),
    "hedge_type": st.sampled_from(["", "P"]),
    "has_underlying": st.sampled_from(["0", "1"]),
    "algo": st.sampled_from(["", "Vwap"]),
}
RECORDS = st.builds(
    lambda values, legs, routing, parameters: Record(
        values,
        {
            "legs": [("x",) * 8] * legs,
            "leg_prices": [("1.5",)] * legs,
            "routing": [("a", "b")] * routing,
            "algo_parameters": [("a", "b")] * parameters,
        },
    ),
    st.fixed_dictionaries(NAMED),
    GROUPS,
    GROUPS,
    GROUPS,
)


def message(number, version, *fields):
    return text_message(version, number, *fields)[4:]


def long_message(number, version, record):
    """A message of the long layouts, VERSION included where there is one."""
    layout, version_number, until = {
        3: (PLACE_ORDER, 45, 144),
        5: (OPEN_ORDER, 34, 144),
        101: (COMPLETED_ORDER, 0, 0),
    }[number]
    head = [version_number] if version <= until else []
    return message(number, version, *head, *write(layout, record, version))


def look_of(record):
    quantity = record.get("quantity")
    return Look(
        con_id=int(record.get("con_id")),
        symbol=record.get("symbol"),
        sec_type=record.get("sec_type"),
        action=record.get("action"),
        quantity=Decimal(quantity) if quantity else None,
    )


@given(version=VERSIONS, record=RECORDS)
@settings(max_examples=150)
def test_an_order_of_a_client_is_read_in_every_version(version, record):
    placed = read_placed(long_message(3, version, record), version)
    assert placed is not None
    assert (placed.order_id, placed.order_ref, placed.account) == (
        int(record.get("order_id")),
        record.get("order_ref"),
        record.get("account"),
    )
    assert (placed.transmit, placed.what_if) == (record.on("transmit"), record.on("what_if"))
    assert (placed.parent_id, placed.oca_group) == (int(record.get("parent_id")), record.get("oca_group"))
    assert placed.look == look_of(record)


@given(version=VERSIONS, record=RECORDS)
@settings(max_examples=150)
def test_an_open_order_is_read_in_every_version(version, record):
    facts = read_order(long_message(5, version, record), version)
    assert facts is not None
    for name in ("order_id", "client_id", "perm_id"):
        assert getattr(facts, name) == int(record.get(name))
    for name in ("order_ref", "account", "status"):
        assert getattr(facts, name) == record.get(name)
    assert facts.what_if == record.on("what_if")
    assert facts.look == look_of(record)


@given(version=st.integers(150, 200), record=RECORDS)
@settings(max_examples=150)
def test_a_completed_order_has_no_order_id(version, record):
    facts = read_order(long_message(101, version, record), version)
    assert facts is not None
    assert (facts.order_id, facts.client_id, facts.perm_id) == (None, None, int(record.get("perm_id")))
    for name in ("order_ref", "account", "status"):
        assert getattr(facts, name) == record.get(name)
    assert facts.look == look_of(record)


@pytest.mark.parametrize("version", [100, 130, 131, 176, 200])
def test_an_order_status_is_read(version):
    head = [6] if version < 131 else []
    fields = (101, "Submitted", 0, 10, 0, 1234567890123, 0, 0, 7, "")
    facts = read_order(message(3, version, *head, *fields), version)
    assert facts is not None
    assert (facts.order_id, facts.status, facts.perm_id, facts.client_id) == (101, "Submitted", 1234567890123, 7)


@pytest.mark.parametrize("version", [100, 135, 136, 176, 178, 198, 200])
def test_an_execution_is_read(version):
    head = [10] if version < 136 else []
    contract = ("265598", "AAPL", "STK", "", "0", "", "", "SMART", "USD", "AAPL", "NMS")
    rest = ("0001.01", "20260401 10:00:00", "DU1", "SMART", "BOT", "2.5", "150.2", 77, 7, 0, "2.5", "150.2", "ref")
    facts = read_execution(message(11, version, *head, -1, 101, *contract, *rest), version)
    assert facts is not None
    assert (facts.request_id, facts.order_id, facts.client_id, facts.perm_id) == (-1, 101, 7, 77)
    assert (facts.exec_id, facts.account, facts.order_ref, facts.shares) == ("0001.01", "DU1", "ref", Decimal("2.5"))


def recorded(frames, title):
    return [(version, frame[4:]) for name, version, frame, _, _ in FRAMES[frames] if name.startswith(title)]


@pytest.mark.parametrize(("version", "payload"), recorded("CLIENT_FRAMES", "placeOrder"))
def test_recorded_orders_are_read(version, payload):
    placed = read_placed(payload, version)
    assert placed is not None
    assert (placed.order_id, placed.account, placed.order_ref) == (101, "DU1234567", "")
    assert (placed.transmit, placed.what_if) == (True, False)
    assert placed.look == Look(symbol="AAPL", sec_type="STK", action="BUY", quantity=Decimal(10))


@pytest.mark.parametrize(("version", "payload"), recorded("SERVER_FRAMES", "orderStatus"))
def test_recorded_order_statuses_are_read(version, payload):
    facts = read_order(payload, version)
    assert facts is not None
    assert (facts.order_id, facts.status, facts.perm_id, facts.client_id) == (101, "Submitted", 1234567890, 7)


# -- protobuf, and the official client --------------------------------------------------------------------------------

CONTRACT = varint_field(1, 265598) + bytes_field(2, b"AAPL") + bytes_field(3, b"STK")
ORDER = b"".join(
    (
        varint_field(1, 7),
        varint_field(3, 2**40),
        bytes_field(5, b"SELL"),
        bytes_field(6, b"12"),
        bytes_field(12, b"DU1"),
        bytes_field(28, b"mine"),
        varint_field(65, 1),
    )
)
STATE = bytes_field(1, b"Submitted")
EXECUTION = b"".join(
    (
        *(varint_field(1, 101), bytes_field(2, b"0001.01"), bytes_field(4, b"DU1"), bytes_field(7, b"2.5")),
        *(varint_field(9, 2**40), varint_field(10, 7), bytes_field(14, b"mine")),
    )
)
BODIES = {
    5: varint_field(1, 101) + bytes_field(2, CONTRACT) + bytes_field(3, ORDER) + bytes_field(4, STATE),
    101: bytes_field(1, CONTRACT) + bytes_field(2, ORDER) + bytes_field(3, STATE),
    11: varint_field(1, -1) + bytes_field(2, CONTRACT) + bytes_field(3, EXECUTION),
}


def protobuf(number, body):
    return raw(number + 200, body)[4:]


@pytest.fixture(scope="module")
def official():
    """What the official client writes and reads, from a process of its own."""
    task = json.dumps({"bodies": [[number, body.hex()] for number, body in BODIES.items()]})
    command = [sys.executable, str(HERE / "order_fields_ibapi.py")]
    done = subprocess.run(command, input=task, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def as_read_by_the_official_client(facts):
    look = facts.look
    return {
        "order_id": facts.order_id,
        "client_id": facts.client_id,
        "perm_id": facts.perm_id,
        "order_ref": facts.order_ref,
        "account": facts.account,
        "status": facts.status,
        "what_if": facts.what_if,
        "con_id": look.con_id,
        "symbol": look.symbol,
        "sec_type": look.sec_type,
        "action": look.action,
        "quantity": str(look.quantity),
    }


def test_protobuf_answers_are_read_as_the_official_client_reads_them(official):
    opened, completed, executed = official["read"]
    order = read_order(protobuf(5, BODIES[5]), 226)
    assert order is not None
    assert as_read_by_the_official_client(order) == opened
    over = read_order(protobuf(101, BODIES[101]), 226)
    assert over is not None
    assert as_read_by_the_official_client(over) | {"client_id": 7} == completed
    fill = read_execution(protobuf(11, BODIES[11]), 226)
    assert fill is not None
    assert {name: getattr(fill, name) for name in executed} | {"shares": str(fill.shares)} == executed


EXPECTED = {
    "plain": (True, False),
    "held": (False, False),
    "preview": (True, True),
    "combination": (True, True),
    "conditional": (True, True),
}


def test_orders_the_official_client_writes_are_read(official):
    assert len(official["written"]) == 50
    for case, version, payload in official["written"]:
        placed = read_placed(bytes.fromhex(payload), version)
        assert placed is not None, (case, version)
        assert (placed.order_id, placed.order_ref, placed.account) == (101, "mine-1", "DU1234567"), (case, version)
        assert (placed.transmit, placed.what_if) == EXPECTED[case], (case, version)
        assert (placed.parent_id, placed.oca_group) == ((77, "either") if case == "held" else (0, ""))
        assert placed.look.sec_type == ("BAG" if case == "combination" else "STK")
        assert placed.look.quantity == Decimal(10)


# -- what is no such message, and what is broken ----------------------------------------------------------------------


def test_other_messages_are_not_read():
    assert read_order(message(9, 200, 1, 5), 200) is None
    assert read_execution(message(3, 200, 101, "Submitted", 0, 10, 0, 1, 0, 0, 7, ""), 200) is None
    assert read_placed(message(4, 200, 101), 200) is None


def test_of_an_exercise_of_options_the_order_id_is_read():
    assert read_placed(message(21, 200, 2, 44, 1, "AAPL"), 200) == PlacedOrder(order_id=44)
    assert read_placed(protobuf(21, varint_field(1, 44)), 226) == PlacedOrder(order_id=44)
    assert read_placed(message(21, 200, 2, "x", 1, "AAPL"), 200) is None


def test_a_message_cut_short_is_not_read():
    whole = message(3, 200, 101, "Submitted", 0, 10, 0, 77, 0, 0, 7)
    assert read_order(whole, 200) is not None
    assert read_order(whole[:-2], 200) is None
    assert read_order(message(5, 200, 101), 200) is None
    assert read_order(protobuf(5, BODIES[5][:-1]), 226) is None
    assert read_execution(message(11, 200, -1, 101), 200) is None
    assert read_execution(protobuf(11, varint_field(1, -1)), 226) is None


def test_a_list_without_a_readable_length_ends_the_reading():
    record = Record({"order_id": "5", "sec_type": "BAG"}, {"legs": []})
    fields = write(OPEN_ORDER, record, 200)
    at = fields.index("0", 60)
    assert read_order(message(5, 200, *fields), 200) is not None
    for length in ("x", "-1", "9" * 20):
        for place in range(at, len(fields)):
            broken = [*fields[:place], length, *fields[place + 1 :]]
            read_order(message(5, 200, *broken), 200)  # some are read all the same, none may raise
    assert read_order(message(5, 200, *fields[:70], "many"), 200) is None


def test_an_empty_length_is_an_empty_list():
    record = Record({"order_id": "5", "status": "Submitted"}, {"legs": [("leg",) * 8]})
    fields = write(OPEN_ORDER, record, 200)
    first = fields.index("leg")
    facts = read_order(message(5, 200, *fields[: first - 1], "", *fields[first + 8 :]), 200)
    assert facts is not None
    assert facts.status == "Submitted"


@pytest.mark.parametrize("order_id", ["", "x", str(2**63), str(-(2**63) - 1)])
def test_an_order_without_a_readable_id_is_not_read(order_id):
    assert read_order(message(3, 200, order_id, "Submitted", 0, 10, 0, 77, 0, 0, 7), 200) is None
    assert read_placed(message(3, 200, order_id, *[""] * 30), 200) is None
    assert read_placed(protobuf(3, b""), 226) is None


def test_an_order_of_a_layout_to_come_counts_as_transmitted():
    placed = read_placed(message(3, 200, 7, 0, "AAPL"), 200)
    assert placed is not None
    assert (placed.order_id, placed.transmit, placed.what_if) == (7, True, False)


def test_an_execution_without_order_or_request_is_read():
    body = bytes_field(3, bytes_field(2, b"0001.01"))
    facts = read_execution(protobuf(11, body), 226)
    assert facts is not None
    assert (facts.request_id, facts.order_id, facts.client_id, facts.shares) == (-1, 0, 0, Decimal(0))


@pytest.mark.parametrize(
    "quantity", ["1.7976931348623157E308", "Infinity", "NaN", "x", "", "170141183460469231731687303715884105727e270"]
)
def test_an_unset_quantity_is_none(quantity):
    record = Record({"order_id": "5", "quantity": quantity})
    placed = read_placed(long_message(3, 200, record), 200)
    assert placed is not None
    assert placed.look.quantity is None


@given(payload=st.binary(max_size=80), version=st.sampled_from([100, 131, 176, 200, 201, 213, 226]))
@example(payload=b"\x00\x00\x00\xcd\x1a\x02\x18", version=226)
@settings(max_examples=200)
def test_no_bytes_raise(payload, version):
    for head in (b"", b"3\0", b"5\0", b"11\0", b"101\0", b"\0\0\0\xcb", b"\0\0\0\xcd", b"\0\0\0\xd3", b"\0\0\x01\x2d"):
        for read in (read_order, read_execution, read_placed):
            read(head + payload, version)


def test_a_field_of_another_wire_type_is_passed_over():
    body = varint_field(1, 101) + bytes_field(4, STATE) + varint_field(3, 5) + bytes_field(2, b"") + b"\x31" + bytes(8)
    facts = read_order(protobuf(5, body), 226)
    assert facts is not None
    assert (facts.order_id, facts.perm_id, facts.status) == (101, 0, "Submitted")


def test_the_numbers_of_the_messages_are_those_of_the_tables():
    assert (order_fields.ORDER_STATUS, order_fields.OPEN_ORDER, order_fields.COMPLETED_ORDER) == (3, 5, 101)
