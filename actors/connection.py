"""What one upstream connection consists of: the specs of its children, and what they share.

Order is dependence (rest_for_one): a Session that dies takes Dispatcher and link with it, a Dispatcher the link;
half a link is no link (one_for_all). The client's socket, the ledger and the backoff belong to none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from backstay.actors.charge import Charge
from backstay.actors.connector import Connector
from backstay.actors.dispatcher import Dispatcher, Sink
from backstay.actors.messages import CONNECTOR, DISPATCHER, READER, SESSION
from backstay.actors.reader import Reader
from backstay.actors.session import Session
from backstay.actors.traffic import Wire
from backstay.supervisor.actor import Ref
from backstay.supervisor.book import Book
from backstay.supervisor.specs import AutoShutdown, ChildSpec, Context, Intensity, Restart, Strategy, SupervisorSpec
from backstay.supervisor.supervisor import supervisor_child

LINK = "link"
LINK_INTENSITY = Intensity(5, 60.0)
CONNECTION_INTENSITY = Intensity(3, 300.0)
"""Bugs only: a lost socket is an event and restarts nobody. Five times three is the most before it is parked."""

PARKED_SECONDS = 60.0
"""Between two attempts to run what crashes again and again: often enough for a fault that goes away with the gateway's
next restart, and seldom enough to leave the log readable."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the actors of one connection share."""

    charge: Charge
    sink: Sink
    wire: Wire = field(default_factory=Wire)
    settle: Callable[[Book], object] = lambda _: None  # told where the session is reached, before it begins


def connection_children(parts: Parts) -> tuple[ChildSpec, ...]:
    """Session, Dispatcher and link, in the order of their dependence."""
    charge, wire, sink = parts.charge, parts.wire, parts.sink
    credit, traffic, meter = charge.credit, charge.traffic, charge.outside.meter
    link = SupervisorSpec(
        strategy=Strategy.ONE_FOR_ALL,
        intensity=LINK_INTENSITY,
        children=(
            ChildSpec(CONNECTOR, lambda c: Connector.start(c, wire=wire, credit=credit, meter=meter)),
            ChildSpec(READER, lambda c: Reader.start(c, wire=wire, credit=credit, traffic=traffic)),
        ),
    )

    def start_session(context: Context) -> Ref[Session]:
        parts.settle(context.book)
        return Session.start(context, charge=charge, wire=wire)

    return (
        ChildSpec(SESSION, start_session, restart=Restart.TRANSIENT, significant=True),
        ChildSpec(DISPATCHER, lambda c: Dispatcher.start(c, sink=sink, charge=charge)),
        supervisor_child(LINK, link),
    )


def connection_spec(children: tuple[ChildSpec, ...], charge: Charge) -> SupervisorSpec:
    """The supervisor of one connection, with names of its own; it ends when its session has ended.

    When its actors need too many restarts it parks them. Those that hold a client's socket stay.
    """
    return SupervisorSpec(
        strategy=Strategy.REST_FOR_ONE,
        intensity=CONNECTION_INTENSITY,
        children=children,
        auto_shutdown=AutoShutdown.ANY,
        own_book=True,
        parked_seconds=PARKED_SECONDS,
        on_parked=lambda reason: charge.park(reason, PARKED_SECONDS),
    )
