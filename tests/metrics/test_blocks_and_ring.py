"""Counters, histograms, the ledger of wanted time, and the ring of events."""

import math
import threading

from hypothesis import given
from hypothesis import strategies as st

from backstay.metrics import blocks
from backstay.metrics.blocks import MAX_FARMS, ConnectionMeter, Histogram
from backstay.metrics.catalogue import CATALOGUE, Kind, Scope
from backstay.metrics.events import EventRing
from backstay.protocol.codes import CODES, metric_category
from backstay.session.causes import CAUSES
from backstay.session.lifecycle import PUBLIC_STATES

BOUNDS = (0.1, 1.0, 10.0)
finite = st.floats(min_value=0, max_value=1e6)


def test_a_value_on_a_bound_belongs_to_that_bound():
    histogram = Histogram(BOUNDS)
    for value in (0.0, 0.1, 0.1000001, 1.0, 10.0, 10.1, math.inf):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1, 2]
    assert histogram.count == 7


@given(st.lists(finite))
def test_a_histogram_counts_each_value_once_and_sums_them(values):
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    assert histogram.count == len(values)
    assert math.isclose(histogram.sum, math.fsum(values), rel_tol=1e-9, abs_tol=1e-9)
    for index, bound in enumerate(BOUNDS):
        assert sum(histogram.counts[: index + 1]) == sum(value <= bound for value in values)


def test_all_bounds_ascend():
    names = [name for name in vars(blocks) if name.endswith("_BOUNDS")]
    assert len(names) == 9
    for name in names:
        bounds = getattr(blocks, name)
        assert list(bounds) == sorted(set(bounds)), name


steps = st.lists(st.tuples(st.floats(min_value=0, max_value=1e4), st.booleans(), st.booleans()), max_size=30)


@given(steps, st.floats(min_value=0, max_value=1e4))
def test_wanted_time_is_the_sum_of_the_spans_and_unavailable_time_the_part_not_up(steps, tail):
    meter = ConnectionMeter(name="x")
    now, expected, up, wanted_seconds, lost_seconds = 0.0, False, False, 0.0, 0.0
    for span, next_expected, next_up in [*steps, (tail, False, False)]:
        now += span
        wanted_seconds += span if expected else 0.0
        lost_seconds += span if expected and not up else 0.0
        at = meter.availability(now)
        assert math.isclose(at[0], wanted_seconds, abs_tol=1e-6)
        assert math.isclose(at[1], lost_seconds, abs_tol=1e-6)
        expected, up = next_expected, next_up
        meter.set_wanted(now, expected=expected, up=up)
        assert (meter.expected, meter.up) == (expected, up)


def test_a_clock_read_before_the_last_change_never_takes_time_back():
    meter = ConnectionMeter(name="x")
    meter.set_wanted(0.0, expected=True, up=False)
    meter.set_wanted(10.0, expected=True, up=True)
    assert meter.availability(9.9) == (10.0, 10.0)
    meter.set_wanted(9.5, expected=True, up=False)
    assert meter.availability(11.0) == (11.0, 11.0)


def test_what_is_not_ready_is_so_since_it_was_ready_last_whatever_is_tried_meanwhile():
    meter = ConnectionMeter(name="x")
    told = []
    for wall, state in enumerate(("connecting", "ready", "waiting", "connecting", "waiting", "waiting", "ready"), 1):
        meter.show(state, float(wall))
        told.append((meter.state, meter.state_since_wall, meter.unready_since_wall))
    assert told == [
        ("connecting", 1.0, 1.0),
        ("ready", 2.0, 0.0),
        ("waiting", 3.0, 3.0),
        ("connecting", 4.0, 3.0),
        ("waiting", 5.0, 3.0),
        ("waiting", 5.0, 3.0),
        ("ready", 7.0, 0.0),
    ]


