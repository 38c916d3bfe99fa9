"""What is owed: entries, their answers, their errors, orders, and what a lost socket leaves of them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from speech import ask

from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind
from backstay.session import ledger as ledger_module
from backstay.session.ledger import FORGOTTEN, MAX_COPIES, MAX_ORDERS, NEVER, UNSEEN, Entry, Ledger
from backstay.session.request_life import Ending, Happening, Standing

V = 200


def enter(
    ledger: Ledger, number: int, key: int | None = None, *, word: str = "t", flag: bool = False, epoch: int = NEVER
):
    entry = ledger.ask(REQUESTS[number], payload=ask(V, number, key, word=word, flag=flag), version=V, now=0.0)
    entry.epoch = epoch
    return entry


def test_the_last_setting_of_a_kind_wins_and_stands_last():
    ledger = Ledger()
    for number, payload in ((59, b"a"), (14, b"b"), (59, b"c")):
        ledger.set(number, payload)
    assert list(ledger.settings.items()) == [(14, b"b"), (59, b"c")]


@pytest.mark.parametrize(
    ("number", "rows", "end"), [(9, [10, 18, 10], 52), (7, [11], 55), (81, [], 79), (20, [17], 108), (86, [86], 87)]
)
def test_a_keyed_read_is_closed_by_its_end_and_by_nothing_else(number, rows, end):
    ledger = Ledger()
    entry = enter(ledger, number, 7, epoch=1)
    for row in rows:
        ledger.note_answer(row, 7, final=True)
        assert ledger.has(entry)
        assert entry.rows
    ledger.note_answer(end, 8, final=True)
    assert ledger.has(entry), "another id"
    ledger.note_answer(end, 7, final=True)
    assert not ledger.has(entry)
    assert ledger.by_key == {}


def test_historical_ticks_are_closed_by_the_frame_that_says_so():
    ledger = Ledger()
    entry = enter(ledger, 96, 7, epoch=1)
    ledger.note_answer(97, 7, final=False)
    assert entry.rows
    assert ledger.has(entry)
    ledger.note_answer(97, 7, final=True)
    assert not ledger.has(entry)


def test_what_has_not_been_sent_cannot_have_been_answered():
    ledger = Ledger()
    entry = enter(ledger, 9, 7)
    ledger.note_answer(52, 7, final=True)
    assert ledger.has(entry)


def test_an_end_of_a_first_snapshot_does_not_end_a_stream():
    ledger = Ledger()
    entry = enter(ledger, 62, 7, epoch=1)
    ledger.note_answer(64, 7, final=True)
    assert ledger.has(entry)


def test_reads_without_a_key_are_told_apart_by_what_they_say_and_answered_in_turn():
    ledger = Ledger()
    first, second, third = (enter(ledger, 91, word=word, epoch=1) for word in "abc")
    second.epoch = NEVER
    ledger.note_answer(93, None, final=True)
    assert [ledger.has(entry) for entry in (first, second, third)] == [False, True, True]
    ledger.note_answer(93, None, final=True)
    assert [ledger.has(entry) for entry in (second, third)] == [True, False], "what was not sent is not answered"


def test_the_same_unkeyed_read_twice_is_owed_two_answers():
    ledger = Ledger()
    first, second = enter(ledger, 5, epoch=1), enter(ledger, 5, epoch=1)
    ledger.note_answer(53, None, final=True)
    assert not ledger.has(first)
    assert ledger.has(second)
    ledger.note_answer(53, None, final=True)
    assert ledger.entries == {}


def test_the_same_unkeyed_read_again_and_again_is_kept_so_often_and_no_more():
    ledger = Ledger()
    for _ in range(100):
        last = enter(ledger, 5, epoch=1)
    assert len(ledger.entries) == MAX_COPIES
    assert ledger.has(last)


def test_the_time_is_owed_once():
    ledger = Ledger()
    first, second = enter(ledger, 49, epoch=1), enter(ledger, 49, epoch=1)
    assert (ledger.has(first), ledger.has(second)) == (False, True)


def test_an_unkeyed_stream_exists_once_whatever_it_says():
    ledger = Ledger()
    enter(ledger, 6, word="a", flag=True)
    last = enter(ledger, 6, word="b", flag=True)
    assert list(ledger.entries.values()) == [last]
    assert ledger.find(6, None) is last


def test_an_end_that_two_requests_share_closes_one_at_a_time():
    ledger = Ledger()
    enter(ledger, 5, epoch=1)
    enter(ledger, 16, epoch=1)
    ledger.note_answer(53, None, final=True)
    assert ledger.reads() == 1
    ledger.note_answer(53, None, final=True)
    assert ledger.reads() == 0


@pytest.mark.parametrize(
    ("number", "code", "ends"),
    [
        (1, 200, True),
        (1, 321, True),
        (1, 10167, False),  # delayed data follows
        (1, 2104, False),
        (1, 2150, False),
        (1, 517, True),  # refused by a code that has no row with this request
        (1, 399, False),
        (1, 10349, False),
        (9, 200, True),
        (9, 2103, False),
        (20, 162, True),
        (20, 165, False),
        (1, 999_999, False),
    ],
)
def test_an_error_ends_what_it_is_known_to_end(number, code, ends):
    ledger = Ledger()
    entry = enter(ledger, number, 7, epoch=1)
    assert ledger.note_error(7, code)
    assert ledger.has(entry) is not ends
    assert not ledger.note_error(8, code)


def test_a_code_without_a_row_may_as_well_be_about_the_order_of_the_same_number():
    ledger = Ledger()
    entry = enter(ledger, 1, 7, epoch=1)
    ledger.order_sent(7)
    ledger.note_error(7, 517)
    assert ledger.has(entry)


def test_a_duplicate_that_is_refused_leaves_what_was_there_before():
    ledger = Ledger()
    first = enter(ledger, 1, 7, word="a", epoch=1)
    second = enter(ledger, 1, 7, word="b", epoch=1)
    assert ledger.streams == 1
    assert second.is_known_in(1)
    ledger.note_error(7, 322)
    assert ledger.has(first)
    assert ledger.streams == 1


def test_what_was_there_before_is_remembered_over_a_duplicate_that_was_not_even_sent():
    ledger = Ledger()
    first = enter(ledger, 1, 7, word="a", epoch=1)
    enter(ledger, 1, 7, word="b")
    third = enter(ledger, 1, 7, word="c")
    assert third.shadowed is first
    assert third.is_known_in(1)
    assert not third.is_known_in(2)


def test_to_drop_what_is_gone_does_nothing():
    ledger = Ledger()
    first, second = enter(ledger, 1, 7, epoch=1), enter(ledger, 1, 7, epoch=1)
    ledger.close(first, Happening.TAKEN_BACK)
    assert ledger.has(second)
    ledger.close(second, Happening.TAKEN_BACK)
    ledger.close(second, Happening.TAKEN_BACK)
    assert (ledger.entries, ledger.streams) == ({}, 0)


def test_two_requests_under_one_id_do_not_disturb_each_other():
    ledger = Ledger()
    stream, read = enter(ledger, 1, 7, epoch=1), enter(ledger, 9, 7, epoch=1)
    ledger.note_answer(52, 7, final=True)
    assert ledger.has(stream)
    assert not ledger.has(read)
    ledger.close(stream, Happening.TAKEN_BACK)
    assert ledger.by_key == {}


# -- orders ------------------------------------------------------------------------------------------------------------


def test_an_order_is_unanswered_from_its_sending_to_the_first_word_of_tws():
    ledger = Ledger()
    assert not ledger.order_known(7)
    ledger.order_sent(7)
    ledger.order_sent(8)
    assert ledger.order_unanswered(7)
    ledger.order_seen(7)
    assert ledger.order_known(7)
    assert not ledger.order_unanswered(7)
    assert ledger.order_unanswered(8)
    ledger.forget_unanswered_orders()
    assert not ledger.order_unanswered(8), "what the next socket says is not about it"
    assert ledger.order_known(8)


def test_ids_below_the_first_next_id_may_be_orders_of_an_earlier_life():
    ledger = Ledger()
    assert not ledger.may_be_known(5)
    ledger.first_order_id = 10
    assert ledger.may_be_known(5)
    assert not ledger.may_be_known(10)
    ledger.order_sent(10)
    assert ledger.may_be_known(10)


@pytest.mark.parametrize("remember", [Ledger.order_sent, Ledger.order_seen])
def test_the_number_of_orders_remembered_is_bounded(remember, monkeypatch):
    monkeypatch.setattr(ledger_module, "MAX_ORDERS", 3)
    ledger = Ledger()
    for order_id in range(10):
        remember(ledger, order_id)
    assert list(ledger.orders) == [7, 8, 9]


def test_cancels_are_kept_until_they_are_answered_and_their_number_is_bounded(monkeypatch):
    monkeypatch.setattr(ledger_module, "MAX_ORDERS", 3)
    ledger = Ledger()
    for order_id in range(10):
        ledger.cancel_sent(order_id, b"%d" % order_id)
    ledger.cancel_answered(8)
    ledger.cancel_answered(99)
    assert ledger.take_cancels_out() == [b"7", b"9"]
    assert ledger.take_cancels_out() == []


# -- over a reconnect --------------------------------------------------------------------------------------------------


def test_what_is_unsent_goes_streams_by_priority_then_reads_each_by_age():
    ledger = Ledger()
    entries = [enter(ledger, number, key) for key, number in enumerate((9, 10, 1, 7, 62, 50, 97, 1))]
    order = [(entry.request.id, entry.key) for entry in ledger.unsent(1)]
    assert order == [(62, 4), (1, 2), (1, 7), (97, 6), (50, 5), (10, 1), (9, 0), (7, 3)]
    entries[0].queued = True
    entries[1].epoch = 1
    assert len(ledger.unsent(1)) == 6


def test_a_lost_socket_ends_half_answered_reads_that_have_an_id_and_nothing_else():
    ledger = Ledger()
    half, whole, unkeyed, stream = (
        enter(ledger, 9, 1, epoch=1),
        enter(ledger, 9, 2, epoch=1),
        enter(ledger, 99, epoch=1),
        enter(ledger, 1, 3, epoch=1),
    )
    later = enter(ledger, 9, 4, epoch=2)
    half.rows = unkeyed.rows = stream.rows = later.rows = True
    assert ledger.break_off(5.0)
    assert ledger.take_halves(1) == [half]
    assert [ledger.has(entry) for entry in (whole, unkeyed, stream, later)] == [True] * 4
    assert not unkeyed.rows
    assert ledger.take_halves(2) == [later]
    assert ledger.take_halves(2) == []


def test_reads_without_an_answer_wait_from_the_loss_on_and_streams_do_not():
    ledger = Ledger()
    read, stream, fresh = enter(ledger, 9, 1, epoch=1), enter(ledger, 1, 2, epoch=1), enter(ledger, 1, 3)
    fresh.queued = True
    assert ledger.break_off(50.0)
    assert (read.asked_at, stream.asked_at) == (50.0, 0.0)
    assert ledger.held() == [read, fresh]
    assert not fresh.queued
    ledger.close(read, Happening.TAKEN_BACK)
    assert not ledger.break_off(60.0)


def test_what_tws_forgot_on_the_same_socket_is_not_held_against_its_age():
    ledger = Ledger()
    entry = enter(ledger, 1, 7, epoch=1)
    entry.epoch = FORGOTTEN
    assert ledger.held() == []
    assert ledger.unsent(1) == [entry]


def test_calculations_are_taken_for_answered_after_a_while_and_their_number_is_bounded(monkeypatch):
    assert {54, 55} == UNSEEN
    monkeypatch.setattr(ledger_module, "MAX_UNSEEN", 3)
    ledger = Ledger()
    entries = [enter(ledger, 54, key, epoch=1) for key in range(5)]
    assert [ledger.has(entry) for entry in entries] == [False, False, True, True, True]
    entries[3].asked_at = 45.0
    entries[4].epoch = NEVER
    ledger.break_off(50.0)
    assert [ledger.has(entry) for entry in entries[2:]] == [False, True, True]
    assert list(ledger.unseen) == entries[3:]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "drop", "answer", "error", "break"]),
        st.sampled_from([(1, None), (9, 52), (7, 55), (91, 93), (6, None), (5, 53), (54, 21)]),
        st.integers(0, 3),
    ),
    max_size=40,
)


@given(STEPS)
def test_the_indexes_always_agree_with_the_entries(steps):
    ledger, known = Ledger(), []
    for what, (number, end), key in steps:
        if what == "ask":
            known.append(enter(ledger, number, key, word=str(key), flag=True, epoch=key % 2))
        elif what == "drop" and known:
            ledger.close(known[key % len(known)], Happening.TAKEN_BACK)
        elif what == "answer" and end is not None:
            ledger.note_answer(end, key if REQUESTS[number].key.value != "none" else None, final=True)
        elif what == "error":
            ledger.note_error(key, 322)
        elif what == "break":
            ledger.break_off(1.0)
            ledger.take_halves(1)
        check_indexes(ledger)
        check_endings(ledger, known)


def check_endings(ledger: Ledger, known: list[Entry]) -> None:
    covered = [entry.shadowed for entry in ledger.entries.values() if entry.shadowed is not None]
    open_ones = [*ledger.entries.values(), *covered]
    over = [entry.stands for entry in known if isinstance(entry.stands, Ending)]
    assert Counter(over) == Counter(ledger.endings), "each ending is noted once"
    assert all(isinstance(entry.stands, Standing) for entry in open_ones)
    assert len(over) + len(open_ones) == len(known), "what is not open has ended"


def check_indexes(ledger: Ledger) -> None:
    entries: list[Entry] = list(ledger.entries.values())
    assert all(entry.slot == slot for slot, entry in ledger.entries.items())
    assert ledger.streams == sum(entry.kind is Kind.STREAM for entry in entries)
    assert ledger.reads() == len(entries) - ledger.streams
    keyed = {(entry.key, entry.slot) for entry in entries if entry.key is not None}
    assert keyed == {(key, slot) for key, slots in ledger.by_key.items() for slot in slots}
    assert all(ledger.by_key.values())
    unkeyed = {slot: entry for found in ledger.unkeyed.values() for slot, entry in found.items()}
    assert all(ledger.entries.get(slot) is entry for slot, entry in unkeyed.items())


def test_words_that_tws_owes_are_remembered_up_to_a_limit():
    ledger = Ledger()
    for order_id in range(MAX_ORDERS + 3):
        ledger.await_word("order", order_id, 1.0)
    assert len(ledger.awaiting) == MAX_ORDERS
    assert ("order", 2) not in ledger.awaiting
    assert ("order", 3) in ledger.awaiting
