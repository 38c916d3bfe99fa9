"""History: bars once or kept up to date, schedules, ticks, histograms, and the first date there is."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backstay.simulator.catalogue import ContractQuery, Instrument, read_contract
from backstay.simulator.fields import Fields, Refused, show
from backstay.simulator.history import (
    DAY,
    SHORT_BAR_SECONDS,
    SHOWS,
    Bar,
    Span,
    bar_fields,
    read_moment,
    read_span,
    write_moment,
)
from backstay.simulator.requests_market import cancel, free_id, one_instrument, skip_legs
from backstay.simulator.streams import Family, Pace, Stream

if TYPE_CHECKING:
    from backstay.simulator.session import Session

SEPARATE_END_SINCE = 196
"""From here on the end of history is a message of its own (108)."""

AS_SECONDS = 2
"""Date format: seconds since the epoch instead of text."""

FIRST_DATE = "19801212 14:30:00"
TICKS_MAX = 1000
LONGEST_SCHEDULE_DAYS = 366


@dataclass(frozen=True, slots=True)
class BarQuery:
    """One reqHistoricalData."""

    request_id: int
    instrument: Instrument
    span: Span
    show: str
    as_seconds: bool

    def when(self, bar: Bar, version: int) -> str:
        """Return a bar's date as this query wants it."""
        return write_moment(bar.start, version=version, as_seconds=self.as_seconds, daily=self.span.bar >= DAY)


class KeptUpBars(Stream):
    """History kept up to date: the bars first, then the last one as it grows."""

    def __init__(self, session: "Session", query: BarQuery) -> None:
        instrument = query.instrument
        super().__init__(session, Family.HISTORY, query.request_id, pace=Pace.BAR, instrument=instrument)
        self._query = query
        self._trades = 0

    def start(self) -> None:
        """Send the bars so far."""
        send_bars(self.session, self._query)

    def step(self) -> None:
        """Send the last bar again, grown by a trade."""
        query, session = self._query, self.session
        self._trades += 1
        now = int(time.time())
        bar = session.world.history.bar(query.instrument, now - now % query.span.bar, query.span.bar)
        when = query.when(bar, session.version)
        prices = (show(value) for value in (bar.open, bar.close, bar.high, bar.low, bar.average))
        volume = bar.volume + self._trades * query.instrument.size
        session.send(90, self.request_id, bar.count + self._trades, when, *prices, volume)


class RealTimeBars(Stream):
    """Five-second bars; their times advance by five seconds however fast the simulator beats."""

    def __init__(self, session: "Session", request_id: int, instrument: Instrument) -> None:
        super().__init__(session, Family.REAL_TIME_BARS, request_id, pace=Pace.BAR, instrument=instrument)
        self._instrument = instrument
        self._next = int(time.time()) // 5 * 5

    def start(self) -> None:
        """Send the first bar."""
        self.step()

    def step(self) -> None:
        """Send the next bar."""
        bar = self.session.world.history.bar(self._instrument, self._next, 5)
        self._next += 5
        self.session.send(50, self.request_id, *bar_fields(bar, str(bar.start)))


def req_historical_data(session: "Session", fields: Fields) -> None:
    """Answer with bars, at once; keep them up to date if asked."""
    request_id = fields.integer()
    query = read_contract(fields)
    fields.skip()  # expired contracts too
    end, bar, duration = fields.text(), fields.text(), fields.text()
    fields.skip()  # regular hours only
    what, date_format = fields.text(), fields.integer()
    skip_legs(fields, query)
    keep = fields.flag() if session.version >= 124 else False
    free_id(session, Family.HISTORY, request_id, code=386, text="Duplicate ticker id for API historical data query")
    instrument = one_instrument(session, request_id, query)
    if what not in SHOWS:
        raise Refused(request_id, 10299, f"Expected what to show is TRADES, please use that instead of {what}.")
    span = read_span(request_id, end, duration=duration, bar=bar, now=time.time())
    bars = BarQuery(request_id, instrument, span, what, date_format == AS_SECONDS)
    _pace(session, bars, query, terms=(bar, duration, what, end))
    if what == "SCHEDULE":
        _send_schedule(session, bars)
    elif keep:
        session.subscribe(KeptUpBars(session, bars))
    else:
        send_bars(session, bars)


def _pace(session: "Session", asked: BarQuery, query: ContractQuery, *, terms: tuple[str, ...]) -> None:
    if session.world.settings.historical_pacing:
        refusal = session.world.queries.admit(time.monotonic(), query, terms, short=asked.span.bar <= SHORT_BAR_SECONDS)
        if refusal:
            reason = f"Historical Market Data Service error message:{refusal}"
            raise Refused(asked.request_id, 162, reason)


