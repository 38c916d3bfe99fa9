"""What commands are declared with, and a reader of plain command lines. Standard library only.

A command is a function; its parameters carry an `Option` or an `Argument`. Typer gets help, messages and completion
from that, but it takes its time: it imports pydantic to look at the first option. Commands that have to answer at once
are therefore read here, and what is not plain - help, a misspelt option, a value that does not fit - is left to Typer.
A test holds both to the same answers.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


class UsageError(Exception):
    """An option's value that cannot be used; the text says why."""


class NotPlainError(Exception):
    """A command line that Typer has to answer."""


class Option:
    """An option by its spellings. `least`: the smallest value it takes. `offers`: what a shell completes it with."""

    def __init__(
        self, *names: str, text: str, metavar: str | None = None, least: float | None = None, offers: str = ""
    ) -> None:
        self.names = names
        self.offers = offers
        self.text = text
        self.metavar = metavar
        self.least = least


@dataclass(frozen=True, slots=True)
class Argument:
    """What follows without an option before it. `offers`: as of an option, a key of `cli_completing.OFFERS`."""

    metavar: str
    text: str
    offers: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a command. `kind`: the type of its value; of one value, where it takes `many`."""

    name: str
    annotation: Any
    kind: type
    many: bool
    declared: Option | Argument
    original: inspect.Parameter


def say(text: str) -> None:
    """A line on stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    """The parameters of a command, all of which are declared."""
    hints = get_type_hints(function, include_extras=True)
    for name, original in inspect.signature(function).parameters.items():
        annotation, declared = get_args(hints[name])
        members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
        plain = next(one for one in members if one is not type(None))
        many = get_origin(plain) is list
        kind = get_args(plain)[0] if many else plain
        yield Parameter(name, annotation, kind, many, declared, original)


def read(function: Callable[..., Any], given: Sequence[str]) -> Mapping[str, Any]:
    """The words after a command's name as its keyword arguments. Raises NotPlainError."""
    options: dict[str, Parameter] = {}
    argument: Parameter | None = None
    for parameter in parameters(function):
        if isinstance(parameter.declared, Option):
            options |= dict.fromkeys(parameter.declared.names, parameter)
        else:
            argument = parameter
    found: dict[str, Any] = {}
    rest: list[str] = []
    words = iter(given)
    for word in words:
        if word.startswith("-"):
            parameter, value = _option(word, words, options)
            found[parameter.name] = value
        else:
            rest.append(word)
    if argument is not None and argument.many:
        return found | ({argument.name: rest} if rest else {})
    if rest or argument is not None:
        raise NotPlainError("a single argument")
    return found


def _option(word: str, words: Iterator[str], options: Mapping[str, Parameter]) -> tuple[Parameter, Any]:
    name, equals, text = word.partition("=")
    parameter = options.get(name)
    if parameter is None or (equals and (parameter.kind is bool or not name.startswith("--"))):
        raise NotPlainError(word)
    if parameter.kind is bool:
        return parameter, True
    if not equals:
        text = next(words, "-")
        if text.startswith("-"):
            raise NotPlainError(text)
    return parameter, _value(parameter, text)


def _value(parameter: Parameter, text: str) -> Any:
    least = parameter.declared.least if isinstance(parameter.declared, Option) else None
    try:
        value = parameter.kind(text)
    except ValueError as error:
        raise NotPlainError(text) from error
    if least is not None and not value >= least:
        raise NotPlainError(text)
    return value
