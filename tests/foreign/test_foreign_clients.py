"""Clients that know nothing of backstay keep their sockets and get their streams back, whatever happens upstream."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backstay.config import load
from backstay.manager import Manager
from backstay.simulator import Simulator

IB_ASYNC = "ib_async_client.py"
IBAPI = "ibapi_client.py"
PROGRAMS = (IBAPI, IB_ASYNC)
SERVER_VERSION = 200  # ibapi speaks it, ib_async ends at 178: two versions side by side
PROTOBUF_VERSION = 226  # ib_async ends at 178 here too
PROTOBUF_CUTS = 3
READY_SECONDS = 30.0
NOTICED_SECONDS = 15.0
RESTORED_SECONDS = 60.0  # two refused client ids alone take ten

LOST = 1100
RESTORED = (1101, 1102)
DUPLICATE = (102, 322)

CONFIGURATION = """
[gateways.simulated]
endpoints = ["127.0.0.1:{port}"]

[relays.door]
gateway = "simulated"
listen = "127.0.0.1:0"

[pulse]  # notices a frozen gateway after 3.2 s
idle_seconds = 1.0
probe_seconds = 1.1
probes = 2

[backoff]  # the cuts come faster than any real gateway's
base_seconds = 0.1
cap_seconds = 0.5

[pacing]  # so do more starts of real-time bars than IB allows
historical_limits = false

[lifecycle]
stable_seconds = 0.2

[journal]
path = "journal.db"

[http]
enabled = false

[control]
socket = "control.sock"
"""


@dataclass(frozen=True)
class Cut:
    """One way of losing the upstream: what breaks it, and what is undone once the clients have been told, and after."""

    name: str
    begin: Callable[[Simulator, tuple[int, ...]], None]
    end: Callable[[Simulator, tuple[int, ...]], None] = lambda _simulator, _clients: None
    afterwards: Callable[[Simulator, tuple[int, ...]], None] = lambda _simulator, _clients: None
    everybody: bool = False  # this cannot be done to one client only
    dials: int = 0  # so many have to fail before it is undone


def each(fault: str) -> Callable[[Simulator, tuple[int, ...]], None]:
    def begin(simulator: Simulator, clients: tuple[int, ...]) -> None:
        for client_id in clients:
            getattr(simulator.faults, fault)(client_id=client_id)

    return begin


def split_and_slow(simulator: Simulator, clients: tuple[int, ...]) -> None:
    for client_id in clients:
        simulator.faults.eof(client_id=client_id)
        simulator.faults.split(3, client_id=client_id)
        simulator.faults.slow(20_000, client_id=client_id)


def wait_until(simulator: Simulator, clients: tuple[int, ...], state: str) -> None:
    def all_there(seen) -> bool:
        return all(seen["clients"][str(client_id)]["state"] == state for client_id in clients)

    simulator.wait_for(all_there, RESTORED_SECONDS)


def whole_and_fast(simulator: Simulator, clients: tuple[int, ...]) -> None:
    wait_until(simulator, clients, "ready")
    for client_id in clients:
        simulator.faults.split(0, client_id=client_id)
        simulator.faults.slow(0, client_id=client_id)


def client_id_in_use_twice(simulator: Simulator, clients: tuple[int, ...]) -> None:
    for client_id in clients:
        simulator.faults.client_id_in_use(2, client_id=client_id)
        simulator.faults.eof(client_id=client_id)


def late_ready(simulator: Simulator, clients: tuple[int, ...]) -> None:
    simulator.faults.delay_ready(1.0)
    each("eof")(simulator, clients)


def in_time(simulator: Simulator, clients: tuple[int, ...]) -> None:
    wait_until(simulator, clients, "starting")
    simulator.faults.delay_ready(0.0)


def refuse(simulator: Simulator, clients: tuple[int, ...]) -> None:
    simulator.faults.refuse()
    each("eof")(simulator, clients)


DROPPED_SECONDS = 3.0


def drop_requests(simulator: Simulator, clients: tuple[int, ...]) -> None:
    """What is asked right after nextValidId is lost, as by a gateway that is still joining IB's servers."""
    simulator.faults.drop_requests(DROPPED_SECONDS)
    each("eof")(simulator, clients)


def again(simulator: Simulator, clients: tuple[int, ...]) -> None:
    """Cut as soon as the gateway has let them in again, while everything is still being restored."""
    wait_until(simulator, clients, "ready")
    connects = {client_id: simulator.state()["clients"][str(client_id)]["connects"] for client_id in clients}
    each("eof")(simulator, clients)

    def all_came(seen) -> bool:
        return all(seen["clients"][str(client_id)]["connects"] > connects[client_id] for client_id in clients)

    simulator.wait_for(all_came, RESTORED_SECONDS)


