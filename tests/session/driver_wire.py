"""What may be seen on the wire of a session: asserted where each frame is about to leave."""

from __future__ import annotations

from collections import Counter, deque
from functools import cache
from typing import TYPE_CHECKING, Any

import speech
from driver_client import Asked

from backstay.protocol.commands import all_open_orders, completed_orders, current_time, open_orders
from backstay.protocol.errors import read_error
from backstay.protocol.messages import kind_of, message_id, request_key
from backstay.protocol.vocabulary import Kind
from backstay.session.orders import FIRST_RESERVED_ID
from backstay.session.vocabulary import Noted
from backstay.session.watched import CURRENT_TIME, ERROR, MANAGED_ACCOUNTS, NEXT_VALID_ID

if TYPE_CHECKING:
    from driver import World

PREFIX = 4
TINY = 1e-6
OURS_WHEN_IT_RETURNS = (8, 17, 59)
CANCEL_ORDER = 4
LIST_ENDS = (53, 55, 102)
IN_TURN = {
    number: (row.conn_family, row.end)
    for number, row in speech.REQUESTS.items()
    if row.key is speech.Key.NONE and row.conn_family and row.end and number != CURRENT_TIME
}
"""Requests without an id that have an answer: the family of each, and what ends its turn."""
COMPLETED_SINCE = 150


