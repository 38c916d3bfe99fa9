"""What is over is not kept until it would have been due."""

from __future__ import annotations

from speech import ask

from backstay.protocol.requests import REQUESTS
from backstay.session.firsts import HEAP_SLACK, Firsts
from backstay.session.ledger import Ledger
from backstay.session.request_life import Happening
from backstay.session.settings import VerifySettings

CONTRACT_DETAILS = REQUESTS[9]


def test_requests_that_are_over_leave_and_those_that_wait_stay():
    ledger, firsts = Ledger(), Firsts(VerifySettings())
    waiting = [ledger.ask(CONTRACT_DETAILS, payload=ask(200, 9, key), version=200, now=0.0) for key in range(10)]
    for entry in waiting:
        firsts.sent(entry, 0.0)
    for key in range(100, 2_000):
        entry = ledger.ask(CONTRACT_DETAILS, payload=ask(200, 9, key), version=200, now=0.0)
        firsts.sent(entry, 0.0)
        if key % 2:
            firsts.heard(entry, 0.0, over=True)
        else:
            ledger.close(entry, Happening.TAKEN_BACK)
    assert len(firsts._heap) <= 2 * len(waiting) + 2 * HEAP_SLACK
    assert firsts.take_due(VerifySettings().first_seconds) == waiting
