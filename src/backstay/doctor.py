"""What is wrong, before the daemon runs and while it does: a list of findings, each with what to do about it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

from backstay.claims import taken_by_another
from backstay.config import ClientIds, Config
from backstay.control.client import ControlClient, ControlError, UnreachableError, is_there
from backstay.control.explaining import CLOCK_HELP, CLOCK_SECONDS, HELP_BY_CAUSE, JOURNAL_HELP, READ_ONLY_HELP
from backstay.doctor_probe import DEFAULT_PORTS, Probed, listening_ports, probe
from backstay.doctor_told import findings as told_findings
from backstay.errors import ConfigError, StartError
from backstay.finding import Finding
from backstay.holds import Holds
from backstay.metrics.listening import Address, ListenError, open_listener
from backstay.session.calendar import Downtime, Planned, look_up
from backstay.session.told import Told

ROOM_BYTES = 16 * 1024 * 1024
"""Less is a disk about to be full: the journal of a busy day has a few MiB, and SQLite needs as much again at times."""

CHECK_HELP = "Mend it (docs/configuration.md has all keys); backstay check FILE judges it again."

DEGRADED_HELP = ("Look at IB's system status, and at the network of the gateway's machine.",)


def examine(
    load: Callable[[], Config],
    *,
    client_id: int,
    seconds: float,
    find: Callable[[], ControlClient | None] = lambda: None,
) -> Iterator[Finding]:
    """All findings, as they are made. `seconds`: for each step at a gateway, and each answer of the daemon.

    `find`: the daemon that may run beside a configuration that cannot be read.
    """
    try:
        config = load()
    except ConfigError as error:
        for problem in error.problems:
            yield Finding("configuration", ok=False, text=str(problem), todo=(CHECK_HELP,))
        if (client := find()) is not None:  # one that was started before the file broke
            yield from _daemon(client, seconds)
        return
    yield Finding("configuration", ok=True, text="can be used")
    yield from _files(config)
    yield from _daemon(ControlClient(config.control.socket), seconds, config)
    yield from _shared(config)
    for name in config.gateways:
        yield from _endpoints(config, name, client_id=client_id, seconds=seconds)


def _endpoints(config: Config, name: str, *, client_id: int, seconds: float) -> Iterator[Finding]:
    gateway, wall = config.gateways[name], time.time()
    planned = look_up(gateway.maintenance or (), wall)
    first, *_ = gateway.endpoints
    answered: dict[Address, Told | None] = {}
    for endpoint in gateway.endpoints:
        look = probe(endpoint, client_id, seconds)
        check = f"gateway {name} {endpoint}" if endpoint == first else f"gateway {name} stand-in {endpoint}"
        found = _gateway(check, endpoint, look, orders=_wants_orders(config, name))
        yield _excused(found if endpoint == first else _stand_in(found, first), planned)
        if not look.cause:
            answered[endpoint] = look.told
    yield from told_findings(name, gateway, answered, wall=wall)


def _excused(found: Finding, planned: Planned) -> Finding:
    """What is away in its planned downtime is where it should be."""
    if found.ok or planned.phase is not Downtime.NOW:
        return found
    return replace(found, ok=True, text=f"{found.text} ({planned.text})", todo=("Look again after it.",))


def _files(config: Config) -> Iterator[Finding]:
    socket = config.control.socket
    looks: tuple[tuple[Callable[[Path], str], str], ...] = (
        (_unwritable, "Give the daemon's user the right to write there, or name another place."),
        (lambda path: _no_room(path.parent), "Make room there, or name another place."),
        (lambda path: taken_by_another(path, socket), "Name another file, or end the other daemon."),
        (lambda path: _damage(path) if path == config.control.holds else "", "Look at it and mend it, or remove it."),
    )
    for check, path in (("journal", config.journal.path), ("control.holds", config.control.holds)):
        found = next(((trouble, todo) for look, todo in looks if (trouble := look(path))), None)
        if found is None:
            yield Finding(check, ok=True, text=f"{path} can be written")
        else:
            yield Finding(check, ok=False, text=found[0], todo=(found[1],))
    if config.http.certificate is not None and config.http.key is not None:
        yield _certificate(config.http.certificate, config.http.key)


def _certificate(chain: Path, key: Path) -> Finding:
    from backstay.metrics.server import Certificate  # noqa: PLC0415  # a server, of which nobody else here has need

    trouble = Certificate(chain, key).problem()
    todo = ("Name the files as they are, or renew them; without a certificate it is plain HTTP.",) if trouble else ()
    return Finding("http.certificate", ok=not trouble, text=trouble or f"{chain} can be used", todo=todo)


def _unwritable(path: Path) -> str:
    if not path.parent.is_dir():
        return f"{path.parent} is no folder"
    if path.is_dir():
        return f"{path} is a folder"
    if path.exists():
        return "" if os.access(path, os.W_OK) else f"{path} cannot be written"
    return "" if os.access(path.parent, os.W_OK | os.X_OK) else f"nothing can be written into {path.parent}"


def _damage(path: Path) -> str:
    try:
        Holds(path).load()
    except StartError as error:
        return str(error)
    return ""


def _no_room(folder: Path) -> str:
    free = shutil.disk_usage(folder).free
    return f"only {free // 1024} KiB are free in {folder}" if free < ROOM_BYTES else ""


def _daemon(client: ControlClient, seconds: float, config: Config | None = None) -> Iterator[Finding]:
    try:
        status = client.status(timeout=seconds)
    except UnreachableError as error:
        yield _away(Path(client.path), str(error))
        if config is not None:
            yield from _doors(config)
        return
    except ControlError as error:
        yield Finding("daemon", ok=False, text=str(error), todo=("Look at its log; restart it if it hangs.",))
        return
    yield Finding("daemon", ok=True, text=f"runs, pid {status['pid']}")
    if journal := status.get("journal"):
        yield Finding(
            "orders", ok=False, text=f"are refused, they cannot be written down: {journal}", todo=JOURNAL_HELP
        )
    for row in status["connections"]:
        yield _connection(client, row, seconds)
    for row in status.get("absent", ()):
        yield replace(_connection(client, row, seconds), ok=False)


def _away(path: Path, why: str) -> Finding:
    """A daemon that was stopped takes its socket with it; one that was killed leaves it behind."""
    start = "Start it: backstay run, with the same configuration."
    text = f"does not run ({why}); the rest is looked at without it"
    if not is_there(path):
        return Finding("daemon", ok=True, text=text, todo=(start,))
    todo = ("It has left its socket behind, so it was killed: look at the end of its log.", start)
    return Finding("daemon", ok=False, text=text, todo=todo)


def _connection(client: ControlClient, row: Mapping[str, Any], seconds: float) -> Finding:
    check = f"connection {row['name']}"
    try:
        told = client.command("explain", {"name": row["name"]}, timeout=seconds)
    except ControlError as error:
        return Finding(check, ok=False, text=str(error))
    ok = not row["wanted"] or (row["state"] == "ready" and not told["todo"])
    return Finding(check, ok=ok, text=f"{row['state']}: {told['why']}", todo=tuple(told["todo"]))


def _doors(config: Config) -> Iterator[Finding]:
    socket = config.control.socket
    trouble = _unwritable(socket) if not is_there(socket) else ""
    text = f"cannot be listened on: {trouble}" if trouble else f"{socket} can be listened on"
    todo = ("Make its folder, or name another place: whoever gives orders to the daemon finds it there.",)
    yield Finding("control.socket", ok=not trouble, text=text, todo=todo if trouble else ())
    doors = {f"relays.{name}.listen": relay.listen for name, relay in config.relays.items()}
    if config.http.enabled:
        doors["http.listen"] = config.http.listen
    for key, address in doors.items():
        try:
            open_listener(address).close()
        except ListenError as error:
            yield Finding(key, ok=False, text=str(error), todo=("End what listens there, or choose another port.",))
        else:
            yield Finding(key, ok=True, text=f"{address} is free")


def _wants_orders(config: Config, gateway: str) -> bool:
    users = [(one.gateway, one.read_only) for one in config.relays.values()]
    users += [(one.gateway, one.read_only) for one in config.connections.values()]
    return (gateway, False) in users


def _stand_in(found: Finding, first: Address) -> Finding:
    """The same of an endpoint that is dialled only if another one is away: whether it could take over."""
    if found.ok:
        return replace(found, text=f"could stand in for {first}: {found.text}")
    todo = (*found.todo, f"Until that is mended, nothing here takes over when {first} goes away.")
    return replace(found, text=f"could not stand in for {first}: {found.text}", todo=todo)


def _shared(config: Config) -> Iterator[Finding]:
    """One TWS under two names: it lets each client id in once, whoever asks for it."""
    for (one, first), (other, second) in combinations(config.gateways.items(), 2):
        common = next((endpoint for endpoint in first.endpoints if endpoint in second.endpoints), None)
        if common is None:
            continue
        shared = _first_shared_id(config, one, other)
        text = f"both dial {common}" + ("" if shared is None else f", and both may use client id {shared}")
        todo = () if shared is None else ("Give them client ids of their own, or make one gateway of the two.",)
        yield Finding(f"gateways {one} and {other}", ok=shared is None, text=text, todo=todo)


def _first_shared_id(config: Config, one: str, other: str) -> int | None:
    pairs = product(_client_ids(config, one), _client_ids(config, other))
    return next((found for first, second in pairs if (found := first.first_common(second)) is not None), None)


def _client_ids(config: Config, gateway: str) -> Iterator[ClientIds]:
    yield from (relay.client_ids for relay in config.relays.values() if relay.gateway == gateway)
    for one in config.connections.values():
        if one.gateway == gateway:
            yield ClientIds((range(one.client_id, one.client_id + 1),))


def _gateway(check: str, endpoint: Address, found: Probed, *, orders: bool) -> Finding:
    if found.cause:
        return Finding(check, ok=False, text=found.text, todo=_help(found, endpoint))
    off = found.clock_seconds or 0.0
    text = f"{found.text}, clock {round(off):+d} s"
    if abs(off) > CLOCK_SECONDS:
        return Finding(check, ok=False, text=text, todo=CLOCK_HELP)
    if found.read_only:
        return Finding(check, ok=not orders, text=f"{text}, Read-Only API: orders are refused", todo=READ_ONLY_HELP)
    return Finding(check, ok=True, text=text)


def _help(found: Probed, endpoint: Address) -> tuple[str, ...]:
    todo = DEGRADED_HELP if found.cause == "degraded" else HELP_BY_CAUSE.get(found.cause, ())
    if found.cause != "refused":
        return todo
    others = [f"{port} ({DEFAULT_PORTS[port]})" for port in listening_ports(endpoint.host) if port != endpoint.port]
    return (*todo, f"Something listens on {', '.join(others)} there: is that the one?") if others else todo
