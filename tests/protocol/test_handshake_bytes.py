import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.protocol.framing import Splitter, frame, text
from backstay.protocol.handshake import (
    MAX_GREETING_BYTES,
    BadAnswer,
    Greeting,
    Hello,
    Redirect,
    ServerGreeting,
    VersionRange,
    answer,
    greeting,
    read_answer,
    read_offer,
)

OFFER = VersionRange(100, 226)


def test_the_greeting_is_the_bytes_a_client_sends():
    assert greeting(OFFER).hex() == "4150490000000009763130302e2e323236"
    assert greeting(OFFER, b"+PACEAPI").hex() == "4150490000000012763130302e2e323236202b50414345415049"
    assert greeting(VersionRange(157, 178)).hex() == "4150490000000009763135372e2e313738"
    assert greeting(VersionRange(176, 176)) == b"API\0\0\0\0\x04v176"


def test_the_answer_is_the_bytes_a_server_sends():
    assert (
        answer(Hello(200, b"20260401 12:00:00 EST")).hex()
        == "0000001a3230300032303236303430312031323a30303a30302045535400"
    )


ANSWER = answer(Hello(200, b"20260401 12:00:00 EST"))


@pytest.mark.parametrize("cut", range(len(ANSWER) + 1))
def test_an_answer_cut_at_any_byte_is_read_and_the_frames_behind_it_are_kept(cut):
    stream = ANSWER + text(15, 1, "DU1") + text(9, 1, 5)
    splitter = Splitter()
    chunks = [splitter.push(stream[:cut]), splitter.push(stream[cut:])]
    payloads = [payload for chunk in chunks if chunk for payload in chunk.payloads()]
    assert read_answer(payloads[0], OFFER) == Hello(200, b"20260401 12:00:00 EST")
    assert payloads[1:] == [b"15\x001\0DU1\0", b"9\x001\x005\0"]


def test_a_connection_time_may_be_in_any_locale():
    time = "20260405 23:49:26 Mitteleuropäische Zeit".encode("latin-1")
    assert read_answer(b"176\0" + time + b"\0", OFFER) == Hello(176, time)


@pytest.mark.parametrize("version", [99, 227, 0])
def test_a_version_outside_the_offer_is_named(version):
    found = read_answer(b"%d\0now\0" % version, OFFER)
    assert isinstance(found, BadAnswer)
    assert found.version == version


@pytest.mark.parametrize("version", [100, 226])
def test_the_borders_of_the_offer_belong_to_it(version):
    assert read_answer(b"%d\0now\0" % version, OFFER) == Hello(version, b"now")


def test_an_answer_with_an_empty_time_is_an_answer():
    assert read_answer(b"176\0\0", OFFER) == Hello(176, b"")


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (b"otherhost:4001", Redirect("otherhost", 4001)),
        (b"otherhost", Redirect("otherhost", None)),
        (b"10.0.0.1:65535", Redirect("10.0.0.1", 65535)),
        (b"[::1]:4001", Redirect("::1", 4001)),
        (b"[::1]", Redirect("::1", None)),
        (b"fe80::1", Redirect("fe80::1", None)),
    ],
)
def test_a_redirect_names_a_host_and_perhaps_a_port(where, expected):
    assert read_answer(b"-1\0" + where + b"\0", OFFER) == expected


@pytest.mark.parametrize(
    "where", [b"", b":4001", b"host:0", b"host:65536", b"host:port", b"a b:1", b"h\xff:1", b"[]:1"]
)
def test_a_redirect_to_nowhere_is_a_bad_answer(where):
    found = read_answer(b"-1\0" + where + b"\0", OFFER)
    assert isinstance(found, BadAnswer)
    assert found.version is None


@pytest.mark.parametrize(
    "payload",
    [b"", b"176", b"176\0", b"176\0now", b"176\0now\0more\0", b"\0\0", b"abc\0now\0", b"-2\0now\0", b"1 76\0now\0",
     b"9999999999\0now\0", b"176\0" + b"x" * 301 + b"\0", b"4\x002\0-1\x00326\0in use\0"],
)  # fmt: skip
def test_anything_else_is_a_bad_answer(payload):
    found = read_answer(payload, OFFER)
    assert isinstance(found, BadAnswer)
    assert found.reason
    assert found.version is None


