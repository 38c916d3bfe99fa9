"""The names of `import backstay` as a page: what can be called, and what it says of itself."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from enum import Enum
from types import ModuleType

import backstay

HEAD = """# Python API

Written by `python -m deploy.pages.generate` from the docstrings; a test compares. How they are used is told in
[the library](library.md). Names that are not here, or begin with `_`, may change at any time.
"""


def page() -> str:
    """The page as Markdown."""
    things = [(name, getattr(backstay, name)) for name in backstay.__all__ if name != "__version__"]
    parts = [HEAD]
    for name, thing in things:
        if not isinstance(thing, ModuleType):
            parts += _entry(f"backstay.{name}", thing)
    parts.append("## backstay.aio\n")
    parts.append(f"{first_words(backstay.aio)}\n")
    for name in ("Manager", "Connection", "Subscription"):
        parts += _entry(f"backstay.aio.{name}", getattr(backstay.aio, name))
    return "\n".join(parts)


def _entry(name: str, thing: object) -> Iterator[str]:
    yield f"## {name}\n\n{first_words(thing)}\n"
    if isinstance(thing, type) and (fields := list(_fields(thing))):
        yield f"Fields: {', '.join(fields)}.\n"
    if isinstance(thing, type) and not issubclass(thing, BaseException):
        members = [(one, value) for one, value in vars(thing).items() if not one.startswith("_") and _is_told(value)]
        if members:
            yield "| | |\n|---|---|"
            yield from (
                f"| `{one}{_signature(value)}` | {first_words(value).replace('|', chr(92) + '|')} |"
                for one, value in members
            )
            yield ""
    elif inspect.isfunction(thing):
        yield f"`{name}{_signature(thing)}`\n"


def _fields(kind: type) -> Iterator[str]:
    """What a record is made of, and the members of an enumeration."""
    if issubclass(kind, Enum):
        yield from (f"`{one.name}` ({one.value!r})" for one in kind)
    elif dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            if not field.name.startswith("_"):
                empty = field.default in (dataclasses.MISSING, None, "")
                yield f"`{field.name}`" if empty else f"`{field.name}` ({field.default!r})"
    elif issubclass(kind, tuple):
        yield from (f"`{name}`" for name in getattr(kind, "_fields", ()))


def _is_told(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, property | classmethod)


def _signature(value: object) -> str:
    if isinstance(value, classmethod):
        value = value.__func__
    if not inspect.isfunction(value):
        return ""
    parameters = [
        one.replace(annotation=inspect.Parameter.empty) for one in inspect.signature(value).parameters.values()
    ]
    shown = str(inspect.Signature([one for one in parameters if one.name not in {"self", "cls"}]))
    return shown.replace("|", "\\|")


def first_words(thing: object) -> str:
    """Its docstring up to the first empty line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split()).replace("``", "`")
