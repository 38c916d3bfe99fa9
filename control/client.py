"""Talks to a running daemon over its unix socket, with the standard library alone and little of that.

HTTP/1.0, one request a connection: the answer ends where the connection does, so nothing of HTTP has to be parsed
but a status line.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

from backstay.control.vocabulary import (
    CONFIG_VARIABLE,
    DEFAULT_CONFIG,
    DEFAULT_SOCKET,
    FAILURES,
    PORT_SUFFIX,
    SOCKET_VARIABLE,
    Exit,
)

ANSWER_SECONDS = 5.0
"""A healthy daemon answers a question in milliseconds, also while connections hang."""

CHUNK_BYTES = 65_536
INT_BYTES = 4
ROOT = 0

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Thousands of connections with all their requests; more is not an answer of ours."""


class ControlError(Exception):
    """A command that did not succeed: `code` as in `FAILURES` (or of the client), `exit` for the command line."""

    exit = Exit.FAILED

    def __init__(self, message: str, *, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class RefusedError(ControlError):
    """The daemon said no, or failed at it."""


class MisusedError(ControlError):
    """The command does not exist, or its arguments do not fit."""

    exit = Exit.USAGE


class NotReadyError(ControlError):
    """The daemon is there, and something wanted is not ready."""

    exit = Exit.NOT_READY


class UnreachableError(ControlError):
    """No daemon answers there."""

    exit = Exit.UNREACHABLE


class TimedOutError(ControlError):
    """No answer in time; the daemon may still be at it."""

    exit = Exit.TIMED_OUT


class NotPermittedError(ControlError):
    """The socket belongs to somebody else, or the daemon does not let this user do that."""

    exit = Exit.NOT_PERMITTED


class _ReaderLeftError(BrokenPipeError):
    """Told apart from a daemon that hangs up."""


_ERRORS: dict[Exit, type[ControlError]] = {
    kind.exit: kind
    for kind in (RefusedError, MisusedError, NotReadyError, UnreachableError, TimedOutError, NotPermittedError)
}


class ControlClient:
    """One daemon, by the path of its socket. Each call is a connection of its own; use from any thread.

    Where a file beside the path tells of a port and there is no socket, it is asked there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._token = ""

    def status(self, *, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """The status as JSON has it (`backstay.status.status_as_dict`). Raises ControlError."""
        return self._ask("GET", "/v1/status", timeout=timeout)

    def command(
        self, name: str, arguments: Mapping[str, object] | None = None, *, timeout: float = ANSWER_SECONDS
    ) -> dict[str, Any]:
        """Have a command carried out and return what it says. `timeout` in seconds. Raises ControlError."""
        return self._ask("POST", f"/v1/commands/{name}", json.dumps(arguments or {}), timeout=timeout)

    def events(self, *, since: int | None = None, reader: int | None = None) -> Iterator[dict[str, Any]]:
        """The events after this number (None: from now on), until the daemon stops. Raises ControlError.

        Each has `event`, `number`, `wall` and fields of its own; `{"event": "gap", "missed": N}` stands for lost ones.
        `reader`: the descriptor of a pipe that they are written to. BrokenPipeError when nobody reads it any more, also
        if nothing happens that could be written.
        """
        query = "" if since is None else f"?since={since}"
        with self._connect(ANSWER_SECONDS) as sock:
            lines = _lines(sock, reader)
            try:
                sock.sendall(_request("GET", f"/v1/events{query}", token=self._token))
                self._check_head(next(lines, b""), lambda: b"\n".join(lines))
                sock.settimeout(None)  # events come when they come
                for line in lines:
                    if line.startswith(b"data: "):
                        yield cast("dict[str, Any]", json.loads(line[6:]))
            except TimeoutError as error:
                raise TimedOutError(f"no answer from the daemon at {self.path}", code="timed_out") from error
            except _ReaderLeftError:
                raise
            except OSError as error:
                raise UnreachableError(f"the daemon at {self.path} went away", code="unreachable") from error

    def _connect(self, timeout: float) -> socket.socket:
        try:
            port, self._token = (0, "") if os.path.exists(self.path) else _port_of(self.path)  # noqa: PTH110  # quick
            family = socket.AF_INET if port else socket.AF_UNIX
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout)
                sock.connect(("127.0.0.1", port) if port else self.path)
            except OSError:
                sock.close()
                raise
        except OSError as error:
            if isinstance(error, PermissionError):
                raise NotPermittedError(f"not permitted to use {self.path}", code="not_permitted") from error
            reason = error.strerror or str(error)
            raise UnreachableError(f"no daemon answers at {self.path}: {reason}", code="unreachable") from error
        if not port and not is_trusted(owner := peer_uid(sock), os.getuid()):
            sock.close()
            raise NotPermittedError(f"{self.path} is served by another user ({owner})", code="not_permitted")
        return sock

    def _ask(self, method: str, target: str, body: str = "", *, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        with self._connect(timeout) as sock:
            try:
                sock.sendall(_request(method, target, body, token=self._token))
                answer = _read_all(sock, deadline)
            except TimeoutError as error:
                raise TimedOutError(f"no answer within {timeout:g} s from {self.path}", code="timed_out") from error
            except OSError as error:
                raise UnreachableError(f"the daemon at {self.path} went away", code="unreachable") from error
        head, _, payload = answer.partition(b"\r\n\r\n")
        self._check_head(head, lambda: payload)
        return self._parse(payload)

    def _check_head(self, head: bytes, rest: Any) -> None:
        """Raise what the status line calls for; `rest` reads the body, headers before it do no harm."""
        words = head.split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            self._not_ours()
        if words[1] == b"200":
            return
        body = cast("bytes", rest()).rpartition(b"\r\n\r\n")[2]
        error = self._parse(body).get("error")
        if not isinstance(error, dict):
            self._not_ours()
        known = cast("dict[str, str]", error)
        code = known.get("code", "internal")
        failure = FAILURES.get(code, FAILURES["internal"])
        raise _ERRORS[failure.exit](known.get("message", code), code=code)

    def _parse(self, payload: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(payload)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self._not_ours()
        return cast("dict[str, Any]", answer)

    def _not_ours(self) -> NoReturn:
        raise UnreachableError(f"what answers at {self.path} is not backstay", code="unreachable")


def is_there(path: Path) -> bool:
    """Whether a daemon of this path has a door, by the look of it."""
    try:
        return path.exists() or path.with_name(path.name + PORT_SUFFIX).exists()
    except PermissionError:
        return False  # a folder that is closed to us has no door for us


def _port_of(path: str) -> tuple[int, str]:
    """Port and token that the file beside this path tells; no port if there is no file. Raises OSError."""
    try:
        with open(path + PORT_SUFFIX, "rb") as file:  # noqa: PTH123  # pathlib costs more than all the rest
            owner = os.fstat(file.fileno()).st_uid if hasattr(os, "getuid") else None
            if owner is not None and not is_trusted(owner, os.getuid()):
                raise PermissionError(f"{path}{PORT_SUFFIX} belongs to another user ({owner})")
            told = json.loads(file.read())
            return int(told["port"]), str(told["token"])
    except FileNotFoundError:
        if not hasattr(socket, "AF_UNIX"):
            raise
        return 0, ""
    except (ValueError, TypeError, KeyError) as error:
        raise OSError(f"{path}{PORT_SUFFIX} is none of ours") from error


def peer_uid(sock: socket.socket) -> int | None:
    """The user at the other end; None where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    size = 3 * INT_BYTES  # process, user, group
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, option, size)[INT_BYTES : 2 * INT_BYTES], sys.byteorder)


