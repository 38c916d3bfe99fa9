"""Sessions from 201 on: which messages are protobuf, what is in them, and that nonsense is answered."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.protocol.framing import PREFIX_BYTES, PROTOBUF_OFFSET, raw, text_message
from backstay.protocol.messages import REQUESTS, RESPONSES, is_protobuf, request_key
from backstay.protocol.wire import bytes_field, scan, varint_field
from backstay.simulator import schema
from backstay.simulator.fields import Unreadable
from backstay.simulator.layout import Conditions, Record
from backstay.simulator.requests import HANDLERS
from backstay.simulator.schema import parse
from backstay.simulator.schema_bodies import ByName, InOrder, Named, Ordered, decode, encode
from backstay.simulator.schema_tables import ANSWER_SCHEMAS, PLACED, RECORD_SCHEMAS, REQUEST_SCHEMAS

VERSIONS = (201, 203, 206, 212, 213, 226)
NEVER_SENT = {16, 18, 65, 66, 84, 91, 92, 103, 104, 105, 111}
"""Answers a paper account without adviser, bonds and subscriptions does not give; nor are they there in text."""

APPLE = (265598, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "")

WORDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5)


def test_every_request_that_has_a_protobuf_form_can_be_read():
    handled = {number for number in HANDLERS if REQUESTS[number].protobuf_from is not None}
    assert handled - set(REQUEST_SCHEMAS) == {3}
    assert {number for number, row in REQUESTS.items() if row.protobuf_from is not None} - {71} <= handled


def test_every_answer_the_simulator_gives_has_a_protobuf_form():
    written = set(ANSWER_SCHEMAS) | set(RECORD_SCHEMAS) | {4}
    assert {number for number, row in RESPONSES.items() if row.protobuf_from is not None} - written == NEVER_SENT


@pytest.mark.parametrize("version", VERSIONS)
def test_a_family_is_protobuf_from_its_version_on(connect, version):
    _, client = connect(version)
    contract = bytes_field(2, bytes_field(2, b"AAPL") + bytes_field(3, b"STK") + bytes_field(8, b"SMART"))
    if version >= REQUESTS[1].protobuf_from:
        client.ask(1, varint_field(1, 11) + contract)
        client.ask(9, varint_field(1, 12) + contract)
    else:
        client.sock.sendall(text_message(version, 1, 11, 11, *APPLE, 0, "", 0, 0, ""))
        client.sock.sendall(text_message(version, 9, 8, 12, *APPLE, 0, "", "", ""))
    for number in (58, 1, 2, 45, 10, 52):
        payload = client.read(number)
        assert is_protobuf(payload, version) == (version >= RESPONSES[number].protobuf_from)
        if is_protobuf(payload, version):
            assert {field: value for field, _, value in scan(payload, PREFIX_BYTES)}[1] in (11, 12)


def test_a_session_above_200_that_speaks_text_is_understood(connect):
    _, client = connect(226)
    client.sock.sendall(text_message(226, 9, 8, 12, *APPLE, 0, "", "", ""))
    assert is_protobuf(client.read(10), 226)


@pytest.mark.parametrize(
    ("number", "body", "code", "key"),
    [
        (555, b"", 320, -1),
        (72, b"", 320, -1),
        (109, varint_field(1, 7), 321, 7),
        (107, varint_field(1, 7), 366, 7),
        (3, varint_field(1, 7) + bytes_field(4, varint_field(1, 8)), 321, 7),
        (1, varint_field(1, 7) + b"\xff", 320, 7),
        (1, varint_field(1, 7) + varint_field(2, 7), 320, 7),
        (1, varint_field(1, 7) + bytes_field(2, varint_field(2, 7)), 320, 7),
        (1, varint_field(1, 7) + bytes_field(2, bytes_field(2, b"A\0B")), 320, 7),
        (1, varint_field(1, 7) + bytes_field(2, bytes_field(2, b"NOBODY")), 200, 7),
    ],
)
def test_what_cannot_be_read_or_is_not_known_is_answered(connect, number, body, code, key):
    simulator, client = connect(226)
    client.ask(number, body)
    assert client.refusal(code).id == key
    assert simulator.errors == []


def garbage(source):
    """A body of random fields, now and then a contract, now and then broken."""
    fields = [varint_field(1, source.randrange(50))]
    for _ in range(source.randrange(12)):
        number = source.randrange(1, 26)
        value = source.choice([b"", b"AAPL", b"1 D", b"TRADES", b"\xff\x00", varint_field(1, 5), b"\x01" * 8])
        fields.append(source.choice([varint_field(number, source.getrandbits(64)), bytes_field(number, value)]))
    apple = bytes_field(2, varint_field(1, 265598))
    return b"".join(fields) + source.choice([b"", apple, apple, apple[:-2]])


def test_no_protobuf_request_makes_the_simulator_fail_inside(connect):
    simulator, client = connect(226)
    source = random.Random(226)
    for _ in range(40):
        for number in HANDLERS:
            client.ask(number, garbage(source))
    client.ask(17, b"")
    client.read(15, seconds=60.0)
    assert simulator.errors == []


@given(values=st.dictionaries(st.sampled_from(["symbol", "order_ref", "hedge_type", "good_till", "model"]), WORDS))
@settings(max_examples=100)
def test_an_order_that_is_written_is_read(values):
    _, placed = PLACED
    record = Record({**values, "order_id": "5", "limit_price": "100.5", "transmit": "1", "underlying_con_id": "9"})
    record.rows["legs"] = [("1", "1", "BUY", "SMART", "0", "0", "", "-1"), ("2", "1", "SELL", "", "0", "0", "", "-1")]
    record.rows["leg_prices"] = [("0.5",), ("",)]
    record.rows["algo_parameters"] = [("adaptivePriority", "Normal")]
    record.rows["conditions"] = [("1", "a", "1", "200.5", "265598", "SMART", "1"), ("3", "o", "1", "noon")]
    record.rows["conditions_flags"] = [("1", "0")]
    named = Named()
    decode(placed, encode(placed, ByName(record)), named)
    assert {name: value for name, value in named.record.values.items() if value and name in record.values} == {
        name: value for name, value in record.values.items() if value
    }
    for name in ("legs", "leg_prices", "algo_parameters", "conditions"):
        assert named.record.rows[name] == record.rows[name]
    assert named.record.rows["conditions_flags"] == [("1", "")]


TEXT_ONLY = {
    *("auction", "basis_points", "basis_points_type", "combo_text", "e_trade_only", "fa_profile", "firm_quote_only"),
    *("has_underlying", "misc_options", "price_cap", "rfq_number", "rfq_text", "shares_allocation"),
    *("size_multiplier", "size_step"),
}
"""Retired fields, and what the simulator keeps no track of (option lists, the words for a combination)."""


def test_text_and_protobuf_have_the_same_names():
    tables = (PLACED, *RECORD_SCHEMAS.values())
    of_text = {name for layout, _ in tables for name in all_names(layout)}
    of_protobuf = {name for _, known in tables for name in names(known)}
    assert of_protobuf - of_text == set()
    assert of_text - of_protobuf == TEXT_ONLY


def names(items):
    for item in items:
        if isinstance(item, schema.Inside):
            yield from names(item.items)
        elif getattr(item, "name", ""):
            yield item.name


def all_names(layout):
    for item in layout:
        if hasattr(item, "items"):
            yield from all_names(item.items)
        else:
            yield item.name
        if isinstance(item, Conditions):
            yield f"{item.name}_flags"


@given(st.binary(max_size=200), st.sampled_from(sorted(REQUEST_SCHEMAS)))
@settings(max_examples=300)
def test_garbage_is_read_or_unreadable_and_nothing_else(body, number):
    for table, sink in ((REQUEST_SCHEMAS[number], Ordered()), (PLACED[1], Named())):
        try:
            decode(table, body, sink)
        except Unreadable:
            continue
        assert sink


def test_lists_may_be_packed():
    sink = Ordered()
    decode(parse("9*i"), bytes_field(9, b"\x01\xac\x02"), sink)
    assert sink.values == ["2", "1", "300"]


def test_a_packed_number_without_an_end_is_unreadable():
    with pytest.raises(Unreadable):
        decode(parse("9*i"), bytes_field(9, b"\xff" * 11), Ordered())


def test_a_list_that_is_too_long_is_unreadable():
    with pytest.raises(Unreadable):
        decode(parse("9*i"), varint_field(9, 1) * 1001, Ordered())


@pytest.mark.parametrize("words", ["1", "1x", "1i )", "x(1i)", "1i ]"])
def test_what_is_no_schema_is_refused(words):
    with pytest.raises((ValueError, IndexError)):
        parse(words)


def test_what_is_unset_is_left_out():
    values = ["2147483647", "1.7976931348623157e+308", "", "0", "ten", "0"]
    body = encode(parse("1i 2d 3s 4i 5d 6b 7(1s) 8*(1s)"), InOrder(iter([*values, "", "1", ""])))
    assert body == varint_field(4, 0) + bytes_field(8, b"")
    assert request_key(raw(PROTOBUF_OFFSET + 1, body)[PREFIX_BYTES:], 226) is None
