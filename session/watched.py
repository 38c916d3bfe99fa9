"""Which frames a session has to know of, and the heads by which a sieve tells them.

For text sessions the look-up key is the first three bytes of the payload: enough to tell every message id, since ids
have at most three digits and end at a NUL. From server version 201 it is the raw four-byte id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind

ORDER_STATUS, ERROR, OPEN_ORDER, NEXT_VALID_ID, EXECUTION = 3, 4, 5, 9, 11
MANAGED_ACCOUNTS, CURRENT_TIME, OPEN_ORDER_END = 15, 49, 53
EXECUTION_END, COMMISSION, COMPLETED_ORDER, COMPLETED_ORDER_END = 55, 59, 101, 102

ALWAYS_WATCHED = {
    *(ORDER_STATUS, ERROR, OPEN_ORDER, NEXT_VALID_ID, EXECUTION, MANAGED_ACCOUNTS),
    *(CURRENT_TIME, OPEN_ORDER_END, EXECUTION_END, COMMISSION, COMPLETED_ORDER, COMPLETED_ORDER_END),
}
TICKS = {1, 2, 21, 45, 46, 47, 58, 81, 84}
"""Market data: never watched. A snapshot of it is closed by its end marker, and its ticks are harmless twice."""

READ_ONLY_API = 321
"""The code with which a TWS that is set to read-only refuses lists of orders."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The first bytes of payloads, by which a band of server versions tells its messages."""

    keys: frozenset[bytes]
    numbers: dict[bytes, int]
    streamed: dict[bytes, int]  # noted only while they are awaited
    width: int
    least: int  # bytes of the shortest payload that has an id


def _watched_ids() -> frozenset[int]:
    ids = set(ALWAYS_WATCHED)
    for request in REQUESTS.values():
        if request.kind in (Kind.ONESHOT, Kind.SNAPSHOT):
            ids |= request.answers | request.rows
        if request.end is not None:
            ids.add(request.end)
    return frozenset(ids - TICKS)


def _text_heads(ids: Iterable[int]) -> dict[bytes, int]:
    heads: dict[bytes, int] = {}
    for number in ids:
        head = b"%d\0" % number
        heads[head[:3]] = number
        if len(head) < 3:
            heads |= {head + bytes([after]): number for after in range(256)}
    return heads


def _stream_ids() -> frozenset[int]:
    """What answers a stream, or a calculation, and is not watched: noted once, while it is awaited."""
    ids: set[int] = set()
    for request in REQUESTS.values():
        if request.kind in (Kind.STREAM, Kind.ONESHOT):
            ids |= request.answers | request.rows
    return frozenset(ids - WATCHED)


def _raw_heads(ids: Iterable[int]) -> dict[bytes, int]:
    return {(number + offset).to_bytes(4, "big"): number for number in ids for offset in (0, 200)}


WATCHED = _watched_ids()
STREAMED = _stream_ids()
TEXT = Heads(frozenset(_text_heads(WATCHED)), _text_heads(WATCHED), _text_heads(STREAMED), width=3, least=2)
RAW = Heads(frozenset(_raw_heads(WATCHED)), _raw_heads(WATCHED), _raw_heads(STREAMED), width=4, least=4)
