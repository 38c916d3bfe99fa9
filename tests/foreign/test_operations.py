"""Operators do all they can, in any order, while applications that know nothing of it stream and trade."""

import contextlib
import io
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backstay.config import load
from backstay.control.client import ControlClient, ControlError
from backstay.daemon import Daemon
from backstay.demo_client import QuoteClient
from backstay.logs import EventLog
from backstay.metrics.events import EventRing
from backstay.simulator import Simulator

PROGRAMS = ("ibapi_client.py", "ib_async_client.py")
READY_SECONDS = 30.0
COMMAND_SECONDS = 60.0
SETTLED_SECONDS = 60.0
TOLD_SECONDS = 20.0

CONFIGURATION = """
[gateways.simulated]
endpoints = ["127.0.0.1:{port}"]

[relays.door]
gateway = "simulated"
listen = "127.0.0.1:0"
client_ids = "0-9"
{side}
[connections.keeper]
gateway = "simulated"
client_id = 900

[pacing]
messages_per_second = {pace}
historical_limits = false  # it takes weeks to reconnect so often

[backoff]
first_seconds = 0.01
base_seconds = 0.05
cap_seconds = 0.2

[lifecycle]
stable_seconds = 0.2

[orders]
settle_seconds = 1.0

[journal]
path = "journal.db"

[http]
enabled = false

[control]
socket = "control.sock"
"""

SIDE = """
[relays.side]
gateway = "simulated"
listen = "127.0.0.1:0"
client_ids = "20-29"
"""

HOSTS = ("127.0.0.1", "localhost")

NOT_SENT = (201, 504)
"""Codes with which a client is told that its order never left."""


class Staff:
    """Operators of a daemon of the test's own, at its control socket."""

    def __init__(self, simulator: Simulator, folder: Path, source: random.Random) -> None:
        self.path = folder / "backstay.toml"
        self.simulator = simulator
        self.source = source
        self.side, self.pace = False, 800
        self.write()
        config = load(self.path, {})
        self.log = EventLog(config.log, io.StringIO())
        self.daemon = Daemon(
            config, log=self.log, events=EventRing(), on_end=lambda _: None, load=lambda: load(self.path, {})
        )
        self.client = ControlClient(config.control.socket)
        self.done: Counter[str] = Counter()
        self.guest: QuoteClient | None = None  # of the relay that comes and goes
        self.alone: dict[str, int] = {}  # the epochs of those that were left alone since all were ready
        self.touched: set[str] = set()  # since then; what was ordered may have been heeded later than all were ready

    def write(self) -> None:
        side = SIDE if self.side else ""
        text = CONFIGURATION.format(port=self.simulator.port, side=side, pace=self.pace)
        self.path.write_text(text, encoding="utf-8")

    def say(self, command: str, **arguments: object) -> dict[str, Any]:
        self.done[command] += 1
        return self.client.command(command, arguments, timeout=COMMAND_SECONDS)

    def names(self) -> list[str]:
        return [one["name"] for one in self.client.status()["connections"]]

    def until(self, state: str, *names: str) -> None:
        def there(status: Any) -> bool:
            states = {one.name: one.state for one in status.connections}
            return all(states.get(name) == state for name in names)

        assert self.daemon.manager.wait_until(there, SETTLED_SECONDS), (state, names, self.daemon.manager.status())

    def settle(self, names: list[str]) -> None:
        """All are ready, and whoever was not touched is on the socket it had."""
        self.until("ready", *names)
        epochs = {one["name"]: one["epoch"] for one in self.client.status()["connections"]}
        assert {name: epochs[name] for name in self.alone} == self.alone, "touched, and not asked for"
        self.alone = {name: epochs[name] for name in names if name not in self.touched}
        self.touched.clear()

    def do(self, deed: Callable[["Staff", str], None], name: str) -> None:
        self.touched |= {"door/7", "door/8", "keeper"} if deed is Staff.reload else {name}  # a reload is about all
        self.alone = {key: epoch for key, epoch in self.alone.items() if key not in self.touched}
        deed(self, name)

    # -- one method a thing that operators do ------------------------------------------------------------------------

    def restart(self, name: str) -> None:
        self.say("restart", name=name)

    def restart_part(self, name: str) -> None:
        self.say("restart", name=name, part=self.source.choice(("reader", "dispatcher", "session", "link")))

    def pause(self, name: str) -> None:
        self.say("pause", name=name)
        if self.source.random() < 0.5:
            self.until("paused", name)
        self.say("resume", name=name)

    def drain(self, name: str) -> None:
        """While they trade on: what is refused never left, what was under way has its answer."""
        self.say("drain", name=name, seconds=0.5)
        if self.source.random() < 0.7:
            self.until("paused", name)
        self.say("resume", name=name)

    def reset(self, name: str) -> None:
        self.say("reset", name=name)

    def move(self, name: str) -> None:
        if name == "keeper" and self.source.random() < 0.5:
            self.say("move", name=name, client_id=self.source.choice((901, 902, 903)))
        else:
            host = self.source.choice(HOSTS)
            self.say("move", name=name, endpoint=f"{host}:{self.simulator.port}")

    def reload(self, _name: str) -> None:
        """Another pace for all, one after the other, or a relay that comes, or goes with its client."""
        if self.source.random() < 0.5:
            self.side = not self.side
        else:
            self.pace = 1500 - self.pace
        self.write()
        told = self.say("reload")
        if self.side and self.guest is None:
            self.guest = QuoteClient(self.daemon.manager.address("side"), ("AAPL",), client_id=20)
            self.guest.start()
            assert self.guest.wait_for_quotes(0.0, READY_SECONDS) == 1
        elif self.guest is not None and self.side:
            assert self.guest.closed is None
        elif self.guest is not None:
            assert told["cut"] == ["side/20"]
            assert self.guest.wait_closed(READY_SECONDS)
            self.say_goodbye()

    def say_goodbye(self) -> None:
        guest, self.guest = self.guest, None
        if guest is not None:
            guest.stop()


