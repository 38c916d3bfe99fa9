import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.protocol.framing import fields
from backstay.protocol.messages import (
    NO_MESSAGE,
    REQUESTS,
    RESPONSES,
    Key,
    Kind,
    account_updates_account,
    body_fields,
    ends,
    is_protobuf,
    is_smart_depth,
    kind_of,
    message_id,
    order_status_client,
    request_key,
    response_key,
    ticks_done,
)
from backstay.protocol.wire import bytes_field, varint_field

CONTRACT = (0, "AAPL", "STK", "", "", "", "", "SMART", "", "USD", "", "")
LEGS = (2, 1, 1, "BUY", "SMART", 2, 1, "SELL", "SMART")


def body(version, number, *values):
    """A text payload as a client or server of this version writes it."""
    if version <= 200:
        return fields(number, *values)
    return number.to_bytes(4, "big") + fields(*values)


def proto(number, *parts):
    return (number + 200).to_bytes(4, "big") + b"".join(parts)


def market_data(version, *, snapshot=0, regulatory=0, legs=()):
    flags = (snapshot, regulatory) if version >= 114 else (snapshot,)
    return body(version, 1, 11, 7, *CONTRACT, *legs, 0, "233", *flags, "")


@pytest.mark.parametrize("legs", [(), LEGS], ids=["share", "combination"])
@pytest.mark.parametrize("version", [100, 113, 114, 176, 200, 201, 205])
def test_market_data_is_a_stream_until_a_snapshot_flag_is_set(version, legs):
    assert kind_of(market_data(version, legs=legs), version) is Kind.STREAM
    assert ends(market_data(version, legs=legs), version) == frozenset()
    assert kind_of(market_data(version, snapshot=1, legs=legs), version) is Kind.SNAPSHOT
    assert ends(market_data(version, snapshot=1, legs=legs), version) == {57}
    if version >= 114:
        assert kind_of(market_data(version, regulatory=1, legs=legs), version) is Kind.SNAPSHOT
    assert request_key(market_data(version, legs=legs), version) == 7


@pytest.mark.parametrize("flag", [4, 5])
def test_a_protobuf_snapshot_is_one_in_any_field_order(flag):
    payload = proto(1, varint_field(flag, 1), bytes_field(2, b"\x0a\0"), varint_field(1, 7))
    assert kind_of(payload, 226) is Kind.SNAPSHOT
    assert ends(payload, 226) == {57}
    assert request_key(payload, 226) == 7
    assert kind_of(proto(1, varint_field(1, 7), varint_field(flag, 0)), 226) is Kind.STREAM


def bars(version, *, keep=0, show="TRADES", legs=()):
    head = (6,) if version < 124 else ()
    tail = (keep, "") if version >= 124 else ("",)
    query = (0, "", "1 hour", "1 D", 1, show, 1)
    return body(version, 20, *head, 7, *CONTRACT, *query, *legs, *tail)


@pytest.mark.parametrize("legs", [(), LEGS], ids=["share", "combination"])
@pytest.mark.parametrize("version", [100, 123, 124, 176, 195, 196, 200, 201, 207])
def test_historical_data_ends_by_version_and_content(version, legs):
    payload = bars(version, legs=legs)
    assert kind_of(payload, version) is Kind.SNAPSHOT
    assert request_key(payload, version) == 7
    assert ends(payload, version) == ({108} if version >= 196 else {17})
    assert ends(bars(version, show="SCHEDULE", legs=legs), version) == {106}
    kept = bars(version, keep=1, legs=legs)
    assert kind_of(kept, version) is (Kind.STREAM if version >= 124 else Kind.SNAPSHOT)
    assert (ends(kept, version) == frozenset()) == (version >= 124)


def test_protobuf_historical_data_ends_by_content():
    plain = proto(20, varint_field(1, 7), bytes_field(7, b"TRADES"))
    assert (kind_of(plain, 226), ends(plain, 226)) == (Kind.SNAPSHOT, {108})
    assert ends(proto(20, varint_field(1, 7), bytes_field(7, b"SCHEDULE")), 226) == {106}
    assert ends(proto(20, varint_field(1, 7)), 226) == {108}
    kept = proto(20, varint_field(1, 7), varint_field(9, 1))
    assert (kind_of(kept, 226), ends(kept, 226)) == (Kind.STREAM, frozenset())


