"""backstay inside an application, with decoded values: one callback per message. Usage: client_callbacks.py PLAN.

The same work as that of the clients it is compared with: every message of the stream arrives as a typed event at a
callback, which counts it. The callbacks are inline: they run in the connection's own thread.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import channel
import scene
from measure import Meter
from plan import Plan, Suite

import backstay
from backstay.events import TickGeneric
from backstay.library_ids import REQUEST_IDS

_CONFIGURATION: Final = """
[gateways.bench]
endpoints = ["{host}:{port}"]

[connections.bench]
gateway = "bench"
client_id = {client_id}

[backoff]  # the suites compare the work of coming back, not the waiting
first_seconds = 0.000001
base_seconds = 0.000001

[lifecycle]
stable_seconds = 0.001

[pacing]
messages_per_second = 1000

[journal]
path = "bench.db"

[http]
enabled = false

[control]
socket = "bench.sock"
"""


class Application:
    """Counts callbacks; generic ticks drive the measurement."""

    def __init__(self, plan: Plan, meter: Meter, folder: Path) -> None:
        self._plan = plan
        self._meter = meter
        self._count = 0
        path = folder / "backstay.toml"
        path.write_text(_CONFIGURATION.format(host=plan.host, port=plan.port, client_id=scene.CLIENT_ID))
        self._manager = backstay.Manager(path)

    def live(self) -> None:
        """Play the sample to its end."""
        with self._manager:
            connection = self._manager.connection("bench")
            epoch = self._wait_ready(0)
            if self._plan.subscribes:
                self._subscribe(connection)
            self._meter.start()
            if self._plan.suite is Suite.RECOVERY:
                while not self._meter.done:
                    epoch = self._wait_ready(epoch)
                    self._meter.ready()
            self._meter.over.wait(self._plan.timeout)

    def _wait_ready(self, epoch: int) -> int:
        def ready(status: backstay.Status) -> bool:
            connection = status.connections[0]
            return connection.state == "ready" and connection.epoch > epoch

        if not self._manager.wait_until(ready, self._plan.timeout):
            raise TimeoutError(f"not ready: {self._manager.status().connections[0]}")
        return self._manager.status().connections[0].epoch

    def _subscribe(self, connection: backstay.Connection) -> None:
        # The scene has ids of its own, the same for every client; the library numbers its requests by itself.
        REQUEST_IDS._next = 1
        tick = self._stamp if self._meter.generic else self._tick
        for key in scene.TICKERS:
            connection.subscribe("market_data", contract=_contract(key), callback=tick, inline=True)
        connection.subscribe("market_data", contract=_contract(scene.MARK_ID), callback=self._mark, inline=True)
        for key in (*scene.DEPTH_L1, *scene.DEPTH_L2):
            connection.subscribe("market_depth", contract=_contract(key), callback=self._tick, inline=True)
        for key in scene.TICK_BY_TICK:
            subject = {"contract": _contract(key), "kind": "BidAsk"}
            connection.subscribe("tick_by_tick", callback=self._tick, inline=True, **subject)
        connection._requests.orders._next_id = scene.ORDERS.start
        order = backstay.Order(action="BUY", order_type="LMT", quantity=100, limit_price=150.25, account=scene.ACCOUNT)
        for key in scene.ORDERS:
            connection.place_order(_contract(key), order)
        REQUEST_IDS._next = scene.HISTORY
        bars = {"contract": _contract(1), "bar_size": "1 min", "duration": "3600 S", "keep_up_to_date": True}
        connection.subscribe("historical_bars", callback=self._tick, inline=True, **bars)
        connection.events(callback=self._tick, inline=True)

    def _tick(self, _event: object) -> None:
        self._count += 1

    def _mark(self, event: Any) -> None:
        self._count += 1
        if event.__class__ is TickGeneric:
            self._meter.mark(int(event.value))

    def _stamp(self, event: Any) -> None:
        self._count += 1
        if event.__class__ is TickGeneric and event.tick == scene.HALTED:
            self._meter.stamp(int(event.value))


def _contract(key: int) -> backstay.Contract:
    number = scene.contract_number(key)
    return backstay.Contract(
        con_id=scene.contract_id(number),
        symbol=scene.symbol(number),
        sec_type="STK",
        exchange="SMART",
        currency="USD",
    )


def main() -> None:
    """Play one sample."""
    plan = Plan.from_argument(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder, channel.pair(plan.host, plan.channel_port) as side:
        Application(plan, Meter(plan, side), Path(folder)).live()


if __name__ == "__main__":
    main()
