"""Names are looked up within a bound, whatever the name server does."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from backstay import names
from backstay.names import Names

PATIENCE = 20.0


class Server:
    """Knows one name; hangs on those that begin with `hung` until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.hanging = threading.Semaphore(0)

    def __call__(self, host: str) -> object:
        self.asked.append(host)
        if host.startswith("hung"):
            self.hanging.release()
            self.gate.wait(PATIENCE)
        if host == "strange":
            raise UnicodeError("label too long")
        if host != "known":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.gate.set()


def test_what_has_an_address_is_left_out_and_numbers_are_not_asked_for(server):
    found = Names(server).troubles(["known", "127.0.0.1", "::1", "gone", "known", "strange"])
    assert found == {"gone": "Name or service not known", "strange": "label too long"}
    assert sorted(server.asked) == ["gone", "known", "strange"]
    assert Names(server).troubles([]) == {}


def test_a_name_server_that_hangs_costs_no_more_than_the_bound(server):
    begun = time.monotonic()
    found = Names(server).troubles(["hung", "known"], seconds=0.2)
    assert time.monotonic() - begun < PATIENCE / 2
    assert found == {"hung": "the name server did not answer within 0.2 s"}


def test_threads_that_hang_are_bounded_and_the_next_look_is_too(server, monkeypatch):
    monkeypatch.setattr(names, "MAX_LOOKING", 2)
    asked = Names(server)
    hosts = [f"hung{number}" for number in range(5)]
    assert set(asked.troubles(hosts, seconds=0.1)) == set(hosts)
    assert set(asked.troubles(["known"], seconds=0.1)) == {"known"}  # no thread is free: that is no answer either
    assert len(server.asked) == 2
    for _ in range(2):
        assert server.hanging.acquire(timeout=PATIENCE)
    server.gate.set()
    deadline = time.monotonic() + PATIENCE
    while asked.troubles(["known"], seconds=0.5) and time.monotonic() < deadline:
        pass
    assert asked.troubles(["known"]) == {}


def test_the_real_one_finds_this_machine_and_no_invalid_name():
    assert set(Names().troubles(["localhost", "no-such-host.invalid"], seconds=PATIENCE)) == {"no-such-host.invalid"}
