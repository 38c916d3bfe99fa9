"""Pages of orders for the tests of the journal; used by separate programs too."""

from backstay.protocol.order_fields import PlacedOrder
from backstay.session.intents import HighWater, Intent, IntentKey, IntentState, JournalPage

ME = 7
PAYLOAD = (
    b"3\x00%d\x000\x00AAPL\x00STK\x00" + b"0\x00" * 5 + b"\x00" * 6 + b"BUY\x0010\x00LMT\x00150.25\x00" + b"\x00" * 360
)


def intent(order_id, *, connection="paper", state=IntentState.SENT, **fields):
    order = PlacedOrder(order_id=order_id)
    key = IntentKey(connection, ME, order_id)
    payload = PAYLOAD % order_id
    return Intent(key=key, order=order, payload=payload, version=200, state=state, epoch=1, **fields)


def page(*order_ids, **fields):
    intents = tuple(intent(order_id, **fields) for order_id in order_ids)
    connection = fields.get("connection", "paper")
    return JournalPage(intents, (HighWater(connection, ME, max(order_ids)),))
