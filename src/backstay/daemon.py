"""The daemon: a manager, its HTTP side and the operator's socket, started together and stopped within a bound."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from backstay._version import __version__
from backstay.config import Config
from backstay.control.server import ControlServer, Handler
from backstay.errors import StartError
from backstay.logs import EventLog
from backstay.manager import Manager
from backstay.metrics.blocks import ProcessSample
from backstay.metrics.events import EventRing
from backstay.metrics.exporter import Check, HttpServer, Views, create_app
from backstay.metrics.listening import ListenError
from backstay.status import status_as_dict
from backstay.supervisor.actor import Actor
from backstay.supervisor.messages import Exited
from backstay.supervisor.watchdog import Stuck, Watchdog
from backstay.watching import Source

TREE_STOP_SECONDS = 8.0
"""For all actors together, once the connections have drained; longer than the graces of a connection's own tree."""


class Daemon:
    """Everything of one configuration that runs in this process. `start` and `stop` once each, from one thread.

    `on_end` is called, in any thread, when the supervision tree has ended, because of `stop` or because it gave up.
    """

    def __init__(self, config: Config, *, log: EventLog, events: EventRing, on_end: Callable[[Exited], object]) -> None:
        self.config = config
        self.log = log
        self.manager = Manager(config, log=log, on_end=on_end)
        self._accepted_wall = time.time()
        self._hash = hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]
        self._draining = threading.Event()
        self._stops = ExitStack()
        views = Views(
            source=Source(self.manager),
            status=self.status,
            process=self._process,
            live=self._live,
            draining=self._draining.is_set,
            events=events,
        )
        self._http = HttpServer(config.http.listen, create_app(views)) if config.http.enabled else None
        self._control = ControlServer(config.control.socket, self, events)

    def start(self) -> None:
        """Open every door. Raises StartError with a sentence; then nothing is left behind."""
        with ExitStack() as stops:
            # The sockets first: a start that is refused must not have dialled a gateway, or greeted a client.
            stops.callback(self._control.stop)
            _open("control.socket", self._control.start)
            if self._http is not None:
                stops.callback(self._http.stop)
                _open("http.listen", self._http.start)
            stops.callback(self._stop_manager)
            self.manager.start()
            watchdog = Watchdog(self._actors, self._tell_stuck)
            watchdog.start()
            stops.callback(watchdog.stop)
            self._stops = stops.pop_all()

    def stop(self) -> None:
        """Drain, then stop: the doors for clients first, what tells about it last. Bounded by some ten seconds."""
        self._draining.set()
        self._stops.close()

    def doors(self) -> str:
        """Where it can be reached, in one line."""
        parts = [f"relay {door.name} on {door.listen}" for door in self.manager.status().listeners]
        if self._http is not None:
            parts.append(f"HTTP on http://{self._http.address}/")
        return ", ".join([*parts, f"control socket {self.config.control.socket}"])

    # -- what others may see and do ------------------------------------------------------------------------------------

    def status(self) -> Mapping[str, object]:
        """The status as JSON has it."""
        return status_as_dict(self.manager.status())

    def handler(self, name: str) -> Handler | None:
        """What carries out an operator's command; None: not offered."""
        return _HANDLERS.get(name)

    def _process(self) -> ProcessSample:
        return ProcessSample(
            version=__version__,
            hash=self._hash,
            config_accepted_wall=self._accepted_wall,
            log_messages=dict(self.log.counts),
        )

    def _live(self) -> Sequence[Check]:
        tree = self.manager.tree()
        return (Check("supervision", ok=tree is not None and tree.alive),)

    def _actors(self) -> Sequence[Actor]:
        root = self.manager.root
        return tuple(root.actors()) if root is not None else ()

    def _tell_stuck(self, stuck: Stuck) -> None:
        self.log("actor_stuck", path=stuck.name, seconds=stuck.seconds, gone=stuck.gone, traceback=stuck.stack)

    def _stop_manager(self) -> None:
        self.manager.stop(TREE_STOP_SECONDS)


def _open(key: str, start: Callable[[], object]) -> None:
    try:
        start()
    except ListenError as error:
        raise StartError(f"{key}: {error}") from error


_HANDLERS: Mapping[str, Handler] = {}
"""Operators' commands by name."""
