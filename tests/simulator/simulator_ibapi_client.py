"""A program on the official ibapi that asks for everything once and prints what came back as one JSON object."""

import inspect
import json
import logging
import sys
import threading
from decimal import Decimal

from ibapi.client import EClient
from ibapi.contract import ComboLeg, Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.order_cancel import OrderCancel
from ibapi.order_condition import PriceCondition, TimeCondition
from ibapi.scanner import ScannerSubscription
from ibapi.tag_value import TagValue
from ibapi.wrapper import EWrapper

SECONDS = 20.0


class Application(EWrapper, EClient):
    """Keeps every callback by name, and lets the main thread wait for one."""

    def __init__(self):
        EClient.__init__(self, self)
        self.calls = {}
        self.changed = threading.Condition()

    def wait(self, name, test=lambda _: True):
        """Wait for a callback and return its arguments."""

        def find():
            return next(((call,) for call in self.calls.get(name, []) if test(call)), None)  # () is a call too

        with self.changed:
            if not self.changed.wait_for(find, SECONDS):
                raise TimeoutError(f"{name}: only {self.calls.get(name)}; errors {self.calls.get('error')}")
            return find()[0]

    def wait_error(self, request_id, code):
        return self.wait("error", lambda call: (call[0], call[2]) == (request_id, code))


def record(name, original):
    def keep(self, *values):
        with self.changed:
            self.calls.setdefault(name, []).append(values)
            self.changed.notify_all()

    keep.__signature__ = inspect.signature(original)  # ibapi counts the parameters
    return keep


for callback, method in inspect.getmembers(EWrapper, inspect.isfunction):
    if not callback.startswith("_") and callback != "logAnswer" and not callback.endswith("ProtoBuf"):
        setattr(Application, callback, record(callback, method))


def contract(**values):
    made = Contract()
    made.exchange, made.currency = "SMART", "USD"
    for name, value in values.items():
        setattr(made, name, value)
    return made


def order(action, quantity, kind, **values):
    made = Order()
    made.action, made.totalQuantity, made.orderType, made.tif = action, Decimal(quantity), kind, "DAY"
    made.cashQty = 0  # ibapi refuses its own default below version 111
    for name, value in values.items():
        setattr(made, name, value)
    return made


APPLE = contract(symbol="AAPL", secType="STK")
OPTION = contract(conId=700123456)


def quotes(app):
    app.reqMarketDataType(1)
    app.reqMktData(11, APPLE, "233,236", False, False, [])
    app.wait("tickPrice", lambda call: call[0] == 11 and call[1] == 1)
    app.wait("tickSize", lambda call: call[0] == 11)
    app.wait("tickString", lambda call: call[1] == 45)
    app.wait("tickGeneric", lambda call: call[1] == 49)
    app.wait("marketDataType")
    app.cancelMktData(11)
    app.reqMktData(12, APPLE, "", True, False, [])
    app.wait("tickSnapshotEnd")
    app.cancelMktData(99)
    app.wait_error(99, 300)


def definitions(app):
    app.reqContractDetails(13, APPLE)
    details = app.wait("contractDetails", lambda call: call[0] == 13)[1]
    app.wait("contractDetailsEnd")
    app.reqContractDetails(14, contract(symbol="NOBODY", secType="STK"))
    app.wait_error(14, 200)
    return [details.contract.conId, details.longName, details.minTick, details.timeZoneId, details.validExchanges]


def history(app):
    app.reqHistoricalData(16, APPLE, "20260401 16:00:00 UTC", "1 D", "1 hour", "TRADES", 1, 1, False, [])
    end = app.wait("historicalDataEnd")
    app.reqRealTimeBars(25, APPLE, 5, "TRADES", True, [])
    app.wait("realtimeBar")
    bars = [call[1] for call in app.calls["historicalData"]]
    return [len(bars), bars[0].date, str(bars[0].volume), end[1], end[2]]


