"""Fixtures for the tests of people who use backstay: a simulated TWS per test.

Loaded by pytest for every project in whose environment backstay is installed, so nothing heavy is imported before a
fixture is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Unpack

    from backstay.simulator.server import Simulator
    from backstay.simulator.settings import Options


class SimulatorFactory(Protocol):
    """Starts a simulator with options of its own; it is stopped at the end of the test."""

    def __call__(self, **options: Unpack[Options]) -> Simulator:
        """Return a started simulator."""
        ...


@pytest.fixture
def tws_simulator(tws_simulator_factory: SimulatorFactory) -> Simulator:
    """A simulated TWS with default settings, listening on a free port."""
    return tws_simulator_factory()


@pytest.fixture
def tws_simulator_factory() -> Iterator[SimulatorFactory]:
    """Start as many simulators as the test wants; the test fails when one of them failed inside."""
    from backstay.simulator.server import Simulator  # noqa: PLC0415  (must not be imported with the plugin)

    started: list[Simulator] = []

    def start(**options: Unpack[Options]) -> Simulator:
        simulator = Simulator(**options)
        started.append(simulator)
        simulator.start()
        return simulator

    yield start
    for simulator in started:
        simulator.stop()
    errors = [error for simulator in started for error in simulator.errors]
    assert not errors, errors[0]  # noqa: S101  (how a fixture fails)
