"""Endpoints that stand in for one another: each waits for itself, the first is preferred if somebody says so."""

from __future__ import annotations

import pytest
from script import ENDPOINTS, Script, lose, only, with_settings
from speech import ask, error, tell
from speech_orders import Told, open_order, status
from test_ordering import intent, journalled

from backstay.protocol.framing import text
from backstay.session.causes import Cause
from backstay.session.endpoints import MAX_ENDPOINTS, NO_MOVES, Endpoints, Moved, learn
from backstay.session.intents import JournalPage
from backstay.session.lifecycle import State
from backstay.session.vocabulary import BackOff, Dial, DialFailed, Timer

V = 200
THREE = (*ENDPOINTS, ("gw2", 4001))
ORDER = ask(V, 3, 500)


def fail(script: Script, cause: Cause = Cause.REFUSED) -> BackOff:
    script.step(DialFailed(script.epoch, cause, "x"))
    return only(script.new, BackOff)


def dialled(script: Script) -> str:
    return only(script.new, Dial).host


def redial(script: Script, after: float = 1.0) -> str:
    return dialled(script.ring(Timer.RETRY, after=after))


def elsewhere(**settings) -> Script:
    """Ready on the second endpoint."""
    script = with_settings(**settings).greet()
    fail(script)
    assert redial(script) == "gw1"
    return script.connect().hello().start().identify().verify()


def test_each_endpoint_has_its_own_delays():
    script = with_settings(endpoints=THREE).greet()
    numbers = []
    for _ in range(7):
        numbers.append(fail(script).endpoint)
        redial(script)
    assert numbers == [1, 2, 0, 1, 2, 0, 1]


def test_the_floor_of_one_does_not_keep_the_next_waiting_and_is_kept_when_its_turn_comes():
    script = Script().greet().connect()
    script.hello(text("x", "now"))
    assert only(script.new, BackOff).floor_seconds == 0.0
    assert redial(script, 1.0) == "gw1"
    assert fail(script).floor_seconds == pytest.approx(Cause.NOT_TWS.row.floor.seconds - 1.0)
    assert redial(script, 29.0) == "gw0"


def test_one_that_needs_a_person_does_not_keep_the_next_waiting():
    script = Script().greet().connect().hello(text(99, "now"))
    assert script.core.state is State.PARKED
    assert only(script.new, BackOff).floor_seconds == 0.0
    assert redial(script) == "gw1"
    script.connect().hello(text(99, "now"))
    assert script.core.state is State.PARKED
    assert script.armed(Timer.RETRY) == 59.0
    assert redial(script, 59.0) == "gw0"


def test_an_id_in_use_is_counted_where_it_is_in_use_and_never_changes():
    script, states = Script().greet(), []
    for turn in range(12):
        script.connect().hello()
        if turn == 0:
            script.start()
        script.hear(error(V, -1, 326, "in use"))
        states.append(script.core.state)
        script.ring(Timer.RETRY, after=60.0)
    assert states == [State.WAITING] * 10 + [State.PARKED] * 2
    assert script.core.view().client_id == 7


def test_a_redirect_does_not_move_the_turn():
    script = Script().greet().connect().hello(text(-1, "gw0:4003"))
    assert script.core.dialled == ("gw0", 4003)
    lose(script.connect().hello().start().identify().verify())
    assert redial(script) == "gw0"


def test_the_ports_that_a_gateway_names_are_bounded():
    endpoints = Endpoints([("gw", 1)])
    for port in range(2, 500):
        endpoints.choose(("gw", port))
        assert endpoints.present == ("gw", port)
    assert len(endpoints.listed) == MAX_ENDPOINTS
    assert endpoints.listed[0] == ("gw", 1)


# -- the preferred one -------------------------------------------------------------------------------------------------


def test_by_default_a_connection_stays_where_it_is():
    script = elsewhere()
    assert script.armed(Timer.PREFER) is None
    assert redial(lose(script)) == "gw1"


def test_it_goes_back_when_nobody_notices():
    script = elsewhere(prefer_first_seconds=600.0)
    assert script.armed(Timer.PREFER) == 600.0
    assert dialled(script.ring(Timer.PREFER, after=600.0)) == "gw0"
    assert script.core.view().reason.startswith("preferred")
    script.connect().hello().identify()
    assert script.verify().armed(Timer.PREFER) is None


