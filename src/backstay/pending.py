"""One read that waits for its answer. Written by the connection's threads; the application has the future."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any

from backstay.errors import BackstayError, MisuseError
from backstay.library_words import blame, concludes, notice_of
from backstay.protocol.events import Bars, Error, OpenOrder, SnapshotEnd
from backstay.protocol.vocabulary import Kind, Request
from backstay.session.notices import Notice

MAX_ROWS = 500_000
"""Rows of one answer: more than IB sends. What goes beyond ends the request, not the process."""

HISTORICAL_TICKS = 96


class Pending:
    """See the module. `values` are as the application gave them: the request is built when the version is known."""

    def __init__(self, name: str, request: Request, *, key: int | None, values: dict[str, object]) -> None:
        self.name = name
        self.request = request
        self.key = key
        self.values = values
        self.kind = request.kind
        self.payload = b""
        self.ends: frozenset[int] = frozenset()
        self.fail_fast = False
        self.given_up = False  # by the application or its deadline, while TWS may still be at it
        self.deadline = -1
        self.future: Future[Any] = Future()
        self.on_end: Callable[[Pending], object] = lambda _: None
        self.ask_again: Callable[[Pending], object] = lambda _: None
        self.on_late: Callable[[Pending], object] = lambda _: None
        self._rows: list[Any] = []
        self.future.add_done_callback(lambda _: self.on_end(self))

    @property
    def over(self) -> bool:
        """Whether nobody waits any more: answered, failed, or given up by the application."""
        return self.future.done()

    def wants(self, message_id: int) -> bool:
        """Whether such a message, which carries no id of a request, may be part of its answer."""
        return message_id in self.request.answers or message_id in self.ends

    def take(self, message_id: int, event: Any, *, final: bool) -> None:
        """One message of the answer. `final`: it does not say of itself that more will follow."""
        if isinstance(event, Bars):
            self._rows += event.bars
        elif not isinstance(event, SnapshotEnd):
            self._rows.append(event)
        if final and message_id in self.ends:
            whole = self.kind is Kind.SNAPSHOT or self.request.id == HISTORICAL_TICKS
            self._settle(_each_order_once(self._rows) if whole else next(iter(self._rows), None))
        elif len(self._rows) > MAX_ROWS:
            self.give_up(MisuseError(f"{self.name}: the answer has more than {MAX_ROWS} rows"))

    def put(self, event: Any) -> None:
        """A tick of a snapshot."""
        self.take(0, event, final=False)

    def hear(self, error: Error) -> None:
        """An error on its id. An answer that broke off is asked for again: nobody has seen its first half."""
        if notice_of(error) is Notice.HALF_ANSWER and not self.fail_fast:
            self._rows = []
            self.ask_again(self)
        elif concludes(error, self.request):
            self.fail(blame(error))

    def fail(self, error: BackstayError) -> None:
        """There will be no answer."""
        try:
            self.future.set_exception(error)
        except InvalidStateError:
            self.on_late(self)

    def give_up(self, error: BackstayError) -> None:
        """Nobody waits for the answer any more, though it may come."""
        if not self.over:
            self.given_up = True
            with contextlib.suppress(InvalidStateError):  # it has come at this moment
                self.future.set_exception(error)

    def _settle(self, answer: Any) -> None:
        try:
            self.future.set_result(answer)
        except InvalidStateError:  # the application has given up meanwhile
            self.on_late(self)


def _each_order_once(rows: list[Any]) -> list[Any]:
    """What happens to an order while its list is on its way is told among the rows: the last word counts."""
    if not rows or not isinstance(rows[0], OpenOrder):
        return rows
    return list({(one.perm_id, one.client_id, one.order_id): one for one in rows}.values())
