"""Where files that nobody chose a place for are kept. Standard library only: the quick commands import this."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

SIMULATOR_PORT = 7400
"""Where the relay of `run --simulator` listens unless told otherwise; part of the name of its control socket."""


SERVICE_SOCKET = Path("/run/backstay/backstay.sock")
"""Where the unit and the image of deploy/ have the control socket: a command on such a machine needs no option."""


def runtime_folder(environ: Mapping[str, str]) -> Path:
    """The folder for the sockets of this user: below XDG_RUNTIME_DIR if there is one, else in the temporary folder."""
    given = environ.get("XDG_RUNTIME_DIR", "")
    if given.startswith("/") and os.access(given, os.W_OK | os.X_OK):
        return Path(given, "backstay")
    return Path(tempfile.gettempdir(), f"backstay-{os.getuid()}")


def make_runtime_folder(environ: Mapping[str, str]) -> Path:
    """As `runtime_folder`, made if it is not there. Raises OSError; the folder must be ours alone.

    The temporary folder is everybody's: somebody else may have made a folder of that name, to listen in on commands.
    """
    folder = runtime_folder(environ)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a folder that belongs to this user alone")
    return folder


def simulator_socket(folder: Path, port: int = SIMULATOR_PORT) -> Path:
    """The control socket of a `run --simulator` whose relay listens on this port; 0: of this process."""
    return folder / f"simulator-{port or f'pid{os.getpid()}'}.sock"
