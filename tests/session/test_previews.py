"""A preview of an order (what-if) is no order: it never comes into doubt, and never stays without an end."""

from __future__ import annotations

import pytest
from script import Script, lose, with_settings
from speech import ask, error, tell

from backstay.protocol.framing import PREFIX_BYTES, PROTOBUF_OFFSET, raw
from backstay.protocol.wire import bytes_field, varint_field
from backstay.session.causes import Cause
from backstay.session.client_words import ClientAway, ClientLeft
from backstay.session.ledger import MAX_PREVIEWS, Ledger
from backstay.session.lifecycle import Event
from backstay.session.pacing import Item
from backstay.session.reasons import Reason
from backstay.session.settings import VerifySettings
from backstay.session.vocabulary import Count, Lost, Noted, Ordered, Timer

V = 226
WHAT_IF = 65
ORDER = ask(V, 3, 501)


def preview(order_id: int) -> bytes:
    body = varint_field(1, order_id) + bytes_field(3, varint_field(WHAT_IF, 1))
    return raw(3 + PROTOBUF_OFFSET, body)[PREFIX_BYTES:]


def answer(order_id: int) -> bytes:
    return raw(5 + PROTOBUF_OFFSET, varint_field(1, order_id) + bytes_field(3, varint_field(WHAT_IF, 1)))


def previewing(order_id: int = 500) -> Script:
    script = Script(version=V).ready().ask(preview(order_id))
    assert script.written() == [preview(order_id)]
    return script


def test_a_preview_without_an_answer_ends_with_its_socket_and_not_in_doubt():
    script = lose(previewing())
    assert script.codes() == [(-1, 1100), (500, 504)]
    assert lose(script.again()).codes() == [(-1, 1100)], "once"


def test_an_answer_that_is_on_its_way_while_an_operator_cuts_the_line_still_counts():
    script = previewing()
    epoch = script.epoch
    script.step(Ordered(Event.PAUSE, "test"))
    assert script.codes() == [(-1, 1100)], "nothing is told of it before the socket has ended"
    script.step(Noted(epoch, ((5, answer(500)[PREFIX_BYTES:], True),)))
    script.step(Lost(epoch, Cause.EOF, "our own doing", received=True))
    assert script.codes() == []
    script = previewing()
    script.step(Ordered(Event.PAUSE, "test"))
    script.step(Lost(script.epoch, Cause.EOF, "our own doing", received=True))
    assert script.codes() == [(500, 504)]


def test_a_preview_that_was_answered_has_ended():
    assert lose(previewing().hear(answer(500))).codes() == [(-1, 1100)]


@pytest.mark.parametrize("code", [201, 200, 321, 110])
def test_a_preview_that_was_refused_has_ended(code):
    assert lose(previewing().hear(error(V, 500, code))).codes() == [(-1, 1100)]


def test_a_warning_is_no_answer():
    assert (500, 504) in lose(previewing().hear(error(V, 500, 399))).codes()


def test_an_order_under_the_id_of_a_preview_is_a_new_one():
    script = lose(previewing(501))
    script.ask(ORDER)
    assert script.codes() == [(501, 201)], "not a change of something that stands"


def test_the_error_of_a_preview_does_not_end_the_stream_with_the_same_number():
    script = previewing().ask(ask(V, 1, 500)).hear(error(V, 500, 201), error(V, 500, 321))
    assert script.core.view().streams == 0, "the second one is the stream's"
    script = previewing().ask(ask(V, 1, 500)).hear(error(V, 500, 321))
    assert script.core.view().streams == 1


def test_previews_without_an_answer_are_bounded():
    ledger = Ledger()
    for order_id in range(MAX_PREVIEWS + 5):
        ledger.preview_sent(order_id, order_id)
    assert ledger.take_previews(4) == []
    assert ledger.take_previews(MAX_PREVIEWS) == list(range(5, MAX_PREVIEWS + 1))
    assert ledger.take_previews(2 * MAX_PREVIEWS) == list(range(MAX_PREVIEWS + 1, MAX_PREVIEWS + 5))


# -- dropped on a link that answers ------------------------------------------------------------------------------------


def look(script: Script, after: float, *, answers: bool = True) -> Script:
    """The link answers, unless it does not, and the time to look comes."""
    if answers:
        script.now += after - 0.1
        script.hear(tell(V, 49))
        after = 0.1
    return script.ring(Timer.VERIFY, after=after)


def passed(script: Script, *frames: bytes) -> bool:
    return script.hear(*frames).passed == b"".join(frames)


def test_a_preview_without_a_word_is_asked_again_after_growing_waits():
    script = previewing()
    for wait in (5.0, 10.0, 20.0, 20.0):
        assert look(script, wait - 1.0).written() == []
        assert look(script, 1.0).written() == [preview(500)]
        assert Count("requests_repeated") in script.new
    assert passed(script, answer(500))
    assert look(script, 20.0).written() == []


