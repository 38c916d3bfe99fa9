"""How a library's requests are built, sent and ended; what the application sees of it is in `library`.

Each method says in which thread. A request ends in exactly one way: answered, refused, lost with the connection, or
given up when its deadline has passed; whichever comes first settles its future, and frees what was kept of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping

from backstay.deadlines import Deadlines
from backstay.errors import BackstayError, ConnectionLostError, MisuseError, NoAnswerError, NotReadyError
from backstay.library_desk import Desk
from backstay.library_ids import FIRST_REQUEST_ID, REQUEST_IDS
from backstay.library_line import Line, Place
from backstay.library_orders import OrderDesk
from backstay.pending import Pending
from backstay.protocol.builders import BUILDERS, HIGHEST_BUILT, FieldError, build
from backstay.protocol.commands import cancel_frame
from backstay.protocol.framing import PREFIX_BYTES
from backstay.protocol.messages import ends, kind_of
from backstay.protocol.vocabulary import Key, Kind
from backstay.session.causes import Cause
from backstay.session.own_words import TellGap
from backstay.subscription import Callback, Subscription

MAX_EARLY = 1_000
"""Requests kept until the gateway has said its version for the first time: as many as wait for a lost gateway."""

RELEASE_SECONDS = 300.0
"""After so long an answer that nobody waits for will not come any more: longer than the session's own deadline."""

TAKES_ORDERS = ("ready", "degraded")
"""States in which an order is given to the session; it knows of more reasons to refuse one."""