@pytest.mark.parametrize("wanted", [ask(V, 1, 5), ask(V, 9, 6), ORDER])
def test_it_stays_while_something_would_be_lost(wanted):
    script = elsewhere(prefer_first_seconds=600.0).ask(wanted)
    script.ring(Timer.PREFER, after=600.0)
    assert script.armed(Timer.PREFER) == 600.0
    assert script.core.state is State.READY
    if wanted == ask(V, 9, 6):
        script.hear(tell(V, 52, 6))
        assert dialled(script.ring(Timer.PREFER, after=600.0)) == "gw0"


def test_a_socket_that_breaks_by_itself_after_long_enough_is_the_moment_too():
    script = elsewhere(prefer_first_seconds=600.0).ask(ask(V, 1, 5))
    script.now += 599.0
    assert redial(lose(script)) == "gw1"
    script = elsewhere(prefer_first_seconds=600.0).ask(ask(V, 1, 5))
    script.now += 600.0
    assert redial(lose(script)) == "gw0"


# -- orders ------------------------------------------------------------------------------------------------------------


FOUND = Told(500, 77, 1, 0, "Submitted")


def to_the_other(script: Script) -> None:
    """The socket breaks, the first endpoint refuses, and the second one is dialled."""
    lose(script).ring(Timer.RETRY, after=1.2)
    fail(script)
    script.ring(Timer.RETRY, after=1.0)


def judged_at(hosts: int, *, again: bool, **settings: bool) -> Script:
    """An order without an answer, the socket lost, and settled lists in which it does not stand."""
    script = with_settings(endpoints=ENDPOINTS[:hosts], **settings).ready().ask(ORDER)
    lose(script)
    script.ring(Timer.RETRY, after=1.2)
    if not again:
        fail(script)
        script.ring(Timer.RETRY, after=1.0)
    script.connect().hello().identify().verify()
    for _ in range(3):
        script.ring(Timer.RECONCILE, after=30.0)
        script.reconcile()
    return script


@pytest.mark.parametrize(("hosts", "again", "proved"), [(1, True, True), (2, True, True), (2, False, False)])
def test_only_the_gateway_that_an_order_was_sent_through_proves_that_it_never_had_it(hosts, again, proved):
    script = judged_at(hosts, again=again)
    assert ((500, 201) in script.codes(script.effects)) is proved
    assert (500, 2165) in script.codes(script.effects)
    assert script.written(script.effects).count(ORDER) == 1


@pytest.mark.parametrize(
    ("other", "proved"),
    [(("127.0.0.1", 4001), True), (("127.0.0.1", 4002), False), (("127.0.0.2", 4001), False), (("here", 4001), False)],
)
@pytest.mark.parametrize("life", [1, 2])
def test_two_names_of_this_machine_are_the_same_gateway(other, proved, life):
    endpoints = (("localhost", 4001), other)
    if life == 1:
        script = with_settings(endpoints=endpoints).ready().ask(ORDER)
        to_the_other(script)
        script.connect().hello().identify().verify()
        assert script.core.dialled == other
    else:  # through which of them an earlier process has sent it nobody knows
        script = journalled(JournalPage((intent(500),)), endpoints=endpoints)
    for _ in range(3):
        script.ring(Timer.RECONCILE, after=30.0).reconcile()
    assert ((500, 201) in script.codes(script.effects)) is proved


@pytest.mark.parametrize("found", [open_order(V, FOUND), status(V, FOUND)])
def test_an_order_that_another_name_shows_is_in_doubt_no_longer(found):
    script = Script().ready().ask(ORDER)
    to_the_other(script)
    script.connect().hello().identify().hear(tell(V, 49))
    assert script.core.dialled[0] == "gw1"
    script.hear(found)
    assert script.core.orders.table.in_doubt() == ()


def test_where_all_endpoints_are_one_login_each_of_them_proves_it():
    script = judged_at(2, again=False, one_login=True)
    assert (500, 201) in script.codes(script.effects)


def test_a_port_that_the_gateway_has_named_is_the_same_gateway():
    script = Script().ready().ask(ORDER)
    script.hear(error(V, -1, 1300, "Please reconnect on the new Port - 4009"))
    assert redial(script, 1.2) == "gw0"
    script.connect().hello().identify().verify()
    for _ in range(3):
        script.ring(Timer.RECONCILE, after=30.0)
        script.reconcile()
    assert script.core.dialled == ("gw0", 4009)
    assert (500, 201) in script.codes(script.effects)


