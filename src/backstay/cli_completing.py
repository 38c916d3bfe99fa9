"""What a shell offers for a name or a value: what the running daemon has, and tables. Silent where nothing is known."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stderr, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from backstay.cli_asking import client_of, with_absent, with_held
from backstay.control.client import ControlError
from backstay.control.vocabulary import COMMANDS, CONFIG_VARIABLE, DEFAULT_CONFIG, PARTS

LOOK_SECONDS = 0.5
"""A person has pressed a key and waits; a daemon that does not answer at once has no names."""

Given = Mapping[str, Any]


def offered(kind: str, command: str, given: Given) -> list[str]:
    """What may stand there. `kind`: a key of the table; `given`: what the line says already, by parameter."""
    try:
        with redirect_stderr(StringIO()):  # a word about a broken file would stand in the middle of the line
            return sorted(OFFERS[kind](command, given))
    except ControlError:
        return []


def _connections(command: str, given: Given) -> Iterable[str]:
    status = _status(given)
    row = COMMANDS.get(command)
    if row is None or not row.goal:
        rows = with_absent(status)
    else:
        rows = with_held(status) if row.lifts else status["connections"]
    return {str(one["name"]) for one in rows} - set(given.get("names") or ())


def _endpoints(_command: str, given: Given) -> Iterable[str]:
    """Those that are dialled, and those of the configuration, where the stand-ins are."""
    dialled = {str(one["endpoint"]) for one in _status(given)["connections"]}
    return (dialled | set(_configured(given))) - {""}


def _configured(given: Given) -> Iterator[str]:
    file = Path(given.get("config") or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
    with suppress(OSError, ValueError, LookupError, AttributeError, TypeError):  # not there, or not as it should be
        for gateway in tomllib.loads(file.read_text(encoding="utf-8"))["gateways"].values():
            yield from map(str, gateway.get("endpoints", ()))


def _status(given: Given) -> dict[str, Any]:
    return client_of(given.get("config"), given.get("control")).status(timeout=LOOK_SECONDS)


OFFERS: Mapping[str, Callable[[str, Given], Iterable[str]]] = {
    "connection": _connections,
    "endpoint": _endpoints,
    "part": lambda _command, _given: PARTS,
}
"""By what `Option` and `Argument` name."""