def full_order():
    """An order with something in every part whose length varies."""
    full = order("SELL", "7", "LMT", lmtPrice=500.5, orderRef="full", outsideRth=True, hidden=True, minQty=3)
    full.goodTillDate, full.tif, full.ocaGroup, full.ocaType = "20301231 23:59:59 UTC", "GTD", "group", 2
    full.percentOffset, full.displaySize, full.triggerMethod = 0.5, 4, 7
    full.scaleInitLevelSize, full.scaleSubsLevelSize, full.scalePriceIncrement = 2, 1, 0.25
    full.scalePriceAdjustValue, full.scalePriceAdjustInterval, full.scaleRandomPercent = 0.5, 60, True
    full.algoStrategy, full.algoParams = "Adaptive", [TagValue("adaptivePriority", "Normal")]
    full.hedgeType, full.hedgeParam = "B", "2"
    full.deltaNeutralOrderType, full.deltaNeutralConId, full.deltaNeutralOpenClose = "MKT", 12345, "O"
    full.settlingFirm, full.clearingIntent, full.notHeld, full.solicited = "firm", "IB", True, True
    return full


def conditional(version):
    full = full_order()
    if version >= 102:
        price, moment = PriceCondition(), TimeCondition()
        price.conId, price.exchange, price.isMore, price.price, price.triggerMethod = 265598, "SMART", True, 200.0, 1
        moment.isMore, moment.time = True, "20300101 10:00:00 UTC"
        full.conditions, full.conditionsIgnoreRth = [price, moment], True
        full.adjustedOrderType, full.triggerPrice, full.adjustedStopPrice = "STP", 600.0, 610.0
    if version >= 162:
        full.duration, full.postToAts, full.autoCancelParent = 60, 1, True
    if version >= 189:
        full.customerAccount, full.professionalCustomer, full.includeOvernight = "customer", True, True
    if version >= 193:
        full.extOperator, full.manualOrderIndicator = "operator", 1
    return full


ECHOED_WORDS = (
    "action totalQuantity orderType lmtPrice tif ocaGroup ocaType orderRef outsideRth hidden minQty "
    "goodTillDate percentOffset displaySize triggerMethod scaleInitLevelSize scaleSubsLevelSize "
    "scalePriceIncrement scalePriceAdjustValue scalePriceAdjustInterval scaleRandomPercent algoStrategy "
    "hedgeType hedgeParam deltaNeutralOrderType deltaNeutralConId settlingFirm clearingIntent notHeld "
    "solicited conditionsIgnoreRth adjustedOrderType triggerPrice adjustedStopPrice duration postToAts "
    "autoCancelParent customerAccount professionalCustomer includeOvernight extOperator manualOrderIndicator "
)
ECHOED = tuple(ECHOED_WORDS.split())
"""What must come back in openOrder as it went out in placeOrder."""

ONLY_LIVE = {"includeOvernight", "extOperator", "manualOrderIndicator", "triggerPrice", "adjustedStopPrice"}
ONLY_LIVE |= {"adjustedOrderType", "duration", "postToAts", "autoCancelParent"}
"""What completedOrder has no field for, or another meaning."""


def differences(sent, echoed, names):
    return [
        f"{name}: {getattr(sent, name)!r} came back as {getattr(echoed, name)!r}"
        for name in names
        if getattr(sent, name) != getattr(echoed, name)
    ]


