"""Frames: a 4-byte big-endian length, then that many bytes of payload; the same in both directions.

There is no checksum and no mark to find the next frame by, so one wrong length makes everything behind it
meaningless: the splitter then stops for good and says what it saw.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

MAX_PAYLOAD = 0xFFFFFF
"""Bytes of the largest payload; TWS's own clients refuse anything longer, so nothing honest is longer."""

PREFIX_BYTES = 4

LAST_TEXT_VERSION = 200
"""Highest server version whose messages are all text with an ASCII id; above it every frame has a raw 4-byte id."""

PROTOBUF_OFFSET = 200
"""A raw id above this means a protobuf body, and the message id is the raw id less this."""

_HEAD_BYTES = 16
"""Kept of a bad frame: enough to recognise HTTP, TLS or SSH by eye, too little to leak an account statement."""

_PREFIX = Struct(">I")
_read_prefix = _PREFIX.unpack_from
_write_prefix = _PREFIX.pack


def frame(payload: bytes) -> bytes:
    """Return the complete frame around a payload; ValueError when it is longer than ``MAX_PAYLOAD``."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"payload of {len(payload)} bytes, at most {MAX_PAYLOAD} fit a frame")
    return _write_prefix(len(payload)) + payload


def field(value: object) -> bytes:
    """Return one text field without its NUL: booleans as 1 and 0, None as empty; ValueError for a NUL inside."""
    if value is None:
        return b""
    if isinstance(value, bytes):
        encoded = value
    elif isinstance(value, bool):
        encoded = b"1" if value else b"0"
    else:
        encoded = str(value).encode()
    if b"\0" in encoded:
        raise ValueError("a text field can not hold a NUL")
    return encoded


def fields(*values: object) -> bytes:
    """Return values as NUL-terminated text fields, without a length."""
    return b"".join(field(value) + b"\0" for value in values)


def text(*values: object) -> bytes:
    """Return a complete frame of NUL-terminated fields; the first is the message id (versions up to 200)."""
    return frame(fields(*values))


def raw(message_id: int, body: bytes) -> bytes:
    """Return a complete frame with a raw 4-byte id (versions from 201); add 200 to the id of a protobuf body."""
    return frame(_write_prefix(message_id) + body)


def text_message(version: int, message_id: int, *values: object) -> bytes:
    """Return a complete frame with a text body, its id written the way this server version writes ids."""
    if version <= LAST_TEXT_VERSION:
        return text(message_id, *values)
    return raw(message_id, fields(*values))


class Chunk:
    """Whole frames as they arrived, prefixes included, and where each payload starts.

    Payload i ends at ``starts[i + 1] - PREFIX_BYTES``, the last one at ``len(data)``. One chunk is one actor
    message; a plain class because its two attributes are read in the hottest loops.
    """

    __slots__ = ("data", "starts")

    def __init__(self, data: bytes, starts: list[int]) -> None:
        self.data = data
        self.starts = starts

    def payloads(self) -> Iterator[bytes]:
        """Yield each payload as its own bytes; for cold paths, the hot ones walk ``starts`` themselves."""
        ends = [start - PREFIX_BYTES for start in self.starts[1:]]
        ends.append(len(self.data))
        for start, end in zip(self.starts, ends, strict=True):
            yield self.data[start:end]

    def __len__(self) -> int:
        return len(self.starts)

    def __repr__(self) -> str:
        return f"Chunk({len(self.starts)} frames, {len(self.data)} bytes)"


@dataclass(frozen=True, slots=True)
class BadFrame:
    """A length no honest peer writes; ``head`` is the first bytes from the bad prefix on."""

    length: int
    head: bytes


class Splitter:
    """Cuts a byte stream into frames however it was cut on its way; one per socket, one thread.

    It never raises. Each byte is copied at most a constant number of times, also when a 16 MB frame arrives in small
    pieces: an unfinished frame grows in place and is not walked again before it is complete.
    """

    __slots__ = ("_kept", "_wanted", "broken")

    def __init__(self) -> None:
        self.broken: BadFrame | None = None
        self._kept = bytearray()
        self._wanted = PREFIX_BYTES

    @property
    def pending(self) -> int:
        """Bytes kept of a frame that is not complete yet."""
        return len(self._kept)

    def push(self, data: bytes) -> Chunk | None:
        """Take received bytes, return the frames completed by them, or None when there is none.

        On an implausible length the good frames before it are returned, ``broken`` is set and all further input
        is ignored.
        """
        if self.broken is not None:
            return None
        kept = self._kept
        if kept:
            if len(kept) + len(data) < self._wanted:
                kept += data
                return None
            data = b"".join((kept, data))
            self._kept = bytearray()
        starts: list[int] = []
        read = _read_prefix
        last = len(data) - PREFIX_BYTES
        at = 0
        while at <= last:  # no comparison per frame beyond this one: _cut takes an overshoot back
            (length,) = read(data, at)
            at += 4
            starts.append(at)
            at += length
        if at == len(data) <= MAX_PAYLOAD:
            return Chunk(data, starts) if starts else None
        return self._cut(data, starts, at)

    def _cut(self, data: bytes, starts: list[int], at: int) -> Chunk | None:
        """Keep or condemn what follows the last whole frame; ``at`` is where the last frame found would end."""
        if len(data) > MAX_PAYLOAD:  # only in such a chunk can a frame that is too long be complete
            at = _forget_behind_oversized(starts, at)
        self._wanted = PREFIX_BYTES
        if starts and (at > len(data) or at - starts[-1] > MAX_PAYLOAD):
            length = at - starts[-1]
            at = starts.pop() - PREFIX_BYTES
            self._wanted += length
            if length > MAX_PAYLOAD:
                self.broken = BadFrame(length, data[at : at + _HEAD_BYTES])
        if self.broken is None:
            self._kept = bytearray(data[at:])
        return Chunk(data[:at], starts) if starts else None


def _forget_behind_oversized(starts: list[int], at: int) -> int:
    """Drop all frames behind the first that is too long; return where the last one left ends."""
    ends = [start - PREFIX_BYTES for start in starts[1:]]
    ends.append(at)
    for index, end in enumerate(ends):
        if end - starts[index] > MAX_PAYLOAD:
            del starts[index + 1 :]
            return end
    return at
