"""The public listener changes nothing, answers to its own names only, and outlives whoever comes."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstay.metrics import http_protocol
from backstay.metrics.events import EventRing
from backstay.metrics.exporter import HttpServer, Views, create_app
from backstay.metrics.guard import host_name

PATIENCE = 30.0
LARGE = "x" * 16_000_000  # more than any kernel's buffers take


class Source:
    def connections(self) -> list[Any]:
        return []

    def actors(self) -> list[Any]:
        return []

    def now(self) -> float:
        return 1.0


@pytest.fixture(scope="module")
def ring() -> EventRing:
    return EventRing()


@pytest.fixture(scope="module")
def server(ring) -> Iterator[HttpServer]:
    views = Views(source=Source(), status=lambda: {"schema": 1}, tree=lambda: {"tree": LARGE}, events=ring)
    found = HttpServer("127.0.0.1:0", create_app(views, hosts=("Backstay.example",)))
    found.start()
    yield found
    assert found.stop()


def knock(server: HttpServer) -> socket.socket:
    assert server.address is not None
    return socket.create_connection(server.address, PATIENCE)


def say(server: HttpServer, request: bytes) -> bytes:
    """Everything that is answered to these bytes until the connection ends."""
    with knock(server) as sock:
        with suppress(ConnectionError):  # it may be closed before all is said
            sock.sendall(request)
        return until_the_end(sock)


def until_the_end(sock: socket.socket) -> bytes:
    parts = []
    with suppress(ConnectionResetError):
        while data := sock.recv(65536):
            parts.append(data)
    return b"".join(parts)


def read_until(sock: socket.socket, wanted: bytes) -> None:
    found = b""
    while wanted not in found:
        data = sock.recv(65536)
        assert data, found
        found += data


def code(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def works(server: HttpServer) -> None:
    assert server.address is not None
    with closing(http.client.HTTPConnection(*server.address, timeout=PATIENCE)) as connection:
        connection.request("GET", "/api/v1/status")
        assert json.loads(connection.getresponse().read()) == {"schema": 1}


# -- nothing can be changed ------------------------------------------------------------------------------------------

PATHS = ("/", "/metrics", "/livez", "/readyz", "/api/v1/status", "/api/v1/tree", "/api/v1/events", "/nothing")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_only_reading_is_allowed(server, method):
    for path in PATHS:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}"
        answer = say(server, head.encode())
        assert code(answer) == 405
        assert b"allow: GET, HEAD\r\n" in answer
        assert b"nothing can be changed here" in answer


def test_a_head_is_answered_without_a_body(server):
    answer = say(server, b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert code(answer) == 200
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/readyz", "/api/v1/status", "/api/v1/timeline"])
def test_no_answer_is_to_be_kept_guessed_at_or_framed(server, path):
    answer = say(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()).lower()
    assert b"\r\nx-content-type-options: nosniff\r\n" in answer
    assert b"\r\ncache-control: no-store\r\n" in answer
    assert b"\r\ncross-origin-resource-policy: same-origin\r\n" in answer
    assert b"access-control-allow-origin" not in answer


# -- under which name ------------------------------------------------------------------------------------------------

OURS = ["localhost", "LOCALHOST:9464", "127.0.0.1", "127.0.0.1:9464", "[::1]:9464", "[::1]", "10.1.2.3:80"]
OURS += [socket.gethostname(), "backstay.example:9464"]
FOREIGN = ["evil.example", "evil.example:9464", "localhost.evil.example", "127.0.0.1.nip.io", "backstay.example.evil"]
SENSELESS = ["", "::1", "[::1", "[localhost]:80", "a:b", "localhost:80:80", "localhost:8x", "127.0.0.1:80@evil", "a b"]


@pytest.mark.parametrize("host", OURS)
def test_addresses_and_names_that_are_ours_are_answered(server, host):
    assert code(say(server, f"GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())) == 200


@pytest.mark.parametrize("host", [*FOREIGN, *SENSELESS])
@pytest.mark.parametrize("path", ["/", "/api/v1/events", "/metrics"])
def test_a_name_of_somebody_else_is_not(server, host, path):
    answer = say(server, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert code(answer) in {400, 421}
    assert b"schema" not in answer


def test_two_names_are_none(server):
    answer = say(server, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert code(answer) in {400, 421}


@given(st.text(max_size=40))
@settings(max_examples=300)
def test_whatever_is_in_a_host_header_is_a_name_or_is_not(text):
    name = host_name(text)
    assert name is None or name == name.lower()


# -- malformed -------------------------------------------------------------------------------------------------------

MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"SSH-2.0-x\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nA\x00B: c\r\n\r\n",
    b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
    b"GET /" + b"a" * 100_000,
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
]


@pytest.mark.parametrize("request_", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_no_request_is_refused_and_harms_nobody(server, request_):
    answer = say(server, request_)
    assert answer == b"" or code(answer) in {400, 431}
    works(server)


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_anybody_sends_ends_the_server(server, data):
    with knock(server) as sock:
        sock.sendall(data + b"\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        until_the_end(sock)
    works(server)


@pytest.mark.parametrize(
    "query",
    [
        "since=" + "9" * 5000,
        "since=-1",
        "since=1e9",
        "last=" + "9" * 5000,
        "last=x",
        "since=%00",
        "last=9999999999999999",
    ],
)
def test_numbers_that_are_none_are_answered_as_none(server, ring, query):
    ring.publish("one")
    with knock(server) as sock:
        sock.sendall(f"GET /api/v1/events?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        read_until(sock, b"200 OK")


@pytest.mark.parametrize(
    "path", ["/api/v1/connections/..%2f..%2fetc", "/readyz/connection/" + "x" * 5000, "/%ff", "//", "/."]
)
def test_odd_paths_lead_nowhere(server, path):
    answer = say(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert code(answer) == 404


def test_what_strangers_send_is_no_line_in_the_log(server, caplog):
    for request in MALFORMED[:5]:
        say(server, request)
    assert caplog.records == []


# -- slow, huge, many ------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(http_protocol, "ASKING_SECONDS", 0.3)
    monkeypatch.setattr(http_protocol, "READING_SECONDS", 0.3)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nabc",
    ],
    ids=["silent", "line", "head", "second", "body"],
)
def test_who_does_not_finish_asking_is_cut_off(server, impatient, begun):
    with knock(server) as sock:
        sock.sendall(begun)
        until_the_end(sock)  # it ends
    works(server)


def test_bytes_that_keep_coming_do_not_buy_time(server, impatient):
    with knock(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        ended = threading.Event()
        watching = threading.Thread(target=lambda: (until_the_end(sock), ended.set()))
        watching.start()
        with suppress(ConnectionError):
            while not ended.wait(0.02):
                sock.sendall(b"a")
        watching.join(PATIENCE)
        assert ended.is_set()


def test_who_does_not_read_is_cut_off(server, impatient):
    with knock(server) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /api/v1/tree HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connections = server._server.server_state.connections
        gone = threading.Event()
        while connections and not gone.wait(0.02):
            pass
    works(server)


def test_a_follower_who_waits_for_events_is_left_in_peace(server, impatient, ring):
    with knock(server) as sock:
        sock.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_until(sock, b": backstay\n\n")
        say(server, b"")  # somebody silent is cut off meanwhile
        ring.publish("late")
        read_until(sock, b"event: late")


def test_silent_ones_keep_nobody_out_and_the_oldest_of_them_goes(server, monkeypatch):
    monkeypatch.setattr(http_protocol, "MAX_CONNECTIONS", 8)
    with ExitStack() as stack:
        first, *others = [stack.enter_context(knock(server)) for _ in range(8)]
        works(server)
        assert first.recv(1) == b""
        more = [stack.enter_context(knock(server)) for _ in range(50)]
        works(server)
        assert all(one.recv(1) == b"" for one in (*others, *more[:40]))
        assert len(server._server.server_state.connections) <= 8


def test_with_everybody_served_one_more_is_turned_away_and_has_its_turn_later(server, monkeypatch):
    monkeypatch.setattr(http_protocol, "MAX_CONNECTIONS", 3)
    with ExitStack() as stack:
        followers = [stack.enter_context(knock(server)) for _ in range(3)]
        for one in followers:
            one.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            read_until(one, b"200 OK")
        assert say(server, b"") == b""
    for _ in range(100):  # until the server has noticed that they left
        if not server._server.server_state.connections:
            break
        with suppress(ConnectionError, IndexError):
            say(server, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    works(server)


def test_a_body_without_an_end_is_not_swallowed(server, impatient):
    with knock(server) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        sent = until_the_end(sock)
        assert sent == b"" or code(sent) == 200
    works(server)
