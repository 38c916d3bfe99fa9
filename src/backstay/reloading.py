"""A changed configuration taken over by the running daemon: what differs, and each connection by itself.

Nothing is done before the new one has been judged as a whole and its new doors are open. What has not changed is not
touched; a connection whose settings changed gets them in turn, with a new socket, while its client's stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, cast

from backstay.commanding import begin_anew
from backstay.config import Config, RelayConfig
from backstay.errors import Problem
from backstay.live import Door, Live, open_door
from backstay.manager import Manager
from backstay.metrics.listening import Address, ListenError
from backstay.names import Names
from backstay.relay.lobby import Lobby
from backstay.session.lifecycle import Event
from backstay.status import Move
from backstay.supervisor.root import Root
from backstay.trunk import RELAYS
from backstay.turns import RELOADED, Turns, so_far, take_turns, touched
from backstay.watching import CONNECTIONS

FIXED = ("journal", "http", "control", "log")
"""Sections that the process has taken up at its start; a change of them waits for the next one."""

LEAVE_SECONDS = 5.0
"""How long the clients of a relay that is gone may take to leave."""

ORIGIN = "the new configuration"

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs. `effect` says when it counts."""

    key: str
    what: str
    before: object
    after: object
    effect: str


def difference(old: Config, new: Config) -> tuple[Change, ...]:
    """All keys that differ, in the order of the configuration."""
    before, after = (_flat(config.model_dump(mode="json")) for config in (old, new))
    keys = [*before, *(key for key in after if key not in before)]
    return tuple(_change(key, before, after) for key in keys if before.get(key) != after.get(key))


