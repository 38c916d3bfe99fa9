"""Settings in the environment: which variable sets which key, and what is no setting at all."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from backstay.errors import Problem

PREFIX = "BACKSTAY_"
LONGEST_GOT = 60
"""Characters of an offending value that an error repeats; the rest helps nobody."""

RESERVED = frozenset({"BACKSTAY_CONFIG"})
"""Tells the commands where the file is; not a setting."""

_FORM = f"{PREFIX}SECTION__KEY, with two underscores between"

# What an orchestrator adds by itself for a service called backstay or backstay-http; no attempt to set anything.
_SERVICE_VARIABLE = re.compile(r"_(SERVICE|PORT)(_|$)")

Path = tuple[str | int, ...]
Setting = tuple[str, dict[str, Any]]


def overrides(
    environ: Mapping[str, str], *, sections: Collection[str], named: Collection[str]
) -> tuple[dict[Path, Setting], list[Problem]]:
    """What each variable sets, by the path of its key, and what is wrong with those that set nothing.

    A variable that names a key has its value as text; one that names a section, or a member of a `named` one, JSON.
    """
    found: dict[Path, Setting] = {}
    problems: list[Problem] = []
    for variable, value in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in RESERVED or not value:
            continue
        path = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        known = path[0] in sections
        if len(path) == 1 and not known and not _looks_misspelt(path[0], sections):
            continue
        if not known or not all(path):
            problems.append(Problem(f"environment {variable}", "", f"names no setting; the form is {_FORM}"))
            continue
        try:
            setting = value if len(path) > 1 + (path[0] in named) else json.loads(value)
        except ValueError:
            problems.append(Problem(f"environment {variable}", ".".join(path), f"must be JSON {got(value)}"))
            continue
        found[path] = variable, _nested(path, setting)
    return found, problems


def got(value: object) -> str:
    """An offending value, as an error repeats it."""
    text = repr(value)
    return f"(got {text if len(text) <= LONGEST_GOT else text[:LONGEST_GOT] + '...'})"


def _nested(path: tuple[str, ...], setting: object) -> dict[str, Any]:
    for key in reversed(path[1:]):
        setting = {key: setting}
    return {path[0]: setting}


def _looks_misspelt(rest: str, sections: Collection[str]) -> bool:
    is_section = any(rest.startswith(f"{section}_") for section in sections)
    return is_section and not _SERVICE_VARIABLE.search(rest.upper())
