"""The session itself, and data about instruments."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.simulator.fields import Fields

if TYPE_CHECKING:
    from backstay.simulator.session import Session

TIME_SECONDS = 1.0
"""TWS answers reqCurrentTime at most once in so long."""


def req_current_time(session: "Session", _fields: Fields) -> None:
    """Answer with the time, unless it was asked a moment ago."""
    now = time.monotonic()
    if session.world.settings.time_once_a_second and now - session.time_answered < TIME_SECONDS:
        return
    session.time_answered = now
    session.send(49, int(time.time()))


def req_current_time_in_millis(session: "Session", _fields: Fields) -> None:
    """Answer with the time in milliseconds."""
    session.send(109, int(time.time() * 1000))


HANDLERS: Mapping[int, Callable[["Session", Fields], None]] = {
    49: req_current_time,
    105: req_current_time_in_millis,
}
