"""What the manager keeps of each connection and of each relay."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from backstay.actors.charge import Charge
from backstay.config import RelayConfig
from backstay.control.explaining import Line, trouble_of
from backstay.control.goals import ABSENT
from backstay.errors import StartError
from backstay.holds import UP, Hold
from backstay.metrics.blocks import ConnectionMeter
from backstay.metrics.listening import Address, ListenError, open_listener
from backstay.session.census import take_census
from backstay.session.orders import Journal
from backstay.session.owed import View
from backstay.session.told import exit_in_words, uncovered
from backstay.status import ConnectionStatus, Move

UNREACHED = View(
    state="stopped",
    reason="",
    epoch=0,
    endpoint=("", 0),
    version=None,
    client_id=None,
    streams=0,
    reads=0,
    held=0,
    round_trip_seconds=None,
)


LOOKS = 100
"""Times to look at what changes under one's eyes; each takes microseconds, so the second mostly does."""

T = TypeVar("T")


def steady(look: Callable[[], T]) -> T:
    """Look at what belongs to another thread, again if it changes its size meanwhile."""
    for _ in range(LOOKS):
        try:
            return look()
        except RuntimeError:
            continue
    return look()


@dataclass(slots=True)
class Live:
    """One connection as the manager knows it. `view` is replaced as a whole by the connection's session."""

    id: str
    gateway: str
    charge: Charge
    relay: str = ""
    view: View = UNREACHED
    named: bool = False
    moved: tuple[Move, ...] = ()

    def count(self) -> None:
        """Have the meter say how requests and streams stand. Any thread; asks nobody."""
        self.meter.take_over(steady(lambda: take_census(self.charge.owed, self.view)))

    @property
    def knows_its_orders(self) -> bool:
        """Whether it has read in the journal what became of its orders."""
        orders = self.charge.owed.orders
        return orders is not None and orders.journal in (Journal.OPEN, Journal.OFF)

    @property
    def meter(self) -> ConnectionMeter:
        """What is observed of it."""
        return self.charge.outside.meter


MAX_STRANGERS = 32
"""Sockets of a relay that have not said what they are. One more, and the oldest yields: a client greets at once, so
whoever is silent has had its time. They are not counted as clients and can not keep one out."""


@dataclass(slots=True)
class Door:
    """One relay: its listening socket, where it really listens, and who has come. Guarded by the manager."""

    config: RelayConfig
    sock: socket.socket
    address: str
    clients: set[str] = field(default_factory=set[str])
    strangers: dict[str, Callable[[], object]] = field(default_factory=dict[str, Callable[[], object]])  # how to end it
    waiting: set[str] = field(default_factory=set[str])  # have greeted, and there is no gateway to answer them
    unserved_at: float = float("-inf")  # monotonic: when a client was seen last that has no gateway
    trouble: str = ""  # of that client

    def let_in(self, live_id: str, end: Callable[[], object]) -> None:
        """A stranger has come; `end` ends it, should it be the oldest when there are too many."""
        while len(self.strangers) >= MAX_STRANGERS:
            self.strangers.pop(next(iter(self.strangers)))()
        self.strangers[live_id] = end

    def has_greeted(self, live_id: str) -> bool:
        """A stranger turns out to be a client. False if there is no room for another."""
        self.strangers.pop(live_id, None)
        if len(self.clients) >= self.config.max_clients:
            return False
        self.clients.add(live_id)
        return True

    def forget(self, live_id: str) -> None:
        """It has gone."""
        self.clients.discard(live_id)
        self.waiting.discard(live_id)
        self.strangers.pop(live_id, None)


def open_door(relay: RelayConfig) -> Door:
    """Listen where this relay does. Raises ListenError."""
    sock = open_listener(relay.listen)
    return Door(relay, sock, str(Address(*sock.getsockname()[:2])))


def open_doors(relays: Mapping[str, RelayConfig]) -> dict[str, Door]:
    """Listen for all of them. Raises StartError with the key and the address; then none is left open."""
    doors: dict[str, Door] = {}
    for name, relay in relays.items():
        try:
            doors[name] = open_door(relay)
        except ListenError as error:
            for door in doors.values():
                door.sock.close()
            raise StartError(f"relays.{name}.listen: {error}") from error
    return doors


