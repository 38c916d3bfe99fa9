"""The base of all actors: a pykka actor that cannot die unnoticed.

A life: built in the supervisor's thread; then in its own thread `begin`, `receive` for every message, `end`.
Whatever leaves one of those hooks - `Exception`, `SystemExit`, `KeyboardInterrupt`, `MemoryError`, anything -
ends this actor and nobody else, and the supervisor hears of it in exactly one `Exited`, after the actor's inbox
is closed and its name is out of the book. `done` is set as the thread's very last act.

pykka's own loop is replaced as a whole: it lets an actor survive a failed ask with half-changed state, stops every
actor of the process on `SystemExit`, and can leave an actor that looks alive without a thread.

Inside a sub-tree with its own book (`SupervisorSpec.own_book`), `self.book` is that book and
`self.context.parent_book` the outer one.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Generator, Hashable
from dataclasses import replace
from typing import Any, ClassVar, Final, Self, TypeVar, cast, final

import pykka

from backstay.supervisor.book import Book
from backstay.supervisor.inbox import DATA_LIMIT, Inbox, InboxClosed, Letter, bury_letters
from backstay.supervisor.messages import Exited, ExitKind, ExitReason, Hook, Stop
from backstay.supervisor.specs import Context

FINAL_HOOKS: Final = ("on_start", "on_receive", "on_stop", "on_failure")

ERROR_LIMIT: Final = 1_000
"""Characters of an exception's own text that are kept: some carry whole payloads."""

TRACEBACK_LIMIT: Final = 20_000
"""Characters of a traceback that are kept, from its end, where the failure is."""

NOWHERE: Final = Book()
"""The book of those who were cut off: nobody is in it."""

A = TypeVar("A", bound="Actor")


class Ref(pykka.ActorRef[A]):
    """pykka's reference, with the actor itself: for its supervisor and the watchdog."""

    def __init__(self, actor: A) -> None:
        super().__init__(actor)
        self.actor = actor


