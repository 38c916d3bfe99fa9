"""The exposition as text, straight from the readings: what has not changed since the last scrape is not written anew.

A scrape takes the interpreter from the thread that reads the socket, so what it costs shows as latency there. Most of
an exposition never changes: reasons that did not occur, buckets nothing fell into, facts. And of what does change, the
names and labels stay: they are written once, as a template that the values are put into.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any

from backstay.metrics.blocks import Histogram
from backstay.metrics.catalogue import CATALOGUE, Kind, Metric, Reading, Scope
from backstay.metrics.collector import Reader, number

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Renderer:
    """Renders what a reader reads. One thread at a time."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._columns = [_Column(metric) for metric in CATALOGUE]
        self._headers = {
            open_metrics: [_header(metric, open_metrics=open_metrics) for metric in CATALOGUE]
            for open_metrics in (False, True)
        }

    def render(self, *, open_metrics: bool) -> str:
        """All metrics in the text format 0.0.4, or in OpenMetrics 1.0 without its closing `# EOF`."""
        reader = self._reader
        view = reader.look()
        parts: list[str] = []
        for column, header in zip(self._columns, self._headers[open_metrics], strict=True):
            parts.append(header)
            samples = view.collector() if column.metric.scope is Scope.COLLECTOR else view.samples[column.metric.scope]
            reader.errors += column.write(samples, view.now, parts)
        return "".join(parts)

    @property
    def known(self) -> int:
        """How many pieces of text are kept for the next scrape."""
        return sum(len(column.blocks) for column in self._columns)


class _Column:
    """One metric: what was last written of each of its samples."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.blocks: dict[str, _Block] = {}
        source = metric.source
        self._attribute = attrgetter(source) if isinstance(source, str) else None
        self._make: type[_Block] = _HistogramBlock if metric.kind is Kind.HISTOGRAM else _Block

    def write(self, samples: Sequence[Any], now: float, parts: list[str]) -> int:
        """Append the lines of all samples. Returns how many could not be read."""
        attribute, read, blocks = self._attribute, self.metric.read, self.blocks
        named = self.metric.scope.labels
        errors = 0
        for sample in samples:
            try:
                name = sample.name if named else ""
                reading = read(sample, now) if attribute is None else attribute(sample)
                block = blocks.get(name)
                if block is None:
                    blocks[name] = block = self._make(self.metric, self.metric.identify(sample))
                if block.mark is None or not block.says(reading):
                    block.write(reading)
            except Exception:  # noqa: BLE001  # one broken sample must not take the others out of the exposition
                errors += 1
            else:
                parts.append(block.text)
        if len(blocks) > len(samples):  # what is gone is forgotten with the connection it belonged to
            here = {sample.name for sample in samples} if named else {""}
            self.blocks = {name: block for name, block in blocks.items() if name in here}
        return errors


class _Block:
    """The lines of one metric of one sample, and the reading that they say."""

    __slots__ = ("_identity", "_keys", "_metric", "_template", "mark", "text")

    def __init__(self, metric: Metric, identity: tuple[str, ...]) -> None:
        self._metric = metric
        self._identity = identity
        self._keys: tuple[Any, ...] | None = None
        self._template = ""
        self.mark: object = None
        self.text = ""

    def says(self, reading: Any) -> bool:
        """Whether the text is that of this reading, also where the reading is changed in place."""
        return bool(self.mark == reading)

    def write(self, reading: Reading) -> None:
        """Make it so."""
        if type(reading) is float or type(reading) is int:  # by far the most
            if self._keys is None:
                self._keys, self._template = (), _prefix(self._metric.name, self._pairs(self._identity))
            self.text = f"{self._template}{reading if type(reading) is int else number(reading)}\n"
            self.mark = reading
            return
        points = list(self._metric.points(self._identity, reading))
        keys = tuple(labels for labels, _ in points)
        if keys != self._keys:
            self._keys = keys
            self._template = "".join(f"{_literal(self._metric.name, self._pairs(key))}%s\n" for key in keys)
        self.text = self._template % tuple(number(value) for _, value in points if not isinstance(value, Histogram))
        self.mark = dict(reading) if isinstance(reading, Mapping) else reading

    def _pairs(self, labels: tuple[str, ...]) -> list[str]:
        names = self._metric.label_names
        return [f'{name}="{text.translate(_ESCAPES)}"' for name, text in zip(names, labels, strict=True)]


class _HistogramBlock(_Block):
    """The same of a histogram, or of several, by label."""

    __slots__ = ()

    def says(self, reading: Any) -> bool:
        """An observation changes the counts in any case."""
        if type(reading) is Histogram:
            return bool(self.mark == reading.counts)
        return False if reading is None else bool(self.mark == [one.counts for one in reading.values()])

    def write(self, reading: Any) -> None:
        """Make it so."""
        one = isinstance(reading, Histogram)
        found: Mapping[str, Histogram] = {"": reading} if isinstance(reading, Histogram) else reading or {}
        keys, histograms = tuple(found), tuple(found.values())
        if keys != self._keys:
            self._keys = keys
            self._template = "".join(self._lines(*point) for point in self._metric.points(self._identity, reading))
        marks = [list(histogram.counts) for histogram in histograms]
        values: list[object] = []
        for counts, histogram in zip(marks, histograms, strict=True):
            values += accumulate(counts)
            values += (values[-1], number(histogram.sum))
        self.text = self._template % tuple(values)
        self.mark = marks[0] if one else marks

    def _lines(self, labels: tuple[str, ...], histogram: object) -> str:
        assert isinstance(histogram, Histogram)  # noqa: S101  # as above
        pairs, name = self._pairs(labels), self._metric.name
        bounds: Iterable[str] = (*map(number, histogram.bounds), "+Inf")
        series = [_literal(f"{name}_bucket", [*pairs, f'le="{bound}"']) for bound in bounds]
        buckets = "".join(f"{one}%d\n" for one in series)
        return f"{buckets}{_literal(f'{name}_count', pairs)}%d\n{_literal(f'{name}_sum', pairs)}%s\n"


def _header(metric: Metric, *, open_metrics: bool) -> str:
    name = metric.name.removesuffix("_total") if open_metrics else metric.name
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind.value}\n"


def _prefix(name: str, pairs: list[str]) -> str:
    return f"{name}{{{','.join(pairs)}}} " if pairs else f"{name} "


def _literal(name: str, pairs: list[str]) -> str:
    """The same for a template, where a percent sign has a meaning."""
    return _prefix(name, pairs).replace("%", "%%")
