"""Simulated history: bars and ticks computed from the seed and the time, so that the same query has the same answer."""

import calendar
import math
import random
import time
from dataclasses import dataclass

from backstay.simulator.catalogue import Instrument
from backstay.simulator.fields import INTEGER, Refused, show

DAY = 86400

BAR_SECONDS = {
    "1 secs": 1,
    "5 secs": 5,
    "10 secs": 10,
    "15 secs": 15,
    "30 secs": 30,
    "1 min": 60,
    "2 mins": 120,
    "3 mins": 180,
    "5 mins": 300,
    "10 mins": 600,
    "15 mins": 900,
    "20 mins": 1200,
    "30 mins": 1800,
    "1 hour": 3600,
    "2 hours": 7200,
    "3 hours": 10800,
    "4 hours": 14400,
    "8 hours": 28800,
    "1 day": DAY,
    "1 week": 7 * DAY,
    "1W": 7 * DAY,
    "1 month": 30 * DAY,
    "1M": 30 * DAY,
}
"""Bar sizes TWS accepts; weeks and months are taken as so many days."""

DURATION_SECONDS = {"S": 1, "D": DAY, "W": 7 * DAY, "M": 30 * DAY, "Y": 365 * DAY}

BARS_MAX = 5000
"""Bars in one answer; longer queries get the latest ones, as a frame of megabytes helps no test."""

SHORT_BAR_SECONDS = 30
"""Bars this short count against the historical pacing."""

WAVES = ((0.02, 40 * DAY), (0.008, 3 * DAY), (0.003, 4 * 3600), (0.0008, 600))
"""How far and how slowly simulated history swings: share of the price, period in seconds."""

SHOWS = frozenset(
    (
        "TRADES",
        "MIDPOINT",
        "BID",
        "ASK",
        "BID_ASK",
        "ADJUSTED_LAST",
        "HISTORICAL_VOLATILITY",
        "OPTION_IMPLIED_VOLATILITY",
        "FEE_RATE",
        "YIELD_BID",
        "YIELD_ASK",
        "YIELD_BID_ASK",
        "YIELD_LAST",
        "SCHEDULE",
        "AGGTRADES",
    )
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``start`` in seconds since the epoch."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    average: float
    count: int


@dataclass(frozen=True, slots=True)
class Span:
    """What a historical query asks for: from, to (seconds since the epoch) and the length of a bar."""

    start: int
    end: int
    bar: int


class History:
    """The past of every instrument."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def price(self, instrument: Instrument, moment: float) -> float:
        """Return the price at a time, on the instrument's grid."""
        phase = (instrument.con_id * 7919 + self._seed * 104729) % 1000 / 1000
        swing = sum(share * math.sin(2 * math.pi * (moment / period + phase)) for share, period in WAVES)
        steps = round(instrument.price * (1 + swing) / instrument.min_tick)
        return round(steps * instrument.min_tick, 8)

    def bar(self, instrument: Instrument, start: int, seconds: int) -> Bar:
        """Return the bar that begins at a time; it opens where the one before closed."""
        draw = random.Random(f"{self._seed}/{instrument.con_id}/{start}/{seconds}")  # noqa: S311  (a market)
        opened, closed = self.price(instrument, start), self.price(instrument, start + seconds)
        step = instrument.min_tick
        high = round(max(opened, closed) + step * draw.randint(0, 5), 8)
        low = round(min(opened, closed) - step * draw.randint(0, 5), 8)
        volume = instrument.size * draw.randint(1, 50)
        return Bar(start, opened, high, low, closed, volume, round((high + low) / 2, 8), draw.randint(1, 40))

    def bars(self, instrument: Instrument, span: Span) -> list[Bar]:
        """Return the bars of a query, the last one perhaps still growing."""
        first = span.start - span.start % span.bar
        starts = range(first, span.end, span.bar)[-BARS_MAX:]
        return [self.bar(instrument, start, span.bar) for start in starts]


def read_span(request_id: int, end: str, *, duration: str, bar: str, now: float) -> Span:
    """Return what a query asks for; ``Refused`` with 321 for sizes and 10314 for dates TWS does not know."""
    seconds = BAR_SECONDS.get(bar)
    if seconds is None:
        raise Refused(request_id, 321, f"Error validating request. Invalid bar size: {bar!r}")
    count, _, unit = duration.strip().partition(" ")
    if not INTEGER.fullmatch(count) or int(count) <= 0 or unit not in DURATION_SECONDS:
        raise Refused(request_id, 321, f"Error validating request. Historical data query duration: {duration!r}")
    last = int(read_moment(request_id, end) if end else now)
    length = min(int(count) * DURATION_SECONDS[unit], last)
    return Span(last - length, last, seconds)


def read_moment(request_id: int, text: str) -> float:
    """Return a date and time a client wrote as seconds since the epoch, every zone taken for UTC."""
    words = text.replace("-", " ").split()
    for shape in ("%Y%m%d %H:%M:%S", "%Y%m%d"):
        try:
            parsed = time.strptime(" ".join(words[: len(shape.split())]) + " UTC", f"{shape} %Z")
        except ValueError:
            continue
        return float(max(0, calendar.timegm(parsed)))
    raise Refused(request_id, 10314, f"End Date/Time: The date, time, or time-zone entered is invalid: {text!r}")


def write_moment(moment: float, *, version: int, as_seconds: bool = False, daily: bool = False) -> str:
    """Return a time as history carries it: a day, seconds, or a date and time (with its zone from 174 on)."""
    if daily:
        return time.strftime("%Y%m%d", time.gmtime(moment))
    if as_seconds:
        return str(int(moment))
    if version >= 174:
        return time.strftime("%Y%m%d %H:%M:%S UTC", time.gmtime(moment))
    return time.strftime("%Y%m%d  %H:%M:%S", time.gmtime(moment))


def bar_fields(bar: Bar, when: str) -> list[str]:
    """Return a bar's fields in the order of historical data, count last."""
    prices = (show(value) for value in (bar.open, bar.high, bar.low, bar.close))
    return [when, *prices, str(bar.volume), show(bar.average), str(bar.count)]
