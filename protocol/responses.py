"""Every message a server can send, as data; to which request it belongs is derived from the requests' table."""

from collections.abc import Mapping
from types import MappingProxyType

from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import HIGHEST_VERSION, LOWEST_VERSION, Key, Response

_REQ, _OID, _NO = Key.REQ_ID, Key.ORDER_ID, Key.NONE
_ALL = HIGHEST_VERSION

ERROR = 4
NEXT_VALID_ID = 9
EXECUTION = 11
MANAGED_ACCOUNTS = 15
HISTORICAL_TICKS = frozenset({96, 97, 98})

_Wire = tuple[int, str, Key, int, int | None, int]

# id, name, key, since, protobuf from, last version whose text body begins with VERSION (0: none)
_WIRE: tuple[_Wire, ...] = (
    (1, "tickPrice", _REQ, 100, 206, _ALL),
    (2, "tickSize", _REQ, 100, 206, _ALL),
    (3, "orderStatus", _OID, 100, 203, 130),
    (4, "error", _REQ, 100, 201, 193),
    (5, "openOrder", _OID, 100, 203, 144),
    (6, "updateAccountValue", _NO, 100, 207, _ALL),
    (7, "updatePortfolio", _NO, 100, 207, _ALL),
    (8, "updateAccountTime", _NO, 100, 207, _ALL),
    (9, "nextValidId", _NO, 100, 213, _ALL),
    (10, "contractDetails", _REQ, 100, 205, 163),
    (11, "execDetails", _REQ, 100, 201, 135),
    (12, "updateMktDepth", _REQ, 100, 206, _ALL),
    (13, "updateMktDepthL2", _REQ, 100, 206, _ALL),
    (14, "updateNewsBulletin", _NO, 100, 209, _ALL),
    (15, "managedAccounts", _NO, 100, 207, _ALL),
    (16, "receiveFA", _NO, 100, 211, _ALL),
    (17, "historicalData", _REQ, 100, 208, 123),
    (18, "bondContractDetails", _REQ, 100, 205, 163),
    (19, "scannerParameters", _NO, 100, 210, _ALL),
    (20, "scannerData", _REQ, 100, 210, _ALL),
    (21, "tickOptionComputation", _REQ, 100, 206, 155),
    (45, "tickGeneric", _REQ, 100, 206, _ALL),
    (46, "tickString", _REQ, 100, 206, _ALL),
    (47, "tickEFP", _REQ, 100, None, _ALL),
    (49, "currentTime", _NO, 100, 213, _ALL),
    (50, "realtimeBar", _REQ, 100, 208, _ALL),
    (51, "fundamentalData", _REQ, 100, None, _ALL),
    (52, "contractDetailsEnd", _REQ, 100, 205, _ALL),
    (53, "openOrderEnd", _NO, 100, 203, _ALL),
    (54, "accountDownloadEnd", _NO, 100, 207, _ALL),
    (55, "execDetailsEnd", _REQ, 100, 201, _ALL),
    (56, "deltaNeutralValidation", _REQ, 100, None, _ALL),
    (57, "tickSnapshotEnd", _REQ, 100, 206, _ALL),
    (58, "marketDataType", _REQ, 100, 206, _ALL),
    (59, "commissionAndFeesReport", _NO, 100, 211, _ALL),
    (61, "position", _NO, 100, 207, _ALL),
    (62, "positionEnd", _NO, 100, 207, _ALL),
    (63, "accountSummary", _REQ, 100, 207, _ALL),
    (64, "accountSummaryEnd", _REQ, 100, 207, _ALL),
    (65, "verifyMessageAPI", _NO, 100, 213, _ALL),
    (66, "verifyCompleted", _NO, 100, 213, _ALL),
    (67, "displayGroupList", _REQ, 100, 213, _ALL),
    (68, "displayGroupUpdated", _REQ, 100, 213, _ALL),
    (69, "verifyAndAuthMessageAPI", _NO, 100, None, _ALL),
    (70, "verifyAndAuthCompleted", _NO, 100, None, _ALL),
    (71, "positionMulti", _REQ, 100, 207, _ALL),
    (72, "positionMultiEnd", _REQ, 100, 207, _ALL),
    (73, "accountUpdateMulti", _REQ, 100, 207, _ALL),
    (74, "accountUpdateMultiEnd", _REQ, 100, 207, _ALL),
    (75, "securityDefinitionOptionParameter", _REQ, 104, 212, 0),
    (76, "securityDefinitionOptionParameterEnd", _REQ, 104, 212, 0),
    (77, "softDollarTiers", _REQ, 106, 212, 0),
    (78, "familyCodes", _NO, 107, 212, 0),
    (79, "symbolSamples", _REQ, 108, 212, 0),
    (80, "mktDepthExchanges", _NO, 112, 213, 0),
    (81, "tickReqParams", _REQ, 114, 206, 0),
    (82, "smartComponents", _REQ, 114, 212, 0),
    (83, "newsArticle", _REQ, 116, 209, 0),
    (84, "tickNews", _REQ, 113, 209, 0),
    (85, "newsProviders", _NO, 115, 209, 0),
    (86, "historicalNews", _REQ, 117, 209, 0),
    (87, "historicalNewsEnd", _REQ, 117, 209, 0),
    (88, "headTimestamp", _REQ, 118, 208, 0),
    (89, "histogramData", _REQ, 119, 208, 0),
    (90, "historicalDataUpdate", _REQ, 124, 208, 0),
    (91, "rerouteMktDataReq", _REQ, 125, 211, 0),
    (92, "rerouteMktDepthReq", _REQ, 125, 211, 0),
    (93, "marketRule", _NO, 126, 212, 0),
    (94, "pnl", _REQ, 127, 210, 0),
    (95, "pnlSingle", _REQ, 127, 210, 0),
    (96, "historicalTicks", _REQ, 130, 208, 0),
    (97, "historicalTicksBidAsk", _REQ, 130, 208, 0),
    (98, "historicalTicksLast", _REQ, 130, 208, 0),
    (99, "tickByTick", _REQ, 137, 208, 0),
    (100, "orderBound", _NO, 144, 204, 0),  # its first field is a permId, its order id comes third
    (101, "completedOrder", _NO, 150, 204, 0),
    (102, "completedOrdersEnd", _NO, 150, 204, 0),
    (103, "replaceFAEnd", _REQ, 157, 211, 0),
    (104, "wshMetaData", _REQ, 161, 209, 0),
    (105, "wshEventData", _REQ, 161, 209, 0),
    (106, "historicalSchedule", _REQ, 165, 211, 0),
    (107, "userInfo", _REQ, 167, 212, 0),
    (108, "historicalDataEnd", _REQ, 196, 208, 0),
    (109, "currentTimeInMillis", _NO, 197, 213, 0),
    (110, "configResponse", _REQ, 219, 219, 0),
    (111, "updateConfigResponse", _REQ, 221, 221, 0),
)

