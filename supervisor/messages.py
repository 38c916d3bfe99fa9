"""The vocabulary of the room: how lives end, and what is said to a supervisor.

Commands are imperative (`Stop`, `StartChild`), events are past (`Exited`). All of them are values that
may cross threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.supervisor.specs import ChildSpec

Answer = Callable[["str | None"], None]


class ExitKind(Enum):
    """Why a life ended. All but `CRASH` are intended by somebody."""

    NORMAL = "normal"
    """The actor left by itself (`Actor.leave`)."""

    SHUTDOWN = "shutdown"
    """It was told to `Stop`."""

    CRASH = "crash"
    """An exception of any kind left one of its hooks, or it could not be built."""

    FOREIGN = "foreign"
    """Somebody outside the tree stopped it through pykka (`ActorRegistry.stop_all()`, `ActorRef.stop()`)."""


class Hook(Enum):
    """Where an actor was when it failed."""

    START = "start"
    """In its constructor or before its thread ran: in the supervisor's thread."""

    BEGIN = "begin"
    RECEIVE = "receive"
    END = "end"


@dataclass(frozen=True, slots=True)
class ExitReason:
    """Why a life ends, as `Actor.end` hears it."""

    kind: ExitKind
    text: str = ""


@dataclass(frozen=True, slots=True)
class Exited:
    """A life has ended: sent exactly once per incarnation to its supervisor.

    `error` and `traceback_text` are empty when no exception was involved. They can be filled for intended
    exits too: an actor that fails while it is being stopped ends as `SHUTDOWN`, but its error is not lost.
    """

    id: str
    incarnation: int
    kind: ExitKind
    where: Hook | None = None
    error: str = ""
    traceback_text: str = ""
    handling: str = ""
    """Type name of the message being handled when the exception was raised."""

    text: str = ""
    """The reason given to `leave` or `Stop`."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the receiving actor as `SHUTDOWN`. Travels on the control lane."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class StartChild:
    """Add a child after the last one and start it.

    Refused when a child of that id is there and running. `answer` is called in the supervisor's thread
    with None when the child was started, else with the reason; it must not block.
    """

    spec: ChildSpec
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class StopChild:
    """Stop one child and forget its spec. Siblings are left alone, whatever the strategy.

    `answer`: see `StartChild`.
    """

    id: str
    reason: str = ""
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class RestartChild:
    """Restart a child, and with it those that the strategy ties to it, in order. Costs no restart intensity.

    `answer`: see `StartChild`.
    """

    id: str
    reason: str = ""
    answer: Answer | None = None
