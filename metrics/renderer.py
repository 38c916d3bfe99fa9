"""The exposition as text, straight from the readings: what has not changed since the last scrape is not written anew.

A scrape takes the interpreter from the thread that reads the socket, so what it costs shows as latency there. Most of
an exposition never changes: reasons that did not occur, buckets nothing fell into, facts. And of what does change, the
names and labels stay: they are written once, as a template that the values are put into.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
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
            open_metrics: [_header(metric, open_metrics=open_metrics).encode() for metric in CATALOGUE]
            for open_metrics in (False, True)
        }

    def render(self, *, open_metrics: bool) -> str:
        """All metrics in the text format 0.0.4, or in OpenMetrics 1.0 without its closing `# EOF`."""
        return b"".join(self.pieces(open_metrics=open_metrics)).decode()

    def pieces(self, *, open_metrics: bool) -> list[bytes]:
        """The same, not yet put together: a copy of all that costs as much as all that has changed."""
        reader = self._reader
        view = reader.look()
        names = {scope: [sample.name for sample in samples] for scope, samples in view.samples.items() if scope.labels}
        parts: list[bytes] = []
        for column, header in zip(self._columns, self._headers[open_metrics], strict=True):
            scope = column.metric.scope
            samples = view.collector() if scope is Scope.COLLECTOR else view.samples[scope]
            text, errors = column.write(names.get(scope) or [""] * len(samples), samples, view.now)
            reader.errors += errors
            parts += (header, text)
        return parts

    @property
    def known(self) -> int:
        """How many pieces of text are kept for the next scrape."""
        return sum(len(column.blocks) for column in self._columns)


_NOTHING = object()
"""The mark of a block that was never written."""


def _counts(reading: Any) -> dict[str, list[int]]:
    if isinstance(reading, Histogram):
        return {"": reading.counts}
    return {key: one.counts for key, one in reading.items()} if reading else {}


class _Column:
    """One metric: what was last written of each of its samples, and of all of them together."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.blocks: dict[str, _Block] = {}
        source = metric.source
        self._attribute = attrgetter(source) if isinstance(source, str) else None
        self._make: type[_Block] = _HistogramBlock if metric.kind is Kind.HISTOGRAM else _Block
        self._names: list[str] = []
        self._marks: list[Any] = []
        self._text = b""

    def write(self, names: list[str], samples: Sequence[Any], now: float) -> tuple[bytes, int]:
        """The lines of all samples, and how many could not be read."""
        try:
            readings = self._readings(samples, now)
        except Exception:  # noqa: BLE001  # one of them is broken, which must not take the others out
            return self._write_each(names, samples, now)
        marks = self._make.live_marks(readings)
        if marks != self._marks or names != self._names:
            blocks, parts = self.blocks, list[str]()
            for index, (name, mark) in enumerate(zip(names, marks, strict=True)):
                block = blocks.get(name)
                if block is None:
                    block = self._begin(name, samples[index])
                if block.mark != mark:
                    block.write(readings[index])
                parts.append(block.text)
            self._forget(names)
            self._names, self._marks = names, self._make.kept_marks(marks)
            self._text = "".join(parts).encode()
        return self._text, 0

    def _readings(self, samples: Sequence[Any], now: float) -> list[Any]:
        if self._attribute is not None:
            return list(map(self._attribute, samples))
        return [self.metric.read(sample, now) for sample in samples]

    def _write_each(self, names: list[str], samples: Sequence[Any], now: float) -> tuple[bytes, int]:
        parts: list[str] = []
        errors = 0
        for name, sample in zip(names, samples, strict=True):
            try:
                block = self.blocks.get(name) or self._begin(name, sample)
                block.write(self.metric.read(sample, now))
                parts.append(block.text)
            except Exception:  # noqa: BLE001  # as above
                errors += 1
        self._forget(names)
        self._marks = []
        return "".join(parts).encode(), errors

    def _begin(self, name: str, sample: Any) -> _Block:
        block = self.blocks[name] = self._make(self.metric, self.metric.identify(sample))
        return block

    def _forget(self, names: list[str]) -> None:
        """What is gone is forgotten with the connection it belonged to."""
        if len(self.blocks) > len(names):
            here = set(names)
            self.blocks = {name: block for name, block in self.blocks.items() if name in here}


class _Block:
    """The lines of one metric of one sample, and the reading that they say."""

    __slots__ = ("_identity", "_keys", "_metric", "_template", "mark", "text")

    def __init__(self, metric: Metric, identity: tuple[str, ...]) -> None:
        self._metric = metric
        self._identity = identity
        self._keys: tuple[Any, ...] | None = None
        self._template = ""
        self.mark: object = _NOTHING
        self.text = ""

    @staticmethod
    def live_marks(readings: list[Any]) -> list[Any]:
        """What differs from the `mark` that a block has kept if the reading does, also if that is changed in place."""
        return readings

    @staticmethod
    def kept_marks(marks: list[Any]) -> list[Any]:
        """The same, of now for good."""
        return [copy(mark) for mark in marks]  # of what cannot be changed it is the thing itself

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

    @staticmethod
    def live_marks(readings: list[Any]) -> list[Any]:
        """An observation changes the counts in any case."""
        return [_counts(reading) for reading in readings]

    @staticmethod
    def kept_marks(marks: list[Any]) -> list[Any]:
        """The same, of now for good."""
        return [{key: list(counts) for key, counts in mark.items()} for mark in marks]

    def write(self, reading: Any) -> None:
        """Make it so."""
        found: Mapping[str, Histogram] = {"": reading} if isinstance(reading, Histogram) else reading or {}
        keys = tuple(found)
        if keys != self._keys:
            self._keys = keys
            self._template = "".join(self._lines(*point) for point in self._metric.points(self._identity, reading))
        marks: dict[str, list[int]] = {}
        values: list[object] = []
        for key, histogram in found.items():
            marks[key] = counts = list(histogram.counts)
            values += accumulate(counts)
            values += (values[-1], number(histogram.sum))
        self.text = self._template % tuple(values)
        self.mark = marks

    def _lines(self, labels: tuple[str, ...], histogram: object) -> str:
        assert isinstance(histogram, Histogram)  # noqa: S101  # as above
        pairs, name = self._pairs(labels), self._metric.name
        bounds: Iterable[str] = (*map(number, histogram.bounds), "+Inf")
        series = [_literal(f"{name}_bucket", [*pairs, f'le="{bound}"']) for bound in bounds]
        buckets = "".join(f"{one}%d\n" for one in series)
        return f"{buckets}{_literal(f'{name}_count', pairs)}%d\n{_literal(f'{name}_sum', pairs)}%s\n"


def _header(metric: Metric, *, open_metrics: bool) -> str:
    name = metric.name.removesuffix("_total") if open_metrics else metric.name
    unit = f"# UNIT {name} {metric.unit.word}\n" if open_metrics and metric.unit.word else ""
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind.value}\n{unit}"


def _prefix(name: str, pairs: list[str]) -> str:
    return f"{name}{{{','.join(pairs)}}} " if pairs else f"{name} "


def _literal(name: str, pairs: list[str]) -> str:
    """The same for a template, where a percent sign has a meaning."""
    return _prefix(name, pairs).replace("%", "%%")
