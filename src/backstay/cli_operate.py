"""The commands that change something: one function for all of them, from their rows in `control.vocabulary.COMMANDS`.

Each gives its order and then looks at the status until what it was given for is so. Several live connections have their
turn one after the other, and the first that does not come back ends it: a mistake shall not take them all.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Annotated, Any

from backstay import render
from backstay.cli_asking import (
    SCHEMA,
    AllOption,
    Answer,
    ConfigOption,
    ControlOption,
    JsonOption,
    NamesArgument,
    ask,
    chosen,
    client_of,
    is_pattern,
    tell,
    with_held,
)
from backstay.commands import Argument, Option
from backstay.control.client import ControlClient, ControlError, MisusedError, RefusedError
from backstay.control.goals import DOWN_STATES, GOALS, UP_STATES
from backstay.control.vocabulary import COMMANDS, Command, Exit

LOOK_SECONDS = 0.1
"""Between two looks at the status: a person sees no delay, and the daemon hardly notices."""

ANSWER_SECONDS = 5.0
DRAIN_SECONDS = 30.0

PART_SECONDS = 35.0
"""A part that hangs is given its grace before it is replaced, and so is all that depends on it."""

YesOption = Annotated[bool, Option("--yes", "-y", text="Do not ask before more than one live connection is down.")]
TogetherOption = Annotated[bool, Option("--together", text="All at once instead of one after the other.")]
NoWaitOption = Annotated[bool, Option("--no-wait", text="Give the order and leave.")]
ReasonOption = Annotated[str, Option("--reason", metavar="TEXT", text="Why, for the event log and for who comes next.")]
WaitOption = Annotated[
    float, Option("--timeout", metavar="SECONDS", least=0.1, text="How long to wait for each connection.")
]
WithinOption = Annotated[
    float, Option("--within", metavar="SECONDS", least=0.0, text="How long what is under way may take to finish.")
]


def _operating(name: str) -> Callable[..., int]:
    def operate(  # noqa: PLR0913  # each is an option
        names: NamesArgument = None,
        *,
        everything: AllOption = False,
        reason: ReasonOption = "",
        yes: YesOption = False,
        together: TogetherOption = False,
        no_wait: NoWaitOption = False,
        timeout: WaitOption = 60.0,
        as_json: JsonOption = False,
        config: ConfigOption = None,
        control: ControlOption = None,
    ) -> int:
        arguments = {"reason": reason}
        turn = Turn(name, arguments, timeout=timeout, waits=not no_wait, together=together, yes=yes, as_json=as_json)
        return _answer(turn, names or (), everything=everything, find=lambda: client_of(config, control))

    return described(operate, name)


def described(function: Callable[..., int], name: str) -> Callable[..., int]:
    """Give the function of a command the name and the help of its row."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{COMMANDS[name].text}\n\n{COMMANDS[name].more}"
    return function


pause = _operating("pause")
resume = _operating("resume")
reset = _operating("reset")


def restart(  # noqa: PLR0913  # each is an option
    names: NamesArgument = None,
    *,
    part: Annotated[
        str | None,
        Option("--part", metavar="PART", text="Only this part: reader, dispatcher, session or link.", offers="part"),
    ] = None,
    everything: AllOption = False,
    reason: ReasonOption = "",
    yes: YesOption = False,
    together: TogetherOption = False,
    no_wait: NoWaitOption = False,
    timeout: WaitOption = 60.0,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
) -> int:
    """See its row."""
    turn = Turn(
        "restart",
        {"reason": reason} if part is None else {"reason": reason, "part": part},
        answer_seconds=ANSWER_SECONDS if part is None else PART_SECONDS,
        timeout=timeout,
        waits=not no_wait,
        together=together,
        yes=yes,
        as_json=as_json,
    )
    return _answer(turn, names or (), everything=everything, find=lambda: client_of(config, control))


described(restart, "restart")


def drain(  # noqa: PLR0913  # each is an option
    names: NamesArgument = None,
    *,
    everything: AllOption = False,
    within: WithinOption = DRAIN_SECONDS,
    reason: ReasonOption = "",
    yes: YesOption = False,
    together: TogetherOption = False,
    no_wait: NoWaitOption = False,
    timeout: WaitOption = 60.0,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
) -> int:
    """See its row."""
    turn = Turn(
        "drain",
        {"reason": reason, "seconds": within},
        timeout=within + timeout,
        waits=not no_wait,
        together=together,
        yes=yes,
        as_json=as_json,
    )
    return _answer(turn, names or (), everything=everything, find=lambda: client_of(config, control))


