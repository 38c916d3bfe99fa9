"""Which field of which message: the protobuf side of every message the simulator speaks, as facts of the wire.

Requests are in the order in which their handlers read the text fields of version 200, answers in the order in which
they are sent; whole orders and contract details by the names of their layouts.
"""

from collections.abc import Mapping
from types import MappingProxyType

from backstay.simulator.layout import Layout
from backstay.simulator.order_layouts import COMPLETED_ORDER, OPEN_ORDER, PLACE_ORDER
from backstay.simulator.reference import CONTRACT_DETAILS
from backstay.simulator.schema import Schema, parse

_ASKED = "2(1i 2s 3s 4s 5d 6s 7d 8s 9s 10s 11s 12s)"
"""The contract of a request; its twelve text fields."""

_ASKED_EXPIRED = "2(1i 2s 3s 4s 5d 6s 7d 8s 9s 10s 11s 12s 18b)"
_LEGS = "2(20*?(1i 2i 3s 4s))"

_TOLD = "1i 2s 3s 4s 5d 6s 7d 8s 10s 11s 12s"
"""What stands inside the contract of an answer: eleven text fields."""

_HELD = "1i 2s 3s 4s 5d 6s 7d 9s 10s 11s 12s"
"""The same, with the primary exchange."""

_KEY = "1i"
_NOTHING = ""

_REQUESTS: Mapping[int, str] = {
    1: f"1i {_ASKED} {_LEGS} _ 3s 4b 5b",
    **dict.fromkeys((2, 4, 8, 14, 18, 21, 23, 25, 51, 56, 57, 59, 63, 67, 70, 75, 77, 79, 83, 89, 90, 91), _KEY),
    **dict.fromkeys((93, 95, 98, 100, 101, 102, 103, 104, 106, 107, 108, 109), _KEY),
    **dict.fromkeys((5, 13, 16, 17, 24, 49, 58, 61, 64, 65, 66, 71, 80, 82, 85, 105), _NOTHING),
    **dict.fromkeys((12, 15, 99), "1b"),
    6: "1b 2s",
    7: "1i 2(1i 2s 3s 4s 5s 6s 7s 8i 9*i)",
    **dict.fromkeys((9, 50, 88), f"1i {_ASKED}"),
    10: f"1i {_ASKED} 3i 4b",
    11: "1i 2b",
    19: "2i 3s 1i",
    20: f"1i {_ASKED_EXPIRED} 3s 4s 5s 6b 7s 8i {_LEGS} 9b",
    22: "1i 2(1i)",
    **dict.fromkeys((54, 55), f"1i {_ASKED} 3d 4d"),
    **dict.fromkeys((62, 74, 92), "1i 2s 3s"),
    68: "1i 2i",
    **dict.fromkeys((69, 81), "1i 2s"),
    76: "1i 2s 3s 4b",
    78: "1i 2s 3s 4s 5i",
    84: "1i 2s 3s",
    86: "1i 2i 3s",
    87: f"1i {_ASKED_EXPIRED} 3b 4s 5i",
    94: "1i 2s 3s 4i",
    96: f"1i {_ASKED_EXPIRED} 3s 4s 5i 6s",
    97: f"1i {_ASKED} 3s 4i",
}

