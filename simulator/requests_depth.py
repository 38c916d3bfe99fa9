"""Market depth, tick-by-tick data and scanners."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.simulator.catalogue import Instrument, read_contract
from backstay.simulator.fields import Fields, Refused, show
from backstay.simulator.reference import SCANNER_PARAMETERS
from backstay.simulator.requests_history import TICKS_MAX, send_ticks
from backstay.simulator.requests_market import cancel, free_id, one_instrument
from backstay.simulator.streams import Family, Pace, Stream

if TYPE_CHECKING:
    from backstay.simulator.session import Session

DEPTHS_MAX = 3
"""Depth subscriptions a client may have at a time."""

ROWS_MAX = 20
"""Rows of depth on each side."""

INSERT, UPDATE = 0, 1
ASK, BID = 0, 1

LAST, ALL_LAST, BID_ASK, MIDPOINT = 1, 2, 3, 4
TICK_KINDS = {"Last": LAST, "AllLast": ALL_LAST, "BidAsk": BID_ASK, "MidPoint": MIDPOINT}

SCANNER_ROWS_MAX = 50


class Depth(Stream):
    """One reqMktDepth: every row inserted, then the best rows updated at every beat."""

    def __init__(self, session: "Session", request_id: int, instrument: Instrument) -> None:
        super().__init__(session, Family.DEPTH, request_id, pace=Pace.TICK, instrument=instrument)
        self._instrument = instrument
        self.rows = 1
        self.smart = False

    def start(self) -> None:
        """Fill the book."""
        for row in range(self.rows):
            self._row(row, INSERT)

    def step(self) -> None:
        """Move the best row."""
        self._row(0, UPDATE)

    def _row(self, row: int, operation: int) -> None:
        quote = self.session.world.market.quote(self._instrument)
        for side, distance, size in ((BID, -1 - row, quote.bid_size), (ASK, 1 + row, quote.ask_size)):
            level = [operation, side, show(quote.level(distance)), size + row * self._instrument.size]
            if not self.smart:
                self.session.send(12, self.request_id, row, *level)
                continue
            if self.session.version >= 146:
                level.append(1)
            self.session.send(13, self.request_id, row, "NSDQ", *level)


class TickByTick(Stream):
    """One reqTickByTickData: one tick at every beat."""

    def __init__(self, session: "Session", request_id: int, instrument: Instrument) -> None:
        super().__init__(session, Family.TICK_BY_TICK, request_id, pace=Pace.TICK, instrument=instrument)
        self._instrument = instrument
        self.kind = LAST

    def start(self) -> None:
        """Send the first tick."""
        self.step()

    def step(self) -> None:
        """Send one tick."""
        quote = self.session.world.market.quote(self._instrument)
        values: list[object]
        if self.kind == BID_ASK:
            values = [show(quote.bid), show(quote.ask), quote.bid_size, quote.ask_size, 0]
        elif self.kind == MIDPOINT:
            values = [show(round((quote.bid + quote.ask) / 2, 8))]
        else:
            exchange = self._instrument.primary or self._instrument.exchange
            values = [show(quote.last), quote.last_size, 0, exchange, ""]
        self.session.send(99, self.request_id, self.kind, int(time.time()), *values)


class Scanner(Stream):
    """One reqScannerSubscription: a ranking, whole each time."""

    rows = 0

    def start(self) -> None:
        """Send the ranking."""
        stocks = [one for one in self.session.world.catalogue if one.sec_type == "STK"][: self.rows]
        values: list[object] = [self.request_id, len(stocks)]
        for rank, one in enumerate(stocks):
            values += [rank, one.con_id, one.symbol, one.sec_type, one.expiry, 0, one.right]
            values += [one.exchange, one.currency, one.local_symbol, one.trading_class, one.trading_class]
            values += ["", "", "", ""]
        self.session.send(20, *values)


def req_mkt_depth(session: "Session", fields: Fields) -> None:
    """Begin market depth."""
    request_id = fields.integer()
    query = read_contract(fields, primary=session.version >= 149)
    rows = fields.integer()
    smart = fields.flag() if session.version >= 146 else False
    free_id(session, Family.DEPTH, request_id, code=322, text="Error processing request. Duplicate ticker id")
    instrument = one_instrument(session, request_id, query)
    if sum(family is Family.DEPTH for family, _ in session.streams) >= DEPTHS_MAX:
        raise Refused(request_id, 309, f"Max number ({DEPTHS_MAX}) of market depth requests has been reached")
    depth = Depth(session, request_id, instrument)
    depth.rows, depth.smart = min(max(rows, 1), ROWS_MAX), smart
    session.subscribe(depth)


def req_tick_by_tick(session: "Session", fields: Fields) -> None:
    """Begin tick-by-tick data, after ticks of the past if asked."""
    request_id = fields.integer()
    query = read_contract(fields)
    kind, past = fields.text(), 0
    if session.version >= 140:
        past = fields.integer()
    free_id(session, Family.TICK_BY_TICK, request_id, code=322, text="Error processing request. Duplicate ticker id")
    if kind not in TICK_KINDS:
        raise Refused(request_id, 321, f"Error validating request. Invalid tick type {kind!r}")
    instrument = one_instrument(session, request_id, query)
    if past:
        now = int(time.time())
        what = {"BidAsk": "BID_ASK", "MidPoint": "MIDPOINT"}.get(kind, "TRADES")
        send_ticks(session, request_id, instrument, what=what, moments=range(now - min(past, TICKS_MAX), now))
    stream = TickByTick(session, request_id, instrument)
    stream.kind = TICK_KINDS[kind]
    session.subscribe(stream)


def req_scanner_subscription(session: "Session", fields: Fields) -> None:
    """Begin a scanner."""
    request_id, rows = fields.integer(), fields.integer()
    free_id(session, Family.SCANNER, request_id, code=385, text="Duplicate ticker ID for API scanner subscription")
    scanner = Scanner(session, Family.SCANNER, request_id, pace=Pace.EVENT)
    scanner.rows = rows if 0 < rows <= SCANNER_ROWS_MAX else SCANNER_ROWS_MAX
    session.subscribe(scanner)


def req_scanner_parameters(session: "Session", _fields: Fields) -> None:
    """Tell what scanners can be asked for."""
    session.send(19, SCANNER_PARAMETERS)


HANDLERS: Mapping[int, Callable[["Session", Fields], None]] = {
    10: req_mkt_depth,
    11: cancel(Family.DEPTH, 310, "the subscribed market depth"),
    22: req_scanner_subscription,
    23: cancel(Family.SCANNER, 365, "scanner subscription"),
    24: req_scanner_parameters,
    97: req_tick_by_tick,
    98: cancel(Family.TICK_BY_TICK, 300, "EId"),
}
