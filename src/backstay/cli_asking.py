"""How the commands that talk to a daemon find it, ask it, and tell what it said. Standard library alone: no waiting."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from backstay.commands import Argument, Option, complain, say
from backstay.control.client import (
    ControlClient,
    ControlError,
    MisusedError,
    NotReadyError,
    RefusedError,
    is_there,
    locate_socket,
    require_ready,
)
from backstay.control.vocabulary import CONFIG_VARIABLE, DEFAULT_CONFIG, DEFAULT_SOCKET, SOCKET_VARIABLE, Exit
from backstay.places import SERVICE_SOCKET, runtime_folder, simulator_socket

SCHEMA = 1
"""Of an error, and of an answer that the command line makes itself, as JSON."""


LOOK_FURTHER = "; backstay doctor looks for the reason"


class Answer(NamedTuple):
    """What a command has to tell, and the code it ends with."""

    exit: Exit
    text: str
    complains: bool = False


ConfigOption = Annotated[
    str | None,
    Option("--config", "-c", metavar="FILE", text=f"The daemon's configuration. Also: ${CONFIG_VARIABLE}."),
]
ControlOption = Annotated[
    str | None,
    Option("--control", metavar="SOCKET", text=f"The daemon's control socket. Also: ${SOCKET_VARIABLE}."),
]
NamesArgument = Annotated[
    list[str] | None, Argument(metavar="NAME", text="Connections, * and ? allowed.", offers="connection")
]
AllOption = Annotated[bool, Option("--all", text="All connections there are.")]
JsonOption = Annotated[bool, Option("--json", text="JSON on stdout, errors too; keys are stable.")]
TimeoutOption = Annotated[float, Option("--timeout", metavar="SECONDS", least=0.1, text="How long to wait for it.")]


def client_of(config: str | None, control: str | None) -> ControlClient:
    """The daemon meant by these options, or by the environment, or by where it was started. Raises ControlError."""
    path = _located(config, control)
    nowhere_said = not (config or control or os.environ.get(SOCKET_VARIABLE) or os.environ.get(CONFIG_VARIABLE))
    if nowhere_said and not is_there(path):
        elsewhere = (simulator_socket(runtime_folder(os.environ)), SERVICE_SOCKET)
        path = next(filter(is_there, elsewhere), path)
    return ControlClient(Path(path))


def _located(config: str | None, control: str | None) -> Path:
    """Where the socket is; beside a file that cannot be read, where a daemon that was started before it broke has it.

    A slip of the pen in the file must not lock out whoever has to look at the daemon that still runs. Raises
    MisusedError where there is no such file, RefusedError where it cannot be read and there is no socket either.
    """
    try:
        return locate_socket(config, control, os.environ)
    except (MisusedError, RefusedError) as error:
        file = Path(config or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
        path = file.parent / DEFAULT_SOCKET
        if not file.is_file() or not is_there(path):
            raise
        complain(f"backstay: {error}; asking the daemon at {path}")
        return path


def is_pattern(*names: str) -> bool:
    """Whether one of these is to be matched, not taken as it is."""
    return any(mark in name for name in names for mark in "*?[")


def chosen(connections: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Those whose names match; all where there are no names. Raises RefusedError for a name that none has."""
    for name in names:
        if not any(fnmatchcase(one["name"], name) for one in connections):
            raise RefusedError(f"no connection {name!r}", code="unknown_connection")
    return [one for one in connections if not names or any(fnmatchcase(one["name"], name) for name in names)]


def with_held(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Its connections, and the names that are held and not there. A daemon of an earlier version tells none."""
    return [*status["connections"], *status.get("held", ())]


def with_absent(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The same, and the names that nobody has now and somebody should know of."""
    return [*with_held(status), *status.get("absent", ())]


def readiness(connections: Sequence[Mapping[str, Any]]) -> Exit:
    """OK if every wanted one is ready."""
    try:
        require_ready({"connections": connections})
    except NotReadyError as error:
        return error.exit
    return Exit.OK


def ask(look: Callable[[], Answer], *, as_json: bool) -> Answer:
    """What `look` answers, or what it raised, as an answer."""
    try:
        return look()
    except ControlError as error:
        if not as_json:
            more = LOOK_FURTHER if error.exit is Exit.UNREACHABLE else ""
            return Answer(error.exit, f"backstay: {error}{more}", complains=True)
        return told(str(error), error.code, error.exit)


def told(message: str, code: str, ends: int) -> Answer:
    """An error as JSON has it."""
    problem = {"code": code, "message": message, "exit": ends}
    return Answer(Exit(ends), json.dumps({"schema": SCHEMA, "error": problem}))


def tell(answer: Answer) -> Exit:
    """Print it where it belongs."""
    (complain if answer.complains else say)(answer.text)
    return answer.exit


def colour() -> bool:
    """Whether whoever reads stdout wants colours."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
