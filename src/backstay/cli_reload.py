"""The command that has a changed configuration taken over, and tells how far that went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from backstay import render
from backstay.cli_asking import Answer, ConfigOption, ControlOption, JsonOption, ask, client_of, tell
from backstay.cli_operate import ReasonOption, described
from backstay.commands import Option
from backstay.control.vocabulary import Exit


def reload(
    *,
    dry_run: Annotated[bool, Option("--dry-run", text="Only print what would change.")] = False,
    reason: ReasonOption = "",
    no_wait: Annotated[bool, Option("--no-wait", text="Have it judged, give the order and leave.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
    timeout: Annotated[
        float, Option("--timeout", metavar="SECONDS", least=0.1, text="How long all connections may take together.")
    ] = 120.0,
) -> int:
    """See its row."""

    def work() -> Answer:
        arguments = {"dry_run": dry_run, "reason": reason, "wait": not no_wait}
        found = client_of(config, control).command("reload", arguments, timeout=timeout)
        stopped = found.get("stopped")
        code = Exit.TIMED_OUT if stopped else Exit.OK
        if as_json:
            return Answer(code, json.dumps(found))
        lines = [_change(change) for change in found["changes"]]
        lines += _cut(found)
        lines += _stopped(stopped) if stopped else _concerned(found)
        return Answer(code, "\n".join(lines) or "nothing has changed", complains=bool(stopped))

    return tell(ask(work, as_json=as_json))


described(reload, "reload")


def _cut(found: Mapping[str, Any]) -> Sequence[str]:
    """Whose sockets close. A daemon of an earlier version tells none."""
    names = render.printable(", ".join(found.get("cut", ())))
    return [f"{'cut off' if found['applied'] else 'to be cut off'}: {names}"] if names else []


def _concerned(found: Mapping[str, Any]) -> Sequence[str]:
    """Whom a reload touched, or would."""
    names = render.printable(", ".join(found["connections"]))
    took = "taken over by" if found["applied"] else "to be taken over, one after the other, by"
    ordered = ["ordered; backstay events tells what comes of it"] if found.get("ordered") else []
    return [*([f"{took}: {names}"] if names else []), *ordered]


def _stopped(told: Mapping[str, Any]) -> Sequence[str]:
    """How far a reload has gone, and what to do about it."""
    left, changed = (render.printable(", ".join(told[key])) for key in ("left", "changed"))
    lines = [f"stopped: {render.printable(told['why'])}", f"taken over by: {changed}"]
    return [*lines, f"as before: {left or 'nobody'}", *told["todo"]]


_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def _change(change: Mapping[str, Any]) -> str:
    before, after = render.printable(change["before"]), render.printable(change["after"])
    value = {"added": after, "removed": before}.get(change["what"], f"{before} -> {after}")
    return f"{_SIGNS[change['what']]} {change['key']}: {value}  ({change['effect']})"
