"""The greeting, the version answer, and the machine that reads a client's greeting.

A client sends ``API`` NUL unframed, then one frame ``v100..226`` with connect options behind one space. The server
answers with one text frame of two fields, version and connection time, at every version; version -1 is a redirect.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from backstay.protocol.framing import PREFIX_BYTES, frame, text

GREETING = b"API\0"

MAX_GREETING_BYTES = 4096
"""Longest version text with options that is taken; real ones are below 100 bytes, and a stranger must not make us
collect."""

MAX_ANSWER_FIELD_BYTES = 300
"""Longest field of a version answer that is looked at; host names end at 253 bytes, connection times at about 60."""

_CONNECTION_TIME = re.compile(rb"(\d{8})\s+(\d\d:\d\d:\d\d)\b")
_PORTS = range(1, 65536)
_REDIRECT = b"-1"


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Server versions a client offers, both ends included."""

    low: int
    high: int

    def __contains__(self, version: int) -> bool:
        return self.low <= version <= self.high

    def __str__(self) -> str:
        return f"v{self.low}" if self.low == self.high else f"v{self.low}..{self.high}"


@dataclass(frozen=True, slots=True)
class Hello:
    """The server took the connection; ``time`` is free text in the host's locale and may be non-ASCII."""

    version: int
    time: bytes


@dataclass(frozen=True, slots=True)
class Redirect:
    """The server wants to be called elsewhere; no port means the same port."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class BadAnswer:
    """Not an answer to go on with; ``version`` is set when only the version number is at fault (code 506)."""

    reason: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a client asked for; ``rest`` is what it sent behind the greeting in the same breath."""

    offer: VersionRange
    options: bytes
    rest: bytes


def greeting(offer: VersionRange, options: bytes = b"") -> bytes:
    """Return the first bytes a client sends, the unframed ``API`` NUL included."""
    version_text = str(offer).encode()
    return GREETING + frame(version_text + b" " + options if options else version_text)


def answer(hello: Hello) -> bytes:
    """Return the server's version answer as a complete frame."""
    return text(hello.version, hello.time)


def read_answer(payload: bytes, offer: VersionRange) -> Hello | Redirect | BadAnswer:
    """Read the payload of the first frame a server sends; a version outside the offer is a ``BadAnswer``."""
    parts = payload.split(b"\0", 3)
    if len(parts) != 3 or parts[2]:
        return BadAnswer("the version answer does not have two fields")
    number, second = parts[0], parts[1]
    if len(second) > MAX_ANSWER_FIELD_BYTES:
        return BadAnswer("the version answer is too long")
    if number == _REDIRECT:
        return _read_redirect(second)
    version = _number(number)
    if version is None:
        return BadAnswer("the version answer does not begin with a number")
    if version not in offer:
        return BadAnswer(f"server version {version} is outside {offer}", version)
    return Hello(version, second)


def local_seconds(hello: Hello) -> float | None:
    """Return what the host's clock showed when it answered, in seconds since 1970 as if it showed UTC, or None.

    The name of the zone behind it is in the host's own words, and ambiguous (`CST`): it is not looked at.
    """
    found = _CONNECTION_TIME.match(hello.time)
    if found is None:
        return None
    try:
        return datetime.strptime(b"".join(found.groups()).decode() + "Z", "%Y%m%d%H:%M:%S%z").timestamp()
    except ValueError:
        return None


def _read_redirect(where: bytes) -> Redirect | BadAnswer:
    host, colon, port_text = where.rpartition(b":")
    if not colon or where.endswith(b"]") or (b":" in host and not host.endswith(b"]")):
        host, port_text = where, b""  # no port, or a bare IPv6 address
    port = _number(port_text)
    name = host.removeprefix(b"[").removesuffix(b"]")
    if (port_text and (port is None or port not in _PORTS)) or not _is_host(name):
        return BadAnswer("the redirect does not name a host")
    return Redirect(name.decode("ascii"), port)


def _is_host(host: bytes) -> bool:
    return bool(host) and all(0x21 <= byte <= 0x7E for byte in host)


def _number(digits: bytes) -> int | None:
    """Return an unsigned decimal of a sane length, or None."""
    return int(digits) if digits.isdigit() and len(digits) <= 9 else None


class ServerGreeting:
    """Reads a client's greeting on the listening side, however its bytes are cut; one per accepted socket.

    ``receive`` returns the greeting once; afterwards the bytes belong to a splitter, beginning with ``rest``.
    ``failed`` says why a peer is not a TWS API client; input after that is ignored.
    """

    __slots__ = ("_done", "_kept", "failed")

    def __init__(self) -> None:
        self.failed: str | None = None
        self._kept = b""
        self._done = False

    def receive(self, data: bytes) -> Greeting | None:
        """Take received bytes; return the greeting when it is complete, else None (then look at ``failed``)."""
        if self._done:
            return None
        self._kept += data
        found = _parse_greeting(self._kept)
        if found is None:
            return None
        self._done = True
        self._kept = b""
        if isinstance(found, str):
            self.failed = found
            return None
        return found


def _parse_greeting(seen: bytes) -> Greeting | str | None:
    """Return the greeting at the beginning of these bytes, what is wrong with them, or None for not enough."""
    if not (seen.startswith(GREETING) or GREETING.startswith(seen)):
        return "the first bytes are not API NUL"
    head = len(GREETING) + PREFIX_BYTES
    if len(seen) < head:
        return None
    length = int.from_bytes(seen[len(GREETING) : head], "big")
    if not 0 < length <= MAX_GREETING_BYTES:
        return f"a version text of {length} bytes"
    if len(seen) < head + length:
        return None
    offer, options = read_offer(seen[head : head + length])
    return "no version range behind API NUL" if offer is None else Greeting(offer, options, seen[head + length :])


def read_offer(payload: bytes) -> tuple[VersionRange | None, bytes]:
    """Return the range and the connect options of a version text; no range when it is not one."""
    versions, _, options = payload.rstrip(b"\0").partition(b" ")
    if not versions.startswith(b"v"):
        return None, b""
    low_text, dots, high_text = versions[1:].partition(b"..")
    low = _number(low_text)
    high = _number(high_text) if dots else low
    if low is None or high is None or low > high:
        return None, b""
    return VersionRange(low, high), options
