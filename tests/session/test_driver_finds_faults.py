"""The driver is only worth something if it finds a broken session: each sabotage here must make some schedule fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from schedules import Player, plan

from backstay.session import core, sieve
from backstay.session.core import Core
from backstay.session.counter import Counter
from backstay.session.desk import Desk
from backstay.session.errors import ImpossibleTransitionError
from backstay.session.ledger import Ledger
from backstay.session.lifecycle import Action
from backstay.session.notices import Notice
from backstay.session.pacing import Outbox
from backstay.session.pulse import Pulse
from backstay.session.sieve import CURRENT_TIME, MANAGED_ACCOUNTS, NEXT_VALID_ID

SEEDS = 400

SABOTAGE: dict[str, tuple[type, str, Callable[..., Any]]] = {
    "clocks without spacing": (Pulse, "earliest_question", lambda _self: float("-inf")),
    "no pace": (Outbox, "wait_seconds", lambda _self, _now, **_: 0.0),
    "queued for ever": (Ledger, "break_off", lambda _self, _now: False),
    "half answers asked again": (Ledger, "take_halves", lambda _self, _epoch: []),
    "cancelled streams kept": (Ledger, "drop", lambda _self, _entry: None),
    "orders never in doubt": (Counter, "tell_doubts", lambda _self, _detail: None),
    "an order forgotten": (Desk, "_settle_queued", lambda _self, _item: None),
    "an order held while away": (Desk, "refuse_orders", lambda _self: None),
    "credit kept": (Desk, "settle_refund", lambda _self: None),
    "the outage not told": (Core, "tell_down", lambda _self: None),
    "settings not replayed": (Ledger, "set", lambda _self, _number, _payload: None),
}


def find(seeds: int) -> int | None:
    """The first schedule that fails."""
    for seed in range(seeds):
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
    assert find(SEEDS) is not None


@pytest.mark.parametrize("number", [CURRENT_TIME, NEXT_VALID_ID, MANAGED_ACCOUNTS])
def test_a_sieve_that_lets_everything_through_is_found(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sieve._DECISIONS, number, lambda _self, _payload: True)
    assert find(SEEDS) is not None


@pytest.mark.parametrize("action", [Action.BACK_OFF, Action.RESTORE, Action.GRIEVE, Action.HANG_UP, Action.PROBE])
def test_an_action_that_does_nothing_is_found(action: Action, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(core._ACTIONS, action, lambda _self: None)
    assert find(SEEDS) is not None


def test_an_error_that_ends_a_live_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Notice.ORDER_NOT_SENT.value
    monkeypatch.setattr(Notice.ORDER_IN_DOUBT, "_value_", row)
    assert find(SEEDS) is not None


def test_an_unharmed_session_fails_none_of_the_first() -> None:
    assert find(10) is None