DEEDS: tuple[Callable[[Staff, str], None], ...] = (
    Staff.restart,
    Staff.restart_part,
    Staff.restart_part,
    Staff.pause,
    Staff.drain,
    Staff.reset,
    Staff.move,
    Staff.reload,
)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(server_version=200, bar_seconds=0.4, pnl_seconds=0.3, time_once_a_second=False) as running:
        yield running
        assert running.errors == []


@pytest.fixture
def staff(simulator, tmp_path, pytestconfig, monkeypatch) -> Iterator[Staff]:
    # A gateway answers for the time once a second; this one always does, and each new socket costs a tenth of that.
    monkeypatch.setattr("backstay.session.pulse.CLOCK_SPACING_SECONDS", 0.0)
    seed = pytestconfig.getoption("operations_seed")
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    print(f"repeat with --operations-seed {seed}")  # noqa: T201 - shown when the test fails
    made = Staff(simulator, tmp_path, random.Random(seed))
    made.daemon.start()
    try:
        yield made
    finally:
        made.say_goodbye()
        made.daemon.stop()
        made.log.close()


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.timeout(0)  # every wait below is bounded by itself, and --operations may ask for many
def test_nothing_that_operators_do_costs_a_client_its_socket_or_an_order(
    simulator, staff, start_foreign_client, pytestconfig
):
    port = staff.daemon.manager.address("door")[1]
    clients = [start_foreign_client(program, port=port, client_id=7 + n) for n, program in enumerate(PROGRAMS)]
    for client in clients:
        client.expect("ready", READY_SECONDS)
        client.expect("all_ticked", READY_SECONDS, since="start")
    names = [f"door/{client.client_id}" for client in clients]
    staff.until("ready", *names, "keeper")
    threads, files = threading.active_count(), descriptors()

    orders = Counter()
    for _ in range(pytestconfig.getoption("operations")):
        for client in clients:
            if staff.source.random() < 0.4:
                client.do("order")
                orders[client.client_id] += 1
        deed, name = staff.source.choice(DEEDS), staff.source.choice([*names, "keeper"])
        print(f"{deed.__name__} {name}")  # noqa: T201
        staff.do(deed, name)
        if staff.source.random() < 0.5:
            staff.settle([*names, "keeper"])
    staff.settle([*names, "keeper"])

    for client in clients:
        count = orders[client.client_id]
        missing = untold(client, count)
        held = [order for order in simulator.state()["orders"] if order["order_id"] in missing]
        assert not missing, f"{client.program}: {missing}; the gateway has {held}"
        assert client.all("disconnected") == []
        assert len(client.all("next_valid_id")) == 1
        sent = [order["order_id"] for order in simulator.state()["orders"] if order["client_id"] == client.client_id]
        assert sorted(sent) == sorted(key for key, fate in fates(client).items() if fate == "sent")
        record = simulator.state()["clients"][str(client.client_id)]
        assert record["requests"].get("placeOrder", 0) == len(sent)
        assert record["sockets_max"] == 1
        assert_streams(client, simulator)
    print(dict(staff.done), dict(orders), "sent", len(simulator.state()["orders"]))  # noqa: T201

    staff.say_goodbye()
    if staff.side:
        staff.side = False
        staff.write()
        staff.say("reload")
    root = staff.daemon.manager.root
    assert root.tally.threads_abandoned == 0
    wait_for(lambda: threading.active_count() <= threads)
    wait_for(lambda: descriptors() <= files)


