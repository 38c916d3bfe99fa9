"""What is wrong, before the daemon runs and while it does: a list of findings, each with what to do about it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.config import Config
from backstay.control.client import ControlClient, ControlError, UnreachableError
from backstay.control.explaining import HELP_BY_CAUSE, READ_ONLY_HELP
from backstay.doctor_probe import DEFAULT_PORTS, Probed, listening_ports, probe
from backstay.errors import ConfigError
from backstay.metrics.listening import Address, ListenError, open_listener
from backstay.session.calendar import Downtime, MaintenanceWindow, look_up

CLOCK_SECONDS = 5.0
"""A difference that matters: fills and bars are ordered by the gateway's clock, alarms by ours."""

DAEMON_SECONDS = 5.0

DEGRADED_HELP = ("Look at IB's system status, and at the network of the gateway's machine.",)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    ok: bool
    text: str
    todo: tuple[str, ...] = ()


def examine(load: Callable[[], Config], *, client_id: int, seconds: float) -> Iterator[Finding]:
    """All findings, as they are made. `seconds`: for each step of each look at a gateway."""
    try:
        config = load()
    except ConfigError as error:
        for problem in error.problems:
            yield Finding("configuration", ok=False, text=str(problem), todo=("See docs/configuration.md.",))
        return
    yield Finding("configuration", ok=True, text="can be used")
    yield from _files(config)
    yield from _daemon(config)
    for name, gateway in config.gateways.items():
        for endpoint in gateway.endpoints:
            wants_orders = _wants_orders(config, name)
            yield _gateway(f"gateway {name}", endpoint, client_id=client_id, seconds=seconds, orders=wants_orders)
        if gateway.maintenance:
            yield _planned(f"gateway {name}", gateway.maintenance, time.time())


def _files(config: Config) -> Iterator[Finding]:
    for check, path in (("journal", config.journal.path), ("control.holds", config.control.holds)):
        trouble = _unwritable(path)
        todo = ("Give the daemon's user the right to write there, or name another place.",) if trouble else ()
        yield Finding(check, ok=not trouble, text=trouble or f"{path} can be written", todo=todo)


def _unwritable(path: Path) -> str:
    if not path.parent.is_dir():
        return f"{path.parent} is no folder"
    if path.exists():
        return "" if os.access(path, os.W_OK) else f"{path} cannot be written"
    return "" if os.access(path.parent, os.W_OK | os.X_OK) else f"nothing can be written into {path.parent}"


def _daemon(config: Config) -> Iterator[Finding]:
    client = ControlClient(config.control.socket)
    try:
        status = client.status(timeout=DAEMON_SECONDS)
    except UnreachableError:
        yield Finding("daemon", ok=True, text="does not run")
        yield from _ports(config)
        return
    except ControlError as error:
        yield Finding("daemon", ok=False, text=str(error), todo=("Look at its log; restart it if it hangs.",))
        return
    yield Finding("daemon", ok=True, text=f"runs, pid {status['pid']}")
    for row in status["connections"]:
        yield _connection(client, row)


def _connection(client: ControlClient, row: Mapping[str, Any]) -> Finding:
    check = f"connection {row['name']}"
    try:
        told = client.command("explain", {"name": row["name"]}, timeout=DAEMON_SECONDS)
    except ControlError as error:
        return Finding(check, ok=False, text=str(error))
    ok = not row["wanted"] or (row["state"] == "ready" and not told["todo"])
    return Finding(check, ok=ok, text=f"{row['state']}: {told['why']}", todo=tuple(told["todo"]))


def _ports(config: Config) -> Iterator[Finding]:
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


def _gateway(name: str, endpoint: Address, *, client_id: int, seconds: float, orders: bool) -> Finding:
    check = f"{name} {endpoint}"
    found = probe(endpoint, client_id, seconds)
    if found.cause:
        return Finding(check, ok=False, text=found.text, todo=_help(found, endpoint))
    off = found.clock_seconds or 0.0
    text = f"{found.text}, clock {off:+.0f} s"
    if abs(off) > CLOCK_SECONDS:
        return Finding(check, ok=False, text=text, todo=("Set the clocks of both machines by NTP.",))
    if found.read_only:
        return Finding(check, ok=not orders, text=f"{text}, Read-Only API: orders are refused", todo=READ_ONLY_HELP)
    return Finding(check, ok=True, text=text)


def _help(found: Probed, endpoint: Address) -> tuple[str, ...]:
    todo = DEGRADED_HELP if found.cause == "degraded" else HELP_BY_CAUSE.get(found.cause, ())
    if found.cause != "refused":
        return todo
    others = [f"{port} ({DEFAULT_PORTS[port]})" for port in listening_ports(endpoint.host) if port != endpoint.port]
    return (*todo, f"Something listens on {', '.join(others)} there: is that the one?") if others else todo


def _planned(check: str, windows: tuple[MaintenanceWindow, ...], wall: float) -> Finding:
    planned = look_up(windows, wall)
    when = "now" if planned.phase is Downtime.NOW else f"in {(planned.begins - wall) / 3600:.1f} h"
    return Finding(f"{check} maintenance", ok=True, text=f"{when}: {planned.text}")
