"""The command line: one row a command, each in a module that is imported only when it is asked for.

`backstay status` has to feel instant, so neither this module nor `cli_status` imports what the daemon needs.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

from backstay.commands import NotPlainError, read
from backstay.control.vocabulary import COMMANDS as OPERATIONS
from backstay.control.vocabulary import INTERRUPTED

RUN, LOOK, OPERATE, TRY = "Run", "Look at a running daemon", "Operate a running daemon", "Try it out"

DEAF_AT_FIRST = ("SIGHUP", "SIGUSR1")
"""What a daemon that is still loading must not end by, as it would by default; later they have their meaning."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command. The docstring of its function is the help text, what it returns the exit code."""

    name: str
    module: str
    function: str
    panel: str
    quick: bool = False
    """Whether it has to answer at once: its command line is then read without Typer where that will do."""


MODULES = {"resubscribe": "backstay.cli_resubscribe", "reload": "backstay.cli_reload"}
"""Where a command that changes something is not with the others."""

COMMANDS = (
    Command("run", "backstay.cli_daemon", "run", RUN, quick=True),
    Command("check", "backstay.cli_daemon", "check", RUN),
    Command("status", "backstay.cli_status", "status", LOOK, quick=True),
    Command("health", "backstay.cli_status", "health", LOOK, quick=True),
    *(Command(name, "backstay.cli_look", name, LOOK, quick=True) for name, row in OPERATIONS.items() if not row.goal),
    Command("doctor", "backstay.cli_doctor", "doctor", LOOK),
    *(
        Command(name, MODULES.get(name, "backstay.cli_operate"), name, OPERATE, quick=True)
        for name, row in OPERATIONS.items()
        if row.goal
    ),
    Command("simulator", "backstay.cli_daemon", "simulator", TRY),
    Command("demo", "backstay.cli_demo", "demo", TRY),
)
"""In the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code where it does not end the process itself."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with _deaf_at_first() if given[:1] == ["run"] else nullcontext():
        return _main(given)


@contextmanager
def _deaf_at_first() -> Generator[None]:
    """Ignore what would end a daemon before it listens for signals itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: signal.signal(signal.Signals[name], signal.SIG_IGN) for name in DEAF_AT_FIRST}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(signal.Signals[name], handler)


def _main(given: Sequence[str]) -> int:
    commands = _wanted(given)
    if len(commands) == 1 and commands[0].quick:
        with suppress(NotPlainError):
            return _run(load(commands[0]), given[1:])
    from backstay.cli_typer import answer  # noqa: PLC0415  # costs more than all that a quick command does

    return answer(commands, given)


def load(command: Command) -> Callable[..., int]:
    """The function of a command."""
    function: Callable[..., int] = getattr(importlib.import_module(command.module), command.function)
    return function


def _wanted(given: Sequence[str]) -> Sequence[Command]:
    """The one command that was named; all of them where that is not plain: help and suggestions are then complete."""
    if "_BACKSTAY_COMPLETE" in os.environ:
        return COMMANDS
    return [command for command in COMMANDS if given and command.name == given[0]] or COMMANDS


def _run(function: Callable[..., int], given: Sequence[str]) -> int:
    """The exit code of a command; one whose reader has left, or that a person stopped, has no traceback to show."""
    options = read(function, given)
    try:
        return function(**options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at the end
        return 1
