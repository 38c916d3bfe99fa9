"""Every message a client can send, as data.

Sources: the public API documentation and recorded frames for versions 100 to 226. 52 and 53 are retired but still sent
by clients in use; ids 26 to 48 and 60 have no message.
"""

from collections.abc import Mapping
from types import MappingProxyType

from backstay.protocol.vocabulary import HIGHEST_VERSION, LOWEST_VERSION, Key, Kind, Request

_HANDSHAKE, _SETTING, _ONESHOT, _SNAPSHOT = Kind.HANDSHAKE, Kind.SETTING, Kind.ONESHOT, Kind.SNAPSHOT
_STREAM, _ORDER, _ORDER_CANCEL, _CANCEL, _COMMAND = (
    Kind.STREAM,
    Kind.ORDER,
    Kind.ORDER_CANCEL,
    Kind.CANCEL,
    Kind.COMMAND,
)
_REQ, _OID, _NO = Key.REQ_ID, Key.ORDER_ID, Key.NONE
_ALL = HIGHEST_VERSION

_Wire = tuple[int, str, Kind, Key, int, int | None, int, int, int | None]

# id, name, kind, key, since, protobuf from, VERSION and the last version that writes it (0, 0: never), cancelled by
_WIRE: tuple[_Wire, ...] = (
    (1, "reqMktData", _STREAM, _REQ, 100, 206, 11, _ALL, 2),
    (2, "cancelMktData", _CANCEL, _REQ, 100, 206, 2, _ALL, None),
    (3, "placeOrder", _ORDER, _OID, 100, 203, 45, 144, 4),
    (4, "cancelOrder", _ORDER_CANCEL, _OID, 100, 203, 1, 191, None),
    (5, "reqOpenOrders", _SNAPSHOT, _NO, 100, 204, 1, _ALL, None),
    (6, "reqAccountUpdates", _STREAM, _NO, 100, 207, 2, _ALL, 6),
    (7, "reqExecutions", _SNAPSHOT, _REQ, 100, 201, 3, _ALL, None),
    (8, "reqIds", _ONESHOT, _NO, 100, 213, 1, _ALL, None),
    (9, "reqContractDetails", _SNAPSHOT, _REQ, 100, 205, 8, _ALL, 106),
    (10, "reqMktDepth", _STREAM, _REQ, 100, 206, 5, _ALL, 11),
    (11, "cancelMktDepth", _CANCEL, _REQ, 100, 206, 1, _ALL, None),
    (12, "reqNewsBulletins", _STREAM, _NO, 100, 209, 1, _ALL, 13),
    (13, "cancelNewsBulletins", _CANCEL, _NO, 100, 209, 1, _ALL, None),
    (14, "setServerLogLevel", _SETTING, _NO, 100, 213, 1, _ALL, None),
    (15, "reqAutoOpenOrders", _SETTING, _NO, 100, 204, 1, _ALL, None),
    (16, "reqAllOpenOrders", _SNAPSHOT, _NO, 100, 204, 1, _ALL, None),
    (17, "reqManagedAccts", _ONESHOT, _NO, 100, 207, 1, _ALL, None),
    (18, "requestFA", _ONESHOT, _NO, 100, 211, 1, _ALL, None),
    (19, "replaceFA", _COMMAND, _REQ, 100, 211, 1, _ALL, None),
    (20, "reqHistoricalData", _SNAPSHOT, _REQ, 100, 208, 6, 123, 25),
    (21, "exerciseOptions", _ORDER, _OID, 100, 211, 2, _ALL, None),
    (22, "reqScannerSubscription", _STREAM, _REQ, 100, 210, 4, 142, 23),
    (23, "cancelScannerSubscription", _CANCEL, _REQ, 100, 210, 1, _ALL, None),
    (24, "reqScannerParameters", _ONESHOT, _NO, 100, 210, 1, _ALL, None),
    (25, "cancelHistoricalData", _CANCEL, _REQ, 100, 208, 1, _ALL, None),
    (49, "reqCurrentTime", _ONESHOT, _NO, 100, 213, 1, _ALL, None),
    (50, "reqRealTimeBars", _STREAM, _REQ, 100, 208, 3, _ALL, 51),
    (51, "cancelRealTimeBars", _CANCEL, _REQ, 100, 208, 1, _ALL, None),
    (52, "reqFundamentalData", _ONESHOT, _REQ, 100, None, 2, _ALL, 53),
    (53, "cancelFundamentalData", _CANCEL, _REQ, 100, None, 1, _ALL, None),
    (54, "calculateImpliedVolatility", _ONESHOT, _REQ, 100, 211, 3, _ALL, 56),
    (55, "calculateOptionPrice", _ONESHOT, _REQ, 100, 211, 3, _ALL, 57),
    (56, "cancelCalculateImpliedVolatility", _CANCEL, _REQ, 100, 211, 1, _ALL, None),
    (57, "cancelCalculateOptionPrice", _CANCEL, _REQ, 100, 211, 1, _ALL, None),
    (58, "reqGlobalCancel", _COMMAND, _NO, 100, 203, 1, 191, None),
    (59, "reqMarketDataType", _SETTING, _NO, 100, 206, 1, _ALL, None),
    (61, "reqPositions", _STREAM, _NO, 100, 207, 1, _ALL, 64),
    (62, "reqAccountSummary", _STREAM, _REQ, 100, 207, 1, _ALL, 63),
    (63, "cancelAccountSummary", _CANCEL, _REQ, 100, 207, 1, _ALL, None),
    (64, "cancelPositions", _CANCEL, _NO, 100, 207, 1, _ALL, None),
    (65, "verifyRequest", _HANDSHAKE, _NO, 100, 213, 1, _ALL, None),
    (66, "verifyMessage", _HANDSHAKE, _NO, 100, 213, 1, _ALL, None),
    (67, "queryDisplayGroups", _ONESHOT, _REQ, 100, 213, 1, _ALL, None),
    (68, "subscribeToGroupEvents", _STREAM, _REQ, 100, 213, 1, _ALL, 70),
    (69, "updateDisplayGroup", _COMMAND, _REQ, 100, 213, 1, _ALL, None),
    (70, "unsubscribeFromGroupEvents", _CANCEL, _REQ, 100, 213, 1, _ALL, None),
    (71, "startApi", _HANDSHAKE, _NO, 100, 213, 2, _ALL, None),
    (72, "verifyAndAuthRequest", _HANDSHAKE, _NO, 100, None, 1, _ALL, None),
    (73, "verifyAndAuthMessage", _HANDSHAKE, _NO, 100, None, 1, _ALL, None),
    (74, "reqPositionsMulti", _STREAM, _REQ, 103, 207, 1, _ALL, 75),
    (75, "cancelPositionsMulti", _CANCEL, _REQ, 103, 207, 1, _ALL, None),
    (76, "reqAccountUpdatesMulti", _STREAM, _REQ, 103, 207, 1, _ALL, 77),
    (77, "cancelAccountUpdatesMulti", _CANCEL, _REQ, 103, 207, 1, _ALL, None),
    (78, "reqSecDefOptParams", _SNAPSHOT, _REQ, 104, 212, 0, 0, None),
    (79, "reqSoftDollarTiers", _ONESHOT, _REQ, 106, 212, 0, 0, None),
    (80, "reqFamilyCodes", _ONESHOT, _NO, 107, 212, 0, 0, None),
    (81, "reqMatchingSymbols", _ONESHOT, _REQ, 108, 212, 0, 0, None),
    (82, "reqMktDepthExchanges", _ONESHOT, _NO, 112, 213, 0, 0, None),
    (83, "reqSmartComponents", _ONESHOT, _REQ, 114, 212, 0, 0, None),
    (84, "reqNewsArticle", _ONESHOT, _REQ, 116, 209, 0, 0, None),
    (85, "reqNewsProviders", _ONESHOT, _NO, 115, 209, 0, 0, None),
    (86, "reqHistoricalNews", _SNAPSHOT, _REQ, 117, 209, 0, 0, None),
    (87, "reqHeadTimeStamp", _ONESHOT, _REQ, 118, 208, 0, 0, 90),
    (88, "reqHistogramData", _ONESHOT, _REQ, 119, 208, 0, 0, 89),
    (89, "cancelHistogramData", _CANCEL, _REQ, 119, 208, 0, 0, None),
    (90, "cancelHeadTimeStamp", _CANCEL, _REQ, 123, 208, 0, 0, None),
    (91, "reqMarketRule", _ONESHOT, _NO, 126, 212, 0, 0, None),
    (92, "reqPnL", _STREAM, _REQ, 127, 210, 0, 0, 93),
    (93, "cancelPnL", _CANCEL, _REQ, 127, 210, 0, 0, None),
    (94, "reqPnLSingle", _STREAM, _REQ, 127, 210, 0, 0, 95),
    (95, "cancelPnLSingle", _CANCEL, _REQ, 127, 210, 0, 0, None),
    (96, "reqHistoricalTicks", _ONESHOT, _REQ, 130, 208, 0, 0, 107),
    (97, "reqTickByTickData", _STREAM, _REQ, 137, 208, 0, 0, 98),
    (98, "cancelTickByTickData", _CANCEL, _REQ, 137, 208, 0, 0, None),
    (99, "reqCompletedOrders", _SNAPSHOT, _NO, 150, 204, 0, 0, None),
    (100, "reqWshMetaData", _ONESHOT, _REQ, 161, 209, 0, 0, 101),
    (101, "cancelWshMetaData", _CANCEL, _REQ, 161, 209, 0, 0, None),
    (102, "reqWshEventData", _ONESHOT, _REQ, 161, 209, 0, 0, 103),
    (103, "cancelWshEventData", _CANCEL, _REQ, 161, 209, 0, 0, None),
    (104, "reqUserInfo", _ONESHOT, _REQ, 167, 212, 0, 0, None),
    (105, "reqCurrentTimeInMillis", _ONESHOT, _NO, 197, 213, 0, 0, None),
    (106, "cancelContractData", _CANCEL, _REQ, 215, 215, 0, 0, None),
    (107, "cancelHistoricalTicks", _CANCEL, _REQ, 215, 215, 0, 0, None),
    (108, "reqConfig", _ONESHOT, _REQ, 219, 219, 0, 0, None),
    (109, "updateConfig", _COMMAND, _REQ, 221, 221, 0, 0, None),
)

