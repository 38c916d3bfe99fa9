"""The official ibapi as a client: one callback per message, as an application gets it. Usage: client_ibapi.py PLAN."""

import os
import sys
from typing import Any

import channel
import scene
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.wrapper import EWrapper
from measure import Meter
from plan import Plan


class Application(EWrapper, EClient):
    """Counts callbacks; generic ticks drive the measurement."""

    def __init__(self, plan: Plan, meter: Meter) -> None:
        EWrapper.__init__(self)
        EClient.__init__(self, wrapper=self)
        self._plan = plan
        self._meter = meter
        self._subscribed = False
        self._count = 0

    def live(self) -> None:
        """Connect and run, and again each time the connection ends, until the sample is over."""
        while not self._meter.done:
            self.connect(self._plan.host, self._plan.port, scene.CLIENT_ID)
            self.run()

    def nextValidId(self, orderId: int) -> None:  # noqa: ARG002, N802, N803 - ibapi's names
        """Start the sample on the first connection; later ones are recoveries."""
        if self._subscribed:
            self._meter.ready()
        else:
            self._subscribed = True
            if self._plan.subscribes:
                self._subscribe()
            self._meter.start()
        self._leave_when_done()

    def tickGeneric(self, reqId: int, tickType: int, value: float) -> None:  # noqa: N802, N803
        """Take marks and stamped frames."""
        self._count += 1
        if reqId == scene.MARK_ID:
            self._meter.mark(int(value))
            self._leave_when_done()
        elif self._meter.generic and tickType == scene.HALTED:
            self._meter.stamp(int(value))
            self._leave_when_done()

    def _tick(self, *_: Any) -> None:
        self._count += 1

    tickPrice = tickSize = tickString = updateMktDepth = updateMktDepthL2 = _tick  # noqa: N815
    tickByTickBidAsk = orderStatus = execDetails = error = historicalData = _tick  # noqa: N815

    def _leave_when_done(self) -> None:
        if self._meter.done:
            os._exit(0)  # its reader thread would hold up an ordinary exit for a second

    def _subscribe(self) -> None:
        for key in (*scene.TICKERS, scene.MARK_ID):
            self.reqMktData(key, _contract(key), "", False, False, [])
        for key in (*scene.DEPTH_L1, *scene.DEPTH_L2):
            self.reqMktDepth(key, _contract(key), 5, False, [])
        for key in scene.TICK_BY_TICK:
            self.reqTickByTickData(key, _contract(key), "BidAsk", 0, False)
        for key in scene.ORDERS:
            self.placeOrder(key, _contract(key), _order())
        self.reqHistoricalData(scene.HISTORY, _contract(1), "", "3600 S", "1 min", "TRADES", 1, 1, False, [])


def _contract(key: int) -> Contract:
    number = scene.contract_number(key)
    contract = Contract()
    contract.conId = scene.contract_id(number)
    contract.symbol = scene.symbol(number)
    contract.secType = "STK"
    contract.exchange = "SMART"
    contract.currency = "USD"
    return contract


def _order() -> Order:
    order = Order()
    order.action = "BUY"
    order.orderType = "LMT"
    order.totalQuantity = 100
    order.lmtPrice = 150.25
    order.tif = "DAY"
    order.account = scene.ACCOUNT
    return order


def main() -> None:
    """Play one sample."""
    plan = Plan.from_argument(sys.argv[1])
    with channel.pair(plan.host, plan.channel_port) as side:
        Application(plan, Meter(plan, side)).live()


if __name__ == "__main__":
    main()
