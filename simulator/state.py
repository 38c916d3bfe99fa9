"""The state of a simulator as plain data, for ``GET /state`` and for tests."""

import time
from typing import TYPE_CHECKING, Any

from backstay.simulator.orders import Order

if TYPE_CHECKING:
    from backstay.simulator.records import ClientRecord
    from backstay.simulator.world import World


def describe(world: "World") -> dict[str, Any]:
    """Return everything worth knowing; keys of ``clients`` are client ids as text, because JSON has no others."""
    records, listener = world.records, world.listener
    return {
        "address": [listener.host, listener.port],
        "listening": listener.listening,
        "server_version": world.settings.server_version,
        "seconds": time.monotonic(),
        "sockets": {"open": records.open, "open_max": records.open_max, "accepted": records.accepted},
        "clients": {str(client_id): _client(world, client_id, record) for client_id, record in records.clients.items()},
        "requests": dict(records.requests),
        "orders": [_order(order) for order in world.book],
        "executions": len(world.book.executions),
        "ticks_withheld": world.ticks_withheld,
        "faults": world.faults.state(),
    }


def _client(world: "World", client_id: int, record: "ClientRecord") -> dict[str, Any]:
    session = world.sessions.get(client_id)
    streams = [] if session is None else list(session.streams.values())
    return {
        "state": "closed" if session is None else session.state.value,
        "server_version": None if session is None else session.version,
        "sockets": record.sockets,
        "sockets_max": record.sockets_max,
        "connects": record.connects,
        "second_max": record.second_max,
        "requests": dict(record.requests),
        "log": list(record.log),
        "subscriptions": [
            {
                "family": stream.family.value,
                "id": stream.request_id,
                "symbol": stream.instrument.symbol if stream.instrument else None,
                "dead": stream.dead,
            }
            for stream in streams
        ],
        "backlog": 0 if session is None else session.channel.backlog,
    }


def _order(order: Order) -> dict[str, Any]:
    return {
        "client_id": order.client_id,
        "order_id": order.order_id,
        "perm_id": order.perm_id,
        "order_ref": order.record.get("order_ref"),
        "account": order.account,
        "symbol": order.instrument.symbol,
        "action": order.action,
        "type": order.kind,
        "quantity": order.quantity,
        "limit": order.limit,
        "status": order.status.value,
        "filled": order.filled,
        "placements": order.placements,
        "manual": order.manual,
    }
