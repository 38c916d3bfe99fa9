"""What TWS says is read into typed events; what cannot be read is handed on as it is."""

import runpy
from decimal import Decimal
from pathlib import Path

import pytest

from backstay.protocol import events as e
from backstay.protocol.events_reading import readers
from backstay.protocol.previews import Preview
from backstay.simulator.layout import Record, write
from backstay.simulator.order_layouts import COMPLETED_ORDER, OPEN_ORDER

SERVER_FRAMES = runpy.run_path(str(Path(__file__).with_name("frames_data.py")))["SERVER_FRAMES"]


def read(version: int, *values: object):
    fields = [str(value) for value in values] + [""]
    return readers(version)[fields[0]][2](fields)


FRAMES = [frame for frame in SERVER_FRAMES if 176 <= frame[1] <= 200]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda f: f"{f[0]} {f[1]}")
def test_every_recorded_message_has_a_class_of_its_own_and_its_key(frame):
    _, version, data, number, key = frame
    fields = data[4:].decode("latin-1").split("\0")
    message_id, place, reader = readers(version)[fields[0]]
    event = reader(fields)
    assert message_id == number
    assert not isinstance(event, e.Message)
    assert (None if place is None else int(fields[place])) == key or number == 9
    assert key is None or key in (getattr(event, "request_id", None), getattr(event, "order_id", None))


def test_ticks_have_their_numbers():
    assert read(200, 1, 6, 11, 1, "150.25", 300, 1) == e.TickPrice(11, 1, 150.25, 300.0, 1)
    assert read(200, 45, 6, 11, 49, "0") == e.TickGeneric(11, 49, 0.0)
    assert read(200, 99, 11, 3, 1785600000, 1, 2, 3, 4, 0) == e.BidAskTick(11, 1785600000, 1.0, 2.0, 3.0, 4.0, 0)
    assert read(200, 99, 11, 4, 1785600000, "1.5") == e.MidpointTick(11, 1785600000, 1.5)


def test_what_tws_cannot_compute_is_none():
    computed = read(200, 21, 11, 13, 0, "1.7976931348623157e+308", "0.5", "", 0, 0, 0, 0, 150)
    assert (computed.implied_volatility, computed.delta, computed.option_price) == (None, 0.5, None)


def test_bars_are_read_in_both_layouts():
    bar = ("20260401", 1, 2, 0.5, 1.5, 100, 1.2, 7)
    old = read(178, 17, 11, "from", "to", 2, *bar, *bar)
    new = read(200, 17, 11, 2, *bar, *bar)
    assert old == new
    assert new.bars[0] == e.Bar("20260401", 1.0, 2.0, 0.5, 1.5, 100.0, 1.2, 7)
    update = read(200, 90, 11, 7, "20260401", 1, 1.5, 2, 0.5, 1.2, 100)
    assert update.bar == new.bars[0]


@pytest.mark.parametrize("version", [176, 187, 200])
def test_open_and_completed_orders_are_read_with_their_status(version):
    said = Record(
        {
            "order_id": "7",
            "con_id": "265598",
            "symbol": "AAPL",
            "sec_type": "STK",
            "exchange": "SMART",
            "action": "BUY",
            "quantity": "10",
            "order_type": "LMT",
            "limit_price": "150.25",
            "tif": "DAY",
            "account": "DU1",
            "order_ref": "mine",
            "client_id": "3",
            "perm_id": "99",
            "status": "Submitted",
        }
    )
    order = read(version, 5, *write(OPEN_ORDER, said, version))
    assert (order.order_id, order.contract.symbol, order.action, order.quantity) == (7, "AAPL", "BUY", Decimal(10))
    assert (order.limit_price, order.aux_price, order.tif, order.account) == (150.25, None, "DAY", "DU1")
    assert (order.order_ref, order.client_id, order.perm_id, order.status) == ("mine", 3, 99, "Submitted")
    done = read(version, 101, *write(COMPLETED_ORDER, said, version))
    assert (done.perm_id, done.order_ref, done.account, done.status) == (99, "mine", "DU1", "Submitted")


@pytest.mark.parametrize("version", [176, 187, 200])
def test_an_open_order_that_answers_a_preview_is_read_as_one(version):
    said = Record({"order_id": "7", "what_if": "1", "status": "PreSubmitted", "commission": "1.5"})
    preview = read(version, 5, *write(OPEN_ORDER, said, version))
    assert isinstance(preview, Preview)
    assert (preview.order_id, preview.commission) == (7, Decimal("1.5"))


def test_a_fill_is_read():
    stock = (265598, "AAPL", "STK", "", "0.0", "", "", "NASDAQ", "USD", "AAPL", "NMS")
    fill = read(
        200, 11, -1, 7, *stock, "0001.01", "20260401 10:00:00", "DU1", "NASDAQ", "BOT", 4, 150.2, 99, 3, 0, 4, *"1"
    )
    with pytest.raises(IndexError):
        read(200, 11, -1, 7, *stock, "0001.01")
    assert (fill.order_id, fill.shares, fill.side, fill.client_id) == (7, Decimal(4), "BOT", 3)


def test_account_messages_are_read():
    stock = (265598, "AAPL", "STK", "", "0.0", "", "", "NASDAQ", "USD", "AAPL", "NMS")
    portfolio = read(200, 7, 8, *stock, 100, 1, 2, 3, 4, 5, "DU1")
    assert (portfolio.position, portfolio.realized_pnl, portfolio.account) == (Decimal(100), 5.0, "DU1")
    assert portfolio.contract.primary_exchange == "NASDAQ"
    assert read(200, 94, 11, 1, "1.7976931348623157E308", 2) == e.ProfitAndLoss(11, 1.0, None, 2.0)
    assert read(200, 95, 11, 5, 1, 2, 3, 4) == e.ProfitAndLossSingle(11, Decimal(5), 1.0, 2.0, 3.0, 4.0)
    assert read(200, 71, 1, 11, "DU1", *stock, 3, 1.5, "m").position == Decimal(3)
    assert read(200, 59, 1, "0001.01", 1.5, "USD", 3, "", "").commission == 1.5
    assert read(200, 15, 1, "DU1,DU2,").accounts == ("DU1", "DU2")


def test_any_other_message_keeps_its_fields():
    assert read(200, 88, 11, "20260401") == e.Message(88, 11, ("11", "20260401"))
    assert read(200, 19, 1, "<xml/>") == e.Message(19, None, ("<xml/>",))


def test_texts_are_read_as_utf_8():
    name = "Zürich".encode().decode("latin-1")
    assert read(200, 6, 2, "Key", name, "CHF", "DU1").value == "Zürich"


@pytest.mark.parametrize(
    "values", [(3, "x", "Submitted"), (61, 3, "DU1"), (3, 1, "S", "much", 1, 1, 1, 1, 1, 1, "", 1)]
)
def test_what_is_malformed_raises_one_of_two_errors(values):
    with pytest.raises((IndexError, ValueError)):
        read(200, *values)


def test_an_error_that_is_none_is_malformed():
    with pytest.raises(ValueError, match="not an error"):
        read(200, 4, "x", "y", "z")
