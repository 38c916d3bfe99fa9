"""Ways in which the daemon itself fails, or whoever watches it.

Most of them happen to a daemon of their own, beside the one whose gateways are broken: the worn one. Its disk fails,
and two mistakes are planted in it (`live_planted`). Another one is kept from the processor.
"""

from __future__ import annotations

import itertools
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backstay.demo_client import QuoteClient
from backstay.protocol.builders import build
from backstay.protocol.builders_orders import place_order
from backstay.protocol.framing import frame
from backstay.simulator.ports import free_ports
from deploy.watch import live_planted
from deploy.watch.live_breaks import Break, Way, nothing
from deploy.watch.live_clients import APPLE, RELAY_ID, RESTING, relayed
from deploy.watch.live_stack import FAULTS, HOST, JOB, LiveError, Stage, fetch, program, until_ready

CONFIG = """
http.listen = "{host}:{http}"
log.level = "error"
pulse.idle_seconds = 1.0
"""

GATEWAY = """
gateways.{name}.endpoints = ["127.0.0.1:4002"]
relays.{name} = {{ gateway = "{name}", listen = "{host}:{port}" }}
"""

GATEWAYS = ("worn", "mute", "deaf")

BULLETIN, BULLETINS = "news " * 10_000, 200
"""Ten megabytes: more than all buffers between the gateway and a client that does not read hold."""

FILE_BYTES = 4096
"""A file may not be longer while the disk fails: enough for a line in the log, and too little for SQLite's."""

FORGETTING: tuple[tuple[str, dict[str, object]], ...] = (
    ("drop_requests", {"seconds": 600}),
    ("farm", {"name": "usfarm", "up": False}),
    ("farm", {"name": "usfarm", "up": True, "streams_die": True}),
)
"""Faults by which a gateway loses its streams for good."""

CRASHES = 4
HANGING = 3
"""Orders that wait for a journal that hangs."""

STOPPED_SECONDS, RUNNING_SECONDS = 0.3, 0.3
"""By turns: a machine that has no time for the daemon, for so long that its timers are late."""

PATIENCE_SECONDS = 120.0
"""Until it is its turn: what is before it takes some twenty seconds."""