CUTS = (
    Cut("end of file", each("eof")),
    Cut("end of file, twice", each("eof"), again),
    Cut("reset", each("reset")),
    Cut("bad frame", each("bad_frame")),
    Cut("freeze", lambda it, _: it.faults.freeze(), lambda it, _: it.faults.thaw(), everybody=True),
    Cut("restart", lambda it, _: it.faults.restart(1.0), everybody=True),
    Cut(
        "refused for a while",
        refuse,
        lambda it, _: it.faults.accept(),
        everybody=True,
        dials=2,
    ),
    Cut("split and slow bytes", split_and_slow, whole_and_fast),
    Cut("client id in use, twice", client_id_in_use_twice),
    Cut("late nextValidId", late_ready, in_time),
    Cut("dropped requests", drop_requests, afterwards=lambda it, _: it.faults.drop_requests(0.0)),
)


@pytest.fixture
def server_version() -> int:
    return SERVER_VERSION


@pytest.fixture
def simulator(server_version: int) -> Iterator[Simulator]:
    with Simulator(server_version=server_version, bar_seconds=0.4, pnl_seconds=0.3) as running:
        yield running
        assert running.errors == []


class Dials:
    """How many dials came to nothing, as backstay's event log has it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._failed = 0

    def log(self, event: str, **_: object) -> None:
        with self._changed:
            self._failed += event == "connect_failed"
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Until so many more have failed."""
        with self._changed:
            wanted = self._failed + count
            assert self._changed.wait_for(lambda: self._failed >= wanted, NOTICED_SECONDS), "nobody dials"


@pytest.fixture
def dials() -> Dials:
    return Dials()


