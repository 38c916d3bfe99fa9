"""Historical queries as IB counts them: which requests fall under its limits, about what, and how heavy each is.

Rule kept: IB limits queries for bars of 30 s or less, and what it counts like them: historical ticks, the first date,
histograms, and starts of real-time bars. Longer bars are free.
"""

from __future__ import annotations

from dataclasses import dataclass

from backstay.protocol.framing import PROTOBUF_OFFSET
from backstay.protocol.messages import body_fields, is_protobuf, message_id
from backstay.protocol.requests import REQUESTS
from backstay.protocol.wire import BYTES, VARINT, bytes_field, scan, varint_field

SHORT_BAR_SECONDS = 30
"""Bars up to this length are limited."""

_TWICE = b"BID_ASK"
_RAW_ID_BYTES = 4
_CON_ID, _EXCHANGE = 0, 7
_CONTRACT_FIELDS = 12


@dataclass(frozen=True, slots=True)
class HistoricalQuery:
    """One query.

    `subject`: contract, exchange and kind of data. `identity`: all but the request id; None where asking for the same
    once more is no repetition, as it is a stream. `weight`: for how many queries it counts.
    """

    subject: tuple[bytes, ...]
    identity: bytes | None
    weight: int


@dataclass(frozen=True, slots=True)
class _Places:
    """Where it stands which data are wanted: text field behind the request id, and field of the protobuf body."""

    shows: tuple[int, int] | None
    bar: tuple[int, int] | None = None
    is_stream: bool = False


# Text: the contract is fields 1 to 12 behind the request id, 0; protobuf: field 2.
_PLACES: dict[int, _Places] = {
    20: _Places((18, 7), bar=(15, 4)),
    50: _Places((14, 4), is_stream=True),
    87: _Places((15, 4)),
    88: _Places(None),
    96: _Places((17, 6)),
}

LIMITED = frozenset(_PLACES)
"""Requests that may fall under the limits."""


def historical_query(payload: bytes, version: int) -> HistoricalQuery | None:
    """Read a client's request; None for one that IB does not limit, or that is not all there."""
    number = message_id(payload, version)
    places = _PLACES.get(number)
    if places is None:
        return None
    read = _read_protobuf if is_protobuf(payload, version) else _read_text
    return read(payload, version, places)


def _read_text(payload: bytes, version: int, places: _Places) -> HistoricalQuery | None:
    number = message_id(payload, version)
    request = REQUESTS[number]
    has_version = request.version_field is not None and version <= request.version_field[1]
    fields = body_fields(payload, version)[has_version:]
    last = max(place[0] for place in (places.shows, places.bar, (_CONTRACT_FIELDS, 0)) if place is not None)
    if len(fields) <= last or (places.bar is not None and not _is_short(fields[places.bar[0]])):
        return None
    contract = fields[1 : 1 + _CONTRACT_FIELDS]
    shows = fields[places.shows[0]].upper() if places.shows is not None else b""
    identity = b"%d\0" % number + b"\0".join(fields[1:])
    return _query((*_told_apart(contract), shows), identity, places)


def _told_apart(contract: list[bytes]) -> tuple[bytes, ...]:
    """IB's own number says it all, but for the exchange."""
    con_id = contract[_CON_ID]
    return (con_id, contract[_EXCHANGE]) if con_id not in (b"", b"0") else tuple(contract)


def _read_protobuf(payload: bytes, version: int, places: _Places) -> HistoricalQuery | None:
    values: dict[int, bytes] = {}
    rest = b""
    try:
        for field, wire_type, value in scan(payload, _RAW_ID_BYTES):
            if wire_type == BYTES and isinstance(value, bytes):
                values.setdefault(field, value)
                rest += bytes_field(field, value)
            elif wire_type == VARINT and isinstance(value, int) and field != 1:
                rest += varint_field(field, value)
    except ValueError:
        return None
    contract = values.get(2)
    if contract is None or (places.bar is not None and not _is_short(values.get(places.bar[1], b""))):
        return None
    number = message_id(payload, version) + PROTOBUF_OFFSET
    shows = values.get(places.shows[1], b"").upper() if places.shows is not None else b""
    return _query((contract, shows), b"%d\0" % number + rest, places)


def _query(subject: tuple[bytes, ...], identity: bytes, places: _Places) -> HistoricalQuery:
    return HistoricalQuery(subject, None if places.is_stream else identity, 2 if subject[-1] == _TWICE else 1)


def _is_short(bar: bytes) -> bool:
    """Tell whether a bar size, such as `30 secs`, is a limited one."""
    number, _, unit = bar.strip().partition(b" ")
    return number.isdigit() and unit.lower().startswith(b"sec") and int(number) <= SHORT_BAR_SECONDS