def test_the_time_to_go_back_that_comes_while_the_gateway_is_away_passes():
    script = elsewhere(prefer_first_seconds=300.0)
    lose(script)
    state = script.core.state
    assert script.ring(Timer.PREFER, after=300.0).new == []
    assert script.core.state is state


def test_a_port_that_is_named_twice_is_listed_once():
    endpoints = Endpoints(list(ENDPOINTS))
    endpoints.choose(("gw0", 4002))
    endpoints.turn()
    endpoints.choose(("gw0", 4002))
    assert endpoints.present == ("gw0", 4002)
    assert endpoints.listed == [*ENDPOINTS, ("gw0", 4002)]


OLD, NEW = ENDPOINTS[0], ("gw0", 4009)


def test_a_port_that_is_named_takes_the_place_of_the_one_before_which_is_next():
    endpoints = Endpoints(list(ENDPOINTS))
    endpoints.choose(NEW, OLD)
    assert (endpoints.listed, endpoints.index) == ([NEW, *ENDPOINTS], 0)
    endpoints.choose(OLD, NEW)
    assert (endpoints.listed, endpoints.index) == ([OLD, NEW, ENDPOINTS[1]], 0)
    endpoints.choose(OLD, OLD)
    assert (endpoints.listed, endpoints.index) == ([OLD, NEW, ENDPOINTS[1]], 0)


def test_of_too_many_named_ports_the_one_before_is_dropped_and_the_configured_one_stays():
    endpoints, before = Endpoints([OLD]), OLD
    for port in range(5000, 5000 + 2 * MAX_ENDPOINTS):
        endpoints.choose(("gw0", port), before)
        before = ("gw0", port)
    assert len(endpoints.listed) == MAX_ENDPOINTS
    assert (endpoints.present, endpoints.listed[-1]) == (before, OLD)


def test_moves_are_followed_to_their_end_undone_by_a_return_and_bounded():
    moves = learn(learn(NO_MOVES, Moved(OLD, NEW)), Moved(NEW, ("gw0", 4010)))
    assert moves == {OLD: ("gw0", 4010), NEW: ("gw0", 4010)}
    assert learn(moves, Moved(("gw0", 4010), OLD)) == {NEW: OLD, ("gw0", 4010): OLD}
    assert learn(learn(NO_MOVES, Moved(OLD, NEW)), Moved(OLD, OLD)) == {}
    for port in range(5000, 5000 + 2 * MAX_ENDPOINTS):
        moves = learn(moves, Moved(("gw0", port), ("gw9", port)))
    assert len(moves) == MAX_ENDPOINTS


def test_what_another_connection_has_heard_of_the_port_is_dialled_first_and_the_configured_one_next():
    script = with_settings(endpoints=(OLD,))
    script.core.endpoints.moved = {OLD: NEW}
    script.greet()
    assert only(script.new, Dial).port == NEW[1]
    for port in (OLD[1], NEW[1], OLD[1]):
        fail(script)
        redial(script)
        assert only(script.new, Dial).port == port


def test_one_that_waits_at_the_old_port_goes_to_the_new_one_once_another_has_heard_of_it():
    script = with_settings(endpoints=(OLD,)).greet()
    fail(script)
    script.core.endpoints.moved = {OLD: NEW}
    redial(script)
    assert script.core.dialled == NEW


def test_an_order_that_was_sent_before_the_move_is_proved_by_the_gateway_where_it_is_now():
    script = Script().ready().ask(ORDER)
    lose(script)
    script.core.endpoints.moved = {OLD: NEW}
    redial(script, 1.2)
    script.connect().hello().identify().verify()
    for _ in range(3):
        script.ring(Timer.RECONCILE, after=30.0)
        script.reconcile()
    assert script.core.dialled == NEW
    assert (500, 201) in script.codes(script.effects)


def test_the_others_are_told_of_a_move_and_of_an_answer_from_where_it_was_before():
    script = Script().ready()
    script.hear(error(V, -1, 1300, "Please reconnect on the new Port - 4009"))
    assert only(script.new, Moved) == Moved(OLD, NEW)
    script = with_settings(endpoints=(OLD,))
    script.core.endpoints.moved = {OLD: NEW}
    script.greet()
    fail(script)
    redial(script)
    script.connect().hello()
    assert only(script.new, Moved) == Moved(OLD, OLD)
