"""placeOrder: the longest request, as a table of its fields with what stands in them when nothing is said.

A word is `name` or `name=default`; a group has the versions it is in and, where what came before decides, a test.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from backstay.protocol.builders import (
    COMBINATION,
    CONTRACT_FIELDS,
    FieldError,
    check_version,
    payload,
    write_flag,
    write_integer,
    write_number,
    write_text,
)
from backstay.protocol.builders_terms import Contract, Order
from backstay.protocol.requests import REQUESTS

PLACE_ORDER = REQUESTS[3]
_LARGEST, _UNSET = "1.7976931348623157e+308", "2147483647"

Said = Mapping[str, str]


def _always(_: Said) -> bool:
    return True


def _is_combination(said: Said) -> bool:
    return said.get("sec_type") == COMBINATION


def _has(name: str) -> Callable[[Said], bool]:
    return lambda said: bool(said.get(name))


def _is_scaled(said: Said) -> bool:
    return float(said.get("scale_increment") or 0) > 0


def _is_type(*types: str) -> Callable[[Said], bool]:
    return lambda said: said.get("order_type") in types


def _is_ats(said: Said) -> bool:
    return said.get("exchange") == "IBKRATS"


def _has_mid_offsets(said: Said) -> bool:
    best = said.get("order_type") in ("PEG BEST", "PEGBEST")
    return said.get("order_type") in ("PEG MID", "PEGMID") or (best and said.get("compete_offset") == "Infinity")


@dataclass(frozen=True, slots=True)
class Group:
    """Fields in order."""

    words: str
    since: int = 0
    until: int = 1000
    test: Callable[[Said], bool] = _always


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of a combination's legs, or of an algorithm's parameters."""

    name: str
    test: Callable[[Said], bool]


_LAYOUT: tuple[Group | Rows, ...] = (
    Group("order_id con_id symbol sec_type expiry strike right multiplier exchange primary_exchange currency"),
    Group("local_symbol trading_class sec_id_type sec_id"),
    Group("action quantity order_type limit_price aux_price tif oca_group account open_close origin=0 order_ref"),
    Group(
        "transmit=1 parent_id=0 block_order=0 sweep_to_fill=0 display_size=0 trigger_method=0 outside_rth=0 hidden=0"
    ),
    Rows("legs", _is_combination),
    Group("shares_allocation discretionary=0 good_after good_till fa_group fa_method fa_percentage"),
    Group("fa_profile", until=176),
    Group("model short_slot=0 short_location exempt_code=-1 oca_type=0 rule_80a settling_firm all_or_none=0 minimum"),
    Group("percent_offset e_trade_only=0 firm_quote_only=0 price_cap auction=0 starting_price stock_price delta"),
    Group("range_lower range_upper override_constraints=0 volatility volatility_type hedge_order_type"),
    Group("hedge_order_price"),
    Group("hedge_order_con_id hedge_settling_firm hedge_clearing_account", test=_has("hedge_order_type")),
    Group("hedge_clearing_intent hedge_open_close hedge_short_sale=0", test=_has("hedge_order_type")),
    Group("hedge_short_slot=0 hedge_location", test=_has("hedge_order_type")),
    Group("continuous_update=0 reference_price_type trail_stop_price trailing_percent"),
    Group("scale_first scale_next scale_increment"),
    Group("scale_adjust scale_interval scale_profit scale_reset=0", test=_is_scaled),
    Group("scale_position scale_filled scale_random=0", test=_is_scaled),
    Group("scale_table active_start active_stop hedge_type"),
    Group("hedge_parameter", test=_has("hedge_type")),
    Group("no_smart_routing=0 clearing_account clearing_intent not_held=0 has_underlying=0"),
    Group("underlying_con_id underlying_delta underlying_price", test=_has("underlying_con_id")),
    Group("algo"),
    Rows("algo_parameters", _has("algo")),
    Group("algo_id what_if=0 misc_options solicited=0 random_size=0 random_price=0"),
    Group("benchmark_con_id=0 benchmark_decrease=0 benchmark_change=0", test=_is_type("PEG BENCH", "PEGBENCH")),
    Group("benchmark_reference=0 benchmark_exchange", test=_is_type("PEG BENCH", "PEGBENCH")),
    Group(f"condition_count=0 adjusted_type trigger_price={_LARGEST} limit_offset={_LARGEST}"),
    Group(f"adjusted_stop={_LARGEST} adjusted_limit={_LARGEST} adjusted_trail={_LARGEST} trail_unit=0"),
    Group(f"ext_operator tier_name tier_value cash_quantity={_LARGEST} decision_maker decision_algo"),
    Group("execution_trader execution_algo no_auto_price=0 oms_container=0 discretionary_to_limit=0"),
    Group(f"price_management duration={_UNSET} post_to_ats={_UNSET} cancel_with_parent=0 reject_override manual_time"),
    Group("least_trade", test=_is_ats),
    Group("least_compete compete_offset", test=_is_type("PEG BEST", "PEGBEST")),
    Group("mid_whole mid_half", test=_has_mid_offsets),
    Group("customer_account", since=183),
    Group("professional=0", since=184),
    Group(f"rfq_text rfq_number={_UNSET}", since=187, until=189),
    Group("overnight=0", since=189),
    Group(f"manual_indicator={_UNSET}", since=192),
    Group("imbalance_only=0", since=199),
)

