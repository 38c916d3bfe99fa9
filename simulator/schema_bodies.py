"""Writing and reading protobuf bodies by their schemas: values as text on one side, bytes on the other."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from backstay.protocol.wire import BYTES, VARINT, bytes_field, int64, scan, varint, varint_field
from backstay.simulator.fields import UNSET_DOUBLE, UNSET_INTEGER, Unreadable
from backstay.simulator.layout import ROWS_MAX, Record
from backstay.simulator.schema import Choice, Inside, Many, Scalar, Schema

DOUBLE = 1
"""Wire type of eight bytes."""

EXACT_BELOW = 1e15
"""Doubles below this show every whole number exactly; larger ones are shown with an exponent."""

SCALARS_MAX = 4096
"""Fields kept as they were written: ids, types and prices come again and again."""

KEPT_CHARACTERS_MAX = 32
"""Values longer than this are not kept: all that are kept take a megabyte at most."""

VARINT_BITS = 64

_DOUBLE = struct.Struct("<d")


class Source(Protocol):
    """Where the values of a message come from as text."""

    def take(self, name: str) -> str:
        """Return the next value, or the one of that name."""
        ...

    def rows(self, item: Many) -> "Iterator[Source]":
        """Return what the rows of a list are taken from, one after the other."""
        ...


class InOrder:
    """Text fields one after the other; what is missing at the end is empty."""

    __slots__ = ("_values",)

    def __init__(self, values: Iterator[str]) -> None:
        self._values = values

    def take(self, name: str) -> str:  # noqa: ARG002  (by their order)
        """Return the next field."""
        return next(self._values, "")

    def rows(self, item: Many) -> Iterator[Source]:  # noqa: ARG002  (every list has its count in front)
        """Read the count, and come up with itself so many times."""
        for _ in range(int(self.take("") or 0)):
            yield self


class ByName:
    """The values and lists of a record."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record = record

    def take(self, name: str) -> str:
        """Return the value of a name."""
        return self._record.get(name)

    def rows(self, item: Many) -> Iterator[Source]:
        """Return the rows of the list of that name."""
        for row in self._record.rows.get(item.name, []):
            yield InOrder(iter(row))


@dataclass(slots=True)
class Message:
    """A protobuf message while it is built: its scalars as bytes, its messages by number."""

    scalars: bytearray = field(default_factory=bytearray)
    inside: "dict[int, list[Message]]" = field(default_factory=dict[int, "list[Message]"])
    lists: set[int] = field(default_factory=set[int])

    def one(self, number: int) -> "Message":
        """Return the one message of a number, made when it is not there yet."""
        known = self.inside.setdefault(number, [])
        if not known:
            known.append(Message())
        return known[0]

    def body(self) -> bytes:
        """Return the bytes; a message in which nothing is set is left out, an element of a list is not."""
        inside = ((number, one.body()) for number, many in self.inside.items() for one in many)
        written = (bytes_field(number, body) for number, body in inside if body or number in self.lists)
        return bytes(self.scalars) + b"".join(written)


def encode(schema: Schema, source: Source) -> bytes:
    """Return the protobuf body of the text values of a source."""
    message = Message()
    _encode(schema, source, message)
    return message.body()


def _encode(schema: Schema, source: Source, message: Message) -> None:
    for item in schema:
        match item:
            case Scalar(number, kind, name):
                value = source.take(name)
                if number:
                    message.scalars += _scalar(number, kind, value)
            case Inside(number, items):
                _encode(items, source, message.one(number))
            case Choice(number, cases):
                value = source.take("")
                message.scalars += _scalar(number, "i", value)
                _encode(dict(cases).get(value, ()), source, message)
            case Many():
                _encode_many(item, source, message)


def _encode_many(item: Many, source: Source, message: Message) -> None:
    for at, row in enumerate(source.rows(item)):
        if item.kind:
            message.scalars += _scalar(item.number, item.kind, row.take(""))
            continue
        if not item.number:
            _encode(item.items, row, message)
            continue
        known = message.inside.setdefault(item.number, [])
        message.lists.add(item.number)
        if item.mark != "&":
            known.append(Message())
        elif at >= len(known):
            return
        _encode(item.items, row, known[at])


def _scalar(number: int, kind: str, value: str) -> bytes:
    return (_kept if len(value) <= KEPT_CHARACTERS_MAX else _written)(number, kind, value)


def _written(number: int, kind: str, value: str) -> bytes:
    """Return a field; nothing for a value that is empty, unset, or (what a text client may have written) no number."""
    if not value or value == UNSET_INTEGER:
        return b""
    if kind == "s":
        return bytes_field(number, value.encode("utf-8", "replace"))
    if kind in "bc":
        return varint_field(number, 1) if value in ("1", "true", "True", "a") else b""
    try:
        amount = float(value)
        whole = int(value) if kind == "i" else 0
    except ValueError:
        return b""
    if kind == "i":
        return varint_field(number, whole)
    return b"" if amount == UNSET_DOUBLE else varint(number << 3 | DOUBLE) + _DOUBLE.pack(amount)


