"""backstay itself inside an application: Reader -> Dispatcher -> callback. Usage: client_library.py PLAN.

The callback gets whole frames, a chunk at a time. It looks for marks as the counting client does, so the figure is that
of the connection with all its supervision, without an application's decoding.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

import channel
import scene
from chunks import find_marks, split
from measure import Meter
from plan import Plan, Suite

from backstay.config import load
from backstay.manager import Manager
from backstay.status import Status

_NAME: Final = "bench"
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

[journal]
path = "bench.db"

[http]
enabled = false

[control]
socket = "bench.sock"
"""


class Application:
    """One connection kept up by a manager in this process."""

    def __init__(self, plan: Plan, meter: Meter, folder: Path) -> None:
        self._plan = plan
        self._meter = meter
        self._tail = b""
        path = folder / "backstay.toml"
        path.write_text(_CONFIGURATION.format(host=plan.host, port=plan.port, client_id=scene.CLIENT_ID))
        take = self._stamps if plan.suite is Suite.LATENCY else self._marks
        self._manager = Manager(load(path, {}), sinks={_NAME: take})

    def live(self) -> None:
        """Play the sample to its end."""
        with self._manager:
            epoch = self._wait_ready(0)
            self._meter.start()
            if self._plan.suite is Suite.RECOVERY:
                while not self._meter.done:
                    epoch = self._wait_ready(epoch)
                    self._meter.ready()
            self._meter.over.wait(self._plan.timeout)

    def _wait_ready(self, epoch: int) -> int:
        """Wait until the connection is ready in a later epoch, and return that."""

        def ready(status: Status) -> bool:
            connection = status.connections[0]
            return connection.state == "ready" and connection.epoch > epoch

        if not self._manager.wait_until(ready, self._plan.timeout):
            raise TimeoutError(f"not ready: {self._manager.status().connections[0]}")
        return self._manager.status().connections[0].epoch

    def _marks(self, data: bytes) -> None:
        self._meter.received_bytes += len(data)
        numbers, self._tail = find_marks(self._tail + data)
        for number in numbers:
            self._meter.mark(number)

    def _stamps(self, data: bytes) -> None:
        for payload in split(data)[0]:
            fields = payload.split(b"\0")
            if fields[0] == b"45":
                self._meter.stamp(int(fields[4]))


def main() -> None:
    """Play one sample."""
    plan = Plan.from_argument(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder, channel.pair(plan.host, plan.channel_port) as side:
        Application(plan, Meter(plan, side), Path(folder)).live()


if __name__ == "__main__":
    main()
