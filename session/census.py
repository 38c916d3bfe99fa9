"""How a connection's requests and streams stand at this moment: counted when somebody looks, never as they change.

May be taken in any thread: what belongs to the session's thread is only read, and what changes meanwhile is seen as it
was or as it is. Nothing here costs anything while nobody looks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from backstay.protocol.requests import STREAM_KINDS
from backstay.session.ledger import Entry
from backstay.session.owed import Owed, View
from backstay.session.roll_call import FLOWS_FROM

PENDING, ACTIVE, STALE, FAILED = SUBSCRIPTION_STATES = ("pending", "active", "stale", "failed")
"""How a stream may stand: not seen on this socket yet; flowing; has flowed and may have stopped; never came."""

NO_SUBSCRIPTIONS: Mapping[tuple[str, ...], int] = {
    (kind, state): 0 for kind in STREAM_KINDS for state in SUBSCRIPTION_STATES
}
"""How many streams of each kind are in each state, where there are none."""

STANDING = frozenset({"syncing", "ready", "degraded", "draining"})
"""Public states in which there is a socket that requests have gone out on."""


@dataclass(slots=True)
class Census:
    """What was counted. `oldest_wall`: by kind, when the stream that was not seen for longest was seen last."""

    in_flight: int = 0
    queued: int = 0
    in_doubt: int = 0
    subscriptions: dict[tuple[str, ...], int] = field(default_factory=lambda: dict(NO_SUBSCRIPTIONS))
    oldest_wall: dict[str, float] = field(default_factory=dict[str, float])


def take_census(owed: Owed, view: View) -> Census:
    """Count. Raises RuntimeError if something changed its size meanwhile: try again."""
    ledger, waiting, orders = owed.ledger, owed.waiting, owed.orders
    census = Census(in_flight=ledger.reads() + len(ledger.awaiting))
    if waiting is not None:
        census.queued = len(waiting.outbox) + len(waiting.clocks)
        census.queued += len(waiting.historical.shelf) + len(waiting.families)
    if orders is not None:
        census.in_doubt = len(orders.table.in_doubt())
    if ledger.streams:
        _count_streams(census, tuple(ledger.entries.values()), view)
    return census


def _count_streams(census: Census, entries: Collection[Entry], view: View) -> None:
    subscriptions, oldest = census.subscriptions, census.oldest_wall
    epoch = view.epoch if view.state in STANDING else None
    for entry in entries:
        if not entry.is_stream:
            continue
        kind, state = entry.request.operation, state_of(entry, epoch, view)
        subscriptions[kind, state] += 1
        census.in_flight += not (entry.answered or entry.given_up)
        if state in (ACTIVE, STALE) and entry.request.id in FLOWS_FROM:
            oldest[kind] = min(entry.seen_wall, oldest.get(kind, entry.seen_wall))


def state_of(entry: Entry, epoch: int | None, view: View) -> str:
    """How a stream stands on the socket of this epoch; None: there is none."""
    if entry.epoch != epoch or entry.queued:
        return PENDING
    if entry.given_up:
        return FAILED
    if not entry.flowed:
        return PENDING
    if not entry.heard or entry.renew_wanted or not view.upstream:
        return STALE
    broken_since = view.broken.get(FLOWS_FROM.get(entry.request.id, ""), 0.0) if view.broken else 0.0
    return STALE if entry.seen_wall < broken_since else ACTIVE
