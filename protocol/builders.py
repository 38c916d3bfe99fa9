"""Requests of an application of our own, built from one table of their fields (text layouts, versions 176 to 200).

A row is a name, a message id and its fields in the order of the wire. A field is `name:kind`, with `=default` where it
may be left out and `@version` where it came later (`@187-189`: and went again). `id` is the request id; `%0` is a
constant; `contract` stands for the twelve fields that tell an instrument, `legs` for those of a combination.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import cast

from backstay.protocol.builders_terms import Contract, Number, Order
from backstay.protocol.framing import fields
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Key, Request

LOWEST_BUILT, HIGHEST_BUILT = 176, 200
"""Server versions that requests are built for: one encoding, all text."""

UNSET_INTEGER = 2147483647
_TEXT = frozenset("\t\n\r") | frozenset(map(chr, range(0x20, 0x7F)))


class FieldError(ValueError):
    """A request that cannot be built; `field` names what is wrong with it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def write_text(name: str, value: object) -> str:
    """A text as it goes over the wire; only printable ASCII does."""
    if not isinstance(value, str):
        raise FieldError(name, f"must be a text, not {value!r}")
    if not _TEXT.issuperset(value):
        raise FieldError(name, "holds a character that the wire does not take (printable ASCII only)")
    return value


def write_integer(name: str, value: object) -> str:
    """A whole number of 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(name, f"must be a whole number, not {value!r}")
    if not -(2**63) <= value < 2**63:
        raise FieldError(name, "is out of range")
    return str(value)


def write_number(name: str, value: object) -> str:
    """A price or a size; None is written as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, Number):
        raise FieldError(name, f"must be a number, not {value!r}")
    number = Decimal(str(value))
    if not number.is_finite():
        raise FieldError(name, "must be finite")
    return str(value) if "e" not in str(value).lower() else format(number, "f")


def write_flag(name: str, value: object) -> str:
    """Yes or no."""
    if not isinstance(value, bool):
        raise FieldError(name, f"must be True or False, not {value!r}")
    return "1" if value else "0"


def write_tags(name: str, value: object) -> str:
    """A mapping of texts, as `tag=value;` one after the other."""
    if not isinstance(value, Mapping):
        raise FieldError(name, f"must be a mapping of texts, not {value!r}")
    pairs = [
        (write_text(name, tag), write_text(name, text)) for tag, text in cast("Mapping[object, object]", value).items()
    ]
    if any(mark in word for pair in pairs for word in pair for mark in "=;"):
        raise FieldError(name, "neither tags nor values can hold = or ;")
    return "".join(f"{tag}={text};" for tag, text in pairs)


Write = Callable[[str, object], str]

_KINDS: Mapping[str, Write] = {
    "text": write_text,
    "int": write_integer,
    "number": write_number,
    "flag": write_flag,
    "tags": write_tags,
}
_DEFAULTS: Mapping[str, Callable[[str], object]] = {
    "text": str,
    "int": int,
    "number": lambda text: float(text) if text else None,
    "flag": lambda text: text == "1",
    "tags": lambda _: {},
}

CONTRACT_FIELDS: tuple[tuple[str, Write], ...] = (
    ("con_id", write_integer),
    ("symbol", write_text),
    ("sec_type", write_text),
    ("expiry", write_text),
    ("strike", write_number),
    ("right", write_text),
    ("multiplier", write_text),
    ("exchange", write_text),
    ("primary_exchange", write_text),
    ("currency", write_text),
    ("local_symbol", write_text),
    ("trading_class", write_text),
)
COMBINATION = "BAG"

