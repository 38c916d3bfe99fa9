"""The error message (4) in its four layouts, and the two messages that make a session ready (9 and 15).

Layouts: below 166 VERSION, id, code, text; 166 to 193 and the reject JSON; from 194 no VERSION and the time behind;
from 201 protobuf. "Error" also carries notices, warnings and success confirmations: ``codes`` tells them apart.
"""

import re
from dataclasses import dataclass

from backstay.protocol.framing import LAST_TEXT_VERSION, PROTOBUF_OFFSET, raw, text_message
from backstay.protocol.messages import RESPONSES, body_fields, is_protobuf, message_id
from backstay.protocol.responses import ERROR, MANAGED_ACCOUNTS, NEXT_VALID_ID
from backstay.protocol.wire import BYTES, VARINT, bytes_field, find_bytes, find_varint, int32, int64, scan, varint_field

NO_REQUEST = -1
"""The id of an error that is about no request."""

_ASCII_ESCAPES_SINCE = 153
_REJECT_SINCE = 166
_TIME_SINCE = 194
_VERSION_NUMBER = 2
_ID_BYTES = 4

_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
_UNSAFE = re.compile(r"[^\t\n\r\x20-\x7e]+|\\(?=u)")


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """One error, warning or notice.

    ``reject`` is the advanced order reject JSON (empty below 166), ``time_ms`` the server's time in ms since the epoch
    (0 below 194), ``id`` a request or order id or ``NO_REQUEST``.
    """

    id: int
    code: int
    text: str
    reject: str = ""
    time_ms: int = 0


def read_error(payload: bytes, version: int) -> ErrorMessage | None:
    """Return the error in a server's payload; None when it is another message or malformed."""
    if message_id(payload, version) != ERROR:
        return None
    if is_protobuf(payload, version):
        return _read_protobuf(payload)
    values = body_fields(payload, version)
    if version < _TIME_SINCE:
        del values[:1]
    if len(values) < 3:
        return None
    try:
        number, code = int(values[0]), int(values[1])
        time_ms = int(values[4]) if version >= _TIME_SINCE and len(values) > 4 else 0
    except ValueError:
        return None
    reject = _decode(values[3], version) if version >= _REJECT_SINCE and len(values) > 3 else ""
    return ErrorMessage(number, code, _decode(values[2], version), reject, time_ms)


def _read_protobuf(payload: bytes) -> ErrorMessage | None:
    numbers: dict[int, int] = {}
    texts: dict[int, str] = {}
    try:
        for field, wire_type, value in scan(payload, _ID_BYTES):
            if wire_type == VARINT:
                numbers[field] = int(value)
            elif wire_type == BYTES:
                texts[field] = bytes(value).decode(errors="replace")
    except ValueError:
        return None
    if 3 not in numbers:
        return None
    number = int32(numbers[1]) if 1 in numbers else NO_REQUEST
    return ErrorMessage(
        number, int32(numbers[3]), texts.get(4, ""), texts.get(5, ""), int64(numbers[2]) if 2 in numbers else 0
    )


def write_error(message: ErrorMessage, version: int) -> bytes:
    """Return the complete frame of an error in the layout of a server version; what it has no field for is left out.

    In text layouts, characters outside printable ASCII become backslash-u escapes from 153 on and ``?`` below.
    """
    if version > LAST_TEXT_VERSION:
        return raw(ERROR + PROTOBUF_OFFSET, _protobuf_body(message))
    values: list[object] = [message.id, message.code, _encode(message.text, version)]
    if version < _TIME_SINCE:
        values.insert(0, _VERSION_NUMBER)
    if version >= _REJECT_SINCE:
        values.append(_encode(message.reject, version))
    if version >= _TIME_SINCE:
        values.append(message.time_ms)
    return text_message(version, ERROR, *values)


def _protobuf_body(message: ErrorMessage) -> bytes:
    body = varint_field(1, message.id)
    if message.time_ms:
        body += varint_field(2, message.time_ms)
    body += varint_field(3, message.code)
    if message.text:
        body += bytes_field(4, message.text.encode(errors="replace"))
    if message.reject:
        body += bytes_field(5, message.reject.encode(errors="replace"))
    return body


def _encode(value: str, version: int) -> bytes:
    if version < _ASCII_ESCAPES_SINCE:
        return re.sub(r"[^\t\n\r\x20-\x7e]", "?", value).encode("ascii")
    return _UNSAFE.sub(_escape, value).encode("ascii")


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _decode(value: bytes, version: int) -> str:
    """Return a text for people: UTF-8, else Latin-1 (as Windows builds may send), escapes undone from 153 on."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return _ESCAPES.sub(_unescape, text) if version >= _ASCII_ESCAPES_SINCE else text


def _unescape(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("\\u", "")).decode("utf-16-be", "replace")


def read_next_valid_id(payload: bytes, version: int) -> int | None:
    """Return the order id of a nextValidId (9); None when it is another message or malformed."""
    if message_id(payload, version) != NEXT_VALID_ID:
        return None
    if is_protobuf(payload, version):
        number = find_varint(payload, 1, _ID_BYTES)
        return None if number is None else int32(number)
    try:
        return int(body_fields(payload, version)[1])
    except (IndexError, ValueError):
        return None


def read_managed_accounts(payload: bytes, version: int) -> bytes | None:
    """Return the comma-separated accounts of a managedAccounts (15); None when it is another message or malformed."""
    if message_id(payload, version) != MANAGED_ACCOUNTS:
        return None
    if is_protobuf(payload, version):
        return find_bytes(payload, 1, _ID_BYTES) or b""
    values = body_fields(payload, version)
    return values[1] if len(values) > 1 else None


def write_next_valid_id(order_id: int, version: int) -> bytes:
    """Return the complete frame of a nextValidId."""
    return _write(NEXT_VALID_ID, version, (order_id, varint_field(1, order_id)))


def write_managed_accounts(accounts: bytes, version: int) -> bytes:
    """Return the complete frame of a managedAccounts; ``accounts`` are separated by commas."""
    return _write(MANAGED_ACCOUNTS, version, (accounts, bytes_field(1, accounts)))


def _write(number: int, version: int, value: tuple[object, bytes]) -> bytes:
    """Return a message of one value, given as a text field and as a protobuf body."""
    row = RESPONSES[number]
    as_text, as_protobuf = value
    if row.protobuf_from is not None and version >= row.protobuf_from:
        return raw(number + PROTOBUF_OFFSET, as_protobuf)
    return text_message(version, number, row.version_number, as_text)
