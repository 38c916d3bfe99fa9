"""What a gateway tells of itself (configResponse, from server version 219): its planned restart, its API settings.

Of the answer only this is read; most of it is a row for each dialog of the user interface. What is missing or
malformed is unknown: nothing here raises on what the wire brought.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from itertools import islice

from backstay.protocol.messages import is_protobuf, message_id
from backstay.protocol.wire import BYTES, VARINT, int32, scan

CONFIGURATION = 110
"""The message."""

SINCE = 219
"""The first server version that can be asked."""

MAX_FIELDS = 10_000
"""Of a message that is read; TWS has some hundreds of dialogs, and a session's thread reads a longer one to no end."""

MAX_TRUSTED = 100
"""Addresses that are kept, each of at most so many bytes."""

_ID_BYTES = 4
_LOCK_AND_EXIT, _API, _SETTINGS = 2, 4, 2
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)
_HALF_DAYS = {"AM": 0, "PM": 12}
_RESTART = "restart"

_Fields = Mapping[int, list[int | bytes]]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings of a TWS or IB Gateway; None for what it did not say.

    ``exit_at`` is when it ends by itself each day, by its own clock; ``restarts`` tells whether it comes back without
    a person. ``rejects_above_rate``: messages above its rate are refused, not delayed. ``resubmits_orders``: it keeps
    and sends again what could not reach IB. ``trusted``: addresses that are let in without a dialog.
    """

    exit_at: time | None = None
    restarts: bool = False
    read_only: bool | None = None
    port: int | None = None
    master_client_id: int | None = None
    rejects_above_rate: bool | None = None
    resubmits_orders: bool | None = None
    localhost_only: bool | None = None
    trusted: tuple[str, ...] = ()


def read_configuration(payload: bytes, version: int) -> Configuration | None:
    """Return what a configResponse tells; None for any other message, and for one that cannot be read."""
    if message_id(payload, version) != CONFIGURATION or not is_protobuf(payload, version):
        return None
    try:
        answer = _fields(payload[_ID_BYTES:])
        exits = _fields(_message(answer, _LOCK_AND_EXIT))
        settings = _fields(_message(_fields(_message(answer, _API)), _SETTINGS))
    except ValueError:
        return None
    return Configuration(
        exit_at=_clock(_text(exits, 1), _text(exits, 2)),
        restarts=_text(exits, 3).lower() == _RESTART,
        read_only=_flag(settings, 1),
        port=_number(settings, 8),
        master_client_id=_number(settings, 18),
        rejects_above_rate=_flag(settings, 26),
        resubmits_orders=_flag(settings, 31),
        localhost_only=_flag(settings, 35),
        trusted=tuple(_shown(value) for value in settings.get(36, ())[:MAX_TRUSTED] if isinstance(value, bytes)),
    )


def _fields(body: bytes) -> _Fields:
    """The values of each field. ValueError where the bytes stop being protobuf, and for too many fields."""
    found: dict[int, list[int | bytes]] = {}
    seen = 0
    for number, wire_type, value in islice(scan(body), MAX_FIELDS + 1):
        seen += 1
        if wire_type in (VARINT, BYTES):
            found.setdefault(number, []).append(value)
    if seen > MAX_FIELDS:
        raise ValueError("more fields than any configuration has")
    return found


def _message(found: _Fields, number: int) -> bytes:
    """A message inside; parts that come one after the other are one, as protobuf has it."""
    return b"".join(value for value in found.get(number, ()) if isinstance(value, bytes))


def _text(found: _Fields, number: int) -> str:
    values = [value for value in found.get(number, ()) if isinstance(value, bytes)]
    return _shown(values[-1]).strip() if values else ""


def _shown(value: bytes) -> str:
    return value[:MAX_TRUSTED].decode("utf-8", "replace")


def _number(found: _Fields, number: int) -> int | None:
    values = [value for value in found.get(number, ()) if isinstance(value, int)]
    return int32(values[-1]) if values else None


def _flag(found: _Fields, number: int) -> bool | None:
    value = _number(found, number)
    return None if value is None else value != 0


def _clock(clock: str, half_day: str) -> time | None:
    """``12:07`` and ``AM`` are seven past midnight."""
    found, offset = _CLOCK.fullmatch(clock), _HALF_DAYS.get(half_day.upper())
    if found is None or offset is None:
        return None
    hour, minute = int(found[1]), int(found[2])
    if not 1 <= hour <= 12 or minute > 59:
        return None
    return time(hour % 12 + offset, minute)
