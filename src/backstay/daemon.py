"""The daemon: a manager, its HTTP side and the operator's socket, started together and stopped within a bound."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backstay._version import __version__
from backstay.actors.turnstile import PROCESS_TURNSTILE
from backstay.claims import claim
from backstay.config import Config
from backstay.doors import Doors, Server
from backstay.errors import StartError
from backstay.holds import Holds
from backstay.logs import EventLog
from backstay.manager import Manager
from backstay.metrics.blocks import LAG_BOUNDS, Histogram, ProcessSample
from backstay.metrics.events import EventRing
from backstay.metrics.timeline import Timeline
from backstay.operations import Operations
from backstay.rates import Rates
from backstay.service_manager import Beat, ServiceManager
from backstay.status import standing, status_as_dict
from backstay.watching import Source

if TYPE_CHECKING:
    from backstay.control.server import ControlServer, Handler
    from backstay.metrics.exporter import Check
    from backstay.metrics.server import Certificate

TREE_ENDED = "the supervision tree has ended"

HEARTBEAT_SECONDS = 30.0
"""The supervisor at the top takes milliseconds for a message; for the slowest, stopping children, there are limits."""

TREE_STOP_SECONDS = 8.0
"""For all actors together, once the connections have drained; longer than the graces of a connection's own tree."""


