"""The journal: keeps what sessions hand it, and says so when it is kept. The only one who writes the file.

Whatever is wrong with the file is an answer (`NotKept`), never a crash: orders are refused and data goes on. The
journal looks after a broken file again every few seconds, for as long as it takes.

Pages that are waiting at the same time share one commit. Answers are called in the journal's thread (or in that which
buries the message, if the journal ends first) and must not block. Whatever reached the inbox is answered once, also
when the journal dies of it; only a disk that hangs leaves an answer open, so whoever waits for one waits with a limit.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from backstay.actors.journal_store import DOUBTFUL, PRUNE_ROWS, JournalError, JournalStore, Trouble
from backstay.metrics.blocks import COMMIT_BOUNDS, Histogram
from backstay.session.intents import IntentKey, JournalPage
from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import Command, ExitKind, ExitReason
from backstay.supervisor.specs import Context

JOURNAL = "journal"

BATCH_PAGES = 200
"""Pages in one commit: four seconds of orders at TWS's own limit, and far below a millisecond of writing."""

TEND_SECONDS = 5.0
"""Between two looks at the file: whether it can be used again, or whether it is still there. With every commit it is
looked as well. Costs nothing; who mends it waits no longer than that."""

PRUNE_SECONDS = 3600.0
"""Between two clean-ups."""

KEEP_SECONDS = 7 * 86_400.0
"""Concluded intents are kept so long: TWS itself tells of executions for a week at most."""

DISK_SECONDS = 30.0
"""A disk may take so long; another thread at the same file would not have it sooner."""

WAITING_PAGES = 10_000
"""Pages that may wait for the disk. Each holds an order; a disk that far behind is as good as broken."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The page of this token is on disk."""

    token: Hashable


