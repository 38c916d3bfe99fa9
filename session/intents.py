"""What has become of every order: one table of states and events, and the intents of a connection kept by it.

An intent is written to the journal in state `sent`, with the epoch of its socket, before the first byte of its frame
is written to that socket. So after a crash, one found as `intent` has certainly not left, one found as `sent` may have.

What TWS says moves an intent and never raises; what we do must fit the state (`ImpossibleTransitionError` if not).
A state that was concluded by inference (`abandoned`) or by a rejection gives way to TWS's word that the order lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from backstay.protocol.codes import CodeGroup, code_info, is_warning
from backstay.protocol.order_fields import OrderFacts, PlacedOrder
from backstay.protocol.order_layouts import COMPLETED_ORDER
from backstay.session.errors import ImpossibleTransitionError
from backstay.session.reasons import Reason


@unique
class IntentState(Enum):
    """Where an order stands, as far as we know. The value is what the journal and an operator see."""

    INTENT = "intent"
    SENT = "sent"
    IN_DOUBT = "in_doubt"
    LIVE = "live"
    DONE = "done"
    REJECTED = "rejected"
    ABANDONED = "abandoned"


@unique
class IntentEvent(Enum):
    """What can happen to an order."""

    SEND = "is about to be written"
    CHANGE = "a change of it is about to be written"
    UNSENT = "certainly never left"
    CHANGE_UNSENT = "the change certainly never left"
    LOST = "the socket is gone"
    CHANGE_LOST = "the socket is gone, and a change of it was not answered"
    UNANSWERED = "no answer, or one that proves nothing"
    ACKED = "TWS has it"
    WORKING = "it works, or has executed in part"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REFUSED = "rejected for certain"
    ABSENT = "TWS never had it, as a settled reconciliation proves"
    OVER = "it works no longer, and how it ended is not known"
    ABANDON = "a person gave it up"


@unique
class Outcome(Enum):
    """How a concluded intent ended."""

    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NEVER_SENT = "never_sent"
    UNKNOWN_TO_TWS = "unknown_to_tws"
    OVER = "over"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class IntentTransition:
    """Where a pair of state and event leads. `alarm`: TWS contradicts what we had concluded or not yet begun."""

    to: IntentState
    outcome: Outcome | None = None
    alarm: bool = False


_S, _E, _O = IntentState, IntentEvent, Outcome

CONCLUDED = (_S.DONE, _S.REJECTED, _S.ABANDONED)
AWAY = (_S.SENT, _S.IN_DOUBT, _S.LIVE)
_STAYS = None

# from states, event, to (None: stays), outcome, alarm
ROWS: tuple[tuple[tuple[IntentState, ...], IntentEvent, IntentState | None, Outcome | None, bool], ...] = (
    ((_S.INTENT, _S.IN_DOUBT), _E.SEND, _S.SENT, None, False),
    ((_S.INTENT, _S.SENT, _S.LIVE), _E.CHANGE, _STAYS, None, False),
    (CONCLUDED, _E.CHANGE, _S.SENT, None, False),  # TWS may take it as a new order, so it has to be followed
    ((_S.INTENT, _S.SENT), _E.UNSENT, _S.ABANDONED, _O.NEVER_SENT, False),
    (AWAY, _E.CHANGE_UNSENT, _STAYS, None, False),
    ((_S.SENT,), _E.LOST, _S.IN_DOUBT, None, False),
    ((_S.INTENT, _S.IN_DOUBT, _S.LIVE, *CONCLUDED), _E.LOST, _STAYS, None, False),
    (AWAY, _E.CHANGE_LOST, _S.IN_DOUBT, None, False),
    ((_S.SENT,), _E.UNANSWERED, _S.IN_DOUBT, None, False),
    ((_S.INTENT, _S.IN_DOUBT, _S.LIVE, *CONCLUDED), _E.UNANSWERED, _STAYS, None, False),
    ((_S.INTENT,), _E.ACKED, _STAYS, None, True),
    (AWAY, _E.ACKED, _S.LIVE, None, False),
    ((_S.DONE, _S.REJECTED), _E.ACKED, _STAYS, None, False),  # echoes of before trail behind an end
    ((_S.ABANDONED,), _E.ACKED, _S.LIVE, None, True),
    ((_S.INTENT,), _E.WORKING, _STAYS, None, True),
    (AWAY, _E.WORKING, _S.LIVE, None, False),
    ((_S.DONE,), _E.WORKING, _STAYS, None, False),
    ((_S.REJECTED, _S.ABANDONED), _E.WORKING, _S.LIVE, None, True),
    ((_S.INTENT,), _E.FILLED, _STAYS, None, True),
    (AWAY, _E.FILLED, _S.DONE, _O.FILLED, False),
    ((_S.DONE,), _E.FILLED, _STAYS, None, False),
    ((_S.REJECTED, _S.ABANDONED), _E.FILLED, _S.DONE, _O.FILLED, True),
    ((_S.INTENT,), _E.CANCELLED, _STAYS, None, True),
    ((*AWAY, _S.ABANDONED), _E.CANCELLED, _S.DONE, _O.CANCELLED, False),
    ((_S.DONE, _S.REJECTED), _E.CANCELLED, _STAYS, None, False),
    ((_S.INTENT,), _E.REFUSED, _STAYS, None, True),
    ((*AWAY, _S.ABANDONED), _E.REFUSED, _S.REJECTED, _O.REJECTED, False),
    ((_S.DONE, _S.REJECTED), _E.REFUSED, _STAYS, None, False),
    ((_S.IN_DOUBT,), _E.ABSENT, _S.ABANDONED, _O.UNKNOWN_TO_TWS, False),
    ((_S.IN_DOUBT, _S.LIVE), _E.OVER, _S.ABANDONED, _O.OVER, False),
    ((_S.INTENT, _S.IN_DOUBT), _E.ABANDON, _S.ABANDONED, _O.GIVEN_UP, False),
)

INTENT_TRANSITIONS: dict[tuple[IntentState, IntentEvent], IntentTransition] = {
    (state, event): IntentTransition(to or state, outcome, alarm)
    for states, event, to, outcome, alarm in ROWS
    for state in states
}

HEARD = frozenset((_E.LOST, _E.UNANSWERED, _E.ACKED, _E.WORKING, _E.FILLED, _E.CANCELLED, _E.REFUSED))
"""Events that others raise; they may come in every state."""

REJECTIONS = frozenset({110, 201, 203, 382, 383, 388, 434})
"""Codes that prove that a new order was rejected. No code proves it of a change: the live order stands."""

STATUS_EVENTS: dict[str, IntentEvent] = {
    "PreSubmitted": _E.WORKING,
    "Submitted": _E.WORKING,
    "PendingCancel": _E.WORKING,
    "Filled": _E.FILLED,
    "Cancelled": _E.CANCELLED,
    "ApiCancelled": _E.CANCELLED,
}
"""What an order's status says. All others (PendingSubmit, ApiPending, Inactive) say no more than that TWS has it:
an inactive order may have been rejected, and may as well be waiting for shares or for a change."""


ENDS = (_E.FILLED, _E.CANCELLED)
"""What is said of an order that works no longer."""


def intent_step(state: IntentState, event: IntentEvent) -> IntentTransition:
    """The transition for this pair; raises `ImpossibleTransitionError` for a pair the table does not know."""
    try:
        return INTENT_TRANSITIONS[state, event]
    except KeyError:
        raise ImpossibleTransitionError(state.value, event.value) from None


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant: `now` in seconds of the monotonic clock, `wall` in seconds since the epoch."""

    now: float
    wall: float