_SETTINGS_AND_TIME = (
    ("log_level", 14, "level:int"),
    ("auto_open_orders", 15, "bind:flag"),
    ("market_data_type", 59, "kind:int"),
    ("current_time", 49, ""),
    ("current_time_millis", 105, ""),
    ("next_order_id", 8, "%1"),
    ("managed_accounts", 17, ""),
    ("user_info", 104, "id"),
)
_MARKET = (
    (
        "market_data",
        1,
        "id contract legs %0 generic_ticks:text= snapshot:flag=0 regulatory_snapshot:flag=0 options:tags=",
    ),
    ("market_depth", 10, "id contract rows:int=5 smart:flag=0 options:tags="),
    ("tick_by_tick", 97, "id contract kind:text=Last count:int=0 ignore_size:flag=0"),
    ("realtime_bars", 50, "id contract %5 what:text=TRADES regular_hours:flag=1 options:tags="),
    ("implied_volatility", 54, "id contract option_price:number under_price:number options:tags="),
    ("option_price", 55, "id contract volatility:number under_price:number options:tags="),
    ("smart_components", 83, "id exchange_map:text"),
    ("depth_exchanges", 82, ""),
    (
        "scanner",
        22,
        (
            "id rows:int=-1 instrument:text location:text code:text above_price:number= below_price:number= "
            "above_volume:number= market_cap_above:number= market_cap_below:number= moody_above:text= "
            "moody_below:text= sp_above:text= sp_below:text= maturity_above:text= maturity_below:text= "
            "coupon_above:number= coupon_below:number= exclude_convertible:flag=0 option_volume_above:number= "
            "settings:text= stock_type:text= filters:tags= options:tags="
        ),
    ),
    ("scanner_parameters", 24, ""),
)
_HISTORY = (
    (
        "historical_bars",
        20,
        (
            "id contract include_expired end:text= bar_size:text duration:text regular_hours:flag=1 what:text=TRADES "
            "date_format:int=1 legs keep_up_to_date:flag=0 options:tags="
        ),
    ),
    (
        "historical_ticks",
        96,
        (
            "id contract include_expired start:text= end:text= count:int=1000 what:text=TRADES regular_hours:flag=1 "
            "ignore_size:flag=0 options:tags="
        ),
    ),
    (
        "head_timestamp",
        87,
        "id contract include_expired regular_hours:flag=1 what:text=TRADES date_format:int=1",
    ),
    ("histogram", 88, "id contract include_expired regular_hours:flag=1 period:text"),
)
_REFERENCE = (
    ("contract_details", 9, "id contract include_expired sec_id_type sec_id issuer_id"),
    ("matching_symbols", 81, "id pattern:text"),
    ("option_parameters", 78, "id symbol:text futures_exchange:text= sec_type:text con_id:int"),
    ("market_rule", 91, "rule_id:int"),
    ("soft_dollar_tiers", 79, "id"),
    ("family_codes", 80, ""),
    ("adviser_data", 18, "kind:int"),
    ("display_groups", 67, "id"),
    ("group_events", 68, "id group:int"),
)
_NEWS = (
    ("news_bulletins", 12, "all_messages:flag=1"),
    ("news_providers", 85, ""),
    ("news_article", 84, "id provider:text article:text options:tags="),
    (
        "historical_news",
        86,
        "id con_id:int providers:text start:text= end:text= count:int=10 options:tags=",
    ),
    ("event_metadata", 100, "id"),
    (
        "event_calendar",
        102,
        (
            "id con_id:int filter:text= watchlist:flag=0 portfolio:flag=0 competitors:flag=0 start:text= end:text= "
            f"limit:int={UNSET_INTEGER}"
        ),
    ),
)
_ACCOUNT = (
    ("account_updates", 6, "%1 account:text="),
    ("account_summary", 62, "id group:text=All tags:text"),
    ("account_updates_multi", 76, "id account:text= model:text= ledger_and_value:flag=0"),
    ("positions", 61, ""),
    ("positions_multi", 74, "id account:text= model:text="),
    ("pnl", 92, "id account:text model:text="),
    ("pnl_single", 94, "id account:text model:text= con_id:int"),
)
_ORDERS = (
    ("open_orders", 5, ""),
    ("all_open_orders", 16, ""),
    ("completed_orders", 99, "api_only:flag=0"),
    (
        "executions",
        7,
        (
            "id client_id:int=0 account:text= time:text= symbol:text= sec_type:text= exchange:text= side:text= "
            f"last_days:int={UNSET_INTEGER}@200 %0@200"
        ),
    ),
    (
        "exercise_options",
        21,
        (
            "id option action:int quantity:int account:text= override:int=0 manual_time:text=@180 "
            "customer_account:text=@183 professional:flag=0@184"
        ),
    ),
    (
        "cancel_order",
        4,
        (
            f"id manual_time:text= %@187-189 %@187-189 %{UNSET_INTEGER}@187-189 ext_operator:text=@192 "
            f"manual_indicator:int={UNSET_INTEGER}@192"
        ),
    ),
    (
        "global_cancel",
        58,
        f"ext_operator:text=@192 manual_indicator:int={UNSET_INTEGER}@192",
    ),
)

_CONTRACT_EXTRAS: Mapping[str, Write] = {
    "include_expired": write_flag,
    "sec_id_type": write_text,
    "sec_id": write_text,
    "issuer_id": write_text,
}
_OPTION_FIELDS = tuple(pair for pair in CONTRACT_FIELDS if pair[0] != "primary_exchange")
_OF_CONTRACT = frozenset({"contract", "option", "legs", *_CONTRACT_EXTRAS})


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of a request. `required`: there is no default."""

    name: str
    kind: str
    required: bool
    default: object
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Builder:
    """How to build one request: `names` are what the application may say, in the order of the wire."""

    name: str
    request: Request
    rows: tuple[FieldRow, ...]
    takes_contract: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The values that this request takes."""
        said = tuple(row.name for row in self.rows if row.kind in _KINDS)
        return ("contract", *said) if self.takes_contract else said


