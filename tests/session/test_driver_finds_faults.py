"""The driver is only worth something if it finds a broken session: each sabotage here must make some schedule fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from schedules import Player, plan
from speech_orders import place

from backstay.protocol.order_fields import read_placed
from backstay.session import acts, hearing, missed, order_news, repeats, sieve, unspoken, verdicts
from backstay.session.core import Core
from backstay.session.counter import Counter
from backstay.session.desk import Desk
from backstay.session.errors import ImpossibleTransitionError
from backstay.session.evidence import Executions, Ground
from backstay.session.families import Families
from backstay.session.firsts import Firsts, Silence
from backstay.session.intent_table import IntentTable
from backstay.session.ledger import Ledger
from backstay.session.lifecycle import Action
from backstay.session.notices import Notice
from backstay.session.order_words import WriteDown
from backstay.session.orders import Journal, Orders, Readiness
from backstay.session.pacing import Lane, Outbox
from backstay.session.pulse import Pulse
from backstay.session.trades import Trades
from backstay.session.watched import CURRENT_TIME, MANAGED_ACCOUNTS, NEXT_VALID_ID

SEEDS = 400

_settle_action = acts.ACTS[Action.SETTLE]
_announce = acts.ACTS[Action.ANNOUNCE]
_step, _tell_down = Core.step, Core.tell_down
_over_at, _begin_turn = Families._over_at, Families.begin
_add_fill, _judge_silence, _write_down = Executions.add, Firsts.verdict, Trades.write_down


def _without_epochs(self, event, now, **at):
    if getattr(event, "epoch", None) is not None:
        event = replace(event, epoch=self.owed.epoch)
    return _step(self, event, now, **at)


def _always_new(self, facts):
    _add_fill(self, facts)
    return True


def _never_again(self, entry, now):
    silence = _judge_silence(self, entry, now)
    return None if silence is Silence.REPEAT else silence


def _told_each_time(self):
    self.desk.told_down = False
    _tell_down(self)


def _sent_before_it_is_kept(self, item, intent, orders):
    item.intent, item.is_order = intent.key, True
    page = orders.table.take_page()
    if orders.journal is not Journal.OFF and page is not None:
        self.effects.append(WriteDown(orders.next_token(), page))
    self.outbox.push(Lane.ORDERS, item)


def _under_a_new_id(self, item, intent, orders):
    if intent.attempt > 1:
        new = place(self.version, intent.key.order_id + 500, quantity=1, order_ref="", word="new")
        item = replace(item, payload=new)
    _write_down(self, item, intent, orders)


def _sent_without_a_word(core):
    while core.orders.to_ask_owner:
        verdicts._send_again(core, core.orders.to_ask_owner.popitem()[1])


def _kept_like_an_order(self, item, version, *, epoch, at):
    placed = replace(read_placed(item.payload, version), what_if=False)
    return self.table.place(placed, (item.payload, version), client_id=self.client_id, epoch=epoch, at=at)


def _is_our_own(orders, facts):
    return facts.client_id == orders.client_id


def _never_over(self, family, now, ledger):
    return float("inf") if _over_at(self, family, now, ledger) > 0.0 else float("-inf")


def _without_a_turn(self, entry, now, *, longest_seconds):
    _begin_turn(self, entry, now, longest_seconds=longest_seconds)
    entry.has_turn = False


def _settled_early(self):
    _announce(self)
    _settle_action(self)


SABOTAGE: dict[str, tuple[Any, str, Callable[..., Any] | property]] = {
    "clocks without spacing": (Pulse, "earliest_question", lambda _self: float("-inf")),
    "no pace": (Outbox, "wait_seconds", lambda _self, _now, **_: 0.0),
    "no epoch is looked at": (Core, "step", _without_epochs),
    "queued for ever": (Ledger, "break_off", lambda _self, _now: False),
    "half answers asked again": (Ledger, "take_halves", lambda _self, _epoch: []),
    "what was dropped not asked again": (Firsts, "verdict", _never_again),
    "cancelled streams kept": (Ledger, "close", lambda _self, _entry, _what: None),
    "settings not replayed": (Ledger, "set", lambda _self, _number, _payload: None),
    "credit kept": (Desk, "settle", lambda _self: None),
    "the outage not told": (Core, "tell_down", lambda _self: None),
    "the outage told twice": (Core, "tell_down", _told_each_time),
    "orders never in doubt": (Counter, "tell_doubts", lambda _self, _detail: None),
    "an order forgotten": (Desk, "_settle_queued", lambda _self, _item: None),
    "an order held while away": (Desk, "refuse_orders", lambda _self: None),
    "an order without a record": (Trades, "write_down", _sent_before_it_is_kept),
    "orders leave without a link to IB": (Desk, "recall_orders", lambda _self, _detail: None),
    "orders leave before the lists have come": (Orders, "readiness", lambda _self, **_: (Readiness.YES, "")),
    "silence believed before things have settled": (Ground, "settles", lambda _self, _intent: True),
    "sent again though nobody allowed it": (verdicts, "resend_refusal", lambda _intent, _case, _rule: None),
    "sent again while its owner is asked": (verdicts, "_ask_owner", _sent_without_a_word),
    "sent again under a new id": (Trades, "write_down", _under_a_new_id),
    "order ids that fall": (IntentTable, "floor", lambda _self, _client_id: 1),
    "fills told as often as they are listed": (Executions, "add", _always_new),
    "news that nobody has heard taken for told": (hearing, "keep", lambda _core, _payload: None),
    "what was said to nobody taken for told": (missed, "keep", lambda _core, _payload: None),
    "an end not told": (verdicts, "_tell_end", lambda _core, _intent: None),
    "an order that TWS dropped is not missed": (unspoken, "_doubt", lambda _core, _order_id: None),
    "a full disk asked without end": (Trades, "disk_rests", property(lambda _self: False, lambda _self, _rests: None)),
    "a cancel that was lost with its socket": (Ledger, "take_cancels_out", lambda _self: []),
    "a cancel that TWS dropped": (unspoken, "_repeat_cancel", lambda _core, _order_id, _sent: None),
    "a cancel that an earlier life owed": (IntentTable, "owed_cancels", lambda _self, _client_id: frozenset()),
    "a preview kept like an order": (Orders, "place", _kept_like_an_order),
    "a preview that TWS dropped": (unspoken, "_repeat_preview", lambda _core, _order_id, _sent: None),
    "a preview that was lost with its socket": (Ledger, "take_previews", lambda _self, _epoch: []),
    "a preview refused twice": (repeats.Repeats, "_is_extra_refusal", lambda _self, _payload, _version: False),
    "a preview answered twice": (repeats, "_is_preview", lambda _payload, _version: False),
    "others' fills told to whoever asks": (order_news, "_is_for_client", lambda _orders, _facts: True),
    "others' fills kept from the master": (order_news, "_is_for_client", _is_our_own),
    "unkeyed requests that wait for nobody": (Desk, "_waits_its_turn", lambda _self, _item, _entry, _now: False),
    "unkeyed requests beside our own": (Desk, "_is_ours", lambda _self, _family: False),
    "unkeyed requests behind one that TWS dropped": (Families, "_over_at", _never_over),
    "an answer taken for that to the oldest": (Families, "begin", _without_a_turn),
}


SHOWN_BY = {
    "half answers asked again": 40,
    "what was dropped not asked again": 21,
    "an order held while away": 17,
    "silence believed before things have settled": 6760,
    "sent again under a new id": 37,
    "order ids that fall": 1141,
    "an order that TWS dropped is not missed": 209,
    "a cancel that was lost with its socket": 45,
    "a cancel that TWS dropped": 2608,
    "a cancel that an earlier life owed": 90,
    "a preview refused twice": 438,
    "a preview answered twice": 82,
    "sent again while its owner is asked": 45,
}
"""Seeds that are looked at first, since those before them show nothing: time is all they save."""


def find(seeds: int, first: int = 0) -> int | None:
    """A schedule that fails."""
    for seed in (first, *range(seeds)):
        try:
            Player(plan(seed)).live()
        except (AssertionError, ImpossibleTransitionError):
            return seed
    return None


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_sabotaged_session_fails_a_schedule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, method, instead = SABOTAGE[name]
    assert hasattr(owner, method)
    monkeypatch.setattr(owner, method, instead)
    assert find(SEEDS, SHOWN_BY.get(name, 0)) is not None


@pytest.mark.parametrize("number", [CURRENT_TIME, NEXT_VALID_ID, MANAGED_ACCOUNTS])
def test_a_sieve_that_lets_everything_through_is_found(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sieve._DECISIONS, number, lambda _self, _payload: True)
    assert find(SEEDS) is not None


@pytest.mark.parametrize("action", [Action.BACK_OFF, Action.RESTORE, Action.GRIEVE, Action.HANG_UP, Action.PROBE])
def test_an_action_that_does_nothing_is_found(action: Action, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(acts.ACTS, action, lambda _self: None)
    assert find(SEEDS) is not None


def test_failures_forgotten_before_a_connection_has_proved_itself_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(acts.ACTS, Action.ANNOUNCE, _settled_early)
    assert find(SEEDS) is not None


def test_an_error_that_ends_a_live_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Notice.ORDER_NOT_SENT.value
    monkeypatch.setattr(Notice.ORDER_IN_DOUBT, "_value_", row)
    assert find(SEEDS) is not None


def test_an_unharmed_session_fails_none_of_the_first() -> None:
    assert find(10) is None
