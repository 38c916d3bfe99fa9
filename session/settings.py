"""Every limit and delay of a session in one frozen record, each with its unit in its name and its reason beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from backstay.protocol.handshake import VersionRange
from backstay.protocol.vocabulary import HIGHEST_VERSION, LOWEST_VERSION
from backstay.session.calendar import MaintenanceWindow
from backstay.session.resend import ResendRule

OWN_OFFER = VersionRange(176, 200)
"""What backstay offers for connections of its own: one encoding, all text."""

CLOCK_SPACING_SECONDS = 1.1
"""TWS leaves a second reqCurrentTime within about a second unanswered."""


@dataclass(frozen=True, slots=True)
class PulseSettings:
    """When silence is suspicious, and when it is a broken connection. TWS itself stalls for seconds at times."""

    idle_seconds: float = 5.0
    probe_seconds: float = 10.0
    probes: int = 2
    verify_seconds: float = 5.0
    verify_probes: int = 12


@dataclass(frozen=True, slots=True)
class HeldSettings:
    """How much a client may ask for while the gateway is away; what goes beyond is answered with an error at once."""

    count: int = 1_000
    size_bytes: int = 8 * 1024 * 1024
    age_seconds: float = 60.0
    order_seconds: float = 10.0  # an order older than this carries a stale price: refused as not sent


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """How long a request may go without an answer on a link that answers, before it is sent again or given up."""

    first_seconds: float = 5.0
    longest_seconds: float = 20.0
    repeats: int = 12  # with waits of 5, 10, 20, 20 ... s: nearly four minutes of a gateway that drops all
    deadline_seconds: float = 240.0  # a read without a word; IB's slowest reads take one minute
    rows_deadline_seconds: float = 1_800.0  # a read of which there was a part: the rest may take its time
    watch_seconds: float = 20.0  # streams after 1102: what trades at all has traded
    farm_seconds: float = 10.0  # streams of a farm that is back


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a session needs to know besides what happens to it."""

    endpoints: tuple[tuple[str, int], ...]
    prefer_first_seconds: float = (
        0.0  # after so long elsewhere back to the first endpoint, if nothing is lost; 0: never
    )
    one_login: bool = False  # whether all endpoints are the same login to IB, and so know the same orders
    dial_seconds: float = 5.0
    handshake_seconds: float = 10.0
    acceptance_seconds: float = 600.0
    start_seconds: float = 60.0
    drain_seconds: float = 2.0
    stable_seconds: float = 30.0  # a connection that dies sooner has not proved that it works
    parked_seconds: float = 60.0
    client_id_attempts: int = 6
    redirects: int = 2  # as many as the official clients follow
    redirect_anywhere: bool = False  # a gateway may move us to another port, but not to a stranger's host
    messages_per_second: int = 45
    historical_limits: bool = True  # whether IB's limits on historical queries are kept in advance
    read_only: bool = False
    pulse: PulseSettings = field(default_factory=PulseSettings)
    held: HeldSettings = field(default_factory=HeldSettings)
    maintenance: tuple[MaintenanceWindow, ...] | None = None  # planned downtime of the gateway; None: what it tells
    master_client_id: int | None = None  # the client that is told of everybody's orders; None: it shows
    gateway: str = ""  # whose orders these are: with the client id, what TWS knows them by
    journal: bool = False  # whether orders are written down before they are sent
    time_zone: str = "UTC"  # in which the gateway's day begins: it lists executions and completed orders of the day
    settle_seconds: float = 10.0  # from a link that is up to lists that show all that came of what was sent
    resend: ResendRule = field(default_factory=ResendRule)
    verify: VerifySettings = field(default_factory=VerifySettings)


def offers_something(offer: VersionRange) -> bool:
    """Whether there is a version in the offer that backstay can read."""
    return offer.low <= HIGHEST_VERSION and offer.high >= LOWEST_VERSION


def capped(offer: VersionRange) -> VersionRange:
    """A client's own range of versions, within what backstay can read."""
    return VersionRange(max(offer.low, LOWEST_VERSION), min(offer.high, HIGHEST_VERSION))
