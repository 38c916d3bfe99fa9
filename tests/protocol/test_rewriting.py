"""What TWS told backstay is made into what a client would have been told, in every layout."""

from decimal import Decimal
from struct import pack

import pytest

from backstay.protocol.framing import PREFIX_BYTES, fields
from backstay.protocol.messages import order_status_client, response_key
from backstay.protocol.order_fields import read_execution, read_order
from backstay.protocol.responses import RESPONSES
from backstay.protocol.rewriting import Filling, commission_execution, with_request_id, write_order_status
from backstay.protocol.wire import DOUBLE, bytes_field, scan, varint_field

EXECUTION, COMMISSION = 11, 59
BLANKS = ("",) * 11
PRICE = b"\x51\0\0\0\0\0\0\x24\x40"  # field 10, eight bytes


def body(version, number, *values):
    """A text payload as a server of this version writes it."""
    row = RESPONSES[number]
    if row.version_field is not None and version <= row.version_field[1]:
        values = (row.version_number, *values)
    return fields(number, *values) if version <= 200 else number.to_bytes(4, "big") + fields(*values)


def proto(number, *parts):
    return (number + 200).to_bytes(4, "big") + b"".join(parts)


def fill(version, request_id):
    return body(version, EXECUTION, request_id, 101, *BLANKS, "0001.01", *BLANKS, "", "", "", "")


@pytest.mark.parametrize("version", [100, 135, 136, 176, 200])
def test_an_execution_gets_another_request_id_and_is_the_same_otherwise(version):
    assert with_request_id(fill(version, 2**31 - 9), version, -1) == fill(version, -1)


def test_an_execution_that_is_text_behind_a_raw_number_gets_another_request_id_too():
    assert with_request_id(fill(201, 2**31 - 9), 201, -1) == fill(201, -1)


def test_a_protobuf_execution_gets_another_request_id_and_keeps_every_other_field():
    execution = bytes_field(2, b"0001.01") + varint_field(1, 101)
    rest = (bytes_field(3, execution), PRICE, varint_field(12, 5))
    changed = with_request_id(proto(EXECUTION, rest[0], varint_field(1, 9_000), *rest[1:]), 226, -1)
    assert response_key(changed, 226) == -1
    facts = read_execution(changed, 226)
    assert facts is not None
    assert (facts.order_id, facts.exec_id) == (101, "0001.01")
    assert list(scan(changed, 4))[1:] == list(scan(b"".join(rest)))


@pytest.mark.parametrize("version", [100, 176, 200, 201, 209])
def test_a_commission_report_names_its_execution(version):
    assert commission_execution(body(version, COMMISSION, "0001.01", 1.0, "USD"), version) == "0001.01"


@pytest.mark.parametrize(
    ("payload", "version", "expected"),
    [
        (proto(COMMISSION, varint_field(2, 1), bytes_field(1, b"0001.01")), 226, "0001.01"),
        (proto(COMMISSION, varint_field(2, 1)), 226, ""),
        (b"59", 200, ""),
        (b"59\x001", 100, ""),
    ],
    ids=["protobuf", "protobuf without one", "nothing behind the number", "nothing behind VERSION"],
)
def test_a_commission_report_that_names_no_execution_is_about_none(payload, version, expected):
    assert commission_execution(payload, version) == expected


@pytest.mark.parametrize("version", [100, 130, 131, 176, 200, 201, 226])
def test_an_order_status_of_ours_is_read_as_one_of_tws(version):
    frame = write_order_status(
        (7, 101), "Filled", Filling(filled=Decimal(3), remaining=Decimal("0.5")), perm_id=99, version=version
    )
    payload = frame[PREFIX_BYTES:]
    facts = read_order(payload, version)
    assert facts is not None
    assert (facts.client_id, facts.order_id, facts.status, facts.perm_id) == (7, 101, "Filled", 99)
    assert (response_key(payload, version), order_status_client(payload, version)) == (101, 7)


def test_an_order_status_of_ours_tells_the_prices():
    filling = Filling(filled=Decimal(3), remaining=Decimal(0), average_price=Decimal("1.25"), last_price=Decimal("1.5"))
    told = write_order_status((7, 101), "Filled", filling, perm_id=99, version=200)[PREFIX_BYTES:]
    assert told.split(b"\0")[3:9] == [b"3", b"0", b"1.25", b"99", b"0", b"1.5"]
    body = write_order_status((7, 101), "Filled", filling, perm_id=99, version=226)[PREFIX_BYTES + 4 :]
    doubles = {field: value for field, kind, value in scan(body) if kind == DOUBLE}
    assert doubles == {5: pack("<d", 1.25), 8: pack("<d", 1.5), 11: pack("<d", 0.0)}


@pytest.mark.parametrize("parent_id", [0, 100])
def test_an_order_status_of_ours_names_the_parent_and_leaves_nothing_out(parent_id):
    filling = Filling(filled=Decimal(0), remaining=Decimal(3))
    ids = {"perm_id": 99, "parent_id": parent_id}
    told = write_order_status((7, 101), "Inactive", filling, **ids, version=200)[PREFIX_BYTES:]
    assert told.split(b"\0")[6:8] == [b"99", b"%d" % parent_id]
    body = write_order_status((7, 101), "Inactive", filling, **ids, version=226)[PREFIX_BYTES + 4 :]
    values = {field: value for field, _, value in scan(body)}
    assert set(values) == set(range(1, 12))
    assert values[7] == parent_id
