"""The layout tables: what is written can be read, in every version, and nonsense is refused."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.simulator import layout
from backstay.simulator.fields import Fields, Unreadable, read_number, show
from backstay.simulator.layout import Conditions, Record, Repeated, When, flags, join, plain
from backstay.simulator.order_layouts import COMPLETED_ORDER, OPEN_ORDER, PLACE_ORDER

VERSIONS = st.integers(100, 200)
WORDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5)

SAMPLE = join(
    plain("first"),
    plain("young", since=150),
    plain("old", until=149),
    flags("flag"),
    (When(lambda record: record.get("first") == "more", plain("extra")), Repeated("rows", 2), Conditions()),
)


def read(version, *fields):
    return layout.read(SAMPLE, Fields("".join(f"{field}\0" for field in fields).encode()), version)


@given(version=VERSIONS, values=st.dictionaries(st.sampled_from(["first", "young", "old", "extra"]), WORDS))
@settings(max_examples=200)
def test_what_is_written_is_read(version, values):
    record = Record(values, {"rows": [("a", "b"), ("c", "d")], "conditions": [("3", "a", "1", "noon")]})
    record.rows["conditions_flags"] = [("1", "0")]
    written = layout.write(SAMPLE, record, version)
    fields = Fields("".join(f"{field}\0" for field in written).encode())
    back = layout.read(SAMPLE, fields, version)
    assert fields.left == 0
    assert back.rows["rows"] == record.rows["rows"]
    assert all(back.get(name) == values.get(name, "") for name in back.values if name != "flag")
    assert layout.write(SAMPLE, back, version) == written


@pytest.mark.parametrize(("version", "has"), [(100, "old"), (149, "old"), (150, "young"), (200, "young")])
def test_fields_come_and_go_with_versions(version, has):
    record = read(version, "x", "value", 0, 0, 0)
    assert record.get(has) == "value"
    assert record.on("flag") is False


@pytest.mark.parametrize(
    "fields",
    [("x",), ("x", "y", 0, "many"), ("x", "y", 0, -1), ("x", "y", 0, 1001), ("x", "y", 0, 0, 1, "9")],
    ids=str,
)
def test_fields_that_do_not_fit_are_unreadable(fields):
    with pytest.raises(Unreadable):
        read(150, *fields)


@given(version=VERSIONS, data=st.binary(max_size=400))
@settings(max_examples=300)
def test_garbage_is_read_or_unreadable_and_nothing_else(version, data):
    with contextlib.suppress(Unreadable):
        layout.read(PLACE_ORDER, Fields(data + b"\0"), version)


@pytest.mark.parametrize("table", [PLACE_ORDER, OPEN_ORDER, COMPLETED_ORDER], ids=["place", "open", "completed"])
@pytest.mark.parametrize("version", [100, 157, 200])
def test_an_empty_order_survives_every_table(table, version):
    written = layout.write(table, Record(), version)
    fields = Fields("".join(f"{field}\0" for field in written).encode())
    assert layout.write(table, layout.read(table, fields, version), version) == written
    assert fields.left == 0


@given(st.integers(-(10**9), 10**9), st.sampled_from([1, 2, 100, 20000]))
def test_numbers_are_written_without_exponents_and_read_back(steps, per_one):
    number = steps / per_one
    assert "e" not in show(number)
    assert read_number(show(number)) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "1.7976931348623157e+308", "1.7976931348623157E308"])
def test_an_unset_number_is_none(text):
    assert read_number(text) is None


def test_a_number_that_is_none_of_them_is_unreadable():
    with pytest.raises(Unreadable):
        read_number("ten")
