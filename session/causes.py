"""Why a dial failed or a connection was lost: one row a cause.

Everything else about a cause is derived from its row: the code a TWS programmer knows, the least delay before the
next dial, the label it carries in the metrics, and the sentence an operator reads.

Codes: 502, 326, 506 and 1300 as TWS and its clients use them; 507 is what the Java client reports at end of file;
-1 is what the C# client reports for a broken socket, used here where the break is inferred rather than read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique


@dataclass(frozen=True, slots=True)
class Floor:
    """The next dial waits at least `seconds`, from the `after`-th failure in a row with the same cause on."""

    seconds: float
    after: int = 1


NO_FLOOR = Floor(0.0)


@dataclass(frozen=True, slots=True)
class CauseRow:
    """What is known of a cause: its TWS code, delay floor, metric labels and sentence."""

    tws_code: int
    floor: Floor
    connect_reason: str
    disconnect_reason: str
    sentence: str


@unique
class Cause(Enum):
    """Every way in which a dial fails or a connection ends. The value is the name used in logs and events."""

    DNS = "dns"
    REFUSED = "refused"
    DIAL_TIMEOUT = "dial_timeout"
    UNREACHABLE = "unreachable"
    REJECTED = "rejected"
    NOT_TWS = "not_tws"
    VERSION = "version"
    REDIRECTED = "redirected"
    DIALOG = "dialog"
    NOT_STARTED = "not_started"
    CLIENT_ID_TAKEN = "client_id_taken"
    UNRESPONSIVE = "unresponsive"
    EOF = "eof"
    RESET = "reset"
    WRITE_FAILED = "write_failed"
    BAD_FRAME = "bad_frame"
    SILENT = "silent"
    READER_DIED = "reader_died"
    SESSION_DIED = "session_died"
    PORT_CHANGED = "port_changed"
    UPSTREAM_LOST = "upstream_lost"
    PREFERRED = "preferred"
    OPERATOR = "operator"
    SHUTDOWN = "shutdown"

    @property
    def row(self) -> CauseRow:
        """The row of this cause in the table."""
        return CAUSES[self]


# A rejection looks the same as a port forwarder in front of a gateway that is still booting, so only a row of them
# earns the long floor; a client id or a dialog does not get free by asking faster.
CAUSES: dict[Cause, CauseRow] = {
    Cause.DNS: CauseRow(502, NO_FLOOR, "dns", "other", "the host name could not be resolved"),
    Cause.REFUSED: CauseRow(502, NO_FLOOR, "refused", "other", "nothing listens there: gateway down or API disabled"),
    Cause.DIAL_TIMEOUT: CauseRow(502, NO_FLOOR, "timeout", "other", "no answer to the connection attempt"),
    Cause.UNREACHABLE: CauseRow(502, NO_FLOOR, "other", "other", "the host cannot be reached"),
    Cause.REJECTED: CauseRow(
        507,
        Floor(30.0, after=4),
        "handshake_eof",
        "eof",
        "accepted, then closed without a word: gateway still starting, address not trusted, or dialog refused",
    ),
    Cause.NOT_TWS: CauseRow(507, Floor(30.0), "other", "protocol", "what answered does not speak the TWS API"),
    Cause.VERSION: CauseRow(506, Floor(60.0), "version", "protocol", "the gateway's API version cannot be used"),
    Cause.REDIRECTED: CauseRow(502, Floor(5.0), "redirect", "protocol", "redirected to an address that is not allowed"),
    Cause.DIALOG: CauseRow(
        502, Floor(60.0), "handshake_timeout", "other", "no answer to the greeting: a dialog waits, or TWS hangs"
    ),
    Cause.NOT_STARTED: CauseRow(
        504, Floor(5.0), "not_ready", "other", "startApi was not answered by nextValidId and managedAccounts"
    ),
    Cause.CLIENT_ID_TAKEN: CauseRow(
        326, Floor(5.0), "client_id_in_use", "other", "the gateway says that this client id is in use"
    ),
    Cause.UNRESPONSIVE: CauseRow(504, NO_FLOOR, "not_ready", "heartbeat", "no probe was answered after the start"),
    Cause.EOF: CauseRow(507, NO_FLOOR, "handshake_eof", "eof", "the gateway closed the socket"),
    Cause.RESET: CauseRow(507, NO_FLOOR, "reset", "reset", "the socket was reset"),
    Cause.WRITE_FAILED: CauseRow(507, NO_FLOOR, "reset", "reset", "writing to the socket failed"),
    Cause.BAD_FRAME: CauseRow(507, NO_FLOOR, "other", "protocol", "a frame of impossible length arrived"),
    Cause.SILENT: CauseRow(-1, NO_FLOOR, "timeout", "heartbeat", "the socket is open but nothing answers"),
    Cause.READER_DIED: CauseRow(-1, NO_FLOOR, "other", "other", "the reading thread died"),
    Cause.SESSION_DIED: CauseRow(-1, NO_FLOOR, "other", "other", "a part of backstay failed and was restarted"),
    Cause.PORT_CHANGED: CauseRow(1300, NO_FLOOR, "other", "other", "TWS moved its API to another port"),
    Cause.UPSTREAM_LOST: CauseRow(
        1100, NO_FLOOR, "other", "upstream", "the gateway had no link to IB for so long that a new socket is tried"
    ),
    Cause.PREFERRED: CauseRow(
        -1, NO_FLOOR, "other", "other", "the preferred endpoint is tried again, as nothing is lost"
    ),
    Cause.OPERATOR: CauseRow(-1, NO_FLOOR, "other", "operator", "an operator asked for it"),
    Cause.SHUTDOWN: CauseRow(-1, NO_FLOOR, "other", "shutdown", "backstay is stopping"),
}

ON_PURPOSE = frozenset({Cause.OPERATOR, Cause.SHUTDOWN})
"""Ends that somebody wanted: no failure of the gateway's, no step of the backoff, no outage to recover from."""


def in_words(cause: Cause, detail: str) -> str:
    """The reason that a status shows: it begins with the cause's name."""
    return f"{cause.value}: {detail or cause.row.sentence}"
