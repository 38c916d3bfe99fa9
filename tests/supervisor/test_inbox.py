import heapq
import threading
from collections import deque
from typing import Any

import pykka
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.supervisor import inbox as module
from backstay.supervisor.inbox import Inbox, InboxClosed, InboxFull, Letter
from backstay.supervisor.messages import ExitKind, Stop

PATIENCE = 10.0


def taken(inbox: Inbox, count: int) -> list[Any]:
    return [inbox.take() for _ in range(count)]


def ask(inbox: Inbox, message: Any) -> pykka.Future[Any]:
    future: pykka.Future[Any] = pykka.ThreadingFuture()
    inbox.put(Letter(message, future))
    return future


def test_data_comes_out_in_the_order_it_went_in():
    inbox = Inbox()
    for number in range(100):
        assert inbox.post(number)
    assert taken(inbox, 100) == list(range(100))
    assert inbox.empty()


def test_control_overtakes_data_and_keeps_its_own_order():
    inbox = Inbox()
    for number in range(100_000):
        inbox.post(number)
    inbox.post("first", control=True)
    inbox.post("second", control=True)
    assert taken(inbox, 3) == ["first", "second", 0]


def test_a_full_data_lane_refuses_and_counts_but_takes_control():
    inbox = Inbox(limit=2)
    assert [inbox.post(number) for number in range(4)] == [True, True, False, False]
    assert inbox.post("control", control=True)
    assert (inbox.overflows, inbox.late, inbox.length()) == (2, 0, 3)


def test_a_full_control_lane_takes_only_what_is_vital(monkeypatch):
    monkeypatch.setattr(module, "CONTROL_LIMIT", 1)
    inbox = Inbox()
    assert inbox.post(1, control=True)
    assert not inbox.post(2, control=True)
    assert inbox.post(3, control=True, vital=True)
    assert inbox.overflows == 1


def test_closing_hands_out_what_was_left_and_refuses_what_comes_after():
    inbox = Inbox()
    inbox.post("data")
    inbox.post("control", control=True)
    assert inbox.close() == ["control", "data"]
    assert not inbox.post("late")
    assert not inbox.post("late", control=True, vital=True)
    assert inbox.late == 2
    assert inbox.close() == []
    with pytest.raises(InboxClosed):
        inbox.take()


def test_closing_wakes_a_reader_that_waits():
    inbox = Inbox()
    ended = threading.Event()

    def read() -> None:
        with pytest.raises(InboxClosed):
            inbox.take()
        ended.set()

    thread = threading.Thread(target=read)
    thread.start()
    while not inbox.waiting:
        ended.wait(0.001)
    inbox.close()
    assert ended.wait(PATIENCE)
    thread.join()


@pytest.mark.parametrize("limit", [0, 10])
def test_an_ask_that_is_refused_is_answered_at_once(limit: int):
    inbox = Inbox(limit=limit)
    if limit:
        inbox.close()
    with pytest.raises(pykka.ActorDeadError if limit else InboxFull):
        ask(inbox, "question").get(timeout=0)


def test_a_plain_tell_to_a_closed_inbox_is_counted():
    inbox = Inbox()
    inbox.close()
    inbox.put(Letter("tell", None))
    assert inbox.late == 1


def test_a_stop_is_known_before_it_is_handled_and_the_first_reason_holds():
    inbox = Inbox()
    assert inbox.stop_requested is None
    inbox.post(Stop("first"), control=True)
    inbox.post(Stop("second"), control=True)
    assert inbox.stop_requested is not None
    assert (inbox.stop_requested.kind, inbox.stop_requested.text) == (ExitKind.SHUTDOWN, "first")


class Closing(deque[Any]):
    """A lane on which the inbox closes between the sender's look at the flag and its append."""

    inbox: Inbox

    def append(self, item: Any) -> None:
        self.buried = self.inbox.close()
        super().append(item)


def inbox_closing_at_the_worst_moment(buried: list[Any]) -> Inbox:
    inbox = Inbox()
    lane = Closing()
    lane.inbox = inbox
    inbox._data = lane
    inbox.bury = buried.extend
    return inbox


def test_a_message_that_slips_in_while_the_inbox_closes_goes_back_to_its_sender_and_others_are_buried():
    buried: list[Any] = []
    inbox = inbox_closing_at_the_worst_moment(buried)
    deque.append(inbox._data, "of another sender")
    assert not inbox.post("slipped in")
    assert buried == []
    assert inbox._data.buried == ["of another sender"]  # type: ignore[attr-defined]
    assert (inbox.length(), inbox.late) == (0, 1)


def test_whoever_takes_out_what_slipped_in_buries_what_is_of_others():
    buried: list[Any] = []
    inbox = Inbox()
    inbox.bury = buried.extend
    inbox.post("of another sender")
    inbox.closed = True
    assert inbox._sweep("not in it") is False
    assert buried == ["of another sender"]


