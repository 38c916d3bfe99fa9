"""A program on ib_async that does a day's work once and prints what came back as one JSON object."""

import asyncio
import json
import logging
import sys

import ib_async

SECONDS = 20.0


async def until(test):
    """Wait until something is so, looking again after every batch of messages."""
    async with asyncio.timeout(SECONDS):
        while not test():
            await ib.updateEvent


async def quotes(apple):
    ticker = ib.reqMktData(apple, "233", snapshot=False)
    await until(lambda: ticker.bid > 0 and ticker.volume > 0 and ticker.rtVolume > 0)
    seen = [ticker.bid < ticker.ask, ticker.marketDataType, ticker.minTick, ticker.bboExchange]
    ib.cancelMktData(apple)
    (snapshot,) = await ib.reqTickersAsync(apple)
    depth = ib.reqMktDepth(apple, numRows=5, isSmartDepth=True)
    await until(lambda: len(depth.domBids) == 5 and len(depth.domAsks) == 5)
    ib.cancelMktDepth(apple, isSmartDepth=True)
    ticks = ib.reqTickByTickData(apple, "BidAsk")
    await until(lambda: ticks.tickByTicks)
    ib.cancelTickByTickData(apple, "BidAsk")
    bars = ib.reqRealTimeBars(apple, 5, "TRADES", useRTH=False)
    await until(lambda: len(bars) > 2)
    ib.cancelRealTimeBars(bars)
    return [*seen, snapshot.bid < snapshot.ask]


async def history(apple):
    bars = await ib.reqHistoricalDataAsync(
        apple,
        endDateTime="20260401 16:00:00 UTC",
        durationStr="1 D",
        barSizeSetting="1 hour",
        whatToShow="TRADES",
        useRTH=False,
    )
    kept = await ib.reqHistoricalDataAsync(
        apple,
        endDateTime="",
        durationStr="3600 S",
        barSizeSetting="5 mins",
        whatToShow="TRADES",
        useRTH=False,
        keepUpToDate=True,
    )
    await kept.updateEvent
    ib.cancelHistoricalData(kept)
    head = await ib.reqHeadTimeStampAsync(apple, "TRADES", useRTH=True, formatDate=1)
    ticks = await ib.reqHistoricalTicksAsync(apple, "20260401 16:00:00 UTC", "", 9, "TRADES", useRth=False)
    schedule = await ib.reqHistoricalScheduleAsync(apple, 5)
    histogram = await ib.reqHistogramDataAsync(apple, useRTH=True, period="3 days")
    return [len(bars), str(bars[0].date), str(head), len(ticks), len(schedule.sessions), len(histogram)]


async def definitions():
    (apple,) = await ib.qualifyContractsAsync(ib_async.Stock("AAPL", "SMART", "USD"))
    (details,) = await ib.reqContractDetailsAsync(apple)
    matches = await ib.reqMatchingSymbolsAsync("APPLE")
    chains = await ib.reqSecDefOptParamsAsync("AAPL", "", "STK", apple.conId)
    rule = await ib.reqMarketRuleAsync(26)
    nobody = await ib.reqContractDetailsAsync(ib_async.Stock("NOBODY", "SMART", "USD"))
    seen = [apple.conId, apple.primaryExchange, details.longName, details.minTick, details.stockType]
    return apple, [*seen, len(matches), len(chains), rule[0].increment, nobody]


async def orders(apple):
    market = ib.placeOrder(apple, ib_async.MarketOrder("BUY", 10, orderRef="first"))
    await until(lambda: market.isDone() and market.fills and market.fills[0].commissionReport.execId)
    limit = ib.placeOrder(apple, ib_async.LimitOrder("BUY", 5, 100.0))
    await until(lambda: limit.orderStatus.status == "Submitted")
    limit.order.lmtPrice = 101.0
    ib.placeOrder(apple, limit.order)
    await until(lambda: limit.log[-1].message == "Modify" or len(limit.log) > 2)
    open_orders = await ib.reqAllOpenOrdersAsync()
    ib.cancelOrder(limit.order)
    await until(limit.isDone)
    preview = await ib.whatIfOrderAsync(apple, ib_async.MarketOrder("SELL", 5))
    bracket = ib.bracketOrder("BUY", 3, limitPrice=100, takeProfitPrice=110, stopLossPrice=90)
    legs = [ib.placeOrder(apple, leg) for leg in bracket]
    await until(lambda: legs[0].orderStatus.status == "Submitted")
    waiting = [leg.orderStatus.status for leg in legs]
    ib.reqGlobalCancel()
    await until(lambda: all(leg.isDone() for leg in legs))
    completed = await ib.reqCompletedOrdersAsync(apiOnly=False)
    executions = await ib.reqExecutionsAsync()
    return {
        "market": [market.orderStatus.status, market.orderStatus.filled, market.order.orderRef],
        "fill": [market.fills[0].execution.side, market.fills[0].execution.shares, market.fills[0].execution.clientId],
        "open": sorted({trade.order.lmtPrice for trade in open_orders}),
        "limit": limit.orderStatus.status,
        "preview": [preview.status, preview.commission, float(preview.initMarginAfter) > 0],
        "bracket": waiting,
        "completed": sorted(trade.orderStatus.status for trade in completed),
        "executions": len(executions),
    }


async def accounts(apple):
    summary = await ib.accountSummaryAsync()
    pnl, single = ib.reqPnL("DU1234567"), ib.reqPnLSingle("DU1234567", "", apple.conId)
    await until(lambda: pnl.dailyPnL == pnl.dailyPnL and single.position == 10)
    await until(lambda: ib.positions() and ib.portfolio())
    position = ib.positions()[0]
    return {
        "accounts": ib.managedAccounts(),
        "summary": sorted({value.tag for value in summary} & {"NetLiquidation", "BuyingPower"}),
        "values": sorted({value.tag for value in ib.accountValues()} & {"NetLiquidation", "BuyingPower"}),
        "position": [position.contract.symbol, position.position, ib.portfolio()[0].position],
    }


async def converse():
    apple, details = await definitions()
    return {
        "version": ib.client.serverVersion(),
        "details": details,
        "quotes": await quotes(apple),
        "history": await history(apple),
        "orders": await orders(apple),
        "accounts": await accounts(apple),
        "time": (await ib.reqCurrentTimeAsync()).year > 2020,
    }


async def main():
    warnings = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda entry: warnings.append(entry.getMessage()[:300])
    for name in ("ib_async.Decoder", "ib_async.client"):
        logging.getLogger(name).addHandler(handler)
    await ib.connectAsync("127.0.0.1", int(sys.argv[1]), clientId=int(sys.argv[2]), timeout=SECONDS)
    ib.RaiseRequestErrors = False
    results = await asyncio.wait_for(converse(), 2 * SECONDS)
    print(json.dumps({**results, "warnings": warnings}))  # noqa: T201  (what the test reads)
    ib.disconnect()


ib = ib_async.IB()
asyncio.run(main())
