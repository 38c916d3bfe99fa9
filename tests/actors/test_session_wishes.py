"""What an operator has said of a connection stands until somebody says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstay.config import Address, Config, ConnectionConfig, GatewayConfig, HttpConfig, JournalConfig
from backstay.manager import Manager
from backstay.session.lifecycle import Event
from backstay.session.owed import View
from backstay.simulator import Simulator

PATIENCE = 30.0


class Watchful(Manager):
    """Wakes who waits for a status whenever a session shows itself, also in the same state."""

    def _show(self, live_id: str, view: View) -> None:
        super()._show(live_id, view)
        with self._changed:
            self._changed.notify_all()


def config(simulator: Simulator, folder: Path) -> Config:
    return Config(
        gateways={"paper": GatewayConfig(endpoints=(Address(*simulator.address),))},
        connections={"keeper": ConnectionConfig(gateway="paper", client_id=900)},
        http=HttpConfig(enabled=False),
        journal=JournalConfig(path=folder / "b.db"),
    )


@pytest.mark.parametrize("event", [Event.RESET, Event.RESTART])
def test_a_paused_connection_is_not_wanted_again_because_it_is_reset_or_restarted(event, tmp_path):
    with Simulator() as simulator, Watchful(config(simulator, tmp_path)) as manager:
        assert manager.wait_ready(PATIENCE)
        assert manager.order("keeper", Event.PAUSE, "by the test")
        assert manager.wait_until(lambda status: status.connections[0].state == "paused", PATIENCE)
        assert manager.order("keeper", event)
        assert manager.order("keeper", Event.RESTART, "the last order")
        assert manager.wait_until(lambda status: status.connections[0].reason == "operator: the last order", PATIENCE)
        (one,) = manager.status().connections
        assert (one.wanted, one.state) == (False, "paused")
        assert manager.order("keeper", Event.RESUME)
        assert manager.wait_until(lambda status: status.connections[0].state == "ready", PATIENCE)
        assert manager.status().connections[0].wanted
        assert simulator.errors == []
