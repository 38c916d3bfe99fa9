"""The client of the driver: asks for things, and keeps an account of everything it was told."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import speech

from backstay.protocol.commands import cancel_frame
from backstay.protocol.errors import read_error
from backstay.protocol.framing import PREFIX_BYTES, Splitter
from backstay.protocol.messages import ends, kind_of, message_id, response_key, ticks_done
from backstay.protocol.vocabulary import Kind

if TYPE_CHECKING:
    from driver import World

OURS = "backstay:"
FIRST_ORDER = 1000


@dataclass(eq=False)
class Asked:
    """One request, and what became of it as far as the client can tell."""

    number: int
    key: int | None
    payload: bytes
    kind: Kind
    at: float
    token: str = ""
    rows: int = 0
    ended: int = 0
    errors: list[tuple[int, bool]] = field(default_factory=list)  # code, whether backstay said so
    cancelled: bool = False
    cancel_taken: bool = False  # by the session
    writes: list[int] = field(default_factory=list)  # epochs
    written_at: float = float("-inf")

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
    cancels: dict[bytes, deque[Asked]] = field(default_factory=dict)
    wanted: dict[tuple[int, int | None], Asked] = field(default_factory=dict)
    heard: Counter[int] = field(default_factory=Counter)
    outages: list[int] = field(default_factory=list)
    order_errors: dict[int, list[int]] = field(default_factory=dict)  # backstay's own, by order id
    orders_spoken_of: set[int] = field(default_factory=set)
    unsolicited: list[tuple[int, int, str]] = field(default_factory=list)
    next_key: int = 0
    next_order: int = FIRST_ORDER
    serial: int = 0

    # -- asking --------------------------------------------------------------------------------------------------------

    def ask(self, number: int, *, flag: bool = False, key: int | None = None) -> Asked:
        self.serial += 1
        order = number in (3, 4, 21)
        if key is None:
            key = self.next_order if order else self.next_key
            self.next_order, self.next_key = self.next_order + order, self.next_key + (not order)
        token = f"#{self.serial}"
        payload = speech.ask(self.version, number, key, word=token, flag=flag)
        kind = kind_of(payload, self.version)
        keyed = speech.REQUESTS[number].key is not speech.Key.NONE
        asked = Asked(number, key if keyed else None, payload, kind, self.world.now, token)
        self.asked.append(asked)
        self.by_payload[payload] = asked
        if keyed and not order:
            self.by_key[key] = asked
        if kind is Kind.STREAM:
            self.wanted[number, asked.key] = asked
        return asked

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
        key = response_key(payload, self.version)
        if number in (3, 5) and key is not None:
            self.orders_spoken_of.add(key)
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
        if error.id >= FIRST_ORDER:
            self._hear_of_order(error.id, error.code, ours=ours)
            return
        asked = self.by_key.get(error.id)
        if asked is None:
            self.unsolicited.append((error.id, error.code, error.text))
            return
        asked.errors.append((error.code, ours))
        is_wanted = self.wanted.get((asked.number, asked.key)) is asked
        if asked.kind is Kind.STREAM and error.code in (321, 504) and is_wanted:
            del self.wanted[asked.number, asked.key]

    def _hear_of_order(self, order_id: int, code: int, *, ours: bool) -> None:
        if not ours:
            self.orders_spoken_of.add(order_id)
            return
        self.order_errors.setdefault(order_id, []).append(code)
        frames = [asked for asked in self.asked if asked.key == order_id and asked.number in (3, 21)]
        if code == 201:
            gone = self.world.tws_orders.get(order_id) != "live"
            assert gone or not any(asked.writes for asked in frames), "201 only where TWS has no such order"
        if code == 2165:
            assert any(asked.writes for asked in frames), "only what was sent is in doubt"
        assert code in (201, 321, 2162, 2163, 2164, 2165, 2166), "an order that may live is told of in the warning band"

    def unsolicited_of(self, code: int) -> list[tuple[int, int, str]]:
        return [told for told in self.unsolicited if told[1] == code]