_VERSION_NUMBER = {
    1: 6,
    2: 6,
    3: 6,
    4: 2,
    5: 34,
    6: 2,
    7: 8,
    10: 8,
    11: 10,
    17: 3,
    18: 6,
    20: 3,
    21: 6,
    45: 6,
    46: 6,
    50: 3,
    61: 3,
}
"""What stands in the VERSION field where it is not 1."""


def _build() -> Mapping[int, Response]:
    responses: dict[int, Response] = {}
    for number, name, key, since, protobuf_from, until in _WIRE:
        owners = frozenset(r.id for r in REQUESTS.values() if number in r.answers or number in r.rows)
        ends = frozenset(r.id for r in REQUESTS.values() if r.end == number)
        responses[number] = Response(
            id=number,
            name=name,
            key=key,
            since=since,
            protobuf_from=protobuf_from,
            version_field=(LOWEST_VERSION, until) if until else None,
            version_number=_VERSION_NUMBER.get(number, 1) if until else 0,
            key_index=None if key is Key.NONE else 0,
            requests=owners,
            ends=ends,
            end=bool(ends),
        )
    return MappingProxyType(responses)


RESPONSES: Mapping[int, Response] = _build()
"""By message id. An error (4) belongs to any request; 17 is also the end of 20 below version 196."""
