"""The journal of a house: one actor, one file, told by every session that may place orders."""

from __future__ import annotations

from collections.abc import Sequence
from queue import Empty, SimpleQueue

from backstay.actors.journal import (
    JOURNAL,
    Journal,
    JournalAnswer,
    JournalMeter,
    JournalParts,
    Keep,
    NotKept,
    Recall,
    Recalled,
)
from backstay.actors.journal_store import Durability, JournalStore
from backstay.config import Config
from backstay.session.intents import Intent
from backstay.supervisor.actor import Ref
from backstay.supervisor.book import Book
from backstay.supervisor.specs import ChildSpec, Context, Log

RECALL_SECONDS = 3.0
"""For an operator who asks what the journal knows: it takes milliseconds, and his command line waits for five."""

DURABILITY = {"full": Durability.HOST, "process": Durability.PROCESS}


class Keeping:
    """Where pages go. Made before the tree stands; `send` may be called from any thread, and says False until then."""

    def __init__(self, config: Config, log: Log) -> None:
        self._config = config.journal
        self._log = log
        self._book: Book | None = None
        self.meter = JournalMeter()

    @staticmethod
    def is_needed(config: Config) -> bool:
        """Whether anybody may place orders."""
        relays, connections = config.relays.values(), config.connections.values()
        return not all(relay.read_only for relay in relays) or not all(one.read_only for one in connections)

    @property
    def trouble(self) -> str:
        """Why orders cannot be written down; empty while they can, or have not had to be."""
        return self.meter.trouble

    @property
    def usable(self) -> bool | None:
        """The same for the metrics. None: nobody may place orders, or nothing runs yet, and there is no journal."""
        return None if self._book is None else not self.meter.trouble

    def recall(self, gateway: str, client_id: int) -> Sequence[Intent]:
        """What the journal knows of the open orders of a client. Blocks. Raises LookupError with the reason."""
        answers: SimpleQueue[JournalAnswer] = SimpleQueue()
        if not self.send(Recall("", answers.put, gateway)):
            raise LookupError("there is no journal")
        try:
            answer = answers.get(timeout=RECALL_SECONDS)
        except Empty:
            raise LookupError("the journal does not answer") from None
        if isinstance(answer, Recalled):
            return [intent for intent in answer.page.intents if intent.key.client_id == client_id]
        raise LookupError(answer.text if isinstance(answer, NotKept) else "the journal says nothing")

    def child(self) -> ChildSpec:
        """The journal's place in the tree: before whoever has something to be kept."""
        path, durability = self._config.path, DURABILITY[self._config.durability]
        parts = JournalParts(lambda: JournalStore(path, durability), meter=self.meter, log=self._log)

        def start(context: Context) -> Ref[Journal]:
            self._book = context.book
            return Journal.start(context, parts=parts)

        return ChildSpec(JOURNAL, start)

    def send(self, message: Keep | Recall) -> bool:
        """Hand a question to the journal. False if there is nobody to take it."""
        book = self._book
        return book is not None and book.send(JOURNAL, message)
