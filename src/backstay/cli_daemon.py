"""The commands that are programs of their own: run, check, simulator. What they need is imported when they run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from backstay.commands import Argument, Option, UsageError, complain, say
from backstay.control.vocabulary import CONFIG_VARIABLE, DEFAULT_CONFIG, Exit

if TYPE_CHECKING:
    from backstay.config import Config
    from backstay.config_sections import HttpConfig

DEFAULT_LISTEN = "127.0.0.1:4002"
"""Where IB Gateway listens for paper accounts."""


def run(
    *,
    config: Annotated[
        Path | None,
        Option(
            "--config",
            "-c",
            metavar="FILE",
            text=f"The configuration. Without it: ${CONFIG_VARIABLE}, else {DEFAULT_CONFIG} in this folder, "
            "else the environment alone.",
        ),
    ] = None,
    simulator: Annotated[
        bool,
        Option(
            "--simulator",
            text="Put a simulated TWS in the place of each gateway. Needs no configuration: the relay is then on "
            "127.0.0.1:7400, HTTP on 127.0.0.1:9464.",
        ),
    ] = False,
) -> int:
    """Run the daemon: relays, connections, HTTP, and the operators' socket.

    Prints one line on stdout when it listens and is ready; the log goes to stderr. SIGTERM and SIGINT drain and stop
    it within some ten seconds, a second one ends it at once. SIGHUP does what backstay reload does,
    SIGUSR1 writes what backstay dump tells into a file beside the control socket.

    Every key can be overridden by the environment: BACKSTAY_PULSE__IDLE_SECONDS=3.
    """
    from backstay.program import run as run_daemon  # noqa: PLC0415  # half a second that the other commands do not owe

    return run_daemon(config, simulate=simulator, environ=os.environ)


def check(
    file: Annotated[Path, Argument(metavar="FILE", text="The configuration to judge.")],
    *,
    as_json: Annotated[bool, Option("--json", text="Tell it as JSON, on stdout.")] = False,
) -> int:
    """Judge a configuration, under the present environment, without running it.

    Tells every problem at once, one line each on stderr: file or variable, key, reason. Exit code 1 if there is any.
    A certificate for HTTPS is read with its key. Files that another daemon uses now are told, too.
    """
    from backstay.config import load  # noqa: PLC0415  # as above
    from backstay.errors import ConfigError  # noqa: PLC0415
    from backstay.program import exit_of  # noqa: PLC0415

    try:
        config = load(file, os.environ)
        _look_at_certificate(file, config.http)
        _look_at_claims(file, config)
    except ConfigError as error:
        if as_json:
            problems = [{"origin": one.origin, "key": one.key, "reason": one.reason} for one in error.problems]
            say(json.dumps({"schema": 1, "ok": False, "problems": problems}))
        else:
            complain(str(error))
        return exit_of(error)
    if as_json:
        say(json.dumps({"schema": 1, "ok": True, "problems": []}))
    else:
        sizes = {"gateway": len(config.gateways), "relay": len(config.relays), "connection": len(config.connections)}
        counts = ", ".join(f"{size} {name}{'' if size == 1 else 's'}" for name, size in sizes.items())
        say(f"{file}: ok ({counts})")
    return Exit.OK


def _look_at_certificate(file: Path, http: HttpConfig) -> None:
    """Raise ConfigError for one with which the daemon would not start."""
    if http.certificate is None or http.key is None:
        return
    from backstay.errors import ConfigError, Problem  # noqa: PLC0415  # as above
    from backstay.metrics.server import Certificate  # noqa: PLC0415

    if reason := Certificate(http.certificate, http.key).problem():
        raise ConfigError([Problem(str(file), "http.certificate", reason)])


def _look_at_claims(file: Path, config: Config) -> None:
    """Raise ConfigError for files that the daemon of another configuration uses."""
    from backstay.claims import taken_by_another  # noqa: PLC0415  # as above
    from backstay.errors import ConfigError, Problem  # noqa: PLC0415

    files = {"journal.path": config.journal.path, "control.holds": config.control.holds}
    found = {key: taken_by_another(path, config.control.socket) for key, path in files.items()}
    if problems := [Problem(str(file), key, reason) for key, reason in found.items() if reason]:
        raise ConfigError(problems)


def simulator(
    *,
    listen: Annotated[
        str, Option("--listen", metavar="HOST:PORT", text="Where TWS API clients connect; port 0: any free one.")
    ] = DEFAULT_LISTEN,
    control: Annotated[
        str | None,
        Option(
            "--control",
            metavar="HOST:PORT",
            text="Where it takes orders to misbehave over HTTP: GET /state, GET /faults, POST /faults/NAME.",
        ),
    ] = None,
    server_version: Annotated[
        int | None,
        Option("--server-version", metavar="100..226", text="The highest version of the API it speaks."),
    ] = None,
    seed: Annotated[int, Option("--seed", text="Quotes are the same for the same number.")] = 1,
    tick_seconds: Annotated[float, Option("--tick-seconds", text="How often quotes move.")] = 0.25,
) -> int:
    """Run a simulated TWS that misbehaves on command.

    Prints one line on stdout when it listens. SIGTERM and SIGINT stop it.
    """
    from backstay.simulator.program import serve  # noqa: PLC0415  # as above
    from backstay.simulator.settings import Options  # noqa: PLC0415

    options: Options = {"seed": seed, "tick_seconds": tick_seconds}
    if server_version is not None:
        options["server_version"] = server_version
    try:
        return serve(_address(listen, "--listen"), _address(control, "--control") if control else None, **options)
    except ValueError as error:  # of the settings
        complain(f"backstay simulator: {error}")
        return Exit.USAGE


def _address(text: str, option: str) -> tuple[str, int]:
    from backstay.simulator.program import read_address  # noqa: PLC0415  # as above

    try:
        return read_address(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
