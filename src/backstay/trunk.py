"""The upper part of the supervision tree: the journal, all connections, all relays, and what becomes of what crashes.

Nothing here gives up: whatever needs too many restarts is parked by itself and tried again once a minute, while the
rest goes on. Without a journal orders are refused, without a relay's door nobody new comes in.
"""

from __future__ import annotations

from backstay.actors.connection import PARKED_SECONDS
from backstay.supervisor.specs import ChildSpec, Intensity, SupervisorSpec
from backstay.supervisor.supervisor import supervisor_child
from backstay.watching import CONNECTIONS

STOP_MARGIN_SECONDS = 2.5
"""Beyond the time to drain, for connections to say what has become of the orders that did not leave: their last bytes
take up to 2 s."""

RELAYS = "relays"
"""The top-level supervisor with one child a listening socket."""

CONNECTIONS_INTENSITY = Intensity(10, 60.0)
"""Each connection has an intensity of its own; this is for all of them together."""

Specs = tuple[ChildSpec, ...]


def root_spec(journal: Specs, connections: Specs, relays: Specs) -> SupervisorSpec:
    """The root, with the journal first: it stands before whoever has something to be kept."""
    return _lone(
        (
            *journal,
            supervisor_child(CONNECTIONS, _lone(connections, CONNECTIONS_INTENSITY)),
            supervisor_child(RELAYS, _lone(relays)),
        )
    )


def _lone(children: Specs, intensity: Intensity | None = None) -> SupervisorSpec:
    """Children that have nothing to do with one another."""
    return SupervisorSpec(children=children, intensity=intensity or Intensity(), parked_seconds=PARKED_SECONDS)
