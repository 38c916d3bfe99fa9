"""Which requests fall under IB's limits on historical queries, about what they are, and for how many they count."""

from __future__ import annotations

import pytest

from backstay.protocol.builders import build
from backstay.protocol.builders_terms import Contract
from backstay.protocol.framing import PREFIX_BYTES, PROTOBUF_OFFSET, raw, text_message
from backstay.protocol.historical import LIMITED, historical_query
from backstay.protocol.wire import bytes_field, varint_field

APPLE = Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
BY_NUMBER = Contract(con_id=265598, exchange="SMART")
V = 200


def bars(key: int = 1, *, version: int = V, contract: Contract = APPLE, **values: object) -> bytes:
    wanted = {"contract": contract, "bar_size": "5 secs", "duration": "60 S", **values}
    return build("historical_bars", wanted, version=version, key=key)


def made(name: str, **values: object) -> bytes:
    return build(name, {"contract": APPLE, **values}, version=V, key=1)


def raw_bars(key: int, *, bar: bytes = b"5 secs", shows: bytes = b"TRADES", duration: bytes = b"60 S") -> bytes:
    body = varint_field(1, key) + bytes_field(2, varint_field(1, 265598) + bytes_field(8, b"SMART"))
    body += bytes_field(4, bar) + bytes_field(5, duration) + varint_field(6, 1) + bytes_field(7, shows)
    return raw(20 + PROTOBUF_OFFSET, body)[PREFIX_BYTES:]


@pytest.mark.parametrize("bar", ["1 secs", "5 secs", "15 secs", "30 secs", "30 Secs"])
def test_bars_of_thirty_seconds_and_less_are_limited(bar):
    assert historical_query(bars(bar_size=bar), V) is not None
    assert historical_query(raw_bars(1, bar=bar.encode()), 226) is not None


@pytest.mark.parametrize("bar", ["1 min", "30 mins", "1 hour", "1 day", "1W", "1 month", "45 secs", "", "many secs"])
def test_longer_bars_are_free(bar):
    assert historical_query(bars(bar_size=bar), V) is None
    assert historical_query(raw_bars(1, bar=bar.encode()), 226) is None


@pytest.mark.parametrize("version", [176, 190, 200])
def test_the_same_question_under_another_id_is_the_same_question(version):
    first, second = (historical_query(bars(key, version=version), version) for key in (1, 2))
    assert first == second
    assert historical_query(raw_bars(1), 226) == historical_query(raw_bars(300), 226)


@pytest.mark.parametrize("values", [{"duration": "120 S"}, {"end": "20261102 10:00:00"}, {"regular_hours": False}])
def test_another_question_about_the_same_contract_shares_its_subject_only(values):
    one, other = historical_query(bars(), V), historical_query(bars(**values), V)
    assert one is not None
    assert other is not None
    assert one.subject == other.subject
    assert one.identity != other.identity


@pytest.mark.parametrize(
    "values",
    [
        {"what": "MIDPOINT"},
        {"contract": Contract(symbol="MSFT", sec_type="STK", exchange="SMART", currency="USD")},
        {"contract": Contract(symbol="AAPL", sec_type="STK", exchange="ISLAND", currency="USD")},
    ],
)
def test_other_data_another_contract_and_another_exchange_are_another_subject(values):
    one, other = historical_query(bars(), V), historical_query(bars(**values), V)
    assert one is not None
    assert other is not None
    assert one.subject != other.subject


def test_a_contract_with_a_number_is_told_by_that_and_its_exchange():
    described = Contract(con_id=265598, symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
    one, other = historical_query(bars(contract=BY_NUMBER), V), historical_query(bars(contract=described), V)
    assert one is not None
    assert other is not None
    assert one.subject == other.subject


@pytest.mark.parametrize("shows", ["BID_ASK", "bid_ask"])
def test_bids_and_asks_count_twice(shows):
    for query in (
        historical_query(bars(what=shows), V),
        historical_query(raw_bars(1, shows=shows.encode()), 226),
        historical_query(made("historical_ticks", start="20261102 10:00:00", what=shows), V),
    ):
        assert query is not None
        assert query.weight == 2


def test_ticks_first_dates_histograms_and_real_time_bars_count_as_well():
    ticks = historical_query(made("historical_ticks", start="20261102 10:00:00"), V)
    first, histogram = (
        historical_query(made("head_timestamp"), V),
        historical_query(made("histogram", period="1 day"), V),
    )
    bars_now = historical_query(made("realtime_bars"), V)
    queries = (historical_query(bars(), V), ticks, first, bars_now)
    assert {query.subject for query in queries if query is not None} == {queries[0].subject}
    assert len({query.identity for query in queries if query is not None}) == 4
    assert [query.weight for query in (*queries, histogram) if query is not None] == [1] * 5
    assert bars_now.identity is None, "a stream that is begun anew is no repetition"
    assert {20, 50, 87, 88, 96} == LIMITED


@pytest.mark.parametrize("payload", [raw_bars(1)[:12], raw(220, varint_field(1, 1))[PREFIX_BYTES:], b"\0\0\0\xdc\x0f"])
def test_what_cannot_be_read_is_not_limited(payload):
    assert historical_query(payload, 226) is None


def test_what_is_cut_short_or_something_else_is_not_limited():
    assert historical_query(text_message(V, 20, 1, "AAPL")[PREFIX_BYTES:], V) is None
    assert historical_query(made("market_data"), V) is None
