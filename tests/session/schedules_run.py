"""Runs many schedules on all cores; shows one again; finds the shortest list of its steps that still fails.

python tests/session/schedules_run.py many 10000
python tests/session/schedules_run.py replay 4711 --keep 3,8,9
python tests/session/schedules_run.py shorten 4711
"""

from __future__ import annotations

import argparse
import gc
import itertools
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from schedules import Player, plan

TRIES = 400
"""Attempts at a shorter schedule: some seconds."""

LAST_LINES = 40
"""Of the trace of a failure: what a person reads; the replay shows all of it."""

SHARE = 25
"""Seeds that a process takes at a time."""

TOLD_EACH = 1_000
"""Schedules between two words of how far a run is."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule that broke a promise."""

    seed: int
    what: str

    @property
    def sort(self) -> str:
        """The failure without its numbers: a shortened schedule has to fail in the same way."""
        return re.sub(r"\d+", "#", self.what.partition(":")[0])[:80]


def live(seed: int, keep: Sequence[int] | None = None) -> Failure | None:
    """Live one schedule, or some of its steps."""
    try:
        Player(plan(seed), keep).live()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
        return Failure(seed, f"{type(error).__name__} {error}")
    return None


def trace(seed: int, keep: Sequence[int] | None = None) -> tuple[list[str], Failure | None]:
    """Everything that happened in one schedule, line by line."""
    player = Player(plan(seed), keep, trace=True)
    failure = None
    try:
        player.live()
    except Exception as error:  # noqa: BLE001
        failure = Failure(seed, f"{type(error).__name__} {error}")
    assert player.world.trace is not None
    return player.world.trace, failure


def shortened(seed: int, fails: Callable[[Sequence[int]], bool], steps: int) -> list[int]:
    """The steps without which a schedule would not fail: delta debugging, first halves, then ever smaller parts."""
    kept, parts = list(range(steps)), 2
    for _ in range(TRIES):
        size = max(1, -(-len(kept) // parts))
        for begin in range(0, len(kept), size):
            fewer = kept[:begin] + kept[begin + size :]
            if fails(fewer):
                kept, parts = fewer, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(kept), parts * 2)
    return kept


def shorten(failure: Failure) -> list[int]:
    """The shortest list found of steps that fail in this way."""

    def fails(keep: Sequence[int]) -> bool:
        found = live(failure.seed, keep)
        return found is not None and found.sort == failure.sort

    count = len(plan(failure.seed).steps)
    return shortened(failure.seed, fails, count) if fails(range(count)) else list(range(count))


def told(failure: Failure) -> str:
    """What a person needs: what broke, how to see it again, and the shortest way there."""
    keep = shorten(failure)
    steps = plan(failure.seed).steps
    here = Path(__file__)
    command = f"{sys.executable} {here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here}"
    lines = [
        f"seed {failure.seed}: {failure.what[:400]}",
        f"  replay:    {command} replay {failure.seed}",
        f"  shortened: {command} replay {failure.seed} --keep {','.join(map(str, keep))}",
        *(f"    {index:3} {steps[index]}" for index in keep),
    ]
    return "\n".join(lines)


def _share(seeds: Sequence[int]) -> list[Failure]:
    gc.freeze()  # modules and tables stay: only lives are looked through
    gc.disable()  # a life is a ring of objects that all go at once: looking for rings in between costs a tenth
    try:
        return [failure for seed in seeds if (failure := live(seed)) is not None]
    finally:
        gc.enable()
        gc.collect()


def many(count: int, *, first: int = 0, processes: int | None = None) -> Iterator[list[Failure]]:
    """Live so many schedules in several processes; yields the failures of each share as it is done."""
    seeds = iter(range(first, first + count))
    shares: Iterable[list[int]] = iter(lambda: list(itertools.islice(seeds, SHARE)), [])
    workers = processes or os.cpu_count() or 1
    if workers == 1:
        yield from map(_share, shares)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(_share, shares)


def run(count: int, first: int) -> int:
    """The command `many`. A failure is told when it is found, so that nothing is lost with a run that is cut short."""
    begun = time.monotonic()
    failures: list[Failure] = []
    for done, share in enumerate(many(count, first=first), 1):
        failures += share
        for failure in share:
            print(f"seed {failure.seed}: {failure.what[:200]}", flush=True)  # noqa: T201
        if done * SHARE % TOLD_EACH == 0:
            print(f"{done * SHARE} of {count}, {len(failures)} failed", flush=True)  # noqa: T201
    seconds, used = time.monotonic() - begun, os.times()
    processor = used.user + used.children_user
    for failure in sorted(failures, key=lambda f: f.seed)[:5]:
        print(told(failure))  # noqa: T201
    summary = f"{count} schedules from seed {first} in {seconds:.1f} s, {processor:.1f} s of processor time"
    print(f"{summary}: {len(failures)} failed")  # noqa: T201
    return 1 if failures else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    several = commands.add_parser("many", help="run many schedules")
    several.add_argument("count", type=int)
    several.add_argument("--first", type=int, default=0, help="the first seed")
    again = commands.add_parser("replay", help="show one schedule, event by event")
    again.add_argument("seed", type=int)
    again.add_argument("--keep", default=None, help="only these of its steps, as 3,8,9")
    shorter = commands.add_parser("shorten", help="leave out what one schedule does not need to fail")
    shorter.add_argument("seed", type=int)
    chosen = parser.parse_args()
    if chosen.command == "many":
        return run(chosen.count, chosen.first)
    if chosen.command == "replay":
        keep = [int(index) for index in chosen.keep.split(",") if index] if chosen.keep is not None else None
        lines, failure = trace(chosen.seed, keep)
        print("\n".join(lines))  # noqa: T201
    else:
        failure = live(chosen.seed)
    if failure is None:
        print(f"seed {chosen.seed} fails nowhere")  # noqa: T201
        return 0
    print(told(failure) if chosen.command == "shorten" else f"seed {failure.seed}: {failure.what}")  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
