"""What becomes of a client's requests while the gateway is away, and what is told when it goes."""

from __future__ import annotations

import pytest
from script import ENDPOINTS, Script, lose, size, with_settings
from speech import ask, error, order_status, tell

from backstay.protocol.commands import cancel_frame
from backstay.protocol.framing import PREFIX_BYTES, text
from backstay.session import counter
from backstay.session.client_words import ClientAsked
from backstay.session.notices import SPEAKER
from backstay.session.settings import HeldSettings, Settings
from backstay.session.vocabulary import Count, Timer

V = 200


def cancel(payload: bytes) -> bytes:
    frame = cancel_frame(payload, V)
    assert frame is not None
    return frame[PREFIX_BYTES:]


# -- while the gateway is away -----------------------------------------------------------------------------------------


def test_reads_streams_settings_and_cancels_are_held_and_put_back_in_the_order_of_need():
    script = lose(Script().ready())
    stream, read, setting, order_cancel = ask(V, 1, 1), ask(V, 9, 2), ask(V, 59), ask(V, 4, 500)
    account = ask(V, 62, 3)
    script.ask(read, stream, order_cancel, account, setting)
    assert script.written() == []
    assert script.codes() == []
    assert script.refunded() == size(read, stream, account, setting)
    script.again()
    assert script.written() == [setting, order_cancel, account, stream, read]
    assert script.refunded() == size(read, stream, account, setting, order_cancel)


def test_an_order_is_refused_as_long_as_the_client_knows_that_the_gateway_is_away():
    script = Script().ready().ask(ask(V, 3, 500)).hear(order_status(V, 500))
    lose(script).ask(ask(V, 3, 501), ask(V, 3, 500), ask(V, 21, 502))
    assert script.codes() == [(501, 201), (500, 2164), (502, 201)]
    assert Count("requests_rejected", "not_ready") in script.new
    script.again()
    assert script.written() == []
    assert script.codes()[-1:] == [(-1, 1102)]


def test_a_command_is_refused_while_the_gateway_is_away():
    script = lose(Script().ready()).ask(ask(V, 19, 5), text(240, 1)[PREFIX_BYTES:])
    assert script.codes() == [(5, 504), (-1, 504)]


def test_a_cancel_of_what_is_only_held_ends_it_silently():
    stream = ask(V, 1, 7)
    script = lose(Script().ready()).ask(stream, cancel(stream))
    assert script.refunded() == size(stream, cancel(stream))
    assert script.again().written() == []


def test_orders_wait_for_a_first_connection_and_are_refused_once_the_client_hears_that_there_is_none():
    script = Script().greet(cached=True).connect().hello().start()
    order, order_cancel = ask(V, 3, 500), ask(V, 4, 500)
    script.ask(order, order_cancel)
    assert script.codes() == []
    lose(script)
    assert script.codes() == [(-1, 1100), (500, 201)] or script.codes() == [(500, 201), (-1, 1100)]
    script.again()
    assert script.written() == [order_cancel]


def test_orders_that_waited_for_a_first_connection_leave_before_their_cancels():
    script = Script().greet().connect().hello().start()
    order, order_cancel = ask(V, 3, 500), ask(V, 4, 500)
    script.ask(order, order_cancel).identify().verify()
    assert script.written() == [order, order_cancel]


@pytest.mark.parametrize(("number", "key", "code"), [(3, 500, 201), (4, 500, 2166), (58, None, 2166), (9, 7, 504)])
def test_what_is_held_too_long_is_answered(number, key, code):
    held = HeldSettings(age_seconds=20.0, order_seconds=5.0)
    script = Script(settings=Settings(endpoints=ENDPOINTS, held=held)).greet().connect().hello().start()
    payload = ask(V, number, key)
    script.ask(payload)
    wait = 5.0 if number == 3 else 20.0
    assert script.armed(Timer.HELD) == wait
    script.ring(Timer.HELD, after=wait - 1.0)
    assert script.codes() == []
    assert script.armed(Timer.HELD) == pytest.approx(1.0)
    script.ring(Timer.HELD, after=1.1)
    assert script.codes() == [(-1 if key is None else key, code)]
    assert script.refunded() == size(payload)
    assert script.identify().verify().written() == []


