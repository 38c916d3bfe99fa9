"""Quotes by ib_async through a relay of backstay, over whatever happens to the gateway.

Usage: ib_async_quotes.py HOST PORT [SECONDS]

There is no code for reconnecting in it: the socket to backstay stays, and the stream goes on under its id. What is left
for an application is to take no decisions on old prices while the gateway is away.
"""

import sys
import time

from ib_async import IB, Contract, Stock, Ticker

AWAY, BACK = {1100, 2110}, {1101, 1102}


class Quotes:
    """Prints bid and ask, and says when they are old."""

    def __init__(self, ib: IB) -> None:
        self.is_current = True
        ib.errorEvent += self.on_error
        ib.disconnectedEvent += lambda: print("disconnected")

    def on_error(self, _request: int, code: int, text: str, _contract: Contract | None) -> None:
        """The gateway is away, or is back."""
        if code in AWAY | BACK:
            self.is_current = code in BACK
            print(code, text)

    def on_tick(self, ticker: Ticker) -> None:
        """A new price."""
        if self.is_current:
            print("bid", ticker.bid, "ask", ticker.ask)


def main(host: str, port: int, seconds: float) -> None:
    """Watch one instrument."""
    ib = IB()
    quotes = Quotes(ib)
    ib.connect(host, port, clientId=21)
    apple = ib.qualifyContracts(Stock("AAPL", "SMART", "USD"))[0]
    ib.reqMktData(apple).updateEvent += quotes.on_tick
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ib.sleep(0.1)
    ib.disconnectedEvent.clear()
    ib.disconnect()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 60.0)
