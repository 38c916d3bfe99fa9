"""A new configuration brought to the connections, one after the other, up to the first that does not come back.

A mistake in it then costs one connection. What has had no turn goes on as it was, and has one with the next reload.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backstay.commanding import begin_anew
from backstay.config import Config, ConnectionConfig
from backstay.control.goals import UP_STATES
from backstay.session.causes import Cause
from backstay.settings_of import backoff_of, session_settings
from backstay.watching import CONNECTIONS

if TYPE_CHECKING:
    from backstay.live import Live
    from backstay.manager import Manager

BACK_SECONDS = 20.0
"""How long a connection that was up may take to be so again before it counts as one that does not come back."""

RELOADED = "the configuration was reloaded"


@dataclass(frozen=True, slots=True)
class Turns:
    """How far it went: who was changed, who of them did not come back, that in a sentence, and who had no turn."""

    changed: tuple[str, ...] = ()
    failed: str = ""
    why: str = ""
    left: tuple[str, ...] = ()


def touched(manager: Manager, new: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the connections that would have a turn, and the gateways of those among them that are up."""
    changed = _other_keepers(manager.config.connections, new.connections)
    unfit = _unfit(manager, new, but=changed)
    lives = [*filter(None, map(manager._find, changed)), *unfit]  # the hall's own inside, here and below
    gateways = dict.fromkeys(live.gateway for live in lives if live.view.state in UP_STATES)
    return (*changed, *(live.meter.name for live in unfit)), tuple(name for name in gateways if name in new.gateways)


def take_turns(manager: Manager, old: Config, new: Config) -> Turns:
    """Bring it to all that it concerns; the doors are open already, and `manager.config` is `so_far` without any."""
    return _Round(manager, old, new).run()


def replace_one(manager: Manager, new: Config, name: str) -> None:
    """Begin this connection of the configuration anew as `new` has it, and nobody else, whatever they still lack.

    Its own settings stay as they are, with the endpoint that an operator has moved it to.
    """
    _Round(manager, manager.config, new).replace(name)


def so_far(old: Config, new: Config, done: Iterable[str]) -> Config:
    """The new configuration, with the old one for connections that have yet to have their turn."""
    turned = set(done)
    pending = {name: one for name, one in old.connections.items() if name in new.connections and name not in turned}
    finished = {name: one for name, one in new.connections.items() if name in turned}
    needed = {one.gateway for one in pending.values()}
    gateways = {name: one for name, one in old.gateways.items() if name in needed}
    return new.model_copy(update={"gateways": gateways | new.gateways, "connections": pending | finished})


def _other_keepers(old: Mapping[str, ConnectionConfig], new: Mapping[str, ConnectionConfig]) -> tuple[str, ...]:
    return tuple(name for name, one in new.items() if old.get(name) != one)


def _unfit(manager: Manager, config: Config, *, but: Iterable[str] = ()) -> tuple[Live, ...]:
    """Connections that run with other settings than the configuration has for them."""
    replaced = set(but)
    lives = (live for live in manager._live.values() if live.id not in replaced and live.gateway in config.gateways)
    return tuple(live for live in lives if not _fits(live, config) and _stays(live, config))


def _fits(live: Live, config: Config) -> bool:
    charge = live.charge
    settings = session_settings(config, live.gateway, read_only=charge.settings.read_only)
    return settings == charge.settings and backoff_of(config) == charge.backoff.reset()


def _stays(live: Live, config: Config) -> bool:
    return live.relay in config.relays or live.id in config.connections