_ORDER_KINDS: Mapping[str, Callable[[str, object], str]] = {
    **dict.fromkeys(("action", "order_type", "tif", "account", "order_ref", "oca_group"), write_text),
    **dict.fromkeys(("good_after", "good_till", "algo"), write_text),
    **dict.fromkeys(("quantity", "limit_price", "aux_price", "trail_stop_price", "trailing_percent"), write_number),
    **dict.fromkeys(("transmit", "outside_rth", "hidden", "all_or_none", "what_if"), write_flag),
    **dict.fromkeys(("parent_id", "oca_type", "display_size"), write_integer),
}


def _split(words: str) -> tuple[tuple[str, str], ...]:
    pairs = (word.partition("=") for word in words.split())
    return tuple((name, default) for name, _, default in pairs)


_WORDS = {item.words: _split(item.words) for item in _LAYOUT if isinstance(item, Group)}
_NAMED = frozenset(_ORDER_KINDS) | {name for name, _ in CONTRACT_FIELDS} | {"order_id", "sec_id_type", "sec_id"}
MORE: Mapping[str, str] = MappingProxyType(
    {name: default for pairs in _WORDS.values() for name, default in pairs}
    | dict.fromkeys(_NAMED | {"condition_count", "has_underlying"}, "")
)
"""Every field of an order, with what it holds when nothing is said of it."""

_NOT_IN_MORE = _NAMED | {"condition_count", "has_underlying"}


def place_order(contract: Contract, order: Order, *, order_id: int, version: int) -> bytes:
    """Return the payload of placeOrder; FieldError with the name of the field for what cannot be written."""
    if not isinstance(contract, Contract):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is checked
        raise FieldError("contract", f"must be a Contract, not {contract!r}")
    if not isinstance(order, Order):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise FieldError("order", f"must be an Order, not {order!r}")
    check_version(PLACE_ORDER, version)
    said = _say(contract, order, order_id)
    written: list[str] = []
    for item in _LAYOUT:
        if not item.test(said):
            continue
        if isinstance(item, Rows):
            written += _ROWS[item.name](contract, order)
        elif item.since <= version <= item.until:
            written += [said.get(name) or default for name, default in _WORDS[item.words]]
    return payload(PLACE_ORDER, written, version)


def _say(contract: Contract, order: Order, order_id: int) -> dict[str, str]:
    said = {"order_id": write_integer("order_id", order_id)}
    said |= {name: write(f"contract.{name}", getattr(contract, name)) for name, write in CONTRACT_FIELDS}
    said |= {name: write_text(f"contract.{name}", getattr(contract, name)) for name in ("sec_id_type", "sec_id")}
    said |= {name: write(f"order.{name}", getattr(order, name)) for name, write in _ORDER_KINDS.items()}
    if order.action not in ("BUY", "SELL", "SSHORT", "SLONG"):
        raise FieldError("order.action", f"must be BUY, SELL, SSHORT or SLONG, not {order.action!r}")
    if not said["quantity"]:
        raise FieldError("order.quantity", "is missing")
    for name, value in order.more.items():
        if name not in MORE or name in _NOT_IN_MORE:
            raise FieldError(f"order.more.{name}", "there is no such field beside those that have a name of their own")
        said[name] = _write_any(f"order.more.{name}", value)
    if said.get("underlying_con_id"):
        said["has_underlying"] = "1"
    return said


def _write_any(name: str, value: object) -> str:
    if isinstance(value, bool):
        return write_flag(name, value)
    return write_text(name, value) if isinstance(value, str) else write_number(name, value)


def _write_legs(contract: Contract, _order: Order) -> Iterator[str]:
    yield str(len(contract.legs))
    for leg in contract.legs:
        yield write_integer("leg.con_id", leg.con_id)
        yield write_integer("leg.ratio", leg.ratio)
        yield write_text("leg.action", leg.action)
        yield write_text("leg.exchange", leg.exchange)
        yield write_integer("leg.open_close", leg.open_close)
        yield write_integer("leg.short_slot", leg.short_slot)
        yield write_text("leg.short_location", leg.short_location)
        yield write_integer("leg.exempt_code", leg.exempt_code)
    priced = [leg for leg in contract.legs if leg.price is not None]
    prices = contract.legs if priced else ()
    yield str(len(prices))
    for leg in prices:
        yield write_number("leg.price", leg.price)
    yield "0"  # routing parameters


def _write_algo(_contract: Contract, order: Order) -> Iterator[str]:
    yield str(len(order.algo_parameters))
    for tag, value in order.algo_parameters.items():
        yield write_text("order.algo_parameters", tag)
        yield write_text("order.algo_parameters", value)


_ROWS: Mapping[str, Callable[[Contract, Order], Iterator[str]]] = {"legs": _write_legs, "algo_parameters": _write_algo}

assert {row.name for row in fields(Order)} == {*_ORDER_KINDS, "algo_parameters", "more"}  # noqa: S101  # no field is lost