def test_a_preview_that_is_never_answered_ends_with_an_error_and_is_asked_no_more():
    script = previewing()
    for _ in range(VerifySettings().repeats):
        assert look(script, 20.0).written() == [preview(500)]
    assert look(script, 20.0).codes() == [(500, 504)]
    assert Count("requests_unanswered") in script.new
    assert look(script, 20.0).written() == []
    assert lose(script).codes() == [(-1, 1100)], "it has ended"


def test_silence_of_the_whole_link_says_nothing_of_a_preview():
    script = previewing()
    assert look(script, 5.0, answers=False).written() == []
    assert look(script, 1.0).written() == [preview(500)]


def test_of_two_answers_to_a_preview_the_client_hears_one_and_orders_of_this_id_all_the_same():
    script = look(previewing(), 5.0)
    real = raw(5 + PROTOBUF_OFFSET, varint_field(1, 500))
    assert passed(script, real)
    assert passed(script, answer(500), real)
    assert script.hear(answer(500), real).passed == real
    assert passed(script, answer(500)), "the third is none of ours"


def test_that_the_id_of_a_repeated_preview_was_used_is_not_told():
    script = look(previewing(), 5.0)
    assert script.hear(error(V, 500, 103)).passed == b""
    assert passed(script, answer(500))
    assert passed(script, error(V, 500, 103)), "once for each repeat"


def test_a_preview_that_is_refused_as_often_as_it_was_asked_is_refused_once():
    script = look(previewing(), 5.0)
    refusal, warning, other = error(V, 500, 201), error(V, 500, 399), error(V, 500, 110)
    assert passed(script, warning, refusal)
    assert script.hear(warning, refusal).passed == warning
    assert passed(script, refusal), "the third is none of ours"
    script = look(previewing(), 5.0)
    assert passed(script, refusal, other), "other words may be about something else of this number"
    script = look(previewing(), 5.0)
    assert passed(script, error(V, 501, 201), error(V, 501, 201)), "nor of another number"


def test_a_stream_with_the_number_of_a_preview_that_was_refused_twice_goes_on():
    script = look(previewing(), 5.0).ask(ask(V, 1, 500))
    script.hear(error(V, 500, 321)).hear(error(V, 500, 321))
    assert script.core.view().streams == 1


def test_a_repeated_read_that_is_refused_twice_is_refused_once():
    script = Script(version=V).ready().ask(ask(V, 9, 7))
    look(script, 5.0)
    assert script.written() == [ask(V, 9, 7)]
    assert passed(script, error(V, 7, 200))
    assert script.hear(error(V, 7, 200)).passed == b""


def test_an_order_under_the_id_of_a_repeated_preview_hears_all_of_its_own():
    script = look(previewing(), 5.0).ask(ask(V, 3, 501), ask(V, 3, 500))
    assert passed(script, error(V, 500, 103))
    assert passed(script, answer(500), answer(500))


def test_a_request_with_the_number_of_a_repeated_preview_is_another_matter():
    script = look(previewing(), 5.0).ask(ask(V, 9, 500))
    look(script, 5.0)
    rows = [tell(V, 10, 500), tell(V, 52, 500)]
    assert passed(script, answer(500), *rows)
    assert script.hear(answer(500), *rows).passed == b"", "each was written twice"


def waiting_repeat() -> Script:
    """The pace keeps a preview back that is to be asked once more."""
    script = with_settings(messages_per_second=1)
    script.version = V
    script.ready().ring(Timer.RELEASE, after=2.0).ask(preview(500), after=3.0)
    script.ask(ask(V, 9, 4), after=5.9)
    assert look(script, 0.1, answers=True).written() == []
    assert len(script.core.desk.outbox) == 1
    return script


def test_a_repeated_preview_that_had_not_left_when_the_socket_broke_ends_once():
    assert lose(waiting_repeat()).codes() == [(-1, 1100), (500, 504)]


def test_a_repeated_preview_that_has_not_left_is_no_order_that_a_stop_keeps_back():
    script = waiting_repeat()
    script.step(Ordered(Event.STOP, "a test"))
    assert script.codes() == []
    assert not script.reports("orders_not_sent")


@pytest.mark.parametrize("gone", [ClientAway(), ClientLeft()])
def test_a_preview_of_a_client_that_has_gone_is_not_asked_again(gone):
    script = previewing()
    script.step(gone)
    assert look(script, 5.0).written() == []
    assert script.codes() == []


def test_previews_are_refused_when_too_many_have_no_answer():
    script = previewing()
    script.owed.ledger.previews |= dict.fromkeys(range(1000, 1000 + MAX_PREVIEWS - 1), 1)
    script.ask(preview(501))
    (said,) = script.said()
    assert (said.id, said.code) == (501, 201)
    assert Reason.TOO_MANY_PREVIEWS in said.text


def test_repeated_previews_are_remembered_up_to_a_limit():
    script = Script(version=V).ready()
    for order_id in range(MAX_PREVIEWS + 1):
        script.core.desk.repeat_preview(order_id, Item(preview(order_id), is_preview=True, repeats=1))
    assert 0 not in script.core.desk.previews_muted
    assert len(script.core.desk.previews_muted) == MAX_PREVIEWS
