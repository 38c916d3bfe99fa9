"""What is counted of requests: each once when it is first sent, once when it is answered, once when it fails.

How long one took counts from the moment the client asked, so that waiting for the pace and repeats are in it. A read is
answered by its last row, a stream or an order by the first sign of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstay.protocol.codes import CodeGroup, code_info
from backstay.session.ledger import NEVER, Entry
from backstay.session.vocabulary import Count, Observe

if TYPE_CHECKING:
    from backstay.session.counter import Counter

ORDER, ORDER_CANCEL = "order", "order_cancel"


def count_sent(desk: Counter, entry: Entry) -> None:
    """A stream or read is about to leave; call it before its epoch is set."""
    if entry.epoch == NEVER:
        desk.effects.append(Count("requests", entry.request.operation))
    elif entry.is_stream and entry.epoch != desk.epoch:
        desk.effects.append(Count("subscription_restores"))
        entry.restored = True


def count_order_sent(desk: Counter, operation: str, order_id: int | None, *, since: float) -> None:
    """An order or a cancel is about to leave; `since`: when the client gave it. A cancel of everything has no id."""
    desk.effects.append(Count("requests", operation))
    if order_id is not None:
        desk.ledger.await_word(operation, order_id, since or desk.now)


def count_word(desk: Counter, order_id: int, code: int | None = None) -> None:
    """TWS spoke of this order, by an error if there is a code: what was asked about it is answered."""
    failed = code is not None and code_info(code).group is CodeGroup.REJECTED
    for operation in (ORDER, ORDER_CANCEL):
        since = desk.ledger.awaiting.pop((operation, order_id), None)
        if since is None:
            continue
        if failed:
            desk.effects.append(Count("request_failures", operation))
            failed = False  # the order was rejected, not its cancel
        else:
            desk.effects.append(Observe("request_duration", desk.now - since, operation))


def count_heard(desk: Counter, entry: Entry, *, over: bool = False) -> None:
    """Something of a stream or read arrived. `over`: that was all of it."""
    entry.seen_wall = desk.wall
    entry.restored = entry.given_up = entry.awaited = False
    if (over or entry.is_stream) and not entry.answered:
        entry.answered = True
        if entry.born_at < float("inf"):  # what is asked on the client's behalf has no time of its own
            desk.effects.append(Observe("request_duration", desk.now - entry.born_at, entry.request.operation))


def count_failed(desk: Counter, entry: Entry) -> None:
    """A stream or read that was sent ends in an error, or nobody waits for its answer any more."""
    if entry.restored:
        entry.restored = False
        desk.effects.append(Count("subscription_restore_failures"))
    if not entry.given_up:
        desk.effects.append(Count("request_failures", entry.request.operation))


def count_given_up(desk: Counter, entry: Entry) -> None:
    """A stream that shows no sign, however often it is asked for. It stays wanted; the next socket asks again."""
    count_failed(desk, entry)
    entry.given_up = True


def count_expired(desk: Counter, entry: Entry) -> None:
    """It was held until it was too old."""
    if entry.epoch == NEVER:
        desk.effects.append(Count("requests_rejected", desk.refusal))
    else:
        count_failed(desk, entry)
