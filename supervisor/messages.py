"""The vocabulary of the room: how lives end, and what is said to a supervisor.

Commands are imperative (`Stop`, `StartChild`), events are past (`Exited`). All of them are values that
may cross threads.
"""

from __future__ import annotations

import contextlib
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


class Command:
    """What a supervisor is told to do.

    `answer` is called once: with None when it was done, else with the reason why not. It is called in the supervisor's
    thread (or, if that ends first, in the thread that buries the command) and must not block; what it raises is lost.
    """

    __slots__ = ()

    answer: Answer | None

    def reply(self, refusal: str | None) -> None:
        """Answer whoever waits for the outcome."""
        if self.answer is not None:
            with contextlib.suppress(Exception):  # the asker's failure, not the supervisor's
                self.answer(refusal)


@dataclass(frozen=True, slots=True)
class StartChild(Command):
    """Add a child after the last one and start it.

    Refused when a child of that id is there and not stopped, and when it cannot be started.
    """

    spec: ChildSpec
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class StopChild(Command):
    """Stop one child and forget its spec. Siblings are left alone, whatever the strategy."""

    id: str
    reason: str = ""
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class RestartChild(Command):
    """Restart a child, and with it those that the strategy ties to it, in order. Costs no restart intensity."""

    id: str
    reason: str = ""
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class ForgetRestarts(Command):
    """Somebody has looked at it: restarts of before count no longer. What is parked stays so; see `RestartChild`."""

    answer: Answer | None = None
