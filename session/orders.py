"""What is known of the orders of one client: intents, reconciliation, fills told, and what the journal has to keep.

It outlives sockets and restarts of the session. Nothing leaves through it: `ordering` says when, and the gate writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, unique
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from backstay.protocol.order_fields import read_placed
from backstay.session.evidence import Verdict
from backstay.session.intent_table import IntentTable
from backstay.session.intents import AWAY, Intent, IntentEvent, IntentKey, JournalPage, Moment, Moved, PlaceRefusal
from backstay.session.others import Others
from backstay.session.pacing import Item
from backstay.session.reasons import Reason
from backstay.session.reconcile import Phase, ReconcileSettings, Reconciliation
from backstay.session.settings import Settings

FIRST_RESERVED_ID = 2**31 - 1_000_000
"""Request ids from here on are backstay's own; clients count from small numbers up."""

MAX_SENT = 20_000
"""Orders of which it is remembered through which endpoint they were sent, or which end TWS named; as many as ids."""

MAX_COMMISSIONS = 50_000
"""Commission reports remembered as told; as many as fills."""

_FILL_TIME = re.compile(r"(\d{8})(?: +|(-))(\d\d:\d\d:\d\d)(?: ([A-Za-z0-9/_+-]+))?")


@unique
class Journal(Enum):
    """Whether orders can be written down."""

    OFF = "no journal is kept"
    ASKED = "the journal is being read"
    OPEN = "the journal is open"
    BROKEN = "the journal can not be used"


@unique
class Readiness(Enum):
    """Whether an order may be sent now."""

    YES = "yes"
    SOON = "soon"
    NO = "no"


