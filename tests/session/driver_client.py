"""The client of the driver: asks for things, and keeps an account of everything it was told."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import speech
import speech_orders
from driver_book import FIRST_ORDER

from backstay.protocol.commands import cancel_frame
from backstay.protocol.errors import read_error, read_next_valid_id
from backstay.protocol.framing import PREFIX_BYTES, Splitter
from backstay.protocol.messages import ends, kind_of, message_id, response_key, ticks_done
from backstay.protocol.order_fields import read_execution, read_order
from backstay.protocol.vocabulary import Kind
from backstay.session.notices import Notice
from backstay.session.orders import Journal
from backstay.session.reasons import Reason

if TYPE_CHECKING:
    from driver import World

OURS = "backstay:"
ORDERS = (3, 21)
TINY = 1e-6
CONTENT = (93, 16)
"""Answers without an id that say what they answer: the rule of a market, the groups of an adviser."""

HEALTHY_SECONDS = 60.0
"""A gateway that has answered for so long has been asked again whatever it had dropped."""

_TOKEN = re.compile(rb"#\d+")

ENDINGS = ("Filled", "Cancelled")
IN_DOUBT = (2163, 2165)
INACTIVE = "Inactive"  # never a word of this TWS


@dataclass(eq=False)
class Asked:
    """One request, and what became of it as far as the client can tell."""

    number: int
    key: int | None
    payload: bytes
    kind: Kind
    at: float
    token: str = ""
    life: int = 1  # of the process
    rows: int = 0
    ended: int = 0
    errors: list[tuple[int, bool]] = field(default_factory=list)  # code, whether backstay said so
    cancelled: bool = False
    cancel_taken: bool = False  # by the session
    writes: list[int] = field(default_factory=list)  # epochs
    is_preview: bool = False
    written_at: float = float("-inf")
    first_written_at: float = 0.0

    @property
    def outcomes(self) -> int:
        return self.ended + len([code for code, _ in self.errors if not 2100 <= code < 2170])


@dataclass
class Client:
    world: World
    version: int = 0
    splitter: Splitter = field(default_factory=Splitter)
    asked: list[Asked] = field(default_factory=list)
    by_payload: dict[bytes, Asked] = field(default_factory=dict)
    by_key: dict[int, Asked] = field(default_factory=dict)
    previews: dict[int, Asked] = field(default_factory=dict)  # by the order id that they used
    ordered: set[int] = field(default_factory=set)  # ids under which orders were asked for, by those before as well
    cancels: dict[bytes, deque[Asked]] = field(default_factory=dict)
    wanted: dict[tuple[int, int | None], Asked] = field(default_factory=dict)
    heard: Counter[int] = field(default_factory=Counter)
    answers: set[str] = field(default_factory=set)  # tokens of answers without an id
    outages: list[int] = field(default_factory=list)
    order_errors: dict[int, list[int]] = field(default_factory=dict)  # backstay's own, by order id
    orders_spoken_of: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)  # orders that the client takes for ended
    refused: set[int] = field(default_factory=set)  # and those that have never begun
    refusals: dict[int, list[int]] = field(default_factory=dict)  # TWS's own, by order id
    fills: Counter[str] = field(default_factory=Counter)  # as they happened
    sees_others_since: float = float("inf")  # a fill of another client was told as it happened
    found_fills: set[str] = field(default_factory=set)  # in answers to its own questions
    former_fills: set[str] = field(default_factory=set)
    order_words: dict[bytes, tuple[int, str]] = field(default_factory=dict)  # quantity and reference
    unsolicited: list[tuple[int, int, str]] = field(default_factory=list)
    next_key: int = 0
    next_order: int = FIRST_ORDER
    serial: int = 0

    def inherit(self, former: Client) -> None:
        """What the world, if not this client, knows of those before it."""
        self.by_payload, self.order_words, self.serial = former.by_payload, former.order_words, former.serial
        self.asked = [asked for asked in former.asked if asked.number in ORDERS]
        self.next_key, self.ordered = former.next_key, set(former.ordered)
        self.former_fills = former.former_fills | former.fills.keys()

    def words_of_order(self, payload: bytes) -> tuple[int, str]:
        """Quantity and reference of an order that was asked for."""
        return self.order_words.get(payload, (1, ""))

    # -- asking --------------------------------------------------------------------------------------------------------

    def ask(self, number: int, *, flag: bool = False, key: int | None = None) -> Asked:
        self.serial += 1
        order = number in (3, 4, 21)
        if key is None:
            key = self.next_order if order else self.next_key
            self.next_order, self.next_key = self.next_order + order, self.next_key + (not order)
        token = f"#{self.serial}"
        payload = (
            self._order(key, token) if number == 3 else speech.ask(self.version, number, key, word=token, flag=flag)
        )
        if order:
            self.ordered.add(key)
        kind = kind_of(payload, self.version)
        keyed = speech.REQUESTS[number].key is not speech.Key.NONE
        asked = Asked(number, key if keyed else None, payload, kind, self.world.now, token, self.world.lives)
        self.asked.append(asked)
        self.by_payload[payload] = asked
        if keyed and not order:
            self.by_key[key] = asked
        if kind is Kind.STREAM:
            self.wanted[number, asked.key] = asked
        return asked

    def _order(self, order_id: int, token: str) -> bytes:
        quantity, order_ref = 1 + self.serial % 7, f"ref{self.serial}" if self.serial % 3 else ""
        payload = speech_orders.place(self.version, order_id, quantity=quantity, order_ref=order_ref, word=token)
        self.order_words[payload] = quantity, order_ref
        return payload

    def preview(self) -> Asked:
        """Ask what an order would cost."""
        self.serial += 1
        order_id, token = self.next_order, f"#{self.serial}"
        self.next_order += 1
        payload = speech_orders.preview(self.version, order_id, quantity=1 + self.serial % 7, word=token)
        kind, world = kind_of(payload, self.version), self.world
        asked = Asked(3, order_id, payload, kind, world.now, token, world.lives, is_preview=True)
        self.previews[order_id] = self.by_payload[payload] = asked
        return asked

    @property
    def may_preview(self) -> bool:
        """Whether the next order id was never used: what is said of it is said of its preview."""
        return self.heard[9] > 0 and self.next_order not in self.ordered

    def last_preview(self) -> int | None:
        """The order id of an answered preview, if no other was used since: an order may have it now."""
        asked = self.previews.get(self.next_order - 1)
        return asked.key if asked is not None and asked.outcomes and asked.key not in self.ordered else None

    def cancel(self, asked: Asked) -> bytes | None:
        frame = cancel_frame(asked.payload, self.version)
        if frame is None:
            return None
        asked.cancelled = True
        if self.wanted.get((asked.number, asked.key)) is asked:
            del self.wanted[asked.number, asked.key]
        payload = frame[PREFIX_BYTES:]
        self.cancels.setdefault(payload, deque()).append(asked)
        return payload

    def cancels_taken(self, payloads: tuple[bytes, ...]) -> None:
        for payload in payloads:
            if self.cancels.get(payload):
                self.cancels[payload].popleft().cancel_taken = True

    def token_of(self, payload: bytes) -> str:
        asked = self.by_payload.get(payload)
        return "?" if asked is None else asked.token

    # -- hearing -------------------------------------------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        chunk = self.splitter.push(data)
        assert self.splitter.broken is None
        for payload in chunk.payloads() if chunk else ():
            self._hear(payload)
        assert self.splitter.pending == 0, "the client gets whole frames"

    def _hear(self, payload: bytes) -> None:
        if not self.version:
            number, _, _rest = payload.partition(b"\0")
            self.version = int(number)
            self.world.client_has_hello()
            return
        number = message_id(payload, self.version)
        self.heard[number] += 1
        if number == 4:
            self._hear_error(payload)
            return
        if number in _TOLD:
            _TOLD[number](self, payload)
        if number in (3, 5):
            return
        if number in CONTENT:
            self.answers.update(token.decode() for token in _TOKEN.findall(payload))
        key = response_key(payload, self.version)
        asked = self.by_key.get(key) if key is not None else None
        if asked is None or asked.kind not in (Kind.ONESHOT, Kind.SNAPSHOT):
            return
        final = number in ends(asked.payload, self.version)
        if final and (number not in (96, 97, 98) or ticks_done(payload, self.version)):
            asked.ended += 1
        else:
            asked.rows += 1

    def _hear_error(self, payload: bytes) -> None:
        error = read_error(payload, self.version)
        assert error is not None
        if error.text.startswith(OURS) and error.code in (1100, 1102):
            self.outages.append(error.code)
            return
        assert error.code not in (326, 1300)
        ours = error.text.startswith(OURS)
        if error.id in self.previews and error.id not in self.ordered:
            assert error.code not in IN_DOUBT, "a preview is never in doubt"
            self.previews[error.id].errors.append((error.code, ours))
            self._check_preview(self.previews[error.id])
        elif error.id >= FIRST_ORDER:
            self._hear_of_order(error.id, error.code, ours=ours)
        if error.id >= FIRST_ORDER:
            return
        asked = self.by_key.get(error.id)
        if asked is None:
            self.unsolicited.append((error.id, error.code, error.text))
            return
        if ours and error.code == 504 and asked.kind in (Kind.ONESHOT, Kind.SNAPSHOT):
            self._check_excuse(asked, error.text)
        asked.errors.append((error.code, ours))
        is_wanted = self.wanted.get((asked.number, asked.key)) is asked
        if asked.kind is Kind.STREAM and error.code in (321, 504) and is_wanted:
            del self.wanted[asked.number, asked.key]

    def _check_preview(self, asked: Asked) -> None:
        assert asked.outcomes <= 1 or asked.key in self.ordered, f"a preview has one answer: {asked}"

    def _check_excuse(self, asked: Asked, text: str) -> None:
        """A read is given up for a reason, and never otherwise."""
        world, held = self.world, self.world.settings.held
        waited = world.now - max(asked.at, world.open_at)
        reasons = {
            "the gateway was away for": waited >= held.age_seconds - TINY,
            "too much is waiting": not world.core.desk.open,
            Reason.DRAINED.value: world.drains > 0 and not asked.writes,
            Notice.HALF_ANSWER.text(): asked.rows > 0,
            Notice.NO_ANSWER.text(): world.now - asked.at >= world.settings.verify.deadline_seconds - TINY
            and world.now <= world.healed_at + HEALTHY_SECONDS,
        }
        assert any(words in text and true for words, true in reasons.items()), f"lost: {asked}, {text}"

    def _hear_of_order(self, order_id: int, code: int, *, ours: bool) -> None:
        if not ours:
            self.orders_spoken_of.add(order_id)
            self.refusals.setdefault(order_id, []).append(code)
            return
        self.order_errors.setdefault(order_id, []).append(code)
        frames = [asked for asked in self.asked if asked.key == order_id and asked.number in (3, 21)]
        if code == 201:
            assert not self.world.book.exists(order_id), "an error ends no order that lives"
        if code == 201:
            self.refused.add(order_id)
        if code == 2162:
            self.ended.add(order_id)
        if code == 2165:
            sent = order_id in self.world.survivors or any(asked.writes for asked in frames)
            assert sent, "only what was sent is in doubt"
        assert code in (201, 321, 2162, 2163, 2164, 2165, 2166), "an order that may live is told of in the warning band"

    def unsolicited_of(self, code: int) -> list[tuple[int, int, str]]:
        return [told for told in self.unsolicited if told[1] == code]

    def _hear_order(self, payload: bytes) -> None:
        facts = _read_order(payload, self.version)
        assert facts is not None
        if facts.what_if:
            asked = self.previews[facts.order_id or 0]
            asked.ended += 1
            self._check_preview(asked)
            return
        if facts.client_id != speech.CLIENT_ID or facts.order_id is None:
            return
        self.orders_spoken_of.add(facts.order_id)
        if facts.status == INACTIVE:
            assert facts.order_id in self.ended, "only what works no longer is told to be inactive"
        elif facts.status in ENDINGS:
            self.ended.add(facts.order_id)
        else:
            self.ended.discard(facts.order_id)
            self.refused.discard(facts.order_id)

    def _hear_fill(self, payload: bytes) -> None:
        facts = _read_execution(payload, self.version)
        assert facts is not None
        if facts.request_id < 0:
            if facts.client_id == speech.CLIENT_ID:
                self.orders_spoken_of.add(facts.order_id)
            else:
                assert self.world.master, "others' fills are told to the master alone"
                if self.world.core.orders.rounds:  # before it is ready for the first time nothing can be told as new
                    self.sees_others_since = min(self.sees_others_since, self.world.now)
            self.fills[facts.exec_id] += 1
            assert self.fills[facts.exec_id] == 1, f"a fill is told once: {facts.exec_id}"
        else:
            self.found_fills.add(facts.exec_id)

    def _hear_next_id(self, payload: bytes) -> None:
        order_id = read_next_valid_id(payload, self.version)
        assert order_id is not None
        if self.heard[9] == 1:
            orders = self.world.owed.orders
            unread = orders is not None and orders.journal is Journal.BROKEN  # nobody can know; orders are refused
            offered = order_id > max(self.world.book.ever, default=0) or unread
            assert offered, "an order id that was used is never offered again"
            self.next_order = order_id
        self.next_order = max(self.next_order, order_id)


# TWS says the same many times over.
_read_order, _read_execution = lru_cache(4096)(read_order), lru_cache(4096)(read_execution)

_TOLD: dict[int, Callable[[Client, bytes], None]] = {
    3: Client._hear_order,
    5: Client._hear_order,
    9: Client._hear_next_id,
    11: Client._hear_fill,
}
