"""What a client was told last of each order: a list that backstay asks for tells it only what is new.

A round lists each order of the client twice, among its own and among all; the client asked for neither. What has gone
out as it stands, with nothing said of the order since, goes out no more. Anything else does, so that no change is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from backstay.protocol.errors import read_error
from backstay.protocol.messages import message_id, response_key
from backstay.session.watched import ERROR, OPEN_ORDER, ORDER_STATUS

MAX_TOLD = 40_000
"""Words remembered: two for each of as many orders as ids are remembered. Of one that is forgotten more is told."""


@dataclass(slots=True)
class LastTold:
    """See the module. Belongs to one thread. Words are told apart by their hash: the whole would be a kilobyte each."""

    version: int = 0
    """Of the server that said it; a client keeps to one."""
    _words: dict[tuple[int, int | None], int] = field(default_factory=dict[tuple[int, int | None], int])

    def tell(self, number: int, payload: bytes, version: int, *, listed: bool) -> bool:
        """Whether this openOrder or orderStatus is for the client; it counts as told. `listed`: in a list of ours."""
        self.version = version
        slot, word = (number, response_key(payload, version)), hash(payload)
        if listed and self._words.get(slot) == word:
            return False
        self._words.pop(slot, None)
        self._words[slot] = word
        if len(self._words) > MAX_TOLD:
            del self._words[next(iter(self._words))]
        return True

    def forget(self, order_id: int) -> None:
        """Something else was said of this order: it may look different to the client now."""
        for number in (OPEN_ORDER, ORDER_STATUS):
            self._words.pop((number, order_id), None)

    def hear_own(self, payload: bytes) -> None:
        """Backstay itself says this to the client."""
        if not self._words:
            return
        number = message_id(payload, self.version)
        error = read_error(payload, self.version) if number == ERROR else None
        if error is not None:
            self.forget(error.id)
        elif number == ORDER_STATUS:
            self.forget(response_key(payload, self.version) or 0)

    def forget_all(self) -> None:
        """Another client is there, and has been told nothing."""
        self._words.clear()
