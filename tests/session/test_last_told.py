"""Lists of orders that backstay asks for: each order is told once, where something is new, and no change is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from script import Script, lose
from speech import ask, error, tell
from speech_orders import Told, open_order, status

from backstay.protocol.framing import PREFIX_BYTES
from backstay.session import last_told
from backstay.session.client_words import ClientAway, ClientReturned
from backstay.session.last_told import LastTold
from backstay.session.vocabulary import Timer

V = 200
WORKING = Told(500, 77, 1, 0, "Submitted")
OTHER = replace(WORKING, order_id=501, perm_id=78)
ORDER = ask(V, 3, 500)


def words(*orders: Told) -> bytes:
    """As TWS has them in a list."""
    return b"".join(open_order(V, order) + status(V, order) for order in orders)


def shown(version: int = V) -> Script:
    """Two orders work, and the client has been shown both."""
    script = Script(version=version).ready()
    return script.hear(*(make(version, order) for order in (WORKING, OTHER) for make in (open_order, status)))


def cut(script: Script) -> Script:
    """A new socket, and both lists of open orders are asked for."""
    lose(script).ring(Timer.RETRY, after=1.2)
    return script.connect().hello().identify().hear(tell(script.version, 49))


def listed(script: Script, *frames: bytes) -> bytes:
    """What the client gets of a list that holds these."""
    script.hear(*frames, tell(script.version, 53))
    return script.passed


@pytest.mark.parametrize("version", [100, 200, 226])
def test_of_orders_that_stand_as_they_stood_nothing_is_told_after_a_cut(version):
    script = cut(shown(version))
    frames = [make(version, order) for order in (WORKING, OTHER) for make in (open_order, status)]
    assert [listed(script, *frames) for _ in range(2)] == [b"", b""]


def test_an_order_that_has_changed_is_told_once_of_the_two_lists():
    script, changed = cut(shown()), replace(WORKING, status="PreSubmitted")
    assert [listed(script, words(changed, OTHER)) for _ in range(2)] == [words(changed), b""]


def test_an_order_that_changes_between_the_lists_is_told_twice_and_back_again_as_well():
    script, changed = cut(shown()), replace(WORKING, status="PendingCancel")
    assert listed(script, words(changed, OTHER)) == words(changed)
    assert listed(script, words(WORKING, OTHER)) == words(WORKING)


def test_an_order_in_doubt_is_told_as_it_stands_once():
    script = Script().ready().ask(ORDER).hear(words(WORKING)).ask(ask(V, 3, 500, word="change"))
    cut(script)
    assert (500, 2165) in script.codes(script.effects)
    assert [listed(script, words(WORKING)) for _ in range(2)] == [words(WORKING), b""]


@pytest.mark.parametrize("said", [error(V, 500, 399), error(V, 500, 2109)])
def test_an_order_that_tws_has_said_something_else_of_is_told_as_it_stands(said):
    script = cut(shown().hear(said))
    assert [listed(script, words(WORKING, OTHER)) for _ in range(2)] == [words(WORKING), b""]


def test_what_happens_by_itself_is_told_however_often():
    script = shown()
    for _ in range(2):
        script.hear(words(WORKING))
        assert script.passed == words(WORKING)


def test_what_the_client_asks_for_itself_it_gets_whole():
    script = shown().ask(ask(V, 5))
    assert listed(script, words(WORKING, OTHER)) == words(WORKING, OTHER) + tell(V, 53)


def test_what_tws_shows_by_itself_to_an_id_that_comes_back_is_told_where_it_is_new():
    script = shown()
    lose(script).ring(Timer.RETRY, after=1.2)
    script.connect().hello()
    filled = status(V, replace(OTHER, status="Filled", filled=1))
    script.hear(words(WORKING), filled, tell(V, 53))
    assert script.passed == filled


def test_a_client_that_comes_back_is_told_of_all():
    script = shown()
    script.step(ClientAway())
    script.step(ClientReturned())
    assert script.sieve.told.tell(5, open_order(V, WORKING)[PREFIX_BYTES:], V, listed=True)


def test_an_order_that_nobody_has_a_record_of_is_followed_although_its_list_says_nothing_new():
    script = shown()
    script.core.orders.table._open.clear()
    listed(cut(script), words(WORKING))
    assert [one.key.order_id for one in script.core.orders.table.open_intents()] == [500]


def test_words_are_remembered_within_a_limit(monkeypatch):
    monkeypatch.setattr(last_told, "MAX_TOLD", 2)
    told, payload = LastTold(), status(V, WORKING)[PREFIX_BYTES:]
    assert told.tell(3, payload, V, listed=True)
    for order_id in (501, 502):
        told.tell(3, status(V, replace(WORKING, order_id=order_id))[PREFIX_BYTES:], V, listed=False)
    assert told.tell(3, payload, V, listed=True), "rather twice than never"


STATUSES = {
    status(V, replace(order, status=word)): order.order_id
    for order in (WORKING, OTHER)
    for word in ("Submitted", "PreSubmitted")
}
OURS = {**STATUSES, error(V, 500, 2165): 500, error(V, -1, 1100): -1, tell(V, 49): -1}
STEPS = st.one_of(
    st.tuples(st.sampled_from(["listed", "listed", "happens"]), st.sampled_from(list(STATUSES))),
    st.tuples(st.just("ours"), st.sampled_from(list(OURS))),
    st.just(("another client", b"")),
)


@given(st.lists(STEPS, min_size=20, max_size=40))
def test_whatever_came_between_behind_a_list_a_client_knows_what_tws_has_said_last(steps):
    told, knows = LastTold(), {}
    for kind, frame in steps:
        payload, order_id = frame[PREFIX_BYTES:], OURS.get(frame)
        if kind == "ours":
            told.hear_own(payload)
            knows.pop(order_id, None)
        elif kind == "another client":
            told.forget_all()
            knows.clear()
        elif told.tell(3, payload, V, listed=kind == "listed"):
            knows[order_id] = payload
        else:
            assert kind == "listed"
            assert knows.get(order_id) == payload
