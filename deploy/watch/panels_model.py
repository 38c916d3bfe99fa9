"""What a panel of a dashboard is, in the few words in which ours differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique

FULL_WIDTH = 24


@unique
class Look(Enum):
    """How the data is drawn; Grafana's names."""

    STAT = "stat"
    LINES = "timeseries"
    STATES = "state-timeline"
    HEAT = "heatmap"
    BARS = "bargauge"


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and what its series are called. `@` stands for the dashboard's own selector."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. `steps`: colours from values on; `names`: words for values, each with its colour.

    `good`: the value that a person wants to see, for those that are drawn as states.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    look: Look = Look.LINES
    width: int = 8
    height: int = 7
    decimals: int | None = None
    least: float | None = 0
    most: float | None = None
    steps: tuple[tuple[float | None, str], ...] = ()
    names: tuple[tuple[float, str, str], ...] = ()
    stacked: bool = False
    line: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Marks:
    """Moments that are drawn across all panels."""

    name: str
    expr: str
    colour: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A dashboard. `selector` is what `@` stands for in its expressions; `per_connection`: about one at a time."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    selector: str
    span: str = "now-6h"
    per_connection: bool = False
    marks: tuple[Marks, ...] = field(default=())
