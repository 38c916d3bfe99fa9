"""What a rule, an alert and an inhibition are, and how the time in them is written or compressed.

Times in expressions are durations in brackets, `[5m]`, or numbers of seconds in braces, `{60s}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
DURATION = re.compile(r"(\d+)([smhd])")
WINDOW = re.compile(r"(?<=\[)\d+[smhd](?=\])")
SECONDS = re.compile(r"\{(\d+)s\}")

DOCS_URL = "http://localhost:8000"
"""Where compose and `make docs-serve` have the documentation."""

GRAFANA_URL = "http://localhost:3000"


@dataclass(frozen=True, slots=True)
class Pace:
    """How time passes: a test compresses an hour into minutes. `factor` 1 is real time."""

    factor: float = 1.0

    def duration(self, text: str) -> str:
        """A duration of the rules, as Prometheus reads it."""
        if self.factor == 1:
            return text
        return f"{max(1, round(seconds_of(text) * 1000 / self.factor))}ms"

    def expression(self, text: str) -> str:
        """An expression, its times at this pace."""
        windows = WINDOW.sub(lambda found: self.duration(found[0]), text)
        return SECONDS.sub(lambda found: f"{float(found[1]) / self.factor:g}", windows)


REAL_TIME = Pace()


def seconds_of(duration: str) -> float:
    """Seconds of a duration as in the rules: `3m`."""
    found = DURATION.fullmatch(duration)
    if found is None:
        raise ValueError(f"no duration: {duration!r}")
    return int(found[1]) * UNITS[found[2]]


@dataclass(frozen=True, slots=True)
class Links:
    """Where an alert's pages are."""

    docs: str = DOCS_URL
    grafana: str = GRAFANA_URL


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert. `hold`: how long it has to be so; `keep`: how long it goes on firing; both empty for not at all.

    `window` tells alerts of the same name apart. `about` names the labels that its expression leaves.
    `dashboard`: its uid without the `backstay-` in front.
    """

    name: str
    severity: str
    expr: str
    summary: str
    description: str
    hold: str = ""
    keep: str = ""
    window: str = ""
    about: tuple[str, ...] = ()
    dashboard: str = "overview"

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.name} ({self.window})" if self.window else self.name

    @property
    def labels(self) -> dict[str, str]:
        """What the rule adds to those of the expression."""
        return {"severity": self.severity} | ({"window": self.window} if self.window else {})

    def annotations(self, links: Links) -> dict[str, str]:
        """What the one who is called reads."""
        variables = "&".join(
            f"var-{label}={{{{ $labels.{label} | urlquery }}}}"
            for label in ("job", "instance", "connection")
            if label in self.about
        )
        board = f"{links.grafana}/d/backstay-{self.dashboard}"
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{links.docs}/runbooks/{self.name}.html",
            "dashboard_url": f"{board}?{variables}" if variables else board,
        }


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While one of `sources` fires, nobody is called for `targets` with the same labels `equal`.

    Only between different alerts, or, with `severity`, from critical to warning of the same name.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    equal: tuple[str, ...]
    why: str
    by_severity: bool = False
