"""An application on the official ibapi that holds 20 streams; speaks to the test as foreign_speech.py says."""

import threading
from typing import Any

from foreign_speech import BARS, CONTRACTS, DEPTH, ORDER, QUOTES, TICK_BY_TICK, Speech, Ticks, arguments
from ibapi.client import EClient
from ibapi.commission_and_fees_report import CommissionAndFeesReport
from ibapi.contract import Contract
from ibapi.execution import Execution
from ibapi.order import Order
from ibapi.order_cancel import OrderCancel
from ibapi.wrapper import EWrapper

FIRST_REQUEST_ID = 1001  # apart from the order ids, so that an error's id says what it is about


class Application(EWrapper, EClient):
    """Opens its streams once, on the first nextValidId, as applications on ibapi do."""

    def __init__(self, speech: Speech) -> None:
        EWrapper.__init__(self)
        EClient.__init__(self, wrapper=self)
        self._speech = speech
        self._ticks = Ticks(speech)
        self._names: dict[int, str] = {}
        self._account = ""
        self._next_order_id = 0
        self._quitting = threading.Event()

    def live(self, host: str, port: int, client_id: int) -> None:
        """Connect and run to the end; one connection, no second try."""
        self._speech.listen(
            {
                "report": self._ticks.report,
                "mark": self._ticks.mark,
                "order": self._order,
                "cancel": self._cancel,
                "quit": self._quit,
            },
        )
        self.connect(host, port, client_id)
        self.run()
        self._speech.say("bye", asked=self._quitting.is_set())

    def nextValidId(self, orderId: int) -> None:  # noqa: N802, N803
        self._speech.say("next_valid_id", id=orderId)
        self._next_order_id = orderId
        self._open_streams()

    def managedAccounts(self, accountsList: str) -> None:  # noqa: N802, N803
        self._account = accountsList.split(",", maxsplit=1)[0]
        self._open_streams()

    def connectionClosed(self) -> None:  # noqa: N802
        self._speech.say("disconnected", asked=self._quitting.is_set())

    def error(self, reqId: int, _time: int, errorCode: int, *texts: str) -> None:  # noqa: N803
        self._ticks.error(reqId, errorCode, texts[0])

    def orderStatus(self, orderId: int, status: str, *_: Any) -> None:  # noqa: N802, N803
        self._speech.say("order", id=orderId, status=status)

    def execDetails(self, _key: int, _contract: Contract, execution: Execution) -> None:  # noqa: N802
        self._speech.say("execution", id=execution.orderId, exec_id=execution.execId)

    def commissionAndFeesReport(self, report: CommissionAndFeesReport) -> None:  # noqa: N802
        self._speech.say("commission", exec_id=report.execId)

    def updateAccountValue(self, *_: str) -> None:  # noqa: N802
        self._ticks.tick("account")

    def _tick(self, key: int, *_: Any) -> None:
        if key in self._names:
            self._ticks.tick(self._names[key])

    tickPrice = tickSize = tickString = tickGeneric = tickOptionComputation = _tick  # noqa: N815
    tickByTickBidAsk = tickByTickAllLast = realtimeBar = updateMktDepth = updateMktDepthL2 = pnl = _tick  # noqa: N815

    def _open_streams(self) -> None:
        if self._names or not self._account or not self._next_order_id:
            return
        for symbol in QUOTES:
            self.reqMktData(self._name(f"quotes {symbol}"), contract(symbol), "", False, False, [])
        for symbol, kind in TICK_BY_TICK:
            self.reqTickByTickData(self._name(f"ticks {symbol}"), contract(symbol), kind, 0, False)
        for symbol in BARS:
            self.reqRealTimeBars(self._name(f"bars {symbol}"), contract(symbol), 5, "TRADES", True, [])
        self.reqMktDepth(self._name(f"depth {DEPTH}"), contract(DEPTH), 5, False, [])
        self.reqPnL(self._name("pnl"), self._account, "")
        self.reqAccountUpdates(True, self._account)
        self._speech.say("ready", server_version=self.serverVersion())

    def _name(self, name: str) -> int:
        key = FIRST_REQUEST_ID + len(self._names)
        self._names[key] = name
        return key

    def _order(self) -> None:
        order = Order()
        for field, value in ORDER.items():
            setattr(order, field, value)
        key, self._next_order_id = self._next_order_id, self._next_order_id + 1
        self._speech.say("placed", id=key)
        self.placeOrder(key, contract("AAPL"), order)

    def _cancel(self) -> None:
        self.cancelOrder(self._next_order_id - 1, OrderCancel())

    def _quit(self) -> None:
        self._quitting.set()
        self.disconnect()


def contract(symbol: str) -> Contract:
    made = Contract()
    for field, value in CONTRACTS[symbol].items():
        setattr(made, field, value)
    return made


if __name__ == "__main__":
    options = arguments()
    Application(Speech()).live(options.host, options.port, options.client_id)
