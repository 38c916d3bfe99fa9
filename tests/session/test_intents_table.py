"""The intents of a connection: what each call and each word of TWS does to them, and what is written down."""

from dataclasses import replace

import pytest

from backstay.protocol.order_fields import ExecutionFacts, OrderFacts, PlacedOrder
from backstay.protocol.order_layouts import COMPLETED_ORDER
from backstay.session import intent_table
from backstay.session.errors import ImpossibleTransitionError
from backstay.session.intent_table import IntentTable
from backstay.session.intents import (
    HighWater,
    Intent,
    IntentEvent,
    IntentKey,
    IntentState,
    JournalPage,
    Moment,
    Outcome,
    PlaceRefusal,
)

AT = Moment(100.0, 5_000.0)
LATER = Moment(200.0, 5_100.0)
ME = 7
FRAME = (b"3\x005\x00", 200)


def key(order_id=5):
    return IntentKey("paper", ME, order_id)


@pytest.fixture
def table():
    made = IntentTable("paper")
    made.note_next_id(ME, 1)
    return made


def place(table, order_id=5, *, ref="", epoch=1, at=AT, frame=FRAME):
    placed = table.place(PlacedOrder(order_id=order_id, order_ref=ref), frame, client_id=ME, epoch=epoch, at=at)
    assert isinstance(placed, Intent)
    return placed


@pytest.mark.parametrize(
    ("order", "others", "grouped"),
    [
        ({}, {}, False),
        ({"transmit": False}, {}, True),
        ({"parent_id": 4}, {}, True),
        ({"oca_group": "either"}, {}, True),
        ({}, {"parent_id": 5}, True),
        ({}, {"parent_id": 9}, False),
    ],
)
def test_whether_an_order_belongs_with_others(table, order, others, grouped):
    for one in (PlacedOrder(order_id=5, **order), PlacedOrder(order_id=6, **others)):
        table.place(one, FRAME, client_id=ME, epoch=1, at=AT)
    assert table.in_group(table.get(ME, 5)) is grouped


def said(order_id=5, status="Submitted", *, perm_id=77, ref="", client_id=ME, number=5, **more):
    return OrderFacts(
        message_id=number,
        order_id=order_id,
        client_id=client_id,
        perm_id=perm_id,
        order_ref=ref,
        status=status,
        **more,
    )


def filled(order_id=5, *, ref="", perm_id=77):
    return ExecutionFacts(
        request_id=-1, order_id=order_id, client_id=ME, exec_id="01.01", perm_id=perm_id, order_ref=ref
    )


def state(table, order_id=5):
    found = table.get(ME, order_id)
    return None if found is None else found.state


# -- placing ----------------------------------------------------------------------------------------------------------


def test_an_order_is_on_the_page_as_sent_before_anything_is_written(table):
    placed = place(table)
    assert (placed.state, placed.epoch, placed.attempt, placed.written_at) == (IntentState.SENT, 1, 1, AT.now)
    assert table.take_page() == JournalPage((placed,), (HighWater("paper", ME, 5),))
    assert table.take_page() is None


def test_what_the_journal_could_not_keep_is_on_the_next_page_as_it_is_then(table):
    place(table)
    page = table.take_page()
    table.put_back(page)
    table.hear_order(said(), AT)
    again = table.take_page()
    assert again is not None
    assert [intent.state for intent in again.intents] == [IntentState.LIVE]
    assert again.high_waters == page.high_waters


def test_a_page_that_comes_back_after_its_intent_was_forgotten_is_none(table, monkeypatch):
    monkeypatch.setattr(intent_table, "MAX_CONCLUDED", 0)
    place(table)
    page = table.take_page()
    table.hear_order(said(status="Cancelled"), AT)
    table.take_page()
    table.put_back(replace(page, high_waters=()))
    assert table.take_page() is None


def test_a_held_order_becomes_sent_when_it_is_sent(table):
    held = table.hold(PlacedOrder(order_id=5), FRAME, client_id=ME, at=AT)
    assert isinstance(held, Intent)
    assert (held.state, held.sent_wall) == (IntentState.INTENT, 0.0)
    sent = table.send(key(), 3, LATER)
    assert (sent.state, sent.epoch, sent.attempt, sent.sent_wall) == (IntentState.SENT, 3, 1, LATER.wall)


def test_what_is_held_is_replaced_by_what_the_client_says_next(table):
    table.hold(PlacedOrder(order_id=5), FRAME, client_id=ME, at=AT)
    held = table.hold(PlacedOrder(order_id=5, order_ref="new"), FRAME, client_id=ME, at=AT)
    assert isinstance(held, Intent)
    assert held.order.order_ref == "new"
    placed = place(table, ref="newest")
    assert (placed.state, placed.order.order_ref, placed.changes) == (IntentState.SENT, "newest", 0)


