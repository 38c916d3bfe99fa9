"""What a client is told of a request that made its session fail twice and is not tried a third time."""

from __future__ import annotations

from backstay.protocol.errors import ErrorMessage, write_error
from backstay.protocol.messages import message_id, request_key
from backstay.session.notices import NO_ID, Notice
from backstay.session.reasons import Reason

PLACE_ORDER, CANCEL_ORDER = 3, 4

_NOTICES = {PLACE_ORDER: Notice.CHANGE_NOT_SENT, CANCEL_ORDER: Notice.CANCEL_NOT_SENT}
"""An order may have left before, with the first of the failures: nothing may be said that ends it for the client."""


def word_of(payload: bytes, version: int) -> bytes:
    """The error, as bytes for the client; on the request's own id, as far as that can be read."""
    number, key = 0, None
    try:
        number, key = message_id(payload, version), request_key(payload, version)
    except Exception:  # noqa: BLE001  # it has proved that it breaks what reads it
        key = None
    notice = _NOTICES.get(number, Notice.NOT_SENT)
    error = ErrorMessage(NO_ID if key is None else key, notice.value.code, notice.text(Reason.BROKE_TWICE))
    return write_error(error, version)
