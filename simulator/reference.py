"""Reference data of the simulated world that is the same for everybody: layouts and fixed tables."""

import time

from backstay.simulator.catalogue import ORDER_TYPES, Instrument
from backstay.simulator.fields import show
from backstay.simulator.layout import Layout, Record, Repeated, flags, join, plain

CONTRACT_DETAILS: Layout = join(
    plain("request_id symbol sec_type expiry"),
    plain("last_trade", since=182),
    plain("strike right exchange currency local_symbol market_name trading_class con_id min_tick"),
    flags("size_multiplier", since=110, until=163),
    plain("multiplier order_types exchanges magnifier under_con_id name primary contract_month"),
    plain("industry category subcategory time_zone trading_hours liquid_hours ev_rule ev_multiplier"),
    (Repeated("sec_ids", 2),),
    plain("agg_group", since=121),
    plain("under_symbol under_sec_type", since=122),
    plain("market_rules", since=126),
    plain("real_expiry", since=134),
    plain("stock_type", since=152),
    plain("size_step", since=163, until=163),
    plain("size_least size_increment size_suggested", since=164),
    (Repeated("ineligible", 2, since=186),),
)
"""contractDetails (10) behind VERSION; no funds, which would have more fields from 179 on."""

HOURS = {"CASH": "{day}:1715-{day}:1700", "FUT": "{day}:1700-{day}:1600"}
STOCK_HOURS = "{day}:0930-{day}:1600"

UNDERLYING_TYPES = {"OPT": "STK", "FUT": "IND"}
DERIVATIVES = {"STK": ("CFD", "OPT", "IOPT", "WAR", "BAG"), "FUT": ("FOP", "BAG")}

MARKET_RULES: dict[int, tuple[tuple[float, float], ...]] = {
    26: ((0.0, 0.01),),
    67: ((0.0, 0.25),),
    109: ((0.0, 0.01), (3.0, 0.05)),
    239: ((0.0, 0.00005),),
}
"""Smallest price steps by rule: from a price on, this step."""

SMART_COMPONENTS = ((0, "AMEX", "A"), (1, "NYSE", "N"), (2, "ARCA", "P"), (3, "NASDAQ", "Q"), (4, "BATS", "Z"))

DEPTH_EXCHANGES = (
    ("ISLAND", "STK", "NASDAQ", "Deep2", 1),
    ("ARCA", "STK", "", "Deep", 1),
    ("BATS", "STK", "", "Deep", 1),
    ("CME", "FUT", "", "Deep", 2147483647),
    ("IDEALPRO", "CASH", "", "Deep", 4),
)
"""Exchange, security type, listing exchange, kind of service, aggregation group."""

NEWS_PROVIDERS = (("BRFG", "Briefing.com General Market Columns"), ("DJNL", "Dow Jones Newsletters"))

EXPIRATIONS = ("20300118", "20300215", "20300315", "20300621", "20301220")
STRIKE_SHARES = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2)
"""Strikes of option chains as shares of the underlying's price."""

SCANNER_PARAMETERS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ScanParameterResponse><InstrumentList><Instrument><name>US Stocks</name>'
    "<type>STK</type></Instrument></InstrumentList><ScanTypeList><ScanType><displayName>Top % Gainers</displayName>"
    "<scanCode>TOP_PERC_GAIN</scanCode></ScanType></ScanTypeList></ScanParameterResponse>\n"
)


def details(instrument: Instrument, exchange: str) -> Record:
    """Return what contractDetails says about an instrument."""
    industry, category, subcategory = instrument.industry
    exchanges = instrument.exchanges.split(",")
    day = time.strftime("%Y%m%d", time.gmtime())
    hours = HOURS.get(instrument.sec_type, STOCK_HOURS).format(day=day)
    step = "1" if instrument.sec_type in ("FUT", "OPT") else "0.0001"
    under_type = UNDERLYING_TYPES.get(instrument.sec_type, "")
    values = {
        "symbol": instrument.symbol,
        "sec_type": instrument.sec_type,
        "expiry": instrument.expiry,
        "last_trade": instrument.expiry,
        "strike": show(instrument.strike),
        "right": instrument.right,
        "exchange": exchange or instrument.exchange,
        "currency": instrument.currency,
        "local_symbol": instrument.local_symbol,
        "market_name": instrument.trading_class,
        "trading_class": instrument.trading_class,
        "con_id": str(instrument.con_id),
        "min_tick": show(instrument.min_tick),
        "size_multiplier": str(instrument.size),
        "multiplier": instrument.multiplier,
        "order_types": ORDER_TYPES,
        "exchanges": instrument.exchanges,
        "magnifier": "1",
        "under_con_id": str(instrument.under_con_id),
        "name": instrument.name,
        "primary": instrument.primary,
        "contract_month": instrument.expiry[:6],
        "industry": industry,
        "category": category,
        "subcategory": subcategory,
        "time_zone": "US/Eastern",
        "trading_hours": hours,
        "liquid_hours": hours,
        "ev_multiplier": "0",
        "agg_group": "1",
        "under_symbol": instrument.symbol if under_type else "",
        "under_sec_type": under_type,
        "market_rules": ",".join([str(instrument.market_rule)] * len(exchanges)),
        "real_expiry": instrument.expiry,
        "stock_type": instrument.stock_type,
        "size_step": "1",
        "size_least": step,
        "size_increment": step,
        "size_suggested": str(instrument.size),
    }
    return Record(values, {"sec_ids": [("ISIN", instrument.isin)] if instrument.isin else []})


def option_chain(instrument: Instrument) -> list[str]:
    """Return the strikes of an underlying's options."""
    return [show(round(instrument.price * share)) for share in STRIKE_SHARES]
