"""A preview of an order (what-if) is no order: it never comes into doubt, and never stays without an end."""

from __future__ import annotations

import pytest
from script import Script, lose
from speech import ask, error

from backstay.protocol.framing import PREFIX_BYTES, PROTOBUF_OFFSET, raw
from backstay.protocol.wire import bytes_field, varint_field
from backstay.session.ledger import MAX_PREVIEWS, Ledger

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
    assert script.codes() == [(500, 504), (-1, 1100)]
    assert lose(script.again()).codes() == [(-1, 1100)], "once"


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
        ledger.preview_sent(order_id)
    assert ledger.take_previews() == list(range(5, MAX_PREVIEWS + 5))
    assert ledger.take_previews() == []
