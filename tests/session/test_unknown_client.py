"""What arrives before a client has said its id: there are no orders yet that it could be about."""

from __future__ import annotations

import pytest
from script import Script, lose
from speech import ask, error, tell
from speech_orders import Told, commission, completed_order, execution, open_order, status

from backstay.protocol.framing import text
from backstay.session.census import take_census
from backstay.session.order_words import NotWrittenDown, WrittenDown
from backstay.session.owed import Owed
from backstay.session.vocabulary import Deliver, Timer

V = 200
TOLD = Told(500, 77, 1, 1, "Filled")


def stranger() -> Script:
    """TWS has greeted back, and the client has not yet said who it is."""
    return Script().greet().connect().hello()


@pytest.mark.parametrize(
    "frame",
    [
        open_order(V, TOLD),
        status(V, TOLD),
        completed_order(V, TOLD),
        execution(V, TOLD, "0001.01", 1),
        commission(V, "0001.01"),
        tell(V, 53),
        tell(V, 55, 2**31 - 999_999),
        tell(V, 102),
        error(V, 500, 201),
        error(V, -1, 1100),
        error(V, -1, 1102),
        error(V, -1, 321),
    ],
    ids=lambda frame: frame[4:12].decode("latin-1").replace("\0", " "),
)
def test_a_word_about_orders_changes_nothing_and_the_client_can_still_start(frame):
    script = stranger().hear(frame)
    assert script.core.owed.orders is None
    assert not any(isinstance(effect, Deliver) for effect in script.new)
    script.start().identify().verify()
    assert script.core.view().state in ("ready", "degraded")


@pytest.mark.parametrize("event", [WrittenDown(9), NotWrittenDown(9, "no room")])
def test_word_of_a_journal_that_nobody_asked_is_about_nothing(event):
    assert stranger().step(event) == []


def test_a_gateway_that_identifies_itself_too_early_is_verified_and_has_no_orders_to_reconcile():
    script = stranger().identify().verify()
    assert script.core.view().state == "ready"
    order = ask(V, 3, 500)
    assert script.ask(order).written() == [order]
    for frame in (error(V, 500, 110), error(V, -1, 321), error(V, -1, 1100), error(V, -1, 1102), tell(V, 53)):
        assert script.hear(frame).codes() == []
    assert script.core.owed.orders is None


def test_a_gateway_that_moves_its_port_is_followed():
    script = stranger().hear(error(V, -1, 1300, "Socket port has been reset.:4002"))
    assert script.core.endpoints.present == ("gw0", 4002)


def test_a_timer_of_a_reconciliation_or_a_journal_that_nobody_needs_any_more_does_nothing():
    script = stranger()
    assert script.ring(Timer.RECONCILE).new == []
    assert script.ring(Timer.JOURNAL).new == []


def test_a_socket_that_breaks_leaves_no_order_in_doubt():
    assert lose(stranger()).codes() == []


def test_a_cancel_waits_for_the_gateway_all_the_same():
    cancel = ask(V, 4, 500)
    script = Script().greet(cached=True)
    script.ask(cancel)
    assert script.written() == []
    script.connect().hello().start().identify().verify()
    assert cancel in script.written(script.effects)


def test_nothing_stands_and_nothing_waits():
    census = take_census(Owed(), Script().core.view())
    assert (census.in_flight, census.queued, census.in_doubt) == (0, 0, 0)


def test_a_next_valid_id_that_can_not_be_read_gives_no_id_and_the_next_one_does():
    script = stranger().start().hear(text(9, 1, "soon"))
    assert script.core.owed.ledger.first_order_id is None
    script.identify().verify()
    assert script.core.owed.ledger.first_order_id == 1
