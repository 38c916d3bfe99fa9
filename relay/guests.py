"""What a relay builds for each client: its way in, its way out, and a supervised upstream connection between them."""

from __future__ import annotations

import socket

from backstay.actors.connection import Parts, connection_children, connection_spec
from backstay.actors.traffic import limit_sends
from backstay.relay.intake import INTAKE, Guest, Intake
from backstay.relay.outlet import WRITER, Writer
from backstay.supervisor.specs import ChildSpec, Restart, SupervisorSpec

STALL_SECONDS = 60.0
"""A client that takes no byte for so long with its buffers full has gone, or might as well."""


def prepare(sock: socket.socket) -> None:
    """Set the options of a client's socket."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    limit_sends(sock, STALL_SECONDS)


def guest_spec(guest: Guest, parts: Parts) -> SupervisorSpec:
    """The connection of one client. The writer starts first and closes the client's socket last.

    The intake stands before the session, so that a session can be restarted without cutting the client; when the
    intake ends, or the session says that all is done, the whole connection ends. So it does with the writer, which
    takes the client's socket with it: nobody is left to keep the rest for.
    """
    return connection_spec(
        (
            ChildSpec(
                WRITER,
                lambda c: Writer.start(c, outlet=guest.outlet, gone=guest.gone),
                restart=Restart.TEMPORARY,
                significant=True,
            ),
            ChildSpec(INTAKE, lambda c: Intake.start(c, guest=guest), restart=Restart.TEMPORARY, significant=True),
            *connection_children(parts),
        ),
        parts.charge,
    )