def test_a_read_that_was_sent_is_held_from_the_loss_on():
    script = Script().ready().ask(ask(V, 9, 7), ask(V, 1, 8))
    lose(script)
    assert script.armed(Timer.HELD) == 60.0
    script.ring(Timer.HELD, after=60.0)
    assert script.codes() == [(7, 504)]
    assert script.again().written() == [ask(V, 1, 8)]


def test_nothing_expires_while_the_gate_is_open():
    script = Script().greet().connect().hello().start().ask(ask(V, 9, 7)).identify().verify()
    script.ring(Timer.HELD, after=100.0)
    assert script.codes() == []
    assert script.armed(Timer.HELD) is None


@pytest.mark.parametrize("limits", [{"count": 2}, {"size_bytes": 2 * size(ask(V, 9, 1)) + 1}])
def test_what_goes_beyond_the_limits_is_answered_at_once(limits):
    script = Script(settings=Settings(endpoints=ENDPOINTS, held=HeldSettings(**limits))).ready()
    lose(script).ask(*(ask(V, 9, key) for key in range(4)))
    assert script.codes() == [(2, 504), (3, 504)]
    assert Count("requests_rejected", "queue_full") in script.new
    assert script.core.view().held == 2


def test_the_number_of_orders_and_cancels_held_is_bounded(monkeypatch):
    monkeypatch.setattr(counter, "MAX_HELD_TRADES", 2)
    script = Script().greet().connect().hello().start()
    script.ask(ask(V, 3, 500), ask(V, 3, 501), ask(V, 3, 502), ask(V, 4, 503))
    assert script.codes() == [(502, 201), (503, 2166)]


# -- the loss itself ---------------------------------------------------------------------------------------------------


def test_what_was_queued_when_the_socket_broke_is_settled_by_its_kind():
    script = with_settings(messages_per_second=1).ready()
    script.ask(ask(V, 9, 1), after=1.0)
    order, order_cancel, setting, stream, command = (
        ask(V, 3, 500),
        ask(V, 4, 501),
        ask(V, 59),
        ask(V, 1, 2),
        ask(V, 69, 3),
    )
    unknown, time = text(240, 1)[PREFIX_BYTES:], ask(V, 49)
    queued = (order, order_cancel, setting, stream, command, unknown, time, ask(V, 58))
    script.ask(*queued)
    lose(script)
    assert sorted(script.codes()) == sorted([(500, 201), (3, 504), (-1, 504), (-1, 1100)])
    assert all(told.text.startswith(SPEAKER) for told in script.said())
    assert script.refunded() == size(ask(V, 9, 1), *queued)
    script.again()
    seen = script.written()
    for _ in range(14):
        seen += script.ring(Timer.RELEASE, after=1.1).written()
    seen.remove(time)  # it goes by itself: neither does it matter to the others, nor they to it
    assert seen == [setting, order_cancel, ask(V, 58), stream, ask(V, 9, 1)]


def test_an_order_without_an_answer_is_told_of_once_and_never_sent_again():
    script = Script().ready().ask(ask(V, 3, 500), ask(V, 21, 501), ask(V, 3, 502)).hear(order_status(V, 502))
    lose(script)
    assert script.codes() == [(500, 2165), (501, 2165), (-1, 1100)]
    assert script.again().written() == []
    assert (500, 2165) not in lose(script).codes()


@pytest.mark.parametrize(
    "word",
    [
        order_status(V, 500),
        error(V, 500, 201),
    ],
    ids=["status", "rejected"],
)
def test_a_word_of_tws_that_proves_something_ends_the_doubt(word):
    script = Script().ready().ask(ask(V, 3, 500)).hear(word)
    assert lose(script).codes() == [(-1, 1100)]


