"""Requests are built byte for byte as clients send them; what cannot be sent is refused by the name of its field."""

import runpy
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from backstay.protocol.builders import BUILDERS, FieldError, build, takes_key
from backstay.protocol.builders_orders import place_order
from backstay.protocol.builders_terms import Contract, Leg, Order
from backstay.protocol.messages import REQUESTS, kind_of, message_id, request_key
from backstay.protocol.order_fields import read_placed
from backstay.protocol.vocabulary import Kind
from backstay.simulator.fields import Fields
from backstay.simulator.layout import read
from backstay.simulator.order_layouts import PLACE_ORDER

CLIENT_FRAMES = runpy.run_path(str(Path(__file__).with_name("frames_data.py")))["CLIENT_FRAMES"]

AAPL = Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
LIMIT = Order(action="BUY", quantity=10, order_type="LMT", limit_price=150.25, account="DU1234567")
BARS = {"contract": AAPL, "duration": "1 D", "bar_size": "1 hour"}

RECORDED: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "reqCurrentTime": ("current_time", {}),
    "reqCurrentTimeInMillis": ("current_time_millis", {}),
    "reqIds(1)": ("next_order_id", {}),
    "reqManagedAccts": ("managed_accounts", {}),
    "setServerLogLevel(5)": ("log_level", {"level": 5}),
    "reqMarketDataType(3)": ("market_data_type", {"kind": 3}),
    'reqMktData(id 11, AAPL STK SMART USD, generic "233")': ("market_data", {"contract": AAPL, "generic_ticks": "233"}),
    "cancelOrder(101)": ("cancel_order", {}),
    "reqGlobalCancel": ("global_cancel", {}),
    "reqOpenOrders": ("open_orders", {}),
    "reqAllOpenOrders": ("all_open_orders", {}),
    "reqAutoOpenOrders(True)": ("auto_open_orders", {"bind": True}),
    "reqCompletedOrders(False)": ("completed_orders", {}),
    "reqExecutions(11, empty filter)": ("executions", {}),
    "reqAccountUpdates(True, DU1234567)": ("account_updates", {"account": "DU1234567"}),
    "reqAccountSummary(11, All, NetLiquidation)": ("account_summary", {"tags": "NetLiquidation"}),
    "reqPositions": ("positions", {}),
    "reqContractDetails(11, AAPL STK SMART USD)": ("contract_details", {"contract": AAPL}),
    "reqRealTimeBars(11, 5, TRADES, RTH)": ("realtime_bars", {"contract": AAPL}),
    "reqTickByTickData(11, Last, 0, False)": ("tick_by_tick", {"contract": AAPL}),
    "reqMktDepth(11, 5 rows, smart False)": ("market_depth", {"contract": AAPL}),
    'reqHistoricalData(11, "1 D", "1 hour", TRADES, RTH, keepUpToDate False)': ("historical_bars", BARS),
    "reqHistoricalData(11, same, keepUpToDate True)": ("historical_bars", {**BARS, "keep_up_to_date": True}),
}
FRAMES = [frame for frame in CLIENT_FRAMES if 176 <= frame[1] <= 200]


@pytest.mark.parametrize("frame", [frame for frame in FRAMES if frame[0] in RECORDED], ids=lambda f: f"{f[0]} {f[1]}")
def test_a_request_is_built_as_it_was_recorded(frame):
    title, version, data, number, key = frame
    name, values = RECORDED[title]
    assert build(name, values, version=version, key=key) == data[4:]
    assert BUILDERS[name].request.id == number


@pytest.mark.parametrize("frame", [frame for frame in FRAMES if frame[3] == 3], ids=lambda f: str(f[1]))
def test_an_order_is_built_as_it_was_recorded(frame):
    assert place_order(AAPL, LIMIT, order_id=101, version=frame[1]) == frame[2][4:]


