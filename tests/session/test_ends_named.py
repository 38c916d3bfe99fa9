"""An order that TWS lists no more, and whose end it has named as it refused a cancel (10148): that is how it ended."""

from __future__ import annotations

import pytest
from script import Script, lose
from speech import ask, error
from speech_orders import Told, open_order, status
from test_ordering import V, journalled

from backstay.protocol.codes import order_state
from backstay.protocol.messages import message_id
from backstay.protocol.order_fields import read_order
from backstay.session import orders as orders_module
from backstay.session.intents import IntentEvent, IntentKey, Outcome, end_of
from backstay.session.order_words import WrittenDown
from backstay.session.resend import ResendRule
from backstay.session.vocabulary import Deliver, Timer

SETTLED_SECONDS = 10.0
ORDER, CANCEL = ask(V, 3, 500), ask(V, 4, 500)
WORKING = Told(500, 77, 1, 0, "Submitted")


def too_late(state: str, code: int = 10148) -> bytes:
    return error(V, 500, code, f"OrderId 500 that needs to be cancelled can not be cancelled, state: {state}.")


def working(**settings) -> Script:
    """Order 500 works."""
    script = journalled(**settings).ask(ORDER)
    script.step(WrittenDown(script.core.orders.token))
    return script.hear(open_order(V, WORKING), status(V, WORKING))


def settled(script: Script) -> Script:
    """The round that the timer asks for has ended, and TWS lists nothing."""
    return script.ring(Timer.RECONCILE, after=SETTLED_SECONDS).reconcile()


def told(script: Script) -> list[object]:
    """Codes and statuses that the client was told on our own account, in order."""
    words: list[object] = []
    for effect in script.new:
        if isinstance(effect, Deliver):
            facts = read_order(effect.data[4:], V) if message_id(effect.data[4:], V) == 3 else None
            words += [facts.status] if facts is not None else [code for _, code in script.codes([effect])]
    return words


def outcome(script: Script) -> Outcome | None:
    intent = script.core.orders.table.get(script.core.orders.client_id, 500)
    return None if intent is None else intent.outcome


@pytest.mark.parametrize(
    ("state", "words", "ended"),
    [
        ("Cancelled", ["Cancelled"], Outcome.CANCELLED),
        ("ApiCancelled", ["Cancelled"], Outcome.CANCELLED),
        ("Filled", ["Filled"], Outcome.FILLED),
        ("PendingCancel", [2162, "Inactive"], Outcome.OVER),
        ("Inactive", [2162, "Inactive"], Outcome.OVER),
        ("", [2162, "Inactive"], Outcome.OVER),
    ],
)
def test_an_order_that_is_listed_no_more_ended_as_tws_has_named_it(state, words, ended):
    script = working().ask(CANCEL).hear(too_late(state))
    assert too_late(state) in script.passed
    assert outcome(script) is None, "the word alone concludes nothing"
    assert told(settled(script)) == words
    assert outcome(script) is ended


def test_a_refused_cancel_asks_for_a_round_where_none_was_planned():
    script = working().ask(CANCEL)
    assert script.core.orders.reconciliation.due is None
    assert script.hear(too_late("Cancelled")).armed(Timer.RECONCILE) is not None


def test_an_order_that_is_still_listed_works_on_whatever_was_named():
    script = working().ask(CANCEL).hear(too_late("Cancelled")).ring(Timer.RECONCILE, after=SETTLED_SECONDS)
    questions = script.new
    script.hear(open_order(V, WORKING), status(V, WORKING))
    script.new = questions
    assert told(script.reconcile()) == []
    assert script.core.orders.reconciliation.reconciled
    assert outcome(script) is None


def test_the_end_that_a_repeated_cancel_met_counts_although_the_client_does_not_hear_of_it():
    script = working().ask(CANCEL)
    script.now += 4.9
    script.hear(open_order(V, WORKING)).ring(Timer.VERIFY, after=0.1)
    assert script.written() == [CANCEL]
    script.hear(too_late("Filled"))
    assert script.passed == b""
    assert told(settled(script)) == ["Filled"]


def test_an_order_of_which_nothing_was_heard_is_not_unknown_to_a_tws_that_refuses_its_cancel_so():
    script = journalled(resend=ResendRule(enabled=True)).ask(ORDER)
    script.step(WrittenDown(script.core.orders.token))
    lose(script)
    script.ask(CANCEL).again()
    script.hear(too_late("", 161))
    assert told(settled(script)) == [2162, "Inactive"]
    assert not script.reports("order_sent_again")


def test_what_is_written_of_an_order_later_makes_the_named_end_old():
    script = working().ask(CANCEL).hear(too_late("Cancelled")).ask(ask(V, 3, 500, word="change"))
    script.step(WrittenDown(script.core.orders.token))
    assert script.core.orders.ends_named == {}


@pytest.mark.parametrize("order_id", [501, -1])
def test_a_cancel_that_was_refused_of_an_order_nobody_knows_asks_for_nothing(order_id):
    script = working().hear(error(V, order_id, 10148, "state: Cancelled"))
    assert script.core.orders.ends_named == {}
    assert script.core.orders.reconciliation.due is None


def test_an_order_that_has_ended_asks_for_no_round():
    script = working().hear(status(V, Told(500, 77, 1, 1, "Filled"))).ask(CANCEL).hear(too_late("Filled"))
    assert script.core.orders.ends_named == {}


def test_a_cancel_refused_before_the_client_has_said_its_id_concerns_no_order():
    script = Script().greet().connect().hello()
    script.hear(error(V, 500, 10148, "state: Cancelled"))
    assert script.owed.orders is None


def test_named_ends_are_remembered_within_a_limit(monkeypatch):
    monkeypatch.setattr(orders_module, "MAX_SENT", 2)
    orders = working().core.orders
    for order_id in range(3):
        orders.note_end(IntentKey("paper", 7, order_id), IntentEvent.FILLED)
    assert [key.order_id for key in orders.ends_named] == [1, 2]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("OrderId 9 that needs to be cancelled can not be cancelled, state: Filled.", "Filled"),
        ("state:Cancelled", "Cancelled"),
        ("Cancel attempted when order is not in a cancellable state. Order permId = 7", ""),
        ("a restate: Filled", ""),
        ("", ""),
    ],
)
def test_the_state_stands_behind_its_word(text, state):
    assert order_state(text) == state


def test_only_an_end_is_taken_for_one():
    assert [end_of(state) for state in ("Filled", "ApiCancelled", "Submitted", "new word")] == [
        IntentEvent.FILLED,
        IntentEvent.CANCELLED,
        IntentEvent.OVER,
        IntentEvent.OVER,
    ]
