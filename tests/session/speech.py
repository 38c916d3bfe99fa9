"""What clients and gateways say, in every layout: payloads for the tests of the session.

A word makes each message unlike every other; it stands where no reader looks (text: behind the fields that matter,
protobuf: in a field nobody knows).
"""

from functools import cache, lru_cache

from backstay.protocol.errors import ErrorMessage, write_error, write_managed_accounts, write_next_valid_id
from backstay.protocol.framing import PREFIX_BYTES, PROTOBUF_OFFSET, Chunk, Splitter, raw, text_message
from backstay.protocol.handshake import Hello, answer
from backstay.protocol.requests import REQUESTS
from backstay.protocol.responses import RESPONSES
from backstay.protocol.vocabulary import Key
from backstay.protocol.wire import bytes_field, varint_field

TOKEN_FIELD = 100
CLIENT_ID = 7
VERSIONS = (100, 128, 145, 163, 176, 178, 193, 196, 200, 201, 207, 213, 226)
HELLO_TIME = b"20260405 23:49:26 CET"


def _fields(number: int, version: int, words: tuple[int | None, str, bool]) -> tuple[object, ...]:
    key, word, flag = words
    if number == 1:
        return (key, word, flag, 0, "") if version >= 114 else (key, word, flag, "")
    if number == 10:
        return (key, word, 5, flag, "")
    if number == 20:
        return (key, word, flag, "")
    if number == 6:
        return (int(flag), "DU1", word)
    if number == 19:
        return (1, word, key) if version >= 157 else (1, word)
    return (word,) if key is None else (key, word)


def _body(number: int, words: tuple[int | None, str, bool]) -> bytes:
    key, word, flag = words
    flags = {1: 4, 10: 4, 20: 9, 6: 1}
    body = b"" if key is None else varint_field(1, key)
    if flag and number in flags:
        body += varint_field(flags[number], 1)
    return body + bytes_field(TOKEN_FIELD, word.encode())


def ask(version: int, number: int, key: int | None = None, *, word: str = "t", flag: bool = False) -> bytes:
    """A request's payload. `flag`: snapshot (1), smart depth (10), keep up to date (20), subscribe (6)."""
    row = REQUESTS[number]
    words = (None if row.key is Key.NONE else key, word, flag)
    if row.protobuf_from is not None and version >= row.protobuf_from:
        return raw(number + PROTOBUF_OFFSET, _body(number, words))[PREFIX_BYTES:]
    values = _fields(number, version, words)
    if row.version_field is not None and version <= row.version_field[1]:
        values = (row.version_number, *values)
    return text_message(version, number, *values)[PREFIX_BYTES:]


@lru_cache(4096)
def tell(version: int, number: int, key: int | None = None, *, word: str = "t", done: bool = True) -> bytes:
    """The frame of a gateway's message. `done`: whether these historical ticks (96, 97, 98) are the last."""
    row = RESPONSES[number]
    if row.protobuf_from is not None and version >= row.protobuf_from:
        body = b"" if key is None else varint_field(1, key)
        if number in (96, 97, 98) and done:
            body += varint_field(3, 1)
        return raw(number + PROTOBUF_OFFSET, body + bytes_field(TOKEN_FIELD, word.encode()))
    values: tuple[object, ...] = (word, done) if number in (96, 97, 98) else (word,)
    if row.key_index is not None:
        values = (key, *values)
    if row.version_field is not None and version <= row.version_field[1]:
        values = (row.version_number, *values)
    return text_message(version, number, *values)


@lru_cache(4096)
def order_status(version: int, order_id: int, status: str = "Submitted", *, client_id: int = CLIENT_ID) -> bytes:
    row = RESPONSES[3]
    if row.protobuf_from is not None and version >= row.protobuf_from:
        numbers = ((1, order_id), (6, 10_000 + order_id), (9, client_id))
        body = b"".join(varint_field(*number) for number in numbers) + bytes_field(2, status.encode())
        return raw(3 + PROTOBUF_OFFSET, body)
    values = (order_id, status, 0, 1, 0.0, 10_000 + order_id, 0, 0.0, client_id, "", 0.0)
    if row.version_field is not None and version <= row.version_field[1]:
        values = (row.version_number, *values)
    return text_message(version, 3, *values)


@lru_cache(4096)
def error(version: int, key: int, code: int, text: str = "words of TWS") -> bytes:
    return write_error(ErrorMessage(key, code, text), version)


@lru_cache(4096)
def next_id(version: int, number: int = 1) -> bytes:
    return write_next_valid_id(number, version)


@cache
def accounts(version: int) -> bytes:
    return write_managed_accounts(b"DU1,DU2", version)


@cache
def hello(version: int) -> bytes:
    return answer(Hello(version, HELLO_TIME))


def chunk(*frames: bytes) -> Chunk:
    made = Splitter().push(b"".join(frames))
    assert made is not None
    return made


def payloads(data: bytes) -> list[bytes]:
    """The payloads of whole frames."""
    return list(chunk(data).payloads()) if data else []
