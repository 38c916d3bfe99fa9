"""One pass over each chunk: bytes to the sink, watched frames to the session. The only writer of the sink."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any, Protocol, get_args

from backstay.actors.charge import Charge
from backstay.actors.messages import SESSION, Arrived, Ended, Finish, Finished, notes_bytes
from backstay.actors.traffic import Credit
from backstay.actors.turnstile import PROCESS_TURNSTILE, Turnstile
from backstay.protocol.framing import PREFIX_BYTES, Chunk
from backstay.session.client_words import Attend, Attended, Unheard
from backstay.session.own_words import OwnWord
from backstay.session.sieve import Sieve, Sifted
from backstay.session.sieve_words import Await, Conceal, Hush, Identify, Mute, PassClock, Swallow, Tune
from backstay.session.vocabulary import Answered, Deliver, Lost, Noted
from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import ExitKind, ExitReason
from backstay.supervisor.specs import Context


class Sink(Protocol):
    """Takes whole frames for a client, in order, from the Dispatcher's thread. Must not block."""

    def recount(self) -> None:
        """Have the credit begin anew with what waits here: who moved the bytes along died with some in hand."""

    def put(self, data: bytes, starts: list[int] | None = None) -> bool:
        """Take these bytes, and give `len(data)` of credit back once they are out of this process's hands.

        `starts`: where each payload begins, if that is known already. False: nobody is there to hear them.
        """
        ...

    def tell(self, word: OwnWord) -> None:
        """Take a word for an application in this process; a client behind a socket is told in frames."""

    def finish(self, done: Callable[[], object]) -> None:
        """Call `done` (in any thread) once everything taken so far is out."""


TELL_SECONDS = 60.0
"""Between two words about a sink that fails again and again."""


def _nothing(*_: object, **__: object) -> None:
    """The default for whatever nobody wants to hear."""


class CallbackSink:
    """A sink for a function in this process. The function runs in the Dispatcher's thread and must not block it.

    One that fails has lost what it was given, and nobody else has. One that hangs costs a Dispatcher; what comes while
    it still hangs is not for it. `tell(event, **fields)` hears of both.
    """

    def __init__(
        self, callback: Callable[[bytes], object], credit: Credit, *, tell: Callable[..., object] = _nothing
    ) -> None:
        self._callback = callback
        self._credit = credit
        self._tell = tell
        self._lives = 0
        self._running = False
        self._told_at = -TELL_SECONDS
        self.dropped = 0
        """Pieces that the function did not get, or failed at."""

    def recount(self) -> None:
        """Nothing waits here: the function has returned, or it hangs."""
        self._lives += 1
        self._credit.restart(0)
        if self._running:
            self._tell("sink_hangs")

    def tell(self, word: OwnWord) -> None:
        """Not for a function that takes frames."""

    def finish(self, done: Callable[[], object]) -> None:
        """Everything is out."""
        done()

    def put(self, data: bytes, starts: list[int] | None = None) -> bool:
        """Call the function, then count the bytes as taken. Somebody is there, whatever becomes of the call."""
        del starts
        if self._running:
            self.dropped += 1
            self._credit.give(len(data))
            return True
        life, self._running = self._lives, True
        try:
            self._callback(data)
        except BaseException as error:  # noqa: BLE001  # it is not ours, and harms nobody but itself
            self._failed(error)
        self._running = False
        if life == self._lives:
            self._credit.give(len(data))
        return True

    def _failed(self, error: BaseException) -> None:
        """Once a spell: it may fail at every frame."""
        self.dropped += 1
        now = time.monotonic()
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            trace = "".join(traceback.format_exception(error))
            self._tell("sink_failed", error=repr(error), dropped=self.dropped, traceback=trace)


class SessionOverflowError(RuntimeError):
    """The session does not take what it has to know; better to begin a new epoch than to lose some of it."""


