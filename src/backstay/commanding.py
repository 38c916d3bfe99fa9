"""Orders to one connection, whether its actors live just now or not.

An order finds a session that hears it, or it is left for the next one; a session that is parked is begun anew for it:
somebody has looked at it. Any thread; nothing here waits but `restart_part`.
"""

from __future__ import annotations

from collections.abc import Mapping

from backstay.actors.connection import LINK
from backstay.actors.messages import DISPATCHER, READER, SESSION, Heed
from backstay.live import Live
from backstay.session.lifecycle import Event
from backstay.session.vocabulary import Drain, Ordered, Resubscribe
from backstay.supervisor.messages import ForgetRestarts, RestartChild
from backstay.supervisor.root import COMMAND_SECONDS, Root
from backstay.watching import CONNECTIONS

PARTS: Mapping[str, tuple[str, str]] = {
    "session": ("", SESSION),
    "dispatcher": ("", DISPATCHER),
    "link": ("", LINK),
    "reader": (f"/{LINK}", READER),
}
"""What can be restarted by itself: below which supervisor of the connection it is, and its id there."""

PART_SECONDS = 30.0
"""What is to be restarted may be stuck, and what depends on it; each has a grace of five seconds."""


def give(root: Root, live: Live, order: Ordered | Drain) -> None:
    """Give an order. The session's own restart is no reason to lose it. A reset gives all restarts back as well."""
    book = root.book.inner(live.id)
    if isinstance(order, Ordered) and order.event is Event.RESET:
        root.book.urge(live.id, ForgetRestarts())
        book.urge(LINK, ForgetRestarts())
    if book.urge(SESSION, order):
        return
    parked = live.meter.circuit_open
    anew = isinstance(order, Ordered) and order.event in (Event.RESET, Event.RESTART)
    if not (parked and anew):  # to begin anew is all that they are about
        live.charge.undelivered.append(order)
        book.urge(SESSION, Heed())  # one may have come meanwhile
    if parked:
        root.book.urge(live.id, RestartChild(SESSION, order.reason))


def resubscribe(root: Root, live: Live, *, stale: bool) -> bool:
    """Have streams asked for again. False if no session hears it: whichever comes next does so by itself."""
    return root.book.inner(live.id).urge(SESSION, Resubscribe(stale))


def restart_part(root: Root, live: Live, part: str, *, reason: str) -> str | None:
    """Restart a part of a connection, and what depends on it, by order. Returns None, or why not."""
    words = f"restart of its {part}"
    return begin_anew(root, live, part, words=f"{words}: {reason}" if reason else words, timeout=PART_SECONDS)


def begin_anew(
    root: Root, live: Live, part: str = SESSION, *, words: str, timeout: float = COMMAND_SECONDS
) -> str | None:
    """As `restart_part`, in these words: what they take with them is told as an operator's doing, and as no loss."""
    below, child = PARTS[part]
    owed = live.charge.owed
    owed.ordered = words  # before anything breaks
    trouble = root.restart_child(f"root/{CONNECTIONS}/{live.id}{below}", child, reason=words, timeout=timeout)
    if trouble is not None:
        owed.ordered = ""  # what comes of it now is not what was asked for
    return trouble
