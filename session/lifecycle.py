"""The life of one upstream connection as a table: state and event in, state and actions out.

All changes of state go through `step`. Guards are not in the table: whoever raises an event has already told, say,
the sixth 326 (`ID_STUCK`) from the first (`ID_TAKEN`), so that a row never needs an `if`. A pair that is not in the
table cannot happen; `step` raises, because then the caller is wrong. The table is the source of the diagram in the
documentation.

Timers belong to a state: leaving the state cancels them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from backstay.session.errors import ImpossibleTransitionError


@unique
class State(Enum):
    """The session region of a connection. The value is the public name (`degraded` is derived, see `public_state`)."""

    STOPPED = "stopped"
    WAITING = "waiting"
    CONNECTING = "connecting"
    HANDSHAKING = "handshaking"
    AWAITING_ACCEPTANCE = "awaiting_acceptance"
    STARTING = "starting"
    VERIFYING = "verifying"
    SYNCING = "syncing"
    READY = "ready"
    DRAINING = "draining"
    PAUSED = "paused"
    PARKED = "parked"


@unique
class Link(Enum):
    """The gateway's own link to IB's servers, as far as it told us in this epoch."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@unique
class Event(Enum):
    """What can happen to a connection."""

    START = "start"
    CONNECTED = "connected"
    DIAL_FAILED = "dial failed"
    HELLO = "hello"
    UNUSABLE = "version unusable"
    REDIRECT = "redirect"
    IDENTIFIED = "nextValidId and managedAccounts"
    ID_TAKEN = "326"
    ID_STUCK = "326 once too often"
    PROBE_ANSWERED = "probe answered"
    PROBE_MISSED = "probe missed"
    PROBES_EXHAUSTED = "probes exhausted"
    SYNCED = "everything put back"
    STABLE = "ready for long"
    TIMED_OUT = "state timer"
    LOST = "socket lost"
    CUT = "socket cut by order"
    RETRY = "retry timer"
    PAUSE = "pause"
    RESUME = "resume"
    RESTART = "restart"
    RESET = "reset"
    DRAIN = "drain"
    DRAINED = "drained"
    STOP = "stop"


@unique
class Action(Enum):
    """What the owner of the table has to do on a transition, in the order given."""

    DIAL = "dial a new epoch"
    HANG_UP = "shut the socket down and close it"
    GRIEVE = "mark promises, tell the client"
    BACK_OFF = "plan the next dial"
    PARK = "plan the half-open dial"
    INTRODUCE = "answer the client's greeting, send startApi"
    PROBE = "send a probe"
    RESTORE = "put settings, streams and reads back"
    ANNOUNCE = "tell the client that all is back"
    SETTLE = "forget failed attempts"
    END = "end for good"


@dataclass(frozen=True, slots=True)
class Transition:
    """Where a pair of state and event leads, and what is done on the way."""

    to: State
    actions: tuple[Action, ...] = ()


_A = Action
_S = State
_E = Event

HANDSHAKE_STATES = (_S.HANDSHAKING, _S.AWAITING_ACCEPTANCE)
LINKED_STATES = (*HANDSHAKE_STATES, _S.STARTING, _S.VERIFYING, _S.SYNCING, _S.READY)
SOCKET_STATES = (*LINKED_STATES, _S.DRAINING)
IDLE_STATES = (_S.STOPPED, _S.PAUSED)
RESTING_STATES = (_S.WAITING, _S.PARKED)
BUSY_STATES = (_S.CONNECTING, *LINKED_STATES)
ALL_STATES = tuple(State)

_FAIL = (_A.HANG_UP, _A.GRIEVE, _A.BACK_OFF)

