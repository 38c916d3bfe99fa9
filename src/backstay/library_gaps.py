"""Where streams of a connection may miss something: each gap is told once, and once that it is over.

All of it in the connection's thread, but for `route`, which takes the desk's lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from backstay.library_words import Gap, Resumed
from backstay.protocol.codes import farm_name
from backstay.protocol.events import Error
from backstay.session.repair import FARM_CODES
from backstay.session.roll_call import FLOWS_FROM
from backstay.subscription import Subscription

if TYPE_CHECKING:
    from backstay.library_desk import Desk

LINK_LOST, LINK_BACK = frozenset({1100, 2110}), frozenset({1101, 1102})
IB_LINK = "ib_link"


def open_gaps(desk: Desk, gap: Gap, streams: Iterable[Subscription], *, socket_gap: bool) -> None:
    """Tell these streams, unless they know already. `socket_gap`: nothing comes before they flow again."""
    for stream in streams:
        if stream.gap is None and not stream.socket_gap:
            stream.gap = gap
            stream.say(gap)
        if socket_gap:
            _expect(desk, stream)


def resume(desk: Desk, stream: Subscription, epoch: int) -> None:
    """It flows again."""
    gap, stream.gap = stream.gap, None
    if stream.socket_gap:
        stream.socket_gap = False
        route(desk, stream)
    if gap is not None:
        stream.say(Resumed(epoch, gap.began, time.time(), gap.cause, gap.code))


def route(desk: Desk, stream: Subscription) -> None:
    """The shortest way for the messages of a stream; behind a gap, by way of the word that it is over."""
    with desk.lock:
        key = stream.key
        if key is None or desk.keyed.get(key) is not stream:
            return
        if not stream.socket_gap:
            desk.hot[str(key)] = stream.put, key, stream
            return

        def go_on(event: Any) -> None:
            resume(desk, stream, desk.epoch)
            stream.put(event)

        desk.hot[str(key)] = go_on, key, stream


def link_lost(desk: Desk, code: int) -> None:
    """TWS has lost IB's servers; the socket stays."""
    gap = Gap(desk.epoch, time.time(), IB_LINK, code)
    open_gaps(desk, gap, (*desk.streams(), *desk.listeners), socket_gap=False)


def link_back(desk: Desk) -> None:
    """It has them again; a stream that misses its farm as well goes on when it flows."""
    for stream in (*desk.streams(), *desk.listeners):
        if stream.gap is not None and _is_of_farm(stream.gap):
            _expect(desk, stream)
        elif not stream.socket_gap:
            resume(desk, stream, desk.epoch)


def farm_changed(desk: Desk, error: Error) -> None:
    """A farm came or went: which instruments it serves TWS does not say, so it is told to all that its kind serves.

    Once it is back a stream goes on with its next event: one that TWS has forgotten is asked for again before that.
    """
    kind, works = FARM_CODES[error.code]
    cause = f"{FARM} {farm_name(error.text) or 'unknown'}"
    served = [one for one in desk.streams() if one.request is not None and FLOWS_FROM.get(one.request.id) == kind]
    if not works:
        open_gaps(desk, Gap(desk.epoch, time.time(), cause, error.code), served, socket_gap=False)
        return
    for stream in served:
        if stream.gap is not None and stream.gap.cause == cause:
            _expect(desk, stream)


def _expect(desk: Desk, stream: Subscription) -> None:
    if not stream.socket_gap:
        stream.socket_gap = True
        route(desk, stream)


def _is_of_farm(gap: Gap) -> bool:
    return gap.cause.partition(" ")[0] == FARM


FARM = "farm"
"""The first word of such a gap's cause; the name of the farm is the second."""
