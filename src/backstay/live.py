"""What the manager keeps of each connection and of each relay."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from backstay.actors.session import Charge
from backstay.config import RelayConfig
from backstay.metrics.blocks import ConnectionMeter
from backstay.session.core import View
from backstay.status import ConnectionStatus

UNREACHED = View(
    state="stopped",
    reason="",
    epoch=0,
    endpoint=("", 0),
    version=None,
    client_id=None,
    streams=0,
    reads=0,
    held=0,
    round_trip_seconds=None,
)


@dataclass(slots=True)
class Live:
    """One connection as the manager knows it. `view` is replaced as a whole by the connection's session."""

    id: str
    gateway: str
    charge: Charge
    relay: str = ""
    view: View = UNREACHED
    named: bool = False

    @property
    def meter(self) -> ConnectionMeter:
        """What is observed of it."""
        return self.charge.outside.meter


@dataclass(slots=True)
class Door:
    """One relay: its listening socket and where it really listens."""

    config: RelayConfig
    sock: socket.socket
    address: str
    clients: set[str] = field(default_factory=set[str])


def connection_status(live: Live, restarts: int) -> ConnectionStatus:
    """What a status says of a connection, as its session showed itself last."""
    view, meter = live.view, live.meter
    host, port = view.endpoint
    return ConnectionStatus(
        name=meter.name,
        gateway=live.gateway,
        endpoint=f"{host}:{port}" if host else "",
        client_id=view.client_id if view.client_id is not None else -1,
        wanted=live.charge.wanted,
        state=view.state,
        reason=view.reason,
        since_wall=meter.state_since_wall,
        epoch=view.epoch,
        server_version=view.version or 0,
        next_attempt_wall=meter.next_attempt_wall,
        streams=view.streams,
        reads=view.reads,
        held=view.held,
        restarts=restarts,
        round_trip_seconds=view.round_trip_seconds,
        messages_received=meter.messages_received,
        messages_sent=meter.messages_sent,
    )