def _flat(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    found: dict[tuple[str, ...], object] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _flat(cast("Mapping[str, Any]", value), (*above, key))
        else:
            found[(*above, key)] = value
    return found


def _change(
    key: tuple[str, ...], before: Mapping[tuple[str, ...], object], after: Mapping[tuple[str, ...], object]
) -> Change:
    what = ADDED if key not in before else REMOVED if key not in after else CHANGED
    return Change(".".join(key), what, before.get(key), after.get(key), _effect(key))


def _effect(key: tuple[str, ...]) -> str:
    if key[0] in FIXED:
        return "with the next start of the process"
    if key[0] == "relays":
        return "a door anew: its clients are cut" if key[-1] in {"listen", "gateway"} else "for clients to come"
    return "the connection anew" if key[0] == "connections" else "each connection in turn, with a new socket"


def findings(manager: Manager, new: Config, names: Names) -> tuple[Problem, ...]:
    """Why this configuration had better not be taken over, as far as can be told before: names, and doors.

    Names are looked up that are new, and those of connections that would lose a socket they have now. A port where
    nothing answers is no mistake of a configuration.
    """
    hosts = {place: host for place, host in _hosts(new) if _is_new(manager.config, place, host)}
    _, gateways = touched(manager, new)
    hosts |= {place: host for place, host in _hosts(new) if place[0] in gateways}
    troubles = names.troubles(hosts.values())
    found = [
        Problem(ORIGIN, f"gateways.{gateway}.endpoints[{number}]", f"{host} has no address: {troubles[host]}")
        for (gateway, number), host in hosts.items()
        if host in troubles
    ]
    moved, fresh = _doors(manager.config, new)
    leaving = {manager.config.relays[name].listen for name in moved}
    for name in fresh:
        if new.relays[name].listen not in leaving:
            try:
                open_door(new.relays[name]).sock.close()
            except ListenError as error:
                found.append(Problem(ORIGIN, f"relays.{name}.listen", str(error)))
    return tuple(found)


def _hosts(config: Config) -> Iterator[tuple[tuple[str, int], str]]:
    for name, gateway in config.gateways.items():
        for number, endpoint in enumerate(gateway.endpoints):
            yield (name, number), endpoint.host


def _is_new(old: Config, place: tuple[str, int], host: str) -> bool:
    gateway = old.gateways.get(place[0])
    return gateway is None or host not in {endpoint.host for endpoint in gateway.endpoints}


def _doors(old: Config, new: Config) -> tuple[set[str], list[str]]:
    """The relays whose door goes, and those that get one."""
    moved = {name for name in old.relays if name not in new.relays or _is_other_door(old, new, name)}
    return moved, [name for name in new.relays if name not in old.relays or name in moved]


def cut_off(manager: Manager, new: Config) -> tuple[str, ...]:
    """The clients that would lose their sockets, since their relay goes, or gets a door anew."""
    gone, _ = _doors(manager.config, new)
    return tuple(live.meter.name for live in manager._live.values() if live.relay in gone and live.named)


def take_over(manager: Manager, new: Config) -> Turns:
    """Run with this configuration from here on. Raises ListenError, and then nothing has changed.

    Blocks until each connection that had to be touched has had its turn, or one has not come back: then the others are
    left alone. One caller at a time.
    """
    root = manager.root
    if root is None:
        return Turns()
    old = manager.config
    new = new.model_copy(update={section: getattr(old, section) for section in FIXED})
    moved, fresh = _doors(old, new)
    _Doors(manager, root).replace(moved, {name: new.relays[name] for name in fresh}, so_far(old, new, ()))
    for name, relay in new.relays.items():
        if name not in fresh:
            manager._doors[name].config = relay  # the hall's own inside, here and below
    return take_turns(manager, old, new)


def _is_other_door(old: Config, new: Config, name: str) -> bool:
    before, after = old.relays[name], new.relays[name]
    return (before.listen, before.gateway) != (after.listen, after.gateway)


class _Doors:
    """Relays that come and go."""

    def __init__(self, manager: Manager, root: Root) -> None:
        self._manager = manager
        self._root = root

    def replace(self, gone: set[str], fresh: Mapping[str, RelayConfig], new: Config) -> None:
        """Open the fresh ones first, unless they stand where one that goes still does."""
        manager = self._manager
        leaving = {manager.config.relays[name].listen for name in gone}
        with ExitStack() as stack:
            opened: dict[str, Door] = {}
            for name in (name for name, relay in fresh.items() if relay.listen not in leaving):
                opened[name] = open_door(fresh[name])
                stack.callback(opened[name].sock.close)
            for name in gone:
                self._close(name)
            for name in fresh:
                if name not in opened:
                    opened[name] = open_door(fresh[name])
            stack.pop_all()
        for name in new.gateways:
            manager._lobbies.setdefault(name, Lobby())
        manager.config = new
        for name, door in opened.items():
            manager._doors[name] = door
            self._root.start_child(f"root/{RELAYS}", manager._listener(name))

    def _close(self, name: str) -> None:
        manager = self._manager
        door = manager._doors[name]
        self._root.stop_child(f"root/{RELAYS}", f"relay-{name}", reason=RELOADED)
        door.sock.close()
        clients = [live.id for live in manager._live.values() if live.relay == name]
        for live_id in clients:
            manager.order(live_id, Event.DRAIN, RELOADED)
        manager.wait_until(lambda _: not set(clients) & set(manager._live), LEAVE_SECONDS)
        for live_id in set(clients) & set(manager._live):
            self._root.stop_child(f"root/{CONNECTIONS}", live_id, reason=RELOADED)
        manager._doors.pop(name)


def move_endpoint(manager: Manager, live: Live, endpoint: Address, *, reason: str) -> None:
    """Let one connection dial this endpoint alone, at once."""
    root = manager.root
    if root is not None:
        before = ", ".join(str(Address(*one)) for one in live.charge.settings.endpoints)
        live.charge.settings = replace(live.charge.settings, endpoints=((endpoint.host, endpoint.port),))
        live.moved = moved(live.moved, Move("endpoint", before, str(endpoint), time.time()))
        words = f"moved to {endpoint}"
        begin_anew(root, live, words=f"{words}: {reason}" if reason else words)


def moved(earlier: tuple[Move, ...], move: Move) -> tuple[Move, ...]:
    """What operators have moved of it, each as seen from where it was at first; what is there again is left out."""
    first = next((one.before for one in earlier if one.what == move.what), move.before)
    others = tuple(one for one in earlier if one.what != move.what)
    return others if first == move.after else (*others, replace(move, before=first))


def with_client_id(config: Config, name: str, client_id: int) -> Config:
    """The configuration with another client id for this connection. Raises ValueError where that cannot be."""
    keepers = dict(config.connections)
    keepers[name] = keepers[name].model_copy(update={"client_id": client_id})
    return Config.model_validate({**dict(config), "connections": keepers})
