"""What one connection is charged with: it outlives its actors, and is found again by the next ones."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backstay.actors.journal import Keep, Recall
from backstay.actors.traffic import Credit, Traffic
from backstay.metrics.blocks import ConnectionMeter
from backstay.protocol.handshake import Hello
from backstay.session.causes import Cause
from backstay.session.client_words import Attend
from backstay.session.endpoints import NO_MOVES, Moved, Moves
from backstay.session.historical import Asked, Sent
from backstay.session.intents import Intent
from backstay.session.owed import Owed, View
from backstay.session.own_words import OwnWord
from backstay.session.settings import Settings
from backstay.session.told import NOTHING_TOLD, Knowledge, Told
from backstay.session.vocabulary import Deliver, Noted
from backstay.supervisor.backoff import Backoff
from backstay.supervisor.quarantine import Quarantine

Word = Deliver | Attend | OwnWord
"""What is said in line with the frames that are passed on."""

HEAD_BYTES = 40
"""Of a message that is set aside: its number and its id, seldom more."""


def _nothing(*_: object, **__: object) -> None:
    """The default for whatever nobody wants to hear."""


def _nobody(_: object) -> bool:
    """The default for a journal."""
    return False


Answer = Callable[[str], object]
"""Takes an owner's answer, in any thread: why an order may not be sent again, or nothing if it may."""


def _no_owner(_: str, __: Intent, answer: Answer) -> None:
    """The default for an owner who may veto."""
    answer("nobody is there to be asked")


@dataclass(frozen=True, slots=True)
class Outside:
    """Whom a session tells what. Called in the session's thread; none of these may block."""

    meter: ConnectionMeter
    show: Callable[[View], object] = _nothing
    remember: Callable[[Hello], object] = _nothing
    move: Callable[[Moved], object] = _nothing
    moves: Callable[[], Moves] = lambda: NO_MOVES  # what all connections of this gateway know together
    note_asked: Callable[[Sent], object] = _nothing
    asked: Callable[[], Asked] = lambda: ()  # historical queries of all connections of this gateway
    note_told: Callable[[Told], object] = _nothing
    told: Callable[[], Knowledge] = lambda: NOTHING_TOLD  # by this gateway, to any of its connections
    refund: Callable[[int], object] = _nothing
    present: Callable[[bool], object] = _nothing  # whether the session takes messages
    log: Callable[..., object] = _nothing
    journal: Callable[[Keep | Recall], bool] = _nobody  # False if nobody is there to keep anything
    ask_owner: Callable[[str, Intent, Answer], object] = _no_owner  # about an order of the connection of this name
    parked: Callable[[str], object] = _nothing  # in the supervisor's thread: no session lives, and why


@dataclass(slots=True)
class Charge:
    """What a session is started with, and finds again after a restart of its actor: it outlives the actor."""

    settings: Settings
    owed: Owed
    backoff: Backoff
    outside: Outside
    traffic: Traffic
    credit: Credit
    attempts: dict[int, int] = field(default_factory=dict[int, int])  # of the backoff, by number of the endpoint
    wanted: bool = False
    over: bool = False  # the client has gone, or somebody has said stop: what is left is to end
    undelivered: deque[Any] = field(default_factory=deque[Any])  # what clients and operators want, not yet heard
    unheard: deque[Noted] = field(default_factory=deque[Noted])  # what the client was given meanwhile
    unsaid: deque[Word] = field(default_factory=deque[Word])  # what no dispatcher has taken
    in_hand: int = 0  # bytes of the client's window that the session has to give back
    chance: random.Random = field(default_factory=random.SystemRandom)
    deadly: Quarantine = field(default_factory=Quarantine)  # of the session
    deadly_frames: Quarantine = field(default_factory=Quarantine)  # of the dispatcher

    def park(self, reason: str, seconds: float) -> None:
        """The session crashes again and again, or what it needs does: none lives now. In its supervisor's thread."""
        meter, now_wall = self.outside.meter, time.time()
        meter.set_wanted(time.monotonic(), expected=self.wanted, up=False)
        meter.circuit_open = True
        meter.show("parked", now_wall)
        meter.next_attempt_wall = now_wall + seconds
        meter.reason = f"{Cause.SESSION_DIED.value}: {reason}"
        self.outside.parked(meter.reason)

    def blame(self, quarantine: Quarantine, actor: str) -> None:
        """One of the two has died, or hangs, of what it had in hand: tell what will be set aside from now on."""
        piece = quarantine.blame()
        if piece is not None:
            name = self.outside.meter.name
            self.outside.log(
                "message_quarantined", connection=name, actor=actor, size=len(piece), head=piece[:HEAD_BYTES]
            )
