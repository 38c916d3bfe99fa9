"""The commands that tell what goes on inside a running daemon: events, explain, tree, requests, orders, dump."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

from backstay import render
from backstay.cli_asking import (
    SCHEMA,
    AllOption,
    Answer,
    ConfigOption,
    ControlOption,
    JsonOption,
    NamesArgument,
    TimeoutOption,
    ask,
    chosen,
    client_of,
    is_pattern,
    readiness,
    tell,
    with_absent,
)
from backstay.commands import Option, say
from backstay.control.client import ControlClient, MisusedError, RefusedError, UnreachableError
from backstay.control.vocabulary import COMMANDS, Exit

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def _described(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command the help of its row."""
    row = COMMANDS[function.__name__]
    function.__doc__ = f"{row.text}\n\n{row.more}"
    return function


@_described
def events(
    *,
    follow: Annotated[bool, Option("--follow", "-f", text="Go on telling them as they come, until Ctrl-C.")] = False,
    since: Annotated[
        str | None, Option("--since", metavar="TIME", text="Only those of so long ago: 90s, 10m, 2h, 1d.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
    timeout: TimeoutOption = 5.0,
) -> int:
    """See its row."""
    last: list[int] = []

    def look() -> Answer:
        arguments = {"seconds": _seconds(since)} if since else {}
        found = client_of(config, control).command("events", arguments, timeout=timeout)
        last.append(found["last"])
        if as_json and not follow:
            return Answer(Exit.OK, json.dumps(found))
        lines = [_event(one, as_json=as_json) for one in found["events"]]
        return Answer(Exit.OK, "\n".join(lines) if lines or follow else "no events")

    code = _tell_lines(ask(look, as_json=as_json))
    return (
        code
        if code is not Exit.OK or not follow
        else tell(_following(client_of(config, control), last[0], as_json=as_json))
    )


def _following(client: ControlClient, last: int, *, as_json: bool) -> Answer:
    def look() -> Answer:
        for one in client.events(since=last, reader=_descriptor(sys.stdout)):
            say(_event(one, as_json=as_json))
        raise UnreachableError("the daemon has stopped", code="unreachable")

    return ask(look, as_json=as_json)


def _descriptor(stream: TextIO) -> int | None:
    """Of a stream that has one, on systems where it can be watched."""
    try:
        return stream.fileno() if hasattr(select, "poll") else None
    except OSError:
        return None


def _tell_lines(answer: Answer) -> Exit:
    return tell(answer) if answer.text else answer.exit


def _seconds(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    try:
        return float(number) * UNITS[unit]
    except (ValueError, KeyError) as error:
        raise MisusedError(
            f"--since: not a time span such as 90s, 10m, 2h, 1d: {text!r}", code="bad_request"
        ) from error


def _event(one: Mapping[str, Any], *, as_json: bool) -> str:
    if as_json:
        return json.dumps(one)
    if one["event"] == "gap":
        return f"... {one['missed']} events were missed"
    at = datetime.fromtimestamp(one["wall"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    fields = (
        f"{key}={render.printable(value)}" for key, value in one.items() if key not in {"event", "wall", "number"}
    )
    return f"{at} {one['event']} {' '.join(fields)}".rstrip()


@_described
def explain(
    names: NamesArgument = None,
    *,
    everything: AllOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
    timeout: TimeoutOption = 5.0,
) -> int:
    """See its row."""

    def look() -> Answer:
        client = client_of(config, control)
        meant = _meant(client, Asked(names, everything=everything, timeout=timeout))
        found = [client.command("explain", {"name": name}, timeout=timeout) for name in meant]
        texts = [json.dumps(one) if as_json else "\n".join(_explanation(one)) for one in found]
        return Answer(readiness([one["connection"] for one in found]), "\n".join(texts) or NOBODY_THERE)

    return tell(ask(look, as_json=as_json))


NOBODY_THERE = "there is no connection: no client has come, and the configuration has none of its own"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which connections somebody has asked for."""

    names: list[str] | None
    _: KW_ONLY
    everything: bool
    timeout: float

    @property
    def is_plain(self) -> bool:
        """Whether names are said as they are."""
        return bool(self.names) and not is_pattern(*self.names or ())


def _meant(client: ControlClient, asked: Asked) -> list[str]:
    """Names as they are, patterns as what they match; the one connection there is where nothing is said."""
    if asked.names and asked.everything:
        raise MisusedError("name connections, or say --all", code="bad_request")
    if asked.is_plain:
        return list(asked.names or ())
    rows = with_absent(client.status(timeout=asked.timeout))
    if asked.names or asked.everything:
        return [str(row["name"]) for row in chosen(rows, asked.names or ())]
    if len(rows) != 1:
        there = ", ".join(str(row["name"]) for row in rows)
        raise MisusedError(f"name one: {there}" if rows else NOBODY_THERE, code="bad_request")
    return [str(rows[0]["name"])]


def _explanation(found: Mapping[str, Any]) -> Iterator[str]:
    row = found["connection"]
    since = f" for {render.duration(time.time() - row['since_wall'])}" if row["since_wall"] else ""
    gateway = f"{row['gateway']} {row['endpoint']}".strip()
    down = render.not_ready(row, time.time())
    yield f"{render.printable(row['name'])} on gateway {gateway}: {row['state']}{since}{down and f', {down}'}"
    yield f"  why:  {render.printable(found['why'])}"
    yield f"  next: {found['next']}"
    for number, what in enumerate(found["todo"]):
        yield f"  {'todo:' if number == 0 else '     '} {what}"


@_described
def tree(
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
    timeout: TimeoutOption = 5.0,
) -> int:
    """See its row."""

    def look() -> Answer:
        found = client_of(config, control).command("tree", timeout=timeout)
        return Answer(Exit.OK, json.dumps(found) if as_json else "\n".join(_branches(found["tree"])))

    return tell(ask(look, as_json=as_json))


def _branches(node: Mapping[str, Any], before: str = "", last: bool = True) -> Iterator[str]:
    top = not before and node["path"] == node["name"]
    facts = [node["state"] if node["alive"] else f"{node['state']}, no thread"]
    ordered = node["operator_restarts"]
    for count, what in ((node["restarts"] - ordered, "restart"), (ordered, "ordered restart")):
        if count:
            facts.append(f"{count} {what}{'' if count == 1 else 's'}")
    if node["mailbox"]:
        facts.append(f"{node['mailbox']} waiting")
    if node["quiet_seconds"] is not None:
        facts.append(f"quiet {render.duration(node['quiet_seconds'])}")
    if (budget := node.get("budget")) is not None:
        within = render.duration(budget["within_seconds"])
        facts.append(
            f"{budget['strategy']}, {budget['restarts_left']} of {budget['restarts_allowed']} left in {within}"
        )
    yield f"{before}{'' if top else '└ ' if last else '├ '}{render.printable(node['name'])}: {', '.join(facts)}"
    below = before if top else before + ("  " if last else "│ ")
    children = node["children"]
    for number, child in enumerate(children):
        yield from _branches(child, below or " ", number == len(children) - 1)


@_described
def requests(
    names: NamesArgument = None,
    *,
    everything: AllOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
    timeout: TimeoutOption = 5.0,
) -> int:
    """See its row."""
    columns = (("STATE", "state"), ("KIND", "kind"), ("REQUEST", "request"), ("ID", "id"), ("AGE", "age_seconds"))

    def listing(found: Mapping[str, Any]) -> str:
        return _listing(found["requests"], columns, "no requests")

    def look() -> Answer:
        asked = Asked(names, everything=everything, timeout=timeout)
        return _lists(client_of(config, control), "requests", listing, asked=asked, as_json=as_json)

    return tell(ask(look, as_json=as_json))


@_described
def orders(
    names: NamesArgument = None,
    *,
    everything: AllOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
    timeout: TimeoutOption = 5.0,
) -> int:
    """See its row."""
    columns = (("STATE", "state"), ("ID", "id"), ("ORDER", "what"), ("SENT", "sent"))

    def listing(found: Mapping[str, Any]) -> str:
        return _listing([_order(row) for row in found["orders"]], columns, "no orders")

    def look() -> Answer:
        asked = Asked(names, everything=everything, timeout=timeout)
        return _lists(client_of(config, control), "orders", listing, asked=asked, as_json=as_json)

    return tell(ask(look, as_json=as_json))


def _lists(
    client: ControlClient, command: str, listing: Callable[[Mapping[str, Any]], str], *, asked: Asked, as_json: bool
) -> Answer:
    """A list for each, with several under their names; as JSON a line for each.

    What a pattern fits and nobody has now is passed over.
    """
    names = _meant(client, asked)
    found: list[Mapping[str, Any]] = []
    for name in names:
        try:
            found.append(client.command(command, {"name": name}, timeout=asked.timeout))
        except RefusedError as error:
            if asked.is_plain or error.code != "unknown_connection":
                raise
    if as_json:
        return Answer(Exit.OK, "\n".join(json.dumps(one) for one in found))
    parts = [listing(one) for one in found]
    if len(names) > 1:
        parts = [f"{render.printable(one['connection'])}:\n{part}" for one, part in zip(found, parts, strict=True)]
    return Answer(Exit.OK, "\n\n".join(parts) or NOBODY_THERE)


def _order(row: Mapping[str, Any]) -> Mapping[str, Any]:
    what = " ".join(str(row[key]) for key in ("action", "quantity", "symbol") if row[key])
    sent = f"{render.duration(time.time() - row['sent_wall'])} ago" if row["sent_wall"] else None
    return {**row, "what": what or None, "sent": sent}


def _listing(rows: list[Mapping[str, Any]], columns: tuple[tuple[str, str], ...], none: str) -> str:
    if not rows:
        return none

    def cell(row: Mapping[str, Any], key: str) -> str:
        value = row[key]
        if value is None:
            return render.NONE
        return render.duration(value) if key == "age_seconds" else render.printable(value)

    cells = [[title for title, _ in columns], *([cell(row, key) for _, key in columns] for row in rows)]
    return "\n".join(render.aligned(cells))


@_described
def dump(
    *,
    output: Annotated[
        str | None, Option("--output", "-o", metavar="FILE", text="Where to write it; a new file for its owner alone.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
    timeout: TimeoutOption = 30.0,
) -> int:
    """See its row."""

    def look() -> Answer:
        found = client_of(config, control).command("dump", timeout=timeout)
        text = json.dumps(found, indent=1)
        if output is None:
            return Answer(Exit.OK, text)
        try:
            with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{text}\n")
        except OSError as error:
            raise RefusedError(f"{output}: {error.strerror or error}") from error
        said = {"schema": SCHEMA, "file": str(Path(output).absolute())}
        return Answer(Exit.OK, json.dumps(said) if as_json else f"written to {output}")

    return tell(ask(look, as_json=as_json))
