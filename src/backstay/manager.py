"""The composition root: builds the tree from the configuration, and shows what goes on in it.

A plain object. `start`, `stop` and `wait_ready` block and belong to threads outside the tree; the rest may be called
from any thread and never asks an actor.
"""

from __future__ import annotations

import functools
import itertools
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from backstay._version import __version__
from backstay.actors.charge import Charge, Outside
from backstay.actors.connection import Parts, connection_children, connection_spec
from backstay.actors.dispatcher import CallbackSink
from backstay.actors.traffic import Credit, Traffic
from backstay.admitting import STOPPING, admit
from backstay.commanding import give
from backstay.config import Config, ConnectionConfig, configuration
from backstay.errors import MisuseError
from backstay.holds import Holds
from backstay.keeping import Keeping
from backstay.library import Connection, Library
from backstay.library_line import Place
from backstay.live import Door, Live, absent_status, connection_status, missed_status, open_doors, steady
from backstay.meters import Meters, planned_downtime
from backstay.metrics.blocks import ConnectionMeter
from backstay.relay.listener import Listener
from backstay.relay.lobby import Lobby
from backstay.session.client_words import ClientStarted
from backstay.session.lifecycle import Event
from backstay.session.owed import Owed, View
from backstay.session.settings import OWN_OFFER
from backstay.session.vocabulary import Ordered
from backstay.settings_of import backoff_of, session_settings
from backstay.status import ConnectionStatus, ListenerStatus, Status
from backstay.supervisor.actor import Ref
from backstay.supervisor.book import Book
from backstay.supervisor.messages import Exited
from backstay.supervisor.root import COMMAND_SECONDS, Root
from backstay.supervisor.specs import ChildSpec, Context, Log, Restart, no_log
from backstay.supervisor.supervisor import start_root, supervisor_child
from backstay.supervisor.tree import TreeNode
from backstay.trunk import RELAYS, STOP_MARGIN_SECONDS, root_spec
from backstay.veto import MayResend, Veto
from backstay.watching import connection_id, restarts_below


