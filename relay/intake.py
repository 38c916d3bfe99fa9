"""The way in from a client: blocks in `recv`, reads the greeting and startApi, then hands requests to the session.

Nothing a client sends is obeyed before its client id is claimed, and nothing it sends can hurt anybody else: what
cannot be read ends this client with one clear message.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backstay.actors.messages import SESSION, wire_bytes
from backstay.actors.traffic import Credit, shut
from backstay.protocol.commands import StartApi, read_start_api
from backstay.protocol.errors import ErrorMessage, write_error
from backstay.protocol.framing import Chunk, Splitter
from backstay.protocol.handshake import Hello, ServerGreeting, VersionRange, answer
from backstay.protocol.vocabulary import HIGHEST_VERSION, LOWEST_VERSION
from backstay.relay.lobby import Chair, Lobby, Reception, Visit
from backstay.relay.outlet import NO_SOCKET, WRITER, Outlet, Pump
from backstay.session.calling import LEAVING_SECONDS
from backstay.session.causes import Cause
from backstay.session.client_words import (
    ClientAsked,
    ClientAway,
    ClientGreeted,
    ClientLeft,
    ClientMoved,
    ClientRefused,
    ClientReturned,
    ClientStarted,
)
from backstay.session.notices import NO_ID, Notice
from backstay.session.owed import Owed
from backstay.session.reasons import Reason
from backstay.session.settings import offers_something
from backstay.session.vocabulary import SessionEvent
from backstay.supervisor.actor import Actor
from backstay.supervisor.specs import Context

INTAKE = "intake"

RECEIVE_BYTES = 65_536

REQUEST_WINDOW_BYTES = 256 * 1024
"""Requests taken from a client and not yet sent, answered or stored: about a thousand. Then TCP makes it wait."""

GREETING_SECONDS = 30.0
"""A socket that says nothing for so long is no TWS client. After the greeting a client may take its time."""

SESSION_SECONDS = 5.0
"""How long a restart of the session may take before the client is better off reconnecting."""

LEAVING_MARGIN_SECONDS = 5.0
"""Beyond the time a connection may take to drain: for its last bytes (2 s), its actors to end, and a loaded machine."""

RETRY_SECONDS = 0.05
"""Between two tries to tell a session whose inbox is full, or that is about to be found dead, and between two looks
whether the hello has come."""


def leaving_seconds(drain_seconds: float) -> float:
    """How long a client that reconnects has to wait for the end of its own last connection, at the most."""
    return max(LEAVING_SECONDS, drain_seconds) + LEAVING_MARGIN_SECONDS


@dataclass(slots=True)
class Guest:
    """One client of a relay, as long as its socket lives. Written by the intake, except `session_up`."""

    name: str
    address: str
    sock: socket.socket
    lobby: Lobby
    owed: Owed
    allowed: Callable[[int], bool]
    admit: Callable[[], bool]  # it has greeted: is there room for it?
    on_started: Callable[[int], str]  # it has said its client id; returns the connection's name from now on
    on_left: Callable[[], object]
    outlet: Outlet
    linger_seconds: float
    leaving_seconds: float  # how long a client that reconnects waits for the end of its own last connection
    log: Callable[..., object]
    window: Credit = field(default_factory=lambda: Credit(REQUEST_WINDOW_BYTES))
    session_up: threading.Event = field(default_factory=threading.Event)
    title: str = ""  # what people call the connection, once it is known
    parked: bool = False  # no session is to be expected soon; the client has been told

    def tell(self, event: str, **fields: object) -> None:
        """Log an event of this client."""
        self.log(event, connection=self.title or self.name, address=self.address, **fields)

    def session_present(self, up: bool) -> None:
        """The session begins to take messages, or has ended. In its thread."""
        if up:
            self.parked = False
            self.session_up.set()
        else:
            self.session_up.clear()

    def has_hung_up(self) -> bool:
        """Whether its client has left, also if nobody has read that far yet. Any thread."""
        look = select.poll()
        try:
            look.register(self.sock, getattr(select, "POLLRDHUP", select.POLLHUP))
            return bool(look.poll(0))
        except (OSError, ValueError):  # closed
            return True

    def gone(self) -> None:
        """Nothing is left of this client and its upstream connection: its client id is free again. Twice is no harm."""
        self.lobby.release(self.name)
        self.on_left()

    def park(self) -> None:
        """There is no session, and will be none for a while: tell the client. In the thread that has seen it end.

        The session that comes tells it once more, and refuses the orders that were sent meanwhile.
        """
        self.parked = True
        owed = self.owed
        if owed.introduced and owed.start is not None and owed.version is not None:
            text = Notice.GATEWAY_LOST.text(f"{Cause.SESSION_DIED.row.tws_code}, {Cause.SESSION_DIED.row.sentence}")
            data = write_error(ErrorMessage(NO_ID, Notice.GATEWAY_LOST.value.code, text), owed.version)
            self.outlet.give(data)


_QUICK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux


def acknowledge(sock: socket.socket) -> None:
    """Acknowledge at once what was read.

    The official ibapi leaves Nagle's algorithm on: its system keeps small requests to itself until the first of them is
    acknowledged, for up to 40 ms, and drops them when the application closes meanwhile with an answer unread. The
    system forgets this with our next answer, so it is said anew each time.
    """
    if _QUICK is not None:
        with contextlib.suppress(OSError):  # closed meanwhile
            sock.setsockopt(socket.IPPROTO_TCP, _QUICK, 1)


class Serve:
    """To the intake, from itself: read the client."""


class Intake(Actor):
    """See the module. Ends with its client; never restarted, since framing cannot be taken up in the middle."""

    def __init__(self, context: Context, *, guest: Guest) -> None:
        super().__init__(context)
        self._guest = guest
        self._splitter = Splitter()
        self._client_id: int | None = None
        self._chair: Chair | None = None
        self._interrupted = threading.Event()
        self._kicks = guest.window.kicks

    def begin(self) -> None:
        """Go to work."""
        self.book.send(self.context.id, Serve())

    def receive(self, message: Any) -> None:
        """Read the client to its end; the session is told last."""
        del message
        guest = self._guest
        greeted = self._greet()
        if greeted is not None and self._take(greeted):
            self._read_to_the_end()
            while (visit := self._keep_for_return()) is not None:
                self._welcome_back(visit)
        if not self._tell(ClientLeft()):
            self.leave("no session to tell")
        guest.tell("client_left")

    def _read_to_the_end(self) -> None:
        while (data := self._receive()) and self._take(data):
            pass

    def interrupt(self) -> None:
        """Called from any thread."""
        shut(self._guest.sock)
        self._guest.window.kick()
        self._interrupted.set()
        self._guest.session_up.set()
        chair = self._chair
        if chair is not None:
            chair.fill(None)

    def _receive(self) -> bytes:
        self.turns += 1
        sock = self._guest.sock
        try:
            data = sock.recv(RECEIVE_BYTES)
        except OSError:
            return b""
        finally:
            self.turns += 1
        acknowledge(sock)
        return data

    # -- greeting ----------------------------------------------------------------------------------------------------

    def _greet(self) -> bytes | None:
        """Read the greeting; returns what followed it in the same segment, None if there was no proper one."""
        guest, machine = self._guest, ServerGreeting()
        guest.sock.settimeout(GREETING_SECONDS)
        while not machine.failed and (data := self._receive()):
            greeting = machine.receive(data)
            if greeting is not None:
                guest.sock.settimeout(None)
                cached = guest.lobby.hello_for(greeting.offer)
                if not self._is_welcome(greeting.offer, cached):
                    return None
                told = self._tell(ClientGreeted(greeting.offer, greeting.options, cached))
                return greeting.rest if told else None
        self._log_bad(machine.failed or "it closed, or said nothing")
        return None

    def _is_welcome(self, offer: VersionRange, cached: Hello | None) -> bool:
        """Whether its versions can be met at all, and there is room for one more."""
        if not offers_something(offer):
            # Before its versions are agreed on a client can read nothing; TWS closes without a word as well.
            readable = f"{LOWEST_VERSION} to {HIGHEST_VERSION}"
            self._log_bad(f"it offers server versions {offer.low} to {offer.high}, of which none is in {readable}")
            return False
        if self._guest.admit():
            return True
        self._log_bad(Notice.TOO_MANY.text())
        if cached is not None:
            error = ErrorMessage(NO_ID, Notice.TOO_MANY.value.code, Notice.TOO_MANY.text())
            with contextlib.suppress(OSError):  # a client that does not listen misses nothing
                self._guest.sock.send(answer(cached) + write_error(error, cached.version), socket.MSG_DONTWAIT)
        return False

    def _log_bad(self, reason: str) -> None:
        self._guest.tell("client_refused", reason=reason)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> bool:
        """Hand on the requests in these bytes. False when nothing more is to be read from this client."""
        chunk = self._splitter.push(data)
        if chunk is not None and not self._hand_on(chunk):
            return False
        broken = self._splitter.broken
        if broken is not None:
            return self._refuse(Notice.BAD_CLIENT, Reason.BAD_LENGTH.format(length=broken.length, head=broken.head))
        return True

    def _hand_on(self, chunk: Chunk) -> bool:
        payloads = tuple(chunk.payloads())
        if self._client_id is None:
            if not self._start(payloads[0], payloads[1:]):
                return False
            payloads = payloads[1:]
        return not payloads or self._ask(payloads)

    def _ask(self, payloads: tuple[bytes, ...]) -> bool:
        window = self._guest.window
        window.owe(wire_bytes(payloads))  # before the session can give it back
        if not self._tell(ClientAsked(payloads)):
            return False
        self.turns += 1
        goes_on = window.wait(self._kicks)
        self.turns += 1
        return goes_on

    def _start(self, payload: bytes, behind: tuple[bytes, ...]) -> bool:
        guest = self._guest
        version = self._agreed_version()
        if version is None:
            return False
        start = read_start_api(payload, version)
        if start is None:
            return self._refuse(Notice.START_FIRST)
        if not guest.allowed(start.client_id):
            return self._refuse(Notice.ID_NOT_ALLOWED, str(start.client_id))
        with self.excused(guest.leaving_seconds):
            place = self._find_place(start.client_id, behind)
        if place is None:
            return self._refuse(Notice.ID_IN_USE, str(start.client_id))
        return place is Reception.NONE_KEPT and self._begin_session(start)

    def _agreed_version(self) -> int | None:
        """The version that the hello names; None if the client leaves before there is one.

        A client need not read the hello before it sends startApi. What it has sent waits here, and the rest in its
        system, until it can be understood.
        """
        owed = self._guest.owed
        while owed.version is None and not self.stopping and not self._guest.has_hung_up():
            self.turns += 1
            self._interrupted.wait(RETRY_SECONDS)
            self.turns += 1
        return owed.version

    def _find_place(self, client_id: int, behind: tuple[bytes, ...]) -> Reception | None:
        """A place of its own, or the connection that was kept for it; None if a living client has the id.

        One that has left is waited for, or a client that reconnects at once would be kept out by itself.
        """
        guest = self._guest
        deadline = self.now() + guest.leaving_seconds
        while self._look_for_chair(client_id, behind) is not Reception.TAKEN:
            if guest.lobby.claim(client_id, guest.name, leaves=guest.has_hung_up, patience_seconds=RETRY_SECONDS):
                return Reception.NONE_KEPT
            if self.stopping or self.now() >= deadline or not guest.lobby.comes_free(client_id):
                return None
        return Reception.TAKEN

    # -- leaving and returning ---------------------------------------------------------------------------------------

    def _keep_for_return(self) -> Visit | None:
        """Keep the connection for a client that comes back soon with the same id; wait here for it."""
        guest = self._guest
        client_id = self._client_id
        if client_id is None or guest.linger_seconds <= 0.0 or self.stopping or not self._tell(ClientAway()):
            return None
        sock = guest.outlet.detach()
        shut(sock)  # the writer may be blocked on it
        sock.close()
        chair = self._chair = Chair(guest.owed.version or 0)
        guest.lobby.keep_chair(client_id, chair)
        guest.tell("client_away", seconds=guest.linger_seconds)
        self.turns += 1
        visit = chair.wait(guest.linger_seconds)
        self.turns += 1
        if visit is None and not guest.lobby.remove_chair(client_id, chair):
            visit = chair.wait(0.0)
        self._chair = None
        return visit

    def _welcome_back(self, visit: Visit) -> None:
        guest = self._guest
        guest.sock, guest.address = visit.sock, visit.address
        guest.outlet.attach(visit.sock)
        self.book.send(WRITER, Pump())
        self._splitter = visit.splitter
        guest.tell("client_returned")
        if self._tell(ClientReturned()) and (not visit.payloads or self._ask(visit.payloads)):
            self._read_to_the_end()

    def _look_for_chair(self, client_id: int, payloads: tuple[bytes, ...]) -> Reception:
        """If a connection was kept for this client, it goes there, and this one ends."""
        guest = self._guest
        visit = Visit(guest.sock, guest.address, guest.owed.version or 0, self._splitter, payloads)
        reception = guest.lobby.visit(client_id, visit)
        if reception is Reception.TAKEN:
            guest.outlet.detach()
            guest.sock = NO_SOCKET
            self._tell(ClientMoved())
        return reception

    def _begin_session(self, start: StartApi) -> bool:
        self._client_id = start.client_id
        self._guest.title = self._guest.on_started(start.client_id)
        return self._tell(ClientStarted(start.client_id, start.capabilities))

    def _refuse(self, notice: Notice, detail: str = "") -> bool:
        self._log_bad(notice.text(detail))
        self._tell(ClientRefused(notice, detail))
        return False

    def _tell(self, event: SessionEvent) -> bool:
        """Give the session an event; one that is just being restarted, or has too much to do, is waited for.

        One that is parked is waited for as long as the client is there.
        """
        deadline = self.now() + SESSION_SECONDS
        while not self.stopping:
            self.turns += 1
            up = self._guest.session_up.wait(RETRY_SECONDS)
            self.turns += 1
            if up and self.book.send(SESSION, event):
                return True
            if self._guest.parked:
                deadline = self.now() + SESSION_SECONDS
                if isinstance(event, ClientLeft) or self._guest.has_hung_up():
                    return False
            elif self.now() >= deadline:
                return False
            if up:
                self._interrupted.wait(RETRY_SECONDS)
        return False
