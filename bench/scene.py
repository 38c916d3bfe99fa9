"""The scene every client plays in: server version, ids, contracts and the frames a client subscribes with.

ib_async numbers its requests itself, from nextValidId on and with one counter for requests and orders; the ids here
follow that order, so that all clients hold the same streams under the same ids.
"""

import struct
from typing import Final

SERVER_VERSION: Final = 176  # inside the range of every client (ib_async ends at 178), all text
CLIENT_ID: Final = 7
ACCOUNT: Final = "DU1234567"

WINDOW_FRAMES: Final = 500
"""Frames from one acknowledgement to the next; two windows are in flight."""

TICKERS: Final = range(1, 101)
MARK_ID: Final = 101
"""Market data stream of its own whose generic tick closes each window and carries its number."""
DEPTH_L1: Final = range(102, 107)
DEPTH_L2: Final = range(107, 112)
TICK_BY_TICK: Final = range(112, 117)
ORDERS: Final = range(117, 125)
HISTORY: Final = 125
REQUESTS: Final = HISTORY  # ids run from 1 without a gap: this many requests, one each

HALTED: Final = 49
"""Generic tick type that carries marks and send times: every client takes any positive number in it."""

_LENGTH = struct.Struct(">I")


def frame(*fields: object) -> bytes:
    """One complete text frame, length prefix included."""
    payload = "".join(f"{field}\0" for field in fields).encode("ascii")
    return _LENGTH.pack(len(payload)) + payload


def symbol(number: int) -> str:
    """Symbol of the contract with this number (0 and up)."""
    return f"SYM{number:03d}"


def contract_id(number: int) -> int:
    """Contract id of the contract with this number."""
    return 100_000 + number


def contract_number(request_id: int) -> int:
    """Number of the contract that a stream is about; depth and tick-by-tick streams share those of the tickers."""
    return request_id - 1 if request_id <= MARK_ID else request_id - DEPTH_L1.start


def _contract(request_id: int) -> tuple[object, ...]:
    number = contract_number(request_id)
    return (contract_id(number), symbol(number), "STK", "", "", "", "", "SMART", "", "USD", "", "")


def subscriptions() -> list[bytes]:
    """The frames by which a client without a library of its own asks for the whole scene."""
    frames = [frame(1, 11, key, *_contract(key), 0, "", 0, 0, "") for key in (*TICKERS, MARK_ID)]
    frames += [frame(10, 5, key, *_contract(key), 5, 0, "") for key in (*DEPTH_L1, *DEPTH_L2)]
    frames += [frame(97, key, *_contract(key), "BidAsk", 0, 0) for key in TICK_BY_TICK]
    frames += [_place_order(key) for key in ORDERS]
    frames.append(
        frame(20, HISTORY, *_contract(1), 0, "", "1 min", "3600 S", 1, "TRADES", 1, 0, ""),
    )
    return frames


_ORDER_TAIL: Final = (
    "0||1|0|0|0|0|0|0|0||0||||||||0||-1|0|||0|||0|0||0||||||0|||||0|||||||||||0|||0|0|||0||0|0|0|0|"
    "|1.7976931348623157e+308|1.7976931348623157e+308|1.7976931348623157e+308|1.7976931348623157e+308"
    "|1.7976931348623157e+308|0||||1.7976931348623157e+308|||||0|0|0||2147483647|2147483647|0|||"
)
"""placeOrder at version 176 from the openClose field's successor on, with every attribute at its default."""


def _place_order(order_id: int) -> bytes:
    head = (3, order_id, *_contract(order_id), "", "", "BUY", 100, "LMT", "150.25", "", "DAY", "", ACCOUNT, "")
    return frame(*head, *_ORDER_TAIL.split("|")[:-1])
