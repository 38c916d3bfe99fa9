"""What the tests of this room share: an actor that does what its messages say, and diaries to wait on."""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pykka
import pytest

from backstay.supervisor.actor import Actor
from backstay.supervisor.book import Book
from backstay.supervisor.messages import Exited, ExitReason
from backstay.supervisor.root import Root
from backstay.supervisor.specs import ChildSpec, Context, SupervisorSpec
from backstay.supervisor.supervisor import start_root

PATIENCE = 10.0  # for what takes milliseconds: only a failing test waits so long


class Diary:
    """Entries in order, from any thread, that can be waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.entries: list[Any] = []

    def note(self, entry: Any) -> bool:
        with self._changed:
            self.entries.append(entry)
            self._changed.notify_all()
        return True

    def log(self, event: str, /, **fields: Any) -> None:
        self.note((event, fields))

    def wait(self, met: Callable[[list[Any]], object], seconds: float = PATIENCE) -> list[Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: met(self.entries), seconds), self.entries
            return list(self.entries)

    def wait_count(self, count: int) -> list[Any]:
        return self.wait(lambda entries: len(entries) >= count)

    def events(self, name: str) -> list[dict[str, Any]]:
        with self._changed:
            return [entry[1] for entry in self.entries if entry[0] == name]

    def wait_events(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        self.wait(lambda entries: sum(entry[0] == name for entry in entries) >= count)
        return self.events(name)


class Scripted(Actor):
    """Calls the messages it gets with itself; hooks can be given at the start."""

    def __init__(
        self,
        context: Context,
        *,
        begin: Callable[[Any], Any] | None = None,
        end: Callable[[Any, ExitReason], Any] | None = None,
        interrupt: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(context)
        self._begin, self._end, self._interrupt = begin, end, interrupt

    def begin(self) -> None:
        if self._begin is not None:
            self._begin(self)

    def receive(self, message: Any) -> Any:
        return message(self) if callable(message) else message

    def end(self, reason: ExitReason) -> None:
        if self._end is not None:
            self._end(self, reason)

    def interrupt(self) -> None:
        if self._interrupt is not None:
            self._interrupt()


class Lone:
    """Actors without a supervisor: their exits go into a diary."""

    Scripted = Scripted

    def __init__(self) -> None:
        self.book = Book()
        self.exits = Diary()
        self.logged = Diary()
        self.started: list[Any] = []

    def context(self, name: str = "a", **fields: Any) -> Context:
        return Context(name, name, self.book, self.exits.note, log=self.logged.log, **fields)

    def start(self, name: str = "a", kind: type[Actor] = Scripted, **options: Any) -> Any:
        actor = kind.start(self.context(name), **options).actor
        self.started.append(actor)
        return actor

    def hold(self, name: str = "a") -> threading.Event:
        """Have the actor wait inside a message; returns, once it does, the event that lets it go on."""
        reached, gate = threading.Event(), threading.Event()
        self.book.send(name, lambda _: [reached.set(), gate.wait(PATIENCE)])
        assert reached.wait(PATIENCE)
        return gate

    def exit_of(self, actor: Any) -> Exited:
        assert actor.done.wait(PATIENCE)
        mine = [entry for entry in self.exits.entries if entry.id == actor.context.id]
        assert len(mine) == 1, mine
        return mine[0]


class Forest:
    """Trees that are stopped when the test ends, with what they logged."""

    Scripted = Scripted

    def __init__(self) -> None:
        self.diary = Diary()
        self.exits = Diary()
        self.life = Diary()
        self.roots: list[Root] = []

    def plant(self, spec: SupervisorSpec, **options: Any) -> Root:
        root = start_root(spec, log=self.diary.log, on_exit=self.exits.note, **options)
        self.roots.append(root)
        return root

    def child(self, name: str, **options: Any) -> ChildSpec:
        """A scripted child that notes ("begin"|"end", id, incarnation) in `life`."""

        def begin(actor: Any) -> None:
            self.life.note(("begin", name, actor.context.incarnation))

        def end(actor: Any, _reason: ExitReason) -> None:
            self.life.note(("end", name, actor.context.incarnation))

        hooks = {key: options.pop(key) for key in ("begin", "end", "interrupt") if key in options}
        hooks = {"begin": begin, "end": end} | hooks
        return ChildSpec(name, lambda context: Scripted.start(context, **hooks), **options)

    def settle(self, root: Root, path: str = "") -> None:
        """Return when the root, and the supervisor at `path` behind it, have dealt with all that came before."""
        for each in dict.fromkeys(("", path)):
            root.start_child(each, ChildSpec("settled", Scripted.start))
            root.stop_child(each, "settled")


class ManualClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clean_house() -> Iterator[None]:
    """No thread and no registered actor may be left behind."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(PATIENCE)
    assert not [thread for thread in left if thread.is_alive()]
    assert pykka.ActorRegistry.get_all() == []


@pytest.fixture
def lone(clean_house: None) -> Iterator[Lone]:
    made = Lone()
    yield made
    for actor in made.started:
        actor.dismiss()
        assert actor.done.wait(PATIENCE)


@pytest.fixture
def forest(clean_house: None) -> Iterator[Forest]:
    made = Forest()
    yield made
    for root in made.roots:
        assert root.stop(PATIENCE)


@pytest.fixture
def manual_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def fast_switching() -> Iterator[None]:
    """Threads change places as often as the interpreter can: races that are there are met."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)
