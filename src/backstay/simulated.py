"""Simulated gateways in the daemon's own process, in place of those of its configuration."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from backstay.config import Address, Config
from backstay.simulator.control import ControlServer
from backstay.simulator.server import Simulator

CONTROL = ("127.0.0.1", 7401)
"""Next to the relay's port; any free one when that is taken."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """A running simulator that stands for a gateway, and its port for faults."""

    gateway: str
    simulator: Simulator
    control: ControlServer
    folder: Path
    """For what belongs to simulated gateways and goes with them: their orders are nobody's tomorrow."""

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(*self.simulator.address)

    def __str__(self) -> str:
        faults = "http://{}:{}/faults".format(*self.control.address)
        return f"gateway {self.gateway} simulated on {self.address}, to be broken on {faults}"


@contextmanager
def simulators(config: Config) -> Generator[tuple[Simulated, ...]]:
    """One simulator a gateway, until the context ends. Raises OSError."""
    with ExitStack() as stack:
        found: list[Simulated] = []
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="backstay-")))
        for name in config.gateways:
            simulator = stack.enter_context(Simulator())
            control = _control(simulator)
            control.start()
            stack.callback(control.stop)
            found.append(Simulated(name, simulator, control, folder))
        yield tuple(found)


def aim_at(simulated: Sequence[Simulated], config: Config) -> Config:
    """The configuration with each simulated gateway in place of the real one."""
    aimed = {
        one.gateway: config.gateways[one.gateway].model_copy(update={"endpoints": (one.address,)}) for one in simulated
    }
    update: dict[str, object] = {"gateways": config.gateways | aimed}
    for one in simulated:
        update["journal"] = config.journal.model_copy(update={"path": one.folder / config.journal.path.name})
    return config.model_copy(update=update)


def _control(simulator: Simulator) -> ControlServer:
    try:
        return ControlServer(simulator, CONTROL)
    except OSError:
        return ControlServer(simulator, (CONTROL[0], 0))
