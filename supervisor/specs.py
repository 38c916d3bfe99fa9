"""What a tree is made of: specs are data, validated when they are made.

`ChildSpec.start` is called in the supervisor's thread with the `Context` of the new life and returns the
reference of a started actor: `lambda context: Reader.start(context, settings=...)`. It must not block: dial,
open and wait in `Actor.begin`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

import pykka

from backstay.supervisor.book import Book
from backstay.supervisor.messages import Exited

SHUTDOWN_SECONDS: Final = 5.0
"""Grace for a child that is told to stop (OTP's default for workers)."""


class Strategy(Enum):
    """Who is restarted when a child ends and is to be restarted."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class Restart(Enum):
    """After which exits a child is restarted."""

    PERMANENT = "permanent"
    """After every exit."""

    TRANSIENT = "transient"
    """After a crash only. After an intended exit it stays listed, stopped."""

    TEMPORARY = "temporary"
    """Never. It is forgotten with its exit."""


class ChildKind(Enum):
    """What a child is."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"


class AutoShutdown(Enum):
    """When the end of significant children ends their supervisor."""

    NEVER = "never"
    ANY = "any"
    ALL = "all"


class SpecError(ValueError):
    """A spec that cannot work; the text names the field."""


class Log(Protocol):
    """Where supervisors tell what they do, for example `log("child_started", supervisor="root", id="reader", ...)`.

    Called from any thread; must not block. Events, all with `supervisor` (its path) unless other fields are named:

    - `child_started`: id, incarnation
    - `child_restarted`: id, incarnation, cause
    - `child_start_failed`: id, error, traceback
    - `child_exited`: id, incarnation, kind, restart, reason, where, handling, error, traceback
    - `child_abandoned`: id, incarnation, seconds
    - `child_refused`: id, reason
    - `restart_intensity_reached`, `child_parked`: id, reason
    - `message_unknown`: message
    - `interrupt_failed`, `bury_failed`, `let_go_failed`: path, error
    - `stop_timed_out`: seconds, alive
    - `tree_ended`: kind, reason, error
    """

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Tell one event."""
        ...


def no_log(event: str, /, **fields: Any) -> None:
    """Tell nobody."""


def _nobody(command: Any) -> bool:  # noqa: ARG001 - a supervisor that is not there
    return False


class Tally:
    """Counts of one whole tree, across restarts of its supervisors. Any thread."""

    __slots__ = ("_lock", "restarts", "threads_abandoned")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.restarts = 0
        self.threads_abandoned = 0

    def add_restart(self) -> None:
        """A child was started again."""
        with self._lock:
            self.restarts += 1

    def add_abandoned(self) -> None:
        """A thread did not end within its grace and was left to itself."""
        with self._lock:
            self.threads_abandoned += 1


@dataclass(frozen=True, slots=True)
class Context:
    """What an actor is built with."""

    id: str
    path: str
    """Ids from the root down, joined by "/": the thread's name."""

    book: Book
    """Where the actor is listed under its id, and finds its neighbours."""

    report: Callable[[Exited], object]
    """Takes the one `Exited` of this life; called in the actor's thread."""

    clock: Callable[[], float] = time.monotonic
    incarnation: int = 1
    """1 for the first life of a child, then rising with every restart."""

    parent_book: Book | None = None
    """The outer book, when `book` belongs to a sub-tree; None at the top."""

    command: Callable[[Any], bool] = _nobody
    """Takes a command for this actor's own supervisor (`RestartChild` of a neighbour, say). False if it has ended."""

    log: Log = no_log
    tally: Tally = field(default_factory=Tally)


StartFunction = Callable[[Context], pykka.ActorRef[Any]]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child. `id` is its name in the book and must be unique there."""

    id: str
    start: StartFunction
    restart: Restart = Restart.PERMANENT
    shutdown_seconds: float = SHUTDOWN_SECONDS
    """Grace between `Stop` and giving its thread up. A supervisor gets at least what its children may take."""

    kind: ChildKind = ChildKind.WORKER
    significant: bool = False
    """Its end (without restart) may end the supervisor: see `AutoShutdown`."""

    def __post_init__(self) -> None:
        if not self.id or "/" in self.id:
            raise SpecError(f"id: {self.id!r} is empty or has a slash")
        if not callable(self.start):
            raise SpecError(f"{self.id}: start must be callable")
        if not 0.0 <= self.shutdown_seconds < float("inf"):
            raise SpecError(f"{self.id}: shutdown_seconds must be finite and not negative, not {self.shutdown_seconds}")
        if self.significant and self.restart is Restart.PERMANENT:
            raise SpecError(f"{self.id}: a permanent child never ends for good, so it cannot be significant")


@dataclass(frozen=True, slots=True)
class Intensity:
    """More than `restarts` restarts within `seconds` are too many. Intensities of nested levels multiply."""

    restarts: int = 5
    seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.restarts < 0:
            raise SpecError(f"intensity: restarts must not be negative, not {self.restarts}")
        if not self.seconds > 0.0:
            raise SpecError(f"intensity: seconds must be positive, not {self.seconds}")


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """One supervisor. Children start in the order given and stop in reverse: the order is the dependency."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity = Intensity()
    children: tuple[ChildSpec, ...] = ()
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    own_book: bool = False
    """Open a book for this sub-tree: see `backstay.supervisor.book`."""

    parked_seconds: float | None = None
    """What becomes of a child that needs too many restarts. None: this supervisor gives up, as OTP's do. Seconds: the
    child is parked, and tried once in so many of them for as long as it takes. Where children depend on one another all
    but the temporary ones are parked together."""

    on_parked: Callable[[str], object] | None = None
    """Hears why children were parked, in the supervisor's thread, after they have ended. Must not block."""

    def __post_init__(self) -> None:
        ids = [child.id for child in self.children]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise SpecError(f"children: ids must be unique: {', '.join(twice)}")
        if self.parked_seconds is not None and not 0.0 < self.parked_seconds < float("inf"):
            raise SpecError(f"parked_seconds must be positive and finite, not {self.parked_seconds}")
        for child in self.children:
            self.admit(child)

    def admit(self, child: ChildSpec) -> None:
        """Check that a child fits under this supervisor. Raises `SpecError`."""
        if child.significant and self.auto_shutdown is AutoShutdown.NEVER:
            raise SpecError(f"{child.id}: significant has no meaning under auto_shutdown=NEVER")
