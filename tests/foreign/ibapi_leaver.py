"""A program on the official ibapi that cancels all its orders in a loop and closes its socket at once.

Arguments: port, client id, how many orders. Prints nothing.
"""

import sys
import threading

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.order_cancel import OrderCancel
from ibapi.wrapper import EWrapper

PATIENCE_SECONDS = 60.0


class Application(EWrapper, EClient):
    """Knows which of its orders rest."""

    def __init__(self, count):
        EClient.__init__(self, self)
        self.left = count
        self.first_id = 0
        self.ready, self.all_rest = threading.Event(), threading.Event()
        self.resting = set()

    def nextValidId(self, orderId):  # noqa: N802, N803
        self.first_id = orderId
        self.ready.set()

    def orderStatus(self, orderId, status, *_):  # noqa: N802, N803
        if status in ("PreSubmitted", "Submitted"):
            self.resting.add(orderId)
        if len(self.resting) == self.left:
            self.all_rest.set()


def main():
    port, client_id, count = map(int, sys.argv[1:])
    app = Application(count)
    app.connect("127.0.0.1", port, client_id)
    threading.Thread(target=app.run, daemon=True).start()
    assert app.ready.wait(PATIENCE_SECONDS)
    contract, order = Contract(), Order()
    contract.symbol, contract.secType, contract.exchange, contract.currency = "AAPL", "STK", "SMART", "USD"
    order.action, order.orderType, order.totalQuantity, order.lmtPrice = "BUY", "LMT", 1, 1.0
    keys = range(app.first_id, app.first_id + count)
    for key in keys:
        app.placeOrder(key, contract, order)
    assert app.all_rest.wait(PATIENCE_SECONDS)
    for key in keys:
        app.cancelOrder(key, OrderCancel())
    app.disconnect()


main()
