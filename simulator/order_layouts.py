"""The three messages that carry a whole order: placeOrder in, openOrder and completedOrder out.

Names are our own words for the fields; the order and the versions are facts of the wire (100 to 200;
the protobuf fields of the same names are in ``schema_tables``).
"""

from backstay.simulator.fields import read_number
from backstay.simulator.layout import Conditions, Layout, Record, Repeated, When, flags, join, plain


def _is_combo(record: Record) -> bool:
    return record.get("sec_type") == "BAG"


def _has_hedge_order(record: Record) -> bool:
    return bool(record.get("hedge_order_type"))


def _is_scaled(record: Record) -> bool:
    return (read_number(record.get("scale_increment")) or 0.0) > 0


def _has_hedge(record: Record) -> bool:
    return bool(record.get("hedge_type"))


def _has_underlying(record: Record) -> bool:
    return record.on("has_underlying")


def _has_algo(record: Record) -> bool:
    return bool(record.get("algo"))


def _is_pegged_to_benchmark(record: Record) -> bool:
    return record.get("order_type") in ("PEG BENCH", "PEGBENCH")


def _routes_to_ats(record: Record) -> bool:
    return record.get("exchange") == "IBKRATS"


def _is_peg_best(record: Record) -> bool:
    return record.get("order_type") in ("PEG BEST", "PEGBEST")


def _has_mid_offsets(record: Record) -> bool:
    if record.get("order_type") in ("PEG MID", "PEGMID"):
        return True
    return _is_peg_best(record) and record.get("compete_offset") in ("Infinity", "Infinite", "inf")


_CONTRACT = plain("con_id symbol sec_type expiry strike right multiplier exchange")
_CONTRACT_TAIL = plain("currency local_symbol trading_class")

_LEGS = (Repeated("legs", 8), Repeated("leg_prices", 1), Repeated("routing", 2))
_SCALE = join(
    plain("scale_first scale_next scale_increment"),
    (
        When(
            _is_scaled,
            plain("scale_adjust scale_interval scale_profit scale_reset scale_position scale_filled scale_random"),
        ),
    ),
)
_HEDGE = join(plain("hedge_type"), (When(_has_hedge, plain("hedge_parameter")),))
_UNDERLYING = join(
    flags("has_underlying"), (When(_has_underlying, plain("underlying_con_id underlying_delta underlying_price")),)
)
_ALGO = join(plain("algo"), (When(_has_algo, (Repeated("algo_parameters", 2),)),))
_BENCHMARK = (
    When(
        _is_pegged_to_benchmark,
        plain("benchmark_con_id benchmark_decrease benchmark_change benchmark_reference benchmark_exchange", since=102),
    ),
)
_HEDGE_ORDER = plain("hedge_order_con_id hedge_settling_firm hedge_clearing_account hedge_clearing_intent")
_HEDGE_ORDER_TAIL = plain("hedge_short_sale hedge_short_slot hedge_location")

PLACE_ORDER: Layout = join(
    plain("order_id"),
    _CONTRACT,
    plain("primary"),
    _CONTRACT_TAIL,
    plain("sec_id_type sec_id"),
    plain(
        "action quantity order_type limit_price aux_price tif oca_group account open_close origin order_ref transmit"
    ),
    plain("parent_id block_order sweep_to_fill display_size trigger_method outside_rth hidden"),
    (When(_is_combo, _LEGS),),
    plain("shares_allocation discretionary good_after good_till fa_group fa_method fa_percentage"),
    plain("fa_profile", until=176),
    plain("model", since=103),
    plain("short_slot short_location exempt_code oca_type rule_80a settling_firm all_or_none minimum percent_offset"),
    plain("e_trade_only firm_quote_only price_cap auction starting_price stock_price delta range_lower range_upper"),
    plain("override_constraints volatility volatility_type hedge_order_type hedge_order_price"),
    (When(_has_hedge_order, join(_HEDGE_ORDER, plain("hedge_open_close"), _HEDGE_ORDER_TAIL)),),
    plain("continuous_update reference_price_type trail_stop_price trailing_percent"),
    _SCALE,
    plain("scale_table active_start active_stop"),
    _HEDGE,
    plain("no_smart_routing clearing_account clearing_intent not_held"),
    _UNDERLYING,
    _ALGO,
    plain("algo_id what_if misc_options solicited random_size random_price"),
    _BENCHMARK,
    (Conditions(),),
    plain("adjusted_type trigger_price limit_offset adjusted_stop adjusted_limit adjusted_trail trail_unit", since=102),
    plain("ext_operator", since=105),
    plain("tier_name tier_value", since=106),
    plain("cash_quantity", since=111),
    plain("decision_maker decision_algo", since=138),
    plain("execution_trader execution_algo", since=139),
    plain("no_auto_price", since=141),
    plain("oms_container", since=145),
    plain("discretionary_to_limit", since=148),
    plain("price_management", since=151),
    plain("duration", since=158),
    plain("post_to_ats", since=160),
    plain("cancel_with_parent", since=162),
    plain("reject_override", since=166),
    plain("manual_time", since=169),
    (
        When(_routes_to_ats, plain("least_trade", since=170)),
        When(_is_peg_best, plain("least_compete compete_offset", since=170)),
        When(_has_mid_offsets, plain("mid_whole mid_half", since=170)),
    ),
    plain("customer_account", since=183),
    plain("professional", since=184),
    plain("rfq_text rfq_number", since=187, until=189),
    plain("overnight", since=189),
    plain("manual_indicator", since=192),
    plain("imbalance_only", since=199),
)
"""placeOrder behind VERSION."""

