"""One client's socket from greeting to close: who it is, whether it may ask, and where its requests go."""

import time
from enum import Enum
from typing import TYPE_CHECKING

from backstay.protocol.commands import read_start_api
from backstay.protocol.errors import ErrorMessage, write_error
from backstay.protocol.framing import LAST_TEXT_VERSION, PROTOBUF_OFFSET, Splitter, fields, frame, raw
from backstay.protocol.handshake import Greeting, Hello, ServerGreeting, answer
from backstay.protocol.messages import message_id
from backstay.protocol.responses import RESPONSES
from backstay.protocol.vocabulary import Response
from backstay.simulator import requests
from backstay.simulator.channel import Channel
from backstay.simulator.fields import Refused, Unreadable
from backstay.simulator.pacing import Rate
from backstay.simulator.streams import Family, Stream
from backstay.simulator.transcoding import answer_to_protobuf

if TYPE_CHECKING:
    import socket

    from backstay.simulator.world import World

START_API = 71

STREAM_BACKLOG_BYTES = 4 * 1024 * 1024
"""A client this far behind gets no further ticks; TWS drops them too, and the simulator must not grow without end."""


class SessionState(Enum):
    """How far a client has come."""

    GREETING = "greeting"
    DIALOG = "dialog"
    GREETED = "greeted"
    STARTING = "starting"
    READY = "ready"
    CLOSED = "closed"


class Session:
    """One socket and everything that ends with it; orders do not, they belong to the client id."""

    def __init__(self, world: "World", sock: "socket.socket") -> None:
        self.world = world
        self.state = SessionState.GREETING
        self.version = 0
        self.client_id: int | None = None
        self.streams: dict[tuple[Family, int], Stream] = {}
        self.market_data_type = 1
        self.auto_bind = False
        self.time_answered = 0.0
        self.ready_since = 0.0
        self.rate = Rate()
        self.channel = Channel(world.loop, sock, heard=self._heard, lost=self.ended)
        self._greeting = ServerGreeting()
        self._splitter = Splitter()
        self._offer_low = 0
        self._heads: dict[int, bytes] = {}

    def send(self, message_id: int, *values: object) -> None:
        """Send one message; the values are its fields in order, VERSION is put in where the version wants it."""
        self._write(message_id, fields(*values))

    def send_body(self, message_id: int, body: str) -> None:
        """Send one message whose fields are joined already, each with its NUL: ticks."""
        self._write(message_id, body.encode())

    def _write(self, message_id: int, body: bytes) -> None:
        head = self._head(message_id)
        if not head:
            self.channel.send(raw(message_id + PROTOBUF_OFFSET, answer_to_protobuf(message_id, body, self.version)))
        else:
            self.channel.send(frame(head + body))
        if self.world.faults.cuts:
            self.world.faults.sent(self, message_id)

    def _head(self, message_id: int) -> bytes:
        """Return the message id, and VERSION where this server version has one, of a message; empty for protobuf."""
        known = self._heads.get(message_id)
        if known is None:
            known = self._heads[message_id] = self._make_head(RESPONSES[message_id])
        return known

    def _make_head(self, response: Response) -> bytes:
        if response.protobuf_from is not None and self.version >= response.protobuf_from:
            return b""
        versions = response.version_field
        has_version = versions is not None and versions[0] <= self.version <= versions[1]
        version = fields(response.version_number) if has_version else b""
        is_raw = self.version > LAST_TEXT_VERSION
        return (response.id.to_bytes(4, "big") if is_raw else fields(response.id)) + version

    def error(self, request_id: int, code: int, reason: str) -> None:
        """Send an error or notice; request id -1 for one about the connection."""
        message = ErrorMessage(request_id, code, reason, "", int(time.time() * 1000))
        self.channel.send(write_error(message, self.version))

    def close(self, reason: str) -> None:
        """Close from our side: the client reads what was sent, then end of file."""
        self.channel.close()
        self.ended(reason)

    def reset(self, reason: str) -> None:
        """Close with RST."""
        self.channel.reset()
        self.ended(reason)

    def ended(self, reason: str) -> None:
        """The socket has gone, by either side; forget the session, once."""
        if self.state is SessionState.CLOSED:
            return
        self.state = SessionState.CLOSED
        self.streams.clear()
        self.world.forget(self, reason)

    def subscribe(self, stream: Stream) -> None:
        """Register a stream; what it sends first is sent when IB's servers can be reached."""
        self.streams[stream.family, stream.request_id] = stream
        if self.world.flows(stream):
            stream.started = True
            stream.start()
        self.world.keep_pace(stream.pace)

    def _heard(self, data: bytes) -> None:
        if self.state is SessionState.GREETING:
            greeting = self._greeting.receive(data)
            if greeting is not None:
                self._greeted(greeting)
            elif self._greeting.failed:
                self.close(self._greeting.failed)
            return
        chunk = self._splitter.push(data)
        for payload in chunk.payloads() if chunk else ():
            if self.state is SessionState.CLOSED:
                return
            self._take(payload)
        if self._splitter.broken:
            self.close("a frame longer than any")

    def _greeted(self, greeting: Greeting) -> None:
        self._offer_low = greeting.offer.low
        self.version = min(greeting.offer.high, self.world.settings.server_version)
        self.state = SessionState.DIALOG
        if self.world.full():
            self.close("too many clients")
        elif self.world.faults.turned_away(self):
            return
        elif not self.world.faults.open_dialog:
            self.accept()
        if greeting.rest:
            self._heard(greeting.rest)

    def accept(self) -> None:
        """Answer the greeting: at once, or when a person has answered the dialog."""
        if self.state is not SessionState.DIALOG:
            return
        if self.version < self._offer_low:
            self.close("the client wants a newer server")
            return
        self.state = SessionState.GREETED
        self.channel.send(answer(Hello(self.version, self.world.connection_time())))

    def _take(self, payload: bytes) -> None:
        number = message_id(payload, self.version)
        if self.state is SessionState.READY:
            self._request(number, payload)
        elif self.state is SessionState.GREETED and number == START_API:
            self._start(payload)
        else:
            self.close(f"a request ({number}) before the session is ready")

    def _start(self, payload: bytes) -> None:
        start = read_start_api(payload, self.version)
        if start is None:
            self.close("an unreadable startApi")
            return
        self.client_id = start.client_id
        self.state = SessionState.STARTING
        self.world.begin(self)

    def _request(self, number: int, payload: bytes) -> None:
        assert self.client_id is not None  # noqa: S101  (a ready session has one)
        world = self.world
        name, key = requests.label(payload, self.version)
        world.records.request(self.client_id, name, key)
        if not world.faults.admit(self, number):
            world.records.tell("dropped", self.client_id, name, key=key)
            return
        try:
            requests.handle(self, number, payload)
        except Unreadable as error:
            self.error(-1 if key is None else key, 320, f"Error reading request. {error}")
        except Refused as error:
            self.error(error.request_id, error.code, error.reason)