class Manager:
    """All connections and relays of one configuration. Use as a context manager, or call `start` and `stop`."""

    def __init__(
        self,
        config: Config | Path | str | Mapping[str, Any],
        *,
        log: Log = no_log,
        chance: random.Random | None = None,
        sinks: Mapping[str, Callable[[bytes], object]] | None = None,
        on_end: Callable[[Exited], object] | None = None,
        holds: Holds | None = None,
        may_resend: MayResend | None = None,
    ) -> None:
        """Build nothing yet. `config`: a configuration, the path of a file, or a tree as such a file has it.

        `sinks`: for a connection of the configuration, a function that gets what arrives on it, as whole frames, in the
        connection's own thread, which it must not block. `on_end` hears, in any thread, how the tree has ended.
        `may_resend` is asked before an order is sent again, where the configuration lets that be; see `Resend`.
        """
        self.config = configuration(config)
        self.log = log
        self.holds = holds or Holds()
        self.keeping = Keeping(self.config, log)
        self._sinks = dict(sinks or {})
        self._on_end = on_end
        self._veto = Veto(may_resend)
        self._chance = chance or random.SystemRandom()
        self._numbers = itertools.count(1)
        self._started_wall = 0.0
        self._root: Root | None = None
        self._changed = threading.Condition()
        self._lobbies = {name: Lobby() for name in self.config.gateways}
        self._doors: dict[str, Door] = {}
        self._live: dict[str, Live] = {}
        self._meters = Meters(lambda gateway: planned_downtime(self.config, gateway, self._lobbies[gateway].told))
        self._library = Library(log)
        self._stopping = False

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Open all doors, then start the tree. Raises `StartError` with the address that is not to be had."""
        self._started_wall, self._stopping = time.time(), False
        self._doors = open_doors(self.config.relays)
        keepers = tuple(self._keeper(name, config) for name, config in self.config.connections.items())
        journal = (self.keeping.child(),) if Keeping.is_needed(self.config) else ()
        spec = root_spec(journal, keepers, tuple(map(self._listener, self._doors)))
        self._root = start_root(spec, log=self._tell_of_actors, on_exit=self._ended, watch=True)
        return self

    def stop(self, timeout: float | None = None) -> bool:
        """Stop everything, doors first. True when nothing is left."""
        self._close_doors(COMMAND_SECONDS if timeout is None else timeout)
        for live in self._live.values():
            self.order(live.id, Event.DRAIN, STOPPING)
        seconds = self.config.lifecycle.drain_seconds + STOP_MARGIN_SECONDS
        self.wait_until(lambda _: all(live.view.state == "stopped" for live in list(self._live.values())), seconds)
        root, self._root = self._root, None
        stopped = root is None or root.stop(timeout)
        self._library.close("the manager was stopped")
        self._veto.close()
        return stopped

    def _ended(self, exited: Exited) -> None:
        self._library.close("the supervision tree has ended")
        if self._on_end is not None:
            self._on_end(exited)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- commands and views ------------------------------------------------------------------------------------------

    def order(self, name: str, event: Event, reason: str = "") -> bool:
        """Give an order to the connection of this name or id. False if there is none."""
        live, root = self._find(name), self._root
        if live is None or root is None:
            return False
        give(root, live, Ordered(event, reason))
        return True

    def wait_until(self, condition: Callable[[Status], bool], timeout: float) -> bool:
        """Wait until the status satisfies a condition; looks whenever a connection has changed."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self.status()), timeout)

    def wait_ready(self, timeout: float) -> bool:
        """Wait until every wanted connection is ready."""
        return self.wait_until(lambda status: all(c.state == "ready" for c in status.connections if c.wanted), timeout)

    def connection(self, name: str) -> Connection:
        """The connection of this name among `[connections]`: requests, streams, orders. Raises MisuseError."""
        if name not in self.config.connections or name in self._sinks:
            raise MisuseError(f"there is no connection {name!r}; there are: {', '.join(self.config.connections)}")
        return self._library.get(name)

    def charge(self, name: str) -> Charge | None:
        """What the connection of this name is charged with; it goes on changing in the session's thread."""
        live = self._find(name)
        return None if live is None else live.charge

    def status(self) -> Status:
        """What is going on, at this moment."""
        restarts = restarts_below(self.tree())
        connections = tuple(self._status_of(live, restarts) for live in list(self._live.values()))
        return Status(
            version=__version__,
            pid=os.getpid(),
            started_wall=self._started_wall,
            listeners=tuple(
                ListenerStatus(name, door.address, door.config.gateway, len(door.clients))
                for name, door in self._doors.items()
            ),
            connections=connections,
            held=(held := self._held({one.name for one in connections})),
            absent=self._missed({one.name for one in (*connections, *held)}),
            journal=self.keeping.trouble,
        )

    def _held(self, there: set[str]) -> tuple[ConnectionStatus, ...]:
        """What operators hold and is not there, in the order of the alphabet."""
        found = self.holds.all()
        return tuple(
            absent_status(name, self._gateway(name), found[name], in_doubt=self._meters.in_doubt(name))
            for name in sorted(found.keys() - there)
        )

    def _missed(self, told: set[str]) -> tuple[ConnectionStatus, ...]:
        """What nobody uses and somebody should know of, as found when the meters were looked at last."""
        found = steady(self._meters.absent)
        return tuple(missed_status(meter) for meter in found if meter.name not in told)

    def _let_go(self, name: str) -> None:
        """Nobody holds this name any more, which no connection has now: what is shown of it says no longer why."""
        with self._changed:
            self._meters.let_go(name)

    def _in_doubt(self, name: str) -> int:
        """How many orders are in doubt of a name that no connection has now, as of the last look at the meters."""
        return self._meters.in_doubt(name)

    def _gateway(self, name: str) -> str:
        """The gateway that a connection of this name would have; empty if the configuration knows none."""
        owner = self.config.connections.get(name) or self.config.relays.get(name.rpartition("/")[0])
        return "" if owner is None else owner.gateway

    def names(self) -> Mapping[str, str]:
        """The name of each connection there is by its id, which is its name in the supervision tree."""
        return {live.id: live.meter.name for live in list(self._live.values()) if live.named}

    def address(self, relay: str) -> tuple[str, int]:
        """Where this relay listens."""
        host, port = self._doors[relay].sock.getsockname()[:2]
        return host, port

    def meters(self) -> tuple[ConnectionMeter, ...]:
        """The meters of all connections there are or were a while ago, one for each name, as things stand now."""
        for live in list(self._live.values()):
            live.count()
        in_doubt = steady(lambda: dict(self.keeping.meter.in_doubt))
        with self._changed:
            self._look_at_doors()  # a state that lasts raises no event
            self._meters.look_at_orders(in_doubt, self._live.values(), self.config)
            self._meters.forget(self._doors, self._live.values(), time.monotonic())
            return self._meters.all()

    def tree(self) -> TreeNode | None:
        """The supervision tree; None when it does not stand."""
        return self._root.tree() if self._root is not None else None

    @property
    def root(self) -> Root | None:
        """The running tree."""
        return self._root

    def _tell_of_actors(self, event: str, /, **fields: Any) -> None:
        """With the name of the connection: the tree knows clients by numbers, which say nothing to anybody."""
        live = self._live.get(connection_id(str(fields.get("supervisor") or fields.get("path")), fields.get("id")))
        of = {"connection": live.meter.name} if live is not None and live.named else {}
        self.log(event, **of, **fields)

    def _find(self, name: str) -> Live | None:
        return self._live.get(name) or next((live for live in self._live.values() if live.meter.name == name), None)

    # -- building ----------------------------------------------------------------------------------------------------

    def _close_doors(self, timeout: float) -> None:
        self._stopping = True
        if self._root is not None:
            self._root.stop_child("", RELAYS, reason=STOPPING, timeout=timeout)
        for door in self._doors.values():
            door.sock.close()

    def _listener(self, name: str) -> ChildSpec:
        sock = self._doors[name].sock

        def start(context: Context) -> Ref[Listener]:
            # The book of the tree, not the tree: clients knock before `start` has returned.
            admit = functools.partial(self._admit, name, book=context.book)
            return Listener.start(context, sock=sock, admit=admit)

        return ChildSpec(f"relay-{name}", start)

    def _charge(self, live_id: str, gateway: str, *, owed: Owed, read_only: bool, credit: Credit) -> Charge:
        lobby = self._lobbies[gateway]
        meter = ConnectionMeter(name=live_id, gateway=gateway, mode="relay" if owed.offer is None else "keeper")
        return Charge(
            settings=session_settings(self.config, gateway, read_only=read_only, asks_owner=self._veto.is_wanted),
            owed=owed,
            backoff=backoff_of(self.config),
            outside=Outside(
                meter=meter,
                show=lambda view: self._show(live_id, view),
                remember=lobby.remember,
                move=lobby.move,
                moves=lambda: lobby.moves,
                note_asked=lobby.note_asked,
                asked=lambda: lobby.asked,
                note_told=lobby.note_told,
                told=lambda: lobby.told,
                log=self.log,
                journal=self.keeping.send,
                ask_owner=self._veto.ask,
                parked=lambda reason: self._parked(live_id, reason),
            ),
            traffic=Traffic(),
            credit=credit,
            chance=self._chance,
        )

    def _keeper(self, name: str, config: ConnectionConfig) -> ChildSpec:
        start = ClientStarted(config.client_id) if config.start == "at once" else None
        owed, credit = Owed(offer=OWN_OFFER, start=start), Credit()
        charge = self._charge(name, config.gateway, owed=owed, read_only=config.read_only, credit=credit)
        charge.wanted = self.holds.get(name) is None
        live = Live(name, config.gateway, charge)
        self._register(live, name)
        self._lobbies[config.gateway].claim(config.client_id, name)
        children = connection_children(self._parts(live, config.client_id))
        return supervisor_child(name, connection_spec(children, charge), restart=Restart.TRANSIENT)

    def _parts(self, live: Live, client_id: int) -> Parts:
        """Where what arrives on a connection of our own goes: to a function that takes frames, or to the library."""
        name, charge = live.id, live.charge
        if name in self._sinks:
            tell = functools.partial(self.log, connection=name)
            return Parts(charge, CallbackSink(self._sinks[name], charge.credit, tell=tell))

        def wait(condition: Callable[[], bool], timeout: float) -> bool:
            with self._changed:
                return self._changed.wait_for(condition, timeout)

        place = Place(charge, lambda: live.view, lambda: self._status_of(live, restarts_below(self.tree())), wait)
        sink, line = self._library.open(name, place, client_id)
        charge.outside = replace(charge.outside, refund=line.refund, present=line.present)
        return Parts(charge, sink, settle=line.settle)

    def _status_of(self, live: Live, restarts: Mapping[str, int]) -> ConnectionStatus:
        hold, journal = self.holds.get(live.meter.name), self.keeping.trouble
        return connection_status(live, restarts.get(live.id, 0), hold, journal=journal)

    def _admit(self, relay: str, sock: socket.socket, address: str, *, book: Book) -> None:
        admit(self, relay, sock, address=address, book=book)

    # -- keeping track -----------------------------------------------------------------------------------------------

    def _register(self, live: Live, name: str) -> None:
        with self._changed:
            self._live = {**self._live, live.id: live}
            if name:
                self._meters.go_on(name, live.meter)
                live.named = True
            self._changed.notify_all()

    def _has_greeted(self, live: Live) -> bool:
        with self._changed:
            return self._doors[live.relay].has_greeted(live.id)

    def _named(self, live: Live, name: str) -> str:
        """A client has said who it is: its meter goes on from that of its predecessor. Returns the name."""
        with self._changed:
            self._meters.go_on(name, live.meter)
            live.named = True
            self._look_at_doors(live.gateway)
        if (hold := self.holds.get(name)) is not None:
            self.order(live.id, Event.PAUSE, hold.reason)
        return name

    def _left(self, live_id: str) -> None:
        with self._changed:
            live = self._live.get(live_id)
            self._live = {key: value for key, value in self._live.items() if key != live_id}
            if live is not None and live.relay:
                self._doors[live.relay].forget(live_id)
                self._look_at_doors(live.gateway)
            self._meters.forget(self._doors, self._live.values(), time.monotonic())
            self._changed.notify_all()

    def _show(self, live_id: str, view: View) -> None:
        live = self._live.get(live_id)
        if live is None:
            return
        before, live.view = live.view, view
        if live.relay and (before.state != view.state or not live.named):
            with self._changed:
                self._look_at_doors(live.gateway)
        if (before.state, before.expected) != (view.state, view.expected):
            with self._changed:
                self._changed.notify_all()
            self._library.changed(live_id)

    def _look_at_doors(self, gateway: str = "") -> None:
        """Who gets no gateway? At the relays of one gateway, or at all. With the lock."""
        doors = {name: door for name, door in self._doors.items() if gateway in ("", door.config.gateway)}
        self._meters.look_at_doors(doors, self._live.values(), time.monotonic())

    def _parked(self, live_id: str, reason: str) -> None:
        if (live := self._live.get(live_id)) is not None:
            self._show(live_id, replace(live.view, state="parked", reason=reason))