def test_a_warning_proves_nothing_of_an_order():
    script = Script().ready().ask(ask(V, 3, 500)).hear(error(V, 500, 399))
    assert lose(script).codes() == [(500, 2165), (-1, 1100)]


def test_word_of_another_clients_order_is_no_word_of_ours():
    script = Script().ready().ask(ask(V, 3, 500)).hear(order_status(V, 500, client_id=8), text(11, 3, 500, 1))
    assert lose(script).codes() == [(500, 2165), (-1, 1100)]


def test_a_cancel_without_an_answer_is_repeated_and_a_global_one_is_told_of():
    script = Script().ready().ask(*(ask(V, 4, order_id) for order_id in (500, 501, 502)), ask(V, 58))
    script.hear(order_status(V, 501, "PendingCancel"), order_status(V, 502, "Submitted"))
    script.ask(ask(V, 58, word="again"))
    lose(script)
    assert script.codes() == [(-1, 2167), (-1, 1100)]
    assert script.again().written() == [ask(V, 4, 500), ask(V, 4, 502)], "an order that works on was not cancelled"
    lose(script).ring(Timer.HELD, after=60.0)
    assert (500, 2163) in script.codes()


def test_a_read_of_which_the_client_has_a_part_ends_with_an_error_and_the_others_are_asked_again():
    script = Script().ready().ask(ask(V, 9, 1), ask(V, 9, 2)).hear(tell(V, 10, 1))
    assert lose(script).codes() == [(-1, 1100), (1, 504)]
    assert script.again().written() == [ask(V, 9, 2)]
    script.hear(tell(V, 10, 2), tell(V, 52, 2))
    assert lose(script).again().written() == []


def test_market_depth_that_is_asked_for_again_tells_the_client_to_empty_its_book():
    depth = ask(V, 10, 7)
    script = Script().ready().ask(depth)
    assert script.codes() == []
    lose(script).again()
    assert (7, 317) in script.codes()
    assert script.written() == [depth]


# -- who does not want to wait -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "key", "code"), [(9, 2, 504), (1, 3, 504), (49, None, 504), (3, 500, 201)])
def test_what_must_not_wait_is_answered_at_once_while_the_gateway_is_away(number, key, code):
    script = Script().greet().connect().hello().start()
    payload = ask(V, number, key)
    script.step(ClientAsked((payload,), fail_fast=True))
    assert script.codes() == [(-1 if key is None else key, code)]
    assert script.refunded() == size(payload)
    assert script.identify().verify().written() == []


def test_settings_and_cancels_wait_even_if_nothing_else_must():
    script = lose(Script().ready())
    script.step(ClientAsked((ask(V, 59), ask(V, 4, 500)), fail_fast=True))
    assert script.codes() == []
    assert script.again().written() == [ask(V, 59), ask(V, 4, 500)]


def test_a_read_that_must_not_wait_ends_with_its_socket_and_a_stream_is_put_back():
    script = Script().ready()
    script.step(ClientAsked((ask(V, 9, 2), ask(V, 1, 3)), fail_fast=True))
    assert script.written() == [ask(V, 9, 2), ask(V, 1, 3)]
    lose(script)
    assert (2, 504) in script.codes()
    assert script.again().written() == [ask(V, 1, 3)]


def test_an_order_leaves_once_orders_are_reconciled_though_streams_are_still_being_put_back():
    script = with_settings(messages_per_second=10).ready()
    for key in range(30):
        script.ask(ask(V, 1, key), after=1.0)
    lose(script).ring(Timer.RETRY, after=1.2).connect().hello().identify()
    script.ask(ask(V, 3, 500))
    assert script.codes() == [(500, 201)], "TWS has not listed its orders"
    script.verify()
    assert script.owed.told_down, "1102 comes once everything is back"
    script.ask(ask(V, 3, 501))
    assert (501, 201) not in script.codes()
    written = script.written()
    while ask(V, 3, 501) not in written:
        written += script.ring(Timer.RELEASE, after=0.1).written()
    assert script.core.desk.restoring, "it went before the streams"
