"""The public HTTP side over real sockets."""

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.applications import Starlette

from backstay.metrics.blocks import ActorSample, ConnectionMeter
from backstay.metrics.events import EventRing
from backstay.metrics.exporter import Check, HttpServer, ListenError, Views, create_app
from backstay.metrics.listening import Address, open_listener
from backstay.metrics.status_page import status_page

FREE_PORT = "127.0.0.1:0"


class Source:
    def __init__(self, *meters: ConnectionMeter) -> None:
        self.meters = list(meters)

    def connections(self) -> list[ConnectionMeter]:
        return self.meters

    def actors(self) -> list[ActorSample]:
        return [ActorSample("root", 0, 0, 1.0)]

    def now(self) -> float:
        return 10.0


def meter(name: str, *, expected: bool, up: bool, state: str = "waiting", reason: str = "") -> ConnectionMeter:
    made = ConnectionMeter(name=name, state=state, reason=reason)
    made.set_wanted(0.0, expected=expected, up=up)
    return made


@contextmanager
def serving(*meters: ConnectionMeter, **views: object) -> Iterator[HttpServer]:
    given = Views(source=Source(*meters), **{"status": lambda: {"schema": 1}, **views})
    server = HttpServer(FREE_PORT, create_app(given))
    server.start()
    try:
        yield server
    finally:
        assert server.stop()


