"""The exposition as text, straight from the points: the costly part of each line, its labels, is made once and kept.

A scrape takes the interpreter from the thread that reads the socket, so what it costs shows as latency there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backstay.metrics.blocks import Histogram
from backstay.metrics.catalogue import CATALOGUE, Kind, Metric, Value
from backstay.metrics.collector import Reader, cumulative, number

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True, slots=True)
class _Series:
    """The unchanging beginnings of the lines of one series: one, or for a histogram buckets, count and sum."""

    starts: tuple[str, ...]

    def lines(self, value: Value) -> Iterator[str]:
        if isinstance(value, Histogram):
            counts, total = cumulative(value)
            values = (*counts, counts[-1], total)
            yield from (f"{start}{number(one)}" for start, one in zip(self.starts, values, strict=True))
        else:
            yield f"{self.starts[0]}{number(value)}"


class Renderer:
    """Renders what a reader reads. One thread at a time."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[tuple[str, tuple[str, ...]], _Series] = {}
        self._headers = {
            open_metrics: {metric.name: _header(metric, open_metrics=open_metrics) for metric in CATALOGUE}
            for open_metrics in (False, True)
        }

    def render(self, *, open_metrics: bool) -> str:
        """All metrics in the text format 0.0.4, or in OpenMetrics 1.0 without its closing `# EOF`."""
        headers = self._headers[open_metrics]
        lines: list[str] = []
        seen: dict[tuple[str, tuple[str, ...]], _Series] = {}
        for metric, points in self._reader.read():
            lines.append(headers[metric.name])
            for labels, value in points:
                key = metric.name, labels
                series = seen[key] = self._known.get(key) or _series(metric, labels, value)
                lines.extend(series.lines(value))
        self._known = seen  # series that are gone are forgotten with the connections they belonged to
        lines.append("")
        return "\n".join(lines)


def _header(metric: Metric, *, open_metrics: bool) -> str:
    name = metric.name.removesuffix("_total") if open_metrics else metric.name
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind.value}"


def _series(metric: Metric, values: tuple[str, ...], value: Value) -> _Series:
    pairs = [f'{name}="{text.translate(_ESCAPES)}"' for name, text in zip(metric.label_names, values, strict=True)]
    if metric.kind is not Kind.HISTOGRAM:
        return _Series((_start(metric.name, pairs),))
    assert isinstance(value, Histogram)  # noqa: S101  # the catalogue's test pairs kinds with attributes
    bounds = [*map(number, value.bounds), "+Inf"]
    buckets = [_start(f"{metric.name}_bucket", [*pairs, f'le="{bound}"']) for bound in bounds]
    return _Series((*buckets, _start(f"{metric.name}_count", pairs), _start(f"{metric.name}_sum", pairs)))


def _start(name: str, pairs: list[str]) -> str:
    return f"{name}{{{','.join(pairs)}}} " if pairs else f"{name} "
