"""The configuration: one frozen tree built once, checked as a whole, and every problem told at once with its place.

Keys and defaults are those of `backstay.toml`; `BACKSTAY_SECTION__KEY` in the environment overrides them. Paths are
relative to the file, those that it does not give too, so that commands started elsewhere find the same daemon. A path
from the environment, or without a file, is relative to the current folder.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from itertools import combinations, product
from pathlib import Path
from typing import Any, Self, cast

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from backstay.config_environment import got, overrides
from backstay.config_sections import (
    BackoffConfig,
    ConnectionConfig,
    ControlConfig,
    GatewayConfig,
    HeldConfig,
    HttpConfig,
    JournalConfig,
    LifecycleConfig,
    LogConfig,
    Name,
    OrdersConfig,
    PacingConfig,
    PulseConfig,
    RelayConfig,
    Section,
)
from backstay.config_values import ClientIds
from backstay.errors import ConfigError, NoConfigError, Problem
from backstay.metrics.listening import Address

__all__ = [
    "Address",
    "BackoffConfig",
    "ClientIds",
    "Config",
    "ConnectionConfig",
    "ControlConfig",
    "GatewayConfig",
    "HeldConfig",
    "HttpConfig",
    "JournalConfig",
    "LifecycleConfig",
    "LogConfig",
    "OrdersConfig",
    "PacingConfig",
    "PulseConfig",
    "RelayConfig",
    "load",
]

SIMULATOR_RELAY = Address("127.0.0.1", 7400)
SIMULATOR_HTTP = Address("127.0.0.1", 9464)

_NAMED = {"gateways": GatewayConfig, "relays": RelayConfig, "connections": ConnectionConfig}
_PATHS: tuple[tuple[str, type[Section], str], ...] = (
    ("journal", JournalConfig, "path"),
    ("control", ControlConfig, "socket"),
    ("control", ControlConfig, "holds"),
    ("http", HttpConfig, "certificate"),
    ("http", HttpConfig, "key"),
)
_WILDCARDS = {"0.0.0.0", "::"}  # noqa: S104  # compared with, not bound
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1", *_WILDCARDS}

_NAME_RULE = "a name has lower-case letters, digits, dots, dashes and single underscores, 64 at the most"
_BOOLEAN, _WHOLE, _NUMBER = "must be true or false", "must be a whole number", "must be a number"
_REASONS = {
    "missing": "is required",
    "too_short": "must not be empty",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "tuple_type": "must be a list",
    "path_type": "must be a path in quotes",
    "string_type": "must be text in quotes",
    "string_pattern_mismatch": _NAME_RULE,
    "string_too_long": _NAME_RULE,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
}

_Tree = dict[str, Any]
_Path = tuple[str | int, ...]
_Contradiction = tuple[_Path, str]


class ContradictionError(ValueError):
    """Sections that are right one by one and cannot be together; (path of the key, reason) each."""

    def __init__(self, found: list[_Contradiction]) -> None:
        super().__init__("; ".join(f"{_key(path)}: {reason}" for path, reason in found))
        self.found = found


class Config(Section):
    """All settings of one daemon. Building it in Python applies the same checks as loading a file."""

    gateways: dict[Name, GatewayConfig] = Field(default_factory=dict[Name, GatewayConfig])
    relays: dict[Name, RelayConfig] = Field(default_factory=dict[Name, RelayConfig])
    connections: dict[Name, ConnectionConfig] = Field(default_factory=dict[Name, ConnectionConfig])
    lifecycle: LifecycleConfig = LifecycleConfig()
    backoff: BackoffConfig = BackoffConfig()
    pacing: PacingConfig = PacingConfig()
    pulse: PulseConfig = PulseConfig()
    held: HeldConfig = HeldConfig()
    journal: JournalConfig = JournalConfig()
    orders: OrdersConfig = OrdersConfig()
    http: HttpConfig = HttpConfig()
    control: ControlConfig = ControlConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        found = [*_unknown_gateways(self), *_shared_ports(self), *_shared_client_ids(self), *_dialling_itself(self)]
        if found:
            raise ContradictionError(found)
        return self

    @classmethod
    def simulator_defaults(cls, gateway_endpoint: Address | str, *, environ: Mapping[str, str] | None = None) -> Config:
        """What `run --simulator` runs with; `environ` may override as it does for a file. Raises ConfigError."""
        tree: _Tree = {
            "gateways": {"simulator": {"endpoints": [str(gateway_endpoint)]}},
            "relays": {"simulator": {"gateway": "simulator", "listen": str(SIMULATOR_RELAY)}},
            "http": {"listen": str(SIMULATOR_HTTP)},
        }
        return _build(tree, origin="simulator defaults", environ=environ or {})


def load(path: Path | str | None, environ: Mapping[str, str]) -> Config:
    """The configuration of this file (None: of the environment alone) under these overrides.

    Raises ConfigError with all problems, each with its file or variable, key and reason.
    """
    if path is None:
        return _build({}, origin="environment", environ=environ)
    file = Path(path)
    tree = _read_toml(file)
    _lay_beside(file, tree)
    return _build(tree, origin=str(file), environ=environ)


def configuration(given: Config | Path | str | Mapping[str, Any]) -> Config:
    """A configuration as it is, from the file of this path, or from a tree as a file has it. Raises ConfigError."""
    if isinstance(given, Config):
        return given
    if isinstance(given, Mapping):
        return _build(dict(given), origin="configuration", environ={})
    return load(given, os.environ)


# -- contradictions --------------------------------------------------------------------------------------------------


def _unknown_gateways(config: Config) -> Iterator[_Contradiction]:
    for section, members in (("relays", config.relays), ("connections", config.connections)):
        for name, member in members.items():
            if member.gateway not in config.gateways:
                known = ", ".join(config.gateways) or "none"
                yield (section, name, "gateway"), f"no such gateway; known: {known} (got {member.gateway!r})"


def _listeners(config: Config) -> Iterator[tuple[_Path, Address]]:
    for name, relay in config.relays.items():
        yield ("relays", name, "listen"), relay.listen
    if config.http.enabled:
        yield ("http", "listen"), config.http.listen


def _collide(one: Address, other: Address) -> bool:
    if one.port != other.port or one.port == 0:
        return False
    hosts = {"127.0.0.1" if address.host == "localhost" else address.host for address in (one, other)}
    return len(hosts) == 1 or bool(hosts & _WILDCARDS)


def _shared_ports(config: Config) -> Iterator[_Contradiction]:
    for (first, taken), (path, address) in combinations(_listeners(config), 2):
        if _collide(taken, address):
            yield path, f"the port is taken by {_key(first)} (got '{address}')"


def _dialling_itself(config: Config) -> Iterator[_Contradiction]:
    for (path, address), (name, gateway) in product(_listeners(config), config.gateways.items()):
        for number, endpoint in enumerate(gateway.endpoints):
            if address.port == endpoint.port and _is_here(address, endpoint):
                own = _key(("gateways", name, "endpoints", number))
                yield path, f"is also {own}: backstay would dial itself (got '{address}')"


def _is_here(listen: Address, endpoint: Address) -> bool:
    return listen.host == endpoint.host or {listen.host, endpoint.host} <= _THIS_MACHINE


def _shared_client_ids(config: Config) -> Iterator[_Contradiction]:
    """A gateway lets each client id in once, so two users of one id would throw each other out for ever."""
    users: list[tuple[_Path, str, ClientIds]] = [
        (("relays", name, "client_ids"), relay.gateway, relay.client_ids) for name, relay in config.relays.items()
    ]
    users += [
        (("connections", name, "client_id"), one.gateway, ClientIds((range(one.client_id, one.client_id + 1),)))
        for name, one in config.connections.items()
    ]
    for (first, first_gateway, taken), (path, gateway, ids) in combinations(users, 2):
        common = taken.first_common(ids) if gateway == first_gateway else None
        if common is not None:
            yield path, f"client id {common} on gateway {gateway} belongs to {_key(first)} (got '{ids}')"


# -- from text to tree -----------------------------------------------------------------------------------------------


def _read_toml(file: Path) -> _Tree:
    text = ""
    try:
        text = file.read_bytes().decode("utf-8-sig")  # editors put a mark in front
        return tomllib.loads(text)
    except OSError as error:
        raise NoConfigError([Problem(str(file), "", f"cannot be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(file), "", f"is not UTF-8 (byte {error.start})")]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_broken_toml(file, text, str(error))]) from error


def _lay_beside(file: Path, tree: _Tree) -> None:
    """Paths that the file gives are relative to it, and those it leaves to their defaults lie beside it."""
    for section, kind, key in _PATHS:
        table = tree.setdefault(section, {})
        if not isinstance(table, dict):
            continue  # told as a problem later
        members = cast("_Tree", table)
        default = kind.model_fields[key].default
        value = members.setdefault(key, str(default)) if default is not None else members.get(key)
        if isinstance(value, str) and value:
            members[key] = str(file.parent / value)


def _broken_toml(file: Path, text: str, message: str) -> Problem:
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if match is None:
        return Problem(str(file), "", message)
    lines = text.split("\n")
    line, column = match[2] or len(lines), match[3] or len(lines[-1]) + 1
    return Problem(f"{file}:{line}:{column}", "", match[1])


def _merge(base: _Tree, over: _Tree) -> _Tree:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _merge(cast("_Tree", below), cast("_Tree", value)) if both else value
    return merged


# -- from tree to configuration --------------------------------------------------------------------------------------


def _build(tree: _Tree, *, origin: str, environ: Mapping[str, str]) -> Config:
    found, problems = overrides(environ, sections=Config.model_fields, named=_NAMED)
    for _, setting in found.values():
        tree = _merge(tree, setting)

    def place(path: _Path) -> str:
        for length in range(len(path), 0, -1):
            if path[:length] in found:
                return f"environment {found[path[:length]][0]}"
        return origin

    config = _check(tree, place=place, problems=problems)
    if config is not None and not problems and not config.relays and not config.connections:
        problems.append(Problem(origin, "", "nothing to do: give a [relays.NAME] or a [connections.NAME]"))
    if config is None or problems:
        raise ConfigError(problems)
    return config


def _check(tree: _Tree, *, place: Callable[[_Path], str], problems: list[Problem]) -> Config | None:
    """Validate; where parts are wrong, again without them, so that contradictions among the rest are found too."""
    while True:
        try:
            return Config.model_validate(tree)
        except ValidationError as error:
            details = error.errors(include_url=False)
        if not details[0]["loc"]:
            found = cast("ContradictionError", details[0]["ctx"]["error"]).found  # pyright: ignore[reportTypedDictNotRequiredAccess]
            problems.extend(Problem(place(path), _key(path), reason) for path, reason in found)
            return None
        problems.extend(_problem(detail, place) for detail in details if not _follows(detail["loc"], details))
        for detail in details:
            tree = _without(tree, detail["loc"])


def _follows(path: _Path, details: list[ErrorDetails]) -> bool:
    """Whether a problem here is but the echo of one further in: a list of bad items counts as empty."""
    return any(len(path) < len(other["loc"]) and other["loc"][: len(path)] == path for other in details)


def _without(tree: _Tree, path: _Path) -> _Tree:
    """The tree without the section or member that the path is in; a gateway stays by name, others refer to it."""
    top, *rest = (str(part) for part in path)
    if top not in _NAMED or not rest or not isinstance(tree.get(top), dict):
        gone = {top} if top in tree and top != "gateways" else set(_NAMED)
        return {key: value for key, value in tree.items() if key not in gone}
    members: _Tree = {name: member for name, member in tree[top].items() if name != rest[0]}
    if top == "gateways" and rest[0] in tree[top] and "[key]" not in rest:
        members[rest[0]] = {"endpoints": ["localhost:1"]}
    return {**tree, top: members}


def _problem(detail: ErrorDetails, place: Callable[[_Path], str]) -> Problem:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if "[key]" in detail["loc"]:
        reason = _NAME_RULE
    elif detail["type"] == "extra_forbidden":
        reason = f"unknown key{_suggestion(path)}"
    elif detail["type"] == "value_error":
        reason = str(detail.get("ctx", {}).get("error"))
    else:
        reason = _REASONS.get(detail["type"]) or f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"
    given = "" if isinstance(detail["input"], dict) else f" {got(detail['input'])}"
    return Problem(place(path), _key(path), f"{reason}{given}")


def _key(path: _Path) -> str:
    """The path as TOML has it: relays.paper.listen, gateways.paper.endpoints[0], connections."odd name"."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_bare(part)}" for part in path)
    return "".join(parts).removeprefix(".")


def _bare(part: str) -> str:
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part)


def _suggestion(path: _Path) -> str:
    section = Config if len(path) == 1 else _NAMED.get(str(path[0])) or Config.model_fields[str(path[0])].annotation
    known = list(cast("type[Section]", section).model_fields)
    close = get_close_matches(str(path[-1]), known, n=1)
    return f" (did you mean {close[0]}?)" if close else f"; known: {', '.join(known)}"
