import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.protocol.wire import (
    bytes_field,
    find_bytes,
    find_varint,
    int32,
    int64,
    scan,
    varint_field,
)

FIXED64 = b"\x19\0\0\0\0\0\xc8b@"  # field 3
FIXED32 = b"\x25\1\2\3\4"  # field 4


def test_all_wire_types_are_scanned_in_their_order():
    body = bytes_field(2, b"AAPL") + FIXED64 + varint_field(1, 11) + FIXED32
    assert list(scan(body)) == [(2, 2, b"AAPL"), (3, 1, FIXED64[1:]), (1, 0, 11), (4, 5, FIXED32[1:])]


def test_a_scan_begins_where_it_is_told():
    assert list(scan(b"\0\0\0\xc9" + varint_field(1, 11), 4)) == [(1, 0, 11)]


def test_minus_one_takes_ten_bytes_and_comes_back():
    assert varint_field(1, -1).hex() == "08ffffffffffffffffff01"
    assert int32(find_varint(varint_field(1, -1), 1) or 0) == -1


def test_a_negative_number_in_five_bytes_is_the_same_number():
    assert int32(0xFFFFFFFF) == -1
    assert int32(0x7FFFFFFF) == 0x7FFFFFFF


@given(st.integers(1, 2**29 - 1), st.integers(-(2**63), 2**63 - 1))
def test_every_int64_survives(field, value):
    assert int64(find_varint(varint_field(field, value), field) or 0) == value


@given(st.integers(1, 2**29 - 1), st.binary(max_size=300))
def test_all_bytes_survive(field, value):
    assert find_bytes(varint_field(5 if field != 5 else 6, 3) + bytes_field(field, value), field) == value


@pytest.mark.parametrize(
    "body",
    [b"\x08", b"\x08\xff", b"\x08" + b"\xff" * 11, b"\x12\x05AAPL", b"\x12\xff", b"\x19\0", b"\x25\0", b"\x0b", b"\x0c",
     b"\x0e", b"\x00\x01", b"\xff" * 20],
)  # fmt: skip
def test_broken_bodies_are_value_errors_and_have_no_fields(body):
    with pytest.raises(ValueError, match=r"."):
        list(scan(body))
    assert find_varint(body, 1) is None
    assert find_bytes(body, 1) is None


def test_a_field_in_front_of_the_broken_place_is_found():
    assert find_varint(varint_field(1, 11) + b"\x12\xff", 1) == 11


def test_a_field_of_another_type_is_not_the_field():
    assert find_varint(bytes_field(1, b"x"), 1) is None
    assert find_bytes(varint_field(1, 1), 1) is None


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_but_value_errors(body):
    try:
        for field, _, _ in scan(body):
            assert field > 0
    except ValueError:
        pass
    find_varint(body, 1)
    find_bytes(body, 2)