def is_trusted(owner: int | None, user: int) -> bool:
    """Whether this user may take the word of a daemon of that one: of itself and of root; root knows what it does."""
    return owner is None or owner in (user, ROOT) or user == ROOT


def require_ready(status: Mapping[str, Any]) -> None:
    """Raise NotReadyError if a wanted connection of this status is not ready, or no order can be written down."""
    rows = [*status["connections"], *status.get("absent", ())]
    missing = [f"{c['name']} is {c['state']}" for c in rows if c["wanted"] and c["state"] != "ready"]
    if journal := status.get("journal"):
        missing.append(f"orders are refused: {journal}")
    if missing:
        raise NotReadyError(", ".join(missing), code="not_ready")


def locate_socket(config: str | None, control: str | None, environ: Mapping[str, str]) -> Path:
    """Where the daemon's socket is: as said, as the environment says, as the configuration says or beside it.

    The same answer as `backstay.config` gives, without the price of importing it. Raises MisusedError for a
    configuration that was named and is not there, RefusedError for one that is no TOML.
    """
    if said := control or environ.get(SOCKET_VARIABLE):
        return Path(said)
    named = config or environ.get(CONFIG_VARIABLE)
    file = Path(named or DEFAULT_CONFIG)
    if named is None and not file.exists():
        return Path(DEFAULT_SOCKET)
    import tomllib  # noqa: PLC0415  # costs more than all the rest, and is not always needed

    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("control", {})
    except OSError as error:
        raise MisusedError(f"{file}: {error.strerror or error}", code="bad_request") from error
    except ValueError as error:
        raise RefusedError(f"{file}: {error}") from error
    socket_path = cast("dict[str, object]", table).get("socket") if isinstance(table, dict) else None
    if isinstance(socket_path, str) and socket_path:
        return file.parent / socket_path
    return file.parent / DEFAULT_SOCKET


def _request(method: str, target: str, body: str = "", *, token: str = "") -> bytes:
    payload = body.encode()
    head = f"{method} {target} HTTP/1.0\r\nHost: backstay\r\nContent-Length: {len(payload)}\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + payload


def _lines(sock: socket.socket, reader: int | None) -> Iterator[bytes]:
    """What arrives, without the ends of lines. Raises OSError; BrokenPipeError when the reader has left."""
    rest = b""
    while True:
        if reader is not None:
            _watch(sock, reader)
        part = sock.recv(CHUNK_BYTES)
        if not part:
            break
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
    yield rest


def _watch(sock: socket.socket, reader: int) -> None:
    """Wait until something arrives, as long as somebody reads what comes of it."""
    import select  # noqa: PLC0415  # nothing else needs it

    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(reader, 0)  # what is wrong with it is told unasked
    timeout = sock.gettimeout()
    found = dict(poll.poll(None if timeout is None else timeout * 1000.0))
    if reader in found:
        raise _ReaderLeftError
    if not found:
        raise TimeoutError


def _read_all(sock: socket.socket, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= MAX_ANSWER_BYTES:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        sock.settimeout(remaining)
        part = sock.recv(CHUNK_BYTES)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)
