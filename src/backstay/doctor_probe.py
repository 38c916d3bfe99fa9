"""One look at one gateway, as a client would: name, socket, greeting, start, clock. Says what is wrong, by cause."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from backstay.metrics.listening import Address
from backstay.protocol.commands import configuration, current_time, next_ids, read_current_time, start_api
from backstay.protocol.configuration import CONFIGURATION, SINCE, Configuration, read_configuration
from backstay.protocol.errors import read_error
from backstay.protocol.framing import Splitter
from backstay.protocol.handshake import BadAnswer, Hello, Redirect, VersionRange, greeting, read_answer
from backstay.protocol.messages import message_id
from backstay.protocol.responses import MANAGED_ACCOUNTS, NEXT_VALID_ID
from backstay.protocol.vocabulary import HIGHEST_VERSION, LOWEST_VERSION
from backstay.session.causes import Cause
from backstay.session.told import Told, tell, zone_of

OFFER = VersionRange(LOWEST_VERSION, HIGHEST_VERSION)
"""All that can be read; which of it the gateway takes is told. The newest can be asked of themselves."""

RECEIVE_BYTES = 65_536
CURRENT_TIME_ANSWER = 49
UPSTREAM_LOST_CODES = frozenset({1100, 2110})
CLIENT_ID_TAKEN_CODE = 326
READ_ONLY_CODE = 321

DEFAULT_PORTS = {7496: "TWS, live", 7497: "TWS, paper", 4001: "IB Gateway, live", 4002: "IB Gateway, paper"}
KNOCK_SECONDS = 0.5

QUESTION = 1
"""The id of the one question that has one."""

HALF_A_SECOND = 0.5
"""TWS tells whole seconds, of which half a second is over as a rule."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of it. `cause`: a value of `Cause`, `degraded`, or empty when all is well."""

    cause: str
    text: str
    version: int | None = None
    clock_seconds: float | None = None
    """Its clock less ours."""
    read_only: bool = False
    """Whether it takes no orders: Read-Only API is ticked."""
    told: Told | None = None
    """What it tells of itself, if it can be asked and does."""


class _Found(Exception):  # noqa: N818  # how a look ends early
    def __init__(self, cause: Cause, detail: str = "") -> None:
        super().__init__(f"{cause.row.sentence}{f' ({detail})' if detail else ''}")
        self.cause = cause


def probe(address: Address, client_id: int, seconds: float) -> Probed:
    """Look at the gateway at this address; each step may take so many seconds."""
    version: int | None = None
    read_only, told = False, None
    try:
        with contextlib.closing(_connect(address, seconds)) as sock:
            frames = _frames(sock)
            sock.sendall(greeting(OFFER))
            hello = _hello(frames)
            zone = zone_of(hello, time.time())
            version = hello.version
            sock.sendall(start_api(version, client_id))
            upstream = _started(frames, version)
            clock = _clock(sock, frames, version)
            read_only = _is_read_only(sock, frames, version)
            said = _configuration(sock, frames, version)
            told = None if said is None else tell((address.host, address.port), said, zone)
    except _Found as found:
        if found.cause is Cause.DIALOG and _speaks_http(address, seconds):
            return Probed(Cause.NOT_TWS.value, f"{Cause.NOT_TWS.row.sentence} (it speaks HTTP)")
        return Probed(found.cause.value, str(found), version)
    except OSError as error:
        return Probed(Cause.RESET.value, f"the socket broke: {error}", version)
    if not upstream:
        return Probed("degraded", "the gateway answers and has lost IB's servers", version, clock, read_only, told)
    return Probed("", f"answers, server version {version}", version, clock, read_only, told)


def _connect(address: Address, seconds: float) -> socket.socket:
    try:
        return socket.create_connection((address.host, address.port), seconds)
    except socket.gaierror as error:
        raise _Found(Cause.DNS, error.strerror or "") from error
    except ConnectionRefusedError as error:
        raise _Found(Cause.REFUSED) from error
    except TimeoutError as error:
        raise _Found(Cause.DIAL_TIMEOUT) from error
    except OSError as error:
        raise _Found(Cause.UNREACHABLE, error.strerror or str(error)) from error