def _row(word: str) -> FieldRow:
    body, _, versions = word.partition("@")
    since, _, until = versions.partition("-")
    band = int(since or 0), int(until or HIGHEST_BUILT)
    said, equals, default = body.partition("=")
    name, _, kind = said.partition(":")
    if kind:
        value = _DEFAULTS[kind](default) if equals else None
        return FieldRow(name, kind, not equals, value, *band)
    if name.startswith("%"):
        return FieldRow("", "constant", required=False, default=name[1:], since=band[0], until=band[1])
    return FieldRow("", name, required=False, default=None, since=band[0], until=band[1])


def _builder(name: str, message_id: int, spec: str) -> Builder:
    rows = tuple(_row(word) for word in spec.split())
    return Builder(name, REQUESTS[message_id], rows, any(row.kind in _OF_CONTRACT for row in rows))


BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        name: _builder(name, message_id, spec)
        for group in (_SETTINGS_AND_TIME, _MARKET, _HISTORY, _REFERENCE, _NEWS, _ACCOUNT, _ORDERS)
        for name, message_id, spec in group
    }
)
"""Every request there is a builder for, by name; orders are built by `builders_orders`."""


def build(name: str, values: Mapping[str, object], *, version: int, key: int | None = None) -> bytes:
    """Return the payload of a request. `key` is its request id (or order id), where it has one.

    FieldError for a request or field that there is not, a value that does not fit, or one that is missing.
    """
    builder = BUILDERS.get(name)
    if builder is None:
        raise FieldError(name, "there is no such request")
    unknown = sorted(values.keys() - set(builder.names))
    if unknown:
        raise FieldError(unknown[0], f"{name} has no such field; it has {', '.join(builder.names) or 'none'}")
    check_version(builder.request, version)
    contract = values.get("contract")
    if builder.takes_contract and not isinstance(contract, Contract):
        raise FieldError("contract", f"must be a Contract, not {contract!r}")
    written: list[str] = []
    for row in builder.rows:
        if row.since <= version <= row.until:
            written += _write(row, values, key)
    return payload(builder.request, written, version)


def check_version(request: Request, version: int) -> None:
    """FieldError where a request does not exist at this server version, or nothing is built for it."""
    if not LOWEST_BUILT <= version <= HIGHEST_BUILT:
        raise FieldError("version", f"{version} is not among {LOWEST_BUILT} to {HIGHEST_BUILT}")
    if version < request.since:
        raise FieldError(request.name, f"needs server version {request.since}, and this gateway has {version}")


def payload(request: Request, written: Iterable[str], version: int) -> bytes:
    """Return a payload: message id, VERSION where the layout has one, fields."""
    head: list[object] = [request.id]
    if request.version_field is not None and version <= request.version_field[1]:
        head.append(request.version_number)
    return fields(*head, *written)


def _write(row: FieldRow, values: Mapping[str, object], key: int | None) -> list[str]:
    write = _KINDS.get(row.kind)
    if write is not None:
        if row.required and row.name not in values:
            raise FieldError(row.name, "is missing")
        return [write(row.name, values.get(row.name, row.default))]
    if row.kind == "constant":
        return [str(row.default)]
    if row.kind == "id":
        if key is None:
            raise FieldError("key", "this request needs an id")
        return [str(key)]
    contract = values["contract"]
    assert isinstance(contract, Contract)  # noqa: S101  # `build` has looked
    return list(_write_contract(row.kind, contract))


def _write_contract(kind: str, contract: Contract) -> Iterator[str]:
    if kind == "legs":
        yield from write_legs(contract)
    elif kind in _CONTRACT_EXTRAS:
        yield _CONTRACT_EXTRAS[kind](kind, getattr(contract, kind))
    else:
        for name, write in _OPTION_FIELDS if kind == "option" else CONTRACT_FIELDS:
            yield write(f"contract.{name}", getattr(contract, name))


def write_legs(contract: Contract) -> Iterator[str]:
    """Yield the short form of a combination's legs; nothing for another contract."""
    if contract.sec_type != COMBINATION:
        return
    yield str(len(contract.legs))
    for leg in contract.legs:
        yield write_integer("leg.con_id", leg.con_id)
        yield write_integer("leg.ratio", leg.ratio)
        yield write_text("leg.action", leg.action)
        yield write_text("leg.exchange", leg.exchange)


def takes_key(name: str) -> bool:
    """Tell whether a request carries an id of its own."""
    return BUILDERS[name].request.key is not Key.NONE


__all__ = ["BUILDERS", "Builder", "Contract", "FieldError", "Order", "build", "takes_key"]