@pytest.fixture
def relay_port(simulator, dials, tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "backstay.toml"
    path.write_text(CONFIGURATION.format(port=simulator.port), encoding="utf-8")
    manager = Manager(load(path, {}), log=dials.log)
    with manager:
        yield manager.address("door")[1]


@pytest.mark.parametrize(
    ("program", "server_version"), [(IBAPI, SERVER_VERSION), (IBAPI, PROTOBUF_VERSION), (IB_ASYNC, SERVER_VERSION)]
)
def test_a_foreign_client_holds_its_streams_on_the_simulator_itself(program, simulator, start_foreign_client):
    client = start_foreign_client(program, port=simulator.port, client_id=5)
    client.expect("ready", READY_SECONDS)
    ticked = client.expect("all_ticked", READY_SECONDS, since="start")
    client.do("mark")
    client.expect("all_ticked", READY_SECONDS, since="mark", after=ticked["index"])
    client.do("order")
    client.expect("order", READY_SECONDS, status="Submitted")
    client.do("report")
    assert client.expect("report", READY_SECONDS)["missing"] == []
    client.do("quit")
    assert client.expect("bye", READY_SECONDS)["asked"]
    assert {error["code"] for error in client.all("error")} <= {2104, 2106, 2158}


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_the_relay_a_foreign_client_loses_its_socket_at_the_first_cut(program, simulator, start_foreign_client):
    client = start_foreign_client(program, port=simulator.port, client_id=5)
    client.expect("ready", READY_SECONDS)
    simulator.faults.eof()
    assert not client.expect("disconnected", NOTICED_SECONDS)["asked"]


@pytest.mark.timeout(0)  # every wait below is bounded by itself, and --cuts may ask for many
def test_foreign_clients_keep_their_socket_and_get_their_streams_back_after_every_cut(
    simulator, relay_port, dials, start_foreign_client, pytestconfig
):
    clients = [start_foreign_client(program, port=relay_port, client_id=7 + n) for n, program in enumerate(PROGRAMS)]
    endure(simulator, clients, dials=dials, cuts=drawn(pytestconfig, len(CUTS)))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("server_version", [PROTOBUF_VERSION])
def test_a_foreign_client_that_speaks_protobuf_keeps_its_socket_and_gets_its_streams_back(
    server_version, simulator, relay_port, dials, start_foreign_client, pytestconfig
):
    client = start_foreign_client(IBAPI, port=relay_port, client_id=7)
    endure(simulator, [client], dials=dials, cuts=drawn(pytestconfig, PROTOBUF_CUTS))
    assert client.all("ready")[0]["server_version"] == server_version


def ib_away(simulator: Simulator, fill: Callable[[], None]) -> None:
    simulator.faults.upstream_lost()
    fill()
    simulator.faults.upstream_restored(data_lost=False)


def gateway_away(simulator: Simulator, fill: Callable[[], None]) -> None:
    simulator.faults.refuse()
    simulator.faults.eof()
    fill()
    simulator.faults.accept()


def gateway_restarts(simulator: Simulator, fill: Callable[[], None]) -> None:
    simulator.faults.restart(0.5)
    fill()


@pytest.mark.parametrize("server_version", [PROTOBUF_VERSION])
def test_foreign_clients_hear_of_fills_while_nobody_looked_once(simulator, relay_port, start_foreign_client):
    clients = [start_foreign_client(program, port=relay_port, client_id=7 + n) for n, program in enumerate(PROGRAMS)]
    for client in clients:
        client.expect("ready", READY_SECONDS)
    for outage in (ib_away, gateway_away, gateway_restarts):
        since = [client.last_index for client in clients]
        for client in clients:
            client.do("order")
        orders = [order_of(client, index) for client, index in zip(clients, since, strict=True)]
        outage(simulator, lambda orders=orders: fill(simulator, clients, orders))
        for client, index, order_id in zip(clients, since, orders, strict=True):
            client.expect("error", RESTORED_SECONDS, code=RESTORED, after=index)
            client.expect("order", RESTORED_SECONDS, id=order_id, status="Filled")
            done = client.expect("execution", RESTORED_SECONDS, id=order_id)
            client.expect("commission", RESTORED_SECONDS, exec_id=done["exec_id"])
    again_listed(simulator, clients)
    for client in clients:
        for event in ("execution", "commission"):
            told = [one["exec_id"] for one in client.all(event)]
            assert len(told) == len(set(told)) == 3, f"{client.program}: {event} {told}"


def order_of(client, since: int) -> int:
    placed = client.expect("placed", READY_SECONDS, after=since)["id"]
    client.expect("order", READY_SECONDS, id=placed, status="Submitted")
    return placed


def fill(simulator: Simulator, clients: list, orders: list[int]) -> None:
    for client, order_id in zip(clients, orders, strict=True):
        simulator.faults.fill_order(client.client_id, order_id)


def again_listed(simulator: Simulator, clients: list) -> None:
    """One more new socket, for which all executions of the day are listed again."""
    since = [client.last_index for client in clients]
    simulator.faults.eof()
    for client, index in zip(clients, since, strict=True):
        client.expect("error", RESTORED_SECONDS, code=RESTORED, after=index)


def drawn(pytestconfig, count: int) -> Iterator[tuple[Cut, bool]]:
    """As many cuts as the options say, else ``count``, from a seed that is told."""
    seed = pytestconfig.getoption("cuts_seed")
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    print(f"repeat with --cuts-seed {seed}")  # noqa: T201 - shown when the test fails
    return plan(random.Random(seed), pytestconfig.getoption("cuts") or count)


def endure(simulator: Simulator, clients: list, *, dials: Dials, cuts: Iterator[tuple[Cut, bool]]) -> None:
    """Let clients place an order each and suffer cuts; nothing may be lost, and nothing be there twice."""
    for client in clients:
        client.expect("ready", READY_SECONDS)
        client.expect("all_ticked", READY_SECONDS, since="start")
        client.do("order")
        client.expect("order", READY_SECONDS, status="Submitted")

    for cut, both in cuts:
        print(f"{cut.name}, {'both' if both else 'one'}")  # noqa: T201
        suffer(simulator, cut, clients if both else clients[:1], dials=dials)
        clients.reverse()

    state = simulator.state()
    for client in clients:
        assert client.all("disconnected") == []
        assert len(client.all("next_valid_id")) == 1
        assert duplicates(client) == []
        record = state["clients"][str(client.client_id)]
        assert record["sockets_max"] == 1
        assert record["requests"]["placeOrder"] == 1
        client.do("mark")
        client.expect("all_ticked", READY_SECONDS, since="mark", after=client.last_index)


def duplicates(client) -> list[dict]:
    """Errors that say that something was asked for twice; an account summary too many, as ib_async would have it after
    each 1102, among them: backstay gives an older one up in its place.
    """
    return [error for error in client.all("error") if error["code"] in DUPLICATE]


def plan(source: random.Random, count: int) -> Iterator[tuple[Cut, bool]]:
    """Every way once in some order, then again in another; one client or both, where there is a choice."""
    for position in range(count):
        if position % len(CUTS) == 0:
            order = source.sample(CUTS, len(CUTS))
        cut = order[position % len(CUTS)]
        yield cut, cut.everybody or source.random() < 0.5


def suffer(simulator: Simulator, cut: Cut, clients, *, dials: Dials) -> None:
    """Cut, and wait until each client has been told so and all its streams have ticked again."""
    before = [client.last_index for client in clients]
    ids = tuple(client.client_id for client in clients)
    cut.begin(simulator, ids)
    for client, index in zip(clients, before, strict=True):
        client.expect("error", NOTICED_SECONDS, code=LOST, after=index)
    dials.wait_for(cut.dials)
    cut.end(simulator, ids)
    for client in clients:
        client.wait_for(is_restored, RESTORED_SECONDS, f"restored after {cut.name}")
    cut.afterwards(simulator, ids)


def is_restored(events) -> bool:
    """Told that the connection is back, and every stream has ticked, since it was told last that it is lost."""
    lost = max(event["index"] for event in events if event.get("code") == LOST)
    since = events[lost:]
    told = any(event.get("code") in RESTORED for event in since)
    return told and any(event["event"] == "all_ticked" and event["since"] == str(LOST) for event in since)
