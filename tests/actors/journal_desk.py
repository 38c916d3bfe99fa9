"""One journal without a supervisor, and what it says, for the tests of the journal."""

import threading
from collections.abc import Callable
from typing import Any

from backstay.actors.journal import Journal, JournalParts
from backstay.actors.journal_store import JournalStore
from backstay.supervisor.book import Book
from backstay.supervisor.specs import Context

PATIENCE = 10.0  # for what takes milliseconds: only a failing test waits so long


class Answers:
    """What somebody was told, in order, from any thread; can be waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.entries: list[Any] = []

    def __call__(self, *entry: Any) -> None:
        with self._changed:
            self.entries.append(entry[0] if len(entry) == 1 else entry)
            self._changed.notify_all()

    def log(self, event: str, /, **fields: Any) -> None:
        self((event, fields))

    def wait(self, count: int) -> list[Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.entries) >= count, PATIENCE), self.entries
            return list(self.entries)


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """One journal without a supervisor, and what became of it."""

    def __init__(self) -> None:
        self.book = Book()
        self.clock = Clock()
        self.exits, self.changes, self.logged = Answers(), Answers(), Answers()
        self.wall = 1_000_000.0
        self.actor: Any = None
        self.parts: Any = None

    def start(self, make_store: Callable[[], JournalStore]) -> Any:
        self.parts = JournalParts(make_store, changed=self.changes, log=self.logged.log, wall=lambda: self.wall)
        context = Context("journal", "journal", self.book, self.exits, clock=self.clock)
        self.actor = Journal.start(context, parts=self.parts).actor
        return self.actor

    def send(self, message: Any) -> None:
        assert self.book.send("journal", message)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.book.wake()

    def stop(self) -> None:
        self.actor.dismiss()
        assert self.actor.done.wait(PATIENCE)