def get(server: HttpServer, path: str, **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
    assert server.address is not None
    with closing(http.client.HTTPConnection(*server.address, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers


def test_metrics_are_in_the_text_format_unless_open_metrics_is_asked_for():
    with serving(meter("keeper", expected=True, up=True)) as server:
        status, text, headers = get(server, "/metrics")
        assert status == 200
        assert headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'backstay_connection_up{connection="keeper"} 1' in text
        assert {"process_start_time_seconds", "python_info"} <= {family.name for family in parse_text(text)}

        _, text, headers = get(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert "backstay_connect_attempts" in {family.name for family in parse_open_metrics(text)}


def test_a_draft_of_open_metrics_is_answered_with_the_final_version():
    with serving() as server:
        _, text, headers = get(server, "/metrics", Accept="application/openmetrics-text; version=2.0.0")
        assert "version=1.0.0" in headers["content-type"]
        assert list(parse_open_metrics(text))


@pytest.mark.parametrize("accept", ["text/plain;version=soon", "application/openmetrics-text;version=soon", ";;=,q"])
def test_a_version_that_is_none_gets_the_text_format(accept):
    with serving() as server:
        status, text, headers = get(server, "/metrics", Accept=accept)
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert list(parse_text(text))


def test_liveness_does_not_depend_on_connections_but_on_the_checks_of_the_hall():
    checks = [Check("supervisor", ok=True)]
    with serving(meter("keeper", expected=True, up=False), live=lambda: checks) as server:
        assert get(server, "/livez")[:2] == (200, "ok\n")
        assert get(server, "/healthz")[0] == 200
        checks[0] = Check("supervisor", ok=False, detail="silent for 31 s")
        assert get(server, "/livez")[:2] == (503, "[-]supervisor silent for 31 s\nnot ok\n")


def test_readiness_wants_every_expected_connection_and_forgives_the_others():
    wanted = meter("keeper", expected=True, up=False, reason="nothing listens there")
    paused = meter("second", expected=False, up=False, state="paused")
    with serving(wanted, paused) as server:
        assert get(server, "/readyz")[:2] == (503, "[-]keeper waiting: nothing listens there\nnot ok\n")
        assert get(server, "/readyz?exclude=keeper")[0] == 200
        assert get(server, "/readyz/connection/keeper")[0] == 503
        assert get(server, "/readyz/connection/second")[0] == 200
        wanted.set_wanted(1.0, expected=True, up=True)
        wanted.state, wanted.reason = "ready", ""
        assert get(server, "/readyz")[:2] == (200, "ok\n")
        assert get(server, "/readyz?verbose")[1] == "[+]keeper ready\n[+]second paused, not wanted now\nok\n"


def test_readiness_of_a_connection_finds_names_with_a_slash_and_says_404_for_unknown_ones():
    with serving(meter("paper/3", expected=True, up=True)) as server:
        assert get(server, "/readyz/connection/paper/3")[0] == 200
        assert get(server, "/readyz/connection/nobody")[0] == 404


def test_a_draining_daemon_is_alive_but_not_ready():
    with serving(draining=lambda: True) as server:
        assert get(server, "/readyz")[:2] == (503, "[-]daemon draining\nnot ok\n")
        assert get(server, "/livez")[0] == 200


def test_the_status_is_served_as_json_and_as_a_page_without_outside_resources():
    with serving(status=lambda: {"schema": 1, "connections": []}) as server:
        _, text, headers = get(server, "/api/v1/status")
        assert json.loads(text) == {"schema": 1, "connections": []}
        assert headers["cache-control"] == "no-store"
        status, text, headers = get(server, "/")
        assert (status, text) == (200, status_page().text)
        assert "default-src 'none'" in headers["content-security-policy"]
    assert "https://" not in text
    assert set(re.findall(r"http://[^\"']*", text)) == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert "innerHTML" not in text


def test_nothing_can_be_changed_over_the_public_listener():
    with serving() as server:
        assert server.address is not None
        for path in ("/", "/metrics", "/api/v1/status", "/readyz"):
            with closing(http.client.HTTPConnection(*server.address, timeout=10)) as connection:
                connection.request("POST", path, body=b"{}")
                assert connection.getresponse().status == 405


class Follower:
    """Reads a stream of events line by line."""

    def __init__(self, server: HttpServer, path: str = "/api/v1/events", **headers: str) -> None:
        assert server.address is not None
        self.connection = http.client.HTTPConnection(*server.address, timeout=10)
        self.connection.request("GET", path, headers=headers)
        self.answer = self.connection.getresponse()
        self.sock = self.connection.sock

    def block(self) -> dict[str, str]:
        """The next event or comment."""
        found: dict[str, str] = {}
        while line := self.answer.readline().decode().rstrip("\n"):
            key, _, value = line.partition(": ")
            found[key] = value
        return found

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


def test_events_are_streamed_as_they_happen():
    ring = EventRing(clock=lambda: 5.0)
    ring.publish("old")
    with serving(events=ring) as server, closing(Follower(server)) as follower:
        assert follower.answer.headers["content-type"].startswith("text/event-stream")
        assert follower.block() == {"": "backstay"}
        ring.publish("state", {"connection": "keeper", "to": "ready"})
        event = follower.block()
        assert (event["id"], event["event"]) == ("2", "state")
        assert json.loads(event["data"]) == {
            "number": 2,
            "wall": 5.0,
            "event": "state",
            "connection": "keeper",
            "to": "ready",
        }


def test_a_follower_that_comes_back_gets_what_it_missed_and_is_told_what_is_lost():
    ring = EventRing(capacity=2)
    for number in range(5):
        ring.publish(f"event{number}")
    with serving(events=ring) as server:
        with closing(Follower(server, **{"Last-Event-ID": "1"})) as follower:
            follower.block()
            assert follower.block() == {"event": "gap", "data": '{"event": "gap", "missed": 2}'}
            assert [follower.block()["event"] for _ in range(2)] == ["event3", "event4"]
        with closing(Follower(server, "/api/v1/events?since=4")) as follower:
            follower.block()
            assert follower.block()["event"] == "event4"


def test_a_follower_that_has_seen_what_a_crash_has_lost_hears_what_happens_from_here_on():
    ring = EventRing()
    ring.publish("one")
    with serving(events=ring) as server, closing(Follower(server, **{"Last-Event-ID": "9"})) as follower:
        follower.block()
        ring.publish("two")
        assert follower.block()["event"] == "two"


def test_a_silent_stream_shows_that_it_lives(monkeypatch):
    monkeypatch.setattr("backstay.metrics.exporter.KEEPALIVE_SECONDS", 0.01)
    with serving() as server, closing(Follower(server)) as follower:
        assert follower.block() == {"": "backstay"}
        assert follower.block() == {"": "still here"}


def test_followers_are_limited_and_a_place_is_free_again_when_one_leaves(monkeypatch):
    monkeypatch.setattr("backstay.metrics.exporter.MAX_STREAMS", 1)
    ring = EventRing()
    with serving(events=ring) as server:
        first = Follower(server)
        first.block()
        assert get(server, "/api/v1/events")[0] == 503
        first.close()
        freed = threading.Event()
        for _ in range(100):
            ring.publish("nudge")  # writing to the one who left is what shows that it is gone
            if get(server, "/api/v1/status")[0] == 200 and not ring._followers:
                freed.set()
                break
        assert freed.is_set()


def test_stopping_ends_the_thread_and_open_streams_within_two_seconds():
    ring, before = EventRing(), set(threading.enumerate())
    server = HttpServer(FREE_PORT, create_app(Views(source=Source(), status=dict, events=ring)))
    server.start()
    address = server.address
    assert address is not None
    with closing(Follower(server)) as follower, socket.create_connection(address, timeout=5) as idle:
        follower.block()
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")  # kept alive afterwards
        assert idle.recv(4096).startswith(b"HTTP/1.1 200")
        assert server.stop()
        assert follower.answer.read() == b""
    assert set(threading.enumerate()) <= before
    open_listener(address).close()  # the port is free again
    assert server.stop()  # twice does no harm


def test_a_server_that_was_never_started_can_be_stopped():
    assert HttpServer(FREE_PORT, create_app(Views(source=Source(), status=dict))).stop()


def test_a_port_in_use_is_told_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(*taken.getsockname())
        server = HttpServer(address, create_app(Views(source=Source(), status=dict)))
        with pytest.raises(ListenError) as caught:
            server.start()
    assert str(caught.value) == f"{address} is in use by another process"
    assert server.stop()


def test_a_server_that_breaks_at_its_start_is_told_and_leaves_nothing_behind(monkeypatch):
    async def broken(*_: object) -> None:
        raise SystemExit("no loop today")

    monkeypatch.setattr("uvicorn.Server.startup", broken)
    server = HttpServer(FREE_PORT, Starlette())
    with pytest.raises(ListenError, match="the HTTP server did not start") as caught:
        server.start()
    assert isinstance(caught.value.__cause__, SystemExit)
    assert server.address is not None
    open_listener(server.address).close()


def test_an_app_without_streams_is_served_too():
    server = HttpServer(FREE_PORT, Starlette())
    server.start()
    assert get(server, "/nothing")[0] == 404
    assert server.stop()


def test_an_address_that_is_not_here_is_told_in_one_sentence():
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:1: this machine has no such address"):
        open_listener(Address("192.0.2.1", 1))
    with pytest.raises(ListenError, match=r"cannot listen on no-such-host\.invalid:1: "):
        open_listener(Address("no-such-host.invalid", 1))


def test_ipv6_listeners_are_served_and_printed_in_brackets():
    server = HttpServer("[::1]:0", create_app(Views(source=Source(), status=dict)))
    server.start()
    try:
        assert str(server.address).startswith("[::1]:")
        assert get(server, "/livez")[0] == 200
    finally:
        assert server.stop()


class Courteous:
    """Notes what a server asks of those who keep the interpreter busy."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._heard = threading.Condition()

    def hold(self) -> None:
        self._say("hold")

    def release(self) -> None:
        self._say("release")

    def _say(self, word: str) -> None:
        with self._heard:
            self.words.append(word)
            self._heard.notify_all()

    def wait_for(self, word: str) -> None:
        with self._heard:
            assert self._heard.wait_for(lambda: self.words[-1:] == [word], 10), self.words


def test_the_interpreter_is_held_from_the_accept_until_the_answer_and_for_each_question_of_a_connection():
    courteous, words = Courteous(), []

    def status() -> dict[str, object]:
        words.append(list(courteous.words))
        return {}

    server = HttpServer(FREE_PORT, create_app(Views(source=Source(), status=status)), courtesy=courteous)
    server.start()
    try:
        assert server.address is not None
        with closing(http.client.HTTPConnection(*server.address, timeout=10)) as connection:
            for question in range(2):
                connection.request("GET", "/api/v1/status")
                assert connection.getresponse().read() == b"{}"
                courteous.wait_for("release")
                assert words[question][-1] == "hold"
    finally:
        assert server.stop()


def test_whoever_connects_and_goes_without_a_question_holds_nothing_up():
    courteous = Courteous()
    server = HttpServer(FREE_PORT, create_app(Views(source=Source(), status=dict)), courtesy=courteous)
    server.start()
    try:
        assert server.address is not None
        socket.create_connection(server.address, timeout=10).close()
        courteous.wait_for("release")
        assert courteous.words[0] == "hold"
    finally:
        assert server.stop()
