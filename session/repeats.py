"""Reads, and previews of orders, that were written more than once: of their answers the client gets one."""

from __future__ import annotations

from dataclasses import dataclass, field

from backstay.protocol.codes import CodeGroup, code_info
from backstay.protocol.errors import read_error
from backstay.protocol.messages import response_key, ticks_done
from backstay.protocol.order_fields import read_order
from backstay.protocol.responses import HISTORICAL_TICKS
from backstay.session.sieve_words import Swallow
from backstay.session.watched import ERROR, OPEN_ORDER

MAX_REPEATED = 1_000
"""Repeated reads whose answers are counted; should more be late at once, the client gets those of the rest twice."""

MAX_ROWS_COMPARED = 5_000
"""Rows of a repeated read kept to know them again; a longer answer is not taken apart."""


@dataclass(slots=True)
class Repeated:
    """A read that was written more than once: how many whole answers are still to come, and are one too many."""

    numbers: frozenset[int]
    ends: frozenset[int]
    copies: int = 2
    rows: set[bytes] = field(default_factory=set[bytes])  # of the first answer; the others may come in between
    had_one: bool = False
    refusal: tuple[int, str] | None = None  # of the first answer, if it was one: the others come in the same words


@dataclass(slots=True)
class Repeats:
    """The repeated reads of an epoch."""

    by_key: dict[tuple[int, bool], Repeated] = field(default_factory=dict[tuple[int, bool], Repeated])
    """By request id, or by order id and True: the two are often the same small numbers."""

    def swallow(self, swallow: Swallow) -> None:
        """One answer passes, and no other; without numbers, all pass again."""
        key = swallow.key, OPEN_ORDER in swallow.numbers
        if not swallow.numbers:
            self.by_key.pop((swallow.key, False), None)
            self.by_key.pop((swallow.key, True), None)
        elif key in self.by_key:
            self.by_key[key].copies += 1
        elif len(self.by_key) < MAX_REPEATED:
            self.by_key[key] = Repeated(swallow.numbers, swallow.ends)

    def is_extra(self, number: int, payload: bytes, version: int) -> bool:
        """Whether this belongs to an answer that the client has had."""
        if number == ERROR:
            return self._is_extra_refusal(payload, version)
        is_order, key = number == OPEN_ORDER, response_key(payload, version)
        found = None if key is None else self.by_key.get((key, is_order))
        if found is None or key is None or number not in found.numbers:
            return False
        if is_order and not _is_preview(payload, version):
            return False
        extra = found.had_one or payload in found.rows
        if len(found.rows) < MAX_ROWS_COMPARED:
            found.rows.add(payload)
        if number in found.ends and (number not in HISTORICAL_TICKS or ticks_done(payload, version)):
            found.had_one = True
            self._one_less((key, is_order))
        return extra

    def _is_extra_refusal(self, payload: bytes, version: int) -> bool:
        """An error ends an answer, too. In other words it may be about something else that has the same number."""
        error = read_error(payload, version)
        if error is None or code_info(error.code).group is not CodeGroup.REJECTED:
            return False
        for key in ((error.id, True), (error.id, False)):
            if (found := self.by_key.get(key)) is not None:
                before, found.refusal = found.refusal, (error.code, error.text)
                self._one_less(key)
                return before == found.refusal
        return False

    def _one_less(self, key: tuple[int, bool]) -> None:
        self.by_key[key].copies -= 1
        if not self.by_key[key].copies:
            del self.by_key[key]


def _is_preview(payload: bytes, version: int) -> bool:
    facts = read_order(payload, version)
    return facts is not None and facts.what_if