_REFUSED = (320, 321, 322, 323)
"""TWS could not read, validate or carry out the request: concludes whatever it is addressed to."""

_NO_DATA = (200, 203, 354, 10089)
_NO_SUCH_TICKER = (300,)

_Answers = tuple[tuple[int, ...], tuple[int, ...], int | None, tuple[int, ...], tuple[int, ...]]

# first answers (the end and every row count as well), rows, end, codes that conclude (beside _REFUSED), warnings
_ANSWERS: dict[int, _Answers] = {
    1: (
        (81, 58, 1, 2, 45, 46, 21, 91),
        (1, 2, 21, 45, 46, 47, 56, 58, 81, 84),
        57,
        (*_NO_DATA, 101, 102, 300, 10092, 10168, 10186, 10197),
        (2104, 2119, 10090, 10091, 10167),
    ),
    2: ((), (), None, _NO_SUCH_TICKER, ()),
    3: (
        (5, 3),
        (3, 5, 11, 59),
        None,
        (103, 104, 105, 106, 107, 110, 200, 201, 202, 203, 387, 435, 10015, 10147, 10268, 10269, 10270),
        (399, 404, 2109, 2137, 2161, 10167, 10311, 10349),
    ),
    4: ((3,), (3,), None, (161, 135, 136, 202, 10147, 10148), ()),
    5: ((5,), (5, 3), 53, (), ()),
    6: ((6, 7, 8), (6, 7, 8), 54, (2101,), (2100,)),
    7: ((11,), (11, 59), 55, (), ()),
    8: ((9,), (9,), 9, (), ()),
    9: ((10, 18), (10, 18), 52, (200,), (2103, 2157)),
    10: ((12, 13, 92), (12, 13), None, (200, 309, 316, 354, 10089, 10090, 10092), (317, 2152)),
    11: ((), (), None, (310,), ()),
    12: ((14,), (14,), None, (), ()),
    14: ((), (), None, (319,), ()),
    15: ((), (3, 5, 100), None, (327,), ()),
    16: ((5,), (5, 3), 53, (), ()),
    17: ((15,), (15,), 15, (330, 331), ()),
    18: ((16,), (16,), 16, (344, 10230), ()),
    19: ((103,), (103,), 103, (344, 10230, 10231, 10238), ()),
    20: ((17, 106), (17, 90), 108, (162, 166, 200, 386, 420, 10089, 10299, 10314, 10339), (165, 2106, 2107)),
    21: ((5, 3), (3, 5, 11), None, (201, 202), (399, 10349)),
    22: ((20,), (20,), None, (162, 385, 490), (165, 492)),
    23: ((), (), None, (365,), ()),
    24: ((19,), (19,), 19, (490,), ()),
    25: ((), (), None, (162, 366), ()),
    49: ((49,), (49,), 49, (), ()),
    50: ((50,), (50,), None, (162, 200, 354, 420, 10089, 10225), ()),
    51: ((), (), None, _NO_SUCH_TICKER, ()),
    52: ((51,), (51,), 51, (430, 10358), ()),
    54: ((21,), (21,), 21, (200,), ()),
    55: ((21,), (21,), 21, (200,), ()),
    56: ((), (), None, _NO_SUCH_TICKER, ()),
    57: ((), (), None, _NO_SUCH_TICKER, ()),
    58: ((3,), (3,), None, (), (161, 202)),
    59: ((), (58,), None, (), (10167,)),
    61: ((61,), (61,), 62, (), ()),
    62: ((63,), (63,), 64, (), ()),
    63: ((), (), None, _NO_SUCH_TICKER, ()),
    65: ((65,), (65,), 65, (), ()),
    66: ((66,), (66,), 66, (), ()),
    67: ((67,), (67,), 67, (), ()),
    68: ((68,), (68,), None, (), ()),
    69: ((68,), (68,), None, (), ()),
    71: (
        (15, 9),
        (15, 9),
        None,
        (326, 507),
        (2103, 2104, 2105, 2106, 2107, 2108, 2110, 2119, 2157, 2158, 1100, 1102, 2172),
    ),
    72: ((69,), (69,), 69, (), ()),
    73: ((70,), (70,), 70, (), ()),
    74: ((71,), (71,), 72, (), ()),
    76: ((73,), (73,), 74, (), ()),
    78: ((75,), (75,), 76, (200,), ()),
    79: ((77,), (77,), 77, (), ()),
    80: ((78,), (78,), 78, (), ()),
    81: ((79,), (79,), 79, (), ()),
    82: ((80,), (80,), 80, (), ()),
    83: ((82,), (82,), 82, (), ()),
    84: ((83,), (83,), 83, (10172,), ()),
    85: ((85,), (85,), 85, (), ()),
    86: ((86,), (86,), 87, (10172,), ()),
    87: ((88,), (88,), 88, (162, 200), (165,)),
    88: ((89,), (89,), 89, (162, 200), ()),
    89: ((), (), None, (366,), ()),
    90: ((), (), None, (366,), ()),
    91: ((93,), (93,), 93, (), ()),
    92: ((94,), (94,), None, (), ()),
    93: ((), (), None, (10185,), ()),
    94: ((95,), (95,), None, (), ()),
    95: ((), (), None, (10185,), ()),
    96: ((96, 97, 98), (96, 97, 98), None, (162, 200, 10187), (165,)),
    97: ((99, 96, 97, 98), (99,), None, (200, 10089, 10189, 10190), ()),
    98: ((), (), None, _NO_SUCH_TICKER, ()),
    99: ((101,), (101,), 102, (), ()),
    100: ((104,), (104,), 104, (10276, 10277, 10278, 10279), ()),
    101: ((), (), None, (10280,), ()),
    102: ((105,), (105,), 105, (10276, 10277, 10281, 10282, 10283, 10309), ()),
    103: ((), (), None, (10284,), ()),
    104: ((107,), (107,), 107, (), ()),
    105: ((109,), (109,), 109, (), ()),
    107: ((), (), None, (366,), ()),
    108: ((110,), (110,), 110, (), ()),
    109: ((111,), (111,), 111, (), ()),
}
_UNANSWERED: _Answers = ((), (), None, (), ())

