"""Market data, depth, history and reference data, seen from a bare socket."""

import itertools

import pytest

pytestmark = pytest.mark.timeout(60)

APPLE = (265598, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "")
EURO = (12087792, "EUR", "CASH", "", 0, "", "", "IDEALPRO", "", "USD", "", "")


def history(client, request_id, *, keep=0, what="TRADES", bar="1 hour", duration="1 D", end="20260401 16:00:00 UTC"):
    client.send(20, request_id, *APPLE, 0, end, bar, duration, 0, what, 1, keep, "")


def depth(client, request_id, *, rows=3, smart=0):
    client.send(10, 5, request_id, *APPLE, rows, smart, "")


def test_parameters_then_the_data_type_then_ticks(simulator, dial):
    client = dial(simulator).ready().stream(11)
    assert client.next() == ["81", "11", "0.01", "9c0001", "3"]
    assert client.next() == ["58", "1", "11", "1"]
    assert client.next()[:4] == ["1", "6", "11", "1"]


def test_the_same_seed_makes_the_same_prices(tws_simulator_factory, dial):
    def prices(seed):
        client = dial(tws_simulator_factory(seed=seed, tick_seconds=0.01)).ready().stream()
        return [client.read(1)[3:5] for _ in range(40)]

    assert prices(1) == prices(1)
    assert prices(1) != prices(2)


def test_prices_are_on_the_grid_and_the_bid_is_below_the_offer(simulator, dial):
    client = dial(simulator).ready().stream(11, EURO)
    best = {}
    for _ in range(200):
        tick = client.read(1)
        best[tick[3]] = float(tick[4])
        assert round(best[tick[3]] / 0.00005, 6) % 1 == 0
        if tick[3] == "2":
            assert best["1"] < best["2"]


def test_a_snapshot_ends_and_leaves_no_subscription(simulator, dial):
    client = dial(simulator).ready()
    client.send(1, 11, 11, *APPLE, 0, "", 1, 0, "")
    assert client.rows(1, 57)
    assert simulator.state()["clients"]["1"]["subscriptions"] == []


def test_an_id_in_use_is_refused_and_a_cancelled_one_is_free(simulator, dial):
    client = dial(simulator).ready().stream(11).stream(11)
    assert client.error(322) == (11, "Error processing request. Duplicate ticker id")
    client.send(2, 2, 11)
    client.stream(11)
    client.read(81)
    assert [row["id"] for row in simulator.state()["clients"]["1"]["subscriptions"]] == [11]


@pytest.mark.parametrize(
    ("fields", "code"),
    [((2, 2, 9), 300), ((11, 1, 9, 0), 310), ((23, 1, 9), 365), ((25, 1, 9), 366), ((51, 1, 9), 300), ((98, 9), 300)],
    ids=str,
)
def test_a_cancel_of_nothing_is_told_by_its_familys_code(simulator, dial, fields, code):
    client = dial(simulator).ready()
    client.send(*fields)
    assert client.error(code)[0] == 9


def test_a_delayed_instrument_needs_the_delayed_data_type(tws_simulator_factory, dial):
    client = dial(tws_simulator_factory(delayed_symbols=("AAPL",))).ready().stream()
    assert client.error(354)[0] == 11
    client.send(59, 1, 3)
    client.stream()
    assert client.error(10167)[0] == 11
    assert client.read(58)[3] == "3"
    assert client.read(1)[3] == "66"


def test_a_closed_market_gives_one_frozen_picture(tws_simulator_factory, dial):
    client = dial(tws_simulator_factory(market_open=False, tick_seconds=0.01)).ready()
    client.send(59, 1, 2)
    client.stream()
    assert client.read(58)[3] == "2"
    assert client.read(45)
    assert client.silent(0.1)


def test_a_bad_data_type_is_refused(simulator, dial):
    client = dial(simulator).ready()
    client.send(59, 1, 9)
    assert client.error(321)


def test_depth_inserts_its_rows_then_updates_and_is_limited(simulator, dial):
    client = dial(simulator).ready()
    depth(client, 1)
    rows = [client.read(12)[3:6] for _ in range(6)]
    assert rows == [[str(row), "0", side] for row in range(3) for side in ("1", "0")]
    assert client.read(12)[4] == "1"
    depth(client, 2, smart=1)
    assert client.read(13)[-1] == "1"
    depth(client, 3)
    depth(client, 4)
    assert client.error(309)[0] == 4


def test_history_has_its_end_as_its_own_message_from_196_on(simulator, dial):
    client = dial(simulator).ready()
    history(client, 5)
    assert client.read(17)[1:3] == ["5", "24"]
    assert client.next() == ["108", "5", "20260331 16:00:00 UTC", "20260401 16:00:00 UTC"]
    older = dial(simulator, versions=(195, 195)).ready(2)
    history(older, 5)
    assert older.read(17)[1:5] == ["5", "20260331 16:00:00 UTC", "20260401 16:00:00 UTC", "24"]