_ANSWERS: Mapping[int, str] = {
    1: "1i 2i 3d 4s 5i",
    2: "1i 2i 3s",
    3: "1i 2s 3s 4s 5d 6i 7i 8d 9i 10s 11d",
    6: "1s 2s 3s 4s",
    7: f"1({_HELD}) 2s 3d 4d 5d 6d 7d 8s",
    **dict.fromkeys((8, 15, 19, 54), "1s"),
    **dict.fromkeys((9, 49, 52, 55, 57, 64, 72, 74, 76, 109), _KEY),
    11: f"1i 3(1i) 2({_TOLD}) 3(2s 3s 4s 5s 6s 7s 8d 9i 10i 11b 12s 13d 14s 15s 16d 17s 18i 19b 20s)",
    12: "1i 2(1i 2i 3i 4d 5s)",
    13: "1i 2(1i 6s 2i 3i 4d 5s 7b)",
    14: "1i 2i 3s 4s",
    17: "1i 2*(1s 2d 3d 4d 5d 6s 7s 8i)",
    20: "1i 2*(1i 2(1i 2s 3s 4s 5d 6s 8s 10s 11s) 3s 2(12s) 4s 5s 6s 7s)",
    21: "1i 2i 3i 4d 5d 6d 7d 8d 9d 10d 11d",
    45: "1i 2i 3d",
    46: "1i 2i 3s",
    50: "1i 2i 3d 4d 5d 6d 7s 8s 9i",
    **dict.fromkeys((53, 62, 102), _NOTHING),
    58: "1i 2i",
    59: "1s 2d 3s 4d 5d 6s",
    61: f"1s 2({_TOLD}) 3s 4d",
    63: "1i 2s 3s 4s 5s",
    **dict.fromkeys((67, 68, 88, 107), "1i 2s"),
    71: f"1i 2s 3({_TOLD}) 4s 5d 6s",
    73: "1i 2s 3s 4s 5s 6s",
    75: "1i 2s 3i 4s 5s 6*s 7*d",
    77: "1i 2*(1s 2s 3s)",
    78: "1*(1s 2s)",
    79: "1i 2*(1(1i 2s 3s 9s 10s) 2*s 1(15s 16s))",
    80: "1*(1s 2s 3s 4s 5i)",
    81: "1i 2s 3s 4i",
    82: "1i 2*(1i 2s 3s)",
    83: "1i 2i 3s",
    85: "1*(1s 2s)",
    86: "1i 2s 3s 4s 5s",
    87: "1i 2b",
    89: "1i 2*(1d 2s)",
    90: "1i 2(8i 1s 2d 5d 3d 4d 7s 6s)",
    93: "1i 2*(1d 2d)",
    94: "1i 2d 3d 4d",
    95: "1i 2s 3d 4d 5d 6d",
    96: "1i 2*(1i _ 2d 3s) 3b",
    97: "1i 2*(1i _ 3d 4d 5s 6s) 3b",
    98: "1i 2*(1i _ 3d 4s 5s 6s) 3b",
    99: "1i 2?[1: 3(1i 3d 4s _ 5s 6s) | 2: 3(1i 3d 4s _ 5s 6s) | 3: 4(1i 3d 4d 5s 6s) | 4: 5(1i 2d)]",
    100: "1i 2i 3i",
    106: "1i 2s 3s 4s 5*(1s 2s 3s)",
    108: "1i 2s 3s",
    110: "1i 2(1s 2s 3s) 3*(1i 2s 3s 4s 5b) 4(2(1b 8i 18i 26b 31b 35b 36s))",
}