_CHANGES = frozenset({3, 4, 19, 21, 58, 69, 109})
"""Changes orders, adviser or TWS configuration, or what a person sees in TWS: refused on a read-only relay."""

_RESTORE_LAST = 99

_PRIORITY = {
    **dict.fromkeys((14, 15, 59), 0),  # settings decide what the rest means
    **dict.fromkeys((5, 7, 16, 99), 10),  # what happened to the orders meanwhile
    **dict.fromkeys((6, 61, 62, 74, 76, 92, 94), 20),  # account, positions, profit and loss
    **dict.fromkeys((100,), 25),  # event data is refused before its metadata (10282)
    **dict.fromkeys((1,), 30),
    **dict.fromkeys((97,), 40),
    **dict.fromkeys((20, 50), 50),
    **dict.fromkeys((10,), 60),
    **dict.fromkeys((22,), 70),
    **dict.fromkeys((12, 68), 80),
}

_FAMILY = {
    5: "open_orders",  # 5 and 16 share the end 53
    16: "open_orders",
    6: "account_updates",
    8: "next_id",
    12: "news_bulletins",
    13: "news_bulletins",
    17: "accounts",
    18: "fa",
    24: "scanner_parameters",
    49: "time",
    61: "positions",
    64: "positions",
    80: "family_codes",
    82: "depth_exchanges",
    85: "news_providers",
    91: "market_rule",
    99: "completed_orders",
    105: "time_millis",
}