_kept = lru_cache(SCALARS_MAX)(_written)


class Sink(Protocol):
    """Where the values of a message go as text."""

    def put(self, name: str, value: str) -> None:
        """Add a value."""
        ...

    def rows(self, item: Many, count: int) -> "Iterator[Sink]":
        """Begin a list, and return where its rows go one after the other."""
        ...


class Ordered:
    """Text fields one after the other."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[str] = []

    def put(self, name: str, value: str) -> None:  # noqa: ARG002  (by their order)
        """Add a field."""
        self.values.append(value)

    def rows(self, item: Many, count: int) -> Iterator[Sink]:
        """Write the count, and come up with itself so many times."""
        if count or item.mark != "?":
            self.values.append(str(count))
        for _ in range(count):
            yield self


class Named:
    """A record's values and lists."""

    __slots__ = ("record",)

    def __init__(self) -> None:
        self.record = Record()

    def put(self, name: str, value: str) -> None:
        """Set a value."""
        self.record.values[name] = value

    def rows(self, item: Many, count: int) -> Iterator[Sink]:
        """Fill the list of that name."""
        rows = self.record.rows[item.name] = []
        for _ in range(count):
            row = Ordered()
            yield row
            rows.append(tuple(row.values))


Parsed = dict[int, list[int | bytes]]


def decode(schema: Schema, body: bytes, sink: Sink) -> None:
    """Give a sink the values of a protobuf body as text; ``Unreadable`` when it is none."""
    _decode(schema, _parsed(body), sink)


def _parsed(*bodies: bytes) -> Parsed:
    """Return the values of a message by number; of several bodies as if they were one."""
    values: Parsed = {}
    try:
        for body in bodies:
            for number, _, value in scan(body):
                values.setdefault(number, []).append(value)
    except ValueError as error:
        raise Unreadable(str(error)) from error
    return values


def _decode(schema: Schema, values: Parsed, sink: Sink) -> None:
    for item in schema:
        match item:
            case Scalar(number, kind, name):
                found = values.get(number)
                sink.put(name, _text(kind, found[-1] if found else None))
            case Inside(number, items):
                _decode(items, _parsed(*_messages(values, number)), sink)
            case Choice(number, cases):
                found = values.get(number)
                value = _text("i", found[-1] if found else None)
                sink.put("", value)
                _decode(dict(cases).get(value, ()), values, sink)
            case Many():
                _decode_many(item, values, sink)


def _decode_many(item: Many, values: Parsed, sink: Sink) -> None:
    if not item.number:
        for row in sink.rows(item, 1):
            _decode(item.items, values, row)
        return
    found = _unpacked(item, values)
    if len(found) > ROWS_MAX:
        raise Unreadable(f"a list of {len(found)}")
    for value, row in zip(found, sink.rows(item, len(found)), strict=True):
        if item.kind:
            row.put("", _text(item.kind, value))
        else:
            _decode(item.items, _parsed(_as_bytes(value)), row)


def _unpacked(item: Many, values: Parsed) -> list[int | bytes]:
    """Return the elements of a list; whole numbers travel packed into one value."""
    found = values.get(item.number, [])
    if item.kind != "i":
        return found
    elements: list[int | bytes] = []
    for value in found:
        if isinstance(value, int):
            elements.append(value)
            continue
        shift = number = 0
        for byte in value:
            number |= (byte & 0x7F) << shift
            shift += 7
            if shift > VARINT_BITS + 6:
                raise Unreadable("a number without an end")
            if byte < 0x80:
                elements.append(number)
                shift = number = 0
    return elements


def _messages(values: Parsed, number: int) -> list[bytes]:
    return [_as_bytes(value) for value in values.get(number, [])]


def _as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise Unreadable("a number where a message belongs")
    return value


_WIRE_TYPES = {"i": VARINT, "b": VARINT, "c": VARINT, "s": BYTES, "d": BYTES}


def _text(kind: str, value: int | bytes | None) -> str:
    """Return a value as text writes it; empty when it is not there."""
    if kind == "c":
        return "a" if value else "o"
    if value is None:
        return ""
    if isinstance(value, int) != (_WIRE_TYPES[kind] == VARINT):
        raise Unreadable("a field of another type")
    if isinstance(value, int):
        return str(int64(value)) if kind == "i" else "1" if value else "0"
    if kind == "s":
        return _string(value)
    if len(value) != _DOUBLE.size:
        raise Unreadable("a double of another size")
    return show_double(_DOUBLE.unpack(value)[0])


def _string(value: bytes) -> str:
    if b"\0" in value:
        raise Unreadable("a NUL inside a string")
    return value.decode("utf-8", "replace")


def show_double(value: float) -> str:
    """Return a double as text clients write it: whole ones without a point."""
    if value == float("inf"):
        return "Infinity"
    return str(int(value)) if abs(value) < EXACT_BELOW and value == int(value) else repr(value)
