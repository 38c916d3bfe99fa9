"""Any course of events: ids only rise, what was written is in the journal, an order has one outcome."""

from collections import Counter

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from backstay.protocol.order_fields import ExecutionFacts, OrderFacts, PlacedOrder
from backstay.session.intent_table import IntentTable
from backstay.session.intents import (
    CONCLUDED,
    HighWater,
    Intent,
    IntentEvent,
    IntentKey,
    IntentState,
    JournalPage,
    Moment,
)

ME, OTHER = 7, 8
IDS = st.integers(1, 6)
STATUSES = st.sampled_from(["PendingSubmit", "Submitted", "Inactive", "Filled", "Cancelled", ""])
CODES = st.sampled_from([110, 201, 103, 104, 105, 202, 321, 399, 2109, 10148])
FRAME = (b"3\x001\x00", 200)


class Lives(RuleBasedStateMachine):
    """One connection, its journal, and a gateway that says whatever it likes."""

    table_type = IntentTable

    def __init__(self):
        super().__init__()
        self.disk: dict[IntentKey, Intent] = {}
        self.disk_high = 0
        self.table = self.table_type("paper")
        self.epoch = 1
        self.wall = 1_000.0
        self.written: set[int] = set()  # order ids whose bytes were on the wire
        self.floor_seen = 0
        self.concluded: Counter[tuple[int, int]] = Counter()
        self.reopened: Counter[tuple[int, int]] = Counter()

    @property
    def at(self):
        self.wall += 1.0
        return Moment(self.wall, self.wall)

    def note(self, *moves):
        for moved in moves:
            if moved is None:
                continue
            life = (moved.after.key.order_id, moved.after.life)
            self.concluded[life] += moved.concludes
            self.reopened[life] += moved.alarm and moved.before.is_concluded
            assert moved.before.is_concluded <= (moved.after.is_concluded or moved.alarm)

    def keep(self):
        page = self.table.take_page()
        if page is not None:
            self.disk.update((intent.key, intent) for intent in page.intents)
            self.disk_high = max([self.disk_high, *(mark.order_id for mark in page.high_waters)])

    @rule(order_id=IDS)
    def place(self, order_id):
        placed = self.table.place(PlacedOrder(order_id=order_id), FRAME, client_id=ME, epoch=self.epoch, at=self.at)
        if isinstance(placed, Intent):
            self.keep()
            self.written.add(order_id)

    @rule(order_id=IDS)
    def place_and_lose_the_socket_before_writing(self, order_id):
        placed = self.table.place(PlacedOrder(order_id=order_id), FRAME, client_id=ME, epoch=self.epoch, at=self.at)
        if isinstance(placed, Intent):
            self.keep()
            self.note(self.table.unsent(placed.key, self.at))
            self.lose()

    @rule(order_id=IDS)
    def hold(self, order_id):
        self.table.hold(PlacedOrder(order_id=order_id), FRAME, client_id=ME, at=self.at)
        self.keep()

    @rule(order_id=IDS, again=st.booleans())
    def send(self, order_id, again):
        intent = self.table.get(ME, order_id)
        wanted = IntentState.IN_DOUBT if again else IntentState.INTENT
        if intent is not None and intent.state is wanted:
            self.table.send(intent.key, self.epoch, self.at)
            self.keep()
            self.written.add(order_id)

    @rule()
    def lose(self):
        self.note(*self.table.lost(self.at))
        self.epoch += 1

    @rule()
    def crash(self):
        self.table = self.table_type("paper")
        page = JournalPage(tuple(self.disk.values()), (HighWater("paper", ME, self.disk_high),))
        for life in self.concluded:  # an outcome that was not written down yet is reached anew
            kept = self.disk.get(IntentKey("paper", ME, life[0]))
            if kept is None or not kept.is_concluded:
                self.concluded[life] = self.reopened[life]
        self.note(*self.table.load(page, self.at))
        self.floor_seen = 0  # what was heard and not yet written down is heard again
        self.epoch += 1

    @rule(order_id=IDS, status=STATUSES, client_id=st.sampled_from([ME, OTHER]), number=st.sampled_from([3, 5]))
    def hear_order(self, order_id, status, client_id, number):
        facts = OrderFacts(
            message_id=number, order_id=order_id, client_id=client_id, perm_id=order_id + 70, status=status
        )
        self.note(self.table.hear_order(facts, self.at))

    @rule(order_id=IDS)
    def hear_execution(self, order_id):
        facts = ExecutionFacts(request_id=-1, order_id=order_id, client_id=ME, exec_id="1.01", perm_id=order_id + 70)
        self.note(self.table.hear_execution(facts, self.at))

    @rule(order_id=IDS, code=CODES)
    def hear_error(self, order_id, code):
        self.note(self.table.hear_error(ME, order_id, code, at=self.at))

    @rule(order_id=st.integers(-5, 40))
    def name_next_id(self, order_id):
        self.table.note_next_id(ME, order_id)

    @rule(event=st.sampled_from([IntentEvent.ABSENT, IntentEvent.OVER, IntentEvent.ABANDON]))
    @precondition(lambda self: self.table.in_doubt())
    def judge(self, event):
        self.note(self.table.apply(self.table.in_doubt()[0].key, event, self.at))

    @rule()
    def keep_what_was_heard(self):
        self.keep()

    @rule()
    def cancel_all(self):
        for intent in self.table.open_intents():
            self.table.want_cancel(ME, intent.key.order_id)

    @invariant()
    def the_floor_only_rises_and_is_above_all_that_was_used(self):
        floor = self.table.floor(ME)
        assert floor >= self.floor_seen
        assert all(order_id < floor for order_id in self.written)
        self.floor_seen = floor

    @invariant()
    def what_was_on_the_wire_is_in_the_journal_as_sent(self):
        for order_id in self.written:
            assert self.disk[IntentKey("paper", ME, order_id)].state is not IntentState.INTENT

    @invariant()
    def an_order_is_concluded_exactly_when_it_has_an_outcome(self):
        for order_id in range(1, 7):
            intent = self.table.get(ME, order_id)
            assert intent is None or (intent.state in CONCLUDED) == intent.is_concluded
            assert intent is None or (intent in self.table.open_intents()) != intent.is_concluded

    @invariant()
    def an_order_has_one_outcome_unless_tws_contradicts_it(self):
        for life, count in self.concluded.items():
            assert count <= 1 + self.reopened[life]