# from states, event, to (None: stays), actions
ROWS: tuple[tuple[tuple[State, ...], Event, State | None, tuple[Action, ...]], ...] = (
    (IDLE_STATES, _E.START, _S.CONNECTING, (_A.DIAL,)),
    ((*RESTING_STATES, *BUSY_STATES, _S.DRAINING), _E.START, None, ()),
    ((_S.CONNECTING,), _E.CONNECTED, _S.HANDSHAKING, ()),
    ((_S.CONNECTING,), _E.DIAL_FAILED, _S.WAITING, _FAIL),
    (HANDSHAKE_STATES, _E.HELLO, _S.STARTING, (_A.INTRODUCE,)),
    (HANDSHAKE_STATES, _E.UNUSABLE, _S.PARKED, (_A.HANG_UP, _A.GRIEVE, _A.PARK)),
    (HANDSHAKE_STATES, _E.REDIRECT, _S.CONNECTING, (_A.HANG_UP, _A.DIAL)),
    ((_S.STARTING,), _E.IDENTIFIED, _S.VERIFYING, (_A.PROBE,)),
    ((_S.STARTING,), _E.ID_TAKEN, _S.WAITING, _FAIL),
    ((_S.STARTING,), _E.ID_STUCK, _S.PARKED, (_A.HANG_UP, _A.GRIEVE, _A.PARK)),
    ((_S.VERIFYING,), _E.PROBE_ANSWERED, _S.SYNCING, (_A.RESTORE,)),
    ((_S.SYNCING, _S.READY, _S.DRAINING), _E.PROBE_ANSWERED, None, ()),
    ((_S.VERIFYING, _S.SYNCING, _S.READY, _S.DRAINING), _E.PROBE_MISSED, None, (_A.PROBE,)),
    ((_S.VERIFYING, _S.SYNCING, _S.READY), _E.PROBES_EXHAUSTED, _S.WAITING, _FAIL),
    ((_S.DRAINING,), _E.PROBES_EXHAUSTED, _S.STOPPED, (_A.HANG_UP, _A.END)),
    ((_S.SYNCING,), _E.SYNCED, _S.READY, (_A.ANNOUNCE,)),
    ((_S.READY,), _E.STABLE, None, (_A.SETTLE,)),
    ((_S.HANDSHAKING,), _E.TIMED_OUT, _S.AWAITING_ACCEPTANCE, (_A.GRIEVE,)),
    ((_S.CONNECTING, _S.AWAITING_ACCEPTANCE, _S.STARTING), _E.TIMED_OUT, _S.WAITING, _FAIL),
    ((_S.DRAINING,), _E.TIMED_OUT, _S.STOPPED, (_A.HANG_UP, _A.END)),
    (BUSY_STATES, _E.LOST, _S.WAITING, _FAIL),
    ((_S.DRAINING,), _E.LOST, _S.STOPPED, (_A.HANG_UP, _A.END)),
    (BUSY_STATES, _E.CUT, _S.WAITING, (_A.HANG_UP, _A.GRIEVE)),
    (RESTING_STATES, _E.RETRY, _S.CONNECTING, (_A.DIAL,)),
    ((*RESTING_STATES, *BUSY_STATES), _E.PAUSE, _S.PAUSED, (_A.HANG_UP, _A.GRIEVE)),
    ((*IDLE_STATES, _S.DRAINING), _E.PAUSE, None, ()),
    (IDLE_STATES, _E.RESUME, _S.CONNECTING, (_A.DIAL,)),
    ((_S.DRAINING, *RESTING_STATES, *BUSY_STATES), _E.RESUME, None, ()),
    ((*RESTING_STATES, *BUSY_STATES), _E.RESTART, _S.CONNECTING, (_A.HANG_UP, _A.GRIEVE, _A.SETTLE, _A.DIAL)),
    ((*IDLE_STATES, _S.DRAINING), _E.RESTART, None, ()),
    (RESTING_STATES, _E.RESET, _S.CONNECTING, (_A.SETTLE, _A.DIAL)),
    ((*IDLE_STATES, *BUSY_STATES, _S.DRAINING), _E.RESET, None, (_A.SETTLE,)),
    ((_S.READY, _S.SYNCING), _E.DRAIN, _S.DRAINING, ()),
    ((*IDLE_STATES, *RESTING_STATES, _S.CONNECTING, *HANDSHAKE_STATES), _E.DRAIN, _S.STOPPED, (_A.HANG_UP, _A.END)),
    ((_S.STARTING, _S.VERIFYING), _E.DRAIN, _S.STOPPED, (_A.HANG_UP, _A.END)),
    ((_S.DRAINING,), _E.DRAIN, None, ()),
    ((_S.DRAINING,), _E.DRAINED, _S.STOPPED, (_A.HANG_UP, _A.END)),
    (ALL_STATES, _E.STOP, _S.STOPPED, (_A.HANG_UP, _A.END)),
)

TRANSITIONS: dict[tuple[State, Event], Transition] = {
    (state, event): Transition(to or state, actions) for states, event, to, actions in ROWS for state in states
}


def step(state: State, event: Event) -> Transition:
    """The transition for this pair; raises `ImpossibleTransitionError` for a pair the table does not know."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ImpossibleTransitionError(state.value, event.value) from None


def public_state(state: State, link: Link, *, draining: bool = False) -> str:
    """The name an operator sees.

    A ready connection whose gateway lost IB's servers is `degraded`; one that takes nothing new since an operator
    drains it is `draining`, as one that ends is.
    """
    if state is State.READY and draining:
        return "draining"
    if state is State.READY and link is Link.DOWN:
        return "degraded"
    return state.value


PUBLIC_STATES: tuple[str, ...] = (
    *(state.value for state in State if state is not State.DRAINING),
    "degraded",
    "draining",
)
