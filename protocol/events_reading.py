"""Reading a server's text messages (versions 176 to 200) into events: a table of layouts, and code beside it.

A layout is one letter a field behind id and VERSION: i integer, f float, F float or None, d Decimal, s text, b flag,
- a field nobody wants, C the eleven fields of a contract, P the same with the primary exchange. Ticks have functions of
their own: they come by the thousand.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from backstay.protocol import events as e
from backstay.protocol.builders_terms import Contract
from backstay.protocol.errors import read_error
from backstay.protocol.order_fields import read_order
from backstay.protocol.previews import Preview, read_preview
from backstay.protocol.responses import RESPONSES

Read = Callable[[list[str]], Any]
"""From the fields of one frame, split at NUL with the id first, to an event. IndexError or ValueError: malformed."""

HOT = frozenset({1, 2, 12, 13, 45, 46, 50, 99})
"""Messages that come by the thousand, and whose key stands in the frame as the text it was asked under."""

ENDS = frozenset({52, 53, 55, 57, 62, 64, 72, 74, 76, 87, 102, 108})
_UNSET_FLOAT = 1e300
_ENCODING = "latin-1"
_new: Callable[..., Any] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def text(value: str) -> str:
    """A text for people: TWS writes UTF-8, and each byte has been read as one character."""
    return value if value.isascii() else value.encode(_ENCODING).decode("utf-8", "replace")


def integer(value: str) -> int:
    """A whole number; nothing is 0."""
    return int(value) if value else 0


def number(value: str) -> float:
    """A number; nothing is 0."""
    return float(value) if value else 0.0


def number_or_none(value: str) -> float | None:
    """A number, or None where TWS says that there is none."""
    found = float(value) if value else _UNSET_FLOAT
    return None if abs(found) >= _UNSET_FLOAT else found


def decimal(value: str) -> Decimal:
    """A quantity; nothing is 0."""
    try:
        found = Decimal(value) if value else Decimal(0)
    except InvalidOperation as error:
        raise ValueError(value) from error
    return found


def flag(value: str) -> bool:
    """Yes or no."""
    return value not in ("", "0", "false")


_KINDS: Mapping[str, Callable[[str], Any]] = {
    "i": integer,
    "f": number,
    "F": number_or_none,
    "d": decimal,
    "s": text,
    "b": flag,
}
_CONTRACT_WIDTH = 11


def contract(values: list[str]) -> Contract:
    """The eleven fields that tell an instrument in most messages; the same value for the same instrument."""
    return _contract(tuple(values))


@lru_cache(maxsize=4_096)  # executions, positions and orders come again and again for the same instruments
def _contract(values: tuple[str, ...]) -> Contract:
    con_id, symbol, sec_type, expiry, strike, right, multiplier, venue, currency, local, trading_class = map(
        text, values
    )
    return Contract(
        con_id=integer(con_id),
        symbol=symbol,
        sec_type=sec_type,
        expiry=expiry,
        strike=number(strike) or None,
        right=right,
        multiplier=multiplier,
        currency=currency,
        local_symbol=local,
        trading_class=trading_class,
        exchange=venue,
    )


_LAYOUTS: Mapping[int, tuple[type, str]] = {
    3: (e.OrderStatus, "isddfiifisF"),
    6: (e.AccountValue, "ssss"),
    7: (e.Portfolio, "Pdfffffs"),
    8: (e.AccountTime, "s"),
    9: (e.NextOrderId, "i"),
    11: (e.Execution, "iiCsssssdfiiidfs"),
    21: (e.TickOption, "iiiFFFFFFFF"),
    49: (e.CurrentTime, "i"),
    54: (e.AccountEnd, "s"),
    58: (e.MarketDataType, "ii"),
    59: (e.Commission, "sfsFFi"),
    61: (e.Position, "sCdf"),
    63: (e.AccountSummary, "issss"),
    71: (e.PositionMulti, "isCdfs"),
    73: (e.AccountUpdateMulti, "isssss"),
    81: (e.TickParameters, "ifsi"),
    94: (e.ProfitAndLoss, "iFFF"),
    95: (e.ProfitAndLossSingle, "idFFFF"),
    109: (e.CurrentTimeMillis, "i"),
}


def _by_layout(made: type, layout: str, at: int) -> Read:
    steps: list[tuple[Callable[..., Any], slice | int]] = []
    for kind in layout:
        if kind in "CP":
            steps.append((_portfolio_contract if kind == "P" else contract, slice(at, at + _CONTRACT_WIDTH)))
            at += _CONTRACT_WIDTH
        else:
            steps.append((_KINDS[kind], at))
            at += 1

    def read(fields: list[str]) -> Any:
        return made(*[convert(fields[place]) for convert, place in steps])

    return read


def _portfolio_contract(values: list[str]) -> Contract:
    told = contract(values)
    return replace(told, exchange="", primary_exchange=told.exchange)


# -- messages that come by the thousand ------------------------------------------------------------------------------


def _tick_price(f: list[str]) -> Any:
    return _new(e.TickPrice, (int(f[2]), int(f[3]), float(f[4]), float(f[5] or 0), int(f[6] or 0)))


def _tick_size(f: list[str]) -> Any:
    return _new(e.TickSize, (int(f[2]), int(f[3]), float(f[4] or 0)))


def _tick_generic(f: list[str]) -> Any:
    return _new(e.TickGeneric, (int(f[2]), int(f[3]), float(f[4] or 0)))


def _tick_string(f: list[str]) -> Any:
    return _new(e.TickString, (int(f[2]), int(f[3]), f[4]))


def _depth(f: list[str]) -> Any:
    return e.Depth(int(f[2]), int(f[3]), "", int(f[4]), int(f[5]), float(f[6]), float(f[7]))


def _depth_of_maker(f: list[str]) -> Any:
    smart = len(f) > 9 and flag(f[9])
    return e.Depth(int(f[2]), int(f[3]), text(f[4]), int(f[5]), int(f[6]), float(f[7]), float(f[8]), smart)


def _realtime_bar(f: list[str]) -> Any:
    prices = float(f[4]), float(f[5]), float(f[6]), float(f[7])
    return _new(e.RealtimeBar, (int(f[2]), int(f[3]), *prices, float(f[8]), float(f[9]), int(f[10])))


def _tick_by_tick(f: list[str]) -> Any:
    request_id, kind, when = int(f[1]), int(f[2]), int(f[3])
    if kind in (1, 2):
        conditions = text(f[8])
        return e.TradeTick(request_id, kind, when, float(f[4]), float(f[5]), int(f[6]), text(f[7]), conditions)
    if kind == 3:
        prices = float(f[4]), float(f[5])
        return e.BidAskTick(request_id, when, *prices, float(f[6]), float(f[7]), int(f[8]))
    return e.MidpointTick(request_id, when, float(f[4]))


# -- messages that a row cannot describe -----------------------------------------------------------------------------


def _payload(fields: list[str]) -> bytes:
    return "\0".join(fields).encode(_ENCODING)


def _error(version: int) -> Read:
    def read(fields: list[str]) -> e.Error:
        found = read_error(_payload(fields), version)
        if found is None:
            raise ValueError("not an error")
        return e.Error(found.id, found.code, found.text, found.reject, found.time_ms)

    return read


def _accounts(fields: list[str]) -> e.ManagedAccounts:
    return e.ManagedAccounts(tuple(account for account in fields[2].split(",") if account))


def _order_terms(f: list[str], at: int) -> tuple[Any, ...]:
    """From the contract to the order reference: the same in open and completed orders."""
    prices = number_or_none(f[at + 14]), number_or_none(f[at + 15])
    terms = text(f[at + 11]), decimal(f[at + 12]), text(f[at + 13]), *prices
    # behind the account: whether it opens or closes, and its origin
    return contract(f[at : at + 11]), *terms, text(f[at + 16]), text(f[at + 18]), text(f[at + 21])


def _order(version: int) -> Read:
    def read(f: list[str]) -> e.OpenOrder | Preview:
        facts = read_order(_payload(f), version)
        preview = read_preview(_payload(f), version) if facts and facts.what_if else None
        if preview is not None:
            return preview
        terms = _order_terms(f, 2)
        status = facts.status if facts else ""
        return e.OpenOrder._make((int(f[1]), *terms, integer(f[24]), integer(f[25]), status))

    return read


def _completed(version: int) -> Read:
    def read(f: list[str]) -> e.CompletedOrder:
        facts = read_order(_payload(f), version)
        return e.CompletedOrder._make((*_order_terms(f, 1), integer(f[23]), facts.status if facts else ""))

    return read


def _bars(version: int) -> Read:
    first = 2 if version >= 196 else 4  # before, the range that was asked for came with the bars

    def read(f: list[str]) -> e.Bars:
        count, at = int(f[first]), first + 1
        return e.Bars(int(f[1]), tuple(_bar(f[at + 8 * row : at + 8 * row + 8]) for row in range(count)))

    return read


def _bar(f: list[str]) -> e.Bar:
    return e.Bar._make((f[0], *map(float, f[1:7]), int(f[7])))


def _bar_update(f: list[str]) -> e.BarUpdate:
    opened, close, high, low, average, volume = map(float, f[4:10])
    return e.BarUpdate(int(f[1]), e.Bar(f[3], opened, high, low, close, volume, average, int(f[2])))


def _details(version: int) -> Read:
    dated = version >= 182  # the last trading day has a field of its own

    def read(f: list[str]) -> e.ContractDetails:
        f = [text(value) for value in f]
        request_id, symbol, sec_type, expiry = integer(f[1]), f[2], f[3], f[4]
        at = 6 if dated else 5
        strike, right, exchange, currency, local, market, trading_class, con_id = f[at : at + 8]
        at += 8
        smallest, multiplier, order_types, exchanges, magnifier, underlying, name, primary = f[at : at + 8]
        told = Contract(
            con_id=integer(con_id),
            symbol=symbol,
            sec_type=sec_type,
            expiry=expiry,
            strike=number(strike) or None,
            right=right,
            multiplier=multiplier,
            exchange=exchange,
            primary_exchange=primary,
            currency=currency,
            local_symbol=local,
            trading_class=trading_class,
        )
        numbers = number(smallest), order_types, exchanges, integer(magnifier), integer(underlying)
        month, industry, category, subcategory, zone, hours, liquid = f[at + 8 : at + 15]
        words = month, industry, category, subcategory, zone, hours, liquid
        return e.ContractDetails(request_id, told, market, *numbers, name, *words, tuple(f[at + 15 : -1]))

    return read


_FUNCTIONS: Mapping[int, Read] = {
    1: _tick_price,
    2: _tick_size,
    12: _depth,
    13: _depth_of_maker,
    15: _accounts,
    45: _tick_generic,
    46: _tick_string,
    50: _realtime_bar,
    90: _bar_update,
    99: _tick_by_tick,
}
_BY_VERSION: Mapping[int, Callable[[int], Read]] = {
    4: _error,
    5: _order,
    10: _details,
    17: _bars,
    101: _completed,
}


@lru_cache(maxsize=32)
def readers(version: int) -> Mapping[str, tuple[int, int | None, Read]]:
    """By the text a frame begins with: the message id, where its key stands among the fields, how to read it."""
    return MappingProxyType(dict(_readers(version)))


def _readers(version: int) -> Iterator[tuple[str, tuple[int, int | None, Read]]]:
    for message_id, row in RESPONSES.items():
        first = 2 if row.version_field is not None and version <= row.version_field[1] else 1
        key = None if row.key_index is None else first + row.key_index
        yield str(message_id), (message_id, key, _reader(message_id, version, (first, key)))


def _reader(message_id: int, version: int, places: tuple[int, int | None]) -> Read:
    first, key = places
    if message_id in _FUNCTIONS:
        return _FUNCTIONS[message_id]
    if message_id in _BY_VERSION:
        return _BY_VERSION[message_id](version)
    if message_id in _LAYOUTS:
        return _by_layout(*_LAYOUTS[message_id], first)
    if message_id in ENDS:
        return lambda fields: e.SnapshotEnd(message_id, None if key is None else int(fields[key]))
    return lambda fields: plain(message_id, fields, places)


def plain(message_id: int, fields: list[str], places: tuple[int, int | None] = (1, None)) -> e.Message:
    """A message without a class of its own, or one that could not be read."""
    first, key = places
    found = fields[key] if key is not None and key < len(fields) else ""
    return e.Message(
        message_id, int(found) if found.lstrip("-").isdigit() else None, tuple(map(text, fields[first:-1]))
    )
