"""What a service manager is told: ready, how it stands, alive, reloading, stopping. The sd_notify protocol, by hand.

One datagram of `KEY=value` lines to the socket that NOTIFY_SOCKET names; where it names none, nobody is told. No
library: those there are bring a C extension or have not been touched for years, and it is one call.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

SEND_SECONDS = 0.5
"""The manager reads at once; one that does not must hold up nobody."""

BEAT_SECONDS = 1.0
LONGEST_STATUS = 200
"""Characters; it is one line of `systemctl status`."""

BEATS_A_LIMIT = 3
"""How often at least the watchdog is fed within its limit: one beat may be late, and one may be lost."""

MICRO = 1_000_000


class ServiceManager:
    """Whoever started us, if it wants to be told. Any thread; never raises, and never blocks for long."""

    def __init__(self, environ: Mapping[str, str], *, pid: int | None = None) -> None:
        """`pid` is the process that is watched: this one."""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds = _watchdog_seconds(environ, os.getpid() if pid is None else pid)
        """How long it waits for a sign of life; 0: for ever."""

    def tell(self, **fields: str) -> bool:
        """Tell it these. False if there is nobody, or it does not listen."""
        if self._address is None:
            return False
        text = "\n".join(f"{name}={' '.join(value.split())}" for name, value in fields.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(SEND_SECONDS)
            sock.sendto(text.encode(), self._address)
            return True
        return False


def _address(said: str) -> str | None:
    """A path, or with an @ before it a name in the abstract space; other kinds are not for us."""
    if len(said) < 2 or said[0] not in "/@":
        return None
    return f"\0{said[1:]}" if said[0] == "@" else said


def _watchdog_seconds(environ: Mapping[str, str], pid: int) -> float:
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):  # meant for another process of the service
        return 0.0
    limit = environ.get("WATCHDOG_USEC", "")
    return int(limit) / MICRO if limit.isascii() and limit.isdigit() and int(limit) > 0 else 0.0


class Beat:
    """Once a second: a sign of life while `trouble` says nothing, the status line when it has changed, and `also`.

    In a thread of its own that asks no actor. What fails in a beat is told to `failed`, once for each text.
    """

    def __init__(
        self,
        manager: ServiceManager,
        *,
        trouble: Callable[[], str],
        standing: Callable[[], str],
        also: Sequence[Callable[[], object]] = (),
        failed: Callable[[str], object],
    ) -> None:
        self._manager = manager
        self._trouble = trouble
        self._standing = standing
        self._also = also
        self._failed = failed
        self._told = self._complained = ""
        self._stopped = threading.Event()
        limit = manager.watchdog_seconds
        self.period_seconds = min(BEAT_SECONDS, limit / BEATS_A_LIMIT) if limit else BEAT_SECONDS
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the thread: a beat takes milliseconds."""
        self._stopped.set()
        self._thread.join(2 * SEND_SECONDS)

    def once(self) -> None:
        """One beat."""
        if self._manager.watchdog_seconds and not self._trouble():
            self._manager.tell(WATCHDOG="1")
        for work in self._also:
            work()
        standing = self._standing()[:LONGEST_STATUS]
        if standing != self._told and self._manager.tell(STATUS=standing):
            self._told = standing

    def _run(self) -> None:
        while not self._stopped.wait(self.period_seconds):
            try:
                self.once()
            except Exception as error:  # noqa: BLE001  # a mistake in a status line must not end in a restart
                text = repr(error)
                if text != self._complained:
                    self._complained = text
                    self._failed(text)
