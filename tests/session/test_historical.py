"""IB's limits on historical queries are kept in advance, over reconnects and restarts, and in nobody's way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from script import ENDPOINTS, Script, lose
from speech import ask, tell

from backstay.protocol.builders import build
from backstay.protocol.builders_terms import Contract
from backstay.protocol.historical import HistoricalQuery, historical_query
from backstay.session.historical import LONG_LIMIT, Asked, Historical, Sent, noted
from backstay.session.pacing import Item
from backstay.session.settings import HeldSettings, Settings
from backstay.session.vocabulary import Arm, HistoricalAsked, Timer

V = 200


def bars(key: int, symbol: str = "AAPL", *, length: int = 60, what: str = "TRADES", bar: str = "5 secs") -> bytes:
    contract = Contract(symbol=symbol, sec_type="STK", exchange="SMART", currency="USD")
    values = {"contract": contract, "bar_size": bar, "duration": f"{length} S", "what": what}
    return build("historical_bars", values, version=V, key=key)


def broken_rules(sent: Iterable[tuple[float, HistoricalQuery]]) -> list[str]:
    """IB's rules as IB states them, over all that has left."""
    broken: list[str] = []
    seen: list[tuple[float, HistoricalQuery]] = []
    for at, query in sent:
        seen = [(then, one) for then, one in seen if then > at - 600.0]
        if any(one.identity == query.identity is not None and then > at - 15.0 for then, one in seen):
            broken.append(f"identical at {at}")
        seen.append((at, query))
        if sum(one.weight for _, one in seen) > 60:
            broken.append(f"more than 60 at {at}")
        alike = [one.weight for then, one in seen if one.subject == query.subject and then > at - 2.0]
        if sum(alike) >= 6 and len(alike) > 1:
            broken.append(f"six of one contract at {at}")
    return broken


def query(payload: bytes) -> HistoricalQuery:
    found = historical_query(payload, V)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("moments", "made"),
    [
        ((0.0, 14.9), lambda _n: bars(1)),
        ([0.1 * n for n in range(6)], lambda n: bars(1, length=30 + n)),
        ([3.0 * n for n in range(61)], lambda n: bars(1, f"S{n}")),
        ([3.0 * n for n in range(31)], lambda n: bars(1, f"S{n}", what="BID_ASK")),
    ],
)
def test_the_checker_finds_what_breaks_a_rule(moments, made):
    assert broken_rules((at, query(made(n))) for n, at in enumerate(moments)) != []


class Timed(Script):
    """Keeps when what has left."""

    def step(self, event: Any, *, after: float = 0.0) -> list[Any]:
        new = super().step(event, after=after)
        self.left: list[tuple[float, bytes]] = getattr(self, "left", [])
        self.left += [(self.now, payload) for payload in self.written()]
        return new


def run(script: Timed, seconds: float) -> list[bytes]:
    """Let time pass, with the timer of the release as it is armed. Returns what left."""
    before, end = len(script.left), script.now + seconds
    while (wait := script.armed(Timer.RELEASE)) is not None and script.now + wait <= end:
        script.ring(Timer.RELEASE, after=wait)
    script.now = end
    script.new = [Arm(Timer.RELEASE, max(0.0, script.core.desk.historical.due - end))]
    return [payload for _, payload in script.left[before:]]


def timed(**values: Any) -> Timed:
    return Timed(settings=Settings(**{"endpoints": ENDPOINTS, **values}))


def queries(left: Sequence[tuple[float, bytes]]) -> list[tuple[float, HistoricalQuery]]:
    return [(at, found) for at, payload in left if (found := historical_query(payload, V)) is not None]


def test_an_identical_query_waits_for_its_fifteen_seconds_and_others_pass():
    script = Timed().ready().ask(bars(1), bars(2), ask(V, 9, 3), bars(4, "MSFT"))
    assert script.written() == [bars(1), ask(V, 9, 3), bars(4, "MSFT")]
    assert script.armed(Timer.RELEASE) == pytest.approx(15.25)
    assert run(script, 15.3) == [bars(2)]


