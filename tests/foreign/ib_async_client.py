"""An application on ib_async that holds 20 streams; speaks to the test as foreign_speech.py says."""

import asyncio
from collections.abc import Callable

from foreign_speech import BARS, CONTRACTS, DEPTH, ORDER, QUOTES, TICK_BY_TICK, Speech, Ticks, arguments
from ib_async import IB, CommissionReport, Contract, Fill, Order, RealTimeBarList, Trade
from ib_async.ticker import Ticker

CONNECT_SECONDS = 10.0


class Application:
    """Connects with everything ib_async fetches at start, then subscribes."""

    def __init__(self, speech: Speech) -> None:
        self._speech = speech
        self._ticks = Ticks(speech)
        self._over = asyncio.Event()
        self._asked = False
        self._ib = IB()
        self._ib.disconnectedEvent += self._disconnected
        self._ib.errorEvent += self._error
        self._ib.accountValueEvent += lambda _: self._ticks.tick("account")
        self._ib.execDetailsEvent += self._executed
        self._ib.commissionReportEvent += self._charged
        self._ib.pnlEvent += lambda _: self._ticks.tick("pnl")

    async def live(self, host: str, port: int, client_id: int) -> None:
        """Connect and run to the end; one connection, no second try."""
        loop = asyncio.get_running_loop()
        commands = {
            "report": self._ticks.report,
            "mark": self._ticks.mark,
            "order": self._order,
            "order and change": self._order_and_change,
            "cancel": self._cancel,
            "quit": self._quit,
        }
        self._speech.listen({name: _in_loop(loop, command) for name, command in commands.items()})
        await self._ib.connectAsync(host, port, clientId=client_id, timeout=CONNECT_SECONDS, raiseSyncErrors=True)
        self._speech.say("next_valid_id", id=self._ib.client.getReqId())
        await self._open_streams()
        self._speech.say("ready", server_version=self._ib.client.serverVersion())
        await self._over.wait()
        self._speech.say("bye", asked=self._asked)

    async def _open_streams(self) -> None:
        ib = self._ib
        contracts = {name: Contract(**fields) for name, fields in CONTRACTS.items()}  # type: ignore[arg-type]
        await ib.qualifyContractsAsync(*contracts.values())
        for symbol in QUOTES:
            ib.reqMktData(contracts[symbol]).updateEvent += self._ticker(symbol)
        for symbol, kind in TICK_BY_TICK:
            ib.reqTickByTickData(contracts[symbol], kind)
        for symbol in BARS:
            ib.reqRealTimeBars(contracts[symbol], 5, "TRADES", useRTH=True).updateEvent += self._bars(symbol)
        ib.reqMktDepth(contracts[DEPTH], 5)
        ib.reqPnL(ib.managedAccounts()[0])

    def _ticker(self, symbol: str) -> Callable[[Ticker], None]:
        """Quotes, tick-by-tick and depth of one contract all arrive in one ticker."""
        tick_by_tick = f"ticks {symbol}" if symbol in dict(TICK_BY_TICK) else ""
        depth = f"depth {symbol}" if symbol == DEPTH else ""

        def updated(ticker: Ticker) -> None:
            if ticker.ticks:
                self._ticks.tick(f"quotes {symbol}")
            if ticker.tickByTicks and tick_by_tick:
                self._ticks.tick(tick_by_tick)
            if ticker.domTicks and depth:
                self._ticks.tick(depth)

        return updated

    def _bars(self, symbol: str) -> Callable[[RealTimeBarList, bool], None]:
        def updated(_bars: RealTimeBarList, _new: bool) -> None:
            self._ticks.tick(f"bars {symbol}")

        return updated

    def _error(self, key: int, code: int, text: str, _contract: Contract) -> None:
        self._ticks.error(key, code, text)

    def _disconnected(self) -> None:
        self._speech.say("disconnected", asked=self._asked)
        self._over.set()

    def _order(self) -> Trade:
        trade = self._ib.placeOrder(Contract(**CONTRACTS["AAPL"]), Order(**ORDER))  # type: ignore[arg-type]
        self._speech.say("placed", id=trade.order.orderId)
        trade.statusEvent += self._status
        return trade

    def _order_and_change(self) -> None:
        trade = self._order()
        trade.order.lmtPrice = 2.0
        self._ib.placeOrder(trade.contract, trade.order)

    def _cancel(self) -> None:
        for order in self._ib.openOrders():
            self._ib.cancelOrder(order)

    def _status(self, trade: Trade) -> None:
        self._speech.say("order", id=trade.order.orderId, status=trade.orderStatus.status, done=trade.isDone())

    def _executed(self, trade: Trade, fill: Fill) -> None:
        self._speech.say("execution", id=trade.order.orderId, exec_id=fill.execution.execId)

    def _charged(self, _trade: Trade, _fill: Fill, report: CommissionReport) -> None:
        self._speech.say("commission", exec_id=report.execId)

    def _quit(self) -> None:
        self._asked = True
        self._ib.disconnect()
        self._over.set()


def _in_loop(loop: asyncio.AbstractEventLoop, command: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        loop.call_soon_threadsafe(command)

    return run


async def main() -> None:
    options = arguments()
    await Application(Speech()).live(options.host, options.port, options.client_id)


if __name__ == "__main__":
    asyncio.run(main())
