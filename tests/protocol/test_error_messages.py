import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.protocol.errors import (
    ErrorMessage,
    read_error,
    read_managed_accounts,
    read_next_valid_id,
    write_error,
    write_managed_accounts,
    write_next_valid_id,
)
from backstay.protocol.framing import fields

LAYOUTS = (100, 152, 153, 165, 166, 193, 194, 200, 201, 212, 213, 226)

ids = st.integers(-(2**31), 2**31 - 1)
ascii_texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
wild_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def survivors(message, version):
    """What of a message a layout has room for."""
    return ErrorMessage(
        message.id,
        message.code,
        message.text,
        message.reject if version >= 166 else "",
        message.time_ms if version >= 194 else 0,
    )


@given(st.builds(ErrorMessage, ids, ids, ascii_texts, ascii_texts, st.integers(0, 2**53)), st.sampled_from(LAYOUTS))
def test_all_layouts_round_trip(message, version):
    assert read_error(write_error(message, version)[4:], version) == survivors(message, version)


@given(wild_texts, st.sampled_from([version for version in LAYOUTS if version >= 153]))
def test_any_text_survives_where_escapes_exist(text, version):
    message = ErrorMessage(7, 200, text, text if version >= 166 else "")
    frame = write_error(message, version)
    assert read_error(frame[4:], version) == message
    if version <= 200:
        assert frame[4:].isascii()


def test_below_153_other_characters_become_question_marks():
    frame = write_error(ErrorMessage(7, 200, "caf\u00e9 \\u00e9 \U0001f600\0"), 152)
    assert frame[4:] == b"4\x002\x007\x00200\0caf? \\u00e9 ??\0"
    assert read_error(frame[4:], 152) == ErrorMessage(7, 200, "caf? \\u00e9 ??")


def test_a_nul_in_a_text_can_not_break_the_fields():
    assert read_error(write_error(ErrorMessage(7, 200, "a\0b"), 176)[4:], 176) == ErrorMessage(7, 200, "a\0b")


def test_lone_surrogates_do_not_raise():
    for version in LAYOUTS:
        assert read_error(write_error(ErrorMessage(7, 200, "x\ud800", "\udc00"), version)[4:], version) is not None


def test_escapes_are_undone_from_153_on():
    payload = fields(4, 2, 7, 200, "\\u00e9t\\u00e9 \\ud83d\\ude00 C:\\users")
    found = read_error(payload, 153)
    assert found is not None
    assert found.text == "\u00e9t\u00e9 \U0001f600 C:\\users"
    kept = read_error(payload, 152)
    assert kept is not None
    assert "\\u00e9" in kept.text


def test_latin_1_texts_are_read():
    found = read_error(fields(4, 2, -1, 2104, "B\u00f6rse".encode("latin-1")), 100)
    assert found == ErrorMessage(-1, 2104, "B\u00f6rse")


def test_trailing_fields_may_be_missing():
    assert read_error(fields(4, 2, -1, 2104, "x"), 178) == ErrorMessage(-1, 2104, "x")
    assert read_error(fields(4, -1, 2104, "x"), 200) == ErrorMessage(-1, 2104, "x")


def test_a_protobuf_error_without_an_id_is_about_no_request():
    assert read_error(b"\0\0\0\xcc\x18\xc8\x01", 226) == ErrorMessage(-1, 200, "")


def test_fields_of_a_later_version_are_skipped():
    payload = b"\0\0\0\xcc\x08\x07\x18\xc8\x01" + b"\x35\0\0\0\0" + b"\x39" + bytes(8) + b"\x42\x01x" + b"\x22\x02no"
    assert read_error(payload, 226) == ErrorMessage(7, 200, "no")


@pytest.mark.parametrize(
    ("payload", "version"),
    [
        (b"", 176),
        (b"4\0", 176),
        (b"4\x002\x007\x00200\0", 176),
        (b"4\x002\0x\x00200\0text\0", 176),
        (b"4\x002\x007\0x\0text\0", 176),
        (b"4\x007\x00200\0text\0\0x\0", 200),
        (b"9\x001\x001001\0", 176),
        (b"\0\0\0\xcc\x08\x07", 226),
        (b"\0\0\0\xcc\x08\x07\x12\xff", 226),
    ],
)
def test_a_malformed_error_is_none(payload, version):
    assert read_error(payload, version) is None


@given(ids, st.sampled_from(LAYOUTS))
def test_the_next_order_id_round_trips(order_id, version):
    assert read_next_valid_id(write_next_valid_id(order_id, version)[4:], version) == order_id


@given(st.binary(max_size=40).map(lambda value: value.replace(b"\0", b",")), st.sampled_from((*LAYOUTS, 206, 207)))
def test_accounts_round_trip(accounts, version):
    assert read_managed_accounts(write_managed_accounts(accounts, version)[4:], version) == accounts


@pytest.mark.parametrize("payload", [b"9\0", b"9\x001\0", b"9\x001\0x\0", b"15\x001\0DU1\0"])
def test_a_malformed_order_id_is_none(payload):
    assert read_next_valid_id(payload, 176) is None


@pytest.mark.parametrize("payload", [b"15\0", b"15\x001\0", b"9\x001\x001\0"])
def test_malformed_accounts_are_none(payload):
    assert read_managed_accounts(payload, 176) is None


def test_protobuf_readiness_without_its_field():
    assert read_next_valid_id(b"\0\0\0\xd1", 226) is None
    assert read_managed_accounts(b"\0\0\0\xd7", 226) == b""


error_like = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=60).map(b"4\0".__add__),
    st.binary(max_size=60).map(b"\0\0\0\xcc".__add__),
)


@given(error_like, st.integers(90, 240))
def test_reading_never_raises(payload, version):
    read_error(payload, version)
    read_next_valid_id(payload.replace(b"4", b"9", 1), version)
    read_managed_accounts(payload.replace(b"4", b"15", 1), version)
