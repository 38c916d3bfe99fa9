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

PORT_SUFFIX = ".port"
"""Of the file that stands for a control socket where there are none."""


PARTS = ("dispatcher", "link", "reader", "session")
"""What of a connection can be restarted by itself."""


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


INTERRUPTED = 130
"""What shells report for Ctrl-C."""

EXITS = {
    Exit.OK: "ok",
    Exit.FAILED: "refused or failed",
    Exit.USAGE: "usage",
    Exit.NOT_READY: "something wanted is not ready",
    Exit.UNREACHABLE: "daemon unreachable",
    Exit.TIMED_OUT: "timed out",
    Exit.NOT_PERMITTED: "not permitted",
}
"""What each means, for the help of every command and the reference."""


class Failure(NamedTuple):
    """What becomes of a failure: the HTTP status it travels under, the exit code of the command, its meaning."""

    http_status: int
    exit: Exit
    meaning: str


FAILURES = {
    "bad_request": Failure(400, Exit.USAGE, "an argument is missing, unknown, or of the wrong kind"),
    "not_permitted": Failure(
        403, Exit.NOT_PERMITTED, "who asks is neither the daemon's user nor root, or has no token"
    ),
    "unknown_command": Failure(404, Exit.USAGE, "there is no such command"),
    "unknown_connection": Failure(404, Exit.FAILED, "no connection has this name, or fits the pattern"),
    "not_found": Failure(404, Exit.FAILED, "there is no such path"),
    "method_not_allowed": Failure(405, Exit.FAILED, "GET where POST is wanted, or the other way round"),
    "refused": Failure(409, Exit.FAILED, "it makes no sense now; the message says why"),
    "not_ready": Failure(409, Exit.NOT_READY, "it needs a connection that is ready"),
    "internal": Failure(500, Exit.FAILED, "a mistake in backstay; the log has it"),
    "not_offered": Failure(501, Exit.FAILED, "this daemon does not offer the command"),
    "busy": Failure(503, Exit.FAILED, "as many commands are under way as may be"),
    "timed_out": Failure(504, Exit.TIMED_OUT, "it was not done in the time it was given"),
}
"""Each code an error may carry."""


class Command(NamedTuple):
    """One command of operators. What it says in `text` and `more` is its help and its entry in the reference.

    `goal`: what it waits for, a key of `backstay.control.goals.GOALS`; none where it only tells. `down`: a live
    connection is away meanwhile; `stays`: and afterwards. `lifts`: it is also for names that are held and not there.
    """

    text: str
    more: str = ""
    goal: str = ""
    down: bool = False
    stays: bool = False
    lifts: bool = False


COMMANDS = {
    "restart": Command(
        "Give connections a new socket to their gateway.",
        "Clients keep theirs: they are told 1100 and then 1102, and what they had asked for is put back. One that is "
        "paused or drained is refused. With --part a part of backstay is restarted, and what depends on it: reader and "
        "link are what holds the socket, dispatcher what hands on what arrives, session what keeps what clients asked "
        "for. That, too, takes a new socket.",
        goal="renewed",
        down=True,
    ),
    "pause": Command(
        "Take connections down and hold them down until they are resumed.",
        "Holds across a restart of the daemon. Clients keep their sockets and are told 1100.",
        goal="down",
        down=True,
        stays=True,
    ),
    "resume": Command(
        "Let paused or drained connections up again.",
        "Also one that nobody uses now: a client that comes under its name is let through again.",
        goal="up",
        lifts=True,
    ),
    "drain": Command(
        "Let what is under way finish, then take connections down and hold them down.",
        "New orders, reads and streams are refused meanwhile, each with an error under its id (201, 504). Cancels, "
        "changes that make an order no larger, and streams that run go on. Once no read, order or cancel is without an "
        "answer, or after --within, it is down as by pause: with code 5 when not all had finished. Resume ends it.",
        goal="down",
        down=True,
        stays=True,
    ),
    "reset": Command(
        "Forget the backoff, also of parked connections, and dial now.",
        "Restarts of its actors count from the beginning, too. One that is up stays up, and a paused one paused.",
        goal="tried",
    ),
    "resubscribe": Command(
        "Ask again for the streams of connections, on the sockets they have.",
        "Each is cancelled and asked for anew, as after 1101; clients notice no more than a first tick. With --stale "
        "only those that show nothing for a while. One that is not up is refused: it does so by itself once it is.",
        goal="told",
    ),
    "move": Command(
        "Move a connection to another endpoint, or one of the configuration to another client id.",
        "At once, with a new socket; clients keep theirs, and nobody else is touched. It lasts until the next reload "
        "or the next start, and of a client until it connects anew. Orders that were placed under a client id stay "
        "with that id.",
        goal="renewed",
        down=True,
    ),
    "reload": Command(
        "Read the configuration again and take over what has changed, connection by connection.",
        "It is judged as a whole first: keys, values, host names, ports to listen on. When anything is wrong with it, "
        "the old one stays. The first connection that was up and does not come back within 20 s ends it, with code 5: "
        "the others go on as before, and have their turn with the next reload. --dry-run only says what would change, "
        "or why it would be refused. SIGHUP does the same as the command.",
        goal="told",
    ),
    "events": Command(
        "Tell what has happened, and with --follow what happens.",
        "The last thousand, also of earlier lives of the daemon; with --since all of that time, days as a rule. What "
        " each means is in docs/events.md.",
    ),
    "explain": Command(
        "Say why a connection is as it is, what happens next, and what a person can do.",
        "Exit code 3 when it is wanted and not ready.",
    ),
    "tree": Command(
        "Show the supervision tree.",
        "Each actor with its restarts, what waits in its mailbox, and for how long it has done nothing; each "
        "supervisor with the restarts it has left before it gives up.",
    ),
    "requests": Command(
        "Show what a connection still owes its client: streams and reads.",
        "Those that wait for the gateway come first.",
    ),
    "orders": Command(
        "Show the orders that a client has placed through a connection.",
        "Those in doubt come first, then those of which TWS has said nothing. What has ended is not shown.",
    ),
    "dump": Command(
        "Collect what a bug report needs: status, tree, events, configuration and stacks.",
        "Account numbers are masked. One JSON document on stdout, or in --output FILE.",
    ),
}
"""What `POST /v1/commands/NAME` knows, and the command line with it. A test holds the daemon's handlers to it."""
