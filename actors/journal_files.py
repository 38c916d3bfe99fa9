"""Files beside one another, by name and by what they are: for a journal that has to find its own again."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

LOG, INDEX = "-wal", "-shm"
FRESH, UNFINISHED, ASIDE = ".new", ".part", ".aside"
"""What the names of the files beside a journal end with: SQLite's, and those of a rescue."""

Identity = tuple[int, int]


def identity(path: Path) -> Identity | None:
    """Which file this is, wherever else it may be; None if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - half the price of Path.stat, once a commit
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def changed(path: Path) -> int:
    """When it was written to last, in nanoseconds since 1970; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def beside(path: Path, ending: str) -> Path:
    """A file whose name goes on with this."""
    return path.with_name(path.name + ending)


def sync(path: Path) -> None:
    """Wait for the disk to have this file, or the names in this folder. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: Path) -> None:
    """Make the file if there is none. An existing one is not touched: closing it would let go of a neighbour's lock."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
