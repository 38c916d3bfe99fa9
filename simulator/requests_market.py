"""Market data: quotes, snapshots, delayed and frozen data."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.simulator.catalogue import ContractQuery, Instrument, read_contract
from backstay.simulator.fields import Fields, Refused, show
from backstay.simulator.streams import Family, Pace, Stream

if TYPE_CHECKING:
    from backstay.simulator.market import Quote
    from backstay.simulator.session import Session

TRADE_EVERY = 4
"""Quotes per trade: bids and offers move more often than trades happen."""

LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4

BID, ASK, LAST, HIGH, LOW, VOLUME, CLOSE, OPEN = 1, 2, 4, 6, 7, 8, 9, 14
BID_SIZE, ASK_SIZE, LAST_SIZE = 0, 3, 5
LAST_TIMESTAMP, HALTED, SHORTABLE, RT_VOLUME = 45, 49, 46, 48

DELAYED_TYPES = {
    BID: 66,
    ASK: 67,
    LAST: 68,
    BID_SIZE: 69,
    ASK_SIZE: 70,
    LAST_SIZE: 71,
    HIGH: 72,
    LOW: 73,
    VOLUME: 74,
    CLOSE: 75,
    OPEN: 76,
    LAST_TIMESTAMP: 88,
}
"""Tick type of the same value when it is delayed."""

GENERIC_RT_VOLUME = "233"
GENERIC_SHORTABLE = "236"


class MarketData(Stream):
    """One reqMktData: the whole picture first, then quotes at every beat and trades at every fourth."""

    def __init__(self, session: "Session", request_id: int, instrument: Instrument, *, data_type: int) -> None:
        super().__init__(session, Family.MARKET_DATA, request_id, pace=Pace.TICK, instrument=instrument)
        self.instrument: Instrument = instrument
        self.generics: frozenset[str] = frozenset()
        self.data_type = data_type
        self._types: Mapping[int, int] = DELAYED_TYPES if data_type in (DELAYED, DELAYED_FROZEN) else {}
        self._count = 0

    def start(self) -> None:
        """Send parameters, data type and the whole picture."""
        send, request_id = self.session.send, self.request_id
        if self.session.version >= 114:  # tickReqParams did not exist before
            send(81, request_id, show(self.instrument.min_tick), "9c0001", 3)
        send(58, request_id, self.data_type)
        quote = self._quote()
        self._quotes(quote)
        self._trade(quote)
        for tick, value in ((HIGH, quote.high), (LOW, quote.low), (CLOSE, quote.start), (OPEN, quote.start)):
            self._price(tick, value, 0)
        send(45, request_id, HALTED, 0)
        if GENERIC_SHORTABLE in self.generics:
            send(45, request_id, SHORTABLE, 3)

    def step(self) -> None:
        """Send the beat's quote."""
        if self.data_type in (FROZEN, DELAYED_FROZEN):
            return
        quote = self._quote()
        self._quotes(quote)
        self._count += 1
        if self._count % TRADE_EVERY == 0:
            self._trade(quote)

    def _quote(self) -> "Quote":
        return self.session.world.market.quote(self.instrument)

    def _quotes(self, quote: "Quote") -> None:
        self._price(BID, quote.bid, quote.bid_size)
        self._size(BID_SIZE, quote.bid_size)
        self._price(ASK, quote.ask, quote.ask_size)
        self._size(ASK_SIZE, quote.ask_size)

    def _trade(self, quote: "Quote") -> None:
        self._price(LAST, quote.last, quote.last_size)
        self._size(LAST_SIZE, quote.last_size)
        self._size(VOLUME, quote.volume)
        now = time.time()
        self.session.send(46, self.request_id, self._types.get(LAST_TIMESTAMP, LAST_TIMESTAMP), int(now))
        if GENERIC_RT_VOLUME in self.generics:
            trade = f"{show(quote.last)};{quote.last_size};{int(now * 1000)};{quote.volume};{show(quote.last)};true"
            self.session.send(46, self.request_id, RT_VOLUME, trade)

    def _price(self, tick: int, value: float, size: int) -> None:
        kind = self._types.get(tick, tick)
        self.session.send_body(1, f"{self.request_id}\0{kind}\0{show(value)}\0{size}\0{1 if size else 0}\0")

    def _size(self, tick: int, value: int) -> None:
        self.session.send_body(2, f"{self.request_id}\0{self._types.get(tick, tick)}\0{value}\0")


