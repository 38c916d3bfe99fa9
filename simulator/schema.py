"""Protobuf bodies as tables: one grammar that says which field of a message stands at which place of its text form.

A schema is words in the order of the text fields:

- ``3s`` is field 3; the letter is its type: ``i`` whole number, ``b`` boolean, ``d`` double, ``s`` string (decimals
  too), ``c`` a boolean that text writes as ``a`` and ``o``.
- ``2( ... )`` is message 2 with what stands inside; the same number twice means the same message.
- ``7*( ... )`` and ``7*s`` are a count and so many messages or scalars. With ``?`` behind the star, count and rows are
  there only when there are any; with ``&`` the rows go into those that are there already.
- ``1?[5: ... | 6: ... ]`` is field 1, a whole number, and what follows for each of its values.
- ``@( ... )`` is one row whose fields stand in the message itself.
- ``_`` is a text field that protobuf has no place for.
- ``name=`` in front names a field or list of a ``Record``; without names the fields count by their order.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"[()\[\]|]|[^\s()\[\]|]+")
_WORD = re.compile(r"(?:(?P<name>\w+)=)?(?P<number>\d+|@)(?P<rows>\*?)(?P<mark>[?&]?)(?P<kind>[ibdsc]?)")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One field; ``number`` 0 for a text field without one."""

    number: int
    kind: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Inside:
    """A message inside the message."""

    number: int
    items: "Schema"


@dataclass(frozen=True, slots=True)
class Many:
    """A list of messages, or of scalars when ``kind`` is given; ``mark`` as in the grammar."""

    number: int
    items: "Schema"
    kind: str
    mark: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A whole number that decides what follows."""

    number: int
    cases: tuple[tuple[str, "Schema"], ...]


Item = Scalar | Inside | Many | Choice
Schema = tuple[Item, ...]


def parse(words: str) -> Schema:
    """Return the schema that words of the grammar describe."""
    tokens = _TOKEN.findall(words)
    items, at = _parse(tokens, 0)
    if at != len(tokens):
        raise ValueError(f"a schema that ends early: {' '.join(tokens[at:])}")
    return items


def _parse(tokens: Sequence[str], at: int) -> tuple[Schema, int]:
    items: list[Item] = []
    while at < len(tokens) and tokens[at] not in (")", "]", "|"):
        word = tokens[at]
        at += 1
        if word == "_":
            items.append(Scalar(0, "s"))
            continue
        found = _WORD.fullmatch(word)
        if found is None:
            raise ValueError(f"no word of a schema: {word}")
        name, mark, kind = found["name"] or "", found["mark"], found["kind"]
        number = 0 if found["number"] == "@" else int(found["number"])
        inner: Schema = ()
        if mark == "?" and not found["rows"]:
            choice, at = _parse_cases(tokens, at + 1)
            items.append(Choice(number, choice))
            continue
        if not kind:
            inner, at = _parse(tokens, at + 1)
            at += 1
        if found["rows"] or not number:
            items.append(Many(number, inner, kind, mark, name))
        else:
            items.append(Scalar(number, kind, name) if kind else Inside(number, inner))
    return tuple(items), at


def _parse_cases(tokens: Sequence[str], at: int) -> tuple[tuple[tuple[str, Schema], ...], int]:
    cases: list[tuple[str, Schema]] = []
    while True:
        value = tokens[at].removesuffix(":")
        inner, at = _parse(tokens, at + 1)
        cases.append((value, inner))
        at += 1
        if tokens[at - 1] == "]":
            return tuple(cases), at
