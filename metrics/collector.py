"""Reads the blocks when somebody asks: as families of the metrics client, for any registry.

`backstay.metrics.renderer` reads the same points for `/metrics` at a fraction of the cost; a test keeps both equal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from backstay.metrics.blocks import RESTART_REASONS, ActorSample, Histogram, MetricsSource, ProcessSample
from backstay.metrics.catalogue import (
    CATALOGUE,
    CollectorSample,
    Kind,
    Metric,
    Point,
    Reading,
    Scope,
    SupervisorSample,
)

_NOT_FINITE = {math.inf: "+Inf", -math.inf: "-Inf"}


@dataclass(slots=True)
class View:
    """The samples of one scrape. `now`: monotonic seconds."""

    samples: Mapping[Scope, Sequence[Any]]
    now: float
    started: float
    reader: Reader
    _collector: tuple[CollectorSample, ...] = ()

    def collector(self) -> tuple[CollectorSample, ...]:
        """How the reading itself went, up to when this is first asked: when all else has been read."""
        if not self._collector:
            self._collector = (CollectorSample(time.perf_counter() - self.started, self.reader.errors),)
        return self._collector


class Reader:
    """Takes the readings of every metric from the source. A sample that cannot be read is skipped and counted.

    May be used by several threads at a time; the count of errors may then miss one.
    """

    def __init__(self, source: MetricsSource, process: Callable[[], ProcessSample]) -> None:
        self._source = source
        self._process = process
        self.errors = 0

    def look(self) -> View:
        """All samples there are, at this moment."""
        started = time.perf_counter()
        actors = self._attempt(self._source.actors)
        samples: dict[Scope, Sequence[Any]] = {
            Scope.PROCESS: self._attempt(lambda: (self._process(),)),
            Scope.CONNECTION: self._attempt(self._source.connections),
            Scope.ACTOR: actors,
            Scope.SUPERVISOR: supervisors(actors),
        }
        return View(samples, self._source.now(), started, self)

    def read(self) -> Iterator[tuple[Metric, list[tuple[tuple[str, ...], Reading]]]]:
        """Each metric of the catalogue, in its order, with the identity and the reading of each sample."""
        view = self.look()
        for metric in CATALOGUE:
            samples = view.collector() if metric.scope is Scope.COLLECTOR else view.samples[metric.scope]
            yield metric, self._readings(metric, samples, view.now)

    def _attempt(self, look: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        try:
            return tuple(look())
        except Exception:  # noqa: BLE001  # one broken view must not take the others out of the exposition
            self.errors += 1
            return ()

    def _readings(self, metric: Metric, samples: Sequence[Any], now: float) -> list[tuple[tuple[str, ...], Reading]]:
        readings: list[tuple[tuple[str, ...], Reading]] = []
        for sample in samples:
            try:
                readings.append((metric.identify(sample), metric.read(sample, now)))
            except Exception:  # noqa: BLE001  # as above
                self.errors += 1
        return readings


def supervisors(actors: Iterable[ActorSample]) -> tuple[SupervisorSample, ...]:
    """What the actors' own figures add up to for each supervisor that has any."""
    restarts: dict[str, dict[str, int]] = {}
    escalations: dict[str, int] = {}
    for actor in actors:
        if actor.supervisor not in restarts:
            restarts[actor.supervisor] = dict.fromkeys(RESTART_REASONS, 0)
        below = restarts[actor.supervisor]
        if actor.restarts or actor.operator_restarts or actor.escalation_restarts:
            below["crash"] += actor.restarts
            below["operator"] += actor.operator_restarts
            below["escalation"] += actor.escalation_restarts
        if actor.escalations:
            escalations[actor.name] = escalations.get(actor.name, 0) + actor.escalations
    return tuple(SupervisorSample(name, counts, escalations.get(name, 0)) for name, counts in restarts.items())


class BackstayCollector(Collector):
    """All metrics of the catalogue, for `CollectorRegistry.register`: mount it in a registry of your own."""

    def __init__(self, source: MetricsSource, process: Callable[[], ProcessSample] = ProcessSample) -> None:
        self.reader = Reader(source, process)

    def describe(self) -> Iterable[Family]:
        """Nothing: registering must not read."""
        return []

    def collect(self) -> Iterator[Family]:
        """One family a metric."""
        for metric, readings in self.reader.read():
            points = [point for identity, reading in readings for point in metric.points(identity, reading)]
            yield _FAMILIES[metric.kind](metric, points)


def cumulative(histogram: Histogram) -> tuple[list[int], float]:
    """Counts of observations up to each bound, +Inf last, and their sum."""
    total = 0
    counts: list[int] = []
    for count in histogram.counts:
        total += count
        counts.append(total)
    return counts, histogram.sum


def number(value: float) -> str:
    """A value as the exposition formats have it."""
    if isinstance(value, int):
        return str(int(value))  # int() makes a bool a number
    return repr(value) if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")


def _counter(metric: Metric, points: list[Point]) -> Family:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.label_names, unit=metric.unit.word)
    for labels, value in points:
        assert not isinstance(value, Histogram)  # noqa: S101  # the catalogue's test pairs kinds with attributes
        family.add_metric(labels, value)
    return family


def _gauge(metric: Metric, points: list[Point]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.label_names, unit=metric.unit.word)
    for labels, value in points:
        assert not isinstance(value, Histogram)  # noqa: S101  # as above
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, points: list[Point]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.label_names, unit=metric.unit.word)
    for labels, value in points:
        assert isinstance(value, Histogram)  # noqa: S101  # as above
        counts, total = cumulative(value)
        bounds = [*map(number, value.bounds), "+Inf"]
        family.add_metric(labels, list(zip(bounds, counts, strict=True)), total)
    return family


_FAMILIES: dict[Kind, Callable[[Metric, list[Point]], Family]] = {
    Kind.COUNTER: _counter,
    Kind.GAUGE: _gauge,
    Kind.HISTOGRAM: _histogram,
}
