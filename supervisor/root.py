"""The handle of a running tree: a plain object for the thread that composes the process, not an actor."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from backstay.supervisor.actor import Actor
from backstay.supervisor.book import Book
from backstay.supervisor.messages import Answer, Exited, RestartChild, StartChild, StopChild
from backstay.supervisor.specs import ChildKind, ChildSpec, Log, Tally
from backstay.supervisor.tree import ChildState, Parent, TreeNode, is_alive
from backstay.supervisor.watchdog import Stuck, Watchdog

COMMAND_SECONDS: Final = 10.0
"""How long a command waits for its outcome unless told otherwise: two graces of a child."""


class Root:
    """A running tree. All methods may be called from any thread outside the tree."""

    supervisor: Parent
    book: Book
    """Where the top-level children are listed; sub-trees with a book of their own: `book.inner(id)`."""

    def __init__(self, *, log: Log, on_exit: Callable[[Exited], object] | None = None) -> None:
        self.tally = Tally()
        self._watchdog: Watchdog | None = None
        self.exited: Exited | None = None
        """How the tree ended; None while it stands."""
        self._log = log
        self._on_exit = on_exit

    def attach(self, supervisor: Parent, book: Book, *, watch: bool) -> None:
        """Take the started root supervisor in charge: once, by `start_root`."""
        self.supervisor = supervisor
        self.book = book
        if watch:
            self._watchdog = Watchdog(self.actors, self._replace)
            self._watchdog.start()

    def tree(self) -> TreeNode:
        """The whole tree at this moment. Asks nobody, so it works while actors hang."""
        top = self.supervisor
        alive = is_alive(top)
        return TreeNode(
            name=top.context.id,
            path=top.context.path,
            kind=ChildKind.SUPERVISOR,
            state=ChildState.RUNNING if alive else ChildState.STOPPED,
            alive=alive,
            restarts=0,
            incarnation=top.context.incarnation,
            mailbox_length=top.actor_inbox.length(),
            handled=top.handled,
            progress=top.progress,
            children=top.tree(),
            waits=top.actor_inbox.waits,
        )

    def actors(self) -> Iterator[Actor]:
        """Every actor that runs now, the root supervisor first."""
        if not self.supervisor.done.is_set():
            yield self.supervisor
            yield from self.supervisor.descendants()

    def start_child(self, path: str, spec: ChildSpec, *, timeout: float = COMMAND_SECONDS) -> str | None:
        """Add a child under the supervisor at `path` ("" or the root's name: the root). Returns None, or why not."""
        return self._command(path, lambda answer: StartChild(spec, answer), timeout)

    def stop_child(self, path: str, child_id: str, *, reason: str = "", timeout: float = COMMAND_SECONDS) -> str | None:
        """Stop and forget a child. Returns None, or why not."""
        return self._command(path, lambda answer: StopChild(child_id, reason, answer), timeout)

    def restart_child(
        self, path: str, child_id: str, *, reason: str = "", timeout: float = COMMAND_SECONDS
    ) -> str | None:
        """Restart a child and those tied to it. Returns None, or why not."""
        return self._command(path, lambda answer: RestartChild(child_id, reason, answer), timeout)

    def stop(self, timeout: float | None = None) -> bool:
        """Stop everything, last started first. True once the last actor has ended.

        Without a timeout it waits as long as the graces of all children allow. When False is returned, what is left
        are daemon threads.
        """
        seconds = self.supervisor.stop_seconds() if timeout is None else timeout
        self.supervisor.dismiss("the tree is stopped")
        ended = self.wait_empty(seconds)
        if self._watchdog is not None:
            self._watchdog.stop(COMMAND_SECONDS)
        if not ended:
            names = [actor.context.path for actor in self.actors() if not actor.done.is_set()]
            self.log("stop_timed_out", seconds=seconds, alive=names)
        return ended

    def wait_empty(self, timeout: float | None = None) -> bool:
        """Wait until the tree has ended, for whatever reason. Threads that were abandoned do not count."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self.supervisor.done.wait(timeout):
            return False
        self.supervisor.thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return True

    def log(self, event: str, /, **fields: Any) -> None:
        """Pass an event on; a log that fails must not take an actor with it."""
        with contextlib.suppress(Exception):
            self._log(event, **fields)

    def on_exited(self, exited: Exited) -> None:
        """Hear the end of the root supervisor, in its thread."""
        self.exited = exited
        self.log("tree_ended", kind=exited.kind.value, reason=exited.text, error=exited.error)
        if self._on_exit is not None:
            with contextlib.suppress(Exception):
                self._on_exit(exited)

    def _replace(self, stuck: Stuck) -> None:
        """In the watchdog's thread."""
        self.log("actor_stuck", path=stuck.name, seconds=stuck.seconds, gone=stuck.gone, traceback=stuck.stack)
        stuck.actor.replace(stuck.seconds, stuck.stack)

    def _command(self, path: str, build: Callable[[Answer], Any], timeout: float) -> str | None:
        target = self._find(path)
        if target is None:
            return f"no supervisor at {path!r}"
        answered = threading.Event()
        outcome: list[str | None] = []

        def answer(refusal: str | None) -> None:
            outcome.append(refusal)
            answered.set()

        if not target.actor_inbox.post(build(answer), control=True):
            return f"{path!r} has ended"
        if not answered.wait(timeout):
            return f"no outcome within {timeout:g} s"
        return outcome[0]

    def _find(self, path: str) -> Parent | None:
        top = self.supervisor
        if path in ("", top.context.path):
            return top
        for actor in top.descendants():
            if actor.context.path == path and isinstance(actor, Parent):
                return actor
        return None
