"""`backstay run` as the thing measured: a configuration in a temporary folder, a process of its own."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final, Self

from processes import MEASURED_CORE, Child

from backstay.simulator.ports import free_ports

_START_SECONDS: Final = 20.0

_CONFIGURATION: Final = """
[gateways.bench]
endpoints = ["127.0.0.1:{upstream}"]

[relays.bench]
gateway = "bench"
listen = "127.0.0.1:{listen}"
client_ids = "0-1023"
max_clients = 1024

[backoff]  # the suites compare the work of coming back, not the waiting
first_seconds = 0.000001
base_seconds = 0.000001

[lifecycle]
stable_seconds = 0.001

[pacing]
messages_per_second = 1000

[journal]
path = "{folder}/bench.db"

[http]
listen = "127.0.0.1:{http}"

[control]
socket = "{folder}/bench.sock"
"""


class RelayDaemon:
    """A relay in front of the gateway on ``upstream``; a context manager that starts and ends the process."""

    def __init__(self, upstream: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="backstay-bench-"))
        self.port, self.http_port = free_ports(2)
        path = self._folder / "backstay.toml"
        path.write_text(
            _CONFIGURATION.format(upstream=upstream, listen=self.port, http=self.http_port, folder=self._folder),
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "backstay", "run", "--config", str(path)]
        self._child = Child(command, core=MEASURED_CORE)

    def __enter__(self) -> Self:
        self._child.line(_START_SECONDS)  # `run` prints one line when it listens
        return self

    def __exit__(self, *_: object) -> None:
        self._child.__exit__()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Process whose CPU time counts."""
        return self._child.pid
