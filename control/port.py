"""The operator's door where there are no unix sockets: a port of the loopback, and a file that tells it to its owner.

Whoever can read the file may command the daemon: it holds the port and a token, has mode 0600, and lies beside the path
of the socket that stands in its place elsewhere. The client reads it; the server wants the token with every request.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from pathlib import Path
from typing import NamedTuple

from backstay.control.unix_socket import turn
from backstay.control.vocabulary import PORT_SUFFIX
from backstay.metrics.listening import Address, ListenError, open_listener

LOOPBACK = "127.0.0.1"

TOKEN_BYTES = 32
"""More than can be guessed."""

KNOCK_SECONDS = 2.0
"""A daemon that has just been started serves its door a quarter of a second later, on a busy machine a second."""

ANSWER_BYTES = 64


class Place(NamedTuple):
    """Where a daemon answers, and what it wants to hear."""

    port: int
    token: str


def port_file(path: Path) -> Path:
    """The file that stands for the socket at `path`."""
    return path.with_name(path.name + PORT_SUFFIX)


def read_place(file: Path) -> Place | None:
    """What the file says; None if it is not one of ours. Raises OSError."""
    try:
        told = json.loads(file.read_bytes())
        return Place(int(told["port"]), str(told["token"]))
    except (ValueError, TypeError, KeyError):
        return None


def claim_port(path: Path) -> tuple[socket.socket, str]:
    """A listening socket, and the token that is asked for there; the file says both. Raises ListenError.

    A file that a dead daemon left is replaced, that of a living one is not.
    """
    file = port_file(path)
    listener = None
    try:
        with turn(path):
            refuse_living(path)
            listener = open_listener(Address(LOOPBACK, 0))
            place = Place(listener.getsockname()[1], secrets.token_hex(TOKEN_BYTES))
            _write(file, place)
    except OSError as error:
        if listener is not None:
            listener.close()
        if isinstance(error, ListenError):
            raise
        raise ListenError(f"cannot write {file}: {error.strerror or error}") from error
    return listener, place.token


def restore_port(path: Path, place: Place) -> None:
    """Write the file of a listening socket once more. Raises OSError."""
    with turn(path):
        _write(port_file(path), place)


def release_port(path: Path, token: str) -> None:
    """Remove the file if it is still that of this token, not a successor's."""
    file = port_file(path)
    with contextlib.suppress(OSError), turn(path):  # a file that is gone or closed to us is none of ours
        place = read_place(file)
        if place is not None and place.token == token:
            file.unlink()


def refuse_living(path: Path) -> None:
    """Raise ListenError if the daemon of a file beside this path lives."""
    file = port_file(path)
    try:
        place = read_place(file)
    except FileNotFoundError:
        return
    if place is None:
        raise ListenError(f"cannot write {file}: there is a file that is not ours")
    try:
        with socket.create_connection((LOOPBACK, place.port), KNOCK_SECONDS) as knock:
            request = f"GET /v1/status HTTP/1.0\r\nHost: backstay\r\nAuthorization: Bearer {place.token}\r\n\r\n"
            knock.sendall(request.encode())
            answer = knock.recv(ANSWER_BYTES)
    except TimeoutError:
        raise ListenError(
            f"cannot replace {file}: what listens on port {place.port} does not answer; remove the file if it is none"
            " of ours"
        ) from None
    except OSError:
        return  # nobody is there
    if b" 200 " in answer.partition(b"\r\n")[0]:  # anybody else has got the port of a dead daemon
        raise ListenError(f"cannot listen for {path}: another daemon answers there")


def _write(file: Path, place: Place) -> None:
    """In one step, and never readable for others."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(json.dumps(place._asdict()).encode())
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