@pytest.mark.parametrize("version", [100, 176, 200, 201, 206])
def test_account_updates_off_is_a_cancel(version):
    on, off = body(version, 6, 2, 1, "DU1"), body(version, 6, 2, 0, "DU1")
    assert kind_of(on, version) is Kind.STREAM
    assert kind_of(off, version) is Kind.CANCEL
    assert account_updates_account(on, version) == b"DU1"
    assert ends(on, version) == ends(off, version) == frozenset()
    assert request_key(on, version) is None


def test_protobuf_account_updates_without_subscribe_is_a_cancel():
    assert kind_of(proto(6, varint_field(1, 1), bytes_field(2, b"DU1")), 226) is Kind.STREAM
    assert kind_of(proto(6, bytes_field(2, b"DU1")), 226) is Kind.CANCEL
    assert account_updates_account(proto(6, bytes_field(2, b"DU1")), 226) == b"DU1"
    assert account_updates_account(proto(6), 226) == b""
    assert account_updates_account(body(176, 6), 176) == b""


def test_every_other_request_is_what_its_row_says():
    for number in sorted(set(REQUESTS) - {1, 6, 20, 96}):
        row = REQUESTS[number]
        payload = body(200, number, *((1,) if row.version_field and row.version_field[1] >= 200 else ()), 7)
        assert message_id(payload, 200) == number
        assert kind_of(payload, 200) is row.kind, row.name
        concluded = row.end is not None and row.kind is not Kind.STREAM
        assert ends(payload, 200) == (frozenset({row.end}) if concluded else frozenset()), row.name


@pytest.mark.parametrize("version", [200, 213])
@pytest.mark.parametrize("table", [REQUESTS, RESPONSES], ids=["requests", "responses"])
def test_every_row_gives_up_its_key(table, version):
    read = request_key if table is REQUESTS else response_key
    for row in table.values():
        expected = None if row.key is Key.NONE else 4711
        if version > 200 and row.protobuf_from is not None:
            payload = proto(row.id, bytes_field(2, b"x"), varint_field(1, 4711))
        else:
            has_version = row.version_field is not None and row.version_field[1] >= version
            payload = body(version, row.id, *((1,) if has_version else ()), 4711)
        assert read(payload, version) == expected, row.name


def test_replace_fa_has_its_id_behind_everything_else_from_157_on():
    assert request_key(body(156, 19, 1, 1, "<xml/>"), 156) is None
    assert request_key(body(157, 19, 1, 1, "<xml/>", 33), 157) == 33
    assert request_key(proto(19, varint_field(1, 33)), 226) == 33
    assert ends(body(156, 19, 1, 1, "<xml/>"), 156) == frozenset()
    assert ends(body(157, 19, 1, 1, "<xml/>", 33), 157) == {103}


@pytest.mark.parametrize("version", [135, 136, 200])
def test_the_key_of_an_execution_is_its_request_id(version):
    payload = body(version, 11, *((10,) if version < 136 else ()), -1, 101, "rest")
    assert response_key(payload, version) == -1


@pytest.mark.parametrize("version", [130, 131, 200])
def test_an_order_status_names_the_client_of_the_order(version):
    payload = body(version, 3, *((6,) if version < 131 else ()), 101, "Submitted", 0, 1, 0.0, 9, 0, 0.0, 7, "")
    assert order_status_client(payload, version) == 7
    assert order_status_client(proto(3, varint_field(9, 7)), 226) == 7
    assert order_status_client(proto(3, varint_field(1, 101)), 226) is None
    assert order_status_client(body(version, 5, 101, 1, 2, 3, 4, 5, 6, 7, 8, 9), version) is None


@pytest.mark.parametrize("number", [96, 97, 98])
def test_historical_ticks_end_with_a_flag(number):
    assert not ticks_done(body(200, number, 7, 0, 0), 200)
    assert ticks_done(body(200, number, 7, 0, 1), 200)
    assert not ticks_done(proto(number, varint_field(1, 7)), 226)
    assert ticks_done(proto(number, varint_field(1, 7), varint_field(3, 1)), 226)
    assert not ticks_done(body(200, 99, 7, 0, 1), 200)
    assert ends(body(200, 96, 7), 200) == {96, 97, 98}


