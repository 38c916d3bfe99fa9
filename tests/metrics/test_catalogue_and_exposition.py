# ruff: noqa: ARG005  # the rules of the table take the same two arguments each
"""The table of metrics against the naming rules, and both renderings against each other."""

import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from backstay.metrics.blocks import ActorSample, ConnectionMeter, Histogram, ProcessSample
from backstay.metrics.catalogue import CATALOGUE, CollectorSample, Kind, Metric, Scope, Unit
from backstay.metrics.collector import BackstayCollector, supervisors
from backstay.metrics.exporter import Exposition
from backstay.metrics.renderer import Renderer
from backstay.protocol.requests import OPERATIONS

VOLATILE = {"backstay_collect_duration_seconds"}


class Source:
    def __init__(self, meters: Iterable[ConnectionMeter] = (), actors: Iterable[ActorSample] = ()) -> None:
        self.meters = list(meters)
        self.samples = list(actors)

    def connections(self) -> list[ConnectionMeter]:
        return self.meters

    def actors(self) -> list[ActorSample]:
        return self.samples

    def now(self) -> float:
        return 100.0


def busy_meter(name: str = "keeper") -> ConnectionMeter:
    meter = ConnectionMeter(name=name, gateway="paper", host="127.0.0.1", port=4002, client_id=900, mode="keeper")
    meter.set_wanted(10.0, expected=True, up=False)
    meter.set_wanted(40.5, expected=True, up=True)
    meter.messages_received = 123_456_789_012
    meter.connect_failures["refused"] += 3
    meter.state = "ready"
    meter.state_since_wall = 1_763_000_000.25
    for operation in OPERATIONS:
        meter.count("requests", operation)
    meter.observe("request_duration", 0.3, "contract")
    meter.subscription_oldest_wall = {"market_data": 1_763_000_000.5}
    meter.set_farm("usfarm", up=True)
    meter.set_farm('odd "farm"\\\n', up=False)
    for value in (0.0004, 0.02, 11.0):
        meter.heartbeat_rtt.observe(value)
    return meter


ACTORS = (
    ActorSample("root", 0, 0, 5.0, escalations=1),
    ActorSample("root/keeper", 2, 3, 6.5, operator_restarts=2),
    ActorSample("root/keeper/session", 0, 1, 7.0, "root/keeper", mailbox_wait=Histogram((0.1, 1.0))),
)


def samples(families: Iterable) -> dict:
    found = {}
    for family in families:
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"{key} twice"
            same = sample.name in VOLATILE or math.isnan(sample.value)  # NaN is not equal to itself
            found[key] = None if same else sample.value
    return found


# -- the naming rules ------------------------------------------------------------------------------------------------

BASE_UNITS = ("seconds", "bytes", "ratio")
NOT_BASE_UNITS = {"milliseconds", "ms", "us", "minutes", "hours", "kilobytes", "mb", "percent"}
RESERVED_LABELS = {"job", "instance", "cluster", "env", "region", "type", "le", "quantile"}


RULES = {
    "name": lambda m, w: not re.fullmatch(r"backstay(_[a-z]+)+", m.name),
    "_total is for counters, and all of them": lambda m, w: (m.kind is Kind.COUNTER) != (w[-1] == "total"),
    "a histogram needs its unit": lambda m, w: m.kind is Kind.HISTOGRAM and w[-1] not in BASE_UNITS,
    "reserved suffix": lambda m, w: w[-1] in {"count", "sum", "bucket", "created", "gauge", "counter"},
    "not a base unit": lambda m, w: set(w) & NOT_BASE_UNITS,
    "the unit is the suffix": lambda m, w: any(u in w[:-1] and w[-2:] != [u, "total"] for u in BASE_UNITS),
    "a time is a _timestamp_seconds": lambda m, w: "timestamp" in w and w[-2:] != ["timestamp", "seconds"],
    "the unit is that of the name": lambda m, w: m.unit is not unit_in(w) and (m.unit, unit_in(w)) != FLAG_IS_A_NUMBER,
    "0 or 1 is a gauge": lambda m, w: m.unit is Unit.FLAG and m.kind is not Kind.GAUGE,
    "a fact is 1": lambda m, w: m.source is None and m.unit is not Unit.FLAG,
    "_info is for facts": lambda m, w: (m.source is None) != (w[-1] == "info"),
    "label": lambda m, w: set(m.label_names) & RESERVED_LABELS or len(set(m.label_names)) < len(m.label_names),
    "label name": lambda m, w: not all(re.fullmatch(r"[a-z][a-z_]*", label) for label in m.labels),
    "values of which label?": lambda m, w: m.values and len(m.labels) != len(m.values),
    "help": lambda m, w: not m.help.endswith(".") or "\n" in m.help or "\\" in m.help,
}