class Wire:
    """Knows what each epoch has been told, and what has left in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.identified: dict[int, set[int]] = {}
        self.verified: set[int] = set()
        self.sent_at: dict[int, deque[float]] = {}
        self.told_in: set[int] = set()  # epochs in which the gateway was asked of itself
        self.clock_sent_at = float("-inf")
        self.ranks: dict[int, tuple[int, int]] = {}
        self.restored_at: dict[int, float] = {}
        self.data_lost: set[int] = set()
        self.settings_sent: dict[tuple[int, int], Asked] = {}
        self.behind: list[bytes] = []  # of the frames that leave together
        self.link_down: set[int] = set()  # epochs whose gateway has said that it has no link to IB
        self.link_back_at: dict[int, float] = {}
        self.lists: dict[int, Counter[int]] = {}  # ends of our own questions, since the socket or the link came up
        self.turns: dict[tuple[int, int | None], tuple[float, bool]] = {}  # by epoch and end: since when, whether ours
        self.ours: Counter[tuple[int, int | None]] = Counter()  # lists that we are about to ask for, by epoch and end

    def take_note(self, event: Any) -> None:
        """An event is about to be heard."""
        if not isinstance(event, Noted) or event.epoch != self.world.owed.epoch or not self.world.core.live:
            return
        for number, payload, passed in event.frames:
            self.turns.pop((event.epoch, number), None)
            if number in (NEXT_VALID_ID, MANAGED_ACCOUNTS):
                self.identified.setdefault(event.epoch, set()).add(number)
            elif number == CURRENT_TIME:
                self.verified.add(event.epoch)
            elif number == ERROR:
                self._note_link(event.epoch, payload)
            elif number in LIST_ENDS and not passed:
                self.lists.setdefault(event.epoch, Counter())[number] += 1

    def _note_link(self, epoch: int, payload: bytes) -> None:
        error = read_error(payload, self.world.owed.version or 0)
        if error is None:
            return
        if error.code in (1100, 2110):
            self.link_down.add(epoch)
        elif error.code in (1101, 1102):
            self.link_down.discard(epoch)
            self.lists.pop(epoch, None)
            self.link_back_at[epoch] = self.world.now

    def check_frame(self, epoch: int, payload: bytes) -> None:
        version = self.world.owed.version
        number = message_id(payload, version)
        recent = self.sent_at.setdefault(epoch, deque())
        while recent and recent[0] + 1.0 <= self.world.now + TINY:
            recent.popleft()
        recent.append(self.world.now)
        limit = self.world.settings.messages_per_second
        assert len(recent) <= limit + limit // 15, "the rate holds in every second"
        if number == 49:
            assert self.world.now - self.clock_sent_at >= 1.1 - TINY
            self.clock_sent_at = self.world.now
        if number == 71:
            return
        assert len(self.identified.get(epoch, ())) == 2, "nothing but the handshake before 9 and 15 of this epoch"
        if payload == _probe(version):
            return
        assert epoch in self.verified, "requests only after a probe was answered in this epoch"
        asked = self.world.client.by_payload.get(payload)
        self._check_turn(epoch, number, payload)
        if asked is None and number == 108:
            assert epoch not in self.told_in, "a gateway is asked of itself once an epoch"
            self.told_in.add(epoch)
        if asked is None:
            if self._is_reconciliation(payload):
                return
            ours = OURS_WHEN_IT_RETURNS if self.world.client_returned else ()
            owed = number == CANCEL_ORDER and self._was_wanted_before(request_key(payload, version or 0))
            allowed = speech.REQUESTS[number].kind is Kind.CANCEL or number in (6, *ours) or owed
            assert allowed, "only cancels are of our own making, and what a client that returns has to know"
            return
        self._check_request(epoch, asked)

    def _was_wanted_before(self, order_id: int | None) -> bool:
        """Whether a client that went, or that a crash has cut off, had cancelled this order."""
        world = self.world
        asked_for = world.client.by_payload.values()
        cancels = (asked for asked in asked_for if asked.number == CANCEL_ORDER and asked.key == order_id)
        return any(asked.life < world.lives or world.client_returned for asked in cancels)

    def _check_turn(self, epoch: int, number: int, payload: bytes) -> None:
        """Of a family one is out at a time, but for one whose silence has been noticed, or that nobody wants."""
        is_cancel = kind_of(payload, self.world.owed.version) is Kind.CANCEL
        family = IN_TURN.get(speech.REQUESTS[number].cancels or number if is_cancel else number)
        if family is None or is_cancel:
            self.turns.pop((epoch, family and family[1]), None)
            return
        turn = epoch, family[1]
        is_ours = self.ours[turn] > 0  # they go first
        self.ours[turn] -= is_ours
        at, was_ours = self.turns.get(turn, (float("-inf"), False))
        unwanted = epoch in self.data_lost or self.world.client_returned
        noticed = self.world.now - at >= self.world.settings.verify.first_seconds - TINY
        assert noticed or unwanted or (is_ours and was_ours), f"of a family one is out at a time: {number}"
        self.turns[turn] = self.world.now, is_ours

    def _is_reconciliation(self, payload: bytes) -> bool:
        version = self.world.owed.version
        key = request_key(payload, version)
        return payload in _lists_of_orders(version) or (key is not None and key >= FIRST_RESERVED_ID)

    def _check_request(self, epoch: int, asked: Asked) -> None:
        if self.world.settings.read_only:
            assert not speech.REQUESTS[asked.number].changes, "read-only lets no change out"
        if asked.is_preview:
            assert {epoch, *asked.writes} == {epoch}, "what an order would cost is not asked on another socket"
        elif asked.kind is Kind.ORDER:
            self._check_order(epoch, asked)
        if asked.kind is Kind.COMMAND:
            assert not asked.writes, "a command is never written twice"
        if asked.kind is Kind.SETTING:
            self.settings_sent[epoch, asked.number] = asked
        again = epoch in asked.writes
        asked.writes.append(epoch)
        unanswered = self.world.now - asked.written_at >= self.world.settings.verify.first_seconds - TINY
        assert not again or epoch in self.data_lost or unanswered, "once an epoch, but for 1101 and silence"
        asked.written_at = self.world.now
        if asked.cancel_taken and asked.kind in (Kind.STREAM, Kind.ONESHOT, Kind.SNAPSHOT):
            wanted = self.world.owed.ledger.find(asked.number, asked.key) is not None
            version = self.world.owed.version
            followed = any(
                speech.REQUESTS[message_id(p, version)].kind is Kind.CANCEL or message_id(p, version) == 6
                for p in (*self.behind, *(item.payload for lane in self.world.core.desk.outbox.lanes for item in lane))
            )
            assert wanted or followed, "what was cancelled never comes back"
        if not again and asked.number != 49 and asked.at < self.restored_at.get(epoch, 0.0):
            self._check_rank(epoch, asked)

    def _check_order(self, epoch: int, asked: Asked) -> None:
        self.world.client.refused.discard(asked.key or 0)  # from here on it may come to be
        resend, orders = self.world.settings.resend, self.world.owed.orders
        assert epoch not in self.link_down, "no order leaves while the gateway has no link to IB"
        assert orders is not None
        heard, has_completed = self.lists.get(epoch, Counter()), (self.world.owed.version or 0) >= COMPLETED_SINCE
        complete = heard[53] >= 2 and heard[55] >= 1 and (heard[102] >= 1 or not has_completed)
        before = asked.at < self.link_back_at.get(epoch, 0.0) + TINY  # word of the link came while it waited to leave
        assert complete or before or orders.rounds <= 1, "no order leaves before those of before are reconciled"
        if asked.writes:
            assert resend.enabled, "an order is never written twice"
            assert complete, "an order is sent again when TWS is proved not to have it"
            assert len(asked.writes) < resend.attempts
            assert not resend.asks_owner or (epoch, asked.key) in self.world.let_out, "not against its owner's will"
            assert self.world.now - asked.first_written_at <= resend.ttl_seconds + TINY
        else:
            asked.first_written_at = self.world.now

    def _check_rank(self, epoch: int, asked: Asked) -> None:
        rank = {
            Kind.SETTING: (0, 0),
            Kind.STREAM: (1, speech.REQUESTS[asked.number].priority),
            Kind.ONESHOT: (2, 0),
            Kind.SNAPSHOT: (2, 0),
        }.get(asked.kind)
        if rank is not None:
            assert rank >= self.ranks.get(epoch, (0, 0)), "settings, then streams by priority, then reads"
            self.ranks[epoch] = rank


@cache
def _probe(version: int) -> bytes:
    return current_time(version)[PREFIX:]


@cache
def _lists_of_orders(version: int) -> frozenset[bytes]:
    questions = (open_orders(version), all_open_orders(version), completed_orders(version))
    return frozenset(data[PREFIX:] for data in questions)