LIVELY = [
    LIMIT,
    Order(action="SELL", quantity=Decimal("1.5"), order_type="TRAIL", trailing_percent=2, more={"scale_increment": 1}),
    Order(action="BUY", quantity=1, algo="Adaptive", algo_parameters={"adaptivePriority": "Normal"}),
    Order(action="BUY", quantity=1, order_type="PEG BENCH", more={"benchmark_con_id": 5}),
    Order(action="BUY", quantity=1, order_type="PEG BEST", more={"compete_offset": "Infinity", "mid_whole": 1}),
    Order(action="BUY", quantity=1, more={"hedge_type": "D", "hedge_parameter": "x", "underlying_con_id": 3}),
    Order(action="BUY", quantity=1, more={"hedge_order_type": "LMT"}, what_if=True, transmit=False, order_ref="mine"),
    Order(action="BUY", quantity=1, more={"block_order": True, "random_size": False}),
]
COMBINATION = Contract(
    sec_type="BAG", symbol="X", exchange="SMART", currency="USD", legs=(Leg(con_id=1), Leg(con_id=2))
)
PRICED = replace(COMBINATION, legs=(Leg(con_id=1, price=1.5), Leg(con_id=2, ratio=2, action="SELL", exchange="CBOE")))


@pytest.mark.parametrize("version", [176, 177, 183, 187, 189, 190, 192, 199, 200])
@pytest.mark.parametrize("contract", [AAPL, COMBINATION, PRICED, Contract(symbol="A", exchange="IBKRATS")])
@pytest.mark.parametrize("order", LIVELY)
def test_a_tws_reads_every_order_to_its_last_field(order, contract, version):
    built = place_order(contract, order, order_id=7, version=version)
    fields = Fields(built.split(b"\0", 1)[1])
    record = read(PLACE_ORDER, fields, version)
    assert fields.left == 0
    assert record.get("quantity") == str(order.quantity)
    placed = read_placed(built, version)
    assert placed is not None
    assert (placed.order_id, placed.what_if, placed.transmit) == (7, order.what_if, order.transmit)
    assert placed.order_ref == order.order_ref


REQUIRED = {
    "int": 1,
    "text": "x",
    "number": 1.5,
    "flag": True,
    "tags": {"a": "b"},
}


@pytest.mark.parametrize("version", [176, 180, 189, 192, 200])
@pytest.mark.parametrize("name", BUILDERS)
def test_every_request_carries_its_id_and_its_key(name, version):
    builder = BUILDERS[name]
    if version < builder.request.since:
        with pytest.raises(FieldError, match="server version"):
            build(name, {}, version=version)
        return
    values = {row.name: REQUIRED[row.kind] for row in builder.rows if row.required}
    contract = {"contract": AAPL} if builder.takes_contract else {}
    key = 1_000_000_007 if takes_key(name) else None
    built = build(name, {**values, **contract}, version=version, key=key)
    assert message_id(built, version) == builder.request.id
    assert request_key(built, version) == key


def test_what_the_table_calls_read_stream_order_or_cancel_of_an_order_can_be_built():
    built = {builder.request.id for builder in BUILDERS.values()} | {3}
    wanted = (Kind.ONESHOT, Kind.SNAPSHOT, Kind.STREAM, Kind.ORDER, Kind.ORDER_CANCEL, Kind.SETTING)
    missing = {row.name for row in REQUESTS.values() if row.kind in wanted and row.since <= 200} - {
        REQUESTS[number].name for number in built
    }
    assert missing == {"reqFundamentalData"}  # no longer offered by IB


def test_content_that_decides_the_kind_of_a_request_is_written_where_it_is_looked_for():
    snapshot = build("market_data", {"contract": AAPL, "snapshot": True}, version=200, key=1)
    kept = build("historical_bars", {**BARS, "keep_up_to_date": True}, version=200, key=1)
    assert (kind_of(snapshot, 200), kind_of(kept, 200)) == (Kind.SNAPSHOT, Kind.STREAM)