FLAG_IS_A_NUMBER = (Unit.FLAG, Unit.NUMBER)


def unit_in(words: list[str]) -> Unit:
    """The unit that a name ends with."""
    *before, last = [word for word in words if word != "total"]
    if last == "seconds":
        return Unit.UNIX_SECONDS if before[-1:] == ["timestamp"] else Unit.SECONDS
    return Unit.BYTES if last == "bytes" else Unit.NUMBER


def lint(metric: Metric) -> list[str]:
    """What the naming rules of Prometheus have against a row."""
    words = metric.name.split("_")
    return [complaint for complaint, broken in RULES.items() if broken(metric, words)]


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_every_row_keeps_the_naming_rules(metric):
    assert lint(metric) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "backstay_Dials_total"}, "name"),
        ({"name": "backstay_dials"}, "_total is for counters, and all of them"),
        ({"kind": Kind.GAUGE}, "_total is for counters, and all of them"),
        ({"kind": Kind.HISTOGRAM}, "a histogram needs its unit"),
        ({"name": "backstay_dial_ms_total"}, "not a base unit"),
        ({"name": "backstay_seconds_dialled_total"}, "the unit is the suffix"),
        ({"name": "backstay_dial_timestamp_total"}, "a time is a _timestamp_seconds"),
        ({"name": "backstay_dial_count", "kind": Kind.GAUGE}, "reserved suffix"),
        ({"name": "backstay_dial_info", "kind": Kind.GAUGE}, "_info is for facts"),
        ({"unit": Unit.SECONDS}, "the unit is that of the name"),
        ({"name": "backstay_dial_timestamp_seconds", "unit": Unit.SECONDS}, "the unit is that of the name"),
        ({"unit": Unit.FLAG}, "0 or 1 is a gauge"),
        ({"name": "backstay_dial_info", "kind": Kind.GAUGE, "source": None}, "a fact is 1"),
        ({"labels": ("job",)}, "label"),
        ({"labels": ("connection",)}, "label"),
        ({"labels": ("Reason",)}, "label name"),
        ({"values": (("a",),)}, "values of which label?"),
        ({"help": "no full stop"}, "help"),
    ],
)
def test_the_lint_can_fail(change, complaint):
    good = Metric("backstay_dials_total", Kind.COUNTER, Unit.NUMBER, Scope.CONNECTION, "Dials.", "connect_attempts")
    assert lint(good) == []
    assert complaint in lint(replace(good, **change))


def test_names_are_unique_also_after_their_suffixes():
    stems = [metric.name.removesuffix("_total").removesuffix("_info") for metric in CATALOGUE]
    assert len(stems) == len(set(stems))


PROMISED = """
build_info config_last_reload_successful config_last_reload_success_timestamp_seconds config_info log_messages_total
collect_duration_seconds collect_errors_total connection_info connection_expected connection_up connection_state
connection_state_transition_timestamp_seconds connection_expected_seconds_total connection_unavailable_seconds_total
connect_attempts_total connect_failures_total connect_duration_seconds disconnects_total recovery_duration_seconds
connection_next_attempt_timestamp_seconds circuit_open connection_server_version upstream_connected
upstream_interruptions_total farm_up heartbeats_total heartbeat_failures_total heartbeat_rtt_seconds
last_message_received_timestamp_seconds clock_skew_seconds api_errors_total messages_received_total messages_sent_total
received_bytes_total sent_bytes_total send_queue_length send_queue_wait_seconds pacing_violations_total
requests_rejected_total event_delivery_delay_seconds events_dropped_total requests_total request_failures_total
request_duration_seconds requests_in_flight subscriptions subscription_oldest_update_timestamp_seconds
subscription_restores_total subscription_restore_failures_total orders_in_doubt order_reconciliations_total
order_reconciliation_mismatches_total actor_restarts_total actor_escalations_total actor_mailbox_length
actor_mailbox_wait_seconds actor_last_progress_timestamp_seconds event_loop_lag_seconds operator_actions_total
operator_action_failures_total journal_usable journal_write_failures_total journal_fsync_duration_seconds
"""


