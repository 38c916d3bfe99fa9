"""The address book: names to live inboxes, so that a restarted actor keeps its address.

Nobody keeps a reference to an actor; one keeps a name and a book. A message to a name that nobody answers to
(not yet started, just being restarted, gone) is a dead letter: refused with False, and counted.

Scope: a supervisor whose spec says `own_book=True` opens a book for its sub-tree, so that plain names such as
"session" or "reader" are local to it. Supervisors below share it unless they ask for their own. The supervisor
itself is listed in the outer book, and that book's `inner(id)` is the sub-tree's book: the same object across
all restarts of that supervisor, which makes it a lasting address for the outside. A name with slashes is looked up
the same way: `book.send("paper/session", ...)`. Inside, `Context.parent_book` leads to the outer one.
"""

from __future__ import annotations

import threading
from typing import Any

from backstay.supervisor.inbox import Inbox
from backstay.supervisor.messages import Exited, Stop


class NameTaken(Exception):  # noqa: N818 - says what is the matter
    """A live actor of that name is in the book: ids must be unique within one book."""


class Book:
    """Directory of live inboxes. Thread-safe; sending never raises and never blocks."""

    __slots__ = ("_dead_letters", "_inboxes", "_inner", "_lock", "_outer", "_overflows")

    def __init__(self, outer: Book | None = None) -> None:
        self._outer = outer
        self._lock = threading.Lock()
        self._inboxes: dict[str, Inbox] = {}
        self._inner: dict[str, Book] = {}
        self._dead_letters = 0
        self._overflows = 0

    @property
    def dead_letters(self) -> int:
        """Messages nobody will handle, sent to a name without an actor or left over when one ended.

        Like `overflows`, of this book and those of all sub-trees, past ones included.
        """
        return self._dead_letters

    @property
    def overflows(self) -> int:
        """Messages refused because the receiver's lane was full."""
        return self._overflows

    def send(self, name: str, message: Any) -> bool:
        """Put a message on the data lane. False: not delivered, and counted."""
        inbox = self._find(name)
        if inbox is not None and inbox.post(message):
            return True
        return self._refused(inbox)

    def urge(self, name: str, message: Any) -> bool:
        """Put a message on the control lane, ahead of all data. False: not delivered, and counted."""
        inbox = self._find(name)
        if inbox is not None and inbox.post(message, control=True):
            return True
        return self._refused(inbox)

    def interrupt(self, name: str) -> bool:
        """Break the blocking wait that an actor may be in (`Actor.interrupt`), from this thread."""
        inbox = self._find(name)
        if inbox is None or inbox.interrupt is None:
            return False
        inbox.interrupt()
        return True

    def length(self, name: str) -> int:
        """Messages waiting for an actor; 0 if there is none of that name."""
        inbox = self._find(name)
        return 0 if inbox is None else inbox.length()

    def names(self) -> tuple[str, ...]:
        """Names of the actors that live now, in the order they were started."""
        with self._lock:
            return tuple(self._inboxes)

    def wake(self) -> None:
        """Have every actor of this book look at the clock again: for clocks that are set by hand."""
        with self._lock:
            inboxes = tuple(self._inboxes.values())
        for inbox in inboxes:
            inbox.wake()

    def inner(self, name: str) -> Book:
        """Return the book of the sub-tree below supervisor `name`: the same object until that child is forgotten.

        If there is none, an empty book in which nobody will ever be listed: everything sent to it is a dead letter.
        """
        return self._inner.get(name) or Book(self)

    def open_inner(self, name: str) -> Book:
        """Return the book of the sub-tree below `name`, made if need be: for the supervisor of that name."""
        with self._lock:
            return self._inner.setdefault(name, Book(self))

    def inner_names(self) -> tuple[str, ...]:
        """Names of the sub-trees that have a book of their own."""
        with self._lock:
            return tuple(self._inner)

    def forget(self, name: str) -> None:
        """Drop the inner book of a supervisor that will not come back."""
        with self._lock:
            self._inner.pop(name, None)

    def register(self, name: str, inbox: Inbox) -> None:
        """List a new life. Raises `NameTaken`."""
        with self._lock:
            if name in self._inboxes:
                raise NameTaken(f"{name!r} is in the book already")
            self._inboxes[name] = inbox

    def remove(self, name: str, inbox: Inbox) -> None:
        """Unlist a life, unless the name has passed on to another."""
        with self._lock:
            if self._inboxes.get(name) is inbox:
                del self._inboxes[name]

    def bury(self, leftovers: list[Any]) -> None:
        """Count what an ended actor did not handle. Words between it and its supervisor are no letters."""
        self._count(dead=sum(1 for message in leftovers if not isinstance(message, (Stop, Exited))))

    def _count(self, *, dead: int = 0, overflows: int = 0) -> None:
        with self._lock:
            self._dead_letters += dead
            self._overflows += overflows
        if self._outer is not None:
            self._outer._count(dead=dead, overflows=overflows)

    def _find(self, name: str) -> Inbox | None:
        inbox = self._inboxes.get(name)
        return self._below(name) if inbox is None else inbox

    def _below(self, name: str) -> Inbox | None:
        """Look a path up in the books of sub-trees."""
        first, slash, rest = name.partition("/")
        book = self._inner.get(first) if slash else None
        return None if book is None else book._find(rest)

    def _refused(self, inbox: Inbox | None) -> bool:
        if inbox is None or inbox.closed:
            self._count(dead=1)
        else:
            self._count(overflows=1)
        return False