def test_a_change_of_a_sent_order_can_not_be_held(table):
    place(table)
    assert table.hold(PlacedOrder(order_id=5), FRAME, client_id=ME, at=AT) is PlaceRefusal.IN_USE


def test_a_change_is_counted_and_waits_for_a_word(table):
    place(table)
    table.hear_order(said(), AT)
    changed = place(table, frame=(b"3\x005\x00changed\x00", 200), at=LATER)
    assert (changed.state, changed.changes, changed.change_pending) == (IntentState.LIVE, 1, True)
    assert (changed.payload, changed.written_at) == (b"3\x005\x00changed\x00", LATER.now)
    assert table.hear_order(said(), AT) is None
    assert state(table) is IntentState.LIVE
    assert not table.get(ME, 5).change_pending


def test_an_id_in_doubt_is_not_used_for_anything(table):
    place(table)
    table.lost(AT)
    refused = table.place(PlacedOrder(order_id=5), FRAME, client_id=ME, epoch=2, at=AT)
    assert refused is PlaceRefusal.IN_DOUBT
    assert table.in_doubt() == table.open_intents()


def test_more_open_orders_than_the_limit_are_refused(table, monkeypatch):
    monkeypatch.setattr(intent_table, "MAX_OPEN", 2)
    place(table, 1)
    place(table, 2)
    third = PlacedOrder(order_id=3)
    assert table.place(third, FRAME, client_id=ME, epoch=1, at=AT) is PlaceRefusal.TOO_MANY
    assert table.hold(third, FRAME, client_id=ME, at=AT) is PlaceRefusal.TOO_MANY
    assert place(table, 2).changes == 1, "a change is not one more"
    table.hear_order(said(1, "Filled"), AT)
    assert place(table, 3).state is IntentState.SENT


@pytest.mark.parametrize("order_id", [2**31 - 1, 2**40, -(2**31)])
def test_what_is_no_order_id_is_refused(table, order_id):
    refused = table.place(PlacedOrder(order_id=order_id), FRAME, client_id=ME, epoch=1, at=AT)
    assert refused is PlaceRefusal.NOT_AN_ID


@pytest.mark.parametrize("status", ["Filled", "Cancelled"])
def test_the_id_of_an_ended_order_begins_another_life(table, status):
    place(table)
    table.hear_order(said(status=status), AT)
    again = place(table, at=LATER)
    assert (again.state, again.life, again.outcome, again.changes) == (IntentState.SENT, 2, None, 0)
    assert again.sent_wall == LATER.wall


def test_an_ended_order_whose_change_never_left_stands_as_it_had_ended(table):
    place(table)
    table.hear_order(said(status="Filled"), AT)
    ended = table.get(ME, 5)
    place(table, at=LATER)
    assert table.unsent(key(), LATER) is None
    assert table.get(ME, 5) == ended
    assert table.hear_order(said(status="Filled"), LATER) is None, "which TWS may say again without contradiction"
    (page,) = (table.take_page(),)
    assert [kept.outcome for kept in page.intents] == [Outcome.FILLED]


def test_another_life_that_was_sent_and_comes_into_doubt_does_not_give_way_to_the_one_before(table):
    place(table)
    table.hear_order(said(status="Cancelled"), AT)
    place(table, at=LATER)
    table.lost(LATER)
    table.send(key(), 3, LATER)
    table.unsent(key(), LATER)
    assert table.get(ME, 5).state is IntentState.IN_DOUBT


def test_an_order_that_tws_has_from_elsewhere_counts_as_changed(table):
    assert table.hear_order(said(9), AT) is None
    placed = place(table, 9)
    assert placed.changes == 1
    assert table.hear_error(ME, 9, 201, at=AT).after.state is IntentState.IN_DOUBT


def test_strangers_are_remembered_up_to_a_limit(table, monkeypatch):
    monkeypatch.setattr(intent_table, "MAX_CONCLUDED", 2)
    for order_id in (11, 12, 13):
        table.hear_order(said(order_id), AT)
    assert place(table, 11).changes == 0
    assert place(table, 13).changes == 1


# -- what never left, and what was lost -------------------------------------------------------------------------------


def test_an_order_that_certainly_never_left_is_concluded(table):
    place(table)
    moved = table.unsent(key(), AT)
    assert moved is not None
    assert moved.concludes
    assert (moved.after.state, moved.after.outcome) == (IntentState.ABANDONED, Outcome.NEVER_SENT)


