"""A function that takes what arrives on a connection may raise, exit or hang: it harms itself, and nobody else."""

from __future__ import annotations

import threading

import pytest

from backstay.actors.dispatcher import CallbackSink
from backstay.actors.traffic import Credit

PATIENCE = 15.0


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict]] = []

    def __call__(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, MemoryError], ids=lambda e: e.__name__)
def test_a_function_that_fails_loses_that_piece_and_is_told_of_once(error):
    told, credit, got = Told(), Credit(), []

    def take(data: bytes) -> None:
        if data == b"bad":
            raise error("on purpose")
        got.append(data)

    sink = CallbackSink(take, credit, tell=told)
    for data in (b"one", b"bad", b"two", b"bad", b"three"):
        credit.owe(len(data))
        sink.put(data)
    assert got == [b"one", b"two", b"three"]
    assert (sink.dropped, credit.used_bytes) == (2, 0)
    assert told.names() == ["sink_failed"]
    assert "on purpose" in told.events[0][1]["traceback"]


def test_a_function_that_hangs_gets_nothing_more_until_it_returns_and_gives_no_credit_twice():
    told, credit, got = Told(), Credit(), []
    reached, gate = threading.Event(), threading.Event()

    def take(data: bytes) -> None:
        got.append(data)
        if data == b"hang":
            reached.set()
            gate.wait(PATIENCE)

    sink = CallbackSink(take, credit, tell=told)
    credit.owe(4)
    hanging = threading.Thread(target=sink.put, args=(b"hang",))
    hanging.start()
    assert reached.wait(PATIENCE)
    sink.recount()  # a new life of the dispatcher
    credit.owe(4)
    sink.put(b"lost")
    assert (got, sink.dropped, credit.used_bytes) == ([b"hang"], 1, 0)
    assert told.names() == ["sink_hangs"]
    gate.set()
    hanging.join(PATIENCE)
    assert credit.used_bytes == 0
    credit.owe(5)
    sink.put(b"again")
    assert (got, credit.used_bytes) == ([b"hang", b"again"], 0)
