"""Every event that is logged: its name, how severe it is, what it means, and what it carries.

The names are a contract with those who search and alert on logs. `python -m backstay.event_names` writes the reference.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backstay.session.draining import ORDERED

QUIET_STATES = frozenset(
    {"waiting", "connecting", "handshaking", "awaiting_acceptance", "starting", "verifying", "syncing", "draining"}
)
"""On the way to somewhere: what ended and what was reached is worth a line, the steps between are not."""


@dataclass(frozen=True, slots=True)
class Row:
    """One event. `level` may depend on the fields; `levels` then says in words on what."""

    meaning: str
    fields: str = ""
    level: str | Callable[[Mapping[str, Any]], str] = "info"
    levels: str = ""

    def level_of(self, fields: Mapping[str, Any]) -> str:
        """How severe it is with these fields."""
        return self.level if isinstance(self.level, str) else self.level(fields)


def _of_exit(fields: Mapping[str, Any]) -> str:
    return "error" if fields.get("kind") == "crash" else "debug"


def _of_restart(fields: Mapping[str, Any]) -> str:
    return "info" if fields.get("cause") == "operator" else "warning"


def _of_state(fields: Mapping[str, Any]) -> str:
    return "debug" if fields.get("to") in QUIET_STATES and fields.get("on") != ORDERED else "info"


def _of_end(fields: Mapping[str, Any]) -> str:
    return "info" if fields.get("kind") in {"normal", "shutdown"} else "error"


def _of_library(fields: Mapping[str, Any]) -> str:
    return str(fields.get("severity", "warning"))


GROUPS: Mapping[str, Mapping[str, Row]] = {
    "The process": {
        "started": Row("All doors are open.", "version pid doors"),
        "stopping": Row("It has been told to stop.", "reason"),
        "stopped": Row("Nothing is left; the last line."),
        "lines_dropped": Row("So many lines could not be written: nobody read the log.", "count", "warning"),
        "events_not_kept": Row("Events are not kept on disk, to be known after a restart.", "reason", "warning"),
        "log_failed": Row("An event had a value that cannot be printed.", "about error", "error"),
        "sink_failed": Row(
            "A function that takes what arrives on a connection failed at some of it; nobody else did.",
            "connection error dropped traceback",
            "error",
        ),
        "sink_hangs": Row(
            "Such a function has not returned: what arrives meanwhile is not given to it.", "connection", "error"
        ),
        "beat_failed": Row("What is done once a second could not be done.", "error", "error"),
        "thread_died": Row("An exception that nobody caught ended a thread.", "thread error traceback", "error"),
        "library_message": Row(
            "What a library, or a server of backstay's own, has to say.",
            "logger severity text error",
            _of_library,
            "as the library has it",
        ),
    },
    "Operators": {
        "operator_command": Row(
            "Somebody gave an order; `uid` and `pid` are those of the process at the control socket; `to`: where it "
            "was moved.",
            "command connection to reason uid pid",
        ),
        "operator_command_refused": Row(
            "Somebody gave an order, and it was refused or failed, with this `code` of the control socket.",
            "command connection code why uid pid",
            "warning",
        ),
        "control_restored": Row(
            "The file of the control socket had been removed, and is there again: commands find the daemon.",
            "path",
            "warning",
        ),
        "control_lost": Row(
            "It has been removed, and cannot be had again; SIGHUP and SIGUSR1 still do what they do.",
            "path reason",
            "error",
        ),
        "dump_written": Row("What SIGUSR1 asked for lies there.", "path"),
        "dump_failed": Row("It could not be written.", "path reason", "error"),
        "configuration_reloaded": Row(
            "A changed configuration was taken over; `changed` are the connections that had to be touched.",
            "changes changed",
        ),
        "configuration_unchanged": Row("It was read again, and there was nothing to take over."),
        "configuration_stopped": Row(
            "It was taken over up to the first connection that did not come back; those left go on as before.",
            "changed failed left",
            "error",
        ),
        "configuration_refused": Row("It was not: the old one stays.", "reason", "error"),
    },
    "Connections": {
        "state_changed": Row(
            "The connection went from one state to another.",
            "connection epoch from to on reason",
            _of_state,
            "info for ready, paused, parked, stopped and where a drain begins, debug for the steps between",
        ),
        "connect_failed": Row(
            "An attempt came to nothing; `code` is the one a TWS user knows.", "connection epoch cause code detail"
        ),
        "connection_lost": Row("A connection that had been ready is gone.", "connection epoch cause code detail"),
        "retry_planned": Row("The next attempt is in so many seconds.", "connection seconds attempt"),
        "upstream_lost": Row("The gateway has lost IB's servers (1100, 2110); its socket stays.", "connection epoch"),
        "upstream_stays_lost": Row(
            "The gateway has been without IB's servers for so long, outside planned downtime: a new socket is tried.",
            "connection epoch seconds",
            "error",
        ),
        "upstream_restored": Row(
            "The gateway has them back; `data` is lost (1101) or kept (1102).", "connection epoch data"
        ),
        "maintenance": Row(
            "Planned downtime is near (orders are closed), has come (now) or is over (none); seconds since 1970. "
            "`told`: the gateway has told of it, and the configuration names none.",
            "connection phase begins ends told",
        ),
        "gateway_told": Row(
            "The gateway has told of itself what it had not before: when it ends each day, and its master client.",
            "connection endpoint ends master",
        ),
        "farm_changed": Row("A data farm broke or works again.", "connection farm of working"),
    },
    "Clients of a relay": {
        "client_refused": Row("A client may not come in.", "relay connection address reason", "warning"),
        "client_left": Row("A client closed its socket, and its connection goes with it.", "connection address"),
        "client_away": Row(
            "A client closed its socket, and its connection is kept for so long.", "connection address seconds"
        ),
        "client_returned": Row("A client took up the connection that was kept for it.", "connection address"),
        "accept_failed": Row("A relay could not take a client that knocked.", "relay reason", "warning"),
    },
    "Orders": {
        "journal_usable": Row("Intents of orders can be kept again.", "trouble"),
        "journal_unusable": Row("They cannot: orders are refused, data goes on.", "trouble", "error"),
        "journal_rescued": Row(
            "The journal's file was deleted or replaced (`found`) while it was in use, and has been written anew; what "
            "lay in its place was moved (`aside`).",
            "found aside",
            "warning",
        ),
        "orders_reconciled": Row(
            "TWS was asked for its lists of orders: so many in doubt or alive are decided, these lists did not come.",
            "connection epoch settled decided missing",
        ),
        "order_sent_again": Row(
            "TWS proved not to have an order, and the configuration allows it to be sent again.",
            "connection epoch order_id",
            "warning",
        ),
        "order_resend_vetoed": Row(
            "The owner, asked whether such an order may be sent again, said no, failed, or did not answer in time.",
            "connection epoch order_id reason",
            "warning",
        ),
        "cancels_kept": Row(
            "A client went while its cancels of so many orders waited: they leave when a client of its id comes back.",
            "connection orders",
            "warning",
        ),
        "kept_cancels_sent": Row(
            "Cancels of so many orders that an earlier client of this id had wanted are sent now.",
            "connection epoch orders",
            "warning",
        ),
        "orders_not_sent": Row(
            "A connection has ended before these could leave; their client was told so, if it was still there.",
            "connection orders cancels reason",
            "warning",
        ),
        "order_alarm": Row(
            "TWS says something of an order that had been given up or was never sent.",
            "connection epoch order_id state",
            "error",
        ),
    },
    "Applications that embed backstay": {
        "callback_failed": Row(
            "A callback has raised an exception; told once for each subscription, which goes on.",
            "connection request request_id error",
            "error",
        ),
        "callback_hangs": Row(
            "An inline callback has held the connection up: its thread is given up, and its subscription ended.",
            "connection request request_id",
            "error",
        ),
        "message_unreadable": Row(
            "A message of TWS could not be read; told once for each connection.", "connection error", "warning"
        ),
    },
    "Supervision": {
        "child_started": Row("An actor began its first life.", "supervisor id incarnation", "debug"),
        "child_restarted": Row(
            "An actor began another one.",
            "supervisor id incarnation cause",
            _of_restart,
            "info where an operator asked for it, else warning",
        ),
        "child_exited": Row(
            "An actor ended; `handling` is the message it died of.",
            "supervisor id incarnation kind restart reason where handling error traceback",
            _of_exit,
            "error for a crash, debug for an end that somebody wanted",
        ),
        "child_start_failed": Row("An actor could not begin.", "supervisor id error traceback", "error"),
        "child_refused": Row("A child could not be added or changed.", "supervisor id reason", "error"),
        "child_abandoned": Row(
            "An actor did not stop in time, or is stuck; its thread is left to itself.",
            "supervisor id incarnation seconds",
            "warning",
        ),
        "restart_intensity_reached": Row(
            "Too many restarts in too short a time: the supervisor gives up, or parks it.",
            "supervisor id reason",
            "error",
        ),
        "child_parked": Row(
            "An actor, and what depends on it, is tried once a minute from now on. Where it is that of a connection, "
            "`backstay reset` and `backstay restart` begin anew at once.",
            "supervisor id reason",
            "error",
        ),
        "actor_stuck": Row(
            "An actor has work and does not move, or its thread is gone; it is replaced. `traceback` is its stack.",
            "path seconds gone traceback",
            "error",
        ),
        "message_quarantined": Row(
            "A request of a client, or a frame of the gateway, made an actor fail twice, and is set aside from now on. "
            "The client is told of its request; a frame is passed on to it as it came.",
            "connection actor size head",
            "error",
        ),
        "message_unknown": Row("A supervisor was sent what it does not know.", "supervisor message", "warning"),
        "bury_failed": Row("What a dead actor left could not be dealt with.", "path error", "warning"),
        "let_go_failed": Row("What an abandoned actor held could not be given back.", "path error", "warning"),
        "interrupt_failed": Row("A blocking wait could not be broken.", "path error", "warning"),
        "stop_timed_out": Row("Not everything ended in time.", "seconds alive", "warning"),
        "tree_ended": Row(
            "The supervision tree has ended.",
            "kind reason error",
            _of_end,
            "info for an end that somebody wanted, else error: the process ends with code 1",
        ),
    },
}
"""By what they are about, in the order of the documentation."""

EVENTS: Mapping[str, Row] = {name: row for group in GROUPS.values() for name, row in group.items()}

INTRODUCTION = """# Events

Written by `python -m backstay.event_names` from [`event_names.py`](../src/backstay/event_names.py).

Each is one line in the log, with `time`, `level`, `event` and the fields below; those that are empty are left out.
What is told of an actor of a connection has its name as well, as `connection`.
Events of level info and above are also told by `backstay events` and by `/api/v1/events`, without tracebacks. Account
numbers are masked in every field. These are kept in two files of 2 MiB beside the journal, `backstay.db.events` and
`backstay.db.events.1`, and known again after a restart.
"""


def reference() -> str:
    """All events as Markdown."""
    parts = [INTRODUCTION]
    for title, rows in GROUPS.items():
        parts.append(f"## {title}\n\n| event | level | meaning | fields |\n|---|---|---|---|")
        for name, row in rows.items():
            fields = ", ".join(f"`{field}`" for field in row.fields.split())
            parts.append(f"| `{name}` | {row.levels or row.level} | {row.meaning} | {fields} |")
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(reference())
