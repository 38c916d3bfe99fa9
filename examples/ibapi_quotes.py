"""Quotes by IB's own ibapi through a relay of backstay, which does without it itself.

Usage: ibapi_quotes.py HOST PORT [SECONDS]

The application is written as IB's documentation has it: requests begin at nextValidId. backstay does not repeat
nextValidId after a reconnect, so that nothing is asked for twice.
"""

import sys
import threading

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.wrapper import EWrapper

QUOTES = 1001
NAMES = {1: "bid", 2: "ask", 4: "last"}


class Application(EWrapper, EClient):
    """Prints what it hears."""

    def __init__(self) -> None:
        EWrapper.__init__(self)
        EClient.__init__(self, wrapper=self)

    def nextValidId(self, orderId: int) -> None:  # noqa: N802, N803
        """The connection is complete."""
        print("next order id", orderId)
        apple = Contract()
        apple.symbol, apple.secType, apple.exchange, apple.currency = "AAPL", "STK", "SMART", "USD"
        self.reqMktData(QUOTES, apple, "", False, False, [])

    def tickPrice(self, reqId: int, tickType: int, price: float, attrib: object) -> None:  # noqa: ARG002, N802, N803, PLR0917
        """A new price."""
        if tickType in NAMES:
            print(NAMES[tickType], price)

    def error(self, reqId: int, errorTime: int, errorCode: int, *texts: str) -> None:  # noqa: ARG002, N803
        """An error or a notice: 1100 means no new orders, 1101 and 1102 go on."""
        print(errorCode, texts[0])

    def connectionClosed(self) -> None:  # noqa: N802
        """This is not called for a cut between backstay and the gateway."""
        print("disconnected")


def main(host: str, port: int, seconds: float) -> None:
    """Watch one instrument."""
    application = Application()
    application.connect(host, port, 22)
    ending = threading.Timer(seconds, application.disconnect)
    ending.start()
    application.run()
    ending.cancel()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 60.0)
