"""ib_async's IB() as a client: all its state, and the events a strategy listens to. Usage: client_ib_async.py PLAN."""

import asyncio
import os
import sys

import channel
import scene
from ib_async import IB, Contract, Order
from ib_async.ib import StartupFetchNONE
from ib_async.ticker import Ticker
from measure import Meter
from plan import Plan


class Application:
    """Subscribes to the scene and follows tickers by their events."""

    def __init__(self, plan: Plan, meter: Meter) -> None:
        self._plan = plan
        self._meter = meter
        self._count = 0
        self._lost = asyncio.Event()
        self._over = asyncio.Event()
        self._ib = IB()
        self._ib.client.MaxRequests = 0  # its own pacing is not what is measured
        self._ib.disconnectedEvent += self._lost.set
        self._ib.pendingTickersEvent += self._pending

    async def live(self) -> None:
        """Play the sample to its end."""
        await self._connect()
        if self._plan.subscribes:
            self._subscribe()
        self._meter.start()
        if self._plan.subscribes:
            await self._over.wait()
        while not self._meter.done:
            await self._lost.wait()
            self._lost.clear()
            await self._connect()
            self._meter.ready()

    async def _connect(self) -> None:
        await self._ib.connectAsync(
            self._plan.host,
            self._plan.port,
            clientId=scene.CLIENT_ID,
            timeout=10,
            fetchFields=StartupFetchNONE,
        )

    def _subscribe(self) -> None:
        ib = self._ib
        for key in scene.TICKERS:
            ticker = ib.reqMktData(_contract(key))
            ticker.updateEvent += self._stamped if self._meter.generic else self._updated
        ib.reqMktData(_contract(scene.MARK_ID)).updateEvent += self._marked
        ib.orderStatusEvent += self._updated
        ib.execDetailsEvent += self._updated
        ib.errorEvent += self._updated
        for key in (*scene.DEPTH_L1, *scene.DEPTH_L2):
            ib.reqMktDepth(_contract(key), 5)
        for key in scene.TICK_BY_TICK:
            ib.reqTickByTickData(_contract(key), "BidAsk")
        for key in scene.ORDERS:
            order = Order(action="BUY", orderType="LMT", totalQuantity=100, lmtPrice=150.25, tif="DAY")
            trade = ib.placeOrder(_contract(key), order)
            if trade.order.orderId != key:
                raise RuntimeError(f"order {key} got the id {trade.order.orderId}")
        self._history = asyncio.ensure_future(
            ib.reqHistoricalDataAsync(_contract(2), "", "3600 S", "1 min", "TRADES", useRTH=True),
        )

    def _pending(self, tickers: set[Ticker]) -> None:
        self._count += len(tickers)

    def _updated(self, *_: object) -> None:
        self._count += 1

    def _marked(self, ticker: Ticker) -> None:
        self._meter.mark(int(ticker.halted))
        if self._meter.done:
            self._over.set()

    def _stamped(self, ticker: Ticker) -> None:
        for tick in ticker.ticks:
            if tick.tickType == scene.HALTED:
                self._meter.stamp(int(tick.price))
        if self._meter.done:
            self._over.set()


def _contract(key: int) -> Contract:
    number = scene.contract_number(key)
    return Contract(
        conId=scene.contract_id(number),
        symbol=scene.symbol(number),
        secType="STK",
        exchange="SMART",
        currency="USD",
    )


def main() -> None:
    """Play one sample."""
    plan = Plan.from_argument(sys.argv[1])
    with channel.pair(plan.host, plan.channel_port) as side:
        asyncio.run(Application(plan, Meter(plan, side)).live())
    os._exit(0)  # the pending history request is of no interest any more


if __name__ == "__main__":
    main()
