"""Host names looked up before anything depends on them, within a bound that no name server can break."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

LOOK_UP_SECONDS = 5.0
"""For all names together. A name server that is well takes milliseconds; what asks it may wait for much longer."""

MAX_LOOKING = 16
"""Threads that wait for a name server at a time, over all calls: one that hangs keeps its thread for that long."""


def _ask(host: str) -> object:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)


class Names:
    """Looks names up in threads of its own. Any thread may ask."""

    def __init__(self, ask: Callable[[str], object] = _ask) -> None:
        """`ask` raises OSError or UnicodeError for a name that has no address; it may block for ever."""
        self._ask = ask
        self._news = threading.Condition()
        self._looking = 0

    def troubles(self, hosts: Iterable[str], seconds: float = LOOK_UP_SECONDS) -> Mapping[str, str]:
        """Why these have no address, each that has none. Numeric addresses need no look."""
        wanted = tuple(dict.fromkeys(host for host in hosts if not _is_numeric(host)))
        found: dict[str, str] = {}
        left = deque(wanted)
        with self._news:
            free = min(len(wanted), MAX_LOOKING - self._looking)
            self._looking += free
        for _ in range(free):
            threading.Thread(target=self._look, args=(left, found), name="names", daemon=True).start()
        deadline = time.monotonic() + seconds
        with self._news:
            self._news.wait_for(lambda: len(found) == len(wanted), max(0.0, deadline - time.monotonic()))
            left.clear()  # whoever still looks finds nothing more to do
            silent = f"the name server did not answer within {seconds:g} s"
            return {host: trouble for host in wanted if (trouble := found.get(host, silent))}

    def _look(self, left: deque[str], found: dict[str, str]) -> None:
        while True:
            with self._news:
                if not left:
                    self._looking -= 1
                    return
                host = left.popleft()
            trouble = self._trouble(host)
            with self._news:
                found[host] = trouble
                self._news.notify_all()

    def _trouble(self, host: str) -> str:
        try:
            self._ask(host)
        except (OSError, UnicodeError) as error:
            return str(getattr(error, "strerror", None) or error)
        return ""


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
