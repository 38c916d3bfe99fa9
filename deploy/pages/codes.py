"""The page about error codes: what backstay says, why connections are lost, what TWS says. From the code's tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from backstay.protocol.codes import CODES, CodeGroup
from backstay.session.causes import CAUSES, Cause
from backstay.session.notices import SPEAKER, Notice
from backstay.session.reasons import Reason

HEAD = """# Error codes

Written by `python -m deploy.pages.generate` from [`notices.py`](../session/notices.py),
[`reasons.py`](../session/reasons.py), [`causes.py`](../session/causes.py) and [`codes.py`](../protocol/codes.py); a
test compares.
In sentences: [what happens at night](night.md).

## What backstay says

To a client of a relay backstay speaks with error messages, as TWS does. Each text begins with `backstay:`, so that
everybody can tell who speaks; what begins otherwise is TWS's own. A code of 2100 to 2169 is a warning: it ends nothing,
and no client takes the order for cancelled.

| code | text | what to do |
|---|---|---|"""

REASONS = """
What stands there for `...` is a client id, the words with which an operator ended a connection, the cause of its loss
(below), or one of these reasons:
"""

ADVICE: Mapping[Notice, str] = {
    Notice.GATEWAY_LOST: "Nothing: keep the socket. Place no orders until 1102.",
    Notice.GATEWAY_PAUSED: "Nothing: keep the socket. An operator resumes it; then comes 1102.",
    Notice.GATEWAY_BACK: "Nothing: streams go on under the same ids.",
    Notice.NOT_SENT: "Ask again later; it never left.",
    Notice.ORDER_NOT_SENT: "Place it again once it makes sense; TWS never saw it.",
    Notice.CHANGE_NOT_SENT: "Change it again after 1102.",
    Notice.CANCEL_NOT_SENT: "Cancel it again, or look at the order.",
    Notice.CANCEL_IN_DOUBT: "Look at the order's status; cancelling again does no harm.",
    Notice.DEPTH_RESET: "Empty the book, as at TWS's own 317.",
    Notice.GLOBAL_CANCEL_IN_DOUBT: "Look at the open orders, and decide.",
    Notice.ORDER_IN_DOUBT: "Do not place it again. Wait: its status, its fills or a 201 follow.",
    Notice.HALF_ANSWER: "Ask again.",
    Notice.NO_ANSWER: "Ask again if it still matters.",
    Notice.PREVIEW_LOST: "Ask again; a preview is no order.",
    Notice.ORDER_UNKNOWN: "Place it again if it is still wanted; it is certain that TWS does not have it.",
    Notice.ORDER_OVER: "Look at the executions; a status `Inactive` follows, with what is known to be filled.",
    Notice.READ_ONLY: "Use another relay, or `read_only = false`.",
    Notice.ID_IN_USE: "Connect with another client id, or end the other client.",
    Notice.ID_NOT_ALLOWED: "Use an id of the relay's `client_ids`, or allow it.",
    Notice.TOO_MANY: "Raise `max_clients`, or end a client.",
    Notice.START_FIRST: "A fault of the client's library: startApi comes first.",
    Notice.BAD_CLIENT: "A fault of the client's library, or not a TWS client at all.",
}

MEANWHILE: Mapping[CodeGroup, tuple[str, str]] = {
    CodeGroup.CONNECTION_LOST: (
        "Connection lost",
        """Of these 1100, 1300, 2110 and 10197 come from TWS; most others are what client libraries say of a broken
socket, and some of them backstay says of an upstream one. At 1100 it waits for 1101 or 1102 on the same socket; at 1300
it goes to the new port.""",
    ),
    CodeGroup.RESTORED_DATA_LOST: (
        "Back, data lost",
        "What was lost is asked for again: all streams at 1101, else the one that is named.",
    ),
    CodeGroup.RESTORED_DATA_KEPT: (
        "Back, data kept",
        "Orders are reconciled; only streams that stay silent are asked for again.",
    ),
    CodeGroup.FARM_STATUS: (
        "Data farms",
        "Each farm has a state of its own. When one is back, only its streams that stay silent are asked for again.",
    ),
    CodeGroup.PACING: (
        "Too fast",
        "The rate is halved for a minute, and what was refused on account of the pace is asked for again.",
    ),
    CodeGroup.REJECTED: ("Refused", "Passed on: TWS has answered, and the request is over."),
    CodeGroup.INFORMATIONAL: ("Notices", "Passed on; they end nothing."),
    CodeGroup.CLIENT_ID: (
        "Client id in use",
        """TWS may hold an id for a while after a break: it is tried again after 5 s and more. After
`lifecycle.client_id_attempts` refusals in a row the connection is parked, and tried once a minute.""",
    ),
    CodeGroup.LOCAL_SEND: ("Could not be sent", "From a client's own library; it never reached backstay."),
    CodeGroup.FATAL: (
        "Versions that do not fit",
        "Passed on. Where backstay itself finds no version that fits, the connection is parked: a person has to look.",
    ),
}


def page() -> str:
    """The page as Markdown."""
    return "\n".join((*_said(), *_reasons(), *_causes(), *_codes(), ""))


def _said() -> Iterator[str]:
    yield HEAD
    for notice in Notice:
        yield f"| {notice.value.code} | `{SPEAKER} {with_dots(notice.value.text)}` | {ADVICE[notice]} |"


def with_dots(text: str) -> str:
    """A text, and dots where something is put in."""
    return re.sub(r"\{[^}]*\}", "...", text)


def _reasons() -> Iterator[str]:
    yield REASONS
    yield from (f"- `{with_dots(reason)}`" for reason in Reason)


def _causes() -> Iterator[str]:
    yield "\n## Why a connection was lost\n"
    yield (
        "The cause stands in logs, events and `backstay explain`; the code is in the text of the 1100 clients get.\n"
        "The delay is the least one before the next dial; the backoff may wait longer.\n"
    )
    yield "| cause | code | meaning | waits at least |\n|---|---|---|---|"
    for cause in Cause:
        row = CAUSES[cause]
        after = f" from the {row.floor.after}th in a row" if row.floor.after > 1 else ""
        floor = f"{row.floor.seconds:g} s{after}" if row.floor.seconds else "-"
        yield f"| `{cause.value}` | {row.tws_code} | {row.sentence} | {floor} |"


def _codes() -> Iterator[str]:
    yield "\n## What TWS says, and what backstay does\n"
    yield "In our words. A code that is not here is passed on; one of 2100 to 2169 is taken for a warning."
    for group, (title, meanwhile) in MEANWHILE.items():
        found = [code for code in CODES.values() if code.group is group]
        if found:
            yield f"\n### {title}\n\n{meanwhile}\n\n| code | about | meaning |\n|---|---|---|"
            yield from (f"| {one.code} | {one.about.value} | {one.meaning} |" for one in found)
