"""The command line: one row a command, each in a module that is imported only when it is asked for.

`backstay status` has to feel instant, so nothing here or in `cli_status` may import what the daemon needs.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from backstay._version import __version__

DAEMON, LOOK, TRY = "Run", "Look at a running daemon", "Try it out"

EPILOG = (
    "Exit codes: 0 ok, 1 refused or failed, 2 usage, 3 something wanted is not ready, 4 daemon unreachable, "
    "5 timed out, 6 not permitted."
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command. The docstring of its function is the help text, what it returns the exit code."""

    name: str
    module: str
    function: str
    panel: str


COMMANDS = (
    Command("run", "backstay.cli_daemon", "run", DAEMON),
    Command("check", "backstay.cli_daemon", "check", DAEMON),
    Command("status", "backstay.cli_status", "status", LOOK),
    Command("health", "backstay.cli_status", "health", LOOK),
    Command("simulator", "backstay.cli_daemon", "simulator", TRY),
    Command("demo", "backstay.cli_demo", "demo", TRY),
)
"""In the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code where it does not end the process itself."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    build(_wanted(given))(args=given, prog_name="backstay")
    return 0


def build(commands: Iterable[Command]) -> typer.Typer:
    """The application with these commands."""
    app = typer.Typer(
        help="Keeps a TWS API connection standing.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,  # a traceback goes into a log; boxes and local variables do not belong there
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for command in commands:
        function = getattr(importlib.import_module(command.module), command.function)
        text = _paragraphs(function.__doc__ or "")
        app.command(command.name, help=text, rich_help_panel=command.panel, epilog=EPILOG)(_ending(function))
    return app


def _paragraphs(docstring: str) -> str:
    """A docstring without the ends of its lines, so that a terminal of any width breaks it where it wants."""
    return "\n\n".join(" ".join(part.split()) for part in docstring.split("\n\n"))


def _wanted(given: Sequence[str]) -> Iterable[Command]:
    """The one command that was named; all of them where that is not plain: help and suggestions are then complete."""
    if "_BACKSTAY_COMPLETE" in os.environ:
        return COMMANDS
    return [command for command in COMMANDS if given and command.name == given[0]] or COMMANDS


def _ending(function: Callable[..., int]) -> Callable[..., None]:
    """The same command, ending the process with the code that it returns."""

    @functools.wraps(function)
    def run(**options: object) -> None:
        raise typer.Exit(function(**options))

    return run


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"backstay {__version__}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say the version and leave.")
    ] = False,
) -> None:
    """Keep a TWS API connection standing."""