def _speaks_http(address: Address, seconds: float) -> bool:
    """Ask who is silent as a browser would: a web server waits for the end of its request line, as TWS for a person."""
    try:
        with contextlib.closing(_connect(address, seconds)) as sock:
            sock.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            return sock.recv(RECEIVE_BYTES).startswith(b"HTTP/")
    except (_Found, OSError):
        return False


def _frames(sock: socket.socket) -> Iterator[bytes]:
    """Frames as they come; ends with the socket. A silence of the socket's time-out is a TimeoutError."""
    splitter = Splitter()
    while data := sock.recv(RECEIVE_BYTES):
        chunk = splitter.push(data)
        if chunk is not None:
            yield from chunk.payloads()
        if splitter.broken is not None:
            raise _Found(Cause.NOT_TWS, f"it says {splitter.broken.head!r}")


def _hello(frames: Iterator[bytes]) -> Hello:
    try:
        payload = next(frames, None)
    except TimeoutError as error:
        raise _Found(Cause.DIALOG) from error
    except ConnectionError as error:
        raise _Found(Cause.REJECTED) from error
    if payload is None:
        raise _Found(Cause.REJECTED)
    answer = read_answer(payload, OFFER)
    if isinstance(answer, Redirect):
        raise _Found(Cause.REDIRECTED, f"to {answer.host}:{answer.port or 'the same port'}")
    if isinstance(answer, BadAnswer):
        raise _Found(Cause.VERSION if answer.version is not None else Cause.NOT_TWS, answer.reason)
    return answer


def _started(frames: Iterator[bytes], version: int) -> bool:
    """Wait for nextValidId and managedAccounts. Returns whether the gateway has IB's servers."""
    missing, upstream = {NEXT_VALID_ID, MANAGED_ACCOUNTS}, True
    try:
        while missing:
            payload = next(frames, None)
            if payload is None:
                raise _Found(Cause.EOF, "after startApi")
            missing.discard(message_id(payload, version))
            error = read_error(payload, version)
            if error is not None and error.code == CLIENT_ID_TAKEN_CODE:
                raise _Found(Cause.CLIENT_ID_TAKEN)
            upstream &= error is None or error.code not in UPSTREAM_LOST_CODES
    except TimeoutError as error:
        raise _Found(Cause.NOT_STARTED) from error
    return upstream


def _clock(sock: socket.socket, frames: Iterator[bytes], version: int) -> float:
    """Ask for the time, which also proves that requests are passed on."""
    sock.sendall(current_time(version))
    try:
        for payload in frames:
            if message_id(payload, version) == CURRENT_TIME_ANSWER:
                seconds = read_current_time(payload, version)
                if seconds is None:
                    raise _Found(Cause.NOT_TWS, "its time cannot be read")
                return seconds + HALF_A_SECOND - time.time()
    except TimeoutError as error:
        raise _Found(Cause.UNRESPONSIVE) from error
    raise _Found(Cause.EOF, "when asked for the time")


def _is_read_only(sock: socket.socket, frames: Iterator[bytes], version: int) -> bool:
    """Ask for the next order id, the one harmless question that a read-only API refuses. Silence is no answer."""
    sock.sendall(next_ids(version))
    try:
        for payload in frames:
            error = read_error(payload, version)
            if error is not None and error.code == READ_ONLY_CODE and error.id < 0:
                return True
            if message_id(payload, version) == NEXT_VALID_ID:
                break
    except TimeoutError:
        pass
    return False


def _configuration(sock: socket.socket, frames: Iterator[bytes], version: int) -> Configuration | None:
    """Ask it of itself, if its version can be. An error, a silence and what cannot be read tell nothing."""
    if version < SINCE:
        return None
    sock.sendall(configuration(version, QUESTION))
    try:
        for payload in frames:
            error = read_error(payload, version)
            if message_id(payload, version) == CONFIGURATION or (error is not None and error.id == QUESTION):
                return read_configuration(payload, version)
    except TimeoutError:
        pass
    return None


def listening_ports(host: str) -> tuple[int, ...]:
    """Which of the default ports take a connection on this host."""
    found: list[int] = []
    for port in DEFAULT_PORTS:
        with contextlib.suppress(OSError), socket.create_connection((host, port), KNOCK_SECONDS):
            found.append(port)
    return tuple(found)