def test_a_smart_book_is_recognised_where_the_field_exists():
    head = (5, 7, *CONTRACT[:8], "USD", "", "", 5)
    assert not is_smart_depth(body(145, 10, *head, ""), 145)
    assert not is_smart_depth(body(146, 10, *head, 0, ""), 146)
    assert is_smart_depth(body(146, 10, *head, 1, ""), 146)
    assert is_smart_depth(proto(10, varint_field(1, 7), varint_field(4, 1)), 226)
    assert not is_smart_depth(proto(10, varint_field(1, 7)), 226)


@pytest.mark.parametrize(
    ("payload", "version", "expected"),
    [
        (b"", 176, NO_MESSAGE),
        (b"", 226, NO_MESSAGE),
        (b"\0\0\0", 226, NO_MESSAGE),
        (b"abc\0", 176, NO_MESSAGE),
        (b"\0\0\1\5", 176, NO_MESSAGE),  # a raw id in a text session, as some clients send by mistake
        (b"03\x00", 176, 3),  # the other side would place that order
        (b"+3\x00", 176, 3),
        (b"3", 176, 3),
        (b"999\0", 176, 999),
        (b"9" * 5000 + b"\0", 176, NO_MESSAGE),
        (b"\0\0\0\xc8", 226, 200),
        (b"\0\0\0\xc9", 226, 1),
    ],
)
def test_ids_are_read_as_leniently_as_the_other_side_may(payload, version, expected):
    assert message_id(payload, version) == expected


def test_an_unknown_message_is_never_replayed():
    assert kind_of(body(176, 999), 176) is Kind.COMMAND
    assert ends(body(176, 999), 176) == frozenset()
    assert request_key(body(176, 999, 5), 176) is None


def test_below_201_nothing_is_protobuf():
    assert not is_protobuf(b"\0\0\0\xc9\x08\x07", 200)
    assert is_protobuf(b"\0\0\0\xc9\x08\x07", 201)
    assert not is_protobuf(b"\0\0\0\xc8", 201)
    assert not is_protobuf(b"\0\0\1", 201)


def test_body_fields_are_the_terminated_fields_behind_the_id():
    assert body_fields(b"49\x001\0\0cut", 176) == [b"1", b""]
    assert body_fields(b"49\0", 176) == []
    assert body_fields(b"49", 176) == []
    assert body_fields(b"\0\0\0\x311\0", 201) == [b"1"]


@pytest.mark.parametrize("payload", [b"1\0", b"1\x0011\0", b"1\x0011\x007", b"1\x0011\0\0", b"1\x0011\0x\0"])
def test_a_key_that_is_not_there_in_full_is_none(payload):
    assert request_key(payload, 176) is None


def test_a_key_cut_off_behind_a_raw_id_is_none():
    assert request_key(b"\0\0\0\x01" + b"11\x007", 201) is None
    assert request_key(b"\0\0\0\x01" + b"11\x007\0", 201) == 7
    assert response_key(b"\0\0\1", 226) is None


def test_an_order_with_a_padded_id_has_its_key():
    assert request_key(b"03\x00101\0", 176) == 101


@pytest.mark.parametrize("tail", [b"", b"\x08", b"\x0a\x01x", b"\x10\x07"])
def test_a_protobuf_body_without_its_key_has_none(tail):
    assert request_key(b"\0\0\0\xc9" + tail, 226) is None


anything = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda n, rest: b"%d\0" % n + rest, st.integers(0, 120), st.binary(max_size=40)),
    st.builds(lambda n, rest: n.to_bytes(4, "big") + rest, st.integers(0, 320), st.binary(max_size=40)),
    st.builds(
        lambda n, parts: fields(n, *parts), st.integers(0, 120), st.lists(st.sampled_from([b"", b"0", b"1", b"x"]))
    ),
)


@given(anything, st.integers(90, 240))
def test_garbage_never_raises(payload, version):
    number = message_id(payload, version)
    assert isinstance(number, int)
    assert isinstance(is_protobuf(payload, version), bool)
    assert all(b"\0" not in value for value in body_fields(payload, version))
    for read in (request_key, response_key):
        assert isinstance(read(payload, version), int | None)
    assert isinstance(kind_of(payload, version), Kind)
    assert all(end in RESPONSES for end in ends(payload, version))
    assert isinstance(ticks_done(payload, version), bool)
    assert isinstance(is_smart_depth(payload, version), bool)
    assert isinstance(account_updates_account(payload, version), bytes)
