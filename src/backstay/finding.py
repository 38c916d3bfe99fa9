"""What the doctor says of one thing that it has looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`check`: what was looked at. `todo`: what to do about it; advice where it is `ok`."""

    check: str
    ok: bool
    text: str
    todo: tuple[str, ...] = ()