@pytest.mark.parametrize(
    ("name", "values", "field"),
    [
        ("no_such_thing", {}, "no_such_thing"),
        ("current_time", {"zone": "UTC"}, "zone"),
        ("market_data", {}, "contract"),
        ("market_data", {"contract": "AAPL"}, "contract"),
        ("market_data", {"contract": Contract(symbol="A\0B")}, "contract.symbol"),
        ("market_data", {"contract": Contract(strike=float("nan"))}, "contract.strike"),
        ("market_data", {"contract": Contract(con_id=True)}, "contract.con_id"),
        ("market_data", {"contract": AAPL, "snapshot": 1}, "snapshot"),
        ("market_data", {"contract": AAPL, "options": {"a": "b;c"}}, "options"),
        ("market_depth", {"contract": AAPL, "rows": "5"}, "rows"),
        ("market_depth", {"contract": AAPL, "rows": 2**70}, "rows"),
        ("market_depth", {"contract": AAPL, "options": "a=b"}, "options"),
        ("matching_symbols", {}, "pattern"),
        ("matching_symbols", {"pattern": 7}, "pattern"),
        ("matching_symbols", {"pattern": "Zürich"}, "pattern"),
        ("option_price", {"contract": AAPL, "volatility": "high", "under_price": 1}, "volatility"),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_by_its_name(name, values, field):
    with pytest.raises(FieldError) as refused:
        build(name, values, version=200, key=1)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("contract", "order", "field"),
    [
        ("AAPL", LIMIT, "contract"),
        (AAPL, "BUY", "order"),
        (AAPL, Order(action="HOLD", quantity=1), "order.action"),
        (AAPL, Order(action="BUY", quantity=None), "order.quantity"),  # type: ignore[arg-type]
        (AAPL, Order(action="BUY", quantity=1, limit_price=float("inf")), "order.limit_price"),
        (AAPL, Order(action="BUY", quantity=1, more={"colour": 1}), "order.more.colour"),
        (AAPL, Order(action="BUY", quantity=1, more={"limit_price": 1}), "order.more.limit_price"),
    ],
)
def test_an_order_that_cannot_be_sent_is_refused_by_the_name_of_its_field(contract, order, field):
    with pytest.raises(FieldError) as refused:
        place_order(contract, order, order_id=1, version=200)
    assert refused.value.field == field


def test_a_combination_is_asked_for_by_its_legs():
    built = build("market_data", {"contract": PRICED}, version=200, key=1)
    assert b"\x002\x001\x001\x00BUY\x00\x002\x002\x00SELL\x00CBOE\x00" in built


def test_only_the_legs_that_have_a_price_of_their_own_are_given_one():
    built = place_order(PRICED, LIMIT, order_id=1, version=200)
    record = read(PLACE_ORDER, Fields(built.split(b"\0", 1)[1]), 200)
    assert record.rows["leg_prices"] == [("1.5",), ("",)]


def test_yes_and_no_among_the_other_fields_of_an_order_are_sent_as_tws_expects_them():
    order = Order(action="BUY", quantity=1, more={"block_order": True, "sweep_to_fill": False})
    record = read(PLACE_ORDER, Fields(place_order(AAPL, order, order_id=1, version=200).split(b"\0", 1)[1]), 200)
    assert (record.get("block_order"), record.get("sweep_to_fill")) == ("1", "0")


@pytest.mark.parametrize("version", [175, 201])
def test_nothing_is_built_for_a_version_with_other_layouts(version):
    with pytest.raises(FieldError, match="version"):
        place_order(AAPL, LIMIT, order_id=1, version=version)


def test_a_request_with_an_id_is_not_built_without_one():
    with pytest.raises(FieldError, match="needs an id"):
        build("user_info", {}, version=200)


def test_small_numbers_are_written_without_an_exponent():
    built = build("option_price", {"contract": AAPL, "volatility": 1e-7, "under_price": 2}, version=200, key=1)
    assert b"\x000.0000001\x00" in built
