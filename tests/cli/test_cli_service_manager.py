"""What whoever started the daemon is told, over a socket that stands in for systemd's."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from backstay.daemon import HEARTBEAT_SECONDS
from backstay.rates import Rates
from backstay.service_manager import Beat, ServiceManager
from backstay.status import ConnectionStatus, Status, standing
from backstay.supervisor.messages import StopChild

PATIENCE = 30.0


class Manager:
    """The reading end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.settimeout(PATIENCE)
        self._sock.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def next(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._sock.recv(4096).decode().splitlines())

    def until(self, key: str) -> dict[str, str]:
        """The next one that says this; what comes before it is passed over."""
        while key not in (told := self.next()):
            pass
        return told

    def close(self) -> None:
        self._sock.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@backstay-{uuid.uuid4()}"
    found = Manager(address)
    yield found
    found.close()


def test_what_is_told_arrives_as_lines(manager):
    service = ServiceManager({"NOTIFY_SOCKET": manager.address})
    assert service.tell(READY="1", STATUS="two\nlines and a \ttab")
    assert manager.next() == {"READY": "1", "STATUS": "two lines and a tab"}


@pytest.mark.parametrize("address", ["", "@", "/", "relative", "vsock:2:1234", "/nonexistent/notify", "/" + "x" * 200])
def test_where_nobody_listens_nothing_happens(address):
    assert not ServiceManager({"NOTIFY_SOCKET": address}).tell(READY="1")
    assert not ServiceManager({}).tell(READY="1")


def test_a_manager_that_does_not_read_holds_up_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr("backstay.service_manager.SEND_SECONDS", 0.01)
    manager = Manager(str(tmp_path / "notify"))
    service = ServiceManager({"NOTIFY_SOCKET": manager.address})
    while service.tell(WATCHDOG="1"):
        pass
    manager.close()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "0"}, 0.0),
    ],
)
def test_the_watchdog_is_fed_only_where_it_watches_us(environ, seconds):
    assert ServiceManager(environ, pid=7).watchdog_seconds == seconds


def beat(manager: Manager, trouble: list[str], said: list[str], **more) -> Beat:
    service = ServiceManager({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1500000"})
    given = {"also": (), "failed": lambda _: None, **more}
    return Beat(service, trouble=lambda: trouble[0], standing=lambda: said[0], **given)


def test_signs_of_life_end_with_trouble_and_a_status_is_told_when_it_changes(manager):
    trouble, said = [""], ["all is well"]
    beating = beat(manager, trouble, said)
    assert beating.period_seconds == 0.5
    beating.once()
    assert (manager.next(), manager.next()) == ({"WATCHDOG": "1"}, {"STATUS": "all is well"})
    beating.once()
    trouble[0], said[0] = "hangs", "x" * 1000
    beating.once()
    assert (manager.next(), manager.next()) == ({"WATCHDOG": "1"}, {"STATUS": "x" * 200})
    trouble[0] = ""
    beating.once()
    assert manager.next() == {"WATCHDOG": "1"}


def test_a_mistake_in_a_beat_is_told_once_and_ends_neither_the_thread_nor_the_process(manager):
    complaints: list[str] = []
    beats = threading.Semaphore(0)

    def fail() -> None:
        beats.release()
        raise ValueError("no")

    beating = beat(manager, [""], ["s"], also=(fail,), failed=complaints.append)
    beating.period_seconds = 0.01
    beating.start()
    for _ in range(3):
        assert beats.acquire(timeout=PATIENCE)
    assert manager.next() == {"WATCHDOG": "1"}
    beating.stop()
    assert complaints == ["ValueError('no')"]


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_the_daemon_tells_its_whole_life(launch, manager, tmp_path):
    (tmp_path / "backstay.toml").write_text(
        '[gateways.g]\nendpoints = ["127.0.0.1:1"]\n[connections.k]\ngateway = "g"\nclient_id = 1\n'
        "[http]\nenabled = false\n"
    )
    program = launch("run", NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="600000")
    ready = manager.until("READY")
    assert re.fullmatch("0 of 1 wanted connections ready: k [a-z]+", ready["STATUS"])
    program.ready()
    assert manager.until("WATCHDOG") == {"WATCHDOG": "1"}
    program.process.send_signal(signal.SIGHUP)
    reloading = manager.until("RELOADING")
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert manager.until("READY")["READY"] == "1"
    program.process.send_signal(signal.SIGTERM)
    assert manager.until("STOPPING")["STATUS"] == "stopping"
    assert program.end() == 0


def test_a_supervisor_that_does_not_move_is_trouble_and_a_gateway_is_none(place):
    daemon = place.daemon
    assert place.row("lost").state != "ready"
    assert daemon.trouble() == ""
    assert [check.ok for check in daemon._live()] == [True]
    top = daemon.manager.root.supervisor
    hangs, go = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        hangs.set()
        go.wait(PATIENCE)

    top.actor_inbox.post(StopChild("nobody", "", hang), control=True)
    try:
        assert hangs.wait(PATIENCE)
        top.progress -= HEARTBEAT_SECONDS + 1
        assert daemon.trouble().startswith("the supervisor at the top has not moved for 3")
        assert [check.ok for check in daemon._live()] == [False]
    finally:
        go.set()


ROW = ConnectionStatus("keeper", "paper", "", 1, wanted=True, state="ready")


def test_how_it_stands_is_one_line():
    def line(*rows: ConnectionStatus) -> str:
        return standing(Status("1", 2, 3.0, connections=rows))

    assert line() == "0 of 0 wanted connections ready"
    assert line(ROW, replace(ROW, name="x", wanted=False, state="paused")) == "1 of 1 wanted connections ready"
    assert line(ROW, replace(ROW, name="x", state="parked")) == "1 of 2 wanted connections ready: x parked"


def test_rates_are_those_of_the_last_seconds():
    rates = Rates()
    rates.look(0.0, {"a": 0})
    assert rates.now == {}
    for second in range(1, 10):
        rates.look(float(second), {"a": 100 * second, "b": 7})
    assert rates.now == {"a": 100.0, "b": 0.0}
    for second in range(10, 16):
        rates.look(float(second), {"a": 900})
    assert rates.now == {"a": 0.0}
    rates.look(16.0, {"a": 3})  # it began anew
    assert rates.now == {}


def test_the_rate_of_each_connection_is_in_the_status(place):
    told = threading.Event()
    for _ in range(10_000):
        rows = place.json("status")[1]["connections"]
        if all(row["messages_per_second"] is not None for row in rows):
            told.set()
            break
    assert told.is_set()
    assert os.getpid() == place.json("status")[1]["pid"]
