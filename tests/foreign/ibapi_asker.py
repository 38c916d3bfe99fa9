"""A program on the official ibapi that asks for everything at once, right on nextValidId.

Arguments: port, client id, how many seconds to wait. Prints one JSON object when all is answered: how often each
callback came for each request, the codes of errors, and what is missing.
"""

import inspect
import json
import sys
import threading

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.scanner import ScannerSubscription
from ibapi.wrapper import EWrapper

ACCOUNT, END = "DU1234567", "20260401 16:00:00 UTC"


def contract(**values):
    made = Contract()
    made.exchange, made.currency = "SMART", "USD"
    for name, value in values.items():
        setattr(made, name, value)
    return made


def scanner():
    made = ScannerSubscription()
    made.instrument, made.locationCode, made.scanCode = "STK", "STK.US", "TOP_PERC_GAIN"
    return made


def bars(app, key, end, *terms):
    app.reqHistoricalData(key, APPLE, end, *terms, 1, 1, False, [])


APPLE, OPTION = contract(symbol="AAPL", secType="STK"), contract(conId=700123456)

READS = (
    ("contractDetailsEnd", 101, lambda app: app.reqContractDetails(101, APPLE)),
    ("symbolSamples", 102, lambda app: app.reqMatchingSymbols(102, "A")),
    (
        "historicalDataEnd",
        103,
        lambda app: bars(app, 103, END, "1 D", "1 hour", "TRADES"),
    ),
    ("headTimestamp", 104, lambda app: app.reqHeadTimeStamp(104, APPLE, "TRADES", 1, 1)),
    ("execDetailsEnd", 105, lambda app: app.reqExecutions(105, ExecutionFilter())),
    ("histogramData", 106, lambda app: app.reqHistogramData(106, APPLE, True, "3 days")),
    ("historicalTicksLast", 107, lambda app: app.reqHistoricalTicks(107, APPLE, END, "", 9, "TRADES", 1, True, [])),
    ("securityDefinitionOptionParameterEnd", 108, lambda app: app.reqSecDefOptParams(108, "AAPL", "", "STK", 265598)),
    ("smartComponents", 109, lambda app: app.reqSmartComponents(109, "9c0001")),
    ("newsArticle", 110, lambda app: app.reqNewsArticle(110, "BRFG", "x", [])),
    ("historicalNewsEnd", 111, lambda app: app.reqHistoricalNews(111, 265598, "BRFG", "", "", 10, [])),
    (
        "historicalSchedule",
        112,
        lambda app: bars(app, 112, "", "5 D", "1 day", "SCHEDULE"),
    ),
    ("tickOptionComputation", 113, lambda app: app.calculateImpliedVolatility(113, OPTION, 5.0, 190.0, [])),
    ("tickSnapshotEnd", 114, lambda app: app.reqMktData(114, APPLE, "", True, False, [])),
    ("positionMultiEnd", 115, lambda app: app.reqPositionsMulti(115, ACCOUNT, "")),
    ("accountSummaryEnd", 116, lambda app: app.reqAccountSummary(116, "All", "NetLiquidation,TotalCashValue")),
    ("scannerDataEnd", 117, lambda app: app.reqScannerSubscription(117, scanner(), [], [])),
    ("completedOrdersEnd", None, lambda app: app.reqCompletedOrders(False)),
    ("openOrderEnd", None, lambda app: app.reqOpenOrders()),
    ("positionEnd", None, lambda app: app.reqPositions()),
    ("accountDownloadEnd", None, lambda app: app.reqAccountUpdates(True, ACCOUNT)),
    ("marketRule", None, lambda app: app.reqMarketRule(26)),
    ("mktDepthExchanges", None, lambda app: app.reqMktDepthExchanges()),
    ("familyCodes", None, lambda app: app.reqFamilyCodes()),
    ("newsProviders", None, lambda app: app.reqNewsProviders()),
    ("scannerParameters", None, lambda app: app.reqScannerParameters()),
)
"""Reads, and streams that begin with a whole list: what concludes the answer, under which id, the request."""

STREAMS = (
    ("tickPrice", 201, lambda app: app.reqMktData(201, APPLE, "", False, False, [])),
    ("updateMktDepth", 202, lambda app: app.reqMktDepth(202, APPLE, 5, False, [])),
    ("realtimeBar", 203, lambda app: app.reqRealTimeBars(203, APPLE, 5, "TRADES", True, [])),
    ("tickByTickBidAsk", 204, lambda app: app.reqTickByTickData(204, APPLE, "BidAsk", 0, False)),
    ("pnl", 205, lambda app: app.reqPnL(205, ACCOUNT, "")),
)


class Application(EWrapper, EClient):
    """Counts callbacks."""

    def __init__(self):
        EClient.__init__(self, self)
        self.counts = {}
        self.codes = []
        self.changed = threading.Condition()

    def nextValidId(self, _orderId):  # noqa: N802, N803
        for _, _, ask in (*READS, *STREAMS):
            ask(self)

    def missing(self):
        return [name for name, key, _ in (*READS, *STREAMS) if not self.counts.get(name, {}).get(str(key))]

    def wait(self, test, seconds):
        with self.changed:
            return self.changed.wait_for(test, seconds)


def keep(name, original):
    keyed = next(iter(list(inspect.signature(original).parameters)[1:]), "").lower() in (
        "reqid",
        "tickerid",
        "requestid",
    )

    def count(self, *values):
        with self.changed:
            of_name = self.counts.setdefault(name, {})
            key = str(values[0] if keyed else None)
            of_name[key] = of_name.get(key, 0) + 1
            if name == "error":
                self.codes.append((values[0], values[2]))
            self.changed.notify_all()

    count.__signature__ = inspect.signature(original)  # ibapi counts the parameters
    return count


for callback, method in inspect.getmembers(EWrapper, inspect.isfunction):
    if (
        not callback.startswith("_")
        and callback not in ("logAnswer", "nextValidId")
        and not callback.endswith("ProtoBuf")
    ):
        setattr(Application, callback, keep(callback, method))


def main():
    port, client_id, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    app = Application()
    app.connect("127.0.0.1", port, client_id)
    threading.Thread(target=app.run, daemon=True).start()
    app.wait(lambda: not app.missing(), seconds)
    app.reqCurrentTime()
    app.wait(lambda: "currentTime" in app.counts, 10.0)
    with app.changed:
        print(json.dumps({"counts": app.counts, "codes": app.codes, "missing": app.missing()}))  # noqa: T201
    app.disconnect()


main()
