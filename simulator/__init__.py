"""What if there is no TWS? A simulated one that misbehaves on command.

The public names are loaded when they are first used: pytest imports this package in every project that has backstay
installed, for the sake of its plugin.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.simulator.catalogue import Instrument
    from backstay.simulator.faults import Faults
    from backstay.simulator.records import Event
    from backstay.simulator.server import Simulator
    from backstay.simulator.settings import Configuration, Fills

_HOMES = {
    "Configuration": "settings",
    "Event": "records",
    "Faults": "faults",
    "Fills": "settings",
    "Instrument": "catalogue",
    "Simulator": "server",
}

__all__ = ["Configuration", "Event", "Faults", "Fills", "Instrument", "Simulator"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
