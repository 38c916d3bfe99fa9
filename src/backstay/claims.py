"""Files that one daemon at a time may use: a lock beside each, which says whose it is.

The lock is the kernel's, so that a daemon that was killed holds nothing; what the file says is for people. The files
themselves are replaced as a whole, and a lock on one that has been replaced would guard nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from backstay.errors import StartError

SUFFIX = ".lock"

MODE = 0o600

WORDS_BYTES = 4096
"""A process id and a path."""

TRIES, RETRY_SECONDS = 10, 0.05
"""Whoever only looks at a lock holds it for a moment, and must not pass for a daemon."""


class Owner(NamedTuple):
    """The daemon that uses a file: its process, 0 if the lock does not say, and its control socket."""

    pid: int
    socket: str

    def __str__(self) -> str:
        return f"another daemon (pid {self.pid}, control socket {self.socket})" if self.pid else "another process"


class TakenError(Exception):
    """Somebody else uses the file; the text says who."""


class Claim:
    """A file of this process alone, until `release`. Where there are no locks, there is nothing to be told either."""

    def __init__(self, path: Path, socket: Path) -> None:
        """`socket`: where this daemon is commanded. Raises TakenError."""
        self._lock = lock_of(path)
        self._file = _take(self._lock)
        if self._file is not None:
            words = json.dumps(Owner(os.getpid(), os.path.realpath(socket))._asdict())
            with contextlib.suppress(OSError):  # a full disk: the lock is what counts
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, words.encode(), 0)

    def release(self) -> None:
        """Let others have it. May be called twice."""
        file, self._file = self._file, None
        if file is None:
            return
        with contextlib.suppress(OSError):  # what may not be removed keeps nobody out
            if _is_at(self._lock, file):
                self._lock.unlink()
        os.close(file)


def claim(key: str, path: Path, socket: Path) -> Claim:
    """The claim of a start. Raises StartError with the key of the configuration."""
    try:
        return Claim(path, socket)
    except TakenError as error:
        raise StartError(f"{key}: {error}") from error


def taken_by_another(path: Path, socket: Path) -> str:
    """Who uses the file and is not the daemon of this control socket; empty if nobody does."""
    file = _open(lock_of(path), os.O_RDWR)
    if file is None:
        return ""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _owner(file)
        return "" if owner.socket == os.path.realpath(socket) else _sentence(path, owner)
    except OSError:
        return ""
    finally:
        os.close(file)
    return ""


def lock_of(path: Path) -> Path:
    """Where the lock of this file is."""
    return path.with_name(f"{path.name}{SUFFIX}")


def _take(lock: Path) -> int | None:
    """The open and locked file; None where nothing can be locked. Raises TakenError."""
    pause, owner = threading.Event(), Owner(0, "")  # never set
    for _ in range(TRIES):
        file = _open(lock, os.O_RDWR | os.O_CREAT)
        if file is None:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(lock, file):
                return file
        except BlockingIOError:
            owner = _owner(file)
            pause.wait(RETRY_SECONDS)
        except OSError:
            os.close(file)
            return None
        os.close(file)  # also of one that has just let go and removed it: there may be a new one
    raise TakenError(_sentence(lock.with_name(lock.name.removesuffix(SUFFIX)), owner))


def _open(lock: Path, flags: int) -> int | None:
    """None where there is nothing, or it may not be used: whoever cannot write there has nothing there to guard."""
    try:
        return os.open(lock, flags | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    except OSError:
        return None


def _is_at(lock: Path, file: int) -> bool:
    try:
        there = lock.lstat()
    except FileNotFoundError:
        return False
    mine = os.fstat(file)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _owner(file: int) -> Owner:
    try:
        told = cast("Mapping[str, Any]", json.loads(os.pread(file, WORDS_BYTES, 0)))
        return Owner(int(told["pid"]), str(told["socket"]))
    except (OSError, ValueError, TypeError, KeyError):
        return Owner(0, "")  # just taken, and nothing written yet


def _sentence(path: Path, owner: Owner) -> str:
    return f"{path} is in use by {owner}; give each daemon a file of its own"