def test_the_sixth_query_of_a_contract_waits_for_its_two_seconds():
    script = Timed().ready().ask(*(bars(n, length=30 + n) for n in range(1, 8)))
    assert script.written() == [bars(n, length=30 + n) for n in range(1, 6)]
    assert run(script, 3.0) == [bars(6, length=36), bars(7, length=37)]


def test_long_bars_are_not_held_back():
    script = Timed().ready().ask(*(bars(n, bar="1 min") for n in range(1, 40)))
    assert len(script.written()) == 39


def test_the_limits_can_be_switched_off():
    script = timed(historical_limits=False).ready().ask(*(bars(n) for n in range(1, 40)))
    assert len(script.written()) == 39


def test_a_cancel_of_what_waits_ends_it_silently():
    script = Timed().ready().ask(bars(1), bars(2))
    script.ask(ask(V, 25, 2))
    assert script.written() == []
    assert run(script, 60.0) == []
    assert script.core.view().held == 0
    assert script.core.view().reads == 1


def test_what_waits_does_not_hold_the_clients_credit_and_is_bounded():
    script = timed(held=HeldSettings(count=3)).ready().ask(*(bars(n) for n in range(1, 6)))
    assert script.codes() == [(5, 504)]
    assert script.core.view().held == 3
    assert script.refunded() == sum(len(bars(n)) + 4 for n in range(1, 6))
    script.ask(ask(V, 25, 2), bars(6))
    assert script.codes() == [], "what was cancelled makes room"


def test_what_waits_is_not_given_up_for_having_waited():
    script = Timed().ready().ask(*(bars(n, f"S{n}") for n in range(62)))
    run(script, 590.0)
    assert script.written() == []
    script.ring(Timer.RELEASE, after=script.armed(Timer.RELEASE) or 0.0)
    assert script.written() == [bars(60, "S60"), bars(61, "S61")]
    assert script.core.owed.ledger.on_key(60)[0].due > script.now + 4.9, "its deadline is for the answer"
    assert script.core.owed.ledger.on_key(60)[0].born_at == pytest.approx(script.now, abs=2.0)
    assert script.said(script.effects) == []


def test_a_repeat_of_what_is_answered_meanwhile_does_not_leave():
    script = Timed().ready().ask(bars(1))
    script.now += 5.0
    script.hear(tell(V, 49)).ring(Timer.VERIFY, after=0.1)
    assert script.written() == []
    assert script.core.view().held == 1, "the repeat is an identical query"
    script.hear(tell(V, 17, 1), tell(V, 108, 1))
    assert run(script, 60.0) == []
    assert script.core.view().held == 0


def test_the_record_outlives_sockets_and_the_session():
    script = Timed().ready().ask(bars(1))
    lose(script).again()
    assert script.written() == [], "asked again within 15 s it would be an identical query"
    assert run(script, 16.0) == [bars(1)]
    other = Timed(owed=script.owed)
    other.now = script.now + 3.0
    other.ready()
    assert other.written() == []
    assert run(other, 16.0) == [bars(1)]


def test_being_ready_does_not_wait_for_them():
    script = Timed().ready().ask(bars(1))
    assert lose(script).again().core.view().state == "ready"


def test_what_waited_for_the_limits_when_the_socket_broke_is_as_old_as_that():
    script = Timed().ready().ask(*(bars(n, f"S{n}") for n in range(61)))
    script.now += 300.0
    lose(script)
    script.ring(Timer.HELD, after=59.0)
    assert script.codes() == []
    script.ring(Timer.HELD, after=2.0)
    assert len(script.codes()) == 61


def test_a_thousand_resends_break_no_rule_and_a_cancel_of_an_order_leaves_at_once():
    script = Timed().greet().connect().hello().start()
    wanted = [bars(n, f"S{n % 40}", length=30 + n % 7, what=("TRADES", "BID_ASK")[n % 3 == 0]) for n in range(1_000)]
    script.ask(*wanted)
    script.identify().verify()
    run(script, 3_000.0)
    for _ in range(4):
        lose(script).again()
        run(script, 500.0)
        script.ask(ask(V, 4, 5_000))
        assert script.written() == [ask(V, 4, 5_000)]
    assert broken_rules(queries(script.left)) == []
    assert len(queries(script.left)) > 200


