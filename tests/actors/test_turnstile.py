"""Whoever moves bytes at full speed takes turns, and steps back while somebody is answered; nobody waits for ever."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

from backstay.actors.turnstile import HOLD_SECONDS, HOLD_SHARE, Turnstile

PATIENCE = 15.0
LONG = 3600.0


class Visitors:
    """Threads that enter, and tell the ticket that they got."""

    def __init__(self, turnstile: Turnstile) -> None:
        self.turnstile = turnstile
        self.tickets: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self.threads: list[threading.Thread] = []

    def come(self, name: str) -> None:
        """Returns when this one has entered or waits."""
        stood = self.turnstile.waiting + self.turnstile.inside
        thread = threading.Thread(target=lambda: self.tickets.put((name, self.turnstile.enter(name))))
        self.threads.append(thread)
        thread.start()
        pause = threading.Event()
        while self.turnstile.waiting + self.turnstile.inside == stood:
            assert not pause.wait(0.001)

    def next(self) -> tuple[str, int]:
        return self.tickets.get(timeout=PATIENCE)

    def none_entered(self) -> bool:
        return self.tickets.empty()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def two() -> Iterator[Visitors]:
    """Two tickets that are never void by themselves."""
    visitors = Visitors(Turnstile(2, LONG))
    yield visitors
    for thread in visitors.threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_as_many_enter_as_there_are_tickets_and_the_others_in_order_as_tickets_come_back(two):
    for name in ("a", "b", "c", "d"):
        two.come(name)
    first = [two.next(), two.next()]
    assert {name for name, _ in first} == {"a", "b"}
    assert two.none_entered()
    assert (two.turnstile.inside, two.turnstile.waiting) == (2, 2)
    two.turnstile.leave(first[0][1])
    third = two.next()
    assert third[0] == "c"
    assert two.none_entered()
    two.turnstile.leave(third[1])
    assert two.next()[0] == "d"


def test_a_ticket_given_back_twice_lets_in_one(two):
    for name in ("a", "b", "c", "d"):
        two.come(name)
    ticket, other = two.next()[1], two.next()[1]
    two.turnstile.leave(ticket)
    two.turnstile.leave(ticket)
    two.turnstile.leave(0)
    assert two.next()[0] == "c"
    assert (two.turnstile.inside, two.turnstile.waiting) == (2, 1)
    two.turnstile.leave(other)
    assert two.next()[0] == "d"


def test_whoever_never_gives_back_stops_nobody():
    turnstile = Turnstile(2, 0.01)
    lost = [turnstile.enter(number) for number in range(20)]
    assert len(set(lost)) == 20
    turnstile.leave(lost[0])
    assert turnstile.inside <= 2


def test_nobody_enters_during_a_hold_and_all_go_on_after_it(two):
    two.turnstile = turnstile = Turnstile(2, LONG, clock=Clock())
    turnstile.hold()
    two.come("a")
    two.come("b")
    assert turnstile.held
    assert two.none_entered()
    assert turnstile.waiting == 2
    turnstile.release()
    assert {two.next()[0], two.next()[0]} == {"a", "b"}


def test_a_ticket_given_back_during_a_hold_goes_to_nobody_before_its_end(two):
    two.turnstile = turnstile = Turnstile(1, LONG, clock=Clock())
    ticket = turnstile.enter("x")
    two.come("a")
    turnstile.hold()
    turnstile.leave(ticket)
    assert (turnstile.inside, turnstile.waiting) == (0, 1)
    turnstile.release()
    assert two.next()[0] == "a"


def test_who_is_alone_never_waits_and_gives_way_to_the_next_who_comes(two):
    tickets = [two.turnstile.enter("busy") for _ in range(10)]
    two.come("other")
    two.come("busy")
    for ticket in tickets[:-2]:
        two.turnstile.leave(ticket)
    assert two.none_entered()
    two.turnstile.leave(tickets[-2])
    assert two.next()[0] == "other"
    assert two.none_entered()
    two.turnstile.leave(tickets[-1])
    assert two.next()[0] == "busy"


def test_a_hold_that_nobody_releases_ends_by_itself():
    turnstile = Turnstile(1, 0.01)
    turnstile.hold()
    assert turnstile.enter("x")
    assert not turnstile.held


def test_a_release_without_a_hold_does_no_harm():
    turnstile = Turnstile(1, LONG)
    turnstile.release()
    turnstile.leave(turnstile.enter("x"))
    turnstile.release()
    assert turnstile.enter("x")


@pytest.mark.parametrize("answered_after", [1, 3, 40, None], ids=lambda after: f"{after} ms")
def test_whoever_asks_again_and_again_holds_for_a_quarter_of_the_time_at_most(answered_after):
    clock = Clock()
    turnstile = Turnstile(1, LONG, clock=clock)
    held_ms = 0.0
    for millisecond in range(2_000):
        turnstile.hold()
        for _ in range(20):
            held_ms += turnstile.held / 20
            clock.now += 0.001 / 20
        if answered_after and millisecond % answered_after == 0:
            turnstile.release()
    assert 200 <= held_ms <= (2_000 * HOLD_SHARE + HOLD_SECONDS * 1_000) * 1.2  # a twentieth of a millisecond is coarse


def test_after_a_rest_a_hold_lasts_no_longer_than_its_limit():
    clock = Clock()
    turnstile = Turnstile(1, LONG, clock=clock)
    clock.now += 1_000
    turnstile.hold()
    clock.now += HOLD_SECONDS * 0.9
    turnstile.hold()  # a second question extends nothing
    assert turnstile.held
    clock.now += HOLD_SECONDS * 0.2
    assert not turnstile.held


def test_no_ticket_is_given_twice_among_many_threads():
    turnstile = Turnstile(3, LONG)
    inside, most, failed = 0, 0, []
    lock = threading.Lock()

    def work(owner: int) -> None:
        nonlocal inside, most
        for _ in range(300):
            ticket = turnstile.enter(owner)
            with lock:
                inside += 1
                most = max(most, inside)
            turnstile.hold()
            turnstile.release()
            with lock:
                inside -= 1
            turnstile.leave(ticket)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 2)
        failed.append(thread.is_alive())
    assert not any(failed)
    assert 1 <= most <= 3
    assert (turnstile.inside, turnstile.waiting) == (0, 0)
