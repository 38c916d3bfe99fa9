"""Ports for programs that are about to listen.

A port the kernel gave away a moment ago, by binding to port 0, may become the near end of anybody's next connection
before that program binds it. Ports below the range of such near ends are only taken by those who ask for them.
"""

import random
import socket
from contextlib import ExitStack
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_BEGIN = 32768  # Linux's; others begin at 49152
_LOWEST = 15000  # above the ports of TWS, of Prometheus and of what else has a well-known one
_TRIES = 200  # enough to meet a free one on a machine that has any


def free_ports(count: int) -> list[int]:
    """Different ports of loopback that nobody listens on, and that the kernel gives to nobody; OSError if none."""
    with ExitStack() as stack:
        return [_hold(stack) for _ in range(count)]


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]


def _hold(stack: ExitStack) -> int:
    below = _begin()
    for _ in range(_TRIES):
        port = random.SystemRandom().randrange(_LOWEST, below)
        one = stack.enter_context(socket.socket())
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    raise OSError(f"no free port between {_LOWEST} and {below}")


def _begin() -> int:
    try:
        begin = int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_BEGIN
    return begin if begin > _LOWEST else _USUAL_BEGIN
