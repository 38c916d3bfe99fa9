"""The words of the operator's socket: commands, ways to fail, exit codes. Plain tables: the command line imports this.

Nothing here may import more than the standard library's lightest parts; `backstay status` has to feel instant.
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import NamedTuple

DEFAULT_SOCKET = "backstay.sock"
DEFAULT_CONFIG = "backstay.toml"
CONFIG_VARIABLE = "BACKSTAY_CONFIG"
SOCKET_VARIABLE = "BACKSTAY_CONTROL__SOCKET"


@unique
class Exit(IntEnum):
    """Exit codes of the command line; a contract with people's scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_READY = 3
    UNREACHABLE = 4
    TIMED_OUT = 5
    NOT_PERMITTED = 6


class Failure(NamedTuple):
    """What becomes of a failure: the HTTP status it travels under, and the exit code it ends a command with."""

    http_status: int
    exit: Exit


FAILURES = {
    "bad_request": Failure(400, Exit.USAGE),
    "not_permitted": Failure(403, Exit.NOT_PERMITTED),
    "unknown_command": Failure(404, Exit.USAGE),
    "unknown_connection": Failure(404, Exit.FAILED),
    "not_found": Failure(404, Exit.FAILED),
    "method_not_allowed": Failure(405, Exit.FAILED),
    "refused": Failure(409, Exit.FAILED),
    "not_ready": Failure(409, Exit.NOT_READY),
    "internal": Failure(500, Exit.FAILED),
    "not_offered": Failure(501, Exit.FAILED),
    "busy": Failure(503, Exit.FAILED),
    "timed_out": Failure(504, Exit.TIMED_OUT),
}
"""Each code an error may carry."""

COMMANDS = {
    "restart": "restart a connection",
    "pause": "take a connection down and hold it down",
    "resume": "let a paused connection up again",
    "drain": "let work finish and take no new",
    "reset": "forget the backoff and dial now",
    "resubscribe": "ask again for streams",
    "reload": "read the configuration again",
    "explain": "why a connection is not ready, and what happens next",
    "tree": "the supervision tree",
    "requests": "what a connection still owes its clients",
    "orders": "orders in doubt and on their way",
    "dump": "everything a bug report needs, secrets masked",
}
"""What `POST /v1/commands/NAME` knows. Whether a daemon offers one is for its `Commands` to say."""
