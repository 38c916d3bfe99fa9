"""What TWS says of an order that was only asked about: margin and commission, in the middle of an openOrder (5)."""

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from backstay.protocol.order_layouts import OPEN_ORDER_FIELDS, UNSET_NUMBER, Rows, Since, read_text, text_fields
from backstay.protocol.responses import RESPONSES

_NUMBERS = (
    *("initial_before", "maintenance_before", "equity_before"),
    *("initial_change", "maintenance_change", "equity_change"),
    *("initial_after", "maintenance_after", "equity_after", "commission", "commission_min", "commission_max"),
)
_REGULAR_HOURS_ONLY = 194
_LAYOUT = (*OPEN_ORDER_FIELDS, *_NUMBERS, "commission_currency")
_LATER = (*_LAYOUT, Since(12), Rows(7), "warning")


class Preview(NamedTuple):
    """What an order would do. Amounts in the base currency of the account; None: TWS did not say."""

    order_id: int
    status: str
    initial_before: Decimal | None
    maintenance_before: Decimal | None
    equity_before: Decimal | None
    initial_change: Decimal | None
    maintenance_change: Decimal | None
    equity_change: Decimal | None
    initial_after: Decimal | None
    maintenance_after: Decimal | None
    equity_after: Decimal | None
    commission: Decimal | None
    commission_min: Decimal | None
    commission_max: Decimal | None
    commission_currency: str
    warning: str


def read_preview(payload: bytes, version: int) -> Preview | None:
    """Return what the answer to a preview says (text versions from 176 on); None for one that cannot be read."""
    layout = _LATER if version > _REGULAR_HOURS_ONLY else (*_LAYOUT, "warning")
    values, whole = read_text(layout, text_fields(RESPONSES[5], payload, version), version)
    if not whole or values["what_if"] in (b"", b"0") or not values["order_id"].isdigit():
        return None
    texts = (values[name].decode("utf-8", "replace") for name in ("commission_currency", "warning"))
    amounts = (_amount(values[name]) for name in _NUMBERS)
    return Preview._make((int(values["order_id"]), values["status"].decode("latin-1"), *amounts, *texts))


def _amount(value: bytes) -> Decimal | None:
    try:
        found = Decimal(value.decode("latin-1"))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < UNSET_NUMBER else None
