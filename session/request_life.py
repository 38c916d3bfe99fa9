"""The life of a stream or read of a client as a table: where it stands, what can happen to it, and how it ends.

Every request has exactly one ending: none of them leads anywhere in the table, so that a second one raises. Orders,
which may also be in doubt, have a life of their own (`intents.py`); settings last as long as their client.
"""

from __future__ import annotations

from enum import Enum, unique

from backstay.session.errors import ImpossibleTransitionError


@unique
class Standing(Enum):
    """Where a request stands that is not over. The value is what an operator sees."""

    WAITING = "waiting"
    """TWS has not got it on the present socket."""

    SENT = "sent"
    """It was written, and has shown no sign since."""

    ANSWERED = "answered"
    """It has shown one: a stream flows, a read has a part of its answer."""


@unique
class Ending(Enum):
    """How a request ended. The value is the label in the metrics."""

    ANSWERED = "answered"
    """By the one message that answers it."""

    ENDED = "ended"
    """By the message that ends its rows."""

    ERROR = "error"
    """TWS has refused it; or backstay, because too many wait."""

    EXPIRED = "expired"
    """It had no answer for too long, or waited for its gateway for too long."""

    CANCELLED = "cancelled"
    """The client took it back, asked for something else under its id, or left."""

    LOST = "lost"
    """It was answered by half, or wanted on one socket only, when that broke."""


@unique
class Happening(Enum):
    """What can happen to a request."""

    WRITTEN = "is written to the socket"
    SHOWN = "a sign of it has come"
    DOUBTED = "it has to show itself anew"
    LET_GO = "TWS has let it go, or is made to"
    CUT = "the socket is gone"
    ANSWER = "its answer has come"
    END = "the end of its rows has come"
    REFUSED = "it is refused"
    TIMED_OUT = "its time is over"
    TAKEN_BACK = "nobody wants it any more"
    HALVED = "what is left of its answer can not come any more"


_S, _E, _H = Standing, Ending, Happening

_UNDER_WAY = (_S.SENT, _S.ANSWERED)
_ANY = tuple(Standing)

# from, what happens, to
ROWS: tuple[tuple[tuple[Standing, ...], Happening, Standing | Ending], ...] = (
    ((_S.WAITING, _S.SENT), _H.WRITTEN, _S.SENT),
    ((_S.ANSWERED,), _H.WRITTEN, _S.ANSWERED),  # a repeat of what had arrived
    ((_S.WAITING,), _H.SHOWN, _S.WAITING),  # of the life that TWS was told to end
    (_UNDER_WAY, _H.SHOWN, _S.ANSWERED),
    ((_S.WAITING,), _H.DOUBTED, _S.WAITING),
    (_UNDER_WAY, _H.DOUBTED, _S.SENT),
    (_ANY, _H.LET_GO, _S.WAITING),
    (_ANY, _H.CUT, _S.WAITING),
    (_ANY, _H.ANSWER, _E.ANSWERED),
    (_ANY, _H.END, _E.ENDED),
    (_ANY, _H.REFUSED, _E.ERROR),
    (_ANY, _H.TIMED_OUT, _E.EXPIRED),
    (_ANY, _H.TAKEN_BACK, _E.CANCELLED),
    (_ANY, _H.HALVED, _E.LOST),
)

TRANSITIONS: dict[tuple[Standing | Ending, Happening], Standing | Ending] = {
    (before, what): after for befores, what, after in ROWS for before in befores
}

ENDINGS = tuple(ending.value for ending in Ending)


def follow(stands: Standing | Ending, what: Happening) -> Standing | Ending:
    """Where this leads. Raises ImpossibleTransitionError for what is over."""
    after = TRANSITIONS.get((stands, what))
    if after is None:
        raise ImpossibleTransitionError(stands.value, what.value)
    return after
