"""Measure backstay beside the official ibapi and ib_async, all in one run: `make bench`, or python bench/run.py --help.

Every sample has a fresh gateway and a fresh client; within a round the clients alternate, so that a slow moment of the
machine meets all of them; results are medians over rounds, comparisons are ratios within a round.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import stream
from plan import Plan, Suite
from processes import SampleError, cores
from report import QUARTER, Report
from samples import SUBJECTS, Subject, plays, take
from scene import WINDOW_FRAMES

_ATTEMPTS: Final = 2
"""A sample is tried again once: ibapi can lose what it has read (a 4,096-byte boundary) and then waits for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything one run takes."""

    rounds: int
    frames: int
    rates: tuple[int, ...]
    seconds: float
    """Length of one latency sample."""
    cycles: int
    """Recoveries in one sample."""
    timeout: float
    """Seconds after which a sample has failed."""
    quarter: bool
    """Whether a blast a quarter as long is taken as well."""
    suites: tuple[Suite, ...]
    """Suites taken when none is asked for."""


_SHORT: Final = (Suite.STEADY, Suite.BLAST, Suite.LATENCY, Suite.RECOVERY)
_FULL: Final = Size(
    rounds=5,
    frames=200_000,
    rates=(1_000, 5_000, 20_000),
    seconds=2.0,
    cycles=5,
    timeout=180.0,
    quarter=True,
    suites=tuple(Suite),
)
_QUICK: Final = Size(
    rounds=1,
    frames=20_000,
    rates=(1_000,),
    seconds=1.0,
    cycles=2,
    timeout=15.0,
    quarter=False,
    suites=_SHORT,
)


def main() -> int:
    """Run and print; 1 when a sample could not be taken."""
    options = _options()
    size = _size(options)
    subjects = [subject for subject in SUBJECTS if not options.only or subject.name in options.only]
    report = Report(_environment(size))
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as folder:
        path = Path(folder) / "stream"
        stream.write(path, size.frames // WINDOW_FRAMES)
        for number in range(size.rounds):
            one: dict[str, dict[str, dict[str, float]]] = {}
            report.rounds.append(one)
            for name, plan in _plans(size, path, options.suites):
                for subject in (subject for subject in subjects if plays(subject, plan)):
                    _say(f"round {number + 1}/{size.rounds} {name} {subject.name}")
                    _sample(report, one.setdefault(name, {}), (name, subject, plan))
    _say("")
    print(report.text())
    if options.json:
        Path(options.json).write_text(json.dumps(report.as_dict(), indent=1), encoding="utf-8")
    return 1 if any(line.startswith("failed") for line in report.failures) else 0


def _sample(report: Report, into: dict[str, dict[str, float]], what: tuple[str, Subject, Plan]) -> None:
    name, subject, plan = what
    for attempt in range(_ATTEMPTS):
        try:
            into[subject.name] = take(subject, plan)
        except SampleError as error:
            kind = "failed" if attempt == _ATTEMPTS - 1 else "tried again"
            report.failures.append(f"{kind}: {name} {subject.name}: {error}")
        else:
            return


def _plans(size: Size, path: Path, suites: list[str] | None) -> Iterator[tuple[str, Plan]]:
    windows = size.frames // WINDOW_FRAMES
    plans = [
        ("steady", Plan(suite=Suite.STEADY, stream=str(path), windows=windows)),
        ("blast", Plan(suite=Suite.BLAST, stream=str(path), windows=windows)),
        (QUARTER, Plan(suite=Suite.BLAST, stream=str(path), windows=max(1, windows // 4))),
        *(
            (f"latency {rate}/s", Plan(suite=Suite.LATENCY, rate=rate, frames=int(rate * size.seconds)))
            for rate in size.rates
        ),
        ("recovery", Plan(suite=Suite.RECOVERY, cycles=size.cycles)),
        ("slow", Plan(suite=Suite.SLOW, stream=str(path), windows=windows, rate=20_000, seconds=10.0)),
        ("scrape", Plan(suite=Suite.SCRAPE, rate=1_000, frames=int(25_000 * size.seconds), connections=32)),
        *((f"many {count}", Plan(suite=Suite.MANY, connections=count)) for count in (1, 32, 256)),
    ]
    wanted = suites or size.suites
    return (
        (name, replace(plan, timeout=size.timeout))
        for name, plan in plans
        if plan.suite in wanted and (name != QUARTER or size.quarter)
    )


def _environment(size: Size) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": cores(),
        "date": time.strftime("%Y-%m-%d"),
        "rounds": size.rounds,
        "frames": size.frames,
    }


def _size(options: argparse.Namespace) -> Size:
    base = _QUICK if options.quick else _FULL
    return replace(base, rounds=options.rounds or base.rounds, frames=options.frames or base.frames)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, help=f"rounds (default {_FULL.rounds}, quick {_QUICK.rounds})")
    parser.add_argument("--frames", type=int, help=f"frames a sample (default {_FULL.frames}, quick {_QUICK.frames})")
    parser.add_argument("--quick", action="store_true", help="one small round, less than a minute")
    parser.add_argument("--json", metavar="FILE", help="write everything measured to this file as well")
    parser.add_argument("--only", nargs="+", choices=[subject.name for subject in SUBJECTS], help="these clients")
    parser.add_argument("--suites", nargs="+", choices=[str(suite) for suite in Suite], help="these suites")
    return parser.parse_args()


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