def test_without_the_second_look_such_a_message_would_be_lost(monkeypatch):
    buried: list[Any] = []
    inbox = inbox_closing_at_the_worst_moment(buried)
    monkeypatch.setattr(Inbox, "_sweep", lambda _self, _message: False)
    assert inbox.post("slipped in")
    assert buried == []
    assert inbox.length() == 1


def test_an_ask_that_slips_in_while_the_inbox_closes_is_answered():
    inbox = Inbox()
    lane = Closing()
    lane.inbox = inbox
    inbox._data = lane
    with pytest.raises(pykka.ActorDeadError):
        ask(inbox, "question").get(timeout=0)


def test_a_lane_emptied_between_the_readers_look_and_its_pop_is_looked_at_again():
    class Snatched(deque[Any]):
        def popleft(self) -> Any:
            inbox._data = kept  # only once
            inbox.post("control", control=True)
            self.clear()
            return super().popleft()

    inbox = Inbox()
    kept = inbox._data
    inbox._data = Snatched(["gone"])
    assert inbox.take() == "control"


def test_nobody_waits_for_the_failure_of_a_tell():
    Letter("tell", None).fail(RuntimeError("nobody hears it"))


ROUNDS, EACH = 3_000, 4


class Race:
    """Rounds of two senders, a reader and a closer on one inbox, all let go at once."""

    def __init__(self) -> None:
        self._gate = threading.Barrier(4)
        self.inbox = Inbox()
        self.taken: list[int] = []
        self.refused: list[int] = []

    def send(self, base: int) -> None:
        for number in range(base, base + EACH):
            if not self.inbox.post(number, control=bool(number % 2)):
                self.refused.append(number)

    def read(self) -> None:
        try:
            while True:
                self.taken.append(self.inbox.take())
        except InboxClosed:
            pass

    def close_one(self) -> list[int]:
        """One round. Returns the fate of all messages, each named once per fate."""
        inbox = self.inbox = Inbox()
        buried: deque[Any] = deque()
        inbox.bury = buried.extend
        self.taken, self.refused = [], []
        self._gate.wait(PATIENCE)
        buried.extend(inbox.close())
        self._gate.wait(PATIENCE)
        assert inbox.empty()
        assert inbox.late == len(self.refused)
        return sorted([*self.taken, *self.refused, *buried])

    def each_round(self, work: Any) -> None:
        for _ in range(ROUNDS):
            self._gate.wait(PATIENCE)
            work()
            self._gate.wait(PATIENCE)


def test_every_message_racing_with_the_close_is_handled_or_buried_exactly_once(fast_switching):
    race = Race()
    works = [lambda: race.send(0), lambda: race.send(100), race.read]
    threads = [threading.Thread(target=race.each_round, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    expected = [*range(EACH), *range(100, 100 + EACH)]
    wrong = [fate for _ in range(ROUNDS) if (fate := race.close_one()) != expected]
    for thread in threads:
        thread.join(PATIENCE)
    assert wrong == []


def test_timers_fire_in_order_of_their_time_and_ahead_of_data(manual_clock):
    inbox = Inbox(clock=manual_clock)
    inbox.post("data")
    for key, delay in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("a2", 1.0)):
        inbox.set_timer(key, manual_clock.now + delay, key)
    assert inbox.take() == "data"
    manual_clock.now += 2.5
    inbox.post("control", control=True)
    assert taken(inbox, 4) == ["control", "a", "a2", "b"]
    manual_clock.now += 1.0
    assert inbox.take() == "c"


def test_a_timer_is_replaced_and_cancelled_by_its_key(manual_clock):
    inbox = Inbox(clock=manual_clock)
    inbox.set_timer("key", manual_clock.now + 1, "old")
    inbox.set_timer("key", manual_clock.now + 5, "new")
    inbox.set_timer("gone", manual_clock.now + 1, "never")
    assert inbox.cancel_timer("gone")
    assert not inbox.cancel_timer("gone")
    manual_clock.now += 2
    inbox.post("data")
    assert inbox.take() == "data"
    manual_clock.now += 3
    assert inbox.take() == "new"
    assert not inbox.cancel_timer("key")


def test_a_closed_inbox_has_no_timers(manual_clock):
    inbox = Inbox(clock=manual_clock)
    inbox.set_timer("before", manual_clock.now, "never")
    inbox.close()
    inbox.set_timer("after", manual_clock.now, "never")
    with pytest.raises(InboxClosed):
        inbox.take()


def test_a_timer_that_is_rearmed_without_delay_does_not_starve_data(manual_clock):
    inbox = Inbox(clock=manual_clock)
    for number in range(3):
        inbox.post(number)
    served = []
    for _ in range(6):
        inbox.set_timer("again", manual_clock.now, "timer")
        served.append(inbox.take())
    assert served == ["timer", 0, "timer", 1, "timer", 2]


def test_replacing_a_timer_for_ever_does_not_grow_the_heap(manual_clock):
    inbox = Inbox(clock=manual_clock)
    for number in range(10_000):
        inbox.set_timer("idle", manual_clock.now + number, number)
    assert len(inbox._heap) <= 2 + module.HEAP_SLACK
    manual_clock.now += 10_000
    assert inbox.take() == 9_999


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5), st.booleans()), max_size=40))
def test_timers_behave_as_a_sorted_table_of_the_last_setting_per_key(steps):
    clock = [0.0]
    inbox = Inbox(clock=lambda: clock[0])
    model: dict[str, tuple[int, int]] = {}
    for number, (key, due, cancels) in enumerate(steps):
        if cancels:
            assert inbox.cancel_timer(key) == (model.pop(key, None) is not None)
        else:
            inbox.set_timer(key, due, (due, number))
            model[key] = (due, number)
    clock[0] = 10.0
    assert taken(inbox, len(model)) == sorted(model.values())
    assert inbox._timers == {}
    assert all(not inbox._is_live(entry) for entry in inbox._heap)


