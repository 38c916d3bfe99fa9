"""What a gateway tells of itself is read as far as it goes; whatever the wire brings, nothing is raised."""

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.protocol import configuration as reading
from backstay.protocol.commands import configuration
from backstay.protocol.configuration import Configuration, read_configuration
from backstay.protocol.framing import PREFIX_BYTES, raw
from backstay.protocol.handshake import Hello, local_seconds
from backstay.protocol.messages import message_id, request_key
from backstay.protocol.wire import bytes_field, double_field, varint_field

V = 226
LOCK = bytes_field(1, b"12:07") + bytes_field(2, b"AM") + bytes_field(3, b"restart")
SETTINGS = b"".join(
    (
        *(varint_field(1, 0), varint_field(8, 4002), varint_field(18, 5), varint_field(26, 1), varint_field(31, 0)),
        *(varint_field(35, 1), bytes_field(36, b"127.0.0.1"), bytes_field(36, b"10.0.0.7")),
    )
)
DIALOG = varint_field(1, 3) + bytes_field(2, b"Simultaneous market data limit exceeded") + varint_field(5, 0)
WHOLE = Configuration(time(0, 7), True, False, 4002, 5, True, False, True, ("127.0.0.1", "10.0.0.7"))


def body(lock: bytes = LOCK, settings: bytes = SETTINGS, dialogs: int = 500) -> bytes:
    api = bytes_field(1, varint_field(1, 1)) + bytes_field(2, settings)
    return b"".join(
        (varint_field(1, 7), bytes_field(2, lock), bytes_field(3, DIALOG) * dialogs, bytes_field(4, api), b"\x2a\0")
    )


def read(content: bytes) -> Configuration | None:
    return read_configuration(raw(310, content)[PREFIX_BYTES:], V)


def test_a_configuration_is_read_past_hundreds_of_dialogs():
    assert read(body()) == WHOLE


def test_what_is_not_said_is_unknown():
    assert read(b"") == Configuration()
    assert read(body(lock=b"", settings=b"")) == Configuration()
    assert read(body(settings=varint_field(1, 1))) == Configuration(time(0, 7), restarts=True, read_only=True)


def test_fields_that_nobody_knows_and_other_wire_types_are_passed_over():
    strange = double_field(18, 1.0) + varint_field(36, 9) + bytes_field(8, b"x") + bytes_field(200, b"y")
    assert read(body(settings=strange + SETTINGS) + varint_field(99, 1)) == WHOLE


@pytest.mark.parametrize(
    ("clock", "half_day", "at"),
    [
        (b"11:59", b"PM", time(23, 59)),
        (b"12:00", b"PM", time(12)),
        (b"12:00", b"AM", time(0)),
        (b"1:05", b"pm", time(13, 5)),
        (b"23:45", b"PM", None),
        (b"0:10", b"AM", None),
        (b"11:60", b"PM", None),
        (b"11:59", b"", None),
        (b"soon", b"AM", None),
        (b"\xd9\xa1\xd9\xa2:00", b"AM", None),
        (b"", b"", None),
    ],
)
def test_a_clock_of_twelve_hours_is_understood_and_no_other(clock, half_day, at):
    told = read(body(lock=bytes_field(1, clock) + bytes_field(2, half_day)))
    assert told is not None
    assert (told.exit_at, told.restarts) == (at, False)


def test_a_gateway_that_logs_off_does_not_restart():
    told = read(body(lock=LOCK + bytes_field(3, b"logoff")))
    assert told is not None
    assert (told.exit_at, told.restarts) == (time(0, 7), False)


@pytest.mark.parametrize("cut", [1, 10, 30, len(body(dialogs=0)) - 3])
def test_one_that_is_cut_short_tells_nothing(cut):
    assert read(body(dialogs=0)[:cut]) is None


def test_one_with_more_fields_than_any_gateway_has_tells_nothing(monkeypatch):
    monkeypatch.setattr(reading, "MAX_FIELDS", 20)
    assert read(body(dialogs=16)) == WHOLE
    assert read(body(dialogs=17)) is None


def test_trusted_addresses_are_kept_up_to_a_limit_each_in_its_length():
    told = read(body(settings=bytes_field(36, b"a" * 5_000) * 300))
    assert told is not None
    assert told.trusted == ("a" * 100,) * 100


def test_other_messages_are_no_configuration():
    assert read_configuration(raw(309, body())[PREFIX_BYTES:], V) is None
    assert read_configuration(b"\0\0\0\x6e" + body(), V) is None
    assert read_configuration(b"110\x001\0", 200) is None


@given(st.binary(max_size=200), st.sampled_from([100, 200, 219, V]))
def test_reading_a_configuration_never_raises(garbage, version):
    for content in (garbage, body(lock=garbage), body(settings=garbage), body() + garbage):
        read_configuration(raw(310, content)[PREFIX_BYTES:], version)
    read_configuration(garbage, version)


@given(st.lists(st.sampled_from([2, 4]), max_size=6), st.integers(0, 2**31 - 1))
def test_parts_that_come_one_by_one_are_one_message(order, master):
    parts = {2: bytes_field(2, LOCK), 4: bytes_field(4, bytes_field(2, varint_field(18, master)))}
    told = read(b"".join(parts[number] for number in order))
    assert told is not None
    assert told.master_client_id == (master if 4 in order else None)
    assert told.exit_at == (time(0, 7) if 2 in order else None)


@pytest.mark.parametrize("version", [219, V])
def test_the_question_names_its_id(version):
    payload = configuration(version, 9)[PREFIX_BYTES:]
    assert (message_id(payload, version), request_key(payload, version)) == (108, 9)


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (b"20260405 23:49:26 CET", 1775432966.0),
        (b"20260405  23:49:26 Central European Standard Time", 1775432966.0),
        (b"20260405 23:49:26", 1775432966.0),
        (b"20260405 23:49:26 \xe4\xb8\xad\xe5\x9b\xbd", 1775432966.0),
        (b"20261305 23:49:26 CET", None),
        (b"20260405 23:49:261", None),
        (b"soon", None),
        (b"", None),
    ],
)
def test_the_clock_of_the_host_is_read_whatever_its_zone_is_called(said, at):
    assert local_seconds(Hello(V, said)) == at