def test_the_same_query_has_the_same_bars(simulator, dial):
    client = dial(simulator).ready()
    history(client, 5)
    history(client, 6)
    assert client.read(17)[2:] == client.read(17)[2:]


def test_bars_join_each_other(simulator, dial):
    client = dial(simulator).ready()
    history(client, 5)
    fields = client.read(17)[3:]
    bars = [fields[at : at + 8] for at in range(0, len(fields), 8)]
    for before, after in itertools.pairwise(bars):
        assert before[4] == after[1]
        assert float(before[3]) <= min(float(before[1]), float(before[4]))
        assert float(before[2]) >= max(float(before[1]), float(before[4]))


def test_history_kept_up_to_date_grows_until_it_is_cancelled(simulator, dial):
    client = dial(simulator).ready()
    history(client, 5, keep=1, end="", duration="3600 S", bar="5 mins")
    client.read(108)
    first, second = client.read(90), client.read(90)
    assert int(second[2]) == int(first[2]) + 1
    history(client, 5)
    assert client.error(386)[0] == 5
    client.send(25, 1, 5)
    assert "cancelled" in client.error(162)[1]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"bar": "7 mins"}, 321),
        ({"duration": "1 X"}, 321),
        ({"what": "NONSENSE"}, 10299),
        ({"end": "yesterday"}, 10314),
    ],
    ids=str,
)
def test_queries_tws_does_not_know_are_refused(simulator, dial, changes, code):
    client = dial(simulator).ready()
    history(client, 5, **changes)
    assert client.error(code)[0] == 5


def test_historical_pacing_refuses_identical_short_queries(tws_simulator_factory, dial):
    client = dial(tws_simulator_factory(historical_pacing=True)).ready()
    history(client, 5, bar="30 secs", duration="600 S")
    history(client, 6, bar="30 secs", duration="600 S")
    history(client, 7, bar="1 hour")
    history(client, 8, bar="1 hour")
    assert "pacing violation" in client.error(162)[1]
    assert [row[1] for row in (client.read(108), client.read(108))] == ["7", "8"]


def test_real_time_bars_are_five_seconds_apart_whatever_the_pace(simulator, dial):
    client = dial(simulator).ready()
    client.send(50, 3, 5, *APPLE, 5, "TRADES", 0, "")
    times = [int(client.read(50)[3]) for _ in range(4)]
    assert [after - before for before, after in itertools.pairwise(times)] == [5, 5, 5]


def test_ticks_of_the_past_come_before_tick_by_tick(simulator, dial):
    client = dial(simulator).ready()
    client.send(97, 5, *APPLE, "BidAsk", 3, 0)
    assert client.next()[:3] == ["97", "5", "3"]
    assert client.read(99)[2] == "3"


def test_definitions_end_and_unknown_ones_are_refused(simulator, dial):
    client = dial(simulator).ready()
    client.send(9, 8, 5, 0, "AAPL", *[""] * 10, 0, "", "", "")
    assert {row[3] for row in client.rows(10, 52)} == {"STK", "OPT"}
    client.send(9, 8, 6, *[""] * 12, 0, "", "", "")
    assert client.error(200)[0] == 6
    client.send(1, 11, 7, 0, "AAPL", *[""] * 10, 0, "", 0, 0, "")
    assert "ambiguous" in client.error(200)[1]


def test_account_summaries_are_limited_to_two(simulator, dial):
    client = dial(simulator).ready()
    for request_id in (1, 2, 3):
        client.send(62, 1, request_id, "All", "NetLiquidation")
    assert client.error(322)[0] == 3
    client.send(63, 1, 1)
    client.send(62, 1, 4, "All", "NetLiquidation")
    assert client.read(64)[2] == "4"


def test_another_account_takes_the_subscription_over(tws_simulator_factory, dial):
    client = dial(tws_simulator_factory(accounts=("DU1", "DU2"))).ready()
    client.send(6, 2, 1, "DU1")
    assert client.read(54)[2] == "DU1"
    client.send(6, 2, 1, "DU2")
    assert client.error(2100)[0] == -1
    assert client.read(54)[2] == "DU2"
    client.send(6, 2, 1, "DU3")
    assert client.error(321)[0] == -1


def test_what_this_login_may_not_do_is_refused(simulator, dial):
    client = dial(simulator).ready()
    for fields, code, request_id in (
        ((18, 1, 1), 321, -1),
        ((19, 1, 1, "<x/>", 9), 321, 9),
        ((52, 2, 9, *[""] * 9), 10358, 9),
        ((100, 9), 10276, 9),
        ((71, 2, 1, ""), 321, -1),
        ((14, 1, 9), 319, -1),
    ):
        client.send(*fields)
        assert client.error(code)[0] == request_id


def test_bulletins_come_to_those_who_asked(simulator, dial):
    listener, other = dial(simulator).ready(1), dial(simulator).ready(2)
    listener.send(12, 1, 1)
    simulator.wait_for(lambda state: state["clients"]["1"]["subscriptions"])
    simulator.faults.bulletin("exchange closed")
    assert listener.read(14)[4] == "exchange closed"
    assert other.silent(0.05)