@dataclass(slots=True)
class Worn:
    """The daemon to which all of this happens. Each way but the last waits until the one before it is over."""

    folder: Path
    process: subprocess.Popen[str]
    instance: str
    relays: Mapping[str, int]
    faults: Mapping[str, str]
    disk_is_well: threading.Event = field(default_factory=threading.Event)
    crashes_are_over: threading.Event = field(default_factory=threading.Event)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _client: QuoteClient | None = None

    def fail_disk(self, stage: Stage, _: str) -> None:
        """Its files can grow no more, and an order is placed."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (FILE_BYTES, hard))
        try:
            self._place(stage)
            self._until(stage, "backstay_journal_write_failures_total", 1)
        finally:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
            self.disk_is_well.set()

    def crash(self, stage: Stage, _: str) -> None:
        """The journal crashes over an order, again and again."""
        self._wait(self.disk_is_well)
        for times in range(1, CRASHES + 1):
            (self.folder / live_planted.CRASH).touch()
            self._place(stage)
            self._until(stage, 'backstay_actor_restarts_total{supervisor="root",reason="crash"}', times)
        self.crashes_are_over.set()

    def hang(self, stage: Stage, _: str) -> None:
        """The journal hangs over an order, and more of them come."""
        self._wait(self.crashes_are_over)
        (self.folder / live_planted.HANG).touch()
        for _ in range(HANGING):
            self._place(stage)

    def move_again(self, _: Stage, __: str) -> None:
        """The journal goes on."""
        (self.folder / live_planted.HANG).unlink(missing_ok=True)

    def starve(self, stage: Stage, _: str) -> None:
        """Every other moment it may not run."""
        done = threading.Event()

        def stop_and_go() -> None:
            while not done.wait(RUNNING_SECONDS):
                self.process.send_signal(signal.SIGSTOP)
                done.wait(STOPPED_SECONDS)
                self.process.send_signal(signal.SIGCONT)

        thread = threading.Thread(target=stop_and_go)
        thread.start()
        ending = stage.keep(ExitStack())
        ending.callback(thread.join)
        ending.callback(done.set)

    def forget_stream(self, stage: Stage, gateway: str) -> None:
        """A farm comes back, its streams do not, and the gateway takes no request for them."""
        client = self._connect(stage, gateway, "AAPL")
        client.start()
        stage.until(lambda: client.quotes > 0, f"the client of {gateway} has quotes")
        for fault, body in FORGETTING:
            fetch(f"{self.faults[gateway]}/faults/{fault}", body)

    def stop_reading(self, stage: Stage, gateway: str) -> None:
        """A program asks for the news, and hangs while there is a lot of it."""
        client = self._connect(stage, gateway)  # it is never started, and so reads not
        client.send(frame(build("news_bulletins", {}, version=client.version)))
        asked = f"{self.faults[gateway]}/state"
        stage.until(lambda: fetch(asked)["clients"][str(RELAY_ID)]["subscriptions"], f"{gateway} has been asked")
        for number in range(BULLETINS):
            fetch(f"{self.faults[gateway]}/faults/bulletin", {"text": BULLETIN, "number": number})

    def _connect(self, stage: Stage, gateway: str, *symbols: str) -> QuoteClient:
        client = QuoteClient((HOST, self.relays[gateway]), symbols, client_id=RELAY_ID)
        stage.keep(ExitStack()).callback(client.stop)
        return client

    def _place(self, stage: Stage) -> None:
        if self._client is None:
            self._client = self._connect(stage, "worn")
            self._client.start()
        order = place_order(APPLE, RESTING, order_id=next(self._ids), version=self._client.version)
        self._client.send(frame(order))

    def _until(self, stage: Stage, series: str, least: int) -> None:
        name, brace, labels = series.partition("{")
        seen = f'sum({name}{{instance="{self.instance}"{"," if brace else "}"}{labels}) >= {least}'
        stage.until(lambda: bool(stage.query(seen)), f"{series} is {least}")

    @staticmethod
    def _wait(turn: threading.Event) -> None:
        if not turn.wait(PATIENCE_SECONDS):
            raise LiveError("what was to come before it is not over")


@contextmanager
def worn_daemon(folder: Path) -> Iterator[Worn]:
    """Start it, in a folder of its own."""
    folder.mkdir()
    http, *ports = free_ports(1 + len(GATEWAYS))
    relays = dict(zip(GATEWAYS, ports, strict=True))
    parts = [GATEWAY.format(name=name, host=HOST, port=port) for name, port in relays.items()]
    (folder / "backstay.toml").write_text(CONFIG.format(host=HOST, http=http) + "".join(parts))
    command = (sys.executable, live_planted.__file__, "run", "--simulator", "--config", "backstay.toml")
    with program(command, folder, "worn") as process:
        faults = dict(FAULTS.findall(until_ready(process, folder, "worn")))
        yield Worn(folder, process, f"{HOST}:{http}", relays, faults)


def refuse_configuration(stage: Stage, _: str) -> None:
    """Somebody has a file reloaded that cannot be used, and takes it back without another reload."""
    file = stage.folder / "backstay.toml"
    good = file.read_text()
    file.write_text(good + "[nonsense]\n")
    try:
        stage.backstay("reload")
    except LiveError:
        return
    finally:
        file.write_text(good)
    raise LiveError("a configuration with nonsense in it was accepted")


def _reload(stage: Stage, _: str) -> None:
    stage.backstay("reload")


def _forget(stage: Stage, _: str) -> None:
    """Another Prometheus has the rules, and no job of that name."""
    stage.watch_elsewhere("renamed")


def daemon_breaks(stage: Stage, worn: Worn, starved: Worn) -> tuple[Break, ...]:
    """All of them. The journal's come one after the other."""

    def one(alert: str, subject: str, story: str, *, do: Way, undo: Way = nothing) -> Break:
        gateway = subject.partition("/")[0]
        return Break(gateway=gateway, alert=alert, subjects=(subject,), do=do, undo=undo, story=story)

    return (
        one(
            "BackstayConfigReloadFailed",
            stage.instance,
            "a configuration is refused",
            do=refuse_configuration,
            undo=_reload,
        ),
        one("BackstayAbsent", JOB, "the job is renamed", do=_forget),
        one("BackstayEventLoopLagHigh", starved.instance, "the machine has no time for it", do=starved.starve),
        one("BackstayJournalWriteFailures", worn.instance, "its disk fails", do=worn.fail_disk),
        one("BackstayActorRestartLoop", "root", "its journal crashes", do=worn.crash),
        one("BackstayEventsDropped", relayed("deaf"), "a client stops reading", do=worn.stop_reading),
        one("BackstaySubscriptionsStale", relayed("mute"), "a stream does not come back", do=worn.forget_stream),
        one("BackstayActorStuck", "journal", "its journal hangs unseen", do=worn.hang, undo=worn.move_again),
    )
