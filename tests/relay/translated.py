"""A socket for clients that write text of version 200, over a session that has agreed on protobuf (226).

So the same tests hold for both encodings: what the client says and hears is translated by the simulator's tables.
"""

from __future__ import annotations

import socket
from typing import Any

from backstay.protocol.commands import read_start_api, start_api
from backstay.protocol.errors import read_error, write_error
from backstay.protocol.framing import PROTOBUF_OFFSET, Splitter, frame, raw, text
from backstay.protocol.messages import message_id
from backstay.protocol.requests import REQUESTS
from backstay.protocol.responses import ERROR, RESPONSES
from backstay.protocol.vocabulary import Request, Response
from backstay.simulator.fields import Fields
from backstay.simulator.layout import read, write
from backstay.simulator.schema_bodies import ByName, InOrder, Named, Ordered, decode, encode
from backstay.simulator.schema_tables import ANSWER_SCHEMAS, PLACED, RECORD_SCHEMAS, REQUEST_SCHEMAS

TEXT, PROTOBUF = 200, 226
START_API, PLACE_ORDER = 71, 3
RAW_ID_BYTES = 4


def has_version(row: Request | Response) -> bool:
    return row.version_field is not None and row.version_field[1] >= TEXT


def to_protobuf(payload: bytes) -> bytes:
    """Return the frame of a text request; without the legs of combinations."""
    number = message_id(payload, TEXT)
    if number == START_API:
        start = read_start_api(payload, TEXT)
        assert start is not None
        return start_api(PROTOBUF, start.client_id, start.capabilities)
    fields = Fields(payload.partition(b"\0")[2])
    if has_version(REQUESTS[number]):
        fields.skip()
    if number == PLACE_ORDER:
        layout, schema = PLACED
        return raw(number + PROTOBUF_OFFSET, encode(schema, ByName(read(layout, fields, TEXT))))
    values = [fields.text() for _ in range(fields.left)]
    return raw(number + PROTOBUF_OFFSET, encode(REQUEST_SCHEMAS[number], WithoutLegs(iter(values))))


class WithoutLegs(InOrder):
    """Text has no count where a contract is no combination."""

    def rows(self, item):
        return iter(()) if item.mark == "?" else super().rows(item)


def to_text(payload: bytes) -> bytes:
    """Return the frame of a protobuf answer in text."""
    number = message_id(payload, PROTOBUF)
    if number == ERROR:
        error = read_error(payload, PROTOBUF)
        assert error is not None
        return write_error(error, TEXT)
    body = payload[RAW_ID_BYTES:]
    if number in RECORD_SCHEMAS:
        layout, schema = RECORD_SCHEMAS[number]
        named = Named()
        decode(schema, body, named)
        values = write(layout, named.record, TEXT)
    else:
        ordered = Ordered()
        decode(ANSWER_SCHEMAS[number], body, ordered)
        values = ordered.values
    row = RESPONSES[number]
    return text(number, *([row.version_number] if has_version(row) else []), *values)


class Translated:
    """Stands in for a client's socket: everything but what is sent and received is the socket's own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._said, self._heard = Splitter(), Splitter()
        self._greeted = self._agreed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendall(self, data: bytes) -> None:
        if not self._greeted:
            self._greeted = True
            assert data.startswith(b"API\0")
            self._sock.sendall(b"API\0" + frame(b"v%d..%d" % (PROTOBUF, PROTOBUF)))
            return
        chunk = self._said.push(data)
        self._sock.sendall(b"".join(to_protobuf(payload) for payload in chunk.payloads()) if chunk else b"")

    def recv(self, size: int) -> bytes:
        while True:
            data = self._sock.recv(size)
            chunk = self._heard.push(data)
            if chunk or not data:
                return b"".join(self._translate(payload) for payload in chunk.payloads()) if chunk else b""

    def _translate(self, payload: bytes) -> bytes:
        if self._agreed:
            return to_text(payload)
        self._agreed = True
        version, _, moment = payload.partition(b"\0")
        assert int(version) == PROTOBUF
        return frame(b"%d\0" % TEXT + moment)