def test_no_promised_name_is_missing():
    assert {f"backstay_{name}" for name in PROMISED.split()} <= {metric.name for metric in CATALOGUE}


# -- what is exposed -------------------------------------------------------------------------------------------------


def test_every_word_of_a_closed_set_is_exposed_from_the_start():
    registry = CollectorRegistry()
    meter = ConnectionMeter(name="new")
    for operation in OPERATIONS:  # the one histogram with a label begins with the first request
        meter.begin_durations(operation)
    registry.register(BackstayCollector(Source([meter], ACTORS)))
    found = samples(registry.collect())
    closed = [metric for metric in CATALOGUE if metric.values]
    assert len(closed) == 15
    names = {Scope.CONNECTION: "new", Scope.SUPERVISOR: "root/keeper", Scope.PROCESS: None}
    for metric in closed:
        suffix = "_count" if metric.kind is Kind.HISTOGRAM else ""
        for values in itertools.product(*metric.values):
            labels = dict(zip(metric.scope.labels, [names[metric.scope]], strict=False))
            labels |= dict(zip(metric.labels, values, strict=True))
            assert (metric.name + suffix, frozenset(labels.items())) in found


def test_the_state_is_one_hot():
    registry = CollectorRegistry()
    registry.register(BackstayCollector(Source([busy_meter()])))
    states = {
        dict(labels)["state"]: value
        for (name, labels), value in samples(registry.collect()).items()
        if name == "backstay_connection_state"
    }
    assert states.pop("ready") == 1
    assert len(states) == 12
    assert not any(states.values())


def test_time_wanted_and_time_lost_are_advanced_to_the_moment_of_the_scrape():
    registry = CollectorRegistry()
    registry.register(BackstayCollector(Source([busy_meter()])))
    labels = {"connection": "keeper"}
    assert registry.get_sample_value("backstay_connection_expected_seconds_total", labels) == 90.0
    assert registry.get_sample_value("backstay_connection_unavailable_seconds_total", labels) == 30.5


def test_restarts_are_summed_for_each_supervisor_and_escalations_are_its_own():
    by_name = {sample.name: sample for sample in supervisors(ACTORS)}
    assert by_name["root"].restarts == {"crash": 3, "operator": 2, "escalation": 0}
    assert by_name["root"].escalations == 1
    assert by_name["root/keeper"].restarts["crash"] == 1


def test_registering_reads_nothing_and_clashes_with_nobody():
    class Untouchable(Source):
        def connections(self):
            raise AssertionError("read")

    CollectorRegistry().register(BackstayCollector(Untouchable()))


SAMPLES = {
    Scope.PROCESS: ProcessSample(journal_usable=True),
    Scope.CONNECTION: busy_meter(),
    Scope.ACTOR: ACTORS[2],
    Scope.SUPERVISOR: supervisors(ACTORS)[0],
    Scope.COLLECTOR: CollectorSample(0.1, 0),
}


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_every_row_reads_an_attribute_of_its_kind_under_its_labels(metric):
    sample = SAMPLES[metric.scope]
    points = list(metric.points(metric.identify(sample), metric.read(sample, 1.0)))
    assert points
    for labels, value in points:
        assert len(labels) == len(metric.label_names)
        assert isinstance(value, Histogram) == (metric.kind is Kind.HISTOGRAM)
        assert metric.unit is not Unit.FLAG or value in (0, 1)
        assert metric.unit is Unit.FLAG or not isinstance(value, bool)
    if metric.values:
        found = [labels[len(metric.scope.labels) :] for labels, _ in points]
        assert found == list(itertools.product(*metric.values))


