"""The meters of connections by name, with those that no connection has now; and how long each is shown.

Guarded by whoever owns it; time is an argument, in monotonic seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from backstay.config import Config
from backstay.live import Door, Live
from backstay.metrics.blocks import ConnectionMeter
from backstay.session.calendar import Downtime, look_up
from backstay.session.causes import Cause
from backstay.session.told import Knowledge

WAITING, OTHER = "waiting", "other"
"""Behind a relay's name: those that no gateway has answered, and those that there are too many of. No client id."""

TROUBLED = ("waiting", "parked", "awaiting_acceptance", "paused")
"""States in which a client that has not been answered waits for something to be put right."""

BRIEF = ("connecting", "handshaking")
"""States that pass in milliseconds where there is a gateway that answers; a client in them waits if they last."""

BRIEF_SECONDS = 1.0
"""From here on they last. A healthy start is no trouble, and must not show as any."""

UNSERVED_SECONDS = 300.0
"""A relay is wanted up for so long after a client has left it without a gateway. Clients give up after seconds and try
again after some more: between two of them nobody is there, and the gateway is as much away as before."""

SERVED = frozenset({"ready", "degraded"})
"""States in which the gateway answers somebody."""

ANSWERED = tuple(f"{cause.value}:" for cause in (Cause.CLIENT_ID_TAKEN, Cause.VERSION))
"""How a reason begins that a gateway which is there has given."""

GONE_SECONDS = 900.0
"""What a connection has counted is shown for so long after it has gone: alerts add up at most 15 minutes of it."""

MAX_GONE = 32
"""Of one relay, and of the configuration; of more, the latest. Clients choose their ids, so names come and go."""

MAX_ABSENT = 32
"""Names of clients that are not there and have orders in doubt; the orders of more are counted as those of `other`."""

MOST_DIGITS = 10
"""Of a client id."""

LONG_AGO = float("-inf")

InDoubt = Mapping[tuple[str, int], int]
"""How many orders whose fate is open the journal holds, by gateway and client id."""


@dataclass(slots=True)
class Meters:
    """See the module. `planned`: whether this gateway is in planned downtime now."""

    planned: Callable[[str], bool]
    _all: dict[str, ConnectionMeter] = field(default_factory=dict[str, ConnectionMeter])
    _gone: dict[str, float] = field(default_factory=dict[str, float])  # since when, the longest first
    _absent: set[str] = field(default_factory=set[str])  # nobody is there, and there are orders in doubt

    def all(self) -> tuple[ConnectionMeter, ...]:
        """Those of the connections there are or were a while ago, one for each name."""
        return tuple(self._all.values())

    def in_doubt(self, name: str) -> int:
        """How many orders are in doubt of this name, which nobody has now."""
        return self._all[name].orders_in_doubt if name in self._absent else 0

    def let_go(self, name: str) -> None:
        """Forget why the last connection of this name was down."""
        if (meter := self._all.get(name)) is not None:
            meter.reason = ""

    def absent(self) -> tuple[ConnectionMeter, ...]:
        """Those that no connection has now and that somebody should know of."""
        relays = (meter for name, meter in self._all.items() if meter.expected and name.endswith(f"/{WAITING}"))
        return (*relays, *(self._all[name] for name in sorted(self._absent)))

    def go_on(self, name: str, meter: ConnectionMeter) -> None:
        """A client has said who it is, or one of the configuration begins: its meter goes on from its predecessor's."""
        meter.name = name
        if (predecessor := self._all.get(name)) is not None:
            meter.continue_from(predecessor)
        self._all[name] = meter

    # -- clients that get no gateway -----------------------------------------------------------------------------------

    def look_at_doors(self, doors: Mapping[str, Door], lives: Collection[Live], now: float) -> None:
        """Set the meter of each relay for those that wait at it, or have left it without a gateway."""
        for relay, door in doors.items():
            self._look_at(relay, door, lives, now=now)

    def _look_at(self, relay: str, door: Door, lives: Collection[Live], *, now: float) -> None:
        gateway = door.config.gateway
        ours = [live for live in lives if live.relay == relay]
        for live in ours:
            note_trouble(door, live, now)
        if any(live.gateway == gateway and live.view.state in SERVED for live in lives):
            door.unserved_at = LONG_AGO
        stands = any(live.named and live.meter.expected for live in ours)  # and is counted under its own name
        until = door.unserved_at + UNSERVED_SECONDS
        lacks = bool(door.waiting) or (not stands and now < until)
        meter = self._all.get(f"{relay}/{WAITING}")
        if meter is None:
            if not lacks:
                return
            meter = ConnectionMeter(name=f"{relay}/{WAITING}", gateway=gateway, mode="relay")
            self._all[meter.name] = meter
        expected = lacks and not self.planned(gateway)
        if meter.expected != expected:
            has_run_out = not lacks and not stands and until > LONG_AGO
            meter.set_wanted(until if has_run_out else now, expected=expected, up=False)
            meter.show("waiting" if lacks else "stopped", time.time())
        meter.reason = door.trouble if lacks else ""

    # -- orders in doubt -----------------------------------------------------------------------------------------------

    def look_at_orders(self, in_doubt: InDoubt, lives: Collection[Live], config: Config) -> None:
        """Count what the journal holds also for those that are not there, or have not read it yet."""
        here = {(live.gateway, live.view.client_id): live for live in lives}
        absent: dict[str, int] = {}
        for (gateway, client_id), count in in_doubt.items():
            live = here.get((gateway, client_id))
            if live is None or not live.named:
                name = whose(config, gateway, client_id)
                known = name in absent or len(absent) < MAX_ABSENT
                name = name if known else f"{name.rpartition('/')[0] or gateway}/{OTHER}"
                absent[name] = absent.get(name, 0) + count
                self._all.setdefault(name, ConnectionMeter(name=name, gateway=gateway, mode="relay"))
            elif not live.knows_its_orders:
                live.meter.orders_in_doubt = max(live.meter.orders_in_doubt, count)
        for name in self._absent - absent.keys():
            if (meter := self._all.get(name)) is not None and not any(live.meter is meter for live in lives):
                meter.orders_in_doubt = 0
        for name, count in absent.items():
            self._all[name].orders_in_doubt = count
        self._absent = set(absent)

    # -- what is gone --------------------------------------------------------------------------------------------------

    def forget(self, doors: Collection[str], lives: Collection[Live], now: float) -> None:
        """Take out what nobody has had for a while, and of each relay what is too much."""
        here = {live.meter.name for live in lives if live.named} | {f"{relay}/{WAITING}" for relay in doors}
        here |= self._absent
        self._gone = {name: since for name, since in self._gone.items() if name in self._all and name not in here}
        for name in self._all.keys() - here:
            self._gone.setdefault(name, now)
        left: dict[str, int] = {}
        for name, since in reversed(self._gone.items()):
            owner = name.rpartition("/")[0]
            left[owner] = left.get(owner, 0) + 1
            if left[owner] > MAX_GONE or now - since >= GONE_SECONDS:
                del self._all[name]