_OPERATION = {
    **dict.fromkeys((1,), "market_data"),
    **dict.fromkeys((97,), "tick_by_tick"),
    **dict.fromkeys((10,), "market_depth"),
    **dict.fromkeys((50,), "real_time_bars"),
    **dict.fromkeys((20, 87, 88, 96), "historical_data"),
    **dict.fromkeys((9, 78, 81, 82, 83, 91), "contract"),
    **dict.fromkeys((6, 17, 18, 19, 61, 62, 74, 76, 79, 80, 104), "account"),
    **dict.fromkeys((92, 94), "pnl"),
    **dict.fromkeys((3, 21), "order"),
    **dict.fromkeys((4, 58), "order_cancel"),
    **dict.fromkeys((5, 7, 15, 16, 99), "order_query"),
    **dict.fromkeys((12, 84, 85, 86), "news"),
    **dict.fromkeys((22, 24), "scanner"),
    **dict.fromkeys((52, 100, 102), "fundamentals"),
}

OTHER_OPERATION = "other"

OPERATIONS = (*dict.fromkeys(_OPERATION.values()), OTHER_OPERATION)
"""What requests are counted under; fifteen at the most, since each is a label value of several series a connection."""

_LAST_FIELD = {19: -1}
"""replaceFA writes its request id behind everything else, and only from 157 on (``messages`` knows that part)."""


