"""The table of routes is what the listener does: each row is asked for each of its answers, and each refusal met."""

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import pytest

from backstay.metrics import exporter
from backstay.metrics.blocks import ConnectionMeter
from backstay.metrics.exporter import Check, HttpServer, Views, create_app
from backstay.metrics.passwords import make_hash
from backstay.metrics.routes import (
    BROKEN,
    JSON,
    NO_SUCH_PATH,
    OPEN_METRICS,
    REFUSALS,
    ROUTES,
    UNREADABLE,
    WHO_ASKS,
    WRONG_HOST,
    WRONG_METHOD,
    Answer,
)

PATIENCE = 30.0
WELL, ILL, NOBODY = "well", "paper/3", "nobody"


class Source:
    def __init__(self, *names: str) -> None:
        self.meters = [ConnectionMeter(name=name) for name in names]
        for meter in self.meters:
            meter.set_wanted(0.0, expected=True, up=meter.name == WELL)

    def connections(self):
        return self.meters

    def actors(self):
        return []

    def now(self):
        return 1.0


@contextmanager
def serving(*names: str, users: Mapping[str, str] | None = None, **views: object) -> Iterator[tuple[str, int]]:
    known = {"connection": lambda name: {"connection": {}} if name in names else None, "status": dict}
    server = HttpServer("127.0.0.1:0", create_app(Views(source=Source(*names), **{**known, **views}), users=users))
    server.start()
    try:
        yield server.address
    finally:
        assert server.stop()


def ask(address: tuple[str, int], path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["content-type"]


def check_answer(path: str, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the daemon be so that this row has to give this answer, and ask."""
    names, views = [WELL], {}
    if (path == "/readyz" and answer.status == 503) or path.startswith("/readyz/"):
        names.append(ILL)
    elif answer.status == 503 and path.endswith("/events"):
        monkeypatch.setattr(exporter, "MAX_STREAMS", 0)
    elif answer.status == 503:
        views["live"] = lambda: [Check("supervisor", ok=False)]
    name = {200: WELL, 503: ILL, 404: NOBODY}[answer.status]
    headers = {"Accept": OPEN_METRICS} if answer.content == OPEN_METRICS else {}
    with serving(*names, **views) as address:
        status, content = ask(address, path.replace("{name:path}", name), **headers)
    assert (status, content.startswith(answer.content)) == (answer.status, True), content


@pytest.mark.parametrize(("path", "answer"), [(row.path, answer) for row in ROUTES for answer in row.answers])
def test_each_route_gives_each_of_its_answers(path, answer, monkeypatch):
    check_answer(path, answer, monkeypatch)


@pytest.mark.parametrize(
    ("path", "answer"), [("/livez", Answer(200, JSON, "")), ("/metrics", Answer(404, "text/plain", ""))]
)
def test_an_answer_that_is_not_given_is_found(path, answer, monkeypatch):
    with pytest.raises(AssertionError):
        check_answer(path, answer, monkeypatch)


def garbage(address: tuple[str, int]) -> int:
    with socket.create_connection(address, timeout=PATIENCE) as one:
        one.sendall(b"nonsense\r\n\r\n")
        return int(one.recv(65536).split()[1])


def test_each_refusal_is_met():
    def broken() -> None:
        raise KeyError("no root")

    with serving(WELL, tree=broken) as address:
        found = {
            UNREADABLE: garbage(address),
            NO_SUCH_PATH: ask(address, "/nowhere")[0],
            WRONG_METHOD: ask(address, "/livez", "POST")[0],
            WRONG_HOST: ask(address, "/livez", Host="elsewhere.example.org")[0],
            BROKEN: ask(address, "/api/v1/tree")[0],
        }
    with serving(users={"prometheus": make_hash("opensesame")}) as address:
        found[WHO_ASKS] = ask(address, "/metrics")[0]
    assert found == {one: one.status for one in REFUSALS}