class Daemon:
    """Everything of one configuration that runs in this process. `start` and `stop` once each, from one thread.

    `on_end` is called, in any thread, with the reason why there is no sense in going on: the supervision tree has
    ended, because of `stop` or because it gave up, or the servers could not be started.
    """

    def __init__(
        self,
        config: Config,
        *,
        log: EventLog,
        events: EventRing,
        on_end: Callable[[str], object],
        load: Callable[[], Config] | None = None,
        service: ServiceManager | None = None,
    ) -> None:
        """`load` reads the configuration again, for a reload. `service`: who started us, and is told how it stands."""
        self.config = config
        self.log = log
        self._timeline = Timeline()
        self._rates = Rates()
        self._service = service or ServiceManager({})
        self._holds = Holds(config.control.holds)
        self.manager = Manager(config, log=self._hear, on_end=lambda _: on_end(TREE_ENDED), holds=self._holds)
        self._operations = Operations(self.manager, holds=self._holds, log=log, events=events, load=load)
        self._events = events
        self._on_end = on_end
        self._timer_lag = Histogram(LAG_BOUNDS)
        self._draining = threading.Event()
        self._operators: ControlServer | None = None
        self._unreachable = ""
        self._stops = ExitStack()
        self._doors = Doors(
            config.control.socket,
            config.http.listen if config.http.enabled else None,
            by_port=config.control.transport == "port",
        )

    def start(self) -> None:
        """Open every door. Raises StartError with a sentence; then nothing is left behind."""
        with ExitStack() as stops:
            # The doors first: a start that is refused must not have dialled a gateway, or greeted a client.
            stops.callback(self._doors.close)
            self._certificate()  # so that one that cannot be used ends the start
            self._doors.open()
            stops.callback(claim("control.holds", self.config.control.holds, self.config.control.socket).release)
            self._holds.load()
            stops.callback(self._stop_manager)
            self.manager.start()
            beat = Beat(
                self._service,
                trouble=self.trouble,
                standing=lambda: standing(self.manager.status()),
                also=(self._count, self._keep_door),
                failed=lambda error: self.log("beat_failed", error=error),
            )
            beat.start()
            stops.callback(beat.stop)
            self._stops = stops.pop_all()
        self._doors.serve(self._serve, self._tell_unserved)

    def stop(self) -> None:
        """Drain, then stop: the doors for clients first, what tells about it last. Bounded by some ten seconds."""
        self._draining.set()
        self._service.tell(STOPPING="1", STATUS="stopping")
        self._stops.close()

    def reload(self) -> None:
        """Read the configuration again, in a thread of its own: whatever comes of it is in the log."""
        reload = self._operations.handler("reload")
        assert reload is not None  # noqa: S101  # it is in the table

        def work() -> None:
            self._service.tell(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))
            with suppress(Exception):  # told as an event
                reload({"reason": "SIGHUP"}, None)
            self.tell_ready()

        threading.Thread(target=work, name="reload", daemon=True).start()

    def tell_ready(self) -> None:
        """Tell whoever started us that it is served."""
        self._service.tell(READY="1", STATUS=standing(self.manager.status()))

    def dump(self) -> None:
        """Write what a bug report needs beside the control socket, for its owner alone, in a thread of its own."""

        def work() -> None:
            socket_path = self.config.control.socket
            path = socket_path.with_name(f"{socket_path.stem}.{int(time.time())}.dump.json")
            try:
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    json.dump(self._operations.dump({}, None), file, indent=1)
            except OSError as error:
                self.log("dump_failed", path=path, reason=error.strerror or str(error))
            else:
                self.log("dump_written", path=path)

        threading.Thread(target=work, name="dump", daemon=True).start()

    def doors(self) -> str:
        """Where it can be reached, in one line."""
        parts = [f"relay {door.name} on {door.listen}" for door in self.manager.status().listeners]
        if self._doors.address is not None:
            parts.append(f"HTTP on http{'s' if self.config.http.certificate else ''}://{self._doors.address}/")
        return ", ".join([*parts, f"control socket {self.config.control.socket}"])

    # -- what others may see and do ------------------------------------------------------------------------------------

    def status(self) -> Mapping[str, object]:
        """The status as JSON has it."""
        rates, status = self._rates.now, self.manager.status()
        rows = (replace(one, messages_per_second=rates.get(one.name)) for one in status.connections)
        return status_as_dict(replace(status, connections=tuple(rows)))

    def trouble(self) -> str:
        """Why this process should be started anew; empty while it works. Never because of a gateway."""
        root = self.manager.root
        if root is None or not root.tree().alive:
            return "the supervision tree does not stand"
        top = root.supervisor
        quiet = time.monotonic() - top.progress
        if not top.actor_inbox.waiting and quiet > HEARTBEAT_SECONDS:
            return f"the supervisor at the top has not moved for {quiet:.0f} s"
        return ""

    def _keep_door(self) -> None:
        """A file that was removed must not leave operators without a way to what they have to put right."""
        path = self.config.control.socket
        try:
            if self._operators is not None and self._operators.keep():
                self._unreachable = ""
                self.log("control_restored", path=path)
        except OSError as error:
            if str(error) != self._unreachable:
                self._unreachable = str(error)
                self.log("control_lost", path=path, reason=self._unreachable)

    def _count(self) -> None:
        meters = self.manager.meters()
        self._rates.look(time.monotonic(), {meter.name: meter.messages_received for meter in meters})

    def handler(self, name: str) -> Handler | None:
        """What carries out an operator's command; None: not offered."""
        return self._operations.handler(name)

    def _serve(self, control: socket.socket, http: socket.socket | None) -> Sequence[Server]:
        from backstay.control.server import ControlServer  # noqa: PLC0415  # see backstay.doors
        from backstay.metrics.exporter import HttpServer, Views, create_app  # noqa: PLC0415

        operators = ControlServer(
            self.config.control.socket, self, self._events, listener=control, token=self._doors.token
        )
        operators.start()
        self._operators = operators
        if http is None:
            return (operators,)
        views = Views(
            source=Source(self.manager),
            status=self.status,
            tree=lambda: self._operations.tree({}, None),
            timeline=self._timeline.changes,
            connection=self._explain,
            process=self._process,
            live=self._live,
            journal=self._journal,
            draining=self._draining.is_set,
            events=self._events,
        )
        config = self.config.http
        users = {name: secret.get_secret_value() for name, secret in config.users.items()}
        app = create_app(views, hosts=config.hosts, users=users)
        watchers = HttpServer(
            http, app, lag=self._timer_lag, certificate=self._certificate(), courtesy=PROCESS_TURNSTILE
        )
        watchers.start()
        return operators, watchers

    def _certificate(self) -> Certificate | None:
        from backstay.metrics.server import Certificate  # noqa: PLC0415  # see backstay.doors

        config = self.config.http
        if config.certificate is None or config.key is None:
            return None
        found = Certificate(config.certificate, config.key)
        if reason := found.problem():
            raise StartError(f"http.certificate: {reason}")
        return found

    def _hear(self, event: str, /, **fields: Any) -> None:
        self._timeline.hear(event, fields)
        self.log(event, **fields)

    def _explain(self, name: str) -> Mapping[str, object] | None:
        from backstay.control.server import CommandError  # noqa: PLC0415  # see backstay.doors

        try:
            return self._operations.explain({"name": name}, None)
        except CommandError:  # there is none of that name
            return None

    def _tell_unserved(self, error: BaseException) -> None:
        self._on_end(f"the servers could not be started: {error!r}")

    def _process(self) -> ProcessSample:
        accounts, journal = self._operations.accounts, self.manager.keeping.meter
        root = self.manager.root
        return ProcessSample(
            version=__version__,
            hash=accounts.hash,
            config_accepted=accounts.accepted,
            config_accepted_wall=accounts.accepted_wall,
            log_messages=dict(self.log.counts),
            operator_actions=dict(accounts.actions),
            operator_action_failures=dict(accounts.failures),
            timer_lag=self._timer_lag,
            journal_usable=self.manager.keeping.usable,
            journal_write_failures=journal.write_failures,
            journal_commit_seconds=journal.commit_seconds,
            threads_abandoned=root.tally.threads_abandoned if root is not None else 0,
        )

    def _live(self) -> Sequence[Check]:
        from backstay.metrics.exporter import Check  # noqa: PLC0415  # see backstay.doors

        trouble = self.trouble()
        return (Check("supervision", ok=not trouble, detail=trouble),)

    def _journal(self) -> Sequence[Check]:
        from backstay.metrics.exporter import Check  # noqa: PLC0415  # see backstay.doors

        keeping = self.manager.keeping
        if keeping.usable is None:
            return ()
        trouble = keeping.trouble
        return (Check("journal", ok=not trouble, detail=f"orders are refused: {trouble}" if trouble else ""),)

    def _stop_manager(self) -> None:
        self.manager.stop(TREE_STOP_SECONDS)
