"""What an order would do is read out of an openOrder, whatever stands before and behind it."""

from decimal import Decimal

import pytest

from backstay.protocol.framing import PREFIX_BYTES, text_message
from backstay.protocol.previews import read_preview
from backstay.simulator.layout import Record, write
from backstay.simulator.order_layouts import OPEN_ORDER

SAID = {
    "order_id": "7",
    "symbol": "AAPL",
    "sec_type": "STK",
    "action": "BUY",
    "quantity": "10",
    "what_if": "1",
    "status": "PreSubmitted",
    "init_before": "0.0",
    "maint_before": "1.5",
    "equity_before": "1000000",
    "init_change": "45.25",
    "init_after": "45.25",
    "equity_after": "1.7976931348623157E308",
    "commission": "1",
    "commission_min": "NaN",
    "commission_currency": "USD",
    "warning": "closed until Monday",
}


def open_order(version, **changes):
    record = Record({**SAID, **changes})
    return text_message(version, 5, *write(OPEN_ORDER, record, version))[PREFIX_BYTES:]


@pytest.mark.parametrize("version", [176, 187, 194, 195, 200])
def test_a_preview_is_read_with_its_amounts(version):
    preview = read_preview(open_order(version), version)
    assert preview is not None
    assert (preview.order_id, preview.status) == (7, "PreSubmitted")
    assert (preview.initial_before, preview.initial_change, preview.initial_after) == (
        0,
        Decimal("45.25"),
        Decimal("45.25"),
    )
    assert (preview.maintenance_before, preview.commission) == (Decimal("1.5"), Decimal(1))
    assert (preview.commission_currency, preview.warning) == ("USD", "closed until Monday")


@pytest.mark.parametrize("field", ["equity_after", "commission_min", "commission_max"])
def test_an_amount_that_tws_does_not_say_is_none(field):
    preview = read_preview(open_order(200), 200)
    assert preview is not None
    assert getattr(preview, field) is None


@pytest.mark.parametrize(
    "payload",
    [
        open_order(200, what_if="0"),
        open_order(200, what_if=""),
        open_order(200, order_id="-5"),
        open_order(200)[:60],
        b"5\x007\x00",
    ],
    ids=["an order", "nothing said of it", "an id that nobody asked under", "cut short", "hardly begun"],
)
def test_what_is_no_preview_is_not_read_as_one(payload):
    assert read_preview(payload, 200) is None