KINDS = st.tuples(st.sampled_from("ABC"), st.sampled_from((30, 40)), st.sampled_from(("TRADES", "BID_ASK")))
STEPS = st.one_of(
    KINDS.map(lambda kind: ("ask", kind)),
    st.floats(min_value=0.0, max_value=200.0).map(lambda seconds: ("wait", seconds)),
    st.sampled_from((("cut", 0), ("cancel", 0))),
)


@settings(max_examples=100)
@given(st.lists(STEPS, min_size=20, max_size=120))
def test_whatever_the_client_asks_no_rule_is_broken_and_each_query_leaves_or_is_cancelled(steps):
    script, key = Timed().ready(), 0
    for what, detail in steps:
        if what == "ask":
            key += 1
            script.ask(bars(key, detail[0], length=detail[1], what=detail[2]))
        elif what == "cancel" and key:
            script.ask(ask(V, 25, key))
        elif what == "cut":
            lose(script).again()
        run(script, detail if what == "wait" else 0.0)
    run(script, 10_000.0)
    assert broken_rules(queries(script.left)) == []
    assert script.core.view().held == 0


def test_who_counts_twice_is_not_overtaken_for_ever():
    limits = Historical()
    for n in range(59):
        assert limits.admits(query(bars(1, f"S{n}")), now=float(n))
    double = query(bars(1, "D", what="BID_ASK"))
    assert not limits.admits(double, now=100.0)
    limits.put(Item(b"double"), double, now=100.0)
    assert not limits.admits(query(bars(1, "X")), now=100.0)
    assert limits.take(600.2, lambda _item: True) is None
    taken = limits.take(600.25, lambda _item: True)
    assert taken is not None
    assert taken.item.payload == b"double"


# -- several connections of one login ----------------------------------------------------------------------------------


class Login:
    """Connections that share a login, and what their lobby would keep."""

    def __init__(self, count: int) -> None:
        self.asked: Asked = ()
        self.left: list[tuple[float, HistoricalQuery]] = []
        self.members = [Member(self).ready() for _ in range(count)]

    def run(self, seconds: float) -> None:
        """Let time pass for all of them, each at its own moments."""
        end = max(member.now for member in self.members) + seconds
        while True:
            waits = [(member.rings_at(), place) for place, member in enumerate(self.members)]
            at, place = min(waits)
            if at > end:
                break
            member = self.members[place]
            member.now = max(member.now, at)
            member.ring(Timer.RELEASE)
        for member in self.members:
            member.now = end


class Member(Script):
    """One of them: it learns before each step, as its owner would have it."""

    def __init__(self, login: Login) -> None:
        super().__init__()
        self.login = login
        self.release_at = float("inf")

    def step(self, event: Any, *, after: float = 0.0) -> list[Any]:
        self.core.learn({}, self.login.asked, {})
        new = super().step(event, after=after)
        for effect in new:
            if isinstance(effect, HistoricalAsked):
                self.login.asked = noted(self.login.asked, effect.sent)
        self.login.left += queries([(self.now, payload) for payload in self.written()])
        wait = self.armed(Timer.RELEASE)
        self.release_at = self.release_at if wait is None else self.now + wait
        return new

    def ring(self, timer: Timer, *, after: float = 0.0) -> Script:
        self.release_at = float("inf") if timer is Timer.RELEASE else self.release_at
        return super().ring(timer, after=after)

    def rings_at(self) -> float:
        return self.release_at


def test_an_identical_query_of_another_connection_waits_as_well():
    login = Login(2)
    first, second = login.members
    first.ask(bars(1))
    second.ask(bars(1), bars(2, "MSFT"))
    assert [one.subject for _, one in login.left] == [query(bars(1)).subject, query(bars(2, "MSFT")).subject]
    login.run(15.0)
    assert len(login.left) == 2
    login.run(0.3)
    assert [one.identity for _, one in login.left][2] == query(bars(1)).identity


