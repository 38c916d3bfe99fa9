"""Waits for what happens to a connection, asks the pure core what to do about it, and does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast, get_args

from backstay.actors.charge import Charge, Word
from backstay.actors.journal import JournalAnswer, Keep, Kept, NotKept, Recall
from backstay.actors.journal_store import Trouble
from backstay.actors.messages import (
    CONNECTOR,
    DISPATCHER,
    SESSION,
    Finish,
    Finished,
    GiveUp,
    Heed,
    LinkStarted,
    notes_bytes,
    wire_bytes,
)
from backstay.actors.traffic import Wire
from backstay.protocol.framing import PREFIX_BYTES
from backstay.session.census import Census
from backstay.session.client_words import (
    Attend,
    ClientAsked,
    ClientEvent,
    ClientGreeted,
    ClientLeft,
    ClientMoved,
    ClientRefused,
)
from backstay.session.core import Core
from backstay.session.endpoints import Moved
from backstay.session.lifecycle import Event, State
from backstay.session.order_words import AskOwner, LookedUp, LookUp, NotWrittenDown, OwnerSaid, WriteDown, WrittenDown
from backstay.session.own_words import OwnWord
from backstay.session.set_aside import word_of
from backstay.session.sieve_words import Await, Conceal, Hush, Identify, Mute, PassClock, Swallow, Tune
from backstay.session.told import Told
from backstay.session.vocabulary import (
    Arm,
    BackOff,
    Count,
    Deliver,
    Dial,
    Disarm,
    Drain,
    FarmChanged,
    HangUp,
    HistoricalAsked,
    Leave,
    LinkRenewed,
    Noted,
    Observe,
    Ordered,
    Rang,
    Refund,
    Remember,
    Report,
    Resubscribe,
    Settle,
    Timer,
    Write,
)
from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import ExitKind, ExitReason
from backstay.supervisor.specs import Context

FINISH_SECONDS = 2.0
"""For the last bytes in both directions when a session ends."""

LASTING = (*get_args(ClientEvent), Drain, Ordered, Resubscribe)
"""Events that are true whoever hears them; the rest belongs to a socket or a timer."""


WISHES = {Event.START: True, Event.RESUME: True, Event.PAUSE: False, Event.DRAIN: False, Event.STOP: False}
"""Orders that say whether the connection is wanted; a restart or a reset of one that is held leaves it held."""


class Session(Actor):
    """See the module."""

    def __init__(self, context: Context, *, charge: Charge, wire: Wire) -> None:
        super().__init__(context)
        self._charge = charge
        self._wire = wire
        self._core = Core(charge.settings, charge.owed)
        self._meter = charge.outside.meter
        self._unfinished: set[str] = set()
        self._early = True
        self._handlers: dict[type, Callable[[Any], object]] = {
            Dial: self._to_connector,
            Write: self._to_connector,
            HangUp: self._to_connector,
            Tune: self._to_dispatcher,
            PassClock: self._to_dispatcher,
            Mute: self._to_dispatcher,
            Await: self._to_dispatcher,
            Swallow: self._to_dispatcher,
            Hush: self._to_dispatcher,
            Identify: self._to_dispatcher,
            Conceal: self._to_dispatcher,
            WriteDown: self._write_down,
            LookUp: self._look_up,
            AskOwner: self._ask_owner,
            Deliver: self._speak,
            Attend: self._speak,
            **dict.fromkeys(get_args(OwnWord), self._speak),
            Refund: self._refund,
            Arm: self._arm,
            Disarm: self._disarm,
            BackOff: self._back_off,
            Settle: self._settle,
            Remember: self._remember,
            Moved: self._move,
            HistoricalAsked: self._note_asked,
            Told: charge.outside.note_told,
            Count: self._count,
            Observe: self._observe,
            FarmChanged: self._farm_changed,
            Report: self._report,
            Leave: self._leave_for_good,
        }

    def begin(self) -> None:
        """What a life that died had in hand is gone with it; what it had not heard is not."""
        charge = self._charge
        released, charge.in_hand = charge.in_hand, 0
        charge.outside.refund(released)
        charge.credit.forget_notes()
        self._meter.circuit_open = False
        charge.outside.present(True)

    def receive(self, message: Any) -> None:
        """Let the core decide, then do as it says."""
        if isinstance(message, LinkStarted):
            self._link_started()
        elif isinstance(message, Finished | GiveUp):
            self._farewell(message)
        elif isinstance(message, Heed):
            self._catch_up()
        elif self._early or self._charge.undelivered:
            self._charge.undelivered.append(message)  # before the link stands a dial would reach nobody
            self._catch_up()
        else:
            self._take(message)

    def _link_started(self) -> None:
        self._say_unsaid()
        charge, begins = self._charge, self._early
        self._early = False
        while charge.unheard:
            self._handle(charge.unheard.popleft())
        if not begins:
            self._step(LinkRenewed())
            return
        if charge.over:
            self._step(Ordered(Event.STOP, "the session died while it ended"))
            return
        if charge.wanted:
            self._step(Ordered(Event.START, "begun"))
        self._catch_up()

    def _catch_up(self) -> None:
        waiting = self._charge.undelivered
        while waiting and not self._early:
            self._take(waiting.popleft())

    def _take(self, message: Any) -> None:
        charge = self._charge
        if isinstance(message, Noted):
            self._handle(message)
            charge.credit.noted(notes_bytes(message.frames))
            return
        if isinstance(message, ClientAsked):
            charge.in_hand += wire_bytes(message.payloads)
            self._handle(message)
            return
        if isinstance(message, Ordered):
            charge.wanted = WISHES.get(message.event, charge.wanted)
            charge.over |= message.event in (Event.STOP, Event.DRAIN)
        elif isinstance(message, ClientGreeted):
            charge.wanted = True
        elif isinstance(message, ClientLeft | ClientRefused | ClientMoved):
            charge.wanted, charge.over = False, True
        self._step(message)

    def _handle(self, message: ClientAsked | Noted) -> None:
        """As a whole; piece by piece once one of them may have killed a life before this one."""
        deadly = self._charge.deadly
        pieces = _pieces(message)
        if not deadly.wary:
            deadly.in_hand = lambda: pieces
            self._step(message)
        for place, piece in enumerate(pieces if deadly.wary else ()):
            if deadly.is_condemned(piece):
                self._set_aside(message, piece)
                continue
            deadly.in_hand = lambda one=piece: (one,)  # type: ignore[misc]
            self._step(_only(message, place))
        deadly.put_down()

    def _set_aside(self, message: ClientAsked | Noted, piece: bytes) -> None:
        version = self._core.owed.version
        if isinstance(message, ClientAsked) and version is not None:
            self._refund(Refund(len(piece) + PREFIX_BYTES))
            self._speak(Deliver(word_of(piece, version)))

    def bury(self, leftovers: list[Any]) -> list[Any]:
        """What the client or an operator wants waits for the next life. What comes of sockets ends with them.

        Except for frames that the client has been given: what they answer is answered.
        """
        lost: list[Any] = []
        for message in leftovers:
            if isinstance(message, LASTING):
                self._charge.undelivered.append(message)
            elif isinstance(message, Noted):
                self._charge.unheard.append(message)
            else:
                lost.append(message)
        return lost

    def end(self, reason: ExitReason) -> None:
        """A meter outlives the session; it must not claim that the connection is up."""
        if self.abandoned:
            return  # all of this is its successor's
        if reason.kind is ExitKind.CRASH:
            self.let_go()
        if reason.kind is ExitKind.NORMAL:
            self._charge.over = False  # it has ended as it should; if somebody starts it again, it lives
        self._charge.outside.present(False)
        self._meter.set_wanted(self.now(), expected=False, up=False)
        self._meter.next_attempt_wall = 0.0
        self._meter.upstream_connected = self._meter.circuit_open = False
        self._meter.take_over(Census())
        self._meter.show("stopped", time.time())
        self._charge.outside.show(replace(self._core.view(), state="stopped"))

    def let_go(self) -> None:
        """See `Actor`."""
        self._charge.blame(self._charge.deadly, self.context.id)

    def _step(self, event: Any) -> None:
        now = self.now()
        credit = self._charge.credit
        heard_at = now if credit.waiting else self._charge.traffic.heard_at
        outside = self._charge.outside
        self._core.learn(outside.moves(), outside.asked(), outside.told())
        for effect in self._core.step(event, now, heard_at=heard_at, wall=time.time()):
            if self.abandoned:
                return  # it hung in one of them, and a successor owns what the others are about
            self._handlers[type(effect)](effect)
        if not self.abandoned and not self._unfinished:  # "stopped" is shown by `end`, behind the last words
            self._show(now)

    def _show(self, now: float) -> None:
        view, meter = self._core.view(), self._meter
        meter.show(view.state, time.time())
        if view.state == State.PAUSED.value:
            self._charge.wanted = False  # also where a drain has ended so, which nobody orders in that moment
        meter.set_wanted(now, expected=self._charge.wanted and view.expected, up=view.state == "ready")
        meter.reason = view.reason if view.expected or not view.downtime else f"{view.downtime}: {view.reason}"
        meter.server_version = view.version or 0
        meter.upstream_connected = view.upstream
        meter.circuit_open = view.state == "parked"
        meter.clock_skew_seconds = view.clock_skew_seconds
        meter.client_id = view.client_id or 0
        meter.host, meter.port = view.endpoint
        self._charge.outside.show(view)

    # -- one method an effect ----------------------------------------------------------------------------------------

    def _to_connector(self, effect: Dial | Write | HangUp) -> None:
        if isinstance(effect, Dial):
            self._meter.next_attempt_wall = 0.0
            self._wire.wanted_epoch = effect.epoch
        elif isinstance(effect, HangUp):
            self._wire.wanted_epoch = 0
        self.book.send(CONNECTOR, effect)

    def _to_dispatcher(self, effect: Tune | PassClock | Mute | Hush) -> None:
        self.book.send(DISPATCHER, effect)

    def _write_down(self, effect: WriteDown) -> None:
        self._ask_journal(Keep(effect.page, effect.token, self._journal_says))

    def _look_up(self, effect: LookUp) -> None:
        self._ask_journal(Recall(effect.token, self._journal_says, effect.gateway))

    def _ask_journal(self, question: Keep | Recall) -> None:
        if not self._charge.outside.journal(question):
            self._journal_says(NotKept(question.token, Trouble.DENIED, "the journal is away"))

    def _journal_says(self, answer: JournalAnswer) -> None:
        """In the journal's thread."""
        token = cast("int", answer.token)
        if isinstance(answer, Kept):
            event: Any = WrittenDown(token)
        elif isinstance(answer, NotKept):
            event = NotWrittenDown(token, answer.text)
        else:
            event = LookedUp(token, answer.page)
        self.book.urge(SESSION, event)

    def _ask_owner(self, effect: AskOwner) -> None:
        def answer(veto: str) -> None:
            self.book.urge(SESSION, OwnerSaid(effect.epoch, effect.token, veto))

        self._charge.outside.ask_owner(self._meter.name, effect.intent, answer)

    def _speak(self, effect: Word) -> None:
        self._charge.unsaid.append(effect)
        self._say_unsaid()

    def _say_unsaid(self) -> None:
        unsaid = self._charge.unsaid
        while unsaid and self.book.send(DISPATCHER, unsaid[0]):
            unsaid.popleft()

    def _refund(self, effect: Refund) -> None:
        charge = self._charge
        size_bytes = min(effect.size_bytes, charge.in_hand)  # never for questions of our own
        charge.in_hand -= size_bytes
        charge.outside.refund(size_bytes)

    def _arm(self, effect: Arm) -> None:
        self.after(effect.seconds, Rang(effect.timer), key=effect.timer)
        if effect.timer is Timer.RETRY:
            self._meter.next_attempt_wall = time.time() + effect.seconds

    def _disarm(self, effect: Disarm) -> None:
        self.cancel(effect.timer)
        if effect.timer is Timer.RETRY:
            self._meter.next_attempt_wall = 0.0

    def _back_off(self, effect: BackOff) -> None:
        charge = self._charge
        schedule = replace(charge.backoff, attempt=charge.attempts.get(effect.endpoint, 0))
        delay, following = schedule.delay(charge.chance, floor=effect.floor_seconds, cap=effect.cap_seconds)
        attempt = charge.attempts[effect.endpoint] = following.attempt
        self._arm(Arm(Timer.RETRY, delay))
        self._charge.outside.log("retry_planned", connection=self._meter.name, seconds=round(delay, 6), attempt=attempt)

    def _settle(self, _effect: Settle) -> None:
        self._charge.attempts.clear()

    def _remember(self, effect: Remember) -> None:
        self._charge.outside.remember(effect.hello)

    def _move(self, effect: Moved) -> None:
        self._charge.outside.move(effect)

    def _note_asked(self, effect: HistoricalAsked) -> None:
        self._charge.outside.note_asked(effect.sent)

    def _count(self, effect: Count) -> None:
        self._meter.count(effect.name, effect.label)

    def _observe(self, effect: Observe) -> None:
        self._meter.observe(effect.name, effect.seconds, effect.label)

    def _farm_changed(self, effect: FarmChanged) -> None:
        self._meter.set_farm(effect.farm, up=effect.works)

    def _report(self, effect: Report) -> None:
        self._charge.outside.log(effect.event, connection=self._meter.name, **dict(effect.fields))

    def _leave_for_good(self, _effect: Leave) -> None:
        self._charge.wanted = False
        self._unfinished = {name for name in (CONNECTOR, DISPATCHER) if self.book.send(name, Finish())}
        self.after(FINISH_SECONDS if self._unfinished else 0.0, GiveUp(), key=GiveUp)

    def _farewell(self, message: Finished | GiveUp) -> None:
        if isinstance(message, Finished):
            self._unfinished.discard(message.name)
        if isinstance(message, GiveUp) or not self._unfinished:
            self.leave("the session is over")


def _pieces(message: ClientAsked | Noted) -> tuple[bytes, ...]:
    return message.payloads if isinstance(message, ClientAsked) else tuple(frame[1] for frame in message.frames)


def _only(message: ClientAsked | Noted, place: int) -> ClientAsked | Noted:
    if isinstance(message, ClientAsked):
        return replace(message, payloads=message.payloads[place : place + 1])
    return replace(message, frames=message.frames[place : place + 1])
