"""The simulator's faults as a page, from the methods that are the faults."""

from __future__ import annotations

import inspect

from backstay.simulator.faults import COMMANDS, Faults

HEAD = """# Faults of the simulator

Written by `python -m deploy.pages.generate` from the methods of [`Faults`](../simulator/faults.py); a test compares.
Each is a method of `simulator.faults`, and `POST /faults/NAME` with its arguments as a JSON object; `GET /faults` lists
them. With `client_id` it hits one client only. A number of 0 ends a fault that lasts.

| fault | arguments | what happens |
|---|---|---|"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join((HEAD, *(_row(name) for name in sorted(COMMANDS)), ""))


def _row(name: str) -> str:
    method = getattr(Faults, name)
    given = [one for one in inspect.signature(method).parameters.values() if one.name != "self"]
    arguments = ", ".join(f"`{one.name}`{_default(one)}" for one in given)
    return f"| `{name}` | {arguments or '-'} | {' '.join((inspect.getdoc(method) or '').split()).replace('``', '`')} |"


def _default(one: inspect.Parameter) -> str:
    return "" if one.default in (inspect.Parameter.empty, None) else f" ({one.default})"
