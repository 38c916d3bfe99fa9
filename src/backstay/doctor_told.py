"""What the doctor has heard of a gateway from itself: when it ends, what it lets in, and what it does with orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backstay.config_sections import GatewayConfig
from backstay.control.explaining import UNPLANNED_HELP
from backstay.finding import Finding
from backstay.metrics.listening import Address
from backstay.protocol.configuration import Configuration
from backstay.session.calendar import Downtime, look_up
from backstay.session.told import EARLY, Told, exit_in_words, uncovered

LOG_OFF_HELP = (
    "After a log-off a person has to log in. To have it come back by itself: Configure, Lock and Exit, Auto restart.",
)

UNKNOWN_HELP = (
    'If it restarts by itself, say when, under [gateways.{name}]: maintenance = ["23:40-00:10 America/New_York"]',
)

MASTER_HELP = "Let master_client_id of this gateway be {}, or take it out: then what the gateway tells counts."

HOUR = 3600


def findings(
    name: str, gateway: GatewayConfig, answered: Mapping[Address, Told | None], *, wall: float
) -> Iterator[Finding]:
    """Planned downtime of a gateway, as configured and as it tells, and what else it tells of itself.

    `answered`: the endpoints that work, and what they have told. `wall`: seconds since 1970.
    """
    told = {endpoint: one for endpoint, one in answered.items() if one is not None}
    planned = look_up(gateway.maintenance or (), wall)
    if gateway.maintenance:
        when = "now" if planned.phase is Downtime.NOW else f"in {(planned.begins - wall) / HOUR:.1f} h"
        yield Finding(f"gateway {name} maintenance", ok=True, text=f"{when}: {planned.text}")
    elif gateway.maintenance is None and answered and not any(exit_in_words(one) for one in told.values()):
        todo = tuple(line.format(name=name) for line in UNKNOWN_HELP)
        yield Finding(f"gateway {name} maintenance", ok=True, text="no planned restart is known", todo=todo)
    for endpoint, one in told.items():
        if exit_in_words(one):
            yield _exit(f"gateway {name} exit {endpoint}", gateway, one, wall=wall)
        yield _settings(f"gateway {name} settings {endpoint}", gateway, one.configuration)


def _exit(check: str, gateway: GatewayConfig, told: Told, *, wall: float) -> Finding:
    next_ = [begins + EARLY.total_seconds() - wall for window in told.windows for begins, _ in window.spans(wall)]
    hours = min((seconds / HOUR for seconds in next_ if seconds > 0), default=None)
    text = exit_in_words(told) + ("" if hours is None else f", in {hours:.1f} h")
    todo = () if told.configuration.restarts else LOG_OFF_HELP
    if gateway.maintenance and uncovered(gateway.maintenance, told, wall):
        return Finding(check, ok=False, text=f"{text}, outside its maintenance", todo=(UNPLANNED_HELP, *todo))
    return Finding(check, ok=True, text=text, todo=todo)


def _settings(check: str, gateway: GatewayConfig, said: Configuration) -> Finding:
    master, ours = said.master_client_id, gateway.master_client_id
    parts = [
        "Read-Only API is ticked" if said.read_only else "",
        f"master client id {master}" if master else "no master client id",
        "connections from localhost only" if said.localhost_only else "",
        f"trusts {', '.join(said.trusted)}" if said.trusted else "trusts no address",
        f"messages above the rate are {'rejected' if said.rejects_above_rate else 'delayed'}",
    ]
    text = "; ".join(filter(None, parts))
    if ours is not None and master and ours != master:
        text = f"{text}; the configuration says that its master client id is {ours}"
        return Finding(check, ok=False, text=text, todo=(MASTER_HELP.format(master),))
    return Finding(check, ok=True, text=text)