def orders(app, version):
    app.placeOrder(1, APPLE, order("BUY", "10", "MKT", orderRef="first"))
    filled = app.wait("orderStatus", lambda call: call[0] == 1 and call[1] == "Filled")
    live = app.wait("execDetails", lambda call: call[0] == -1)
    app.wait("commissionAndFeesReport")
    resting = order("BUY", "5", "LMT", lmtPrice=100.0)
    app.placeOrder(2, APPLE, resting)
    app.wait("orderStatus", lambda call: call[0] == 2 and call[1] == "Submitted")
    resting.lmtPrice = 101.0
    app.placeOrder(2, APPLE, resting)
    app.wait("openOrder", lambda call: call[0] == 2 and call[2].lmtPrice == 101.0)
    app.placeOrder(3, APPLE, order("SELL", "5", "MKT", whatIf=True))
    preview = app.wait("openOrder", lambda call: call[0] == 3 and call[2].whatIf)[3]
    full = conditional(version)
    app.placeOrder(4, APPLE, full)
    echoed = app.wait("openOrder", lambda call: call[0] == 4)[2]
    bag = contract(symbol="AAPL,MSFT", secType="BAG")
    bag.comboLegs = [leg(265598, "BUY"), leg(272093, "SELL")]
    app.placeOrder(
        5, bag, order("BUY", "1", "LMT", lmtPrice=1.0, smartComboRoutingParams=[TagValue("NonGuaranteed", "1")])
    )
    combo = app.wait("openOrder", lambda call: call[0] == 5)[1]
    app.reqAllOpenOrders()
    app.wait("openOrderEnd")
    for order_id in (2, 4, 5):
        app.cancelOrder(order_id, OrderCancel())
        app.wait("orderStatus", lambda call, order_id=order_id: call[0] == order_id and call[1] == "Cancelled")
        app.wait_error(order_id, 202)
    app.cancelOrder(99, OrderCancel())
    app.wait_error(99, 10147)
    app.placeOrder(1, APPLE, order("BUY", "10", "MKT"))
    app.wait_error(1, 104)
    found = differences(full, echoed, ECHOED)
    if version >= 150:
        app.reqCompletedOrders(False)
        app.wait("completedOrdersEnd")
        done = next(call[1] for call in app.calls["completedOrder"] if call[1].orderRef == "full")
        found += differences(full, done, [name for name in ECHOED if name not in ONLY_LIVE])
    return {
        "filled": [str(filled[2]), str(filled[3]), filled[8]],
        "execution": [live[2].side, str(live[2].shares), live[2].orderRef, live[2].clientId, live[2].orderId],
        "preview": [preview.status, preview.commissionAndFees, bool(preview.initMarginAfter)],
        "differences": found,
        "conditions": [str(condition) for condition in echoed.conditions],
        "algo": [str(pair) for pair in echoed.algoParams or []],
        "legs": [(one.conId, one.action) for one in combo.comboLegs],
    }


def leg(con_id, action):
    made = ComboLeg()
    made.conId, made.ratio, made.action, made.exchange = con_id, 1, action, "SMART"
    return made


def accounts(app, version):
    app.reqExecutions(20, ExecutionFilter())
    app.wait("execDetailsEnd")
    app.reqAccountSummary(32, "All", "NetLiquidation,TotalCashValue")
    app.wait("accountSummaryEnd")
    app.reqAccountUpdates(True, "")
    app.wait("accountDownloadEnd")
    app.reqPositions()
    app.wait("positionEnd")
    if version >= 135:
        app.reqPnL(35, "DU1234567", "")
        app.wait("pnl")
        app.reqPnLSingle(36, "DU1234567", "", 265598)
        app.wait("pnlSingle")
    if version >= 103:
        app.reqPositionsMulti(33, "DU1234567", "")
        app.wait("positionMultiEnd")
        app.reqAccountUpdatesMulti(34, "DU1234567", "", True)
        app.wait("accountUpdateMultiEnd")
    position = app.calls["position"][0]
    return {
        "tags": sorted(call[2] for call in app.calls["accountSummary"][:2]),
        "position": [position[1].symbol, str(position[2])],
        "portfolio": [app.calls["updatePortfolio"][0][0].symbol, str(app.calls["updatePortfolio"][0][1])],
        "executions": len([call for call in app.calls["execDetails"] if call[0] == 20]),
    }


