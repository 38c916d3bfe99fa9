"""Prometheus, Alertmanager, a receiver of its calls and `backstay run --simulator`, each a real program, for a while.

Everything is on loopback, on free ports, in a temporary folder. Time in the rules is compressed; that of backstay, of
the gateways and of the scrapes is not.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from backstay.simulator.ports import free_ports
from deploy.watch import rule_files
from deploy.watch.model import Pace

HOST = "127.0.0.1"
JOB = "backstay"
ANSWER_SECONDS = 10.0
START_SECONDS = 60.0
STOP_SECONDS = 30.0
LOOK_SECONDS = 0.2
"""Between two looks at something that will be so in a moment."""

PROMETHEUS_CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [records.yml, alerts.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{host}:{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: {job}, static_configs: [{{targets: [{targets}]}}]}}]
"""

PAST_SECONDS, PAST_STEP_SECONDS = 400, 5
"""So much of a past has the daemon, in which all was well: a young process is not judged by its budget."""

WANTED, LOST = "backstay_connection_expected_seconds", "backstay_connection_unavailable_seconds"
LOST_SO_FAR = re.compile(rf'^{LOST}_total{{connection="([^"]+)"}} (\S+)$', re.MULTILINE)

FAULTS = re.compile(r"gateway (\S+) simulated on \S+, to be broken on (http://\S+)/faults")


T = TypeVar("T")


class LiveError(Exception):
    """Something did not come about in time."""


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Look until it is so. Raises LiveError after so many seconds."""
    begun, pause = time.monotonic(), threading.Event()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise LiveError(f"{what}: not within {seconds:g} s")
        pause.wait(LOOK_SECONDS)


def fetch(url: str, body: Mapping[str, object] | None = None) -> Any:
    """JSON from there, or None where there is none. A body makes it a POST."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data=data), timeout=ANSWER_SECONDS) as answer:  # noqa: S310  # our own addresses
        text = answer.read().decode()
    return json.loads(text) if text.lstrip().startswith(("{", "[")) else None


def subject_of(labels: Mapping[str, str]) -> str:
    """What an alert is about: the connection, else the gateway, else a part of the daemon or the daemon."""
    known = ("connection", "gateway", "actor", "supervisor", "instance", "job")
    return next((labels[label] for label in known if label in labels), "")


@dataclass(frozen=True, slots=True)
class Call:
    """One alert in a call of Alertmanager, and when it came (seconds since 1970)."""

    wall: float
    firing: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]

    @property
    def subject(self) -> str:
        """What it is about."""
        return subject_of(self.labels)