class _Round:
    def __init__(self, manager: Manager, old: Config, new: Config) -> None:
        assert manager.root is not None  # noqa: S101  # the caller has looked
        self._manager, self._root = manager, manager.root
        self._old, self._new = old, new
        self._done: list[str] = []
        self._aside: set[str] = set()  # stopped before their turn: another one is to have their client id

    def run(self) -> Turns:
        manager, old, new = self._manager, self._old, self._new
        for name in old.connections:
            if name not in new.connections:
                self._stop(name)
        keepers = _other_keepers(old.connections, new.connections)
        turns: list[tuple[str, str, Callable[[], object]]] = [
            (name, name, functools.partial(self._replace, name)) for name in keepers
        ]
        unfit = _unfit(manager, new, but=keepers)
        turns += [(live.id, live.meter.name, functools.partial(self._refit, live)) for live in unfit]
        up = {live_id for live_id, _, _ in turns if self._state(live_id) in UP_STATES}
        changed: list[str] = []
        for number, (live_id, name, touch) in enumerate(turns):
            touch()
            changed.append(name)
            if live_id in up and not self._is_back(live_id):
                changed += self._bring_back()
                left = tuple(name for _, name, _ in turns[number + 1 :] if name not in changed)
                return Turns(tuple(changed), failed=name, why=self._why(live_id, name), left=left)
        manager.config = new
        return Turns(tuple(changed))

    def replace(self, name: str) -> None:
        """One alone."""
        earlier = self._manager._live.get(name)
        self._stop(name)
        self._start(name, like=earlier)

    def _state(self, live_id: str) -> str:
        live = self._manager._live.get(live_id)
        return live.view.state if live is not None else ""

    def _why(self, live_id: str, name: str) -> str:
        live = self._manager._live.get(live_id)
        how = ", ".join(filter(None, (live.view.state, live.view.reason))) if live is not None else "gone"
        return f"{name} did not come back within {BACK_SECONDS:g} s ({how})"

    def _is_back(self, live_id: str) -> bool:
        manager = self._manager

        def settled(_: object) -> bool:
            live = manager._live.get(live_id)
            return live is None or not live.charge.wanted or live.view.state in UP_STATES

        return manager.wait_until(settled, BACK_SECONDS)

    def _replace(self, name: str) -> None:
        """A connection of the configuration, anew; who has its client id now and will change as well steps aside."""
        wanted = self._new.connections[name]
        for other, before in self._old.connections.items():
            pending = other != name and other not in self._done and other not in self._aside
            if pending and (before.gateway, before.client_id) == (wanted.gateway, wanted.client_id):
                self._stop(other)
                self._aside.add(other)
        if name in self._old.connections and name not in self._aside:
            self._stop(name)
        self._start(name)

    def _start(self, name: str, *, like: Live | None = None) -> None:
        self._aside.discard(name)
        self._done.append(name)
        manager = self._manager
        manager.config = so_far(self._old, self._new, self._done)
        spec = manager._keeper(name, self._new.connections[name])
        if like is not None:
            live = manager._live[name]
            live.charge.settings, live.charge.backoff = like.charge.settings, like.charge.backoff.reset()
            live.moved = like.moved
        self._root.start_child(f"root/{CONNECTIONS}", spec)

    def _stop(self, name: str) -> None:
        live = self._manager._live.get(name)
        if live is not None:
            live.charge.owed.ordered = RELOADED  # as far as its session still hears that its socket goes
        self._root.stop_child(f"root/{CONNECTIONS}", name, reason=RELOADED)
        if live is not None and live.charge.owed.ready_epoch:
            self._tell_lost(live)
        self._manager._left(name)
        self._manager._lobbies[self._old.connections[name].gateway].release(name)

    def _tell_lost(self, live: Live) -> None:
        """What its session had no time to tell. Nobody writes its meter any more."""
        cause = Cause.OPERATOR
        live.meter.count("disconnects", cause.row.disconnect_reason)
        fields = {"epoch": live.view.epoch, "cause": cause.value, "code": cause.row.tws_code, "detail": RELOADED}
        self._manager.log("connection_lost", connection=live.meter.name, **fields)

    def _bring_back(self) -> list[str]:
        """Nobody stays aside: who has given up its client id begins with its new one."""
        aside = sorted(self._aside)
        for name in aside:
            self._start(name)
        return aside

    def _refit(self, live: Live) -> None:
        """Give a connection the settings it would have if it began now."""
        charge, config = live.charge, self._manager.config
        charge.settings = session_settings(config, live.gateway, read_only=charge.settings.read_only)
        charge.backoff = backoff_of(config)
        live.moved = ()
        begin_anew(self._root, live, words=RELOADED)
