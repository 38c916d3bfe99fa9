"""Streams over every kind of break: `Gap` and `Resumed` once each, before new data, and nobody held up by another."""

from __future__ import annotations

import threading

import pytest
from library_house import AAPL, PATIENCE, until

import backstay
from backstay import Dropped, Gap, Resumed, events

BREAKS = {
    "eof": ("eof", 507),
    "reset": ("reset", 507),
    "freeze": ("silent", -1),
    "restart": ("eof", 507),
}


def marks(seen):
    return [event for event in seen if isinstance(event, Gap | Resumed)]


@pytest.mark.parametrize("fault", BREAKS)
def test_a_stream_goes_on_over_a_cut_and_tells_of_the_gap_once(house, simulator, fault):
    cause, code = BREAKS[fault]
    with house.ready().subscribe("market_data", contract=AAPL) as stream:
        until(stream, events.TickPrice)
        getattr(simulator.faults, fault)()
        seen = until(stream, Gap)
        if fault == "freeze":
            simulator.faults.thaw()
        seen += until(stream, Resumed)
        seen += until(stream, events.TickPrice)
        house.ready()
        connection = house.connection
        connection.request("current_time")
        while (event := stream.poll()) is not None:
            seen.append(event)
        gap, resumed = marks(seen)
        between = seen[seen.index(gap) + 1 : seen.index(resumed)]
        assert between == [], "nothing between a gap and its end"
        assert (gap.cause, gap.code) == (cause, code)
        assert (gap.epoch, resumed.epoch) == (1, connection.state().epoch)
        assert resumed.began == gap.began <= resumed.ended
        assert (resumed.cause, resumed.code) == (gap.cause, gap.code)


@pytest.mark.parametrize("data_lost", [True, False])
def test_1100_is_a_gap_that_ends_with_1101_or_1102(house, simulator, data_lost):
    connection = house.ready()
    with connection.subscribe("market_data", contract=AAPL) as stream, connection.events() as told:
        until(stream, events.TickPrice)
        simulator.faults.upstream_lost()
        gap = until(stream, Gap)[-1]
        assert (gap.cause, gap.code) == ("ib_link", 1100)
        house.wait_state("degraded")
        simulator.faults.upstream_restored(data_lost=data_lost)
        assert len(marks(until(stream, Resumed))) == 1
        assert not marks(until(stream, events.TickPrice))
        codes = [event.code for event in until(told, Resumed) if isinstance(event, events.Error)]
        assert codes == [1100, 1101 if data_lost else 1102]


def test_a_farm_that_breaks_is_a_gap_of_its_streams_until_they_flow_again(house, simulator):
    connection = house.ready()
    with (
        connection.events() as told,
        connection.subscribe("market_data", contract=AAPL) as ticks,
        connection.subscribe("market_data", contract=AAPL) as others,
        connection.subscribe("pnl", account="DU1234567") as pnl,
    ):
        until(ticks, events.TickPrice)
        until(others, events.TickPrice)
        simulator.faults.farm("usfarm", False)
        (gap,) = (event for event in until(ticks, Gap) if isinstance(event, Gap))
        assert (gap.cause, gap.code) == ("farm usfarm", 2103)
        simulator.faults.farm("usfarm", False)  # said again
        simulator.faults.farm("ushmds", False)
        simulator.faults.farm("ushmds", True)
        simulator.faults.farm("usfarm", True)
        for stream in (ticks, others):
            seen = [event for event in until(stream, Resumed) if isinstance(event, Gap | Resumed)]
            seen += [event for event in until(stream, events.TickPrice) if isinstance(event, Gap | Resumed)]
            assert [(event.cause, event.code) for event in seen][-1] == ("farm usfarm", 2103)
            assert [type(event) for event in seen][-1] is Resumed
            assert len(seen) == (1 if stream is ticks else 2)
        simulator.faults.eof()
        assert until(pnl, Gap)[-1].cause == "eof", "no farm serves it"
        marks = [event for event in until(told, Resumed) if isinstance(event, Gap | Resumed)]
        assert [mark.cause for mark in marks] == ["eof", "eof"], "the connection itself was up"


