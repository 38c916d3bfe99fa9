"""Simulated quotes: a seeded random walk per instrument, the same for the same seed whatever else goes on."""

import random

from backstay.simulator.catalogue import Instrument

STEP_TICKS = 3
"""A quote moves at most so many of its smallest steps at a time."""

RANGE = 0.05
"""A quote stays within so much of where it began, so that prices in tests can be foreseen."""


class Quote:
    """The market of one instrument; prices are whole multiples of its smallest step."""

    def __init__(self, instrument: Instrument, seed: int) -> None:
        self.instrument = instrument
        self.volume = 0
        self._random = random.Random(f"{seed}/{instrument.con_id}")  # noqa: S311  (a market, not a secret)
        self._beat = 0
        self._middle = self._start = round(instrument.price / instrument.min_tick)
        self._high = self._low = self._last = self._start
        self.bid_size = self.ask_size = self.last_size = instrument.size

    @property
    def bid(self) -> float:
        """The best bid."""
        return self._price(self._middle - 1)

    @property
    def ask(self) -> float:
        """The best offer, two steps above the bid."""
        return self._price(self._middle + 1)

    @property
    def last(self) -> float:
        """The last trade."""
        return self._price(self._last)

    @property
    def high(self) -> float:
        """The day's highest trade."""
        return self._price(self._high)

    @property
    def low(self) -> float:
        """The day's lowest trade."""
        return self._price(self._low)

    @property
    def start(self) -> float:
        """Where the day began and the day before ended."""
        return self._price(self._start)

    def level(self, distance: int) -> float:
        """Return the price so many steps from the middle: depth rows."""
        return self._price(self._middle + distance)

    def advance(self, beat: int) -> None:
        """Move on to a beat of the market's clock; several streams of one instrument see the same move."""
        if beat == self._beat:
            return
        self._beat = beat
        draw = self._random
        moved = self._middle + draw.randint(-STEP_TICKS, STEP_TICKS)
        if abs(moved - self._start) <= self._start * RANGE:
            self._middle = moved
        unit = self.instrument.size
        self.bid_size = unit * draw.randint(1, 9)
        self.ask_size = unit * draw.randint(1, 9)
        self.last_size = unit * draw.randint(1, 3)
        self.trade(self._middle + draw.choice((-1, 1)), self.last_size)

    def trade(self, steps: int, size: int) -> None:
        """Take note of a trade at so many smallest steps."""
        self._last = steps
        self._high = max(self._high, steps)
        self._low = min(self._low, steps)
        self.volume += size

    def _price(self, steps: int) -> float:
        return round(steps * self.instrument.min_tick, 8)


class Market:
    """All quotes and the clock they move by."""

    def __init__(self, seed: int) -> None:
        self.beat = 0
        self._seed = seed
        self._quotes: dict[int, Quote] = {}

    def quote(self, instrument: Instrument) -> Quote:
        """Return the instrument's quote at the current beat."""
        quote = self._quotes.get(instrument.con_id)
        if quote is None:
            quote = self._quotes[instrument.con_id] = Quote(instrument, self._seed)
        quote.advance(self.beat)
        return quote