@dataclass(frozen=True, slots=True)
class NotKept:
    """The page of this token is not, or what was asked for cannot be read. Nothing that it is about may be sent."""

    token: Hashable
    trouble: Trouble
    text: str


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the journal knows."""

    token: Hashable
    page: JournalPage


JournalAnswer = Kept | NotKept | Recalled
Tell = Callable[[JournalAnswer], object]


class _Question(Command):
    """A message that is answered even when the journal ends before it has seen it: the inbox buries commands so."""

    __slots__ = ()

    token: Hashable
    tell: Tell

    def reply(self, refusal: str | None) -> None:
        """Called by whoever buries the message."""
        del refusal
        _tell(self.tell, NotKept(self.token, Trouble.DENIED, "the journal has ended"))


@dataclass(frozen=True, slots=True)
class Keep(_Question):
    """To the journal: keep this page, then answer."""

    page: JournalPage
    token: Hashable
    tell: Tell


@dataclass(frozen=True, slots=True)
class Recall(_Question):
    """To the journal: what do you know of this connection (of all, without one)? With the latest `concluded` or not."""

    token: Hashable
    tell: Tell
    connection: str | None = None
    concluded: bool = False


@dataclass(frozen=True, slots=True)
class _Tend:
    """The journal to itself: see whether the file can be used now, and is where it was."""


@dataclass(frozen=True, slots=True)
class _Prune:
    """The journal to itself: forget what is old."""


def _nothing(*_: object, **__: object) -> None:
    """The default for whatever nobody wants to hear."""


@dataclass(slots=True)
class JournalMeter:
    """How the journal is doing. Written by its thread alone, read by any; outlives the actor. Times in seconds."""

    usable: bool = False
    trouble: str = ""
    in_doubt: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    """Orders whose fate is open in the file, by gateway and client id; none where there are none."""
    commits: int = 0
    pages: int = 0
    pruned: int = 0
    write_failures: int = 0
    commit_seconds: Histogram = field(default_factory=lambda: Histogram(COMMIT_BOUNDS))


@dataclass(frozen=True, slots=True)
class JournalParts:
    """What a journal is started with. `changed` hears whenever it becomes usable or unusable, and why."""

    make_store: Callable[[], JournalStore]
    meter: JournalMeter = field(default_factory=JournalMeter)
    changed: Callable[[bool, str], object] = _nothing
    log: Callable[..., object] = _nothing
    wall: Callable[[], float] = time.time


class Journal(Actor):
    """See the module."""

    inbox_limit = WAITING_PAGES

    def __init__(self, context: Context, *, parts: JournalParts) -> None:
        super().__init__(context)
        self._parts = parts
        self._meter = parts.meter
        self._store: JournalStore | None = None
        self._lost: JournalStore | None = None  # its file has gone, and could not be written anew so far
        self._refusal = JournalError(Trouble.DENIED, "not open")
        self._waiting: list[Keep] = []
        self._doubtful: set[IntentKey] = set()
        self._handlers: dict[type, Callable[[Any], object]] = {
            Keep: self._waiting_append,
            Recall: self._recall,
            _Tend: self._tend,
            _Prune: self._prune,
        }

    def begin(self) -> None:
        """Open the file. One that cannot be opened is an answer to all that is asked, and tried again later."""
        self._open()
        self.after(PRUNE_SECONDS, _Prune(), key=_Prune)
        self.after(TEND_SECONDS, _Tend(), key=_Tend)

    def receive(self, message: Any) -> None:
        """Do as told; commit once nobody else waits to be in it."""
        with self.excused(DISK_SECONDS):
            kind: type = message.__class__
            handler = self._handlers.get(kind)
            if handler is not None:
                handler(message)
            if self._waiting and (len(self._waiting) >= BATCH_PAGES or self.actor_inbox.empty()):
                self._commit()

    def end(self, reason: ExitReason) -> None:
        """Keep what waits, close the file. In a crash what waits may be its cause, and is not touched again."""
        if reason.kind is not ExitKind.CRASH:
            self._commit()
            with contextlib.suppress(JournalError):  # told already
                self._stay()
        self._refusal = JournalError(Trouble.DENIED, "the journal is being closed")
        self._say_no(self._refusal)
        self._close()

    # -- one method a message ----------------------------------------------------------------------------------------

    def _waiting_append(self, keep: Keep) -> None:
        self._waiting.append(keep)

    def _recall(self, recall: Recall) -> None:
        self._commit()  # who asks after having told wants to hear of it
        try:
            page = self._usable().read(recall.connection, concluded=recall.concluded)
        except JournalError as error:
            self._fail(error)
            _tell(recall.tell, NotKept(recall.token, error.trouble, str(error)))
        except BaseException as error:
            _tell(recall.tell, NotKept(recall.token, Trouble.BROKEN, type(error).__name__))
            raise
        else:
            _tell(recall.tell, Recalled(recall.token, page))

    def _tend(self, _message: _Tend) -> None:
        if self._store is None and self._lost is None:
            self._open()
        with contextlib.suppress(JournalError):  # told, and tried again
            self._stay()
            self._look_for_room()
        self.after(TEND_SECONDS, _Tend(), key=_Tend)

    def _look_for_room(self) -> None:
        """It was full. An order that comes meanwhile is tried as well; without one, nobody else would find out."""
        if self._meter.usable:
            return
        try:
            self._usable().try_room()
        except JournalError as error:
            self._fail(error)
        else:
            self._note(usable=True, trouble="")

    def _prune(self, _message: _Prune) -> None:
        pruned = 0
        try:
            if self._store is not None:
                pruned = self._store.prune(self._parts.wall() - KEEP_SECONDS)
        except JournalError as error:
            self._fail(error)
        self._meter.pruned += pruned
        more = pruned >= PRUNE_ROWS  # the rest has its turn after whoever waits now
        self.after(0.0 if more else PRUNE_SECONDS, _Prune(), key=_Prune)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        store = self._parts.make_store()
        try:
            store.open()
            self._doubtful = set(store.doubtful())
        except JournalError as error:
            store.close()
            self._give_up(error)
        else:
            self._meter.in_doubt = dict(Counter((key.connection, key.client_id) for key in self._doubtful))
            self._use(store)

    def _use(self, store: JournalStore) -> None:
        self._store, self._lost = store, None
        self._note(usable=True, trouble="")

    def _usable(self) -> JournalStore:
        if self._store is None:
            raise self._refusal.with_traceback(None)  # or its traceback would grow with each order that is refused
        return self._store

    def _stay(self) -> None:
        """Write a file that was deleted or replaced anew, and go on with that one. Raises if that can not be done."""
        store = self._lost or self._store
        if store is None:
            return
        found = store.astray()
        if not found:
            if self._lost is not None:
                self._use(store)  # whoever took it away has put it back
            return
        self._lost, self._store = store, None
        try:
            aside = store.rescue(f"{self._parts.wall():.0f}")
        except JournalError as error:
            told = JournalError(error.trouble, f"its file was {found}, and writing it anew failed: {error.detail}")
            self._give_up(told)
            raise told from error
        self._parts.log("journal_rescued", found=found, aside=aside)
        store.close()
        self._lost = None
        self._open()

    def _commit(self) -> None:
        if not self._waiting:
            return
        begun = time.perf_counter()
        try:
            self._usable().write([keep.page for keep in self._waiting])
            self._stay()  # what is reported as kept is where the next process looks for it
            self._usable()
        except JournalError as error:
            self._meter.write_failures += 1
            self._fail(error)
            self._say_no(error)
            return
        self._meter.commit_seconds.observe(time.perf_counter() - begun)
        self._meter.commits += 1
        self._meter.pages += len(self._waiting)
        self._note(usable=True, trouble="")
        kept, self._waiting = self._waiting, []
        for keep in kept:
            self._follow(keep.page)
            _tell(keep.tell, Kept(keep.token))

    def _say_no(self, error: JournalError) -> None:
        refused, self._waiting = self._waiting, []
        for keep in refused:
            _tell(keep.tell, NotKept(keep.token, error.trouble, str(error)))

    def _fail(self, error: JournalError) -> None:
        if self._store is None:
            return  # known, and looked after already
        if error.trouble is Trouble.FULL:
            self._note(usable=False, trouble=str(error))  # the file is as it was: the next page tries again
        else:
            self._close()
            self._give_up(error)

    def _give_up(self, error: JournalError) -> None:
        self._refusal = error
        self._note(usable=False, trouble=str(error))

    def _follow(self, page: JournalPage) -> None:
        for intent in page.intents:
            key, before = intent.key, len(self._doubtful)
            if intent.state in DOUBTFUL:
                self._doubtful.add(key)
            else:
                self._doubtful.discard(key)
            counts, whose = self._meter.in_doubt, (key.connection, key.client_id)
            counts[whose] = counts.get(whose, 0) + len(self._doubtful) - before
            if not counts[whose]:
                del counts[whose]

    def _close(self) -> None:
        for store in (self._store, self._lost):
            if store is not None:
                store.close()
        self._store = self._lost = None

    def _note(self, *, usable: bool, trouble: str) -> None:
        meter = self._meter
        if (meter.usable, meter.trouble) == (usable, trouble):
            return
        meter.usable, meter.trouble = usable, trouble
        self._parts.log("journal_usable" if usable else "journal_unusable", trouble=trouble)
        self._parts.changed(usable, trouble)


def _tell(tell: Tell, answer: JournalAnswer) -> None:
    with contextlib.suppress(Exception):  # the asker's failure, not the journal's
        tell(answer)
