"""After we have hung up ourselves nothing of that epoch reaches the client behind the word of it."""

from __future__ import annotations

import threading
from typing import Any

from backstay.actors.charge import Charge, Outside
from backstay.actors.dispatcher import CallbackSink, Dispatcher
from backstay.actors.messages import Arrived
from backstay.actors.traffic import Credit, Traffic
from backstay.metrics.blocks import ConnectionMeter
from backstay.protocol.framing import Chunk, text
from backstay.session.owed import Owed
from backstay.session.sieve_words import Hush, Tune
from backstay.session.vocabulary import Deliver
from backstay.supervisor.backoff import Backoff
from backstay.supervisor.root import Root
from backstay.supervisor.specs import ChildSpec, SupervisorSpec
from backstay.supervisor.supervisor import start_root

HELLO, TICK, WORD = text(176, "20260401 12:00:00 EST"), text(1, 6, 11, 1, 10.5, 100, 0), text("word")


def chunk(data: bytes) -> Chunk:
    return Chunk(data, [4])


def started(credit: Credit, meter: ConnectionMeter, take: Any) -> Root:
    sink = CallbackSink(take, credit)
    unused: Any = None
    charge = Charge(unused, Owed(), Backoff(), Outside(meter), Traffic(), credit)
    spec = ChildSpec("dispatcher", lambda c: Dispatcher.start(c, sink=sink, charge=charge))
    return start_root(SupervisorSpec(children=(spec,)))


def test_frames_of_an_epoch_that_was_hushed_are_dropped_counted_and_their_credit_given_back():
    credit, meter = Credit(), ConnectionMeter(name="x", gateway="g", mode="relay")
    got: list[bytes] = []
    done = threading.Event()
    root = started(credit, meter, lambda data: (got.append(data), done.set() if data == WORD else None))
    credit.owe(len(HELLO) + 2 * len(TICK))
    for message in (
        Tune(1, hold_next_id=False, hold_accounts=False),
        Arrived(1, chunk(HELLO)),
        Arrived(1, chunk(TICK)),
        Hush(1),
        Arrived(1, chunk(TICK)),
        Deliver(WORD),
    ):
        assert root.book.send("dispatcher", message)
    assert done.wait(5)
    assert root.stop(5)
    assert got == [TICK, WORD]
    assert meter.stale_dropped == 1
    assert credit.used_bytes == 0


def test_a_late_hush_of_an_earlier_epoch_does_not_silence_the_present_one():
    credit, meter = Credit(), ConnectionMeter(name="x", gateway="g", mode="relay")
    got: list[bytes] = []
    done = threading.Event()
    root = started(credit, meter, lambda data: (got.append(data), done.set() if data == WORD else None))
    for message in (
        Tune(2, hold_next_id=False, hold_accounts=False),
        Arrived(2, chunk(HELLO)),
        Hush(1),
        Arrived(2, chunk(TICK)),
        Deliver(WORD),
    ):
        assert root.book.send("dispatcher", message)
    assert done.wait(5)
    assert root.stop(5)
    assert got == [TICK, WORD]