def send_bars(session: "Session", query: BarQuery) -> None:
    """Send the bars of a query and their end."""
    version, span = session.version, query.span
    bars = session.world.history.bars(query.instrument, span)
    start, end = (write_moment(moment, version=version) for moment in (span.start, span.end))
    values: list[object] = [query.request_id]
    if version < SEPARATE_END_SINCE:
        values += [start, end]
    values.append(len(bars))
    for bar in bars:
        row = bar_fields(bar, query.when(bar, version))
        if version < 124:  # whether there are gaps
            row.insert(-1, "false")
        values += row
    session.send(17, *values)
    if version >= SEPARATE_END_SINCE:
        session.send(108, query.request_id, start, end)


def _send_schedule(session: "Session", query: BarQuery) -> None:
    days = min(max(1, (query.span.end - query.span.start) // DAY), LONGEST_SCHEDULE_DAYS)
    last = query.span.end - query.span.end % DAY
    rows: list[str] = []
    for day in range(last - (days - 1) * DAY, last + 1, DAY):
        date = time.strftime("%Y%m%d", time.gmtime(day))
        rows += [f"{date}-09:30:00", f"{date}-16:00:00", date]
    session.send(106, query.request_id, rows[0], rows[-2], "US/Eastern", days, *rows)


def cancel_historical_data(session: "Session", fields: Fields) -> None:
    """End bars that are kept up to date; TWS confirms with 162."""
    request_id = fields.integer()
    if session.streams.pop((Family.HISTORY, request_id), None) is None:
        raise Refused(request_id, 366, f"No historical data query found for ticker id:{request_id}")
    reason = f"Historical Market Data Service error message:API historical data query cancelled: {request_id}"
    session.error(request_id, 162, reason)


def req_real_time_bars(session: "Session", fields: Fields) -> None:
    """Begin five-second bars."""
    request_id = fields.integer()
    query = read_contract(fields)
    text = "Error processing request. Duplicate ticker id"
    free_id(session, Family.REAL_TIME_BARS, request_id, code=322, text=text)
    session.subscribe(RealTimeBars(session, request_id, one_instrument(session, request_id, query)))


def req_head_timestamp(session: "Session", fields: Fields) -> None:
    """Tell since when there is history."""
    request_id = fields.integer()
    one_instrument(session, request_id, read_contract(fields))
    fields.skip(3)  # expired, regular hours, what to show
    first = read_moment(request_id, FIRST_DATE)
    text = str(int(first)) if fields.integer() == AS_SECONDS else FIRST_DATE.replace(" ", "-")
    session.send(88, request_id, text)


def req_histogram(session: "Session", fields: Fields) -> None:
    """Tell how much was traded at which price."""
    request_id = fields.integer()
    instrument = one_instrument(session, request_id, read_contract(fields))
    quote = session.world.market.quote(instrument)
    rows = [(show(quote.level(distance)), instrument.size * (6 - abs(distance))) for distance in range(-5, 6)]
    session.send(89, request_id, len(rows), *(value for row in rows for value in row))


def req_historical_ticks(session: "Session", fields: Fields) -> None:
    """Answer with ticks of the past, one a second, marked as complete."""
    request_id = fields.integer()
    instrument = one_instrument(session, request_id, read_contract(fields))
    fields.skip()  # expired contracts too
    start, end = fields.text(), fields.text()
    count, what = fields.integer(), fields.text()
    if not start and not end:
        raise Refused(request_id, 321, "Error validating request. Start or end time is needed")
    if not 0 < count <= TICKS_MAX:
        raise Refused(request_id, 321, f"Error validating request. Number of ticks is 1 to {TICKS_MAX}")
    send_ticks(session, request_id, instrument, what=what, moments=_moments(request_id, start, end, count=count))


def _moments(request_id: int, start: str, end: str, *, count: int) -> range:
    if start:
        first = int(read_moment(request_id, start))
        return range(first, first + count)
    last = int(read_moment(request_id, end))
    return range(last - count, last)


def send_ticks(session: "Session", request_id: int, instrument: Instrument, *, what: str, moments: range) -> None:
    """Send historical ticks of a kind."""
    history, step, size = session.world.history, instrument.min_tick, instrument.size
    values: list[object] = [request_id, len(moments)]
    for moment in moments:
        price = history.price(instrument, moment)
        if what == "BID_ASK":
            values += [moment, 0, show(round(price - step, 8)), show(round(price + step, 8)), size, size]
        elif what == "MIDPOINT":
            values += [moment, 0, show(price), 0]
        else:
            values += [moment, 0, show(price), size, instrument.primary or instrument.exchange, ""]
    session.send({"MIDPOINT": 96, "BID_ASK": 97}.get(what, 98), *values, True)


def no_query(_session: "Session", fields: Fields) -> None:
    """Refuse the cancel of a query that was answered at once."""
    request_id = fields.integer()
    raise Refused(request_id, 366, f"No historical data query found for ticker id:{request_id}")


HANDLERS: Mapping[int, Callable[["Session", Fields], None]] = {
    20: req_historical_data,
    25: cancel_historical_data,
    50: req_real_time_bars,
    51: cancel(Family.REAL_TIME_BARS, 300, "EId"),
    87: req_head_timestamp,
    88: req_histogram,
    89: no_query,
    90: no_query,
    96: req_historical_ticks,
    107: no_query,
}