def connection_status(live: Live, restarts: int, hold: Hold | None = None, *, journal: str = "") -> ConnectionStatus:
    """What a status says of a connection, as its session showed itself last.

    `hold`: of an operator. `journal`: why nobody's orders can be written down, or empty.
    """
    view, meter = live.view, live.meter
    held_from_the_start = hold is not None and view.state == "stopped" and not live.charge.over
    host, port = view.endpoint
    return ConnectionStatus(
        name=meter.name,
        gateway=live.gateway,
        endpoint=f"{host}:{port}" if host else "",
        client_id=view.client_id if view.client_id is not None else -1,
        wanted=live.charge.wanted and view.expected,
        unready_since_wall=meter.unready_since_wall,
        state="paused" if held_from_the_start else view.state,
        reason=hold.reason or view.reason if held_from_the_start and hold is not None else view.reason,
        since_wall=meter.state_since_wall,
        epoch=view.epoch,
        server_version=view.version or 0,
        next_attempt_wall=meter.next_attempt_wall,
        streams=view.streams,
        reads=view.reads,
        held=view.held,
        restarts=restarts,
        round_trip_seconds=view.round_trip_seconds,
        messages_received=meter.messages_received,
        messages_sent=meter.messages_sent,
        admin=hold.wanted if hold is not None else UP,
        downtime=view.downtime,
        moved_from=_moved_from(live),
        trouble=_trouble_of(live, journal) if hold is None else "",
        operator_moves=live.moved,
        unfinished=view.unfinished,
    )


def _trouble_of(live: Live, journal: str) -> str:
    return trouble_of(live.view.state, line_of(live), now=time.time(), journal=journal_trouble(live.charge, journal))


def journal_trouble(charge: Charge, of_all: str) -> str:
    """Why the orders of this connection cannot be written down; empty while they can, or nobody places any.

    `of_all`: why those of nobody can, or empty.
    """
    orders = charge.owed.orders
    if orders is None or orders.journal is not Journal.BROKEN:
        return "" if charge.settings.read_only else of_all
    return orders.trouble or "the journal cannot be used"


def line_of(live: Live) -> Line:
    """What is heard of a connection."""
    pulse, broken = live.charge.settings.pulse, steady(lambda: dict(live.view.broken))
    patience = pulse.idle_seconds + pulse.probes * pulse.probe_seconds
    down = tuple(sorted(farm for farm, up in live.meter.farms.items() if not up)) if broken else ()
    since = min(broken.values(), default=0.0)
    return Line(
        live.meter.last_received_wall,
        pulse.idle_seconds,
        patience,
        farms=down,
        broken_wall=since,
        clock_seconds=live.view.clock_skew_seconds,
        stands_in_for=_stands_in_for(live),
        prefer_first_seconds=live.charge.settings.prefer_first_seconds,
        unplanned=_unplanned(live),
    )


def _unplanned(live: Live) -> str:
    """When the gateway ends by itself outside of its configured downtime, in words; empty if it does not."""
    settings, known = live.charge.settings, live.charge.outside.told()
    told = known.get(live.view.endpoint)
    if told is None or not settings.maintenance or not uncovered(settings.maintenance, told, time.time()):
        return ""
    return exit_in_words(told)


def _stands_in_for(live: Live) -> str:
    first, *others = live.charge.settings.endpoints
    return str(Address(*first)) if live.view.endpoint in others else ""


def drained_until(live: Live) -> float:
    """When the drain of this connection ends at the latest, in seconds since 1970; 0: it is not being drained."""
    draining = live.charge.owed.draining
    return 0.0 if draining is None else time.time() + draining.until - time.monotonic()


def absent_status(name: str, gateway: str, hold: Hold, *, in_doubt: int) -> ConnectionStatus:
    """What a status says of a name that an operator holds and nobody uses."""
    return ConnectionStatus(
        name=name,
        gateway=gateway,
        endpoint="",
        client_id=-1,
        wanted=False,
        state=ABSENT,
        reason="; ".join(filter(None, (hold.reason, doubts(in_doubt)))),
        since_wall=hold.since_wall,
        admin=hold.wanted,
    )


def doubts(count: int) -> str:
    """So many orders are in doubt; empty for none."""
    return f"{count} order{'' if count == 1 else 's'} in doubt" if count else ""


def missed_status(meter: ConnectionMeter) -> ConnectionStatus:
    """What a status says of clients that got no gateway, or of one that has left with orders in doubt."""
    return ConnectionStatus(
        name=meter.name,
        gateway=meter.gateway,
        endpoint="",
        client_id=-1,
        wanted=meter.expected,
        state=ABSENT,
        reason=meter.reason if meter.expected else doubts(meter.orders_in_doubt),
        since_wall=meter.state_since_wall,
        unready_since_wall=meter.unready_since_wall,
    )


def _moved_from(live: Live) -> str:
    """The configured endpoint in whose place the present one is dialled, because TWS has said so; empty if none."""
    moves = live.charge.outside.moves()
    before = (old for old in live.charge.settings.endpoints if moves.get(old) == live.view.endpoint)
    return next((str(Address(*old)) for old in before), "")