def test_a_farm_that_breaks_while_ib_is_away_is_no_second_gap_and_is_over_when_ticks_come(house, simulator):
    connection = house.ready()
    with connection.subscribe("market_data", contract=AAPL) as stream:
        until(stream, events.TickPrice)
        simulator.faults.farm("usfarm", False)
        simulator.faults.upstream_lost()
        simulator.faults.farm("usfarm", True)
        simulator.faults.upstream_restored(data_lost=False)
        marks = [event for event in until(stream, Resumed) if isinstance(event, Gap | Resumed)]
        assert [(type(mark), mark.cause) for mark in marks] == [(Gap, "farm usfarm"), (Resumed, "farm usfarm")]
        until(stream, events.TickPrice)


def test_a_stream_asked_for_within_an_outage_hears_of_no_gap(house, simulator):
    connection = house.ready()
    simulator.faults.refuse()
    with connection.events() as told:
        simulator.faults.eof()
        until(told, Gap)
    with connection.subscribe("market_data", contract=AAPL) as stream:
        simulator.faults.accept()
        assert marks(until(stream, events.TickPrice)) == []


def test_a_second_break_before_everything_is_back_is_a_gap_of_its_own_for_who_has_resumed(build, lines):
    house = build(lines.address)
    lines.welcome()
    connection = house.ready()
    streams = [connection.subscribe("market_data", contract=AAPL) for _ in range(2)]
    keys = [lines.receive(1)[2].decode() for _ in streams]
    for key in keys:
        lines.say(1, 6, key, 1, 10.0, 100, 0)
    for stream in streams:
        until(stream, events.TickPrice)
    lines.sock.close()
    lines.accept()
    lines.say(lines.version, "20260401 12:00:00 EST")
    lines.receive(71)
    lines.say(15, 1, "DU1234567")
    lines.say(9, 1, 1)
    lines.receive(49)
    lines.say(1, 6, keys[0], 1, 11.0, 100, 0)  # and no answer to the probe: not everything is back
    assert isinstance(until(streams[0], Resumed)[-1], Resumed)
    lines.sock.close()
    lines.welcome()
    for key in keys:
        lines.say(1, 6, key, 1, 12.0, 100, 0)
    first, second = (until(stream, Resumed) for stream in streams)
    assert [type(event) for event in first] == [events.TickPrice, Gap, Resumed]
    assert [type(event) for event in second] == [Gap, Resumed]
    assert second[1].began == second[0].began < first[1].began


def test_an_unkeyed_stream_has_rows_and_gaps_as_well_and_there_is_one_of_it(house, simulator):
    connection = house.ready()
    with connection.subscribe("positions") as positions:
        until(positions, events.SnapshotEnd)
        with pytest.raises(backstay.MisuseError, match="one such stream"):
            connection.subscribe("positions")
        simulator.faults.eof()
        seen = until(positions, Resumed)
        assert [type(event) for event in seen] == [Gap, Resumed]
        until(positions, events.SnapshotEnd)
    with connection.subscribe("positions") as again:
        until(again, events.SnapshotEnd)


def test_an_error_that_ends_a_stream_is_told_in_it_and_raised_behind_it(house):
    nothing = backstay.Contract(symbol="NOSUCHTHING", sec_type="STK", exchange="SMART", currency="USD")
    stream = house.ready().subscribe("market_data", contract=nothing)
    assert stream.next_event(PATIENCE).code == 200
    with pytest.raises(backstay.RemoteError) as told:
        stream.next_event(PATIENCE)
    assert told.value.code == 200
    assert stream.closed


def test_closing_cancels_the_stream_at_tws(house, simulator):
    stream = house.ready().subscribe("market_data", contract=AAPL)
    until(stream, events.TickPrice)
    stream.close()
    simulator.wait_for(lambda state: not state["clients"]["7"]["subscriptions"])
    assert list(stream) is not None
    with pytest.raises(StopIteration):
        stream.next_event(PATIENCE)


def test_a_slow_taker_loses_the_oldest_and_is_told_how_many(build, lines):
    house = build(lines.address)
    lines.welcome()
    stream = house.ready().subscribe("market_data", contract=AAPL, queue_events=10)
    key = lines.receive(1)[2].decode()
    marker = house.connection.subscribe("market_data", contract=AAPL)
    other = lines.receive(1)[2].decode()
    for number in range(100):
        lines.say(2, 6, key, 0, number)
    lines.say(2, 6, other, 0, 1)
    until(marker, events.TickSize)
    taken = [stream.next_event(PATIENCE) for _ in range(11)]
    assert taken[0] == Dropped(90)
    assert [meter.events_dropped for meter in house.manager.meters()] == [90]
    assert [event.size for event in taken[1:]] == list(range(90, 100))
    assert stream.poll() is None


