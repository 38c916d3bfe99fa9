"""The exposition as text, straight from the readings: a reading that has not changed since is not written anew.

A scrape takes the interpreter from the thread that reads the socket, so what it costs shows as latency there. Most of
an exposition never changes: reasons that did not occur, buckets nothing fell into, facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from backstay.metrics.blocks import Histogram
from backstay.metrics.catalogue import CATALOGUE, Kind, Metric, Reading, Value
from backstay.metrics.collector import Reader, cumulative, number

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

_Key = tuple[str, tuple[str, ...]]


class _Block(NamedTuple):
    """The lines of one metric of one sample, and the reading they say."""

    mark: object
    text: str


class Renderer:
    """Renders what a reader reads. One thread at a time."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._blocks: dict[_Key, _Block] = {}
        self._headers = {
            open_metrics: {metric.name: _header(metric, open_metrics=open_metrics) for metric in CATALOGUE}
            for open_metrics in (False, True)
        }

    def render(self, *, open_metrics: bool) -> str:
        """All metrics in the text format 0.0.4, or in OpenMetrics 1.0 without its closing `# EOF`."""
        headers, known = self._headers[open_metrics], self._blocks
        parts: list[str] = []
        seen: dict[_Key, _Block] = {}
        for metric, readings in self._reader.read():
            parts.append(headers[metric.name])
            for identity, reading in readings:
                key = metric.name, identity
                block = known.get(key)
                mark = _mark(reading)
                if block is None or block.mark != mark:
                    block = _Block(mark, "".join(_lines(metric, identity, reading)))
                seen[key] = block
                parts.append(block.text)
        self._blocks = seen  # what is gone is forgotten with the connection it belonged to
        return "".join(parts)


def _mark(reading: Reading) -> object:
    """A value that differs when the reading does, also where the reading is changed in place."""
    if isinstance(reading, Histogram):
        return (reading.sum, *reading.counts)
    return dict(reading) if isinstance(reading, Mapping) else reading


def _header(metric: Metric, *, open_metrics: bool) -> str:
    name = metric.name.removesuffix("_total") if open_metrics else metric.name
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind.value}\n"


def _lines(metric: Metric, identity: tuple[str, ...], reading: Reading) -> Iterator[str]:
    names = metric.label_names
    for labels, value in metric.points(identity, reading):
        pairs = [f'{name}="{text.translate(_ESCAPES)}"' for name, text in zip(names, labels, strict=True)]
        if metric.kind is Kind.HISTOGRAM:
            yield from _histogram_lines(metric.name, pairs, value)
        else:
            assert not isinstance(value, Histogram)  # noqa: S101  # the catalogue's test pairs kinds with attributes
            yield _line(metric.name, pairs, value)


def _histogram_lines(name: str, pairs: list[str], value: Value) -> Iterator[str]:
    assert isinstance(value, Histogram)  # noqa: S101  # as above
    counts, total = cumulative(value)
    for bound, count in zip([*map(number, value.bounds), "+Inf"], counts, strict=True):
        yield _line(f"{name}_bucket", [*pairs, f'le="{bound}"'], count)
    yield _line(f"{name}_count", pairs, counts[-1])
    yield _line(f"{name}_sum", pairs, total)


def _line(name: str, pairs: list[str], value: float) -> str:
    return f"{name}{{{','.join(pairs)}}} {number(value)}\n" if pairs else f"{name} {number(value)}\n"
