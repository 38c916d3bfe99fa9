"""What if there is no TWS? A simulated one that misbehaves on command."""

from backstay.simulator.server import Simulator
from backstay.simulator.settings import Fills

__all__ = ["Fills", "Simulator"]
