import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.protocol.framing import (
    MAX_PAYLOAD,
    PREFIX_BYTES,
    BadFrame,
    Chunk,
    Splitter,
    field,
    fields,
    frame,
    raw,
    text,
    text_message,
)

payload_lists = st.lists(st.one_of(st.binary(max_size=40), st.binary(min_size=250, max_size=300)), max_size=12)


def pushed(splitter, pieces):
    """Every payload that comes out when these pieces go in, having checked each chunk's own arithmetic."""
    out = []
    for piece in pieces:
        chunk = splitter.push(piece)
        if chunk is not None:
            assert len(chunk) > 0
            assert b"".join(frame(payload) for payload in chunk.payloads()) == chunk.data
            out += chunk.payloads()
    return out


@given(payload_lists, st.data())
def test_the_same_frames_come_out_however_the_bytes_are_cut(payloads, data):
    stream = b"".join(map(frame, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    splitter = Splitter()
    assert pushed(splitter, pieces) == payloads
    assert splitter.pending == 0
    assert splitter.broken is None


@given(payload_lists)
def test_the_same_frames_come_out_byte_by_byte(payloads):
    stream = b"".join(map(frame, payloads))
    assert pushed(Splitter(), [stream[i : i + 1] for i in range(len(stream))]) == payloads


@given(payload_lists, st.integers(0, 300))
def test_what_is_kept_is_exactly_what_no_chunk_has_carried(payloads, missing):
    stream = b"".join(map(frame, payloads))
    stream = stream[: max(0, len(stream) - missing)]
    splitter = Splitter()
    chunk = splitter.push(stream)
    carried = len(chunk.data) if chunk else 0
    assert splitter.pending == len(stream) - carried


@pytest.mark.parametrize("size", range(4090, 4101))
def test_a_burst_that_ends_on_a_buffer_border_is_delivered_at_once(size):
    """A client that reads on while its buffer is full waits here for ever; we do not look at the size at all."""
    head = text(1, 6, 11, 1, "150.25", 300, 1)
    count = (size - PREFIX_BYTES) // len(head)
    rest = frame(b"x" * (size - count * len(head) - PREFIX_BYTES))
    burst = head * count + rest
    assert len(burst) == size
    splitter = Splitter()
    for _ in range(2):
        chunk = splitter.push(burst)
        assert chunk is not None
        assert chunk.data == burst
        assert len(chunk) == count + 1
        assert splitter.pending == 0


def test_a_zero_length_frame_is_an_empty_payload_and_holds_nothing_up():
    chunk = Splitter().push(frame(b"") + text(49, 1) + frame(b""))
    assert chunk is not None
    assert list(chunk.payloads()) == [b"", b"49\x001\x00", b""]


def test_no_bytes_are_no_frames():
    assert Splitter().push(b"") is None


def test_payloads_lie_where_starts_says():
    chunk = Splitter().push(text(9, 1, 1001) + text(15, 1, "DU1") + b"\0\0")
    assert chunk is not None
    assert chunk.starts == [4, 4 + 9 + 4]
    assert chunk.data[chunk.starts[1] :] == b"15\x001\x00DU1\x00"
    assert repr(chunk) == "Chunk(2 frames, 26 bytes)"


@pytest.mark.parametrize("piece", [1024, 65536])
def test_a_frame_of_the_largest_size_is_not_walked_again_for_each_piece(piece):
    big = frame(bytes(MAX_PAYLOAD))
    splitter = Splitter()
    kept = None
    for at in range(0, len(big) - piece, piece):
        assert splitter.push(big[at : at + piece]) is None
        kept = kept or splitter._kept
        assert splitter._kept is kept  # grows in place
        assert splitter.pending == at + piece
    assert splitter.pending < len(big)
    chunk = splitter.push(big[splitter.pending :] + text(49, 1))
    assert chunk is not None
    assert len(chunk) == 2
    assert splitter.pending == 0


@pytest.mark.parametrize("cut", [4, 5, 20])
def test_a_frame_that_lacks_one_byte_is_not_walked_again(cut):
    data = frame(b"x" * 30)
    splitter = Splitter()
    assert splitter.push(data[:cut]) is None
    kept = splitter._kept
    assert splitter.push(data[cut:-1]) is None
    assert splitter._kept is kept
    chunk = splitter.push(data[-1:])
    assert chunk is not None
    assert chunk.data == data


def test_a_two_gigabyte_prefix_stops_the_splitter_behind_the_good_frames():
    good = text(1, 6, 11, 1, "150.25", 300, 1)
    splitter = Splitter()
    chunk = splitter.push(good + b"\x7f\xff\xff\xff" + b"abcdefghijklmnopqrstuvwxyz")
    assert chunk is not None
    assert chunk.data == good
    assert splitter.broken == BadFrame(0x7FFFFFFF, b"\x7f\xff\xff\xffabcdefghijkl")
    assert splitter.pending == 0
    assert splitter.push(good) is None
    assert splitter.pending == 0


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_bad_prefix_is_found_however_it_arrives(cut):
    stream = text(1) + b"\xff\xff\xff\xff"
    splitter = Splitter()
    pushed(splitter, [stream[:cut], stream[cut:]])
    assert splitter.broken == BadFrame(0xFFFFFFFF, b"\xff\xff\xff\xff")


def test_an_http_answer_is_a_bad_frame_that_shows_what_it_is():
    splitter = Splitter()
    assert splitter.push(b"HTTP/1.1 400 Bad Request\r\n\r\n") is None
    assert splitter.broken is not None
    assert splitter.broken.head == b"HTTP/1.1 400 Bad"


def test_a_frame_one_byte_too_long_is_refused_even_when_it_is_complete():
    big = frame(b"x" * MAX_PAYLOAD)
    bad = (MAX_PAYLOAD + 1).to_bytes(4, "big") + bytes(MAX_PAYLOAD + 1)
    splitter = Splitter()
    chunk = splitter.push(big + text(1) + bad + text(2))
    assert chunk is not None
    assert len(chunk) == 2
    assert chunk.data == big + text(1)
    assert splitter.broken == BadFrame(MAX_PAYLOAD + 1, bad[:16])


def test_two_frames_of_the_largest_size_in_one_chunk_are_fine():
    big = frame(b"x" * MAX_PAYLOAD)
    splitter = Splitter()
    chunk = splitter.push(big + big)
    assert chunk is not None
    assert len(chunk) == 2
    assert splitter.broken is None


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_garbage_never_raises_and_never_makes_more_bytes_than_came_in(pieces):
    splitter = Splitter()
    out = sum(len(chunk.data) for piece in pieces if (chunk := splitter.push(piece)))
    assert out + splitter.pending <= sum(map(len, pieces))


def test_fields_are_written_as_the_wire_wants_them():
    assert text(3, "a", b"b", 1.5, 1e-05, True, False, None, "é") == frame(
        b"3\0a\0b\x001.5\x001e-05\x001\x000\0\0\xc3\xa9\0"
    )
    assert fields() == b""
    assert field(None) == b""


@pytest.mark.parametrize("value", ["a\0b", b"\0"])
def test_a_nul_inside_a_field_is_refused(value):
    with pytest.raises(ValueError, match="NUL"):
        field(value)


def test_a_raw_id_is_four_bytes_in_front_of_the_body():
    assert raw(271, b"\x08\x07").hex() == "000000060000010f0807"


def test_a_text_message_has_an_ascii_id_up_to_200_and_a_raw_one_above():
    assert text_message(200, 49, 1) == text(49, 1)
    assert text_message(201, 49, 1) == raw(49, b"1\0")


def test_a_payload_that_no_peer_would_take_is_refused():
    with pytest.raises(ValueError, match="16777216"):
        frame(bytes(MAX_PAYLOAD + 1))


def test_a_chunk_without_frames_has_no_payloads_to_tell():
    with pytest.raises(ValueError, match="zip"):
        list(Chunk(b"x", []).payloads())
