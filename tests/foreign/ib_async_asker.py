"""A program on ib_async that asks for everything at once, right on nextValidId, and fetches all it does at its start.

Arguments: port, client id, how many seconds to wait. Prints one JSON object when all is answered: how often each
callback came, the codes of errors, and what is missing.
"""

import asyncio
import inspect
import json
import sys
from collections import Counter

import ib_async
from ib_async.wrapper import Wrapper

END = "20260401 16:00:00 UTC"
APPLE = ib_async.Contract(conId=265598, symbol="AAPL", secType="STK", exchange="SMART", currency="USD")
SCANNER = ib_async.ScannerSubscription(instrument="STK", locationCode="STK.US", scanCode="TOP_PERC_GAIN")
NO_LIMIT = 0  # of ib_async's own

READS = {
    "details": lambda ib: ib.reqContractDetailsAsync(APPLE),
    "symbols": lambda ib: ib.reqMatchingSymbolsAsync("A"),
    "bars": lambda ib: ib.reqHistoricalDataAsync(APPLE, END, "1 D", "1 hour", "TRADES", useRTH=True, timeout=NO_LIMIT),
    "schedule": lambda ib: ib.reqHistoricalScheduleAsync(APPLE, 5),
    "head": lambda ib: ib.reqHeadTimeStampAsync(APPLE, "TRADES", useRTH=True, formatDate=1),
    "histogram": lambda ib: ib.reqHistogramDataAsync(APPLE, useRTH=True, period="3 days"),
    "ticks": lambda ib: ib.reqHistoricalTicksAsync(APPLE, END, "", 9, "TRADES", useRth=True),
    "chains": lambda ib: ib.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598),
    "components": lambda ib: ib.reqSmartComponentsAsync("9c0001"),
    "article": lambda ib: ib.reqNewsArticleAsync("BRFG", "x"),
    "news": lambda ib: ib.reqHistoricalNewsAsync(265598, "BRFG", "", "", 10),
    "snapshot": lambda ib: ib.reqTickersAsync(APPLE),
    "summary": lambda ib: ib.reqAccountSummaryAsync(),
    "scanner": lambda ib: ib.reqScannerDataAsync(SCANNER),
    "rule": lambda ib: ib.reqMarketRuleAsync(26),
    "exchanges": lambda ib: ib.reqMktDepthExchangesAsync(),
    "providers": lambda ib: ib.reqNewsProvidersAsync(),
    "parameters": lambda ib: ib.reqScannerParametersAsync(),
}

STREAMS = {
    "priceSizeTick": lambda ib: ib.reqMktData(APPLE),
    "updateMktDepth": lambda ib: ib.reqMktDepth(APPLE, 5),
    "realtimeBar": lambda ib: ib.reqRealTimeBars(APPLE, 5, "TRADES", useRTH=True),
    "tickByTickBidAsk": lambda ib: ib.reqTickByTickData(APPLE, "BidAsk"),
    "pnl": lambda ib: ib.reqPnL("DU1234567"),
}
"""What shows that each flows, and the request."""

ITS_OWN = {
    "reset",
    "setTimeout",
    "startReq",
    "endReq",
    "startTicker",
    "endTicker",
    "tcpDataArrived",
    "tcpDataProcessed",
}
"""What it calls itself, whatever has come."""

counts, codes = Counter(), []


def keep(name, original):
    def count(self, *values):
        counts[name] += 1
        if name == "error":
            codes.append(values[:2])
        return original(self, *values)

    return count


for callback, method in inspect.getmembers(Wrapper, inspect.isfunction):
    if not callback.startswith("_") and callback not in ITS_OWN:
        parameters = list(inspect.signature(method).parameters.values())
        if all(one.kind is one.POSITIONAL_OR_KEYWORD and one.default is one.empty for one in parameters):
            setattr(Wrapper, callback, keep(callback, method))


async def main():
    port, client_id, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    ib = ib_async.IB()
    asked = {}

    def ask():
        for name, read in READS.items():
            asked[name] = asyncio.ensure_future(read(ib))
        for stream in STREAMS.values():
            stream(ib)

    ib.client.apiStart += ask
    missing = []
    try:
        async with asyncio.timeout(seconds):
            await ib.connectAsync("127.0.0.1", port, clientId=client_id, timeout=seconds, raiseSyncErrors=True)
            await asyncio.wait(asked.values())
            while not all(counts[name] for name in STREAMS):
                await ib.updateEvent
    except (TimeoutError, ConnectionError) as error:
        missing.append(f"within {seconds} s: {error!r}")
    missing += [name for name, read in asked.items() if not read.done() or read.exception() is not None]
    missing += [name for name in STREAMS if not counts[name]]
    missing += [] if len(asked) == len(READS) else ["nextValidId"]
    print(json.dumps({"counts": counts, "codes": codes, "missing": missing}))  # noqa: T201  (what the test reads)
    ib.disconnect()


asyncio.run(main())