def test_a_connection_that_comes_later_knows_what_was_asked_before_it():
    login = Login(2)
    for n in range(60):
        login.members[n % 2].ask(bars(n, f"S{n}"))
    login.run(30.0)
    late = Member(login).ready()
    login.members.append(late)
    late.ask(bars(1, "X"))
    assert late.core.view().held == 1
    before = len(login.left)
    login.run(500.0)
    assert len(login.left) == before
    login.run(130.0)
    assert len(login.left) > before
    assert late.core.view().held == 0


def test_one_query_leaves_in_a_step_where_others_may_send_as_well():
    login = Login(1)
    alone = login.members[0]
    alone.ask(bars(1, "A"), bars(2, "B"), bars(3, "C"))
    assert alone.written() == [bars(1, "A")]
    assert alone.armed(Timer.RELEASE) == 0.0
    login.run(0.1)
    assert len(login.left) == 3


def test_queries_of_two_connections_in_the_same_instant_have_room():
    shared: Asked = ()
    for n in range(58):
        shared = noted(shared, Sent(float(n), query(bars(1, f"S{n}"))))
    first, second, third = Historical(), Historical(), Historical()
    for one in (first, second, third):
        one.learn(shared)
    assert first.admits(query(bars(1, "X")), now=100.0)
    assert second.admits(query(bars(1, "Y")), now=100.0)
    for left in (first.sent[-1], second.sent[-1]):
        shared = noted(shared, left)
    assert sum(one.query.weight for one in shared) == LONG_LIMIT
    third.learn(shared)
    assert not third.admits(query(bars(1, "Z")), now=100.1)


def test_who_counts_twice_is_not_overtaken_by_another_connection_for_ever():
    login = Login(2)
    busy, patient = login.members
    for n in range(60):
        busy.ask(bars(n, f"S{n}"))
        login.run(10.0)
    patient.ask(bars(99, "D", what="BID_ASK"))
    assert patient.core.view().held == 1
    for n in range(60, 180, 2):
        busy.ask(bars(n, f"S{n}"), bars(n + 1, f"S{n + 1}"))
        login.run(10.0)
    assert patient.core.view().held == 0
    assert busy.core.view().held > 0
    assert broken_rules(login.left) == []


def test_what_was_asked_is_remembered_as_long_as_it_counts_and_no_more_of_it_than_may_be():
    shared: Asked = ()
    for n in range(200):
        shared = noted(shared, Sent(float(n), query(bars(1, f"S{n}"))))
    assert [one.at for one in shared] == [float(n) for n in range(140, 200)]
    late = Sent(760.0, query(bars(1)))
    assert [one.at for one in noted(shared, late)] == [*(float(n) for n in range(160, 200)), 760.0]
    keeps = Historical()
    keeps.learn(shared)
    keeps.learn(noted(shared, Sent(199.5, query(bars(1)))))
    assert len(keeps.sent) == LONG_LIMIT


def test_what_one_has_asked_itself_is_not_counted_twice_when_it_hears_of_it():
    alone = Historical()
    alone.learn(())
    assert alone.admits(query(bars(1, "A")), now=1.0)
    alone.learn(noted((), alone.sent[-1]))
    assert len(alone.sent) == 1


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), STEPS), min_size=20, max_size=100))
def test_whatever_clients_of_one_login_ask_together_no_rule_is_broken(steps):
    login, key = Login(4), 0
    for place, (what, detail) in steps:
        member = login.members[place]
        if what == "ask":
            key += 1
            member.ask(bars(key, detail[0], length=detail[1], what=detail[2]))
        elif what == "cancel" and key:
            member.ask(ask(V, 25, key))
        elif what == "cut":
            lose(member).again()
        login.run(detail if what == "wait" else 0.0)
    login.run(10_000.0)
    assert broken_rules(login.left) == []
    assert [member.core.view().held for member in login.members] == [0, 0, 0, 0]