@dataclass(frozen=True, slots=True, order=True)
class IntentKey:
    """Whose order. TWS knows it by client id and order id; the connection says which TWS."""

    connection: str
    client_id: int
    order_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One order, with all that is needed to recognise it at TWS and, if need be, to send it again as it was.

    `payload` is the frame as last written, in the layout of server version `version`. `changes` counts the changes
    written since it was placed, `attempt` how often it was placed (1, and one more for each resend), `life` how often
    its id was put to use again after it had ended. `perm_id` is 0 until TWS has named one. Times that end in `_wall`
    are seconds since the epoch; `written_at` is monotonic, and 0 for what this process has not written. `former` is the
    life before this one, as it ended.
    """

    key: IntentKey
    order: PlacedOrder
    payload: bytes
    version: int
    state: IntentState = IntentState.INTENT
    outcome: Outcome | None = None
    epoch: int = 0
    perm_id: int = 0
    attempt: int = 1
    life: int = 1
    changes: int = 0
    change_pending: bool = False
    cancel_wanted: bool = False
    cancel_owed: bool = False  # and TWS has not answered it, as far as is known
    sent_wall: float = 0.0
    changed_wall: float = 0.0
    written_at: float = 0.0
    former: Intent | None = None

    @property
    def is_concluded(self) -> bool:
        """Whether it has its outcome."""
        return self.outcome is not None

    @property
    def was_acknowledged(self) -> bool:
        """Whether TWS has ever shown to have it."""
        return self.perm_id != 0 or self.state in (IntentState.LIVE, IntentState.DONE)


@dataclass(frozen=True, slots=True)
class Moved:
    """An intent went from one state to another; `alarm` as in the table."""

    before: Intent
    after: Intent
    alarm: bool

    @property
    def concludes(self) -> bool:
        """Whether this gave it its outcome."""
        return self.after.is_concluded and not self.before.is_concluded


@dataclass(frozen=True, slots=True)
class HighWater:
    """The highest order id that a client id has used or seen."""

    connection: str
    client_id: int
    order_id: int


@dataclass(frozen=True, slots=True)
class JournalPage:
    """What the journal has to keep: intents and high waters as they are now. Writing a page twice is harmless."""

    intents: tuple[Intent, ...] = ()
    high_waters: tuple[HighWater, ...] = ()


@unique
class PlaceRefusal(Enum):
    """Why an order may not be sent. The value is for the client."""

    IN_DOUBT = Reason.ORDER_IN_DOUBT
    IN_USE = Reason.ORDER_IN_USE
    TOO_MANY = Reason.ORDERS_ARE_OPEN
    NOT_AN_ID = Reason.NOT_AN_ID


def order_event(facts: OrderFacts) -> IntentEvent:
    """What TWS says of an order. Whatever is among the completed ones has ended."""
    event = STATUS_EVENTS.get(facts.status, IntentEvent.ACKED)
    if facts.message_id == COMPLETED_ORDER and event is not IntentEvent.FILLED:
        return IntentEvent.CANCELLED
    return event


def end_of(status: str) -> IntentEvent:
    """What it says of an order that lists show no more, that TWS has called it so: TWS has had it, at the least."""
    event = STATUS_EVENTS.get(status)
    return event if event in ENDS else IntentEvent.OVER


def error_event(intent: Intent, code: int) -> IntentEvent | None:
    """What an error on the id of an order says of it; None for a warning.

    An error that refuses without proving it (103, 321 ...) makes an order that TWS has not spoken of one whose fate is
    not known. So does any refusal once a change of it is out as well: which of the two is meant nobody says.
    """
    if is_warning(code):
        return None
    if code in REJECTIONS and not intent.changes:
        return IntentEvent.REFUSED
    return IntentEvent.UNANSWERED if code_info(code).group is CodeGroup.REJECTED else None


def refs_conflict(one: str, other: str) -> bool:
    """Whether two order references can not belong to one order.

    One that is missing, cut short or holds characters that TWS may write in another way proves nothing.
    """
    if not one or not other or one.startswith(other) or other.startswith(one):
        return False
    return all(ref.isascii() and "\\u" not in ref for ref in (one, other))
