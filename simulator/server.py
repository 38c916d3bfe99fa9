"""The simulator as its users see it: start, stop, ask for the state, wait for something, break something."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, Unpack

from backstay.simulator.faults import Faults
from backstay.simulator.loop import Loop
from backstay.simulator.records import Hook
from backstay.simulator.settings import Options, Settings
from backstay.simulator.state import describe
from backstay.simulator.world import World

State = dict[str, Any]

ERRORS_SHOWN = 3


class Simulator:
    """A simulated TWS / IB Gateway in this process, with faults on command.

    Speaks server versions 100 to 226 (200, where all is text, unless told otherwise). ``listen`` port 0 takes a free
    port; see ``address``. Keyword arguments are the fields of ``Settings``. A context manager; it runs one daemon
    thread, and every public method may be called from any thread.

        with Simulator() as simulator:
            client.connect(*simulator.address, clientId=1)
            simulator.faults.eof()
            simulator.wait_for(lambda state: state["clients"]["1"]["connects"] == 2)
    """

    def __init__(self, listen: tuple[str, int] = ("127.0.0.1", 0), **options: Unpack[Options]) -> None:
        settings = Settings(**options)
        self._loop = Loop()
        self._world = World(self._loop, listen, settings)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def faults(self) -> Faults:
        """What can be made to go wrong; each method is a fault of the same name on the control port."""
        return self._world.faults

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on; the port changes with the ``port_changed`` fault."""
        listener = self._world.listener
        return listener.host, listener.port

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._world.listener.port

    @property
    def events(self) -> list[Hook]:
        """Hooks called with an ``Event`` in the simulator's thread; append one, and let it be quick."""
        return self._world.records.hooks

    @property
    def errors(self) -> list[str]:
        """Tracebacks of mistakes inside the simulator; a test that uses it may assert that there are none."""
        return list(self._loop.errors)

    def start(self) -> None:
        """Listen and serve, once; ``OSError`` when the port is taken."""
        try:
            self._world.listener.open()
        except OSError:
            self._loop.close()
            raise
        self._loop.start()

    def stop(self) -> None:
        """Close every socket and end the thread; harmless when it was not started."""
        self._loop.stop()
        self._world.listener.close()
        for session in list(self._world.peers):
            session.channel.release()
            session.ended("stopped")
        self._loop.close()

    def state(self) -> State:
        """Return clients, requests, subscriptions, orders and armed faults, as ``GET /state`` does."""
        return self._loop.call(lambda: describe(self._world))

    def wait_for(self, predicate: Callable[[State], object], timeout: float = 10.0) -> State:
        """Wait until the state satisfies a predicate and return it; ``TimeoutError`` with the state otherwise.

        A ``KeyError`` or ``IndexError`` inside the predicate means not yet, so it may ask for a client that is still
        to come. It is asked again after everything that happens but ticks, in the caller's thread.
        """
        deadline = time.monotonic() + timeout
        changed = self._world.records.changed
        while True:
            with changed:
                seen = self._world.records.changes
            state = self.state()
            try:
                if predicate(state):
                    return state
            except (KeyError, IndexError):
                pass
            with changed:
                if seen == self._world.records.changes and not changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"not within {timeout} s; the simulator's state is {state}")
