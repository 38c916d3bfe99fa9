"""The commands that look at a running daemon. They talk to its socket with the standard library alone: no waiting."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from backstay import render
from backstay.commands import Argument, Option, complain, say
from backstay.control.client import (
    ControlClient,
    ControlError,
    NotReadyError,
    RefusedError,
    locate_socket,
    require_ready,
)
from backstay.control.vocabulary import CONFIG_VARIABLE, SOCKET_VARIABLE, Exit
from backstay.places import runtime_folder, simulator_socket

SCHEMA = 1
"""Of an error as JSON."""

WATCH_SECONDS = 1.0
HOME_AND_CLEAR = "\x1b[H\x1b[J"


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
JsonOption = Annotated[bool, Option("--json", text="JSON on stdout, errors too; keys are stable.")]
TimeoutOption = Annotated[float, Option("--timeout", metavar="SECONDS", least=0.1, text="How long to wait for it.")]


def status(
    names: Annotated[
        list[str] | None, Argument(metavar="NAME", text="Connections to show, * and ? allowed; all without.")
    ] = None,
    *,
    as_json: JsonOption = False,
    watch: Annotated[bool, Option("--watch", "-w", text="Show it again every second, until Ctrl-C.")] = False,
    config: ConfigOption = None,
    control: ControlOption = None,
    timeout: TimeoutOption = 5.0,
) -> int:
    """Show the connections of a running daemon.

    Without options it looks for the socket where a daemon of this folder has it, then for that of `run --simulator`.
    Exit code 0 when every wanted connection that is shown is ready, 3 when one is not, 4 when no daemon answers.
    """

    def look() -> Answer:
        found = _client(config, control).status(timeout=timeout)
        chosen = _chosen(found["connections"], names or ())
        if as_json:
            return Answer(_readiness(chosen), json.dumps({**found, "connections": chosen}))
        return Answer(_readiness(chosen), render.table(found, chosen, colour=_colour(), now=time.time()))

    return _watch(look, as_json=as_json) if watch else _tell(_ask(look, as_json=as_json))


def health(
    *,
    live: Annotated[
        bool, Option("--live", text="Only whether the daemon answers, whatever the gateways do: for restarts.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
    timeout: TimeoutOption = 5.0,
) -> int:
    """Tell a probe in one line whether all is well.

    Exit code 0 when every wanted connection is ready, 3 when one is not, 4 when no daemon answers.
    """

    def look() -> Answer:
        found = _client(config, control).status(timeout=timeout)
        if not live:
            require_ready(found)
        return Answer(Exit.OK, json.dumps({"schema": SCHEMA, "ok": True}) if as_json else "ok")

    return _tell(_ask(look, as_json=as_json))


def _client(config: str | None, control: str | None) -> ControlClient:
    path = locate_socket(config, control, os.environ)
    nowhere_said = not (config or control or os.environ.get(SOCKET_VARIABLE) or os.environ.get(CONFIG_VARIABLE))
    if nowhere_said and not path.exists():
        simulated = simulator_socket(runtime_folder(os.environ))
        path = simulated if simulated.exists() else path
    return ControlClient(Path(path))


def _chosen(connections: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Mapping[str, Any]]:
    for name in names:
        if not any(fnmatchcase(one["name"], name) for one in connections):
            raise RefusedError(f"no connection {name!r}", code="unknown_connection")
    return [one for one in connections if not names or any(fnmatchcase(one["name"], name) for name in names)]


def _readiness(connections: Sequence[Mapping[str, Any]]) -> Exit:
    try:
        require_ready({"connections": connections})
    except NotReadyError as error:
        return error.exit
    return Exit.OK


def _ask(look: Callable[[], Answer], *, as_json: bool) -> Answer:
    try:
        return look()
    except ControlError as error:
        if not as_json:
            return Answer(error.exit, f"backstay: {error}", complains=True)
        problem = {"code": error.code, "message": str(error), "exit": error.exit}
        return Answer(error.exit, json.dumps({"schema": SCHEMA, "error": problem}))


def _tell(answer: Answer) -> Exit:
    (complain if answer.complains else say)(answer.text)
    return answer.exit


def _watch(look: Callable[[], Answer], *, as_json: bool) -> Exit:
    """Again and again, also while the daemon is away. Ctrl-C ends it with the code of what was shown last."""
    pause = threading.Event()  # never set
    seen = Exit.OK
    with suppress(KeyboardInterrupt):
        while True:
            answer = _ask(look, as_json=as_json)
            seen = answer.exit  # first: Ctrl-C may come as soon as it is on the screen
            if sys.stdout.isatty() and not as_json:
                sys.stdout.write(HOME_AND_CLEAR)
                sys.stdout.flush()  # what is complained of goes to another stream
            _tell(answer)
            pause.wait(WATCH_SECONDS)
    return seen


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
