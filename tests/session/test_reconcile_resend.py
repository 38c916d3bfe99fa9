"""When an order in doubt may be sent again: every condition alone keeps it back."""

from dataclasses import replace

import pytest

from backstay.protocol.order_fields import PlacedOrder
from backstay.session.evidence import Verdict, VerdictKind
from backstay.session.intents import Intent, IntentKey, IntentState, Moment
from backstay.session.resend import RESEND_ROWS, ResendCase, ResendRefusal, ResendRule, resend_refusal

KEY = IntentKey("paper", 7, 5)
INTENT = Intent(
    key=KEY,
    order=PlacedOrder(order_id=5),
    payload=b"3\x005\x00",
    version=200,
    state=IntentState.IN_DOUBT,
    sent_wall=1_000.0,
    written_at=10.0,
)
RULE = ResendRule(enabled=True)
CASE = ResendCase(
    verdict=Verdict(KEY, VerdictKind.UNKNOWN, 2), epoch=2, link_up=True, version=200, at=Moment(50.0, 1_050.0)
)


def test_an_order_that_tws_is_proved_not_to_have_may_be_sent_again():
    assert resend_refusal(INTENT, CASE, RULE) is None


def test_by_default_nothing_is_sent_again():
    assert resend_refusal(INTENT, CASE, ResendRule()) is ResendRefusal.NOT_ALLOWED


OTHERS = [kind for kind in VerdictKind if kind is not VerdictKind.UNKNOWN]

ROWS = [
    *[({"state": state}, {}, ResendRefusal.NOT_IN_DOUBT) for state in IntentState if state is not IntentState.IN_DOUBT],
    *[({}, {"verdict": Verdict(KEY, kind, 2)}, ResendRefusal.NOT_PROVED) for kind in OTHERS],
    ({}, {"verdict": Verdict(replace(KEY, order_id=6), VerdictKind.UNKNOWN, 2)}, ResendRefusal.NOT_PROVED),
    ({}, {"verdict": Verdict(KEY, VerdictKind.UNKNOWN, 1)}, ResendRefusal.OLD_PROOF),
    ({"attempt": 2}, {}, ResendRefusal.OLD_PROOF),
    ({}, {"link_up": False}, ResendRefusal.LINK_DOWN),
    ({"perm_id": 77}, {}, ResendRefusal.KNOWN),
    ({"changes": 1}, {}, ResendRefusal.KNOWN),
    ({"life": 2}, {}, ResendRefusal.KNOWN),
    ({"written_at": 0.0}, {}, ResendRefusal.OF_ANOTHER_LIFE),
    ({}, {"highest_seen": KEY.order_id}, ResendRefusal.PASSED),
    ({}, {"highest_seen": KEY.order_id + 1}, ResendRefusal.PASSED),
    ({}, {"in_group": True}, ResendRefusal.IN_GROUP),
    ({"cancel_wanted": True}, {}, ResendRefusal.CANCEL_WANTED),
    ({}, {"version": 199}, ResendRefusal.OTHER_VERSION),
    ({"attempt": 3}, {"verdict": Verdict(KEY, VerdictKind.UNKNOWN, 2, 3)}, ResendRefusal.TOO_OFTEN),
    ({}, {"at": Moment(50.0, 1_060.1)}, ResendRefusal.TOO_OLD),
    ({}, {"at": Moment(50.0, 999.0)}, ResendRefusal.TOO_OLD),
    ({}, {"vetoed": True}, ResendRefusal.VETOED),
]


@pytest.mark.parametrize(("intent", "case", "refusal"), ROWS, ids=str)
def test_each_condition_alone_keeps_an_order_back(intent, case, refusal):
    assert resend_refusal(replace(INTENT, **intent), replace(CASE, **case), RULE) is refusal


def test_every_refusal_has_its_row_and_every_row_its_test():
    assert [refusal for refusal, _ in RESEND_ROWS] == list(ResendRefusal)
    assert {refusal for *_, refusal in ROWS} | {ResendRefusal.NOT_ALLOWED} == set(ResendRefusal)
