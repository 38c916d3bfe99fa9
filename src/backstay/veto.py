"""The owner's word on orders that would be sent again: asked in a thread of its own, where it may take its time.

The session waits no longer than `OWNER_SECONDS` for an answer, and takes silence for a no. So a function
that hangs costs resends, and nothing else.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from backstay.actors.charge import Answer
from backstay.session.intents import Intent
from backstay.session.resend import OWNER_SECONDS

MAX_QUESTIONS = 1_000
"""Questions that wait: one of each connection at a time, and more connections than a process has."""

LOOK_SECONDS = 60.0
"""Who waits for a question is woken by it; this is only so that no wait is without an end."""

STOP_SECONDS = 1.0
"""For a function that is about to return; one that hangs keeps its thread, which ends with the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """An order that would be sent again now, under its id and as it was: TWS is proved not to have it.

    `times_sent` says how often it was sent, `age_seconds` how long ago that was for the first time: its price is as
    old. What the order does not say is empty, 0 or None.
    """

    connection: str
    gateway: str
    client_id: int
    order_id: int
    order_ref: str
    account: str
    action: str
    quantity: Decimal | None
    symbol: str
    sec_type: str
    contract_id: int
    times_sent: int
    age_seconds: float


MayResend = Callable[[Resend], bool]
"""True lets the order out. Anything else keeps it in, and so does an exception, or no answer within ten seconds."""


@dataclass(frozen=True, slots=True)
class _Question:
    resend: Resend
    answer: Answer
    until: float  # by the monotonic clock: nobody waits for the answer any more


class Veto:
    """See the module. `ask` may be called from any thread, and never waits."""

    def __init__(self, may_resend: MayResend | None) -> None:
        self._may_resend = may_resend
        self._changed = threading.Condition()
        self._waiting: deque[_Question] = deque()
        self._thread: threading.Thread | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether there is somebody to ask."""
        return self._may_resend is not None

    def ask(self, connection: str, intent: Intent, answer: Answer) -> None:
        """Have the owner asked, and `answer` called in another thread; or at once, if too many wait for one already."""
        question = _Question(_resend(connection, intent), answer, time.monotonic() + OWNER_SECONDS)
        with self._changed:
            room = len(self._waiting) < MAX_QUESTIONS
            if room:
                self._waiting.append(question)
                self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="backstay-veto", daemon=True)
                self._thread.start()
        if not room:
            answer("too many questions wait for an answer")

    def close(self) -> None:
        """Ask no more. Waits a moment for a function that is at it. A later question begins anew."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._waiting.clear()
            self._changed.notify_all()
        if thread is not None:
            thread.join(STOP_SECONDS)

    def _serve(self) -> None:
        while (question := self._next()) is not None:
            if time.monotonic() < question.until:
                question.answer(self._verdict(question.resend))

    def _verdict(self, resend: Resend) -> str:
        assert self._may_resend is not None  # noqa: S101  # nobody asks otherwise
        try:
            return "" if self._may_resend(resend) is True else "the owner said no"
        except BaseException as error:  # noqa: BLE001  # the application's, in a thread of ours; `SystemExit`, too
            return f"the owner failed: {error!r}"

    def _next(self) -> _Question | None:
        with self._changed:
            while self._thread is threading.current_thread():
                if self._waiting:
                    return self._waiting.popleft()
                self._changed.wait(LOOK_SECONDS)
            return None


def _resend(connection: str, intent: Intent) -> Resend:
    order, look = intent.order, intent.order.look
    return Resend(
        connection=connection,
        gateway=intent.key.connection,
        client_id=intent.key.client_id,
        order_id=intent.key.order_id,
        order_ref=order.order_ref,
        account=order.account,
        action=look.action,
        quantity=look.quantity,
        symbol=look.symbol,
        sec_type=look.sec_type,
        contract_id=look.con_id,
        times_sent=intent.attempt,
        age_seconds=time.time() - intent.sent_wall,
    )