def test_every_key_of_a_closed_set_exists_at_zero_from_the_start():
    meter = ConnectionMeter(name="x")
    for attribute, keys in {
        "connect_failures": blocks.CONNECT_FAILURE_REASONS,
        "disconnects": blocks.DISCONNECT_REASONS,
        "api_errors": blocks.API_ERROR_CATEGORIES,
        "requests_rejected": blocks.REJECTION_REASONS,
        "upstream_interruptions": blocks.INTERRUPTION_OUTCOMES,
    }.items():
        assert getattr(meter, attribute) == dict.fromkeys(keys, 0)


def test_the_closed_sets_are_those_of_the_rooms_that_count():
    assert set(blocks.PUBLIC_STATES) == set(PUBLIC_STATES)
    assert {row.connect_reason for row in CAUSES.values()} <= set(blocks.CONNECT_FAILURE_REASONS)
    assert {row.disconnect_reason for row in CAUSES.values()} <= set(blocks.DISCONNECT_REASONS)
    assert {metric_category(code) for code in CODES} <= set(blocks.API_ERROR_CATEGORIES)


def test_a_meter_goes_on_from_every_count_of_its_predecessor():
    first, second = ConnectionMeter(name="x"), ConnectionMeter(name="x")
    counters = [
        metric.source for metric in CATALOGUE if metric.scope is Scope.CONNECTION and metric.kind is Kind.COUNTER
    ]
    plain = {name for name in counters if isinstance(name, str) and isinstance(getattr(first, name), int)}
    assert plain == blocks.COUNTERS
    for meter, amount in ((first, 3), (second, 4)):
        for name in plain:
            setattr(meter, name, amount)
        meter.disconnects["eof"] = amount
        meter.connect_duration.observe(float(amount))
        meter.set_wanted(10.0 * amount, expected=True, up=False)
    first.set_wanted(35.0, expected=False, up=False)
    second.continue_from(first)
    assert {getattr(second, name) for name in plain} == {7}
    assert second.disconnects["eof"] == 7
    assert (second.connect_duration.count, second.connect_duration.sum) == (2, 7.0)
    assert second.availability(41.0) == (6.0, 6.0)
    assert first.disconnects["eof"] == 3


def test_farms_beyond_the_limit_share_one_series():
    meter = ConnectionMeter(name="x")
    for number in range(MAX_FARMS + 10):
        meter.set_farm(f"farm{number}", up=True)
    meter.set_farm("farm3", up=False)
    meter.set_farm("one more", up=False)
    assert len(meter.farms) == MAX_FARMS + 1
    assert meter.farms["farm3"] is False
    assert meter.farms["other"] is False


def test_a_farm_may_appear_while_the_farms_are_read():
    meter = ConnectionMeter(name="x")
    meter.set_farm("a", up=True)
    for _ in meter.farms:
        meter.set_farm("b", up=True)
    assert set(meter.farms) == {"a", "b"}


def test_the_ring_keeps_the_last_events_and_says_how_many_are_gone():
    ring = EventRing(capacity=3, clock=lambda: 1.0)
    for number in range(5):
        ring.publish("n", {"value": number})
    events, missed = ring.since(0)
    assert [(event.number, event.fields["value"]) for event in events] == [(3, 2), (4, 3), (5, 4)]
    assert missed == 2
    assert ring.since(4)[1] == 0
    assert ring.since(5) == ((), 0)


def test_a_number_of_an_earlier_process_begins_anew():
    ring = EventRing()
    ring.publish("n")
    events, missed = ring.since(900)
    assert (len(events), missed) == (1, 0)


def test_a_follower_whose_loop_is_closed_is_dropped_and_hurts_nobody():
    ring = EventRing()
    woken: list[int] = []

    def broken() -> None:
        raise RuntimeError("loop is closed")

    ring.follow(broken)
    leave = ring.follow(lambda: woken.append(1))
    ring.publish("a")
    ring.publish("b")
    leave()
    ring.publish("c")
    assert woken == [1, 1]
    assert not ring._followers


def test_threads_may_publish_at_the_same_time_without_losing_a_number():
    ring = EventRing(capacity=10_000)
    threads = [threading.Thread(target=lambda: [ring.publish("n") for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events, missed = ring.since(0)
    assert [event.number for event in events] == list(range(1, 2001))
    assert missed == 0