@dataclass(slots=True)
class Orders:
    """See the module. Belongs to the session's thread. `trouble` says why the journal is broken."""

    client_id: int
    table: IntentTable
    reconciliation: Reconciliation
    journal: Journal
    trouble: str = ""
    token: int = 0
    questions: int = 0
    rounds: int = 0
    watched_since: float = 0.0  # seconds since the epoch, by the gateway's clock
    unkept: list[Item] = field(default_factory=list[Item])  # being written down, and what is behind
    pages: dict[int, JournalPage] = field(default_factory=dict[int, JournalPage])  # being written down
    ended: list[Intent] = field(default_factory=list[Intent])  # in this round, and the client has not seen it
    mismatches: int = 0  # of the table, counted so far
    sent_through: dict[IntentKey, tuple[str, int]] = field(default_factory=dict[IntentKey, tuple[str, int]])
    ends_named: dict[IntentKey, IntentEvent] = field(default_factory=dict[IntentKey, IntentEvent])
    to_ask_owner: dict[IntentKey, Verdict] = field(default_factory=dict[IntentKey, Verdict])  # the first is asked about
    asked_owner: int = 0  # the token of the question that is out
    told: set[IntentKey] = field(default_factory=set[IntentKey])  # the client knows that these are in doubt
    inherited: set[IntentKey] = field(default_factory=set[IntentKey])  # open as it began, and no fills listed since
    sees_others: bool = False  # this client is the master: TWS tells it of everybody's orders
    others: Others = field(default_factory=Others)
    commissions: dict[str, None] = field(default_factory=dict[str, None])

    def away(self) -> set[int]:
        """Ids of this client's orders that were sent and of which no end is known."""
        intents = self.table.open_intents()
        return {one.key.order_id for one in intents if one.key.client_id == self.client_id and one.state in AWAY}

    @classmethod
    def of(cls, settings: Settings, client_id: int) -> Orders:
        """For a client that has said its id."""
        table = IntentTable(settings.gateway)

        def owner_of(perm_id: int) -> tuple[int, int] | None:
            key = table.knows_perm_id(perm_id)
            return None if key is None else (key.client_id, key.order_id)

        reconciliation = Reconciliation(ReconcileSettings(settings.settle_seconds), table.open_intents, owner_of)
        return cls(client_id, table, reconciliation, Journal.ASKED if settings.journal else Journal.OFF)

    def load(self, page: JournalPage, at: Moment) -> list[Moved]:
        """The journal has been read: what is this client's is taken over."""
        self.journal = Journal.OPEN
        intents = tuple(intent for intent in page.intents if intent.key.client_id == self.client_id)
        marks = tuple(mark for mark in page.high_waters if mark.client_id == self.client_id)
        moved = self.table.load(JournalPage(intents, marks), at)
        self.inherited = {one.key for one in intents} & {one.key for one in self.table.open_intents()}
        return moved

    def readiness(self, *, link_up: bool) -> tuple[Readiness, str]:
        """Whether an order may leave, and if not, why."""
        if self.journal is Journal.BROKEN:
            return Readiness.NO, Reason.JOURNAL_BROKEN.format(trouble=self.trouble)
        if self.journal is Journal.ASKED:
            return Readiness.SOON, ""
        if not link_up:
            return Readiness.NO, Reason.NO_LINK
        if not self.reconciliation.reconciled:
            asking = self.reconciliation.phase is Phase.ASKING and not self.reconciliation.missing
            return (Readiness.SOON if asking else Readiness.NO), Reason.NOT_RECONCILED
        return Readiness.YES, ""

    def place(self, item: Item, version: int, *, epoch: int, at: Moment) -> Intent | PlaceRefusal | None:
        """An order is about to be sent. None if it is one that needs no record: a preview."""
        placed = read_placed(item.payload, version)
        if placed is None:
            return PlaceRefusal.NOT_AN_ID
        if placed.what_if:
            return None
        return self.table.place(placed, (item.payload, version), client_id=self.client_id, epoch=epoch, at=at)

    def next_token(self) -> int:
        """A number for what is asked of the journal."""
        self.token += 1
        return self.token

    def next_question(self) -> int:
        """A request id that was never used on any socket of this connection."""
        self.questions += 1
        return FIRST_RESERVED_ID + self.questions % 999_000

    def take_mismatches(self) -> int:
        """Words of TWS that can not be about our orders, since this was last asked."""
        before, self.mismatches = self.mismatches, self.table.mismatches
        return self.mismatches - before

    def note_endpoint(self, key: IntentKey, endpoint: tuple[str, int]) -> None:
        """This order is about to be sent there."""
        self.ends_named.pop(key, None)
        self.sent_through.pop(key, None)
        self.sent_through[key] = endpoint
        if len(self.sent_through) > MAX_SENT:
            del self.sent_through[next(iter(self.sent_through))]

    def note_end(self, key: IntentKey, event: IntentEvent) -> None:
        """TWS has named this end of an order in passing; what is written of it later makes that old."""
        self.ends_named[key] = event
        if len(self.ends_named) > MAX_SENT:
            del self.ends_named[next(iter(self.ends_named))]

    def endpoint_moved(self, before: tuple[str, int], after: tuple[str, int]) -> None:
        """The same gateway is somewhere else now."""
        for key in [key for key, endpoint in self.sent_through.items() if endpoint == before]:
            self.sent_through[key] = after

    def tell_commission(self, exec_id: str) -> bool:
        """Whether the client has yet to be told of this commission report; it counts as told from now on."""
        if exec_id in self.commissions:
            return False
        self.commissions[exec_id] = None
        if len(self.commissions) > MAX_COMMISSIONS:
            del self.commissions[next(iter(self.commissions))]
        return True


def moment_of(time: str, time_zone: str) -> float | None:
    """When a fill was made, in seconds since the epoch, to the second; None if that can not be read.

    TWS writes `20260401 09:30:00 US/Eastern`, `20260401-13:30:00` in UTC, and of old `20260401  09:30:00` in its own
    zone, which is the one given.
    """
    found = _FILL_TIME.fullmatch(time)
    if found is None:
        return None
    digits, dash, clock, zone = found.groups()
    try:
        made = datetime.strptime(digits + clock, "%Y%m%d%H:%M:%S")  # noqa: DTZ007  # it gets its zone below
        return made.replace(tzinfo=ZoneInfo(zone or ("UTC" if dash else time_zone))).timestamp()
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return None


def day_begins(wall: float, time_zone: str) -> float:
    """The last midnight in this zone; both in seconds since the epoch."""
    now = datetime.fromtimestamp(wall, ZoneInfo(time_zone))
    return now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
