"""What a client is told of a request that is not tried a third time."""

import pytest
from speech import ask

from backstay.protocol.errors import read_error
from backstay.protocol.framing import PREFIX_BYTES
from backstay.session.notices import NO_ID, Notice
from backstay.session.reasons import Reason
from backstay.session.set_aside import word_of

V = 200


@pytest.mark.parametrize(
    ("payload", "key", "notice"),
    [
        (ask(V, 9, 6), 6, Notice.NOT_SENT),
        (ask(V, 3, 500), 500, Notice.CHANGE_NOT_SENT),
        (ask(V, 4, 500), 500, Notice.CANCEL_NOT_SENT),
        (ask(V, 61), NO_ID, Notice.NOT_SENT),
        (None, NO_ID, Notice.NOT_SENT),
    ],
    ids=["a read", "an order", "a cancel", "without an id", "what breaks its reader"],
)
def test_it_is_told_on_its_own_id_and_an_order_is_not_ended_by_it(payload, key, notice):
    told = read_error(word_of(payload, V)[PREFIX_BYTES:], V)
    assert told is not None
    assert (told.id, told.code) == (key, notice.value.code)
    assert Reason.BROKE_TWICE in told.text