def test_a_gap_is_not_dropped_before_ticks_are(build, lines):
    house = build(lines.address)
    lines.welcome()
    stream = house.ready().subscribe("market_data", contract=AAPL, queue_events=5)
    key = lines.receive(1)[2].decode()
    lines.say(2, 6, key, 0, 1)
    until(stream, events.TickSize)
    lines.sock.close()
    lines.welcome()
    house.ready()
    for number in range(50):
        lines.say(2, 6, key, 0, number)
    lines.say(2, 6, key, 0, -1)
    seen = []
    while not (seen and isinstance(seen[-1], events.TickSize) and seen[-1].size == -1):
        seen.append(stream.next_event(PATIENCE))
    assert [type(event) for event in seen if not isinstance(event, events.TickSize | Dropped)] == [Gap, Resumed]


class Recorder:
    """A callback that behaves for as long as it is told to."""

    def __init__(self, error: BaseException | None = None, blocked: threading.Event | None = None) -> None:
        self.error = error
        self.blocked = blocked
        self.calls = 0
        self.called = threading.Event()

    def __call__(self, _event: object) -> None:
        self.calls += 1
        self.called.set()
        if self.blocked is not None:
            self.blocked.wait(PATIENCE)
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("error", [RuntimeError("mine"), SystemExit(1), KeyboardInterrupt()])
def test_a_callback_that_raises_harms_itself_only_and_is_counted_logged_once_and_told(house, inline, error):
    connection = house.ready()
    bad = Recorder(error)
    with connection.events() as told, connection.subscribe("market_data", contract=AAPL) as good:
        stream = connection.subscribe("market_data", contract=AAPL, callback=bad, inline=inline)
        failures = [until(told, backstay.CallbackFailed)[-1] for _ in range(3)]
        until(good, events.TickPrice)
        assert [failure.times for failure in failures] == [1, 2, 3]
        assert failures[0].error is error
        assert failures[0].request_id == stream.key
        assert bad.calls >= 3, "the stream goes on"
        assert len(house.told("callback_failed")) == 1
        stream.close()
    assert connection.request("current_time").seconds
    assert not [fields for fields in house.told("child_exited") if fields["kind"] == "crash"]


def test_a_callback_that_blocks_holds_up_nobody_else(house):
    connection = house.ready()
    release = threading.Event()
    bad = Recorder(blocked=release)
    with connection.subscribe("market_data", contract=AAPL, callback=bad, queue_events=3):
        assert bad.called.wait(PATIENCE)
        with connection.subscribe("market_data", contract=AAPL) as good:
            for _ in range(20):
                until(good, events.TickPrice)
        assert connection.request("contract_details", contract=AAPL)
        assert bad.calls == 1
        release.set()


def test_an_inline_callback_that_hangs_is_ended_and_the_others_go_on_with_a_gap(house, simulator):
    connection = house.ready()
    release = threading.Event()
    bad = Recorder(blocked=release)
    with connection.subscribe("market_data", contract=AAPL) as good:
        until(good, events.TickPrice)
        hanging = connection.subscribe("market_data", contract=AAPL, callback=bad, inline=True)
        assert bad.called.wait(PATIENCE)
        seen = until(good, Resumed)
        assert [type(event) for event in seen if isinstance(event, Gap | Resumed)] == [Gap, Resumed]
        until(good, events.TickPrice)
        assert isinstance(hanging.error, backstay.MisuseError)
        assert connection.request("contract_details", contract=AAPL)
        release.set()
        calls = bad.calls
        until(good, events.TickPrice)
        assert bad.calls == calls == 1
    assert len(house.told("callback_hangs")) == 1
    simulator.wait_for(lambda state: not state["clients"]["7"]["subscriptions"])


def test_a_subscription_with_a_callback_has_no_queue_of_its_own(house):
    with (
        house.ready().subscribe("market_data", contract=AAPL, callback=Recorder()) as stream,
        pytest.raises(backstay.MisuseError, match="callback"),
    ):
        stream.next_event(1.0)