class Pager:
    """Takes Alertmanager's calls."""

    def __init__(self, port: int) -> None:
        self.calls: list[Call] = []
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                calls.extend(
                    Call(time.time(), one["status"] == "firing", one["labels"], one["annotations"])
                    for one in body["alerts"]
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True, slots=True)
class Stage:
    """All of it, running."""

    folder: Path
    http: str
    prometheus: str
    faults: Mapping[str, str]
    relays: Mapping[str, int]
    pager: Pager
    daemon: subprocess.Popen[str]
    alertmanager: int
    begun_wall: float
    _kept: ExitStack

    @property
    def instance(self) -> str:
        """What Prometheus calls the daemon."""
        return self.http.removeprefix("http://")

    def keep(self, one: AbstractContextManager[T]) -> T:
        """Enter a context until all of this ends."""
        return self._kept.enter_context(one)

    @staticmethod
    def until(condition: Callable[[], bool], what: str) -> None:
        """Wait for something that takes a moment."""
        until(condition, START_SECONDS, what)

    def fault(self, gateway: str, fault: str, /, **body: object) -> None:
        """Have a simulated gateway misbehave."""
        fetch(f"{self.faults[gateway]}/faults/{fault}", body)

    def watch_elsewhere(self, job: str) -> None:
        """Have another Prometheus look after a job in which there is nothing."""
        watch(self._kept, self.folder, job=job, targets=(), alertmanager=self.alertmanager)

    def backstay(self, *command: str) -> None:
        """Give an order as an operator does. Raises LiveError if it is refused."""
        program = (sys.executable, "-m", "backstay", *command, "--config", "backstay.toml")
        done = subprocess.run(program, cwd=self.folder, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise LiveError(f"backstay {' '.join(command)}: {done.stderr}")

    def state(self, connection: str) -> str:
        """The state of a connection; empty if there is none."""
        rows = fetch(f"{self.http}/api/v1/status")["connections"]
        return next((str(row["state"]) for row in rows if row["name"] == connection), "")

    def until_state(self, connection: str, *states: str, seconds: float = START_SECONDS) -> None:
        """Wait for a state."""
        until(lambda: self.state(connection) in states, seconds, f"{connection} is {' or '.join(states)}")

    def epoch(self, connection: str) -> int:
        """How often it has been dialled."""
        rows = fetch(f"{self.http}/api/v1/status")["connections"]
        return next((int(row["epoch"]) for row in rows if row["name"] == connection), 0)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression now."""
        return list(fetch(f"{self.prometheus}/api/v1/query?{urlencode({'query': expr})}")["data"]["result"])

    def query_range(self, expr: str, *, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series of an expression over a time."""
        asked = urlencode({"query": expr, "start": start, "end": end, "step": step})
        return list(fetch(f"{self.prometheus}/api/v1/query_range?{asked}")["data"]["result"])


def _answers(url: str) -> bool:
    try:
        fetch(url)
    except (URLError, OSError):
        return False
    return True


@contextmanager
def program(command: Sequence[str], folder: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """A program whose output goes into files; ended with the context."""
    with (folder / f"{name}.out").open("w") as out, (folder / f"{name}.err").open("w") as err:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, text=True)  # noqa: S603
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def watch(stack: ExitStack, folder: Path, *, job: str, targets: Sequence[str], alertmanager: int) -> str:
    """Start a Prometheus with the rules of this folder; returns its address once it answers."""
    (port,) = free_ports(1)
    listed = ", ".join(f'"{target}"' for target in targets)
    text = PROMETHEUS_CONFIG.format(host=HOST, alertmanager=alertmanager, job=job, targets=listed)
    (folder / f"{job}.yml").write_text(text)
    command = (
        tool("prometheus"),
        f"--config.file={job}.yml",
        f"--storage.tsdb.path={job}.data",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=warn",
    )
    stack.enter_context(program(command, folder, f"prometheus.{job}"))
    address = f"http://{HOST}:{port}"
    until(lambda: _answers(f"{address}/-/ready"), START_SECONDS, f"Prometheus of {job} is ready")
    return address


def remember(folder: Path, instance: str) -> None:
    """Give Prometheus, before it starts, a past of this daemon's connections, which are all up.

    What they have lost as they started they had lost long ago: it is no loss of later.
    """
    with urlopen(f"http://{instance}/metrics", timeout=ANSWER_SECONDS) as answer:  # our own address
        lost = LOST_SO_FAR.findall(answer.read().decode())
    now, lines = int(time.time()), [f"# TYPE {WANTED} counter"]
    moments = range(PAST_SECONDS, 0, -PAST_STEP_SECONDS)
    named = [(f'{{job="{JOB}",instance="{instance}",connection="{name}"}}', seconds) for name, seconds in lost]
    lines += [f"{WANTED}_total{labels} {PAST_SECONDS - ago} {now - ago}" for labels, _ in named for ago in moments]
    lines.append(f"# TYPE {LOST} counter")
    lines += [f"{LOST}_total{labels} {seconds} {now - ago}" for labels, seconds in named for ago in moments]
    (folder / "past.txt").write_text("\n".join((*lines, "# EOF\n")))
    command = (tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", "past.txt", f"{JOB}.data")
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603


@contextmanager
def stage(
    folder: Path,
    config: str,
    *,
    relays: Mapping[str, int],
    connections: Sequence[str],
    beside: Sequence[str] = (),
    pace: Pace,
) -> Iterator[Stage]:
    """Start everything; `config` is a backstay.toml with `{http}` for the port. Raises LiveError.

    `connections` have a past, and are waited for; `beside` are addresses of other daemons that are watched as well.
    """
    http, alertmanager, pager_port = free_ports(3)
    (folder / "records.yml").write_text(rule_files.records_file(pace))
    (folder / "alerts.yml").write_text(rule_files.alerts_file(pace))
    webhook = f"http://{HOST}:{pager_port}/"
    (folder / "alertmanager.yml").write_text(rule_files.alertmanager_file(pace, webhook=webhook))
    (folder / "backstay.toml").write_text(config.format(http=http))
    instance = f"{HOST}:{http}"
    with ExitStack() as stack:
        pager = Pager(pager_port)
        stack.callback(pager.stop)
        backstay = (sys.executable, "-m", "backstay", "run", "--simulator", "--config", "backstay.toml")
        daemon = stack.enter_context(program(backstay, folder, "backstay"))
        stack.enter_context(program(_alertmanager(alertmanager), folder, "alertmanager"))
        said = until_ready(daemon, folder, "backstay")
        until(lambda: _are_ready(f"http://{instance}", connections), START_SECONDS, "all connections are ready")
        remember(folder, instance)
        begun = time.time()
        address = watch(stack, folder, job=JOB, targets=[instance, *beside], alertmanager=alertmanager)
        until(lambda: _answers(f"http://{HOST}:{alertmanager}/-/ready"), START_SECONDS, "Alertmanager is ready")
        faults = dict(FAULTS.findall(said))
        yield Stage(folder, f"http://{instance}", address, faults, relays, pager, daemon, alertmanager, begun, stack)


def _are_ready(http: str, connections: Sequence[str]) -> bool:
    """Whether all of them are; one that is not wanted now, too."""
    rows = {row["name"]: row for row in fetch(f"{http}/api/v1/status")["connections"]}
    return all(name in rows and rows[name]["state"] == "ready" for name in connections)


def until_ready(daemon: subprocess.Popen[str], folder: Path, name: str) -> str:
    """Wait until a daemon says that it is ready; returns its line. Raises LiveError with what it says instead."""
    said = folder / f"{name}.out"
    until(lambda: daemon.poll() is not None or "is ready" in said.read_text(), START_SECONDS, f"{name} is ready")
    if daemon.poll() is not None:
        raise LiveError((folder / f"{name}.err").read_text())
    return said.read_text()


def _alertmanager(port: int) -> Sequence[str]:
    return (
        tool("prometheus-alertmanager"),
        "--config.file=alertmanager.yml",
        "--storage.path=alertmanager-data",
        f"--web.listen-address={HOST}:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    )


def tool(name: str) -> str:
    """Where a program is. Raises LiveError."""
    found = shutil.which(name)
    if found is None:
        raise LiveError(f"{name} is not installed")
    return found
