"""Break gateways in every way there is, and see the right alert called for, and only that one.

    python -m deploy.watch.live [--keep FOLDER] [--pictures FOLDER]

A real Prometheus and a real Alertmanager watch a real `backstay run --simulator`. The rules are those of deploy/ with
their times divided. Takes two minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from backstay.simulator.ports import free_ports
from deploy.watch.draw import draw
from deploy.watch.live_breaks import BREAKS, QUIET, RELAYS, Break, configuration, first, other
from deploy.watch.live_clients import relayed
from deploy.watch.live_daemons import daemon_breaks, worn_daemon
from deploy.watch.live_panels import disliked_metrics, empty_panels
from deploy.watch.live_stack import Call, LiveError, Stage, stage, until
from deploy.watch.model import Pace

PACE = Pace(10)
"""An hour in six minutes. Shorter, and what is not compressed - scrapes, delays between dials - is no longer small."""

QUIET_SECONDS = 6.0
"""Healthy for so long first, so that rates have something to begin from."""

CALL_SECONDS = 120.0
"""The slowest alert is held for ten minutes, one compressed, over a rate of five."""

AT_THE_END = "BackstayTargetDown"
"""By the end of the daemon, which is the last that happens."""

LOG_LINES = 20
"""Of each program, where something went wrong."""

OF_THE_MACHINE = frozenset({"BackstayEventLoopLagHigh"})
"""A test machine may be busy; that is no mistake of anybody here."""


def wanted(breaks: Sequence[Break]) -> set[tuple[str, str]]:
    """Alerts that have to be called for, each with its subject."""
    return {(one.alert, subject) for one in breaks for subject in one.subjects}


def called(calls: Sequence[Call]) -> set[tuple[str, str]]:
    """Alerts that were."""
    return {(call.name, call.subject) for call in calls if call.firing}


def unwanted(calls: Sequence[Call], due: AbstractSet[tuple[str, str]]) -> list[str]:
    """What nobody should have been called for."""
    extra = sorted(one for one in called(calls) - due if one[0] not in OF_THE_MACHINE)
    return [f"{name} was called for {subject}, which nobody wanted" for name, subject in extra]


def _break(stage_: Stage, one: Break) -> None:
    begun = time.monotonic()
    one.do(stage_, one.gateway)
    due = wanted([one])
    what = f"{one.alert} for {', '.join(one.subjects)} ({one.story})"
    until(lambda: due <= called([*stage_.pager.calls]), CALL_SECONDS, what)
    print(f"   {what}: called after {time.monotonic() - begun:.0f} s", flush=True)


def break_everything(stage_: Stage, breaks: Sequence[Break]) -> list[str]:
    """All ways at the same time, until the last has been called for. Returns what went wrong."""
    for one in QUIET:
        one.do(stage_, one.gateway)
    with ThreadPoolExecutor(len(breaks)) as pool:
        tries = [pool.submit(_break, stage_, one) for one in breaks]
    for one in (*breaks, *QUIET):
        one.undo(stage_, one.gateway)
    _healthy(stage_)  # and whoever is called only now, when what kept it quiet is over, is found as well
    problems = [str(error) for error in (one.exception() for one in tries) if error is not None]
    return problems + unwanted([*stage_.pager.calls], wanted(breaks))


def end_daemon(stage_: Stage) -> list[str]:
    """The last way: the daemon itself goes."""
    stage_.daemon.terminate()
    target = (AT_THE_END, stage_.instance)
    try:
        until(lambda: target in called([*stage_.pager.calls]), CALL_SECONDS, AT_THE_END)
    except LiveError as error:
        return [str(error)]
    print(f"   {AT_THE_END}: called when the daemon was ended", flush=True)
    return []


def _healthy(stage_: Stage) -> None:
    for one in (*BREAKS, *QUIET):
        for connection in (first(one.gateway), other(one.gateway)):
            stage_.until_state(connection, "ready")
    begun = time.monotonic()
    until(lambda: time.monotonic() - begun > QUIET_SECONDS, CALL_SECONDS, "time passes")


def main() -> int:
    """Exit code 1 if an alert did not come, or one came that should not have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="an empty folder, to look at afterwards")
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of what Prometheus saw")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backstay-live-")))
        folder.mkdir(parents=True, exist_ok=True)
        ports = dict(zip(RELAYS, free_ports(len(RELAYS)), strict=True))
        worn, starved = (stack.enter_context(worn_daemon(folder / name)) for name in ("worn", "starved"))
        kept = [name for one in (*BREAKS, *QUIET) for name in (first(one.gateway), other(one.gateway))]
        config = configuration(ports)
        stage_ = stack.enter_context(
            stage(folder, config, relays=ports, connections=kept, beside=(worn.instance, starved.instance), pace=PACE)
        )
        _healthy(stage_)
        problems = break_everything(stage_, (*BREAKS, *daemon_breaks(stage_, worn, starved)))
        problems += empty_panels(stage_, [relayed("busy"), relayed("doubt"), *(first(one.gateway) for one in BREAKS)])
        problems += disliked_metrics(stage_)
        problems += end_daemon(stage_)
        if options.pictures is not None:
            draw(stage_, options.pictures)
        for problem in problems:
            print(f"   {problem}", file=sys.stderr)
        if problems:
            _tell_logs(folder)
    return int(bool(problems))


def _tell_logs(folder: Path) -> None:
    """The end of what each program had to say: the folder may be gone when somebody asks why."""
    for file in sorted(folder.rglob("*.err")):
        if lines := file.read_text(errors="replace").splitlines()[-LOG_LINES:]:
            print(f"-- {file.relative_to(folder)}", *lines, sep="\n   ", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
