"""What backstay itself says to a client: one row a notice.

Codes are chosen by what applications do on them. 504 on a request id ends the request in every client; 201 ends an
order (and is used only where the order is known not to have left us); the warning band 2100-2169 ends nothing, which
is what an order in doubt needs, or one whose change or cancel did not leave: any other code makes clients mark it as
cancelled while it may be live.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

NO_ID = -1
SPEAKER = "backstay:"


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A code and the text that goes with it; the text may have one `{detail}`."""

    code: int
    text: str


@unique
class Notice(Enum):
    """Everything that backstay may say on its own account."""

    GATEWAY_LOST = NoticeRow(1100, "connection to the gateway lost ({detail}); it is being restored")
    GATEWAY_PAUSED = NoticeRow(1100, "connection to the gateway paused ({detail}); it comes back when it is resumed")
    GATEWAY_BACK = NoticeRow(1102, "connection to the gateway restored; settings and streams were put back")
    NOT_SENT = NoticeRow(504, "not sent: {detail}")
    ORDER_NOT_SENT = NoticeRow(201, "order not sent: {detail}")
    CHANGE_NOT_SENT = NoticeRow(2164, "change of the order not sent, the order stands as it was: {detail}")
    CANCEL_NOT_SENT = NoticeRow(2166, "cancel not sent, the order stands as it was: {detail}")
    CANCEL_IN_DOUBT = NoticeRow(2163, "cancel in doubt: it was sent once, and nothing was heard of it: {detail}")
    DEPTH_RESET = NoticeRow(317, "market depth is asked for again; empty the book before using new rows")
    GLOBAL_CANCEL_IN_DOUBT = NoticeRow(
        2167, "it is not known whether the global cancel arrived; it is not sent again by itself ({detail})"
    )
    ORDER_IN_DOUBT = NoticeRow(2165, "order in doubt: it was sent, and what became of it is not known ({detail})")
    HALF_ANSWER = NoticeRow(504, "the connection broke before the answer was complete; ask again")
    NO_ANSWER = NoticeRow(504, "sent more than once, and the gateway never answered; ask again if it still matters")
    PREVIEW_LOST = NoticeRow(504, "the connection broke before the preview of this order was answered; ask again")
    ORDER_UNKNOWN = NoticeRow(201, "TWS never had this order; place it again if it is still wanted")
    ORDER_OVER = NoticeRow(2162, "this order works no longer; how it ended TWS does not say, look at its executions")
    READ_ONLY = NoticeRow(321, "this relay is read-only: not sent")
    ID_IN_USE = NoticeRow(326, "client id {detail} is already in use on this gateway; connect with another one")
    ID_NOT_ALLOWED = NoticeRow(326, "client id {detail} is not among those this relay allows")
    TOO_MANY = NoticeRow(507, "this relay has as many clients as it may; closing")
    START_FIRST = NoticeRow(504, "the first message after the handshake must be startApi; closing")
    BAD_CLIENT = NoticeRow(507, "what you sent cannot be read: {detail}; closing")

    def text(self, detail: str = "") -> str:
        """The sentence, beginning with the name of who speaks."""
        return f"{SPEAKER} {self.value.text.format(detail=detail)}"