COURSES = settings(max_examples=100, stateful_step_count=40)
FIRST_FINDING = settings(COURSES, phases=[Phase.generate], report_multiple_bugs=False, print_blob=False, database=None)


def test_the_promises_hold_in_any_course_of_events():
    run_state_machine_as_test(Lives, settings=COURSES)


class ForgetsIds(IntentTable):
    """A table that believes a gateway that lost count."""

    def note_next_id(self, client_id, order_id):
        self._high[client_id] = order_id - 1


class WritesFirst(IntentTable):
    """A table that has nothing to write down as long as nobody answered."""

    def take_page(self):
        page = super().take_page()
        if page is None:
            return None
        spoken_of = tuple(i for i in page.intents if i.state not in (IntentState.SENT, IntentState.INTENT))
        return JournalPage(spoken_of, page.high_waters)


class EndsTwice(IntentTable):
    """A table that lets an end be followed by another beginning."""

    def lost(self, at):
        for key, intent in tuple(self._concluded.items()):
            del self._concluded[key]
            self._open[key] = intent
        return super().lost(at)


@pytest.mark.parametrize("mutant", [ForgetsIds, WritesFirst, EndsTwice])
def test_the_machine_catches_a_table_that_breaks_them(mutant):
    planted = type("Planted", (Lives,), {"table_type": mutant})
    with pytest.raises((AssertionError, KeyError)):
        run_state_machine_as_test(planted, settings=FIRST_FINDING)
