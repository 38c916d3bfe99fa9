"""What the library itself says in a stream, and whose fault an error is."""

from __future__ import annotations

from typing import NamedTuple

from backstay.errors import (
    BackstayError,
    ConnectionLostError,
    MisuseError,
    NotReadyError,
    RemoteError,
    RequestInDoubtError,
)
from backstay.protocol.codes import CodeGroup, code_info, is_warning
from backstay.protocol.events import Error
from backstay.protocol.vocabulary import Request
from backstay.session.notices import SPEAKER, Notice


class Gap(NamedTuple):
    """From here on something may be missing. `began`: seconds since 1970. `code`: the one a TWS programmer knows.

    `cause` is a word of `backstay explain`, such as eof, reset or silent; `ib_link` where TWS has lost IB's servers
    (1100, 2110), `farm NAME` where TWS has lost a farm of the kind that serves the stream (2103, 2105): then the socket
    stays, and what still arrives is delivered.
    """

    epoch: int
    began: float
    cause: str
    code: int


class Resumed(NamedTuple):
    """The gap is over, and what follows is of `epoch`. `began` and `ended`: seconds since 1970."""

    epoch: int
    began: float
    ended: float
    cause: str
    code: int


class Dropped(NamedTuple):
    """So many of the oldest events are missing here, since nobody had taken them."""

    events: int


class ConnectAck(NamedTuple):
    """The gateway has answered the greeting. `time` is as it says it; startApi comes next."""

    epoch: int
    server_version: int
    time: str


class CallbackFailed(NamedTuple):
    """A callback has raised `error`. `request` and `request_id` tell which; `times`: how often it has so far."""

    request: str
    request_id: int | None
    error: BaseException
    times: int


IN_DOUBT = frozenset({Notice.ORDER_IN_DOUBT, Notice.CANCEL_IN_DOUBT, Notice.GLOBAL_CANCEL_IN_DOUBT})
NOT_SENT = frozenset({Notice.NOT_SENT, Notice.ORDER_NOT_SENT, Notice.CHANGE_NOT_SENT, Notice.CANCEL_NOT_SENT})
UNANSWERED = frozenset({Notice.HALF_ANSWER, Notice.NO_ANSWER})
ENDS = NOT_SENT | UNANSWERED | {Notice.READ_ONLY}
"""Words of backstay's own that end what they are about; what ends an order, `Trade` knows."""

_NOTICES = {
    (notice.value.code, f"{SPEAKER} {notice.value.text}".partition("{")[0]): notice
    for notice in Notice
}  # fmt: skip


def notice_of(error: Error) -> Notice | None:
    """Which of backstay's own notices this is; None when TWS speaks."""
    if not error.text.startswith(SPEAKER):
        return None
    said = ((code, start) for code, start in _NOTICES if code == error.code and error.text.startswith(start))
    found = next(said, None)
    return None if found is None else _NOTICES[found]


def blame(error: Error) -> BackstayError:
    """The exception for an error message: ours, theirs, the network's, or in doubt."""
    notice = notice_of(error)
    if notice in IN_DOUBT:
        return RequestInDoubtError(error.request_id, error.text, code=error.code)
    if notice in NOT_SENT or notice is Notice.ORDER_UNKNOWN:
        return NotReadyError(error.text, code=error.code)
    if notice in UNANSWERED:
        return ConnectionLostError(error.text, code=error.code)
    if notice is Notice.READ_ONLY:
        return MisuseError(f"{error.text} (code {error.code})")
    return RemoteError(error.code, error.text)


def concludes(error: Error, request: Request) -> bool:
    """Whether an error on its id ends this read or stream: the same rule by which the ledger forgets it."""
    if notice_of(error) in ENDS or error.code in request.ends_with_code:
        return True
    if error.code in request.warnings or is_warning(error.code):
        return False
    return code_info(error.code).group is CodeGroup.REJECTED
