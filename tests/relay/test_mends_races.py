"""Races that were found by reading, each made certain: what happens in between happens at the worst moment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from backstay.actors.traffic import Credit
from backstay.protocol.framing import Splitter, text
from backstay.relay import intake
from backstay.relay.lobby import Chair, Lobby, Reception, Visit
from backstay.relay.outlet import Outlet
from backstay.session.client_words import ClientAsked, ClientLeft
from backstay.session.core import Core
from backstay.session.vocabulary import Noted
from backstay.supervisor.book import Book


class SlowSocket:
    """Takes nothing at once; a blocking send waits for `read`, as with a client that does not read."""

    def __init__(self) -> None:
        self.blocked, self.read = threading.Event(), threading.Event()
        self.was_shut = self.was_closed = False
        self.got = b""

    def send(self, data: bytes, flags: int = 0) -> int:
        if flags & socket.MSG_DONTWAIT:
            raise BlockingIOError
        self.blocked.set()
        assert self.read.wait(10)
        self.got += bytes(data)
        return len(data)

    def shutdown(self, _how: int) -> None:
        self.was_shut = True

    def close(self) -> None:
        self.was_closed = True


def test_a_send_that_was_blocked_on_the_client_of_before_is_not_booked_on_the_next_one():
    credit, old, new = Credit(), SlowSocket(), SlowSocket()
    outlet = Outlet(old, credit)  # type: ignore[arg-type]
    credit.owe(3)
    outlet.put(b"old")
    pumping = threading.Thread(target=outlet.pump)
    pumping.start()
    assert old.blocked.wait(10)
    outlet.detach()
    outlet.attach(new)  # type: ignore[arg-type]
    credit.owe(7)
    outlet.put(b"for new")
    old.read.set()
    pumping.join(10)
    assert outlet.pending_bytes == credit.used_bytes == 7
    new.read.set()
    assert outlet.pump()
    assert (new.got, outlet.pending_bytes, credit.used_bytes) == (b"for new", 0, 0)


def test_credit_counted_anew_while_a_send_is_under_way_ends_at_nothing():
    credit, sock = Credit(), SlowSocket()
    outlet = Outlet(sock, credit)  # type: ignore[arg-type]
    credit.owe(4 + 100)  # a hundred died with the dispatcher
    outlet.put(b"four")
    pumping = threading.Thread(target=outlet.pump)
    pumping.start()
    assert sock.blocked.wait(10)
    outlet.recount()
    assert credit.used_bytes == 4
    sock.read.set()
    pumping.join(10)
    assert credit.used_bytes == 0


def test_no_credit_can_be_given_between_the_count_and_its_entry():
    """The give of a send that has been accounted comes under the same lock as the count."""
    order: list[str] = []

    class Watched(Credit):
        def give(self, size_bytes: int) -> None:
            order.append(f"give, locked: {outlet._lock.locked()}")
            super().give(size_bytes)

        def restart(self, used_bytes: int) -> None:
            order.append(f"restart, locked: {outlet._lock.locked()}")
            super().restart(used_bytes)

    credit, sock = Watched(), SlowSocket()
    outlet = Outlet(sock, credit)  # type: ignore[arg-type]
    sock.read.set()
    outlet.put(b"four")
    outlet.pump()
    outlet.recount()
    assert order == ["give, locked: True", "restart, locked: True"]


def test_a_kick_between_the_send_and_the_take_is_noticed():
    credit = Credit(10)
    kicks = credit.kicks
    credit.kick()
    assert not credit.take(11, kicks)
    credit.give(11)
    assert credit.take(5, credit.kicks)


def test_copies_for_the_session_use_up_credit_until_it_has_dealt_with_them():
    credit = Credit(10)
    credit.note(8)
    results: list[bool] = []
    waiter = threading.Thread(target=lambda: results.append(credit.take(5, credit.kicks)))
    waiter.start()
    credit.noted(8)
    waiter.join(10)
    assert results == [True]
    credit.note(3)
    credit.restart(0)
    assert not credit_has_room(credit, 8)
    credit.forget_notes()
    assert credit_has_room(credit, 8)


def test_copies_that_a_full_session_did_not_take_use_up_no_credit(build, simulator, monkeypatch):
    nothing_left, original = threading.Event(), Credit.noted

    def noted(self: Credit, size_bytes: int) -> None:
        original(self, size_bytes)
        if not self._noted:
            nothing_left.set()

    monkeypatch.setattr(Credit, "noted", noted)
    house = build(simulator.address, pulse={"idle_seconds": 10.0})
    client = house.client().connect(7)
    house.wait_state("ready")
    left = [1]

    def refuse(name: str, message: object) -> bool:
        if name != "session" or not isinstance(message, Noted) or not left[0]:
            return False
        left[0] -= 1
        return True

    refusing(monkeypatch, refuse)
    client.send(49, 1)
    client.expect_error(1102)
    nothing_left.clear()
    client.send(49, 1)
    client.expect(49)
    assert nothing_left.wait(10)
    assert [exit_["id"] for exit_ in house.told("child_exited") if exit_["kind"] == "crash"] == ["dispatcher"]


def credit_has_room(credit: Credit, size_bytes: int) -> bool:
    kicks = credit.kicks
    credit.kick()  # so that it answers instead of waiting
    has_room = credit.take(size_bytes, kicks)
    credit.give(size_bytes)
    return has_room


def test_whoever_is_told_that_its_chair_was_taken_finds_the_visit(simulator):
    """`remove_chair` says False only when the visit is there."""
    lobby, found = Lobby(), []

    class Slow(Chair):
        def fill(self, visit: Visit | None) -> None:
            threading.Thread(target=look).start()
            assert not looked.wait(0.2), "the lobby is locked meanwhile"
            super().fill(visit)

    def look() -> None:
        found.append(lobby.remove_chair(7, chair) or chair.wait(0.0))
        looked.set()

    looked, chair = threading.Event(), Slow(176)
    lobby.keep_chair(7, chair)
    visit = Visit(socket.socket(), "", 176, Splitter(), ())
    assert lobby.visit(7, visit) is Reception.TAKEN
    assert looked.wait(10)
    visit.sock.close()
    assert found == [visit]


def refusing(monkeypatch: pytest.MonkeyPatch, refuse: Callable[[str, object], bool]) -> None:
    original = Book.send
    monkeypatch.setattr(
        Book, "send", lambda self, name, message: not refuse(name, message) and original(self, name, message)
    )


def test_a_full_inbox_of_the_session_does_not_cost_a_healthy_client(build, simulator, monkeypatch):
    house = build(simulator.address)
    client = house.client().connect(7)
    left = [3]

    def refuse(name: str, message: object) -> bool:
        if name != "session" or not isinstance(message, ClientAsked) or not left[0]:
            return False
        left[0] -= 1
        return True

    refusing(monkeypatch, refuse)
    client.market_data(11)
    client.expect(1, 11)
    assert left == [0]


def test_a_client_whose_session_takes_nothing_for_long_is_let_go(build, simulator, monkeypatch):
    monkeypatch.setattr(intake, "SESSION_SECONDS", 0.2)
    house = build(simulator.address)
    client = house.client().connect(7)
    refusing(monkeypatch, lambda name, message: name == "session" and isinstance(message, ClientAsked | ClientLeft))
    client.market_data(11)
    client.expect_closed()
    house.wait(lambda status: not status.connections)


def test_requests_that_the_session_deals_with_before_their_bytes_are_counted_leave_the_window_whole(
    build, simulator, monkeypatch
):
    """Once the client asks again its window is counted: it is used up before the session can give it back."""
    lowest, give = [0], Credit.give

    def watched(self: Credit, size_bytes: int) -> None:
        give(self, size_bytes)
        lowest[0] = min(lowest[0], self.used_bytes)

    monkeypatch.setattr(Credit, "give", watched)
    house = build(simulator.address)
    client = house.client().connect(7)
    for request_id in range(20):
        client.market_data(request_id)
        client.expect(1, request_id)
    assert lowest == [0]


def test_a_request_larger_than_the_window_passes(build, simulator, monkeypatch):
    house = build(simulator.address)
    client = house.client().connect(7)
    house.wait_state("ready")
    seen, original = threading.Event(), Core.step

    def step(self, event, *args, **kwargs):
        if isinstance(event, ClientAsked) and max(map(len, event.payloads)) > intake.REQUEST_WINDOW_BYTES:
            seen.set()
        return original(self, event, *args, **kwargs)

    monkeypatch.setattr(Core, "step", step)
    client.sock.sendall(text(59, 1, 1, b"x" * (2 * intake.REQUEST_WINDOW_BYTES)))
    assert seen.wait(10)
