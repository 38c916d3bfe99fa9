"""What an application in this process is told about its connection, in order with the frames it is given.

A client behind a socket is told the same with frames (1100, 1102); see `notices`.
"""

from __future__ import annotations

from dataclasses import dataclass

from backstay.protocol.handshake import Hello
from backstay.session.causes import Cause


@dataclass(frozen=True, slots=True)
class TellHello:
    """The gateway of this epoch has answered the greeting; startApi may follow."""

    epoch: int
    hello: Hello


@dataclass(frozen=True, slots=True)
class TellGap:
    """From here on something may be missing. Said of each loss, whether or not the one before has been mended."""

    epoch: int
    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class TellBack:
    """All that was asked for has been put back in this epoch."""

    epoch: int


OwnWord = TellHello | TellGap | TellBack