def test_a_change_that_never_left_leaves_the_order_as_it_was(table):
    place(table)
    place(table)
    assert table.unsent(key(), AT) is None
    assert (state(table), table.get(ME, 5).change_pending) == (IntentState.SENT, False)
    assert [moved.after.state for moved in table.lost(AT)] == [IntentState.IN_DOUBT]


def test_a_resend_that_never_left_leaves_the_order_in_doubt(table):
    place(table)
    table.lost(AT)
    assert table.send(key(), 2, LATER).attempt == 2
    moved = table.unsent(key(), LATER)
    assert moved is not None
    assert moved.after.state is IntentState.IN_DOUBT


def test_a_change_of_an_order_that_tws_ended_meanwhile_is_no_trouble(table):
    place(table)
    place(table)
    table.hear_order(said(status="Filled"), AT)
    assert table.unsent(key(), AT) is None


def test_a_lost_socket_leaves_in_doubt_what_was_not_answered(table):
    place(table, 1)
    place(table, 2)
    table.hear_order(said(2), AT)
    place(table, 3)
    table.hear_order(said(3, perm_id=78), AT)
    place(table, 3)
    table.hold(PlacedOrder(order_id=4), FRAME, client_id=ME, at=AT)
    assert [moved.after.key.order_id for moved in table.lost(AT)] == [1, 3]
    assert [state(table, n) for n in (1, 2, 3, 4)] == [
        IntentState.IN_DOUBT,
        IntentState.LIVE,
        IntentState.IN_DOUBT,
        IntentState.INTENT,
    ]
    assert table.lost(AT) == []


# -- what TWS says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True])
def test_a_word_of_tws_makes_an_order_live(table, lost):
    place(table)
    if lost:
        table.lost(AT)
    moved = table.hear_order(said(status="PendingSubmit"), AT)
    assert moved is not None
    assert (moved.after.state, moved.after.perm_id, moved.alarm) == (IntentState.LIVE, 77, False)
    assert table.knows_perm_id(77) == key()
    assert table.hear_order(said(), AT) is None


def test_a_fill_makes_an_order_live_and_its_status_ends_it(table):
    place(table)
    assert table.hear_execution(filled(), AT).after.state is IntentState.LIVE
    moved = table.hear_order(said(status="Filled"), AT)
    assert (moved.after.state, moved.after.outcome, moved.concludes) == (IntentState.DONE, Outcome.FILLED, True)
    assert table.hear_execution(filled(), AT) is None


def test_a_completed_order_is_known_by_its_permanent_id(table):
    place(table)
    completed = said(None, "Inactive", client_id=None, number=COMPLETED_ORDER)
    assert table.hear_order(completed, AT) is None, "not known by it yet"
    table.hear_order(said(), AT)
    assert table.hear_order(completed, AT).after.outcome is Outcome.CANCELLED


def test_the_answer_to_a_preview_is_no_order(table):
    place(table)
    assert table.hear_order(said(what_if=True), AT) is None
    assert state(table) is IntentState.SENT


def test_an_order_of_another_client_raises_the_floor_and_nothing_else(table):
    assert table.hear_order(said(50, client_id=8), AT) is None
    assert table.high_water(ME) == 50
    assert table.floor(ME) == 51
    assert table.high_water(8) == 0


def test_another_order_under_our_id_is_not_ours(table):
    place(table, ref="mine")
    table.lost(AT)
    assert table.hear_order(said(ref="theirs"), AT) is None
    assert table.hear_execution(filled(ref="theirs"), AT) is None
    assert state(table) is IntentState.IN_DOUBT
    assert table.mismatches == 2
    assert table.hear_order(said(ref="mine"), AT) is not None
    assert table.hear_order(said(ref="theirs", status="Filled"), AT) is not None, "once it is known, it is known by id"


def test_a_rejection_ends_a_new_order(table):
    place(table)
    moved = table.hear_error(ME, 5, 201, at=AT)
    assert (moved.after.state, moved.after.outcome) == (IntentState.REJECTED, Outcome.REJECTED)
    assert table.hear_order(said(status="Cancelled"), AT) is None
    assert table.hear_error(ME, 6, 201, at=AT) is None


def test_an_error_that_proves_nothing_makes_an_order_doubtful(table):
    place(table)
    assert table.hear_error(ME, 5, 399, at=AT) is None
    assert table.hear_error(ME, 5, 103, at=AT).after.state is IntentState.IN_DOUBT


def test_a_rejected_order_that_works_all_the_same_is_an_alarm(table):
    place(table)
    table.hear_error(ME, 5, 201, at=AT)
    moved = table.hear_order(said(), AT)
    assert (moved.after.state, moved.after.outcome, moved.alarm) == (IntentState.LIVE, None, True)


