"""A client has knocked at a relay: what is built for it, and under which supervisor it lives from here on."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from backstay.actors.connection import Parts
from backstay.actors.traffic import Credit
from backstay.live import Live
from backstay.relay.guests import guest_spec, prepare
from backstay.relay.intake import Guest, leaving_seconds
from backstay.relay.outlet import Outlet
from backstay.session.owed import Owed
from backstay.supervisor.book import Book
from backstay.supervisor.messages import StartChild
from backstay.supervisor.specs import Restart
from backstay.supervisor.supervisor import supervisor_child
from backstay.watching import CONNECTIONS

if TYPE_CHECKING:
    from backstay.manager import Manager

STOPPING = "backstay is stopping"


def admit(manager: Manager, relay: str, sock: socket.socket, *, address: str, book: Book) -> None:
    """Let a client in. In the listener's thread."""
    door = manager._doors[relay]  # the hall's own inside, here and below
    if manager._stopping:
        manager.log("client_refused", relay=relay, address=address, reason=STOPPING)
        sock.close()
        return
    prepare(sock)
    live_id = f"{relay}:{next(manager._numbers)}"  # a colon: no configured name has one
    credit = Credit(door.config.client_buffer_bytes)
    guest, live = _guest(manager, live_id, relay, sock=sock, address=address, credit=credit)
    outlet = guest.outlet
    spec = guest_spec(guest, Parts(live.charge, outlet))
    manager._register(live, "")
    with manager._changed:
        door.let_in(live_id, outlet.interrupt)

    def answer(refusal: str | None) -> None:
        if refusal is not None:
            outlet.close()
            manager._left(live_id)

    child = supervisor_child(live_id, spec, restart=Restart.TEMPORARY)
    if not book.send(CONNECTIONS, StartChild(child, answer)):
        answer("the connections' supervisor is away")


def _guest(
    manager: Manager, live_id: str, relay: str, *, sock: socket.socket, address: str, credit: Credit
) -> tuple[Guest, Live]:
    config = manager._doors[relay].config
    owed = Owed()
    charge = manager._charge(live_id, config.gateway, owed=owed, read_only=config.read_only, credit=credit)
    live = Live(live_id, config.gateway, charge, relay)
    guest = Guest(
        name=live_id,
        address=address,
        sock=sock,
        lobby=manager._lobbies[config.gateway],
        owed=owed,
        allowed=lambda client_id: client_id in config.client_ids,
        admit=lambda: manager._has_greeted(live),
        on_started=lambda client_id: manager._named(live, f"{relay}/{client_id}"),
        on_left=lambda: manager._left(live_id),
        outlet=Outlet(sock, credit, live.meter.lose),
        linger_seconds=config.linger_seconds,
        leaving_seconds=leaving_seconds(charge.settings.drain_seconds),
        log=manager.log,
    )

    def parked(reason: str) -> None:
        manager._parked(live_id, reason)
        guest.park()

    refund, present = guest.window.give, guest.session_present
    charge.outside = replace(charge.outside, refund=refund, present=present, parked=parked)
    return guest, live
