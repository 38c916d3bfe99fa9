"""The instruments a simulated TWS knows, and how a client's description is matched with them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from backstay.simulator.fields import Fields

SMART_EXCHANGES = "SMART,AMEX,NYSE,CBOE,PHLX,ISE,ARCA,NASDAQ,IEX,BYX,BATS,EDGEA"
OPTION_EXCHANGES = "SMART,CBOE,PHLX,ISE,AMEX,BOX"
ORDER_TYPES = "ADJUST,ALERT,LMT,MKT,STP,STP LMT,TRAIL,WHATIF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable thing; ``price`` is where its simulated quotes begin, ``farm`` who delivers them."""

    con_id: int
    symbol: str
    sec_type: str
    name: str
    price: float
    currency: str = "USD"
    exchange: str = "SMART"
    primary: str = ""
    exchanges: str = SMART_EXCHANGES
    expiry: str = ""
    strike: float = 0.0
    right: str = ""
    multiplier: str = ""
    local_symbol: str = ""
    trading_class: str = ""
    min_tick: float = 0.01
    market_rule: int = 26
    farm: str = "usfarm"
    under_con_id: int = 0
    size: int = 100
    stock_type: str = ""
    industry: tuple[str, str, str] = ("", "", "")
    isin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractQuery:
    """What a client wrote about a contract; empty means any."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    strike: float = 0.0
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""


def read_contract(fields: Fields, *, primary: bool = True) -> ContractQuery:
    """Read the twelve fields of a contract (eleven where the request has no primary exchange)."""
    con_id = fields.integer()
    symbol, sec_type, expiry = fields.text(), fields.text(), fields.text()
    strike = fields.number() or 0.0
    right, multiplier, exchange = fields.text(), fields.text(), fields.text()
    return ContractQuery(
        con_id=con_id,
        symbol=symbol,
        sec_type=sec_type,
        expiry=expiry,
        strike=strike,
        right=right,
        multiplier=multiplier,
        exchange=exchange,
        primary=fields.text() if primary else "",
        currency=fields.text(),
        local_symbol=fields.text(),
        trading_class=fields.text(),
    )


def _stock(con_id: int, symbol: str, *, name: str, price: float) -> Instrument:
    return Instrument(
        con_id=con_id,
        symbol=symbol,
        sec_type="STK",
        name=name,
        price=price,
        primary="NASDAQ",
        local_symbol=symbol,
        trading_class="NMS",
        stock_type="COMMON",
        industry=("Technology", "Computers", "Computers"),
    )


_APPLE = replace(_stock(265598, "AAPL", name="APPLE INC", price=190.0), isin="US0378331005")

INSTRUMENTS = (
    _APPLE,
    _stock(272093, "MSFT", name="MICROSOFT CORP", price=410.0),
    replace(_stock(756733, "SPY", name="SS SPDR S&P 500 ETF TRUST-US", price=520.0), primary="ARCA", stock_type="ETF"),
    replace(_stock(320227571, "QQQ", name="INVESCO QQQ TRUST SERIES 1", price=440.0), stock_type="ETF"),
    _stock(208813719, "GOOGL", name="ALPHABET INC-CL A", price=150.0),
    _stock(3691937, "AMZN", name="AMAZON.COM INC", price=175.0),
    _stock(4815747, "NVDA", name="NVIDIA CORP", price=880.0),
    _stock(76792991, "TSLA", name="TESLA INC", price=170.0),
    _stock(107113386, "META", name="META PLATFORMS INC-CLASS A", price=490.0),
    replace(_stock(8314, "IBM", name="INTL BUSINESS MACHINES CORP", price=185.0), primary="NYSE", trading_class="IBM"),
    Instrument(
        con_id=12087792,
        symbol="EUR",
        sec_type="CASH",
        name="European Monetary Union Euro",
        price=1.085,
        exchange="IDEALPRO",
        exchanges="IDEALPRO",
        local_symbol="EUR.USD",
        trading_class="EUR.USD",
        min_tick=0.00005,
        market_rule=239,
        farm="cashfarm",
        size=1_000_000,
    ),
    Instrument(
        con_id=495512563,
        symbol="ES",
        sec_type="FUT",
        name="E-mini S&P 500",
        price=5200.0,
        exchange="CME",
        exchanges="CME,QBALGO",
        expiry="20301220",
        multiplier="50",
        local_symbol="ESZ0",
        trading_class="ES",
        min_tick=0.25,
        market_rule=67,
        farm="usfuture",
        size=10,
    ),
    Instrument(
        con_id=700123456,
        symbol="AAPL",
        sec_type="OPT",
        name="APPLE INC",
        price=25.0,
        exchanges=OPTION_EXCHANGES,
        expiry="20300118",
        strike=200.0,
        right="C",
        multiplier="100",
        local_symbol="AAPL  300118C00200000",
        trading_class="AAPL",
        market_rule=109,
        farm="usopt",
        under_con_id=_APPLE.con_id,
        size=10,
    ),
)

COMBINATION = Instrument(
    con_id=28812380, symbol="", sec_type="BAG", name="", price=1.0, exchanges="SMART", local_symbol="comb", size=10
)
"""What every combination is: one contract id for all of them, whatever their legs."""

_RIGHTS = {"CALL": "C", "PUT": "P"}


class Catalogue:
    """Instruments by contract id; more can be added, for tests that need many."""

    def __init__(self, instruments: Iterable[Instrument] = INSTRUMENTS) -> None:
        self._by_id = {instrument.con_id: instrument for instrument in instruments}

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_id.values())

    def add(self, instrument: Instrument) -> None:
        """Make another instrument known."""
        self._by_id[instrument.con_id] = instrument

    def get(self, con_id: int) -> Instrument | None:
        """Return the instrument with this contract id."""
        return self._by_id.get(con_id)

    def find(self, query: ContractQuery) -> list[Instrument]:
        """Return every instrument the description fits, by contract id when one was given."""
        if query.sec_type == "BAG":
            return [replace(COMBINATION, symbol=query.symbol, currency=query.currency or COMBINATION.currency)]
        if query.con_id:
            known = self._by_id.get(query.con_id)
            return [known] if known else []
        return [instrument for instrument in self._by_id.values() if _fits(instrument, query)]

    def search(self, pattern: str) -> list[Instrument]:
        """Return stocks and currencies whose symbol begins with, or whose name contains, the pattern."""
        wanted = pattern.upper()
        return [
            instrument
            for instrument in self._by_id.values()
            if not instrument.under_con_id
            and wanted
            and (instrument.symbol.startswith(wanted) or wanted in instrument.name.upper())
        ]


def _fits(instrument: Instrument, query: ContractQuery) -> bool:
    right = query.right.upper()
    pairs = (
        (query.symbol, instrument.symbol),
        (query.sec_type, instrument.sec_type),
        (query.currency, instrument.currency),
        (query.local_symbol, instrument.local_symbol),
        (query.multiplier, instrument.multiplier),
        (query.trading_class, instrument.trading_class),
        (_RIGHTS.get(right, right), instrument.right),
    )
    return (
        bool(query.symbol or query.local_symbol)
        and all(wanted in ("", "?", has) for wanted, has in pairs)
        and instrument.expiry.startswith(query.expiry)
        and query.strike in (0.0, instrument.strike)
        and (not query.exchange or query.exchange.partition(":")[0] in instrument.exchanges.split(","))
    )
