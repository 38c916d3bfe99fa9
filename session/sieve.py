"""One pass over the frames of a chunk: what the client gets, and what the session has to know.

The hot path is the first comprehension in `sift`: a slice and one look-up a frame. A chunk in which nothing is
watched is handed on as the object it arrived in. Everything below it runs only for chunks with a watched frame. Which
those are stands in `watched`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from backstay.protocol.codes import is_pacing
from backstay.protocol.configuration import CONFIGURATION
from backstay.protocol.errors import read_error, read_next_valid_id
from backstay.protocol.framing import LAST_TEXT_VERSION, PREFIX_BYTES, Chunk
from backstay.protocol.handshake import Hello, VersionRange, read_answer
from backstay.protocol.messages import response_key
from backstay.protocol.order_fields import read_order
from backstay.session.last_told import LastTold
from backstay.session.repeats import Repeats
from backstay.session.sieve_words import Await, Conceal, Identify, Mute, Swallow, Tune
from backstay.session.watched import (
    COMMISSION,
    COMPLETED_ORDER,
    COMPLETED_ORDER_END,
    CURRENT_TIME,
    ERROR,
    EXECUTION,
    EXECUTION_END,
    MANAGED_ACCOUNTS,
    NEXT_VALID_ID,
    OPEN_ORDER,
    OPEN_ORDER_END,
    ORDER_STATUS,
    RAW,
    READ_ONLY_API,
    STREAMED,
    TEXT,
    Heads,
)

ANY_VERSION = VersionRange(0, 1_000_000_000)
NO_EPOCH = -1
MAX_MUTES = 1_000
"""Errors awaited for cancels of our own; more than this many streams are not cancelled at once."""

MAX_MUTES_OF_A_KEY = 20
"""Errors awaited on one id, one for each frame of ours: a request is repeated a dozen times at the most."""

CLIENT_ID_TAKEN = 326
PORT_CHANGED = 1300


@dataclass(slots=True)
class Sifted:
    """What became of a chunk: bytes for the client in order, watched frames for the session, the hello if it came."""

    out: list[bytes]
    notes: tuple[tuple[int, bytes, bool], ...] = ()
    answer: bytes | None = None


@dataclass(slots=True)
class Sieve:
    """The filter of one epoch after the other. Its owner is one thread."""

    epoch: int = 0
    version: int | None = None
    greeted: bool = False
    hold_next_id: bool = False
    hold_accounts: bool = False
    floor: int = 0
    seen_next_id: bool = False
    seen_accounts: bool = False
    gave_next_id: bool = False
    gave_accounts: bool = False
    clocks_owed: int = 0
    mutes: dict[int, list[frozenset[int]]] = field(default_factory=dict[int, list[frozenset[int]]])
    awaited: dict[int | None, list[frozenset[int]]] = field(default_factory=dict[int | None, list[frozenset[int]]])
    repeats: Repeats = field(default_factory=Repeats)
    own_ends: dict[int, int] = field(default_factory=dict[int, int])  # end -> answers to questions of ours to come
    own_keys: set[int] = field(default_factory=set[int])
    own_reads: set[int] = field(default_factory=set[int])  # ids of questions of ours that one message answers
    told: LastTold = field(default_factory=LastTold)
    client_id: int = 0
    sees_others: bool = False
    _heads: Heads = TEXT

    def tune(self, tune: Tune) -> None:
        """Begin a new epoch."""
        self.epoch = tune.epoch
        self.version = None
        self.greeted = False
        # What passed here last may not have reached the session yet.
        self.hold_next_id = tune.hold_next_id or self.gave_next_id
        self.hold_accounts = tune.hold_accounts or self.gave_accounts
        self.seen_next_id = self.seen_accounts = False
        self.clocks_owed = 0
        self.mutes = {}
        self.awaited = {}
        self.repeats = Repeats()
        self.own_ends, self.own_keys, self.own_reads, self.floor = {}, set(), set(), 0

    def identify(self, identify: Identify) -> None:
        """The client's id, and the lowest order id it may use, are known."""
        self.client_id, self.floor = identify.client_id, identify.floor
        self.sees_others |= identify.sees_others

    def conceal(self, conceal: Conceal) -> None:
        """A question of our own is about to be asked."""
        if conceal.key is None:
            self.own_ends[conceal.end] = self.own_ends.get(conceal.end, 0) + 1
        elif conceal.end == CONFIGURATION:
            self.own_reads.add(conceal.key)
        else:
            self.own_keys.add(conceal.key)

    def mute(self, mute: Mute) -> None:
        """Keep the next error on this key with one of these codes from the client; without codes, let it pass again."""
        if not mute.codes:
            self.mutes.pop(mute.key, None)
        elif mute.key in self.mutes or len(self.mutes) < MAX_MUTES:
            self.mutes[mute.key] = [*self.mutes.get(mute.key, ()), mute.codes][-MAX_MUTES_OF_A_KEY:]

    def await_(self, awaited: Await) -> None:
        """Note the first of these messages, or do so no longer."""
        waiting = [numbers for numbers in self.awaited.get(awaited.key, ()) if numbers != awaited.numbers]
        if awaited.wanted:
            waiting.append(awaited.numbers)
        self._wait_for(awaited.key, waiting)

    def _wait_for(self, key: int | None, waiting: list[frozenset[int]]) -> None:
        if waiting:
            self.awaited[key] = waiting
        else:
            self.awaited.pop(key, None)

    def swallow(self, swallow: Swallow) -> None:
        """Let one answer of a repeated read pass, and no other; without numbers, let all pass again."""
        self.repeats.swallow(swallow)

    def hush(self) -> None:
        """Nothing that comes from now on is of the present epoch; the next `tune` ends this."""
        self.epoch = NO_EPOCH

    def sift(self, chunk: Chunk) -> Sifted:
        """Split a chunk of this epoch into what is passed on and what is noted."""
        if self.version is None:
            return self._before_version(chunk)
        data, known = chunk.data, self._heads
        keys, numbers, width = known.keys, known.numbers, known.width
        heads = [data[start : start + width] for start in chunk.starts]
        if self.awaited:
            return self._pick(chunk, self._hits_with_streams(heads))
        if keys.isdisjoint(heads):
            return Sifted([data])
        hits = [(index, numbers[head]) for index, head in enumerate(heads) if head in keys]
        return self._pick(chunk, hits)

    def _hits_with_streams(self, heads: list[bytes]) -> list[tuple[int, int]]:
        """As usual, and whatever may be the first sign of a stream: those that are not are taken out again."""
        numbers, streamed = self._heads.numbers, self._heads.streamed
        found = ((index, numbers.get(head) or streamed.get(head)) for index, head in enumerate(heads))
        return [(index, number) for index, number in found if number is not None]

    def _was_awaited(self, number: int, payload: bytes) -> bool:
        key = response_key(payload, self.version or 0)
        waiting = self.awaited.get(key, ())
        left = [numbers for numbers in waiting if number not in numbers]
        if len(left) == len(waiting):
            return False
        self._wait_for(key, left)
        return True

    def _before_version(self, chunk: Chunk) -> Sifted:
        if self.greeted or not chunk.starts:
            return Sifted([])  # the answer was unusable; the session is about to hang up
        self.greeted = True
        end = _end(chunk, 0)
        answer = chunk.data[chunk.starts[0] : end]
        hello = read_answer(answer, ANY_VERSION)
        if not isinstance(hello, Hello):
            return Sifted([], answer=answer)
        self.version = hello.version
        self._heads = TEXT if hello.version <= LAST_TEXT_VERSION else RAW
        rest = Chunk(chunk.data[end:], [start - end for start in chunk.starts[1:]])
        sifted = self.sift(rest) if rest.starts else Sifted([])
        sifted.answer = answer
        return sifted

    def _pick(self, chunk: Chunk, hits: list[tuple[int, int]]) -> Sifted:
        """The chunk has watched frames: note each, and cut out those that are not for the client."""
        data, starts, last = chunk.data, chunk.starts, len(chunk.starts) - 1
        out: list[bytes] = []
        notes: list[tuple[int, bytes, bool]] = []
        passed_until, least = 0, self._heads.least
        for hit, number in hits:
            start = starts[hit]
            end = starts[hit + 1] - PREFIX_BYTES if hit < last else len(data)
            if end - start < least:
                continue  # the head that was looked at reaches into the next frame
            payload = data[start:end]
            if self.awaited and not self._was_awaited(number, payload) and number in STREAMED:
                continue
            decide = _DECISIONS.get(number)
            passed = decide is None or decide(self, payload)
            passed = passed and not (self.repeats.by_key and self.repeats.is_extra(number, payload, self.version or 0))
            notes.append((number, payload, passed))
            if not passed:
                if passed_until < start - PREFIX_BYTES:
                    out.append(data[passed_until : start - PREFIX_BYTES])
                passed_until = end
        if passed_until == 0:
            out.append(data)
        elif passed_until < len(data):
            out.append(data[passed_until:])
        return Sifted(out, tuple(notes))

    # -- one decision for each message that may be kept back ---------------------------------------------------------

    def _next_id(self, payload: bytes) -> bool:
        first, self.seen_next_id = not self.seen_next_id, True
        passed = not (first and self.hold_next_id) and not self._is_too_low(payload)
        self.gave_next_id |= passed
        return passed

    def _is_too_low(self, payload: bytes) -> bool:
        order_id = read_next_valid_id(payload, self.version or 0) if self.floor else None
        return order_id is not None and order_id < self.floor

    def _accounts(self, _payload: bytes) -> bool:
        first, self.seen_accounts = not self.seen_accounts, True
        passed = not (first and self.hold_accounts)
        self.gave_accounts |= passed
        return passed

    def _clock(self, _payload: bytes) -> bool:
        if not self.clocks_owed:
            return False
        self.clocks_owed -= 1
        return True

    def _open_order_end(self, _payload: bytes) -> bool:
        if self._is_own_end(OPEN_ORDER_END):
            return False
        # TWS may push open orders and this marker to a returning client id, before it is even identified.
        return not self.hold_next_id or self.seen_next_id

    def _is_own_end(self, end: int) -> bool:
        count = self.own_ends.get(end, 0)
        if count > 1:
            self.own_ends[end] = count - 1
        else:
            self.own_ends.pop(end, None)
        return count > 0

    def _completed_order(self, _payload: bytes) -> bool:
        return COMPLETED_ORDER_END not in self.own_ends

    def _completed_order_end(self, _payload: bytes) -> bool:
        return not self._is_own_end(COMPLETED_ORDER_END)

    def _open_order(self, payload: bytes) -> bool:
        return self._order(OPEN_ORDER, payload)

    def _status(self, payload: bytes) -> bool:
        return self._order(ORDER_STATUS, payload)

    def _order(self, number: int, payload: bytes) -> bool:
        """Answers to our question for everybody's orders hold those of other clients, which this one never sees.

        Of its own, it is shown what is new; also where TWS lists them by itself to an id that comes back.
        """
        ours = OPEN_ORDER_END in self.own_ends
        if ours and not self.sees_others:
            facts = read_order(payload, self.version or 0)
            if facts is not None and facts.client_id not in (None, self.client_id):
                return False
        listed = ours or (self.hold_next_id and not self.seen_next_id)
        return self.told.tell(number, payload, self.version or 0, listed=listed)

    def _execution(self, payload: bytes) -> bool:
        return not self.own_keys or response_key(payload, self.version or 0) not in self.own_keys

    def _execution_end(self, payload: bytes) -> bool:
        key = response_key(payload, self.version or 0)
        own = key in self.own_keys
        if key is not None:
            self.own_keys.discard(key)
        return not own

    def _configuration(self, payload: bytes) -> bool:
        return response_key(payload, self.version or 0) not in self.own_reads

    def _commission(self, _payload: bytes) -> bool:
        return not self.own_keys  # the session tells old from new

    def _error(self, payload: bytes) -> bool:
        error = read_error(payload, self.version or 0)
        if error is None:
            return True
        if (
            error.id in self.own_reads
            or error.id in self.own_keys
            or (error.code == READ_ONLY_API and error.id < 0 and self.own_ends)
        ):
            return False
        if error.code == PORT_CHANGED or (error.code == CLIENT_ID_TAKEN and not self.seen_next_id):
            return False
        if muted := [codes for codes in self.mutes.get(error.id, ()) if error.code in codes]:
            self.mutes[error.id].remove(muted[0])
            if not self.mutes[error.id]:
                del self.mutes[error.id]
            return False
        self.told.forget(error.id)
        self.awaited.pop(error.id, None)  # whatever it says, TWS knows of the request
        return not is_pacing(error.code, error.text)  # the pace is ours; the session passes on what it can not mend


_DECISIONS: dict[int, Callable[[Sieve, bytes], bool]] = {
    NEXT_VALID_ID: Sieve._next_id,
    MANAGED_ACCOUNTS: Sieve._accounts,
    CURRENT_TIME: Sieve._clock,
    OPEN_ORDER_END: Sieve._open_order_end,
    ORDER_STATUS: Sieve._status,
    OPEN_ORDER: Sieve._open_order,
    COMPLETED_ORDER: Sieve._completed_order,
    COMPLETED_ORDER_END: Sieve._completed_order_end,
    EXECUTION: Sieve._execution,
    EXECUTION_END: Sieve._execution_end,
    COMMISSION: Sieve._commission,
    CONFIGURATION: Sieve._configuration,
    ERROR: Sieve._error,
}


def _end(chunk: Chunk, index: int) -> int:
    starts = chunk.starts
    return starts[index + 1] - PREFIX_BYTES if index + 1 < len(starts) else len(chunk.data)
