"""Addresses, and opening a door on one: the one place that turns a refused bind into a sentence."""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import NamedTuple

HIGHEST_PORT = 65535

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:\[\]/]+)):(?P<port>[0-9]{1,20})", re.ASCII)

_REASONS = {
    errno.EADDRINUSE: "{} is in use by another process",
    errno.EACCES: "not permitted to listen on {} (ports below 1024 need a privilege)",
    errno.EADDRNOTAVAIL: "cannot listen on {}: this machine has no such address",
}


class ListenError(OSError):
    """A door could not be opened; the message is one sentence for an operator."""


class Address(NamedTuple):
    """Where to listen or to dial; printed as HOST:PORT, an IPv6 host in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read HOST:PORT or [IPV6]:PORT. Raises ValueError with the reason."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be HOST:PORT, an IPv6 host in brackets, as in [::1]:7400")
    port = int(match["port"])
    if port > HIGHEST_PORT:
        raise ValueError(f"the port must be 0 to {HIGHEST_PORT}")
    return Address(match["six"] or match["host"], port)


BACKLOG = 128
"""Connections that wait to be taken; more than the clients any door lets in."""


def open_listener(address: Address) -> socket.socket:
    """A listening TCP socket for exactly this address. Raises ListenError."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        # Without it a restarted daemon would be refused its own port for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # [::] is not to take 0.0.0.0 along
        listener.bind(target)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenError(_reason(error, address)) from error
    return listener


def _reason(error: OSError, address: Address) -> str:
    number = error.errno or 0
    return _REASONS.get(number, f"cannot listen on {{}}: {os.strerror(number)}").format(address)