def note_trouble(door: Door, live: Live, now: float) -> None:
    """Find out whether a client of this relay, which has changed or is looked at again, lacks a gateway.

    One that nobody can answer yet has no name; it counts under one that all of its relay share.
    """
    view = live.view
    troubled = live.charge.wanted and is_troubled(live)
    if live.named or live.charge.owed.introduced or not live.charge.wanted:
        door.waiting.discard(live.id)
    elif troubled:
        door.waiting.add(live.id)
    if live.named and view.state == "paused":
        door.unserved_at = LONG_AGO  # an operator has seen to it
    elif troubled and (live.named or live.id in door.waiting):
        door.trouble = view.reason or view.state
        if view.expected and view.state != "parked" and not view.reason.startswith(ANSWERED):
            door.unserved_at = now


def is_troubled(live: Live) -> bool:
    """Whether it gets no gateway, as far as its state tells."""
    state = live.view.state
    return state in TROUBLED or (state in BRIEF and time.time() - live.meter.state_since_wall >= BRIEF_SECONDS)


def whose(config: Config, gateway: str, client_id: int) -> str:
    """The name that a connection of this client id to this gateway has, or would have."""
    for name, keeper in config.connections.items():
        if (keeper.gateway, keeper.client_id) == (gateway, client_id):
            return name
    doors = (name for name, one in config.relays.items() if one.gateway == gateway and client_id in one.client_ids)
    return f"{next(doors, gateway)}/{client_id}"


def client_of(config: Config, name: str) -> tuple[str, int] | None:
    """The gateway and the client id behind such a name; None for one that cannot be a client's."""
    if (keeper := config.connections.get(name)) is not None:
        return keeper.gateway, keeper.client_id
    owner, _, client_id = name.rpartition("/")
    relay = config.relays.get(owner)
    gateway = relay.gateway if relay is not None else owner
    if not client_id.isascii() or not client_id.isdigit() or len(client_id) > MOST_DIGITS:
        return None
    return (gateway, int(client_id)) if gateway in config.gateways else None


def planned_downtime(config: Config, gateway: str, told: Knowledge) -> bool:
    """Whether this gateway is in planned downtime now: of the configuration, or else of its first endpoint's word."""
    found = config.gateways.get(gateway)
    if found is None:
        return False
    first = told.get((found.endpoints[0].host, found.endpoints[0].port))
    windows = found.maintenance if found.maintenance is not None else () if first is None else first.windows
    return look_up(windows, time.time()).phase is Downtime.NOW