@given(st.binary(max_size=80))
def test_reading_an_answer_never_raises(payload):
    read_answer(payload, OFFER)
    read_answer(b"-1\0" + payload, OFFER)
    read_offer(payload)
    read_offer(b"v" + payload)


@pytest.mark.parametrize(
    ("version_text", "offer", "options"),
    [
        (b"v100..226", VersionRange(100, 226), b""),
        (b"v100..226 +PACEAPI", VersionRange(100, 226), b"+PACEAPI"),
        (b"v100..226 a b  c", VersionRange(100, 226), b"a b  c"),
        (b"v100..226 ", VersionRange(100, 226), b""),
        (b"v157..178\0", VersionRange(157, 178), b""),
        (b"v100", VersionRange(100, 100), b""),
        (b"v176 +PACEAPI", VersionRange(176, 176), b"+PACEAPI"),
    ],
)
def test_a_version_text_is_read_into_range_and_options(version_text, offer, options):
    assert read_offer(version_text) == (offer, options)


@pytest.mark.parametrize(
    "version_text", [b"", b"v", b"100", b"v..", b"v100..", b"v..226", b"v226..100", b"v1x", b"V100", b"v-1"]
)
def test_what_is_not_a_version_text_has_no_range(version_text):
    assert read_offer(version_text) == (None, b"")


@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.sampled_from([b"", b"+PACEAPI", b"a b"]),
    st.binary(max_size=30),
    st.data(),
)
def test_a_greeting_is_understood_however_it_is_cut(low, more, options, rest, data):
    """Same greeting, and every byte that came behind it, for any chunking."""
    offer = VersionRange(low, low + more)
    stream = greeting(offer, options) + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    machine = ServerGreeting()
    found = None
    behind = b""
    for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if found is not None:
            behind += stream[a:b]
            assert machine.receive(stream[a:b]) is None
        else:
            found = machine.receive(stream[a:b])
    assert machine.failed is None
    assert found is not None
    assert (found.offer, found.options, found.rest + behind) == (offer, options, rest)


def test_a_greeting_arrives_byte_by_byte():
    machine = ServerGreeting()
    stream = greeting(OFFER)
    found = [machine.receive(stream[i : i + 1]) for i in range(len(stream))]
    assert found == [None] * (len(stream) - 1) + [Greeting(OFFER, b"", b"")]


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "not API NUL"),
        (b"APIx", "not API NUL"),
        (b"AP\0", "not API NUL"),
        (b"API\0\0\0\0\0", "0 bytes"),
        (b"API\0" + (MAX_GREETING_BYTES + 1).to_bytes(4, "big"), "bytes"),
        (b"API\0\x7f\xff\xff\xff", "bytes"),
        (b"API\0" + frame(b"hello"), "no version range"),
        (b"API\0" + frame(b"v3..2"), "no version range"),
    ],
)
def test_a_stranger_fails_at_once_and_for_good(stream, reason):
    machine = ServerGreeting()
    assert machine.receive(stream) is None
    assert machine.failed is not None
    assert reason in machine.failed
    assert machine.receive(greeting(OFFER)) is None


def test_an_unfinished_greeting_keeps_no_more_than_its_limit():
    machine = ServerGreeting()
    machine.receive(b"API\0" + MAX_GREETING_BYTES.to_bytes(4, "big"))
    assert machine.receive(b"v" * (MAX_GREETING_BYTES - 1)) is None
    assert machine.failed is None
    machine.receive(b"v")
    assert machine.failed is not None
    assert machine._kept == b""


def test_a_range_tells_what_it_holds_and_how_it_is_written():
    assert 100 in OFFER
    assert 227 not in OFFER
    assert str(OFFER) == "v100..226"
    assert str(VersionRange(176, 176)) == "v176"