class Requests:
    """See the module."""

    def __init__(self, name: str, desk: Desk, deadlines: Deadlines) -> None:
        self.name = name
        self.line: Line | None = None
        self.orders = OrderDesk(desk)
        self._desk = desk
        self._deadlines = deadlines
        self._lock = threading.Lock()
        self._early: deque[Pending | Subscription] = deque()
        self._suspects: list[Pending | Subscription] = []
        desk.on_hello, desk.on_gap, desk.on_back = self._hello, self._gap, self._back

    def attach(self, line: Line) -> None:
        """Begin to ask on this line."""
        self.line = line
        self.orders.line = line

    def read(self, name: str, values: dict[str, object], timeout: float, *, fail_fast: bool) -> Pending:
        """Begin a read. Any thread."""
        request = BUILDERS[name].request
        key = None if request.key is Key.NONE else self._new_id()
        pending = Pending(name, request, key=key, values=values)
        pending.fail_fast = fail_fast
        pending.on_end, pending.ask_again, pending.on_late = self._ended, self._ask_again, self._go_on
        pending.deadline = self._deadlines.add(timeout, lambda: expire(pending, timeout))
        try:
            if self._desk.add_read(pending):
                self._begin(pending)
        except BackstayError as error:
            pending.fail(error)
            raise
        return pending

    def stream(
        self, name: str, values: dict[str, object], callback: Callback | None, *, inline: bool, limit: int
    ) -> Subscription:
        """Begin a stream. Any thread."""
        request = BUILDERS[name].request
        key = None if request.key is Key.NONE else self._new_id()
        stream = Subscription(name, request=request, key=key, callback=callback, inline=inline, limit=limit)
        stream.values = values
        stream.on_close, stream.on_callback_error = self._closed, self._desk.callback_failed
        stream.on_drop = self._desk.dropped
        if not self._desk.add_stream(stream):
            raise MisuseError(f"{name}: TWS has one such stream for a connection, and it is open already")
        try:
            self._begin(stream)
        except BackstayError:
            self._desk.remove(stream)
            raise
        stream.start()
        return stream

    @property
    def place(self) -> Place:
        """Where the connection stands in the tree."""
        return self.sender.place

    @property
    def sender(self) -> Line:
        """The way to its session. Raises NotReadyError when there is none."""
        if self.line is None:
            raise NotReadyError(f"{self.name}: the manager has not been started")
        return self.line

    def _new_id(self) -> int:
        desk = self._desk
        return REQUEST_IDS.give(lambda number: number in desk.previews or desk.knows_order(number))

    def check_up(self) -> None:
        """Raise NotReadyError unless orders may leave: none waits for a gateway that is known to be away."""
        state, owed = self.place.view().state, self.place.charge.owed
        reconciled = owed.orders is not None and owed.orders.reconciliation.reconciled
        takes = state in TAKES_ORDERS or (state == "syncing" and reconciled)
        takes |= state == "draining" and owed.draining is not None  # a change may pass
        if not takes or self._desk.over:
            raise NotReadyError(f"the order was not sent: the connection is {state}", code=504)

    def try_(self, name: str, values: Mapping[str, object]) -> tuple[bytes, Kind]:
        """Build it for once, so that whoever asks for what cannot be hears of it at once."""
        desk = self._desk
        if desk.over:
            raise NotReadyError(f"{name}: not sent, {desk.over}", code=504)
        payload = self.build(name, values, FIRST_REQUEST_ID)
        return payload, kind_of(payload, desk.version or HIGHEST_BUILT)

    def build(self, name: str, values: Mapping[str, object], key: int | None) -> bytes:
        """The payload, for the version agreed on or the highest there is. Raises MisuseError."""
        try:
            return build(name, values, version=self._desk.version or HIGHEST_BUILT, key=key)
        except FieldError as error:
            raise MisuseError(f"{name}: {error}") from error

    def _begin(self, owner: Pending | Subscription) -> None:
        with self._lock:
            if self._desk.version is None:
                if len(self._early) >= MAX_EARLY:
                    self._early = deque(one for one in self._early if not _is_over(one))
                if len(self._early) >= MAX_EARLY:
                    raise NotReadyError(f"{owner.name}: not sent, too much waits for the gateway already", code=504)
                self._early.append(owner)
                return
        self._write(owner)

    def _write(self, owner: Pending | Subscription) -> None:
        """Build and send."""
        payload = owner.payload = self.build(owner.name, owner.values, owner.key)
        if isinstance(owner, Pending):
            version = self._desk.version or HIGHEST_BUILT
            owner.kind, owner.ends = kind_of(payload, version), ends(payload, version)
        self.send(payload)

    def send(self, payload: bytes) -> None:
        """Hand it to the session. Raises NotReadyError where too much waits already."""
        line = self.sender
        if line.is_full:
            raise NotReadyError("not sent: too much waits to be sent already", code=504)
        line.send(payload)

    # -- what becomes of it ------------------------------------------------------------------------------------------

    def _hello(self) -> None:
        """The version is known: what was asked for before is sent. In the connection's thread."""
        with self._lock:
            early, self._early = self._early, deque()
        for owner in early:
            if not _is_over(owner):
                self._write_late(owner)

    def _write_late(self, owner: Pending | Subscription) -> None:
        try:
            self._write(owner)
        except BackstayError as error:  # this gateway is too old for it
            owner.fail(error)

    def _gap(self, word: TellGap) -> None:
        if word.cause is Cause.SESSION_DIED:
            with self._desk.lock:
                self._suspects = [owner for owner in self._desk.keyed.values() if owner.payload]
            self.orders.suspect()
        code = word.cause.row.tws_code
        error = ConnectionLostError(f"the connection broke: {word.cause.row.sentence}", code=code)
        for pending in self._desk.reads():
            if pending.fail_fast:
                pending.give_up(error)

    def _back(self) -> None:
        """Everything has been put back. What died with the session while it was in its hand is asked for again."""
        suspects, self._suspects = self._suspects, []
        ledger = self.place.charge.owed.ledger
        for owner in suspects:
            request, waits = owner.request, self._desk.keyed.get(owner.key or 0) is owner
            if request is not None and waits and ledger.find(request.id, owner.key) is None:
                self._write_late(owner)
        self.orders.clear_suspects(self.place.charge)

    def _ended(self, pending: Pending) -> None:
        """A read has its answer, or nobody waits for it any more. Any thread."""
        self._deadlines.cancel(pending.deadline)
        given_up = pending.given_up or pending.future.cancelled()
        if pending.key is not None:
            self._desk.remove(pending)
            if given_up and pending.payload:
                self._cancel(pending)
        elif given_up and pending.payload:
            # Its answer may still come, and must not be taken for the next one's.
            self._deadlines.add(RELEASE_SECONDS, lambda: self._go_on(pending))
        else:
            self._go_on(pending)

    def _go_on(self, pending: Pending) -> None:
        """A read without an id is over: the next of its family may be asked."""
        following = self._desk.next_of_family(pending)
        while following is not None and following.over:
            following = self._desk.next_of_family(following)
        if following is not None:
            try:
                self._begin(following)
            except BackstayError as error:
                following.fail(error)

    def _ask_again(self, pending: Pending) -> None:
        """The connection broke within the answer. Under another id: what is left of the first must not mix with it."""
        self._desk.remove(pending)
        pending.key = self._new_id()
        self._desk.add_read(pending)
        self._write_late(pending)

    def _closed(self, stream: Subscription) -> None:
        """A stream is not wanted any more. Any thread."""
        self._desk.remove(stream)
        if stream.known_to_tws and stream.payload:
            self._cancel(stream)

    def _cancel(self, owner: Pending | Subscription) -> None:
        cancel = cancel_frame(owner.payload, self._desk.version or HIGHEST_BUILT)
        if cancel is not None:  # also for a session that has ended: should it begin again, it does not ask for this
            self.sender.send(cancel[PREFIX_BYTES:])


def _is_over(owner: Pending | Subscription) -> bool:
    return owner.closed if isinstance(owner, Subscription) else owner.over


def expire(pending: Pending, timeout: float) -> None:
    """The deadline has passed."""
    pending.give_up(NoAnswerError(f"{pending.name}: no answer within {timeout:g} s"))