described(drain, "drain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the command at one connection. As JSON its keys are stable."""

    connection: str
    ok: bool
    state: str = ""
    detail: str = ""
    seconds: float = 0.0
    code: str = ""
    exit: Exit = Exit.OK


@dataclass(frozen=True, slots=True)
class Turn:
    """One command on its way through the connections, as it was asked for."""

    name: str
    arguments: Mapping[str, object]
    _: KW_ONLY
    timeout: float
    waits: bool
    together: bool
    yes: bool
    as_json: bool
    answer_seconds: float = ANSWER_SECONDS

    @property
    def command(self) -> Command:
        """Its row."""
        return COMMANDS[self.name]

    @property
    def shows(self) -> bool:
        """Whether a person watches."""
        return sys.stderr.isatty() and not self.as_json


def _answer(turn: Turn, names: Sequence[str], *, everything: bool, find: Callable[[], ControlClient]) -> Exit:
    return tell(ask(lambda: _operate(turn, find(), names, everything=everything), as_json=turn.as_json))


def _operate(turn: Turn, client: ControlClient, names: Sequence[str], *, everything: bool) -> Answer:
    found = client.status(timeout=min(turn.timeout, ANSWER_SECONDS))
    rows = found["connections"]
    meant = _meant(with_held(found) if turn.command.lifts else rows, names, everything=everything)
    up = {row["name"] for row in rows if row["state"] in UP_STATES}
    _make_sure(turn, [name for name in meant if name in up])
    outcomes = _in_turns(turn, client, {name: name in up and not turn.together for name in meant})
    worst = max((one.exit for one in outcomes), default=Exit.OK)
    if turn.as_json:
        results = [asdict(one) for one in outcomes]
        return Answer(worst, json.dumps({"schema": SCHEMA, "command": turn.name, "results": results}))
    lines = [_line(turn, one) for one in outcomes] or ["no connections"]
    return Answer(worst, "\n".join(lines), complains=worst is not Exit.OK)


def _meant(rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, everything: bool) -> list[str]:
    """Names as they are, patterns as what they match, each once. A plain name need not be there: resume knows."""
    if everything == bool(names):
        raise MisusedError("name connections, or say --all", code="bad_request")
    if everything:
        return [str(row["name"]) for row in rows]
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(str(row["name"]) for row in chosen(rows, [name])) if is_pattern(name) else {name: None}
    return list(found)


def _make_sure(turn: Turn, live: Sequence[str]) -> None:
    """More than one live connection away at a time is asked about, unless it was said that it is meant."""
    fall_together = turn.command.stays or turn.together or not turn.waits
    if turn.yes or not turn.command.down or len(live) < 2 or not fall_together:
        return
    what = f"{turn.name} takes {len(live)} live connections down together: {', '.join(live)}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise MisusedError(f"{what}; say --yes if that is meant", code="bad_request")
    sys.stderr.write(f"{what}. Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise RefusedError("nothing was done")


def _in_turns(turn: Turn, client: ControlClient, meant: Mapping[str, bool]) -> list[Outcome]:
    """Each name, and whether it awaits its turn: these one after the other, up to the first that does not come back.

    The others are not up, or may fall together: they have their order at once, are waited for behind, and stop nobody.
    """
    given = {name: _give(turn, client, name) for name, awaits in meant.items() if not awaits}
    found: dict[str, Outcome] = {}
    failed = ""
    for name in (name for name, awaits in meant.items() if awaits):
        if failed:
            detail = f"not tried, because of {failed}"
            found[name] = Outcome(connection=name, ok=False, detail=detail, code="refused", exit=Exit.FAILED)
            continue
        found[name] = _wait(turn, client, _give(turn, client, name))
        failed = "" if found[name].ok else name
    found |= {name: _wait(turn, client, one) for name, one in given.items()}
    return [found[name] for name in meant]


def _give(turn: Turn, client: ControlClient, name: str) -> Mapping[str, Any] | Outcome:
    """Give the order for one connection; what the daemon answered, or that it said no."""
    begun = time.monotonic()
    try:
        arguments = {"name": name, **turn.arguments}
        return {**client.command(turn.name, arguments, timeout=turn.answer_seconds), "begun": begun}
    except ControlError as error:
        return Outcome(connection=name, ok=False, detail=str(error), code=error.code, exit=error.exit)


def _wait(turn: Turn, client: ControlClient, order: Mapping[str, Any] | Outcome) -> Outcome:
    """Look until the goal is reached, the connection is gone, or time is up, which counts from its order on."""
    if isinstance(order, Outcome):
        return order
    name, pause_between = order["connection"], threading.Event()  # never set
    detail = f"will not survive a restart of the daemon: {order['warning']}" if order["warning"] else ""
    if not order["present"]:
        return Outcome(connection=name, ok=True, detail=detail or "nobody is there under that name now")
    if not turn.waits:
        return Outcome(connection=name, ok=True, detail=detail or "ordered")
    reached = GOALS[turn.command.goal]
    while True:
        rows = client.status(timeout=ANSWER_SECONDS)["connections"]
        row = next((one for one in rows if one["name"] == name), None)
        seconds = round(time.monotonic() - order["begun"], 3)
        if row is None or reached(row, order) or seconds >= turn.timeout:
            break
        _progress(turn, f"{render.printable(name)}: {row['state']} {seconds:.0f}s")
        pause_between.wait(LOOK_SECONDS)
    _progress(turn, "")
    if row is None:
        return Outcome(connection=name, ok=True, detail="its client has left", seconds=seconds)
    if reached(row, order) and not _ran_out(row, order):
        return Outcome(connection=name, ok=True, state=row["state"], detail=detail, seconds=seconds)
    return Outcome(
        connection=name,
        ok=False,
        state=row["state"],
        detail="; ".join(filter(None, (row["reason"], detail))),
        seconds=seconds,
        code="timed_out",
        exit=Exit.TIMED_OUT,
    )


def _ran_out(row: Mapping[str, Any], order: Mapping[str, Any]) -> bool:
    """Whether this drain ended before all had finished; the row of what was down may tell of an earlier one."""
    return order["command"] == "drain" and order["state"] not in DOWN_STATES and row.get("unfinished", False)


def _progress(turn: Turn, text: str) -> None:
    if turn.shows:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


_DONE = {
    "restart": "restarted",
    "pause": "paused",
    "resume": "resumed",
    "drain": "drained",
    "reset": "reset",
    "resubscribe": "asked again",
    "move": "moved",
}


def _line(turn: Turn, one: Outcome) -> str:
    name, detail = render.printable(one.connection), render.printable(one.detail)
    if one.ok or (turn.command.goal == "down" and one.state in DOWN_STATES):
        parts = [part for part in (one.state, f"{one.seconds:.1f}s" if one.state else "", detail) if part]
        return f"{name}: {_DONE[turn.name]}" + (f" ({', '.join(parts)})" if parts else "")
    if one.code == "timed_out" and one.state:
        state = f"{one.state}, {detail}" if detail else one.state
        return f"{name}: not there after {one.seconds:.0f} s: {state}; backstay explain {name} says more"
    return f"{name}: {detail}"


def move(  # noqa: PLR0913  # each is an option
    names: Annotated[list[str] | None, Argument(metavar="NAME", text="The connection.", offers="connection")] = None,
    *,
    endpoint: Annotated[
        str | None,
        Option("--endpoint", metavar="HOST:PORT", text="The TWS or IB Gateway to dial from now on.", offers="endpoint"),
    ] = None,
    client_id: Annotated[
        int | None, Option("--client-id", metavar="N", least=0, text="The client id to connect with from now on.")
    ] = None,
    reason: ReasonOption = "",
    no_wait: NoWaitOption = False,
    timeout: WaitOption = 60.0,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
) -> int:
    """See its row."""
    where = {"endpoint": endpoint} if endpoint is not None else {"client_id": client_id}
    turn = Turn(
        "move",
        {"reason": reason, **where},
        answer_seconds=timeout,
        timeout=timeout,
        waits=not no_wait,
        together=False,
        yes=False,
        as_json=as_json,
    )

    def find() -> ControlClient:
        if names is None or len(names) != 1 or (endpoint is None) == (client_id is None):
            raise MisusedError("name one connection, and either --endpoint or --client-id", code="bad_request")
        return client_of(config, control)

    return _answer(turn, names or (), everything=False, find=find)


described(move, "move")