class Actor(pykka.ThreadingActor):
    """See the module. Subclasses override `begin`, `receive`, `end` and `interrupt`, never pykka's hooks."""

    use_daemon_thread = True  # a stuck actor must not keep the process from ending

    inbox_limit: ClassVar[int] = DATA_LIMIT
    """Data messages that may wait."""

    actor_inbox: Inbox  # pyright: ignore[reportIncompatibleVariableOverride] - narrower, and set once

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        taken = [name for name in FINAL_HOOKS if name in cls.__dict__]
        if taken:
            raise TypeError(f"{cls.__name__} overrides {', '.join(taken)}: use begin, receive and end")

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.book: Book = context.book
        self.done = threading.Event()
        """Set as the very last act of this life."""
        self.settled = threading.Event()
        """Set when nobody need wait for this life any more: it is done, or it was cut off."""
        self.ready = threading.Event()
        """Set when `begin` has returned, and at the end of a life at the latest."""
        name, daemon = context.path, self.use_daemon_thread
        self.thread = threading.Thread(target=self._actor_loop, name=name, daemon=daemon)
        self.progress = context.clock()
        """When the last message was handled (the clock's seconds)."""
        self.handled = 0
        """Messages handled so far."""
        self.turns = 0
        """Rises by one as a wait inside `receive` begins that may last for ever (`recv`), and by one as it ends: odd
        means that it lasts, and that it moves at all means life. See the watchdog."""
        self.excused_until = 0.0
        """Until when (the clock's seconds) this actor may be silent: it waits for something that ends by then."""
        self.abandoned = False
        """Whether this life was cut off. Its thread may come back to itself; nothing that it does then may count."""
        # Made now, so that there is something to report even when there is no memory left to make it then.
        self.exited = Exited(context.id, context.incarnation, ExitKind.CRASH, text="the actor's loop failed")
        """How this life ended; of meaning once `done` is set."""
        self.__leaving: ExitReason | None = None
        self.__hook = Hook.BEGIN
        self.__handling = ""
        self.__farewells: list[Letter] = []
        inbox = self.actor_inbox
        inbox.clock = context.clock
        inbox.limit = self.inbox_limit
        inbox.interrupt = self.interrupt_safely
        inbox.bury = self.__bury
        self._actor_ref: Ref[Any] = Ref(self)  # pyright: ignore[reportIncompatibleVariableOverride] - the same

    @classmethod
    def start(  # pyright: ignore[reportIncompatibleMethodOverride] - a narrower reference
        cls, *args: Any, **kwargs: Any
    ) -> Ref[Self]:
        """Build and start an actor; the arguments are the constructor's. Raises what that raises."""
        return cast("Ref[Self]", super().start(*args, **kwargs))

    # What subclasses override.

    def begin(self) -> None:
        """Open what this life needs. In the actor's thread, before the first message. May take time."""

    def receive(self, message: Any) -> Any:
        """Handle one message. In the actor's thread. What is returned answers an ask."""

    def end(self, reason: ExitReason) -> None:
        """Close what this life opened. In the actor's thread, once, also after a crash and a `begin` that failed."""

    def interrupt(self) -> None:
        """Break the blocking wait this actor may be in, for example by shutting its socket down.

        Called from any thread, possibly twice, possibly before the wait begins: it must leave a lasting mark
        (a shut socket, a set event) and must not block.
        """

    def bury(self, leftovers: list[Any]) -> list[Any]:
        """Deal with messages that this life did not handle, in order; returns those that are lost, to be counted.

        Called once this life is out of the book and before its supervisor hears of the end, in whatever thread found
        them; must not block. The message at hand when an actor fails is not among them.
        """
        return leftovers

    def let_go(self) -> None:
        """Give back what others wait for: this life was cut off, and its `end` may never come.

        In any thread; must not block. If `end` comes after all, it finds `abandoned` set.
        """

    # What subclasses use.

    @property
    def stopping(self) -> bool:
        """Whether somebody asked this actor to stop, or cut it off. A loop inside `receive` ends when it sees this."""
        return self.abandoned or self.actor_inbox.stop_requested is not None

    def now(self) -> float:
        """Seconds of the tree's clock (monotonic)."""
        return self.context.clock()

    @contextlib.contextmanager
    def excused(self, seconds: float) -> Generator[None]:
        """Be silent in here, up to so many seconds, without being taken for stuck; from then on as ever."""
        self.excused_until = self.now() + seconds
        try:
            yield
        finally:
            self.excused_until = 0.0

    def after(self, delay_seconds: float, message: Any, *, key: Hashable | None = None) -> Hashable:
        """Receive `message` after a delay, ahead of waiting data. Replaces the timer of the same key.

        Returns the key (a new one if none was given) for `cancel`. Timers end with the life.
        """
        key = object() if key is None else key
        self.actor_inbox.set_timer(key, self.context.clock() + delay_seconds, message)
        return key

    def cancel(self, key: Hashable) -> bool:
        """Cancel a timer. False if it has fired or was never set."""
        return self.actor_inbox.cancel_timer(key)

    def leave(self, reason: str = "") -> None:
        """End this life normally, after the message at hand."""
        self.depart_as(ExitReason(ExitKind.NORMAL, reason))

    def depart_as(self, reason: ExitReason) -> None:
        """End this life after the message at hand, for a reason that is not its own. The first reason holds."""
        if self.__leaving is None:
            self.__leaving = reason

    # What supervisors use. Any thread.

    def dismiss(self, reason: str = "") -> None:
        """Ask to stop, ahead of all data, and break a blocking wait. Does not wait."""
        self.actor_inbox.post(Stop(reason), control=True, vital=True)
        self.interrupt_safely()

    def interrupt_safely(self) -> None:
        """Call `interrupt`; what it raises is told, not passed on."""
        try:
            self.interrupt()
        except BaseException as error:  # noqa: BLE001 - somebody else's thread must not die of it
            self.context.log("interrupt_failed", path=self.context.path, error=repr(error))

    def abandon(self) -> None:
        """Cut off a life that does not end: close its inbox, strike its name, and let it speak to nobody.

        Its thread is left to itself.
        """
        self.abandoned = True
        self.book = NOWHERE
        self.__unlist()
        try:
            self.let_go()
        except BaseException as error:  # noqa: BLE001 - the same
            self.context.log("let_go_failed", path=self.context.path, error=repr(error))
        self.settled.set()

    def replace(self, seconds: float, stack: str) -> None:
        """Cut off a life that is stuck and report it as one that crashed: its supervisor goes on without it."""
        error = f"Stuck: nothing was done for {seconds:.1f} s"
        self.context.log(
            "child_abandoned",
            supervisor=self.context.path.rpartition("/")[0],
            id=self.context.id,
            incarnation=self.context.incarnation,
            seconds=seconds,
        )
        self.context.tally.add_abandoned()
        self.interrupt_safely()
        self.abandon()
        self.context.report(
            replace(self.exited, where=self.__hook, error=error, traceback_text=stack[-TRACEBACK_LIMIT:], text="stuck")
        )

    # pykka's side.

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        return Inbox()

    def _start_actor_loop(self) -> None:
        try:
            self.book.register(self.context.id, self.actor_inbox)
            self.thread.start()
        except BaseException:
            self.__unlist()
            raise

    def _actor_loop(self) -> None:
        trouble: tuple[str, str] | None = None
        try:
            trouble = self.__live()
            trouble = self.__close(trouble)
        finally:
            self.__say_goodbye(trouble)

    @final
    def on_start(self) -> None:
        """Unused: see `begin`."""

    @final
    def on_receive(self, message: Any) -> Any:
        """Pykka's name for `receive`."""
        return self.receive(message)

    @final
    def on_stop(self) -> None:
        """Unused: see `end`."""

    @final
    def on_failure(self, *_: Any, **__: Any) -> None:
        """Unused: see `end`."""

    # One life. Names are mangled: a subclass may well have a `_close` of its own.

    def __live(self) -> tuple[str, str] | None:
        """Begin and serve. Returns error and traceback of what ended it, None if it was meant to end."""
        try:
            self.begin()
            self.__hook = Hook.RECEIVE
            self.ready.set()
            self.__serve()
        except InboxClosed:
            self.depart_as(ExitReason(ExitKind.SHUTDOWN, "abandoned"))
        except BaseException as error:  # noqa: BLE001 - the point of this class
            return self.__fail(error)
        return None

    def __serve(self) -> None:
        take, receive, clock = self.actor_inbox.take, self.receive, self.context.clock
        message: Any = None
        try:
            while self.__leaving is None:
                message = take()
                kind = message.__class__
                if kind is Letter:
                    self.__answer(message)
                elif kind is Stop:
                    self.depart_as(ExitReason(ExitKind.SHUTDOWN, message.reason))
                else:
                    receive(message)
                self.handled += 1
                self.progress = clock()
        except BaseException:
            self.__handling = type(message.message if isinstance(message, Letter) else message).__name__
            raise

    def __answer(self, letter: Letter) -> None:
        if letter.stops:
            self.__farewells.append(letter)
            self.depart_as(ExitReason(ExitKind.FOREIGN, "stopped through pykka"))
            return
        try:
            letter.resolve(self._handle_receive(letter.message))
        except BaseException as error:
            letter.fail(error)
            raise

    def __fail(self, error: BaseException) -> tuple[str, str]:
        # What breaks while a stop is under way (interrupt() breaks things on purpose) is part of that stop.
        self.__leaving = self.actor_inbox.stop_requested or ExitReason(ExitKind.CRASH, _name(error))
        return _describe(error)

    def __close(self, trouble: tuple[str, str] | None) -> tuple[str, str] | None:
        where = self.__hook
        reason = self.__leaving or ExitReason(ExitKind.NORMAL)
        try:
            self.__hook = Hook.END
            self.end(reason)
        except BaseException as error:  # noqa: BLE001 - the same
            if trouble is None:
                return self.__fail(error)
            self.__hook = where
            text, trace = trouble
            return text, f"{trace}\nThen end() failed:\n{_describe(error)[1]}"
        self.__hook = where
        return trouble

    def __say_goodbye(self, trouble: tuple[str, str] | None) -> None:
        """Strike the name off, report, and be done: whichever of these fails, the next is done all the same."""
        try:
            self.__unlist()
            for letter in self.__farewells:
                letter.resolve(None)
        finally:
            try:
                with contextlib.suppress(BaseException):
                    self.exited = self.__sum_up(trouble)
                self.context.report(self.exited)
            finally:
                self.ready.set()
                self.done.set()
                self.settled.set()

    def __sum_up(self, trouble: tuple[str, str] | None) -> Exited:
        reason = self.__leaving or ExitReason(ExitKind.CRASH, self.exited.text)
        error, trace = trouble or ("", "")
        return replace(
            self.exited,
            kind=reason.kind,
            where=self.__hook if trouble else None,
            error=error,
            traceback_text=trace,
            handling=self.__handling,
            text=reason.text,
        )

    def __unlist(self) -> None:
        """Take this life out of everything it is listed in. Safe to call twice, from any thread."""
        leftovers = self.actor_inbox.close()
        self.context.book.remove(self.context.id, self.actor_inbox)
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.actor_stopped.set()
        self.__bury(leftovers)

    def __bury(self, leftovers: list[Any]) -> None:
        bury_letters(leftovers)
        lost = leftovers
        try:
            lost = self.bury(leftovers)
        except BaseException as error:  # noqa: BLE001 - what is called here must go on to the end
            self.context.log("bury_failed", path=self.context.path, error=repr(error))
        self.context.book.bury(lost)


def _name(error: BaseException) -> str:
    return type(error).__name__


def _describe(error: BaseException) -> tuple[str, str]:
    """One line and the traceback of an exception; something shorter when there is no memory for that."""
    with contextlib.suppress(BaseException):
        line = "".join(traceback.format_exception_only(error)).strip()
        return line[:ERROR_LIMIT], "".join(traceback.format_exception(error))[-TRACEBACK_LIMIT:]
    return _name(error), f"{_name(error)} (no traceback could be made)"