WIDER = (
    (100, "updateMktDepth", lambda app: app.reqMktDepth(30, APPLE, 5, False, [])),
    (146, "updateMktDepthL2", lambda app: app.reqMktDepth(31, APPLE, 5, True, [])),
    (140, "tickByTickAllLast", lambda app: app.reqTickByTickData(26, APPLE, "Last", 0, False)),
    (140, "tickByTickBidAsk", lambda app: app.reqTickByTickData(27, APPLE, "BidAsk", 0, False)),
    (140, "tickByTickMidPoint", lambda app: app.reqTickByTickData(28, APPLE, "MidPoint", 0, False)),
    (
        124,
        "historicalDataUpdate",
        lambda app: app.reqHistoricalData(17, APPLE, "", "3600 S", "5 mins", "TRADES", 1, 2, True, []),
    ),
    (
        165,
        "historicalSchedule",
        lambda app: app.reqHistoricalData(18, APPLE, "", "5 D", "1 day", "SCHEDULE", 1, 1, False, []),
    ),
    (118, "headTimestamp", lambda app: app.reqHeadTimeStamp(19, APPLE, "TRADES", 1, 1)),
    (119, "histogramData", lambda app: app.reqHistogramData(21, APPLE, True, "3 days")),
    (
        130,
        "historicalTicksLast",
        lambda app: app.reqHistoricalTicks(22, APPLE, "20260401 16:00:00 UTC", "", 9, "TRADES", 1, True, []),
    ),
    (
        130,
        "historicalTicksBidAsk",
        lambda app: app.reqHistoricalTicks(23, APPLE, "20260401 16:00:00 UTC", "", 9, "BID_ASK", 1, True, []),
    ),
    (
        130,
        "historicalTicks",
        lambda app: app.reqHistoricalTicks(24, APPLE, "20260401 16:00:00 UTC", "", 9, "MIDPOINT", 1, True, []),
    ),
    (108, "symbolSamples", lambda app: app.reqMatchingSymbols(37, "A")),
    (104, "securityDefinitionOptionParameterEnd", lambda app: app.reqSecDefOptParams(38, "AAPL", "", "STK", 265598)),
    (126, "marketRule", lambda app: app.reqMarketRule(26)),
    (114, "smartComponents", lambda app: app.reqSmartComponents(39, "9c0001")),
    (112, "mktDepthExchanges", lambda app: app.reqMktDepthExchanges()),
    (107, "familyCodes", lambda app: app.reqFamilyCodes()),
    (106, "softDollarTiers", lambda app: app.reqSoftDollarTiers(40)),
    (167, "userInfo", lambda app: app.reqUserInfo(41)),
    (115, "newsProviders", lambda app: app.reqNewsProviders()),
    (116, "newsArticle", lambda app: app.reqNewsArticle(42, "BRFG", "x", [])),
    (117, "historicalNewsEnd", lambda app: app.reqHistoricalNews(43, 265598, "BRFG", "", "", 10, [])),
    (143, "scannerDataEnd", lambda app: app.reqScannerSubscription(44, scanner(), [], [])),
    (100, "scannerParameters", lambda app: app.reqScannerParameters()),
    (100, "currentTime", lambda app: app.reqCurrentTime()),
    (197, "currentTimeInMillis", lambda app: app.reqCurrentTimeInMillis()),
    (100, "displayGroupList", lambda app: app.queryDisplayGroups(45)),
    (100, "displayGroupUpdated", lambda app: app.subscribeToGroupEvents(46, 1)),
    (100, "tickOptionComputation", lambda app: app.calculateImpliedVolatility(47, OPTION, 5.0, 190.0, [])),
)
"""Every other request: since when, the callback that answers it, the request."""


def scanner():
    made = ScannerSubscription()
    made.instrument, made.locationCode, made.scanCode = "STK", "STK.US", "TOP_PERC_GAIN"
    return made


def converse(app, version):
    app.wait("nextValidId")
    app.wait("managedAccounts")
    app.wait("error", lambda call: call[2] == 2104)
    quotes(app)
    results = {"version": version, "details": definitions(app), "history": history(app), "orders": orders(app, version)}
    results["accounts"] = accounts(app, version)
    for since, callback_name, ask in WIDER:
        if version >= since:
            ask(app)
            app.wait(callback_name)
    return results


def main():
    port, client_id = int(sys.argv[1]), int(sys.argv[2])
    warnings = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda entry: warnings.append(entry.getMessage()[:300])
    logging.getLogger("ibapi").addHandler(handler)
    app = Application()
    app.connect("127.0.0.1", port, client_id)
    version = app.serverVersion()
    reader = threading.Thread(target=app.run, daemon=True)
    reader.start()
    try:
        results = converse(app, version)
    finally:
        app.disconnect()  # ibapi's reader thread would keep the process alive
    results["warnings"] = warnings
    results["refusals"] = [call for call in app.calls["error"] if call[2] in (320, 321, 503, 508)]
    print(json.dumps(results))  # noqa: T201  (what the test reads)


main()