def test_a_timer_set_by_another_thread_wakes_the_reader():
    inbox = Inbox()
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(inbox.take()))
    thread.start()
    while not inbox.waiting:
        thread.join(0.001)
    inbox.set_timer("key", inbox.clock() + 0.01, "timer")
    thread.join(PATIENCE)
    assert got == ["timer"]


def test_a_clock_set_by_hand_is_looked_at_again_after_wake(manual_clock):
    inbox = Inbox(clock=manual_clock)
    inbox.set_timer("key", manual_clock.now + 3600, "timer")
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(inbox.take()))
    thread.start()
    while not inbox.waiting:
        thread.join(0.001)
    manual_clock.now += 3600
    inbox.wake()
    thread.join(PATIENCE)
    assert got == ["timer"]


def test_a_ring_between_the_last_look_and_the_end_of_a_sleep_is_taken_in(monkeypatch):
    """What the test below meets by chance: the deadline has passed, and a sender has just begun to ring."""
    inbox = Inbox()

    def ring_at_the_deadline(_self: Inbox) -> float:
        inbox.post("come at this moment")
        return 0.0

    monkeypatch.setattr(Inbox, "_seconds_to_timer", ring_at_the_deadline)
    assert inbox.take() == "come at this moment"
    assert not inbox._bell.acquire(blocking=False)


def test_a_message_that_comes_as_a_sleep_begins_is_seen_before_it():
    """As above, a moment earlier: the reader has said that it sleeps, and has not looked a last time."""
    inbox = Inbox()

    class Token(deque[None]):
        def append(self, mark: None) -> None:
            super().append(mark)
            inbox.post("come at this moment")

    inbox._token = Token()
    assert inbox.take() == "come at this moment"
    assert not inbox._bell.acquire(blocking=False)


def test_no_ring_is_lost_or_left_over_between_many_short_sleeps(fast_switching):
    """Deadlines that fall together with rings: the reader must neither hang nor spin."""
    inbox = Inbox()
    count = 2_000
    got: list[int] = []

    def read() -> None:
        while len(got) < count:
            inbox.set_timer("tick", inbox.clock() + 1e-5, None)
            message = inbox.take()
            if message is not None:
                got.append(message)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(count):
        inbox.post(number)
    thread.join(PATIENCE)
    assert got == list(range(count))
    assert not inbox._bell.acquire(blocking=False)


def test_a_plain_pykka_actor_can_live_on_this_inbox(clean_house):
    class Plain(pykka.ThreadingActor):
        use_daemon_thread = True

        @staticmethod
        def _create_actor_inbox() -> Inbox:
            return Inbox()

        def on_receive(self, message: Any) -> Any:
            return message

        def double(self, number: int) -> int:
            return 2 * number

    ref = Plain.start()
    ref.tell("nothing")
    assert ref.ask("question", timeout=PATIENCE) == "question"
    assert ref.proxy().double(21).get(timeout=PATIENCE) == 42
    assert ref.stop(timeout=PATIENCE)


def test_the_heap_is_ordered_by_time_then_by_age():
    inbox = Inbox(clock=lambda: 0.0)
    for key, due in enumerate((2.0, 1.0, 1.0)):
        inbox.set_timer(key, due, key)
    assert [heapq.heappop(inbox._heap)[2] for _ in range(3)] == [1, 2, 0]


def test_one_message_at_a_time_is_timed_from_when_it_was_put_until_it_is_taken():
    now = [100.0]
    inbox = Inbox(clock=lambda: now[0])
    for name in "abc":
        inbox.post(name)
    now[0] = 102.0
    assert [inbox.take() for _ in range(3)] == ["a", "b", "c"]
    assert (inbox.waits.count, inbox.waits.sum) == (1, 2.0)
    inbox.post("d", control=True)
    now[0] = 102.5
    assert inbox.take() == "d"
    assert (inbox.waits.count, inbox.waits.sum) == (2, 2.5)