def test_a_word_on_an_order_that_is_held_is_an_alarm_each_time(table):
    table.hold(PlacedOrder(order_id=5), FRAME, client_id=ME, at=AT)
    for _ in range(2):
        moved = table.hear_order(said(), AT)
        assert moved.alarm
        assert moved.after.state is IntentState.INTENT


def test_a_verdict_concludes(table):
    place(table)
    table.lost(AT)
    moved = table.apply(key(), IntentEvent.ABSENT, LATER)
    assert (moved.after.outcome, moved.after.changed_wall) == (Outcome.UNKNOWN_TO_TWS, LATER.wall)
    with pytest.raises(ImpossibleTransitionError):
        table.apply(key(), IntentEvent.ABSENT, LATER)
    assert table.apply(key(99), IntentEvent.ABSENT, LATER) is None


def test_a_permanent_id_that_changes_is_followed(table):
    place(table)
    table.hear_order(said(perm_id=77), AT)
    table.hear_order(said(perm_id=78), AT)
    assert (table.knows_perm_id(77), table.knows_perm_id(78)) == (None, key())


def test_concluded_orders_are_kept_up_to_a_limit(table, monkeypatch):
    monkeypatch.setattr(intent_table, "MAX_CONCLUDED", 2)
    for order_id in (1, 2, 3):
        place(table, order_id)
        table.hear_order(said(order_id, "Filled", perm_id=order_id + 70), AT)
    assert [state(table, n) for n in (1, 2, 3)] == [None, IntentState.DONE, IntentState.DONE]
    assert table.knows_perm_id(71) is None


def test_a_cancel_that_is_wanted_is_written_down(table):
    for order_id in (1, 2, 3):
        place(table, order_id)
    table.take_page()
    table.want_cancel(ME, 2)
    assert [intent.key.order_id for intent in table.take_page().intents] == [2]
    assert table.owed_cancels(ME) == {2}
    assert table.want_cancel(ME, 2)
    assert not table.want_cancel(8, 2)
    assert table.owed_cancels(8) == set()
    assert table.take_page() is None
    for _ in range(2):
        table.settle_cancel(ME, 2)
    (answered,) = table.take_page().intents
    assert (answered.cancel_wanted, answered.cancel_owed) == (True, False)
    table.settle_cancel(ME, 9)
    assert table.take_page() is None


# -- ids, and what an earlier life left -------------------------------------------------------------------------------


def test_the_floor_stands_on_all_that_was_used_seen_or_named():
    table = IntentTable("paper")
    assert table.floor(ME) == 1
    table.note_next_id(ME, 100)
    assert table.floor(ME) == 100
    place(table, 120)
    assert table.floor(ME) == 121
    table.note_next_id(ME, 90)  # a gateway that lost count
    assert table.floor(ME) == 121
    table.hear_order(said(130, client_id=9), AT)
    assert table.floor(ME) == 131
    table.hear_order(said(2**31 - 1), AT)
    place(table, -5)
    assert table.floor(ME) == 131


def test_an_earlier_life_is_taken_over_with_every_socket_gone(table):
    place(table, 1)
    place(table, 2)
    table.hear_order(said(2), AT)
    table.hold(PlacedOrder(order_id=3), FRAME, client_id=ME, at=AT)
    place(table, 4)
    table.hear_order(said(4, "Filled", perm_id=74), AT)
    page = table.take_page()

    reborn = IntentTable("paper")
    moved = reborn.load(page, LATER)
    assert {m.after.key.order_id: m.after.state for m in moved} == {
        1: IntentState.IN_DOUBT,
        3: IntentState.ABANDONED,
    }
    assert reborn.get(ME, 3).outcome is Outcome.NEVER_SENT
    assert (state(reborn, 2), state(reborn, 4)) == (IntentState.LIVE, IntentState.DONE)
    assert reborn.floor(ME) == 5
    assert reborn.knows_perm_id(77) == key(2)
    assert all(intent.written_at == 0.0 for intent in reborn.open_intents())
    written = reborn.take_page()
    assert {intent.key.order_id for intent in written.intents} == {1, 3}, "what did not change is not written again"
    assert written.high_waters == ()


def test_high_waters_outlive_the_intents_they_come_from():
    table = IntentTable("paper")
    table.load(JournalPage((), (HighWater("paper", ME, 500),)), AT)
    assert table.floor(ME) == 501


def test_silence_about_an_order_that_is_not_known_or_has_ended_is_no_doubt(table):
    assert table.unanswered(ME, 4711, AT) is None
    place(table)
    table.hear_order(said(status="Filled"), AT)
    assert table.unanswered(ME, 5, AT) is None
