# ruff: noqa: N802, N803, ARG002 - the names are those of the client that calls them
"""A separate program: what the official client writes for some orders, and what it reads in bodies shown to it.

Reads one JSON object from stdin: {"bodies": [[message id, hex], ...]}. Writes one to stdout: {"written": [[case,
version, payload as hex], ...], "read": [facts, ...]}.
"""

import json
import logging
import sys
from decimal import Decimal

from ibapi.client import EClient
from ibapi.contract import ComboLeg, Contract, DeltaNeutralContract
from ibapi.decoder import Decoder
from ibapi.order import Order, OrderComboLeg
from ibapi.order_condition import PriceCondition
from ibapi.tag_value import TagValue
from ibapi.wrapper import EWrapper

VERSIONS = (176, 177, 183, 187, 189, 192, 200, 201, 213, 226)


class Wire:
    def __init__(self):
        self.frames = []

    def isConnected(self):
        return True

    def sendMsg(self, frame):
        self.frames.append(frame)
        return len(frame)


class Ear(EWrapper):
    def __init__(self):
        super().__init__()
        self.heard = []

    def openOrder(self, orderId, contract, order, orderState):
        self.heard.append(facts(order, contract) | {"order_id": orderId, "status": orderState.status})

    def completedOrder(self, contract, order, orderState):
        self.heard.append(facts(order, contract) | {"order_id": None, "status": orderState.status})

    def execDetails(self, reqId, contract, execution):
        self.heard.append(
            {
                "request_id": reqId,
                "order_id": execution.orderId,
                "client_id": execution.clientId,
                "exec_id": execution.execId,
                "perm_id": execution.permId,
                "order_ref": execution.orderRef,
                "account": execution.acctNumber,
                "shares": str(execution.shares),
            }
        )


def facts(order, contract):
    return {
        "client_id": order.clientId,
        "perm_id": order.permId,
        "order_ref": order.orderRef,
        "account": order.account,
        "what_if": order.whatIf,
        "con_id": contract.conId,
        "symbol": contract.symbol,
        "sec_type": contract.secType,
        "action": order.action,
        "quantity": str(order.totalQuantity),
    }


def plain_order():
    contract, order = Contract(), Order()
    contract.conId, contract.symbol, contract.secType = 265598, "AAPL", "STK"
    contract.exchange, contract.currency = "SMART", "USD"
    order.action, order.totalQuantity, order.orderType, order.lmtPrice = "BUY", Decimal(10), "LMT", 150.25
    order.account, order.orderRef = "DU1234567", "mine-1"
    return contract, order


def held_order():
    contract, order = plain_order()
    order.transmit, order.parentId, order.ocaGroup = False, 77, "either"
    return contract, order


def preview():
    contract, order = plain_order()
    order.whatIf = True
    order.algoStrategy = "Vwap"
    order.algoParams = [TagValue("maxPctVol", "0.1"), TagValue("noTakeLiq", "1")]
    return contract, order


def scaled_combination():
    contract, order = plain_order()
    contract.conId, contract.secType = 0, "BAG"
    legs = []
    for con_id, action in ((1, "BUY"), (2, "SELL")):
        leg = ComboLeg()
        leg.conId, leg.ratio, leg.action, leg.exchange = con_id, 1, action, "SMART"
        legs.append(leg)
    contract.comboLegs = legs
    contract.deltaNeutralContract = DeltaNeutralContract()
    contract.deltaNeutralContract.conId = 7
    prices = [OrderComboLeg(), OrderComboLeg()]
    prices[0].price = 1.5
    order.orderComboLegs = prices
    order.smartComboRoutingParams = [TagValue("NonGuaranteed", "1")]
    order.scaleInitLevelSize, order.scalePriceIncrement, order.scaleProfitOffset = 5, 0.5, 1.0
    order.hedgeType, order.hedgeParam = "P", "2"
    order.deltaNeutralOrderType, order.deltaNeutralAuxPrice = "LMT", 1.0
    order.whatIf = True
    return contract, order


def conditional():
    contract, order = plain_order()
    order.conditions = [PriceCondition(PriceCondition.TriggerMethodEnum.Default, 1, "SMART", True, 10.0)]
    order.whatIf = True
    return contract, order


CASES = {
    "plain": plain_order,
    "held": held_order,
    "preview": preview,
    "combination": scaled_combination,
    "conditional": conditional,
}


def written():
    for case, make in CASES.items():
        for version in VERSIONS:
            client = EClient(Ear())
            client.conn, client.serverVersion_, client.connState, client.clientId = Wire(), version, client.CONNECTED, 7
            client.placeOrder(101, *make())
            yield [case, version, client.conn.frames[-1][4:].hex()]


def read(bodies):
    ear = Ear()
    decoder = Decoder(ear, 226)
    readers = {
        5: decoder.processOpenOrderMsgProtoBuf,
        101: decoder.processCompletedOrderMsgProtoBuf,
        11: decoder.processExecutionDataMsgProtoBuf,
    }
    for number, body in bodies:
        readers[number](bytes.fromhex(body))
    return ear.heard


logging.disable(logging.CRITICAL)
task = json.load(sys.stdin)
json.dump({"written": list(written()), "read": read(task["bodies"])}, sys.stdout)
