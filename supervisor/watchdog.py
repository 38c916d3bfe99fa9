"""The watchdog: a plain thread that looks whether actors still move. It asks nobody, so nobody can hold it up.

Stuck is an actor that had something to do and got nothing done for `limit_seconds`, or whose thread is gone although
its life was never ended. An actor has nothing to do while it sleeps at its inbox, and while it is in a wait that may
last (`Actor.turns` is odd) and nothing lies in its inbox. One that has said how long it will take
(`Actor.excused_until`) is left alone until then.

Time counts only as far as the watchdog saw it pass: a process that was suspended, or a machine that was too busy even
for this thread, makes nobody stuck. The watchdog tells; what is to be done is its owner's business.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from backstay.supervisor.actor import Actor

_frames = sys._current_frames  # pyright: ignore[reportPrivateUsage] - the documented way

PERIOD_SECONDS: Final = 1.0
LIMIT_SECONDS: Final = 4.0
"""With the period this detects within 5 s; handlers of this product take milliseconds."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """An actor that does not move."""

    name: str
    """Its path."""

    seconds: float
    """For how long the watchdog has seen it so."""

    stack: str
    """Where its thread is; empty if the thread is gone."""

    actor: Actor

    gone: bool = False
    """Whether the thread is gone without the actor's life having ended."""


@dataclass(slots=True)
class _Watch:
    progress: tuple[int, int]
    seconds: float = 0.0
    told: bool = False


class Watchdog:
    """See the module. `actors` lists who lives now (`Root.actors`); `tell` is called once per time of being stuck."""

    def __init__(
        self,
        actors: Callable[[], Iterable[Actor]],
        tell: Callable[[Stuck], object],
        *,
        limit_seconds: float = LIMIT_SECONDS,
        period_seconds: float = PERIOD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._actors = actors
        self._tell = tell
        self._limit = limit_seconds
        self._period = period_seconds
        self._clock = clock
        self._looked = clock()
        self._watches: dict[str, _Watch] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look, once a period."""
        self._thread.start()

    def stop(self, timeout: float | None = None) -> None:
        """Stop looking and wait for the thread."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def check(self) -> list[Stuck]:
        """Look once: who is stuck that was not told of before."""
        now = self._clock()
        passed, self._looked = min(now - self._looked, 2 * self._period), now
        watches: dict[str, _Watch] = {}
        stuck: list[Stuck] = []
        for actor in self._actors():
            if not _should_move(actor):
                continue
            progress = (actor.handled, actor.turns)
            watch = self._watches.get(actor.actor_urn)
            if watch is None or watch.progress != progress:
                watch = _Watch(progress)
            else:
                watch.seconds += passed
            watches[actor.actor_urn] = watch
            gone = _is_gone(actor)
            if not watch.told and (gone or watch.seconds >= self._limit):
                watch.told = True
                stuck.append(Stuck(actor.context.path, watch.seconds, _stack(actor), actor, gone=gone))
        self._watches = watches
        return stuck

    def _run(self) -> None:
        while not self._stopped.wait(self._period):
            # Whoever watches the others must outlive what they and the listener do to it.
            with contextlib.suppress(Exception):
                for stuck in self.check():
                    self._tell(stuck)


def _is_gone(actor: Actor) -> bool:
    return not actor.thread.is_alive() and not actor.done.is_set()


def _should_move(actor: Actor) -> bool:
    if actor.done.is_set() or actor.abandoned:
        return False
    if _is_gone(actor):
        return True
    if actor.now() < actor.excused_until:
        return False
    inbox = actor.actor_inbox
    return inbox.length() > 0 if actor.turns % 2 else not inbox.waiting


def _stack(actor: Actor) -> str:
    ident = actor.thread.ident
    frame = None if ident is None else _frames().get(ident)
    return "" if frame is None else "".join(traceback.format_stack(frame))
