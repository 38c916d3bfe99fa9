"""Lanes and the sliding window."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.session.pacing import JOLT_SECONDS, WINDOW_SECONDS, Item, Lane, Outbox, Waiting

times = st.lists(st.floats(0.0, 0.5, allow_nan=False), min_size=1, max_size=60)


def drained(outbox: Outbox, now: float) -> list[bytes]:
    found = []
    while (item := outbox.pop(now)) is not None:
        found.append(item.payload)
    return found


@given(st.integers(1, 7), times, st.data())
def test_no_second_wherever_it_begins_sees_more_than_the_limit(limit, gaps, data):
    """Whatever leaves, by the lanes or past them, as long as it asks first."""
    outbox, now, sent = Outbox(limit), 0.0, []
    for gap in gaps:
        now += gap
        for _ in range(data.draw(st.integers(0, 10))):
            outbox.push(data.draw(st.sampled_from(Lane)), Item(b"x"))
        if outbox.wait_seconds(now) == 0.0 and data.draw(st.booleans()):
            outbox.note_sent(now)
            sent.append(now)
        sent += [now] * len(drained(outbox, now))
    for first in sent:
        assert sum(first <= moment < first + WINDOW_SECONDS for moment in sent) <= limit


@given(st.integers(1, 5), times)
def test_what_waits_leaves_as_soon_as_the_window_allows(limit, gaps):
    """After the announced wait at least one item can go: no timer rings in vain."""
    outbox, now = Outbox(limit), 0.0
    for gap in gaps:
        now += gap
        outbox.push(Lane.BULK, Item(b"x"))
        outbox.push(Lane.BULK, Item(b"x"))
        drained(outbox, now)
        if len(outbox):
            wait = outbox.wait_seconds(now)
            assert 0.0 < wait <= WINDOW_SECONDS + 1e-9
            now += wait + 1e-9
            assert outbox.pop(now) is not None


def test_lanes_are_served_in_their_order_and_the_last_two_take_turns():
    outbox = Outbox(100)
    for turn in (b"1", b"2"):
        for lane in reversed(Lane):
            outbox.push(lane, Item(lane.name.encode() + turn))
    assert drained(outbox, 0.0) == [
        b"SETTINGS1",
        b"SETTINGS2",
        b"ORDERS1",
        b"ORDERS2",
        b"INTERACTIVE1",
        b"BULK1",
        b"INTERACTIVE2",
        b"BULK2",
    ]


def test_what_went_past_the_lanes_counts_even_beyond_the_limit():
    outbox = Outbox(2)
    for moment in (0.0, 0.1, 0.2):
        outbox.note_sent(moment)
    outbox.push(Lane.ORDERS, Item(b"x"))
    assert outbox.wait_seconds(0.3) == 0.1 + WINDOW_SECONDS - 0.3
    assert outbox.pop(1.05) is None
    assert outbox.pop(1.15) is not None


def test_what_did_not_leave_after_all_does_not_count():
    outbox = Outbox(1)
    outbox.push(Lane.BULK, Item(b"unwanted"))
    outbox.push(Lane.BULK, Item(b"wanted"))
    assert outbox.pop(0.0) is not None
    outbox.take_back()
    assert drained(outbox, 0.0) == [b"wanted"]


def test_a_moment_that_is_reserved_is_not_for_the_lanes():
    outbox = Outbox(10)
    outbox.push(Lane.SETTINGS, Item(b"x"))
    outbox.reserved = True
    assert outbox.pop(0.0) is None
    assert outbox.wait_seconds(0.0) == 0.0
    assert [item.payload for item in outbox.clear()] == [b"x"]
    assert not outbox.reserved
    assert outbox.pop(0.0) is None


def test_an_heir_owes_no_credit_for_what_it_finds():
    items = [Item(b"x", refund=5) for _ in range(3)]
    waiting = Waiting(Outbox(1), deque(items[:1]), deque(items[1:2]))
    waiting.outbox.push(Lane.ORDERS, items[2])
    waiting.inherit(7)
    assert [item.refund for item in items] == [0, 0, 0]
    assert waiting.outbox.per_second == 7


def sent_with_cancels(cancels: list[float]) -> tuple[list[float], list[float]]:
    """When 45 a second of 5,000 reads leave in the first seconds, and how long each of these cancels waits."""
    outbox, now, sent, waits, left = Outbox(45), 0.0, [], [], sorted(cancels)
    for _ in range(5_000):
        outbox.push(Lane.BULK, Item(b"read"))
    while now < 2.5:
        sent += [now] * len(drained(outbox, now))
        rings_at = now + outbox.wait_seconds(now) + 1e-9
        if left and left[0] < rings_at:
            now = max(now, left.pop(0))
            outbox.push(Lane.ORDERS, Item(b"cancel"))
            waits.append(outbox.wait_seconds(now, urgent=True))
            now += waits[-1] + 1e-9
        else:
            now = rings_at
    return sent, waits


@settings(max_examples=30)
@given(st.lists(st.floats(0.0, 2.2), max_size=12))
def test_a_cancel_does_not_wait_for_what_is_put_back(cancels):
    _, waits = sent_with_cancels(cancels)
    assert max(waits, default=0.0) <= 0.1


@settings(max_examples=30)
@given(st.lists(st.floats(0.0, 2.2), max_size=3), st.floats(0.0, 2.2), st.floats(0.0, JOLT_SECONDS))
def test_what_is_held_up_on_its_way_does_not_make_too_much_of_the_next_second(cancels, jolt, seconds):
    sent, _ = sent_with_cancels(cancels)
    seen = [jolt + seconds if jolt <= moment < jolt + seconds else moment for moment in sent]
    for first in seen:
        assert sum(first <= moment < first + WINDOW_SECONDS for moment in seen) <= 50


def test_a_second_of_requests_leaves_at_once_and_what_is_beyond_it_evenly():
    outbox = Outbox(40)
    for _ in range(100):
        outbox.push(Lane.INTERACTIVE, Item(b"read"))
    assert len(drained(outbox, 0.0)) == 40
    assert [len(drained(outbox, 1.0 + tick / 40 + 1e-6)) for tick in range(60)] == [1] * 60


@given(st.lists(st.tuples(st.floats(0.0, 0.3), st.integers(0, 60), st.integers(0, 4)), min_size=1, max_size=80))
def test_whatever_is_urgent_no_second_sees_more_than_tws_takes(bursts):
    outbox, now, sent = Outbox(45), 0.0, []
    for gap, reads, cancels in bursts:
        now += gap
        for _ in range(reads):
            outbox.push(Lane.BULK, Item(b"x"))
        for _ in range(cancels):
            outbox.push(Lane.ORDERS, Item(b"c"))
        sent += [now] * len(drained(outbox, now))
    for first in sent:
        assert sum(first <= moment < first + WINDOW_SECONDS for moment in sent) <= 48