def _build() -> Mapping[int, Request]:
    cancels = {row[8]: row[0] for row in _WIRE if row[8] is not None and row[8] != row[0]}
    requests: dict[int, Request] = {}
    for number, name, kind, key, since, protobuf_from, version_number, until, cancelled_by in _WIRE:
        first, rows, end, codes, warnings = _ANSWERS.get(number, _UNANSWERED)
        requests[number] = Request(
            id=number,
            name=name,
            kind=kind,
            key=key,
            since=since,
            protobuf_from=protobuf_from,
            version_field=(LOWEST_VERSION, until) if version_number else None,
            version_number=version_number,
            key_index=None if key is Key.NONE else _LAST_FIELD.get(number, 0),
            cancelled_by=cancelled_by,
            cancels=cancels.get(number),
            answers=frozenset(first if end is None else (*first, end)),
            rows=frozenset(rows),
            end=end,
            ends_with_code=frozenset((*codes, *_REFUSED)),
            warnings=frozenset(warnings),
            changes=number in _CHANGES,
            priority=_PRIORITY.get(number, _RESTORE_LAST),
            conn_family=_FAMILY.get(number),
            operation=_OPERATION.get(number, OTHER_OPERATION),
        )
    return MappingProxyType(requests)


REQUESTS: Mapping[int, Request] = _build()
"""By message id. A cancel of account updates is request 6 itself with subscribe off; ``messages.kind_of`` tells."""

_HISTORICAL_DATA = 20
"""A stream if it is to be kept up to date."""

_STREAMS = {r.operation for r in REQUESTS.values() if r.kind is Kind.STREAM or r.id == _HISTORICAL_DATA}

STREAM_KINDS = tuple(operation for operation in OPERATIONS if operation in _STREAMS)
"""The operations that have streams."""
