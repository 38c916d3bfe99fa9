import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.protocol.builders import build
from backstay.protocol.commands import (
    StartApi,
    cancel_frame,
    cancel_order,
    current_time,
    read_start_api,
    start_api,
)
from backstay.protocol.framing import fields, raw, text
from backstay.protocol.messages import REQUESTS, Key, Kind, body_fields, kind_of, message_id, request_key
from backstay.protocol.wire import bytes_field, varint_field

VERSIONS = (100, 145, 146, 176, 200, 201, 206, 207, 212, 213, 215, 226)


@given(st.integers(0, 2**31 - 1), st.sampled_from([b"", b"capA", b"a b;c"]), st.sampled_from(VERSIONS))
def test_start_api_round_trips(client_id, capabilities, version):
    frame = start_api(version, client_id, capabilities)
    assert read_start_api(frame[4:], version) == StartApi(client_id, capabilities)


def test_start_api_without_the_capability_field_is_understood():
    assert read_start_api(b"71\x002\x007\0", 176) == StartApi(7, b"")


@pytest.mark.parametrize(
    ("payload", "version"),
    [(b"71\0", 176), (b"71\x002\0x\0", 176), (b"49\x001\0", 176), (b"\0\0\1\x0f", 226), (b"", 176), (b"", 226)],
)
def test_what_is_not_start_api_is_none(payload, version):
    assert read_start_api(payload, version) is None


@given(st.binary(max_size=40), st.integers(90, 240))
def test_reading_start_api_never_raises(payload, version):
    for head in (b"", b"71\0", b"\0\0\0\x47", b"\0\0\1\x0f"):
        read_start_api(head + payload, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_probe_is_a_request_for_the_time(version):
    assert message_id(current_time(version)[4:], version) == 49


def stream_payload(row, version):
    """Some request of this row, good enough to be cancelled."""
    if row.protobuf_from is not None and version >= row.protobuf_from:
        parts = [] if row.key is Key.NONE else [varint_field(1, 7)]
        if row.id == 6:
            parts = [varint_field(1, 1), bytes_field(2, b"DU1")]
        return raw(row.id + 200, b"".join(parts))[4:]
    head = (row.version_number,) if row.version_field and version <= row.version_field[1] else ()
    values = (1, "DU1") if row.id == 6 else (7, "rest", "")
    body = fields(*head, *values)
    return fields(row.id) + body if version <= 200 else row.id.to_bytes(4, "big") + body


@pytest.mark.parametrize("version", VERSIONS)
def test_each_read_and_stream_is_cancelled_by_the_cancel_of_its_row(version):
    for row in REQUESTS.values():
        payload = stream_payload(row, version)
        frame = cancel_frame(payload, version)
        cancellable = row.kind in (Kind.STREAM, Kind.SNAPSHOT, Kind.ONESHOT) and row.cancelled_by is not None
        if not cancellable or version < REQUESTS[row.cancelled_by].since:
            assert frame is None, row.name
            continue
        assert message_id(frame[4:], version) == row.cancelled_by, row.name
        assert kind_of(frame[4:], version) is Kind.CANCEL, row.name
        assert request_key(frame[4:], version) == request_key(payload, version), row.name
        assert cancel_frame(frame[4:], version) is None, row.name


def depth(version, smart):
    tail = (smart, "") if version >= 146 else ("",)
    values = (5, 7, 0, "AAPL", "STK", "", "", "", "", "SMART", "USD", "", "", 5, *tail)
    return fields(10, *values) if version <= 200 else b"\0\0\0\x0a" + fields(*values)


def test_a_depth_cancel_repeats_whether_the_book_was_smart():
    assert cancel_frame(depth(145, 1), 145) == text(11, 1, 7)
    assert cancel_frame(depth(146, 1), 146) == text(11, 1, 7, 1)
    assert cancel_frame(depth(200, 0), 200) == text(11, 1, 7, 0)
    assert cancel_frame(depth(201, 1), 201) == raw(11, b"1\x007\x001\0")
    smart = raw(210, varint_field(1, 7) + varint_field(4, 1))[4:]
    assert cancel_frame(smart, 226) == raw(211, varint_field(1, 7) + varint_field(2, 1))


def test_account_updates_are_cancelled_with_their_account():
    assert cancel_frame(fields(6, 2, 1, "DU1"), 176) == text(6, 2, 0, "DU1")
    assert cancel_frame(fields(6, 2, 1, ""), 176) == text(6, 2, 0, "")
    subscribed = raw(206, varint_field(1, 1) + bytes_field(2, b"DU1"))[4:]
    assert cancel_frame(subscribed, 226) == raw(206, bytes_field(2, b"DU1"))
    assert cancel_frame(raw(206, varint_field(1, 1))[4:], 226) == raw(206, b"")


def test_a_cancel_of_account_updates_has_no_cancel():
    assert cancel_frame(fields(6, 2, 0, "DU1"), 176) is None


def test_an_order_is_not_cancelled_from_here():
    assert cancel_frame(fields(3, 101, "rest"), 176) is None
    assert cancel_frame(fields(21, 2, 101), 176) is None


def test_a_request_without_its_id_can_not_be_cancelled():
    assert cancel_frame(fields(1, 11, "x"), 176) is None
    assert cancel_frame(b"", 176) is None


@given(st.binary(max_size=60), st.integers(0, 320), st.integers(90, 240))
def test_cancelling_garbage_never_raises(rest, number, version):
    head = fields(number) if version <= 200 else number.to_bytes(4, "big")
    frame = cancel_frame(head + rest, version)
    assert frame is None or kind_of(frame[4:], version) is Kind.CANCEL


@pytest.mark.parametrize("version", range(176, 201))
def test_the_cancel_of_an_order_is_as_a_client_of_that_version_writes_it(version):
    assert cancel_order(version, 7)[4:] == build("cancel_order", {}, version=version, key=7)


@pytest.mark.parametrize(
    ("version", "rest"),
    [(100, []), (168, []), (169, [b""]), (201, [b"", b"", b"2147483647"]), (202, [b"", b"", b"2147483647"])],
)
def test_the_cancel_of_an_order_has_the_fields_of_older_and_later_versions(version, rest):
    values = body_fields(cancel_order(version, 7)[4:], version)
    assert values == ([b"1"] if version < 192 else []) + [b"7", *rest]


@pytest.mark.parametrize("version", [100, 168, 169, 186, 187, 190, 192, 202, 203, 226])
def test_the_cancel_of_an_order_is_one_in_every_version(version):
    payload = cancel_order(version, 7)[4:]
    assert (message_id(payload, version), request_key(payload, version)) == (4, 7)
    assert kind_of(payload, version) is Kind.ORDER_CANCEL
