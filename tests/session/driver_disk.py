"""The journal of the driver's world: what it has answered for survives a crash, and what it was doing perhaps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backstay.session.intents import HighWater, Intent, IntentKey, JournalPage
from backstay.session.order_journal import JOURNAL_RETRY_SECONDS
from backstay.session.order_words import LookedUp, LookUp, NotWrittenDown, WriteDown, WrittenDown

if TYPE_CHECKING:
    from driver import World

TINY = 1e-6


@dataclass
class Disk:
    """Keeps pages in their order, one commit for all that wait."""

    world: World
    intents: dict[IntentKey, Intent] = field(default_factory=dict)
    high: dict[tuple[str, int], int] = field(default_factory=dict)
    waiting: deque[WriteDown | LookUp] = field(default_factory=deque)
    trouble: str = ""
    life: int = 0
    said_no_at: float | None = None  # first, and the session has heard it and left the disk alone since

    def heard(self, event: object) -> None:
        """The session hears an answer."""
        if isinstance(event, WrittenDown | LookedUp):
            self.said_no_at = None
        elif isinstance(event, NotWrittenDown) and self.said_no_at is None:
            self.said_no_at = self.world.now

    def _check_rest(self, question: WriteDown) -> None:
        orders, said_no_at = self.world.core.orders, self.said_no_at
        if said_no_at is not None and all(item.token != question.token for item in orders.unkept):
            rested = self.world.now - said_no_at >= JOURNAL_RETRY_SECONDS - TINY
            assert rested, "a full disk is left alone for a while, but for orders"
            self.said_no_at = None

    def ask(self, question: WriteDown | LookUp) -> None:
        if isinstance(question, WriteDown):
            self._check_rest(question)
        self.waiting.append(question)
        if len(self.waiting) == 1:
            life = self.life
            delay = self.world.chance.choice((0.0005, 0.0005, 0.004, 0.3))
            self.world.after(delay, lambda: self._serve() if life == self.life else None)

    def _serve(self) -> None:
        served, self.waiting = self.waiting, deque()
        for question in served:
            if self.trouble:
                self.world.post(NotWrittenDown(question.token, self.trouble))
            elif isinstance(question, LookUp):
                marks = tuple(HighWater(*owner, order_id) for owner, order_id in self.high.items())
                unended = tuple(intent for intent in self.intents.values() if not intent.is_concluded)
                self.world.post(LookedUp(question.token, JournalPage(unended, marks)))
            else:
                self._keep(question.page)
                self.world.post(WrittenDown(question.token))

    def _keep(self, page: JournalPage) -> None:
        for intent in page.intents:
            self.intents[intent.key] = intent
        for mark in page.high_waters:
            owner = mark.connection, mark.client_id
            assert mark.order_id >= self.high.get(owner, -1), "order ids only rise"
            self.high[owner] = mark.order_id

    def crash(self) -> None:
        """The process is gone: of what it had not answered for, the first pages may be on disk."""
        kept = self.world.chance.randrange(len(self.waiting) + 1)
        for question in list(self.waiting)[:kept]:
            if isinstance(question, WriteDown) and not self.trouble:
                self._keep(question.page)
        self.waiting.clear()
        self.life += 1
