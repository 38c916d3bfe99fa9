"""The command line in full: help, messages, suggestions, completion; Typer, from how the commands are declared."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer

from backstay._version import __version__
from backstay.cli import Command, load
from backstay.cli_asking import tell, told
from backstay.commands import Argument, Option, UsageError, parameters
from backstay.control.vocabulary import EXITS

PROGRAM = "backstay"

EPILOG = "Exit codes: " + ", ".join(f"{code.value} {meaning}" for code, meaning in EXITS.items()) + "."


def answer(commands: Iterable[Command], given: Sequence[str]) -> int:
    """Read this line and end the process with its code; a mistake in it is told as whoever asked wants it."""
    app = build(commands)
    if "--json" not in given:
        app(args=given, prog_name=PROGRAM)
    try:
        sys.exit(app(args=given, prog_name=PROGRAM, standalone_mode=False))
    except typer.TyperException as error:
        sys.exit(tell(told(error.format_message(), "bad_request", error.exit_code)))


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
        function = load(command)
        text = _paragraphs(function.__doc__ or "")
        app.command(command.name, help=text, rich_help_panel=command.panel, epilog=EPILOG)(_for_typer(function))
    return app


def _paragraphs(docstring: str) -> str:
    """A docstring without the ends of its lines, so that a terminal of any width breaks it where it wants."""
    return "\n\n".join(" ".join(part.split()) for part in docstring.split("\n\n"))


def _for_typer(function: Callable[..., int]) -> Callable[..., None]:
    """The same command, declared as Typer has it, and ending the process with the code that it returns."""

    @functools.wraps(function)
    def run(**options: object) -> None:
        try:
            code = function(**options)
        except UsageError as error:
            raise typer.BadParameter(str(error)) from error
        raise typer.Exit(code)

    declared = [
        one.original.replace(annotation=Annotated[one.annotation, _info(one.declared)]) for one in parameters(function)
    ]
    run.__signature__ = inspect.Signature(declared)  # type: ignore[attr-defined]  # what inspect.signature returns
    return run


def _info(declared: Option | Argument) -> Any:
    completion = _completion(declared.offers) if declared.offers else None
    if isinstance(declared, Argument):
        return typer.Argument(metavar=declared.metavar, help=declared.text, autocompletion=completion)
    return typer.Option(
        *declared.names,
        metavar=declared.metavar,
        help=declared.text,
        min=declared.least,
        autocompletion=completion,
    )


def _completion(kind: str) -> Callable[[typer.Context], list[str]]:
    def complete(ctx: typer.Context) -> list[str]:
        from backstay.cli_completing import offered  # noqa: PLC0415  # only where a shell asks

        return offered(kind, ctx.info_name or "", ctx.params)

    complete.__annotations__ = {"ctx": typer.Context}  # Typer looks at the types themselves
    return complete


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
