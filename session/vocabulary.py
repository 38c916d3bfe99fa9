"""The words of a session: what happens to it (events) and what it wants done (effects).

Events are past or nouns, effects are imperative. Whatever belongs to a socket carries its epoch. Words about one thing
alone have a module each: `client_words`, `order_words`, `own_words`, `sieve_words`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from backstay.protocol.handshake import Hello
from backstay.session.causes import Cause
from backstay.session.client_words import (
    Attend,
    Attended,
    ClientAsked,
    ClientAway,
    ClientGreeted,
    ClientLeft,
    ClientMoved,
    ClientRefused,
    ClientReturned,
    ClientStarted,
    Unheard,
)
from backstay.session.endpoints import Moved
from backstay.session.historical import Sent
from backstay.session.lifecycle import Event
from backstay.session.order_words import AskOwner, LookedUp, LookUp, NotWrittenDown, OwnerSaid, WriteDown, WrittenDown
from backstay.session.own_words import TellBack, TellGap, TellHello
from backstay.session.sieve_words import Await, Conceal, Hush, Identify, Mute, PassClock, Swallow, Tune
from backstay.session.told import Told


@unique
class Timer(Enum):
    """The timers a session may have running; one of each at the most."""

    STATE = "state"
    RETRY = "retry"
    PULSE = "pulse"
    STABLE = "stable"
    RELEASE = "release"
    HELD = "held"
    VERIFY = "verify"
    RECONCILE = "reconcile"
    JOURNAL = "journal"
    ROLL_CALL = "roll call"
    CALENDAR = "calendar"
    UPSTREAM = "upstream"
    PREFER = "prefer"
    LEAVING = "leaving"
    OWNER = "owner"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Ordered:
    """The owner or an operator wants something: START, PAUSE, RESUME, RESTART, RESET, DRAIN, STOP."""

    event: Event
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Drain:
    """An operator wants it paused once what is under way has finished, or after so many seconds; see `draining`."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Resubscribe:
    """An operator wants streams asked for again; with `stale` only those that stay silent."""

    stale: bool


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket of this epoch is open and the greeting is written."""

    epoch: int


@dataclass(frozen=True, slots=True)
class DialFailed:
    """The dial of this epoch came to nothing."""

    epoch: int
    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The socket of this epoch is gone. `received` says whether a byte had ever arrived on it."""

    epoch: int
    cause: Cause
    detail: str
    received: bool = True


@dataclass(frozen=True, slots=True)
class LinkRenewed:
    """Who dials and reads has been started anew: the sockets of before are gone."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The first frame of an epoch: the gateway's answer to the greeting."""

    epoch: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Noted:
    """Watched frames of this epoch, in order: (message id, payload, passed on to the client).

    Not `heard`: no client was there to take what was passed on.
    """

    epoch: int
    frames: tuple[tuple[int, bytes, bool], ...]
    heard: bool = True


@dataclass(frozen=True, slots=True)
class Rang:
    """A timer fired."""

    timer: Timer


SessionEvent = (
    Ordered
    | Drain
    | Resubscribe
    | Connected
    | DialFailed
    | Lost
    | LinkRenewed
    | Answered
    | Noted
    | WrittenDown
    | NotWrittenDown
    | LookedUp
    | OwnerSaid
    | Rang
    | ClientGreeted
    | ClientStarted
    | ClientAsked
    | ClientRefused
    | ClientLeft
    | ClientAway
    | ClientReturned
    | ClientMoved
    | Attended
    | Unheard
)


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a socket for this epoch and write the greeting on it."""

    epoch: int
    host: str
    port: int
    greeting: bytes
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Write:
    """Write these bytes (whole frames) on this epoch's socket."""

    epoch: int
    data: bytes
    messages: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """Shut this epoch's socket down and close it, after what has been written."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give these bytes (whole frames) to the client, behind what it has been given already."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Refund:
    """So many bytes of the client's requests have left our hands; it may send as many more."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Arm:
    """(Re)start this timer."""

    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class Disarm:
    """Stop this timer."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class BackOff:
    """Choose a delay of at least `floor_seconds` and let Timer.RETRY ring after it.

    `cap_seconds` lowers the cap for this once; the floor wins. `endpoint`: the number of the one to be dialled, since
    each has its own delays.
    """

    floor_seconds: float
    cap_seconds: float | None = None
    endpoint: int = 0


@dataclass(frozen=True, slots=True)
class Settle:
    """The connection has proved itself: the next loss starts the backoff from its beginning."""


@dataclass(frozen=True, slots=True)
class Remember:
    """This gateway answered with this hello."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class HistoricalAsked:
    """A query that IB counts by login leaves: whoever shares it has to know, see `historical`."""

    sent: Sent


@dataclass(frozen=True, slots=True)
class Count:
    """Something worth counting happened: a counter of the meter, and its label where it has one."""

    name: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Observe:
    """A duration worth a histogram, and its label where it has one."""

    name: str
    seconds: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class FarmChanged:
    """A data farm of IB's works, or works no longer."""

    farm: str
    works: bool


@dataclass(frozen=True, slots=True)
class Report:
    """An event for the log and the event journal."""

    event: str
    fields: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """The session is over; end it."""


Effect = (
    Dial
    | Write
    | HangUp
    | Tune
    | PassClock
    | Mute
    | Await
    | Swallow
    | Hush
    | WriteDown
    | LookUp
    | AskOwner
    | Identify
    | Conceal
    | Deliver
    | Attend
    | TellHello
    | TellGap
    | TellBack
    | Refund
    | Arm
    | Disarm
    | BackOff
    | Settle
    | Remember
    | Moved
    | HistoricalAsked
    | Told
    | Count
    | Observe
    | FarmChanged
    | Report
    | Leave
)
