"""The commands that look at a running daemon. They talk to its socket with the standard library alone: no waiting."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

from backstay import render
from backstay.cli_asking import (
    SCHEMA,
    Answer,
    ConfigOption,
    ControlOption,
    JsonOption,
    TimeoutOption,
    ask,
    chosen,
    client_of,
    colour,
    readiness,
    tell,
    with_absent,
)
from backstay.commands import Argument, Option
from backstay.control.client import require_ready
from backstay.control.vocabulary import Exit

LISTS = ("connections", "held", "absent")
"""Where a status has its rows."""

WATCH_SECONDS = 1.0
HOME_AND_CLEAR = "\x1b[H\x1b[J"


def status(
    names: Annotated[
        list[str] | None,
        Argument(metavar="NAME", text="Connections to show, * and ? allowed; all without.", offers="connection"),
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
        found = client_of(config, control).status(timeout=timeout)
        picked = chosen(with_absent(found), names or ())
        if as_json:
            lists = {key: [one for one in found.get(key, ()) if one in picked] for key in LISTS}
            return Answer(readiness(picked), json.dumps({**found, **lists}))
        return Answer(readiness(picked), render.table(found, picked, colour=colour(), now=time.time()))

    return _watch(look, as_json=as_json) if watch else tell(ask(look, as_json=as_json))


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

    Exit code 0 when every wanted connection is ready, 3 when one is not or orders cannot be written down, 4 when no
    daemon answers.
    """

    def look() -> Answer:
        found = client_of(config, control).status(timeout=timeout)
        if not live:
            require_ready(found)
        return Answer(Exit.OK, json.dumps({"schema": SCHEMA, "ok": True}) if as_json else "ok")

    return tell(ask(look, as_json=as_json))


def _watch(look: Callable[[], Answer], *, as_json: bool) -> Exit:
    """Again and again, also while the daemon is away. Ctrl-C ends it with the code of what was shown last."""
    pause = threading.Event()  # never set
    seen = Exit.OK
    with suppress(KeyboardInterrupt):
        while True:
            answer = ask(look, as_json=as_json)
            seen = answer.exit  # first: Ctrl-C may come as soon as it is on the screen
            if sys.stdout.isatty() and not as_json:
                sys.stdout.write(HOME_AND_CLEAR)
                sys.stdout.flush()  # what is complained of goes to another stream
            tell(answer)
            pause.wait(WATCH_SECONDS)
    return seen
