"""The journal of a house: one actor, one file, told by every session that may place orders."""

from __future__ import annotations

from backstay.actors.journal import JOURNAL, Journal, JournalMeter, JournalParts, Keep, Recall
from backstay.actors.journal_store import Durability, JournalStore
from backstay.config import Config
from backstay.supervisor.actor import Ref
from backstay.supervisor.book import Book
from backstay.supervisor.specs import ChildSpec, Context, Log

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
