"""The door of the operator: a unix socket only its owner may open, never taken from a living daemon."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backstay.metrics.listening import BACKLOG, ListenError

try:
    import fcntl
except ImportError:  # pragma: no cover  # nor are there unix sockets then, which is all that it is needed for
    fcntl = None  # type: ignore[assignment]

MODE = 0o600

KNOCK_SECONDS = 1.0
"""A living daemon accepts at once, its kernel even while it hangs."""

CLAIM_SECONDS = 2.0
CLAIM_RETRY_SECONDS = 0.05
"""Two daemons that start in one folder take turns; each needs milliseconds."""

_PEER = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, by the word of the kernel."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: socket.socket) -> Peer | None:
    """The process that connected; None where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None or sock.family != getattr(socket, "AF_UNIX", None):
        return None
    return Peer(*_PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, option, _PEER.size)))


def claim(path: Path) -> socket.socket:
    """A listening socket at `path`, in place of one that a dead daemon left. Raises ListenError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with turn(path):
            _remove_stale(path)
            listener.bind(os.fspath(path))
            path.chmod(MODE)  # before listen: until then nobody can get in
            listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if isinstance(error, ListenError):
            raise
        raise ListenError(f"cannot listen on {path}: {error.strerror or error}") from error
    return listener


def refuse_living_socket(path: Path) -> None:
    """Remove what a dead daemon left at the path. Raises ListenError for a living one, and for what is no socket."""
    with turn(path):
        _remove_stale(path)


def release(path: Path, listener_id: tuple[int, int]) -> None:
    """Remove the socket file if it is still the one that was bound (device and inode), not a successor's."""
    try:
        with turn(path):
            if identity(path) == listener_id:
                path.unlink()
    except OSError:
        return  # a folder that is gone or closed to us holds nothing of ours


def identity(path: Path) -> tuple[int, int]:
    """Device and inode of the file at `path`."""
    found = path.lstat()
    return found.st_dev, found.st_ino


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on {path}: there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(KNOCK_SECONDS)
        error = knock.connect_ex(os.fspath(path))
    if error not in (errno.ECONNREFUSED, errno.ENOENT):  # a full queue, too, is a sign of life
        raise ListenError(f"cannot listen on {path}: another daemon answers there")
    path.unlink(missing_ok=True)


@contextmanager
def turn(path: Path) -> Generator[None]:
    """One claim at a time in a folder: between finding a door stale and replacing it no other may do the same.

    Without locks of files, where there are no unix sockets either, there is none.
    """
    if fcntl is None:
        yield
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(folder, path)
        yield
    finally:
        os.close(folder)  # unlocks


def _lock(folder: int, path: Path) -> None:
    assert fcntl is not None  # noqa: S101  # see `turn`
    pause = threading.Event()  # never set: flock has no timeout of its own
    for _ in range(round(CLAIM_SECONDS / CLAIM_RETRY_SECONDS)):
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pause.wait(CLAIM_RETRY_SECONDS)
        else:
            return
    raise ListenError(f"cannot listen on {path}: its folder is locked by another process")