def assert_streams(client, simulator) -> None:
    """Every stream ticks still."""
    index = client.last_index
    client.do("mark")
    try:
        client.expect("all_ticked", READY_SECONDS, since="mark", after=index)
    except AssertionError:
        client.do("report")
        missing = client.expect("report", READY_SECONDS, after=index)["missing"]
        held = simulator.state()["clients"][str(client.client_id)]["subscriptions"]
        pytest.fail(f"{client.program} lacks {missing}; the gateway has {held}")


def wait_for(condition: Callable[[], bool]) -> None:
    """Threads of commands and of requests end a moment after their answer."""
    pause = threading.Event()
    for _ in range(100):
        if condition():
            return
        pause.wait(0.05)
    assert condition()


def untold(client, count: int) -> dict[int, list[dict[str, Any]]]:
    """The orders of which the client has not been told what became of them, and what it was told; waits for that."""
    with contextlib.suppress(AssertionError):
        client.wait_for(lambda _: len(fates(client)) == count, TOLD_SECONDS, "told of all orders")
    missing = {event["id"] for event in client.all("placed")} - fates(client).keys()
    return {key: [one for kind in ("order", "error") for one in client.all(kind, id=key)] for key in missing}


def fates(client) -> dict[int, str]:
    """What the client has been told of each order that it placed: that it works, or that it never left."""
    placed = {event["id"] for event in client.all("placed")}
    sent = {event["id"] for event in client.all("order", status=("PreSubmitted", "Submitted"))}
    refused = {event["id"] for event in client.all("error", code=NOT_SENT)}
    assert not sent & refused
    known = dict.fromkeys(sent, "sent") | dict.fromkeys(refused, "refused")
    return {key: known[key] for key in placed if key in known}


def test_a_client_of_a_relay_that_is_removed_is_the_only_one_that_is_cut(simulator, staff, start_foreign_client):
    staff.side = True
    staff.write()
    staff.say("reload")
    kept = start_foreign_client(PROGRAMS[1], port=staff.daemon.manager.address("door")[1], client_id=7)
    cut = start_foreign_client(PROGRAMS[0], port=staff.daemon.manager.address("side")[1], client_id=20)
    for client in (kept, cut):
        client.expect("ready", READY_SECONDS)
    staff.side = False
    staff.write()
    staff.say("reload")
    assert not cut.expect("disconnected", READY_SECONDS)["asked"]
    kept.do("mark")
    kept.expect("all_ticked", READY_SECONDS, since="mark")
    assert kept.all("disconnected") == []


def test_a_part_that_does_not_exist_is_refused(staff):
    staff.until("ready", "keeper")
    with pytest.raises(ControlError, match="part must be one of session, dispatcher, link, reader"):
        staff.say("restart", name="keeper", part="engine")
