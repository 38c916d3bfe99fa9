"""The daemon's inside as JSON, for those who look at it from outside: tree, requests, orders, the support bundle.

Whatever is read here belongs to threads that go on meanwhile. Nobody is asked and nothing is locked; what changes while
it is being read is read again.
"""

from __future__ import annotations

import json
import platform
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backstay._version import __version__
from backstay.actors.charge import Charge
from backstay.config import Config
from backstay.live import steady
from backstay.logs import masked
from backstay.session.intents import Intent, IntentState
from backstay.session.ledger import Entry
from backstay.supervisor.root import Root
from backstay.supervisor.supervisor import Supervisor
from backstay.supervisor.tree import TreeNode
from backstay.watching import CONNECTIONS


def tree_of(root: Root, names: Mapping[str, str]) -> Mapping[str, object]:
    """The tree with budgets; connections under their names where they have one."""
    budgets = {actor.context.path: _budget(actor) for actor in root.actors() if isinstance(actor, Supervisor)}
    return _node(root.tree(), budgets, names)


def _budget(actor: Supervisor) -> Mapping[str, object]:
    limit = actor.spec.intensity
    since = time.monotonic() - limit.seconds
    used = sum(at > since for at in actor._restarts)  # pyright: ignore[reportPrivateUsage]
    return {
        "strategy": actor.spec.strategy.value,
        "restarts_allowed": limit.restarts,
        "within_seconds": limit.seconds,
        "restarts_left": max(0, limit.restarts - used),
    }


def _node(node: TreeNode, budgets: Mapping[str, Mapping[str, object]], names: Mapping[str, str]) -> dict[str, object]:
    is_connection = node.path.count("/") == 2 and node.path.split("/")[1] == CONNECTIONS
    return {
        "name": names.get(node.name, node.name) if is_connection else node.name,
        "path": node.path,
        "state": node.state.value,
        "alive": node.alive,
        "restarts": node.restarts,
        "operator_restarts": node.operator_restarts,
        "mailbox": node.mailbox_length,
        "handled": node.handled,
        "quiet_seconds": None if node.progress is None else max(0.0, time.monotonic() - node.progress),
        **({"budget": budgets[node.path]} if node.path in budgets else {}),
        "children": [_node(child, budgets, names) for child in node.children],
    }


def owed_requests(charge: Charge, now: float) -> Sequence[Mapping[str, object]]:
    """Streams and reads that are open, those that wait first. `now`: monotonic seconds."""
    owed = charge.owed
    entries = steady(lambda: list(owed.ledger.entries.values()))
    rows = [_entry(entry, now) for entry in entries]
    return sorted(rows, key=lambda row: (row["state"] != "waiting", row["number"]))


def _entry(entry: Entry, now: float) -> dict[str, Any]:
    return {
        "number": entry.sequence,
        "request": entry.request.name,
        "kind": "stream" if entry.is_stream else "read",
        "id": entry.key,
        "state": entry.stands.value,
        "age_seconds": max(0.0, now - entry.asked_at) if entry.asked_at < float("inf") else None,
    }


def unlisted(charge: Charge) -> tuple[str, float]:
    """The lists of orders that the gateway owes this connection, and when they are asked for again (since 1970).

    As long as it does, orders are refused. Nothing and 0 when it owes none.
    """
    orders = charge.owed.orders
    missing = orders.reconciliation.missing if orders is not None else ()
    if orders is None or not missing:
        return "", 0.0
    return ", ".join(sorted(source.value for source in missing)), orders.reconciliation.retry_wall


def placed_orders(charge: Charge) -> Sequence[Mapping[str, object]]:
    """Orders placed through a connection that may still be alive: those in doubt first, then those without an answer.

    Those of a client whose orders are not journalled are only known as answered by TWS or not.
    """
    orders = charge.owed.orders
    intents = steady(lambda: orders.table.open_intents() if orders is not None else ())
    rows = list(written_orders(intents))
    found = steady(lambda: list(charge.owed.ledger.orders.items()))
    rows += [
        {**_UNKNOWN_ORDER, "id": order_id, "state": "acknowledged" if seen else "unanswered"}
        for order_id, seen in found
        if orders is None or orders.table.get(orders.client_id, order_id) is None  # else it is above, or has ended
    ]
    return sorted(rows, key=lambda row: (ORDER_STATES.index(row["state"]), row["id"]))


def in_doubt(charge: Charge) -> int:
    """How many orders of a connection TWS may have or not."""
    return sum(row["state"] == IntentState.IN_DOUBT.value for row in placed_orders(charge))


def written_orders(intents: Iterable[Intent]) -> Sequence[Mapping[str, object]]:
    """The same of what the journal holds of a client that is not there."""
    rows = [_order(intent) for intent in intents]
    return sorted(rows, key=lambda row: (ORDER_STATES.index(row["state"]), row["id"]))


ORDER_STATES = ("in_doubt", "unanswered", "sent", "intent", "live", "acknowledged")
"""In the order of how much they need somebody. `intent`: written down, and not sent."""

_UNKNOWN_ORDER: Mapping[str, object] = {"symbol": "", "action": "", "quantity": None, "sent_wall": 0.0}


def _order(intent: Intent) -> dict[str, Any]:
    look = intent.order.look
    return {
        "id": intent.key.order_id,
        "state": intent.state.value,
        "symbol": look.symbol,
        "action": look.action,
        "quantity": None if look.quantity is None else str(look.quantity),
        "sent_wall": intent.sent_wall,
    }


def bundle(config: Config, **parts: object) -> Mapping[str, object]:
    """A support bundle of these parts, with what this process is. Account numbers are masked wherever they stand."""
    found = {
        "schema": 1,
        "backstay": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "wall": time.time(),
        "config": json.loads(config.model_dump_json()),
        **parts,
        "threads": _stacks(),
    }
    clean: Mapping[str, object] = json.loads(masked(json.dumps(found, default=str)))
    return clean


def _stacks() -> Mapping[str, Sequence[str]]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # the documented way
    return {f"{names.get(ident, '?')} {ident}": traceback.format_stack(frame) for ident, frame in frames.items()}