def one_instrument(session: "Session", request_id: int, query: ContractQuery) -> Instrument:
    """Return the one instrument a description fits; ``Refused`` with 200 when it is none or several."""
    found = session.world.catalogue.find(query)
    if not found:
        raise Refused(request_id, 200, "No security definition has been found for the request")
    if len(found) > 1:
        raise Refused(request_id, 200, f"The contract description specified for {query.symbol} is ambiguous.")
    return found[0]


def free_id(session: "Session", family: Family, request_id: int, *, code: int, text: str) -> None:
    """Refuse a request id that is in use in its family."""
    if (family, request_id) in session.streams:
        raise Refused(request_id, code, text)


def data_type_for(session: "Session", request_id: int, instrument: Instrument) -> int:
    """Return the market data type this client gets, told by 10167 when it is delayed; ``Refused`` when it gets none."""
    settings, wanted = session.world.settings, session.market_data_type
    if instrument.symbol in settings.delayed_symbols:
        if wanted in (LIVE, FROZEN):
            reason = "Requested market data is not subscribed. Delayed market data is available."
            raise Refused(request_id, 354, reason)
        session.error(request_id, 10167, "Requested market data is not subscribed. Displaying delayed market data.")
        return DELAYED if settings.market_open else wanted
    return LIVE if settings.market_open or wanted in (LIVE, DELAYED) else FROZEN


def skip_legs(fields: Fields, query: ContractQuery) -> None:
    """Pass over the legs of a combination."""
    if query.sec_type == "BAG":
        fields.skip(4 * fields.integer())


def req_mkt_data(session: "Session", fields: Fields) -> None:
    """Begin a stream of ticks, or send one snapshot."""
    request_id = fields.integer()
    query = read_contract(fields)
    skip_legs(fields, query)
    if fields.flag():  # delta neutral contract
        fields.skip(3)
    generics = fields.text()
    snapshot = fields.flag()
    if session.version >= 114:
        snapshot = fields.flag() or snapshot  # regulatory snapshot
    free_id(session, Family.MARKET_DATA, request_id, code=322, text="Error processing request. Duplicate ticker id")
    instrument = one_instrument(session, request_id, query)
    stream = MarketData(session, request_id, instrument, data_type=data_type_for(session, request_id, instrument))
    stream.generics = frozenset(generics.replace(" ", "").split(","))
    if not snapshot:
        session.subscribe(stream)
    elif session.world.flows(stream):
        stream.start()
        session.send(57, request_id)


def cancel(family: Family, code: int, what: str) -> Callable[["Session", Fields], None]:
    """Return a handler that ends a stream; one that is not there is told by a code of its family."""

    def end(session: "Session", fields: Fields) -> None:
        request_id = fields.integer()
        if session.streams.pop((family, request_id), None) is None:
            raise Refused(request_id, code, f"Can't find {what} with tickerId:{request_id}")

    return end


def req_market_data_type(session: "Session", fields: Fields) -> None:
    """Choose live, frozen, delayed or delayed frozen data for later requests."""
    wanted = fields.integer()
    if wanted not in (LIVE, FROZEN, DELAYED, DELAYED_FROZEN):
        raise Refused(-1, 321, "Error validating request. Invalid market data type")
    session.market_data_type = wanted


HANDLERS: Mapping[int, Callable[["Session", Fields], None]] = {
    1: req_mkt_data,
    2: cancel(Family.MARKET_DATA, 300, "EId"),
    59: req_market_data_type,
}
