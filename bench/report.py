"""Medians over the rounds, ratios within each round, and the tables that show them."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

LOOP_SECONDS: Final = "loop_seconds"
"""Beside the values of a sample: CPU seconds of a fixed loop, mean of just before and just after it."""

Rounds = list[dict[str, dict[str, dict[str, float]]]]
"""Per round: suite -> subject -> value name -> value. A sample that failed is missing."""

QUARTER: Final = "blast, a quarter"
"""The suite whose rate the whole blast's is compared with: a client whose work is linear keeps its rate."""

_RATIOS: Final = (
    ("steady", "messages_per_second", ("relay", "library", "callbacks"), ("ib_async", "ibapi", "direct")),
    ("steady", "cpu_seconds_per_million", ("relay", "library", "callbacks"), ("ib_async", "ibapi")),
    ("blast", "messages_per_second", ("relay", "library", "callbacks"), ("ib_async", "ibapi", "direct")),
    ("latency", "p50_us", ("relay", "library", "callbacks"), ("ib_async", "ibapi", "direct")),
    ("latency", "p99_us", ("relay", "library", "callbacks"), ("ib_async", "ibapi", "direct")),
    ("recovery", "ready_ms", ("relay", "library", "callbacks"), ("ib_async", "ibapi", "direct")),
)
"""Suite (a rate may follow it), value, whose value is divided, by whose."""

_FORMATS: Final = {
    "messages_per_second": "{:,.0f}",
    "cpu_seconds_per_million": "{:.2f}",
    "peak_rss_mb": "{:.0f}",
    "accepted_per_second": "{:,.0f}",
    "cpu_share": "{:.1%}",
}


_SCALES: Final = {"messages_per_second": 1, "cpu_seconds_per_million": -1}
"""Values bound to the speed of a core, and whether they shrink (1) or grow (-1) when it is slow. A core of a virtual
machine can be three times slower from one moment to the next; these values are scaled to the median speed of the run by
a loop timed before and after each sample."""


@dataclass(slots=True)
class Report:
    """Everything one run has measured."""

    environment: dict[str, Any]
    rounds: Rounds = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Samples that were tried again or given up, and why."""

    def medians(self) -> dict[str, dict[str, dict[str, float]]]:
        """Suite -> subject -> value name -> median over the rounds."""
        gathered: dict[str, dict[str, dict[str, list[float]]]] = {}
        for suite, subject, name, value in self._values():
            gathered.setdefault(suite, {}).setdefault(subject, {}).setdefault(name, []).append(value)
        return {
            suite: {
                subject: {name: statistics.median(values) for name, values in names.items()}
                for subject, names in subjects.items()
            }
            for suite, subjects in gathered.items()
        }

    def scaled(self) -> Rounds:
        """The rounds with all values at one speed of the machine; the loop's own seconds are left out."""
        samples = [values for one in self.rounds for subjects in one.values() for values in subjects.values()]
        usual = statistics.median(values[LOOP_SECONDS] for values in samples) if samples else 1.0
        return [
            {
                suite: {subject: _scale(values, values[LOOP_SECONDS] / usual) for subject, values in subjects.items()}
                for suite, subjects in one.items()
            }
            for one in self.rounds
        ]

    def ratios(self) -> dict[str, float]:
        """Median of the ratios taken within each round, by ``suite value a/b``."""
        found: dict[str, list[float]] = {}
        for one in self.scaled():
            for suite, subjects in one.items():
                for base, name, upper, lower in _RATIOS:
                    if not suite.startswith(base):
                        continue
                    for a, b in _pairs(subjects, upper, lower):
                        found.setdefault(f"{suite} {name} {a}/{b}", []).append(subjects[a][name] / subjects[b][name])
            for subject in one.get("blast", {}).keys() & one.get(QUARTER, {}).keys():
                whole, quarter = (one[suite][subject]["messages_per_second"] for suite in ("blast", QUARTER))
                found.setdefault(f"blast messages_per_second {subject} whole/quarter", []).append(whole / quarter)
        return {key: statistics.median(values) for key, values in sorted(found.items())}

    def added_by_the_relay(self) -> dict[str, float]:
        """Microseconds of p50 latency that the relay adds to a direct connection, by suite."""
        found: dict[str, list[float]] = {}
        for one in self.rounds:
            for suite, subjects in one.items():
                if suite.startswith("latency") and {"relay", "direct"} <= subjects.keys():
                    added = subjects["relay"]["p50_us"] - subjects["direct"]["p50_us"]
                    found.setdefault(suite, []).append(added)
        return {suite: statistics.median(values) for suite, values in found.items()}

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "environment": self.environment,
            "medians": self.medians(),
            "ratios": self.ratios(),
            "relay_adds_p50_us": self.added_by_the_relay(),
            "rounds": self.rounds,
            "failures": self.failures,
        }

    def text(self) -> str:
        """Everything, for a terminal."""
        lines: list[str] = []
        for suite, subjects in self.medians().items():
            lines += [suite, *_table(subjects), ""]
        lines.append("ratios (median of the ratios of each round)")
        lines += [f"  {key:<58}{value:>9.2f}" for key, value in self.ratios().items()]
        lines += [
            f"  {suite + ': relay adds, us of p50':<58}{v:>9.0f}" for suite, v in self.added_by_the_relay().items()
        ]
        lines += self.failures
        return "\n".join(lines)

    def _values(self) -> Iterable[tuple[str, str, str, float]]:
        for one in self.scaled():
            for suite, subjects in one.items():
                for subject, names in subjects.items():
                    for name, value in names.items():
                        yield suite, subject, name, value


def _scale(values: dict[str, float], slowness: float) -> dict[str, float]:
    return {name: value * slowness ** _SCALES.get(name, 0) for name, value in values.items() if name != LOOP_SECONDS}


def _pairs(subjects: dict[str, Any], upper: tuple[str, ...], lower: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    return ((a, b) for a in upper for b in lower if a in subjects and b in subjects)


def _table(subjects: dict[str, dict[str, float]]) -> list[str]:
    names = list(dict.fromkeys(name for values in subjects.values() for name in values))
    lines = ["  " + f"{'':<10}" + "".join(f"{name:>25}" for name in names)]
    for subject, values in subjects.items():
        cells = (_FORMATS.get(name, "{:.1f}").format(values[name]) if name in values else "-" for name in names)
        lines.append("  " + f"{subject:<10}" + "".join(f"{cell:>25}" for cell in cells))
    return lines
