"""The command that looks for what is wrong."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from backstay.commands import Option, say
from backstay.control.vocabulary import CONFIG_VARIABLE, Exit

if TYPE_CHECKING:
    from backstay.control.client import ControlClient
    from backstay.finding import Finding

CLIENT_ID = 2_147_400_000
"""Far from what anybody uses."""


def doctor(
    *,
    config: Annotated[
        Path | None, Option("--config", "-c", metavar="FILE", text=f"The configuration. Also: ${CONFIG_VARIABLE}.")
    ] = None,
    client_id: Annotated[
        int, Option("--client-id", metavar="N", least=0, text="The client id to look at gateways with.")
    ] = CLIENT_ID,
    timeout: Annotated[
        float,
        Option("--timeout", metavar="SECONDS", least=0.1, text="How long each step or answer may take."),
    ] = 5.0,
    as_json: Annotated[bool, Option("--json", text="JSON on stdout; keys are stable.")] = False,
) -> int:
    """Look for what is wrong: configuration, files, ports, the daemon, and each gateway as a client sees it.

    Works before the daemon runs and while it does; without it, it says so and looks at the rest. It connects to each
    gateway for a moment, stand-ins too, under a client id that nobody uses, and asks it of itself; a gateway that does
    not trust this machine may ask a person. Each finding says what to do about it.

    Exit code 0 when all is well, 1 when something is not. A daemon that was not started, a gateway in its planned
    downtime and a connection that an operator holds are well.
    """
    from backstay.doctor import examine  # noqa: PLC0415  # half a second that the other commands do not owe
    from backstay.program import configuration  # noqa: PLC0415

    found: list[Finding] = []
    for one in examine(
        lambda: configuration(config, simulate=False, environ=os.environ),
        client_id=client_id,
        seconds=timeout,
        find=lambda: _beside(config),
    ):
        found.append(one)
        if not as_json:
            say("\n".join([f"{'ok ' if one.ok else 'BAD'} {one.check}: {one.text}", *(f"      {x}" for x in one.todo)]))
    ok = all(one.ok for one in found)
    if as_json:
        say(json.dumps({"schema": 1, "ok": ok, "findings": [asdict(one) for one in found]}))
    return Exit.OK if ok else Exit.FAILED


def _beside(config: Path | None) -> ControlClient | None:
    """The daemon that was started from this configuration before it broke, if one has its socket there."""
    from backstay.cli_asking import client_of  # noqa: PLC0415  # as above
    from backstay.control.client import ControlError, is_there  # noqa: PLC0415

    try:
        client = client_of(None if config is None else str(config), None)
    except ControlError:
        return None
    return client if is_there(Path(client.path)) else None