_CONTRACT = """
    con_id=1i symbol=2s sec_type=3s expiry=4s strike=5d right=6s multiplier=7d exchange=8s primary=9s currency=10s
    local_symbol=11s trading_class=12s
"""
_ORDER_CONTRACT = f"""
    {_CONTRACT} sec_id_type=13s sec_id=14s
    17(underlying_con_id=1i underlying_delta=2d underlying_price=3d)
    legs=20*(1i 2i 3s 4s 5i 6i 7s 8i) leg_prices=20*&(9d)
"""
_CONDITIONS = """
    conditions=100*(1?[
        1: 2c 3b 10d 4i 5s 11i |
        3: 2c 3b 12s |
        4: 2c 3b 8i |
        5: 2c 7s 5s 6s |
        6: 2c 3b 13i 4i 5s |
        7: 2c 3b 9d 4i 5s])
    conditions_flags=@(102b 101b)
"""
_ORDER = f"""
    parent_id=4i action=5s quantity=6s display_size=7i order_type=8s limit_price=9d aux_price=10d tif=11s account=12s
    settling_firm=13s clearing_account=14s clearing_intent=15s all_or_none=16b block_order=17b hidden=18b
    outside_rth=19b sweep_to_fill=20b percent_offset=21d trailing_percent=22d trail_stop_price=23d minimum=24i
    good_after=25s good_till=26s oca_group=27s order_ref=28s rule_80a=29s oca_type=30i trigger_method=31i
    active_start=32s active_stop=33s fa_group=34s fa_method=35s fa_percentage=36s volatility=37d volatility_type=38i
    continuous_update=39b reference_price_type=40i hedge_order_type=41s hedge_order_price=42d hedge_order_con_id=43i
    hedge_open_close=44s hedge_short_sale=45b hedge_short_slot=46i hedge_location=47s scale_first=48i scale_next=49i
    scale_increment=50d scale_adjust=51d scale_interval=52i scale_profit=53d scale_reset=54b scale_position=55i
    scale_filled=56i scale_random=57b scale_table=58s hedge_type=59s hedge_parameter=60s algo=61s
    algo_parameters=62*(1s 2s) algo_id=63s routing=64*(1s 2s) what_if=65b transmit=66b override_constraints=67b
    open_close=68s origin=69i short_slot=70i short_location=71s exempt_code=72i hedge_settling_firm=73s
    hedge_clearing_account=74s hedge_clearing_intent=75s discretionary=76d no_smart_routing=77b starting_price=78d
    stock_price=79d delta=80d range_lower=81d range_upper=82d not_held=83b solicited=85b random_size=86b
    random_price=87b benchmark_con_id=88i benchmark_change=89d benchmark_decrease=90b benchmark_reference=91d
    benchmark_exchange=92s adjusted_type=93s trigger_price=94d adjusted_stop=95d adjusted_limit=96d adjusted_trail=97d
    trail_unit=98i limit_offset=99d {_CONDITIONS} model=103s ext_operator=104s
    105(tier_name=1s tier_value=2s tier_text=3s) cash_quantity=106d decision_maker=107s decision_algo=108s
    execution_trader=109s execution_algo=110s no_auto_price=111b oms_container=112b discretionary_to_limit=113b
    cancel_with_parent=117b imbalance_only=119b price_management=122i duration=123i post_to_ats=124i
    reject_override=125s manual_time=126s least_trade=127i least_compete=128i compete_offset=129d mid_whole=130d
    mid_half=131d customer_account=132s professional=133b overnight=135b manual_indicator=136i
"""
_STATE = """
    status=1s init_before=2d maint_before=3d equity_before=4d init_change=5d maint_change=6d equity_change=7d
    init_after=8d maint_after=9d equity_after=10d commission=11d commission_min=12d commission_max=13d
    commission_currency=14s margin_currency=15s init_before_x=16d maint_before_x=17d equity_before_x=18d
    init_change_x=19d maint_change_x=20d equity_change_x=21d init_after_x=22d maint_after_x=23d equity_after_x=24d
    suggested_size=25s reject_reason=26s allocations=27*(1s 2s 3s 4s 5s 6s 7b) warning=28s completed_time=29s
    completed_status=30s
"""

REQUEST_SCHEMAS: Mapping[int, Schema] = MappingProxyType({number: parse(words) for number, words in _REQUESTS.items()})
"""By message id, for requests whose fields count by their order."""

ANSWER_SCHEMAS: Mapping[int, Schema] = MappingProxyType({number: parse(words) for number, words in _ANSWERS.items()})
"""By message id, for answers whose fields count by their order; errors (4) are written by ``protocol.errors``."""

PLACE_ORDER_ID = 3

PLACED = PLACE_ORDER, parse(f"order_id=1i 2({_ORDER_CONTRACT}) 3({_ORDER})")
"""placeOrder (3): its text layout and its schema."""

RECORD_SCHEMAS: Mapping[int, tuple[Layout, Schema]] = MappingProxyType(
    {
        5: (
            OPEN_ORDER,
            parse(
                f"order_id=1i 2({_ORDER_CONTRACT}) 4({_STATE})"
                f"3(client_id=1i order_id=2i perm_id=3i {_ORDER} accrued_interest=134s submitter=137s)"
            ),
        ),
        10: (
            CONTRACT_DETAILS,
            parse(
                f"""request_id=1i 2({_CONTRACT} last_trade=21s)
                3(market_name=1s min_tick=2s order_types=3s exchanges=4s magnifier=5i under_con_id=6i name=7s
                contract_month=8s industry=9s category=10s subcategory=11s time_zone=12s trading_hours=13s
                liquid_hours=14s ev_rule=15s ev_multiplier=16d sec_ids=17*(1s 2s) agg_group=18i under_symbol=19s
                under_sec_type=20s market_rules=21s real_expiry=22s stock_type=23s size_least=24s size_increment=25s
                size_suggested=26s ineligible=58*(1s 2s))"""
            ),
        ),
        101: (
            COMPLETED_ORDER,
            parse(
                f"""1({_ORDER_CONTRACT}) 3({_STATE}) 2(perm_id=3i {_ORDER} cancel_date=114s filled=115s
                future_con_id=116i shareholder=118s to_best_bid=120i parent_perm_id=121i submitter=137s)"""
            ),
        ),
    }
)
"""By message id, for answers whose fields have names."""