class Dispatcher(Actor):
    """See the module."""

    def __init__(
        self, context: Context, *, sink: Sink, charge: Charge, turnstile: Turnstile = PROCESS_TURNSTILE
    ) -> None:
        super().__init__(context)
        self._turnstile = turnstile
        self._charge = charge
        self._unsaid = charge.unsaid
        self._sink = sink
        self._credit = charge.credit
        self._meter = charge.outside.meter
        self._deadly = charge.deadly_frames
        self._sieve = Sieve()
        self._given: Noted | None = None  # what the client has, and the session has yet to hear of
        sink.recount()
        self._handlers: dict[type, Callable[[Any], None]] = {
            Arrived: self._move,
            Deliver: self._deliver,
            Attend: self._attend,
            **dict.fromkeys(get_args(OwnWord), sink.tell),
            Ended: self._ended,
            Tune: self._sieve.tune,
            PassClock: self._pass_clock,
            Mute: self._mute,
            Await: self._await,
            Swallow: self._swallow,
            Identify: self._identify,
            Conceal: self._conceal,
            Hush: self._hush,
            Finish: self._finish,
        }

    def receive(self, message: Any) -> None:
        """Handle a chunk, or something the sieve has to know."""
        self._handlers[type(message)](message)

    def bury(self, leftovers: list[Any]) -> list[Any]:
        """What backstay says is said by the next life; chunks belong to a socket that goes with this one."""
        words = [message for message in leftovers if isinstance(message, Deliver | Attend | OwnWord)]
        self._unsaid.extendleft(reversed(words))  # the session may have begun to add behind them
        return [message for message in leftovers if not isinstance(message, Deliver | Attend | OwnWord)]

    def _move(self, arrived: Arrived) -> None:
        try:
            self._arrived(arrived)
        finally:
            if arrived.ticket:
                self._turnstile.leave(arrived.ticket)

    def _arrived(self, arrived: Arrived) -> None:
        chunk, meter = arrived.chunk, self._meter
        size_bytes = len(chunk.data)
        if arrived.epoch != self._sieve.epoch:
            meter.stale_dropped += 1
            self._credit.give(size_bytes)
            return
        meter.messages_received += len(chunk.starts)
        meter.received_bytes += size_bytes
        meter.last_received_wall = time.time()
        sifted = self._sift(chunk)
        kept_back, heard = size_bytes, True
        for data in sifted.out:
            if not heard:
                break  # nor is the rest for whoever comes just now: all of it counts as missed
            kept_back -= len(data)
            heard = self._sink.put(data, chunk.starts if data is chunk.data else None)
            if self.abandoned:
                return  # it hung there; the rest belongs to a socket that is gone
        self._given = Noted(arrived.epoch, sifted.notes, heard) if sifted.notes else None
        if kept_back:
            self._credit.give(kept_back)
        meter.delivery_delay.observe(self.now() - arrived.at)
        if sifted.answer is not None:
            self._tell(Answered(arrived.epoch, sifted.answer))
        if self._given is not None:
            self._note(self._given)
            self._given = None

    def _sift(self, chunk: Chunk) -> Sifted:
        """As a whole; frame by frame once one of them may have killed a life before this one."""
        deadly = self._deadly
        if not deadly.wary:
            deadly.in_hand = chunk.payloads
            sifted = self._sieve.sift(chunk)
            deadly.put_down()
            return sifted
        whole = Sifted([])
        out: list[bytes] = []
        for piece in chunk.payloads():
            data = len(piece).to_bytes(PREFIX_BYTES, "big") + piece
            if deadly.is_condemned(piece):
                out.append(data)  # for the client, who is older than our understanding of it
                continue
            deadly.in_hand = lambda one=piece: (one,)  # type: ignore[misc]
            part = self._sieve.sift(Chunk(data, [PREFIX_BYTES]))
            deadly.put_down()
            out += part.out
            whole.notes += part.notes
            whole.answer = whole.answer or part.answer
        whole.out = [b"".join(out)] if out else []
        return whole

    def end(self, reason: ExitReason) -> None:
        """If it was a frame that killed it, that is remembered; what the client has been given is told later."""
        if reason.kind is ExitKind.CRASH:
            self.let_go()
            if self._given is not None:
                self._charge.unheard.append(self._given)

    def let_go(self) -> None:
        """See `Actor`."""
        self._charge.blame(self._deadly, self.context.id)

    def _deliver(self, deliver: Deliver) -> None:
        self._sieve.told.hear_own(deliver.data[PREFIX_BYTES:])
        self._credit.owe(len(deliver.data))
        if not self._sink.put(deliver.data):
            self._tell(Unheard(deliver.data))

    def _attend(self, _message: Attend) -> None:
        self._sieve.told.forget_all()
        self._tell(Attended())

    def _ended(self, ended: Ended) -> None:
        self._tell(Lost(ended.epoch, ended.cause, ended.detail, ended.received))

    def _pass_clock(self, message: PassClock) -> None:
        if message.epoch == self._sieve.epoch:
            self._sieve.clocks_owed += 1

    def _mute(self, message: Mute) -> None:
        if message.epoch == self._sieve.epoch:
            self._sieve.mute(message)

    def _await(self, message: Await) -> None:
        if message.epoch == self._sieve.epoch:
            self._sieve.await_(message)

    def _swallow(self, message: Swallow) -> None:
        if message.epoch == self._sieve.epoch:
            self._sieve.swallow(message)

    def _identify(self, message: Identify) -> None:
        if message.epoch == self._sieve.epoch:
            self._sieve.identify(message)

    def _conceal(self, message: Conceal) -> None:
        if message.epoch == self._sieve.epoch:
            self._sieve.conceal(message)

    def _hush(self, message: Hush) -> None:
        if message.epoch == self._sieve.epoch:
            self._sieve.hush()

    def _finish(self, _message: Finish) -> None:
        name, book = self.context.id, self.book
        self._sink.finish(lambda: book.send(SESSION, Finished(name)))

    def _note(self, noted: Noted) -> None:
        size_bytes = notes_bytes(noted.frames)
        self._credit.note(size_bytes)
        try:
            self._tell(noted)
        except SessionOverflowError:
            self._credit.noted(size_bytes)
            raise

    def _tell(self, event: Answered | Noted | Lost | Unheard | Attended) -> None:
        if not self.book.send(SESSION, event) and SESSION in self.book.names():
            raise SessionOverflowError(type(event).__name__)
