"""Just enough protobuf to find a request id: fields in any order, unknown ones skipped, no schema, no runtime.

Wire types: 0 varint (int), 1 eight bytes, 2 length-delimited (bytes), 5 four bytes. Groups (3, 4) do not occur in
proto3 and are refused.
"""

from collections.abc import Iterator
from struct import pack

VARINT = 0
DOUBLE = 1
BYTES = 2

_FIXED_BYTES = {1: 8, 5: 4}

_ONE_BYTE_TAGS = {field: bytes((field << 3 | VARINT,)) for field in range(1, 16)}

_VARINT_BYTES = 10
"""Of the longest varint (64 bits, 7 a byte); a longer run of continuation bytes is garbage, not a number."""


def scan(body: bytes, start: int = 0) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield ``(field, wire_type, value)`` in the order of the bytes from ``start`` on.

    ValueError at the place where they stop being protobuf, after everything in front of it.
    """
    at = start
    end = len(body)
    while at < end:
        tag, at = _varint(body, at)
        field, wire_type = tag >> 3, tag & 7
        if field == 0:
            raise ValueError("field number 0")
        if wire_type == VARINT:
            number, at = _varint(body, at)
            yield field, wire_type, number
            continue
        if wire_type == BYTES:
            size, at = _varint(body, at)
        elif wire_type in _FIXED_BYTES:
            size = _FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"wire type {wire_type}")
        if at + size > end:
            raise ValueError("field longer than its message")
        yield field, wire_type, body[at : at + size]
        at += size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned number at an offset and the offset behind it."""
    number = shift = 0
    for byte in body[at : at + _VARINT_BYTES]:
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise ValueError("varint without an end")


def int32(value: int) -> int:
    """Return a varint's value as the signed 32-bit number a proto3 ``int32`` means."""
    low = value & 0xFFFFFFFF
    return low - 0x100000000 if low & 0x80000000 else low


def int64(value: int) -> int:
    """Return a varint's value as the signed 64-bit number a proto3 ``int64`` means."""
    return value - 0x10000000000000000 if value >> 63 else value


def find_varint(body: bytes, field: int, start: int = 0) -> int | None:
    """Return the unsigned value of the first varint with this field number, or None; None for a broken body too."""
    try:
        if body[start : start + 1] == _ONE_BYTE_TAGS.get(field):  # ids come first, in practice always
            return _varint(body, start + 1)[0]
        for number, wire_type, value in scan(body, start):
            if number == field and wire_type == VARINT:
                return int(value)
    except ValueError:
        return None
    return None


def find_bytes(body: bytes, field: int, start: int = 0) -> bytes | None:
    """Return the first length-delimited value with this field number, or None; None for a broken body too."""
    try:
        for number, wire_type, value in scan(body, start):
            if number == field and wire_type == BYTES:
                return bytes(value)
    except ValueError:
        return None
    return None


def varint(value: int) -> bytes:
    """Return a number as a varint; negative ones as protobuf writes them, in ten bytes."""
    rest = value & 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def varint_field(field: int, value: int) -> bytes:
    """Return one varint field, tag included (booleans and integers)."""
    return varint(field << 3 | VARINT) + varint(value)


def double_field(field: int, value: float) -> bytes:
    """Return a field of eight bytes."""
    return varint(field << 3 | DOUBLE) + pack("<d", value)


def bytes_field(field: int, value: bytes) -> bytes:
    """Return one length-delimited field, tag included (strings and sub-messages)."""
    return varint(field << 3 | BYTES) + varint(len(value)) + value