def test_a_scrape_after_changes_says_what_a_first_one_would():
    meter, source = busy_meter(), Source([busy_meter("other")], ACTORS)
    source.meters.append(meter)
    kept = Renderer(BackstayCollector(source).reader)
    kept.render(open_metrics=False)
    meter.disconnects["eof"] += 1
    meter.heartbeat_rtt.observe(0.0004)
    meter.state, meter.host, meter.messages_sent = "draining", "10.0.0.1", 7
    meter.set_farm("usfarm", up=False)
    again = kept.render(open_metrics=False)
    first = Renderer(BackstayCollector(source).reader).render(open_metrics=False)
    assert samples(parse_text(again)) == samples(parse_text(first))


def both(source: Source, *, open_metrics: bool) -> tuple[dict, dict]:
    """Samples by the metrics client under a fresh registry, and by our renderer."""
    process = ProcessSample(version="1.2.3", config_accepted_wall=5.0)
    registry = CollectorRegistry()
    registry.register(BackstayCollector(source, lambda: process))
    rendered = Renderer(BackstayCollector(source, lambda: process).reader).render(open_metrics=open_metrics)
    if open_metrics:
        theirs = parse_open_metrics(generate_open_metrics(registry).decode())
        return samples(theirs), samples(parse_open_metrics(f"{rendered}# EOF\n"))
    return samples(parse_text(generate_latest(registry).decode())), samples(parse_text(rendered))


@pytest.mark.parametrize("open_metrics", [False, True])
def test_the_renderer_says_exactly_what_the_metrics_client_says(open_metrics):
    theirs, ours = both(Source([busy_meter(), busy_meter("paper/3")], ACTORS), open_metrics=open_metrics)
    assert ours == theirs
    assert len(ours) > 300


@settings(max_examples=25)  # each renders and parses everything twice
@given(st.text(min_size=1, max_size=8).filter(lambda name: "\r" not in name), st.floats(), st.integers(0, 2**53))
def test_the_renderer_and_the_client_agree_on_odd_names_and_numbers(name, value, count):
    meter = ConnectionMeter(name=name, clock_skew_seconds=value, messages_sent=count)
    theirs, ours = both(Source([meter]), open_metrics=False)
    assert ours == theirs


@pytest.mark.parametrize(("open_metrics", "theirs"), [(False, generate_latest), (True, generate_open_metrics)])
def test_types_units_and_help_are_the_same_in_both_renderings(open_metrics, theirs):
    source = Source([busy_meter()], ACTORS)
    registry = CollectorRegistry()
    registry.register(BackstayCollector(source))
    ours = Renderer(BackstayCollector(source).reader).render(open_metrics=open_metrics)
    comments = [line for line in ours.splitlines() if line.startswith("#")]
    assert comments == [
        line for line in theirs(registry).decode().splitlines() if line.startswith("#") and line != "# EOF"
    ]
    assert ("# UNIT backstay_connect_duration_seconds seconds" in comments) == open_metrics


def test_series_of_a_connection_that_is_gone_are_gone_and_not_kept():
    source = Source([busy_meter(), busy_meter("second")])
    renderer = Renderer(BackstayCollector(source).reader)
    assert 'connection="second"' in renderer.render(open_metrics=False)
    known = renderer.known
    source.meters.pop()
    assert 'connection="second"' not in renderer.render(open_metrics=False)
    assert renderer.known < known


def test_what_cannot_be_read_is_counted_and_does_not_hide_the_rest():
    broken = busy_meter("broken")
    del broken.connect_failures

    class Broken(Source):
        def actors(self):
            raise RuntimeError("no tree")

    exposition = Exposition(Broken([broken, busy_meter()]))
    body = exposition.render("")[0].decode()
    found = samples(parse_text(body))
    assert found["backstay_collect_errors_total", frozenset()] >= 1
    assert found["backstay_connection_up", frozenset({("connection", "keeper")})] == 1
    assert found["backstay_connection_up", frozenset({("connection", "broken")})] == 1
    assert "process_open_fds" in body
