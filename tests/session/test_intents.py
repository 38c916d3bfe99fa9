"""The table of an order's states, walked as a whole, and what codes and statuses say of an order."""

import itertools

import pytest

from backstay.protocol.order_fields import OrderFacts, PlacedOrder
from backstay.session.errors import ImpossibleTransitionError
from backstay.session.intents import (
    CONCLUDED,
    HEARD,
    INTENT_TRANSITIONS,
    REJECTIONS,
    ROWS,
    Intent,
    IntentEvent,
    IntentKey,
    IntentState,
    Outcome,
    error_event,
    intent_step,
    order_event,
    refs_conflict,
)

PAIRS = list(itertools.product(IntentState, IntentEvent))


def intent(state=IntentState.SENT, **fields):
    order = PlacedOrder(order_id=5)
    return Intent(key=IntentKey("paper", 7, 5), order=order, payload=b"", version=200, state=state, **fields)


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair_has_a_transition_or_is_impossible(state, event):
    if (state, event) in INTENT_TRANSITIONS:
        transition = intent_step(state, event)
        assert transition == INTENT_TRANSITIONS[state, event]
    else:
        assert event not in HEARD, "what others say may come in every state"
        with pytest.raises(ImpossibleTransitionError, match=state.value):
            intent_step(state, event)


def test_no_pair_stands_in_the_table_twice():
    assert sum(len(states) for states, *_ in ROWS) == len(INTENT_TRANSITIONS)


@pytest.mark.parametrize(("state", "event"), [pair for pair in PAIRS if pair in INTENT_TRANSITIONS])
def test_an_outcome_is_given_exactly_when_an_order_is_concluded(state, event):
    transition = INTENT_TRANSITIONS[state, event]
    enters = transition.to in CONCLUDED and transition.to is not state
    assert (transition.outcome is not None) == enters


def test_nothing_that_is_sent_ends_by_the_loss_of_its_socket():
    for state in (IntentState.SENT, IntentState.IN_DOUBT, IntentState.LIVE):
        for event in (IntentEvent.LOST, IntentEvent.CHANGE_LOST, IntentEvent.UNANSWERED):
            transition = INTENT_TRANSITIONS.get((state, event))
            assert transition is None or transition.to not in CONCLUDED


def test_an_order_in_doubt_can_not_be_changed():
    assert (IntentState.IN_DOUBT, IntentEvent.CHANGE) not in INTENT_TRANSITIONS


def test_only_an_order_in_doubt_can_be_proved_absent():
    assert [state for state in IntentState if (state, IntentEvent.ABSENT) in INTENT_TRANSITIONS] == [
        IntentState.IN_DOUBT
    ]


def test_every_contradiction_of_a_conclusion_is_an_alarm():
    for (state, event), transition in INTENT_TRANSITIONS.items():
        if state in CONCLUDED and event in HEARD and transition.to is IntentState.LIVE:
            assert transition.alarm, (state, event)


@pytest.mark.parametrize("code", sorted(REJECTIONS))
def test_codes_that_prove_a_rejection_end_a_new_order_and_never_a_change(code):
    assert error_event(intent(), code) is IntentEvent.REFUSED
    assert error_event(intent(changes=1), code) is IntentEvent.UNANSWERED
    assert intent_step(IntentState.LIVE, IntentEvent.UNANSWERED).to is IntentState.LIVE


@pytest.mark.parametrize("code", [103, 104, 105, 202, 321, 399, 10148, 504, 1100])
def test_these_codes_never_end_an_order_by_themselves(code):
    for changes in (0, 1):
        event = error_event(intent(changes=changes), code)
        for state in IntentState:
            assert event is None or intent_step(state, event).to not in CONCLUDED or state in CONCLUDED


@pytest.mark.parametrize(
    ("code", "event"),
    [
        (103, IntentEvent.UNANSWERED),  # refused, but a first copy may live
        (321, IntentEvent.UNANSWERED),
        (200, IntentEvent.UNANSWERED),
        (399, None),
        (404, None),
        (202, None),
        (2165, None),
        (2102, None),
        (10349, None),
    ],
)
def test_other_codes_raise_doubt_or_nothing(code, event):
    assert error_event(intent(), code) is event


@pytest.mark.parametrize(
    ("status", "event"),
    [
        ("PendingSubmit", IntentEvent.ACKED),
        ("ApiPending", IntentEvent.ACKED),
        ("Inactive", IntentEvent.ACKED),
        ("", IntentEvent.ACKED),
        ("something new", IntentEvent.ACKED),
        ("PreSubmitted", IntentEvent.WORKING),
        ("Submitted", IntentEvent.WORKING),
        ("PendingCancel", IntentEvent.WORKING),
        ("Filled", IntentEvent.FILLED),
        ("Cancelled", IntentEvent.CANCELLED),
        ("ApiCancelled", IntentEvent.CANCELLED),
    ],
)
def test_a_status_says_whether_an_order_works(status, event):
    assert order_event(OrderFacts(message_id=3, order_id=5, client_id=7, status=status)) is event


@pytest.mark.parametrize(
    ("status", "event"),
    [("Filled", IntentEvent.FILLED), ("Cancelled", IntentEvent.CANCELLED), ("Inactive", IntentEvent.CANCELLED)],
)
def test_what_is_listed_as_completed_has_ended(status, event):
    assert order_event(OrderFacts(message_id=101, order_id=None, client_id=None, status=status)) is event


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ("a", "b", True),
        ("a", "a", False),
        ("", "b", False),
        ("a", "", False),
        ("long-reference", "long-ref", False),  # cut short
        ("long-ref", "long-reference", False),
        ("gr\xfcn", "green", False),
        ("gr\\u00fcn", "rot", False),
    ],
)
def test_references_conflict_only_if_both_are_plain_and_differ(one, other, conflict):
    assert refs_conflict(one, other) is conflict


def test_an_intent_tells_whether_it_is_concluded_and_whether_tws_ever_had_it():
    assert not intent().is_concluded
    assert intent(IntentState.DONE, outcome=Outcome.FILLED).is_concluded
    assert not intent().was_acknowledged
    assert intent(IntentState.IN_DOUBT, perm_id=1).was_acknowledged
    assert intent(IntentState.LIVE).was_acknowledged
