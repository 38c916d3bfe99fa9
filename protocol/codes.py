"""What the numbers in an error message mean to a connection: one row a code, ranges for the crowd.

Codes up to 499, from 1100 to 2199 and from 10000 come from TWS; 500 to 599 are those client libraries raise by
themselves (backstay utters 502, 504, 507 as they do).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class CodeGroup(Enum):
    """What a code does to the connection or to the request it is about."""

    CONNECTION_LOST = "connection_lost"
    RESTORED_DATA_LOST = "restored_data_lost"
    RESTORED_DATA_KEPT = "restored_data_kept"
    FARM_STATUS = "farm_status"
    PACING = "pacing"
    REJECTED = "rejected"
    INFORMATIONAL = "informational"
    CLIENT_ID = "client_id"
    LOCAL_SEND = "local_send"
    FATAL = "fatal"


class About(Enum):
    """What the id of the message names."""

    CONNECTION = "connection"
    REQUEST = "request"
    ORDER = "order"
    ANY = "any"


class FarmKind(Enum):
    """What a data farm serves."""

    MARKET = "market"
    HISTORICAL = "historical"
    DEFINITION = "definition"


class FarmState(Enum):
    """Whether a farm serves; an idle one wakes on demand and counts as usable."""

    UP = "up"
    DOWN = "down"
    IDLE = "idle"
    CONNECTING = "connecting"


@dataclass(frozen=True, slots=True)
class Code:
    """One code, or the range it belongs to."""

    code: int
    meaning: str
    group: CodeGroup
    about: About


_LOST, _DATA_LOST, _DATA_KEPT = (
    CodeGroup.CONNECTION_LOST,
    CodeGroup.RESTORED_DATA_LOST,
    CodeGroup.RESTORED_DATA_KEPT,
)
_FARM, _PACE, _NO, _INFO = CodeGroup.FARM_STATUS, CodeGroup.PACING, CodeGroup.REJECTED, CodeGroup.INFORMATIONAL
_WHO, _SEND, _FATAL = CodeGroup.CLIENT_ID, CodeGroup.LOCAL_SEND, CodeGroup.FATAL
_LINE, _REQ, _ORD, _ANY = About.CONNECTION, About.REQUEST, About.ORDER, About.ANY

_TABLE: tuple[tuple[int, CodeGroup, About, str], ...] = (
    (-1, _LOST, _LINE, "the socket broke, as the C# client words it"),
    (0, _INFO, _ANY, "an error without a code"),
    (
        100,
        _PACE,
        _ANY,
        "more messages per second than TWS allows; this one was not carried out, a third strike disconnects",
    ),
    (101, _NO, _REQ, "no market data line left"),
    (102, _NO, _REQ, "market data id already in use"),
    (103, _NO, _ORD, "order id used before or lower than one used before"),
    (104, _NO, _ORD, "the order to change is filled"),
    (105, _NO, _ORD, "a change of more than the changeable fields; the live order stands"),
    (106, _NO, _ORD, "the order can not be transmitted"),
    (107, _NO, _ORD, "the order is incomplete and was not transmitted"),
    (110, _NO, _ORD, "price not on the tick grid; if this was a change, the live order stands"),
    (135, _NO, _ORD, "order not known: finished, or of another client id"),
    (136, _NO, _ORD, "the order can not be cancelled"),
    (161, _INFO, _ORD, "not in a state to be cancelled; usual after a repeated cancel"),
    (162, _PACE, _REQ, "historical data service; the text says whether it was pacing, permission, no data or a cancel"),
    (165, _INFO, _REQ, "notice of the historical or scanner service; the request goes on"),
    (166, _NO, _REQ, "no history for this expired contract"),
    (200, _NO, _ANY, "no such contract, or more than one"),
    (201, _NO, _ORD, "order rejected, the reason is in the text"),
    (202, _INFO, _ORD, "order cancelled; the success answer to a cancel"),
    (203, _NO, _ANY, "instrument not allowed for the account"),
    (300, _INFO, _REQ, "no market data under this id; usual after a stray cancel"),
    (309, _NO, _REQ, "no market depth line left"),
    (310, _INFO, _REQ, "no market depth under this id; usual after a stray cancel"),
    (316, _DATA_LOST, _REQ, "market depth halted: to be requested again"),
    (317, _DATA_LOST, _REQ, "market depth reset: empty the book, the stream goes on"),
    (319, _NO, _LINE, "no such log level"),
    (320, _FATAL, _ANY, "TWS could not read the request: its fields do not fit the negotiated version"),
    (321, _NO, _ANY, "refused on validation; also a read-only API, and then often without an id"),
    (322, _NO, _ANY, "failed while being carried out; also an id in use or too many account summaries"),
    (323, _NO, _REQ, "server error, the cause is in the text"),
    (324, _NO, _REQ, "server error while reading"),
    (326, _WHO, _LINE, "client id already connected; TWS closes this socket"),
    (327, _NO, _LINE, "binding manual orders is for client id 0 alone"),
    (330, _NO, _LINE, "the account list is for advisers"),
    (331, _NO, _LINE, "adviser login without accounts"),
    (344, _NO, _REQ, "not an adviser login"),
    (354, _NO, _REQ, "no market data subscription for the instrument"),
    (357, _FATAL, _LINE, "client version out of date"),
    (365, _INFO, _REQ, "no scanner under this id; usual after a stray cancel"),
    (366, _INFO, _REQ, "no historical query under this id; usual after a stray cancel"),
    (385, _NO, _REQ, "scanner id already in use"),
    (386, _NO, _REQ, "historical query id already in use"),
    (399, _INFO, _ORD, "order message, usually a warning; the order lives"),
    (404, _INFO, _ORD, "shares to short are being located; the order is held"),
    (420, _NO, _REQ, "real-time query refused: permission, or pacing according to the text"),
    (430, _NO, _REQ, "no fundamental data"),
    (434, _NO, _ORD, "order size is zero"),
    (435, _NO, _ORD, "an account must be given"),
    (438, _NO, _LINE, "the application is locked"),
    (460, _NO, _ORD, "no trading permission"),
    (462, _NO, _ORD, "the replacement was refused; the live order stands"),
    (481, _INFO, _ORD, "order size reduced"),
    (490, _NO, _REQ, "no permission for the scanner"),
    (492, _INFO, _REQ, "scanner result imprecise for want of permissions"),
    (501, _INFO, _LINE, "connect called while connected"),
    (502, _LOST, _LINE, "could not connect: refused, unreachable or unknown host"),
    (503, _NO, _ANY, "the negotiated server version is too low for the request"),
    (504, _LOST, _ANY, "not connected"),
    (505, _INFO, _LINE, "incoming message without a handler"),
    (506, _FATAL, _LINE, "server version outside the offered range"),
    (507, _LOST, _LINE, "end of the stream, or a frame longer than any honest one"),
    (508, _FATAL, _LINE, "an incoming message could not be parsed"),
    (509, _LOST, _LINE, "socket exception"),
    (517, _NO, _REQ, "unknown contract"),
    (520, _LOST, _LINE, "the socket could not be created"),
    (579, _NO, _ANY, "a field holds characters the wire does not take; nothing was sent"),
    (585, _NO, _ANY, "adviser profiles are gone since version 177"),
    (586, _LOST, _LINE, "read while not connected"),
    (588, _NO, _ORD, "order conditions could not be encoded"),
    (1100, _LOST, _LINE, "TWS lost the IB servers; its API socket stays up"),
    (1101, _DATA_LOST, _LINE, "IB servers are back, market data requests were lost"),
    (1102, _DATA_KEPT, _LINE, "IB servers are back, requests were kept"),
    (1300, _LOST, _LINE, "the API port was changed, the new one ends the text; this socket is dropped"),
    (2100, _INFO, _LINE, "account updates were taken over by a request for another account"),
    (2101, _NO, _LINE, "account updates refused: other clients hold another account"),
    (2102, _NO, _ORD, "change refused: the order is still being processed"),
    (2103, _FARM, _LINE, "market data farm disconnected"),
    (2104, _FARM, _LINE, "market data farm connected"),
    (2105, _FARM, _LINE, "historical data farm disconnected"),
    (2106, _FARM, _LINE, "historical data farm connected"),
    (2107, _FARM, _LINE, "historical data farm idle, wakes on demand"),
    (2108, _FARM, _LINE, "market data farm idle, wakes on demand"),
    (2109, _INFO, _ORD, "outside-hours flag ignored; the order lives"),
    (2110, _LOST, _LINE, "TWS lost the IB servers and is restoring by itself"),
    (2111, _INFO, _ORD, "algorithm times moved to the next trading day"),
    (2113, _INFO, _ORD, "warning on order size or price"),
    (2119, _FARM, _LINE, "market data farm connecting"),
    (2120, _FARM, _LINE, "historical data farm connecting"),
    (2130, _INFO, _LINE, "products trade at a price with a factor"),
    (2137, _INFO, _ORD, "the order would turn the position around; it may wait for confirmation"),
    (2148, _INFO, _ORD, "order warning"),
    (2150, _INFO, _LINE, "derived position value not valid"),
    (2152, _INFO, _REQ, "list of depth venues that are or are not available; the stream goes on"),
    (2157, _FARM, _LINE, "security definition farm disconnected"),
    (2158, _FARM, _LINE, "security definition farm connected"),
    (2161, _INFO, _ORD, "price cap or regulatory warning; the order lives"),
    (2168, _INFO, _ORD, "eTradeOnly is no longer supported"),
    (2169, _INFO, _ORD, "firmQuoteOnly is no longer supported"),
    (2172, _INFO, _LINE, "this TWS build will soon be refused"),
    (2174, _INFO, _REQ, "a time without a time zone"),
    (2176, _INFO, _REQ, "the negotiated version does not know fractional sizes"),
    (10015, _NO, _ORD, "trading is not allowed for the API"),
    (10038, _LOST, _LINE, "socket misused or closed, as Windows words it"),
    (10053, _LOST, _LINE, "socket closed by the other side, as Windows words it"),
    (10089, _NO, _REQ, "instrument needs another market data subscription"),
    (10090, _INFO, _REQ, "part of the data is not subscribed; the rest comes"),
    (10091, _INFO, _REQ, "part of the data needs an API subscription; the rest comes"),
    (10092, _NO, _REQ, "no depth for this exchange or type"),
    (10147, _NO, _ORD, "the order to cancel was not found"),
    (10148, _INFO, _ORD, "the order to cancel is in a final state"),
    (10167, _INFO, _REQ, "not subscribed, delayed data follows"),
    (10168, _NO, _REQ, "not subscribed, and delayed data is not enabled"),
    (10172, _NO, _REQ, "news article not available"),
    (10182, _DATA_LOST, _REQ, "live updates of a historical query were dropped"),
    (10185, _INFO, _REQ, "no profit and loss subscription under this id"),
    (10186, _NO, _REQ, "not subscribed, and delayed data is not enabled"),
    (10187, _NO, _REQ, "historical ticks refused"),
    (10189, _NO, _REQ, "tick-by-tick data refused"),
    (10190, _NO, _REQ, "no tick-by-tick line left"),
    (10197, _LOST, _REQ, "no market data: a competing live session is logged in"),
    (10225, _DATA_LOST, _REQ, "real-time bars were switched off by a bust: to be requested again"),
    (10230, _NO, _REQ, "unsaved adviser changes in TWS"),
    (10276, _NO, _REQ, "news feed not permitted"),
    (10277, _NO, _REQ, "news feed not subscribed"),
    (10278, _NO, _REQ, "event calendar metadata already requested"),
    (10279, _NO, _REQ, "event calendar metadata failed"),
    (10280, _INFO, _REQ, "cancel of event calendar metadata failed"),
    (10281, _NO, _REQ, "event calendar already requested"),
    (10282, _NO, _REQ, "event calendar needs its metadata first, once per socket"),
    (10283, _NO, _REQ, "event calendar failed"),
    (10284, _INFO, _REQ, "cancel of the event calendar failed"),
    (10285, _NO, _ANY, "the negotiated version does not know fractional sizes (needs 163)"),
    (10299, _NO, _REQ, "kind of data not valid for the request"),
    (10311, _INFO, _ORD, "order sent directly to an exchange, a warning; the order lives"),
    (10314, _NO, _REQ, "time or time zone not valid"),
    (10328, _LOST, _ORD, "the connection was lost before the order's data was resolved: in doubt"),
    (10339, _NO, _REQ, "no end date for continuous futures"),
    (10346, _NO, _REQ, "another session shows the same instrument"),
    (10349, _INFO, _ORD, "time in force changed by an order preset; the order lives"),
    (10358, _NO, _REQ, "fundamental data is no longer offered"),
)

_RANGES: tuple[tuple[int, int, CodeGroup, About, str], ...] = (
    (109, 160, _NO, _ANY, "the content of an order or request was refused"),
    (301, 307, _NO, _REQ, "a request of an old interface could not be parsed"),
    (325, 449, _NO, _ORD, "an attribute of an order was refused"),
    (510, 593, _SEND, _ANY, "a client library could not encode or send a request"),
    (2100, 2169, _INFO, _ANY, "a warning; concludes nothing"),
    (10231, 10324, _NO, _ANY, "an attribute of a request or order was refused"),
)
_UNKNOWN = (_INFO, _ANY, "not in the tables")

CODES: Mapping[int, Code] = MappingProxyType(
    {code: Code(code, meaning, group, about) for code, group, about, meaning in _TABLE}
)
"""The codes with a meaning of their own; ``code_info`` knows the ranges too."""

FARM_CODES: Mapping[int, tuple[FarmKind, FarmState]] = MappingProxyType(
    {
        2103: (FarmKind.MARKET, FarmState.DOWN),
        2104: (FarmKind.MARKET, FarmState.UP),
        2105: (FarmKind.HISTORICAL, FarmState.DOWN),
        2106: (FarmKind.HISTORICAL, FarmState.UP),
        2107: (FarmKind.HISTORICAL, FarmState.IDLE),
        2108: (FarmKind.MARKET, FarmState.IDLE),
        2119: (FarmKind.MARKET, FarmState.CONNECTING),
        2120: (FarmKind.HISTORICAL, FarmState.CONNECTING),
        2157: (FarmKind.DEFINITION, FarmState.DOWN),
        2158: (FarmKind.DEFINITION, FarmState.UP),
    }
)

WARNING_BAND = range(2100, 2170)
"""Codes that never conclude a request, also those nobody has seen yet."""

METRIC_CATEGORIES = ("connectivity", "farm", "pacing", "permission", "contract", "order", "historical", "other")
"""Every value of ``metric_category``: the closed set of a label."""

_CATEGORIES = {
    **dict.fromkeys(FARM_CODES, "farm"),
    **dict.fromkeys((100,), "pacing"),
    **dict.fromkeys((354, 420, 460, 490, 492, 10015, 10089, 10090, 10091, 10167, 10168), "permission"),
    **dict.fromkeys((10186, 10189, 10276, 10277), "permission"),
    **dict.fromkeys((200, 203, 517, 10092, 10299, 10339), "contract"),
    **dict.fromkeys((162, 165, 166, 366, 386, 10182, 10187, 10314), "historical"),
    **dict.fromkeys((504, 10197), "connectivity"),
}
_OF_THE_LINE = frozenset({_LOST, _DATA_LOST, _DATA_KEPT, _WHO, _FATAL})

_PORT = re.compile(r"(\d{1,5})\D*$")
_STATE = re.compile(r"\bstate: *([A-Za-z]+)")


def code_info(code: int) -> Code:
    """Return what is known of a code, from its own row, its range, or as an unknown notice; never fails."""
    known = CODES.get(code)
    if known is not None:
        return known
    for low, high, group, about, meaning in _RANGES:
        if low <= code <= high:
            return Code(code, meaning, group, about)
    group, about, meaning = _UNKNOWN
    return Code(code, meaning, group, about)


def is_warning(code: int) -> bool:
    """Tell whether a code is in the band that never concludes a request."""
    return code in WARNING_BAND


def is_good_news(code: int) -> bool:
    """Tell whether a code only says that a data farm is well, asleep, or on its way: TWS sends six to each client."""
    return code in FARM_CODES and FARM_CODES[code][1] is not FarmState.DOWN


def metric_category(code: int) -> str:
    """Return one of ``METRIC_CATEGORIES``: the bounded label under which a code is counted."""
    known = _CATEGORIES.get(code)
    if known is not None:
        return known
    info = code_info(code)
    if info.about is About.ORDER:
        return "order"
    if info.about is About.CONNECTION and info.group in _OF_THE_LINE:
        return "connectivity"
    return "other"


def is_pacing(code: int, text: str) -> bool:
    """Tell whether an error asks for fewer requests; codes 162 and 420 say so in their text alone."""
    return code == 100 or (code in (162, 420) and "pacing" in text.lower())


def farm_name(text: str) -> str | None:
    """Return the farm a farm notice names: what stands behind its last colon."""
    name = text.rpartition(":")[2].strip()
    return name if ":" in text and name else None


def moved_port(text: str) -> int | None:
    """Return the port that ends the text of code 1300 (the API port was changed); None when there is none."""
    found = _PORT.search(text)
    port = int(found[1]) if found else 0
    return port if 0 < port < 65536 else None


def order_state(text: str) -> str:
    """Return the status of the order that the text of code 10148 names; empty when it names none."""
    found = _STATE.search(text)
    return found[1] if found else ""


USUAL_CANCEL_CODES = frozenset({300})
CANCEL_CODES = {
    10: frozenset({310}),
    20: frozenset({366, 162}),
    22: frozenset({365, 162}),
    50: frozenset({300, 366}),
    62: frozenset({300, 321}),
    74: frozenset({321}),
    76: frozenset({321}),
    92: frozenset({10185}),
    94: frozenset({10185}),
}
"""What TWS says on the id of a cancel it does not need, by the request cancelled; the client never sent these."""
