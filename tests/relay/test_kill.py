"""The gateway's process is killed outright, stays away, and comes back: nobody has to help."""

from __future__ import annotations

import signal
import subprocess
import sys

from backstay.simulator.ports import free_port

DIALS_WHILE_AWAY = 12


class GatewayProcess:
    def __init__(self, port: int) -> None:
        command = [
            sys.executable,
            "-m",
            "backstay.simulator",
            "--listen",
            f"127.0.0.1:{port}",
            "--tick-seconds",
            "0.05",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert "listens on" in self.process.stdout.readline()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


def test_a_gateway_killed_and_started_again_is_found_without_help_and_dialled_with_jittered_capped_delays(build):
    port = free_port()
    gateway = GatewayProcess(port)
    house = build(("127.0.0.1", port))
    client = house.client().connect(7)
    client.market_data(11)
    client.expect(1, 11)
    gateway.kill()
    client.expect_error(1100, -1)
    house.wait(lambda status: status.connections[0].epoch >= 1 + DIALS_WHILE_AWAY)
    again = GatewayProcess(port)
    try:
        client.expect_error(1102, -1)
        client.expect(1, 11)
    finally:
        again.kill()
    delays = [fields["seconds"] for fields in house.told("retry_planned")]
    cap = house.manager.config.backoff.cap_seconds * (1 + house.manager.config.backoff.jitter_ratio)
    assert len(delays) >= DIALS_WHILE_AWAY
    assert max(delays) <= cap
    assert len(set(delays)) == len(delays), "delays without jitter"
