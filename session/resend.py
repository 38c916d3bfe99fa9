"""Whether an order in doubt may be sent again: under its own id, if TWS is proved not to have it, and it is wanted.

The rows are asked in order and the first that applies is the answer. An owner who wants to be asked is asked when
nothing else stands against it, and all of it is looked at once more behind the answer: see `verdicts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, unique

from backstay.session.evidence import Verdict, VerdictKind
from backstay.session.intents import Intent, IntentState, Moment

OWNER_SECONDS = 10.0
"""How long an owner who is asked may take: a program has answered by then, and the price is no older for it."""


@dataclass(frozen=True, slots=True)
class ResendRule:
    """What the operator allows. Nothing, unless told otherwise."""

    enabled: bool = False
    ttl_seconds: float = 60.0  # an order is a decision about prices of its time
    attempts: int = 3  # placed so often and never arrived: something else is wrong
    asks_owner: bool = False  # whether there is somebody who may say no


@dataclass(frozen=True, slots=True)
class ResendCase:
    """How things stand when the question is asked. `version` is the server version that frames are written in now."""

    verdict: Verdict
    epoch: int
    link_up: bool
    version: int
    at: Moment
    vetoed: bool = False
    in_group: bool = False  # other orders depend on it, or it on them
    highest_seen: int = 0  # order id of this client that TWS has shown to know


@unique
class ResendRefusal(Enum):
    """Why an order is not sent again. The value is for the client."""

    NOT_ALLOWED = "orders are not sent again unless the configuration says so"
    NOT_IN_DOUBT = "the order is not in doubt"
    NOT_PROVED = "it is not proved that TWS does not have it"
    OLD_PROOF = "what was proved before it was last sent, or on an earlier socket, has to be proved again"
    LINK_DOWN = "the gateway has no link to IB"
    KNOWN = "TWS has had it, or its id was used more than once"
    OF_ANOTHER_LIFE = "an earlier life of backstay has sent it, and may have told its client what became of it"
    PASSED = "TWS has seen this id or a later one of this client, and takes none below"
    IN_GROUP = "it belongs with other orders, and alone it would be another decision"
    CANCEL_WANTED = "the client has asked to cancel it"
    OTHER_VERSION = "it was written for another server version"
    TOO_OFTEN = "it was sent too often"
    TOO_OLD = "it is too old"
    VETOED = "it was vetoed"


Test = Callable[[Intent, ResendCase, ResendRule], bool]


def _is_too_old(intent: Intent, case: ResendCase, rule: ResendRule) -> bool:
    age = case.at.wall - intent.sent_wall
    return not 0.0 <= age <= rule.ttl_seconds  # below 0 the clock was set, and the age is not known


RESEND_ROWS: tuple[tuple[ResendRefusal, Test], ...] = (
    (ResendRefusal.NOT_ALLOWED, lambda _i, _c, rule: not rule.enabled),
    (ResendRefusal.NOT_IN_DOUBT, lambda intent, _c, _r: intent.state is not IntentState.IN_DOUBT),
    (
        ResendRefusal.NOT_PROVED,
        lambda intent, case, _r: case.verdict.kind is not VerdictKind.UNKNOWN or case.verdict.key != intent.key,
    ),
    (
        ResendRefusal.OLD_PROOF,
        lambda intent, case, _r: (case.verdict.epoch, case.verdict.attempt) != (case.epoch, intent.attempt),
    ),
    (ResendRefusal.LINK_DOWN, lambda _i, case, _r: not case.link_up),
    (
        ResendRefusal.KNOWN,
        lambda intent, _c, _r: intent.was_acknowledged or intent.changes > 0 or intent.life > 1,
    ),
    (ResendRefusal.OF_ANOTHER_LIFE, lambda intent, _c, _r: not intent.written_at),
    (ResendRefusal.PASSED, lambda intent, case, _r: intent.key.order_id <= case.highest_seen),
    (ResendRefusal.IN_GROUP, lambda _i, case, _r: case.in_group),
    (ResendRefusal.CANCEL_WANTED, lambda intent, _c, _r: intent.cancel_wanted),
    (ResendRefusal.OTHER_VERSION, lambda intent, case, _r: intent.version != case.version),
    (ResendRefusal.TOO_OFTEN, lambda intent, _c, rule: intent.attempt >= rule.attempts),
    (ResendRefusal.TOO_OLD, _is_too_old),
    (ResendRefusal.VETOED, lambda _i, case, _r: case.vetoed),
)


def resend_refusal(intent: Intent, case: ResendCase, rule: ResendRule) -> ResendRefusal | None:
    """Why this order may not be sent again; None if it may, with the same id and the payload as it is."""
    return next((refusal for refusal, applies in RESEND_ROWS if applies(intent, case, rule)), None)