_PEGS = plain("least_trade least_compete compete_offset mid_whole mid_half", since=170)

_ORDER = join(
    _CONTRACT,
    _CONTRACT_TAIL,
    plain("action quantity order_type limit_price aux_price tif oca_group account open_close"),
    flags("origin"),
    plain("order_ref"),
)
_BOX = plain("starting_price stock_price delta range_lower range_upper display_size")
_SHORT = join(flags("short_slot"), plain("short_location"), plain("exempt_code", default="-1"))
_VOLATILITY = join(plain("volatility"), flags("volatility_type"), plain("hedge_order_type hedge_order_price"))
_ADVISER = join(plain("fa_group fa_method fa_percentage"), plain("fa_profile", until=176), plain("model", since=103))
_TERMS = plain("good_till rule_80a percent_offset settling_firm")
_TRAIL = join(flags("continuous_update reference_price_type"), plain("trail_stop_price trailing_percent"))

_MARGINS = join(
    plain("init_before maint_before equity_before init_change maint_change equity_change", since=142),
    plain("init_after maint_after equity_after commission commission_min commission_max commission_currency"),
    plain("margin_currency", since=195),
    plain("init_before_x maint_before_x equity_before_x init_change_x maint_change_x equity_change_x", since=195),
    plain("init_after_x maint_after_x equity_after_x suggested_size reject_reason", since=195),
    (Repeated("allocations", 7, since=195),),
    plain("warning"),
)
"""What a preview says: margins before, change and after; from 195 outside regular hours too."""

_ADJUSTED = join(
    plain("adjusted_type trigger_price trail_stop_price limit_offset", since=102),
    plain("adjusted_stop adjusted_limit adjusted_trail", since=102),
    flags("trail_unit", since=102),
)

OPEN_ORDER: Layout = join(
    plain("order_id"),
    _ORDER,
    plain("client_id perm_id"),
    flags("outside_rth hidden"),
    plain("discretionary good_after shares_allocation"),
    _ADVISER,
    _TERMS,
    _SHORT,
    flags("auction"),
    _BOX,
    flags("block_order sweep_to_fill all_or_none"),
    plain("minimum"),
    flags("oca_type e_trade_only firm_quote_only"),
    plain("price_cap"),
    flags("parent_id trigger_method"),
    _VOLATILITY,
    (When(_has_hedge_order, join(_HEDGE_ORDER, plain("hedge_open_close"), _HEDGE_ORDER_TAIL)),),
    _TRAIL,
    plain("basis_points basis_points_type combo_text"),
    _LEGS,
    _SCALE,
    _HEDGE,
    flags("no_smart_routing"),
    plain("clearing_account clearing_intent"),
    flags("not_held"),
    _UNDERLYING,
    _ALGO,
    flags("solicited what_if"),
    plain("status"),
    _MARGINS,
    flags("random_size random_price"),
    _BENCHMARK,
    (Conditions(),),
    _ADJUSTED,
    plain("tier_name tier_value tier_text", since=106),
    plain("cash_quantity", since=111),
    flags("no_auto_price", since=141),
    flags("oms_container", since=145),
    flags("discretionary_to_limit", since=148),
    flags("price_management", since=151),
    plain("duration", since=158),
    plain("post_to_ats", since=160),
    flags("cancel_with_parent", since=162),
    _PEGS,
    plain("customer_account", since=183),
    flags("professional", since=184),
    plain("accrued_interest", since=185),
    flags("overnight", since=189),
    plain("ext_operator manual_indicator", since=193),
    plain("submitter", since=198),
    flags("imbalance_only", since=199),
)
"""openOrder (5) behind VERSION."""

COMPLETED_ORDER: Layout = join(
    _ORDER,
    plain("perm_id"),
    flags("outside_rth hidden"),
    plain("discretionary good_after"),
    _ADVISER,
    _TERMS,
    _SHORT,
    _BOX,
    flags("sweep_to_fill all_or_none"),
    plain("minimum"),
    flags("oca_type trigger_method"),
    _VOLATILITY,
    (When(_has_hedge_order, join(plain("hedge_order_con_id"), _HEDGE_ORDER_TAIL)),),
    _TRAIL,
    plain("combo_text"),
    _LEGS,
    _SCALE,
    _HEDGE,
    plain("clearing_account clearing_intent"),
    flags("not_held"),
    _UNDERLYING,
    _ALGO,
    flags("solicited"),
    plain("status"),
    flags("random_size random_price"),
    _BENCHMARK,
    (Conditions(),),
    plain("trail_stop_price limit_offset"),
    plain("cash_quantity", since=111),
    flags("no_auto_price", since=141),
    flags("oms_container", since=145),
    plain("cancel_date filled"),
    flags("future_con_id cancel_with_parent"),
    plain("shareholder"),
    flags("imbalance_only to_best_bid parent_perm_id"),
    plain("completed_time completed_status"),
    _PEGS,
    plain("customer_account", since=183),
    flags("professional", since=184),
    plain("submitter", since=198),
)
"""completedOrder (101)."""
