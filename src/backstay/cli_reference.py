"""The reference of the command line, made from what the commands declare. Writes docs/commands.md."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

from backstay.cli import COMMANDS, Command, load
from backstay.commands import Option, Parameter, parameters
from backstay.control.client import UnreachableError
from backstay.control.vocabulary import EXITS, FAILURES, INTERRUPTED

INTRODUCTION = """# Commands

Written by `python -m backstay.cli_reference`; `backstay COMMAND --help` says the same. How they are used is told in
[cli.md](cli.md).

## Exit codes

{exit_codes}
| {interrupted} | Ctrl-C | |

With `--json` an error is JSON on stdout: `{{"schema": 1, "error": {{"code": ..., "message": ..., "exit": ...}}}}`.
Like mistakes end alike: 2 is for what was typed, an option, a value that is none of its kind, a file that is not there,
and 1 for what was meant and cannot be: a name that no connection has, a host without an address, a file with a mistake.
What each code says is in [HTTP](http.md#the-control-socket), but for `unreachable`, which the command line says itself.
Without `--json` errors are one line on stderr, which begins with `backstay:`.
"""


def reference() -> str:
    """All commands as Markdown, in the order of the help."""
    parts = [INTRODUCTION.format(exit_codes=_exit_codes(), interrupted=INTERRUPTED)]
    panel = ""
    for row in COMMANDS:
        if row.panel != panel:
            panel = row.panel
            parts.append(f"## {panel}\n")
        parts += _entry(row)
    return "\n".join(parts)


def _exit_codes() -> str:
    rows = ["| code | meaning | errors of `--json` |\n|---|---|---|"]
    for code, meaning in EXITS.items():
        errors = [name for name, failure in FAILURES.items() if failure.exit is code]
        errors += ["unreachable"] if code is UnreachableError.exit else []
        rows.append(f"| {code.value} | {meaning} | {', '.join(f'`{name}`' for name in errors)} |")
    return "\n".join(rows)


def _entry(row: Command) -> Iterator[str]:
    function = load(row)
    found = list(parameters(function))
    arguments = "".join(f" {_argument(one)}" for one in found if not isinstance(one.declared, Option))
    options = [one for one in found if isinstance(one.declared, Option)]
    yield f"### backstay {row.name}{arguments}{' [OPTIONS]' if options else ''}\n"
    yield f"{inspect.getdoc(function)}\n"
    if options:
        yield "| option | default | meaning |\n|---|---|---|"
        yield from (_option(one) for one in options)
        yield ""


def _argument(one: Parameter) -> str:
    optional = one.original.default is not inspect.Parameter.empty
    name = f"{one.declared.metavar}{'...' if one.many else ''}"
    return f"[{name}]" if optional else name


def _option(one: Parameter) -> str:
    value = f" {one.declared.metavar}" if one.declared.metavar else ""
    names = ", ".join(f"`{name}{value}`" for name in one.declared.names) if isinstance(one.declared, Option) else ""
    default = one.original.default
    shown = "" if default in (None, False, "") else f"`{default}`"
    return f"| {names} | {shown} | {one.declared.text} |"


if __name__ == "__main__":
    sys.stdout.write(reference())
