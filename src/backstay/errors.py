"""Errors by blame: who has to do something about it.

    BackstayError
    ├ MisuseError            the caller: fix the program or the configuration
    │ └ ConfigError
    │   └ NoConfigError
    ├ RemoteError            TWS: it answered, and said no or said nonsense
    │ └ OrderOverError       the order has ended, otherwise than was waited for, or before it could be changed
    ├ ConnectionLostError    the network: nothing to mend, it is being brought back
    │ └ NotReadyError        refused here because the connection is away; it never left
    ├ RequestInDoubtError    nobody can tell: it was sent, and whether it arrived is not known yet
    ├ NoAnswerError          the caller's deadline passed; nobody waits for the answer any more
    └ StartError             the machine: a port, a file or a right is missing

The rooms raise errors of their own (`ListenError` of `backstay.metrics.listening` is an OSError); where one ends a
start, `StartError` is raised from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class BackstayError(Exception):
    """Base of all errors raised by the public API."""


class MisuseError(BackstayError):
    """The caller asked for something that cannot be."""


class RemoteError(BackstayError):
    """TWS refused or broke the protocol. `code` is its error code, or the one a TWS client would see."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} (code {code})")
        self.code = code
        self.text = text


class OrderOverError(RemoteError):
    """The order works no longer. `status`: how it ended. `code`: 202 cancelled, 104 filled, 2162 nobody knows."""

    def __init__(self, order_id: int, status: str, *, code: int, why: str = "") -> None:
        reason = f": {why}" if why else ""
        super().__init__(code, f"order {order_id} is over, {status or 'and TWS does not say how it ended'}{reason}")
        self.order_id = order_id
        self.status = status


class ConnectionLostError(BackstayError):
    """The connection went away. `code` is the one a TWS user knows (507, 502, 1300, -1 ...)."""

    def __init__(self, text: str, *, code: int = -1) -> None:
        super().__init__(text)
        self.code = code


class NotReadyError(ConnectionLostError):
    """The connection is not there, and the request was not sent. `code` is 504 unless a closer one is known."""

    def __init__(self, text: str, *, code: int = 504) -> None:
        super().__init__(text, code=code)


class RequestInDoubtError(BackstayError):
    """The request was sent; whether TWS has it is not known. Never send it again blindly."""

    def __init__(self, request_id: int, text: str, *, code: int = -1) -> None:
        super().__init__(text)
        self.request_id = request_id
        self.code = code


class NoAnswerError(BackstayError, TimeoutError):
    """There was no answer within the time the caller gave; the request is given up. `code` is 504, as TWS's."""

    code = 504


class StartError(BackstayError):
    """The manager could not start; the cause is chained."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration: where (file or environment variable), which key, why."""

    origin: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.key}: {self.reason}" if self.key else f"{self.origin}: {self.reason}"


class ConfigError(MisuseError):
    """A configuration that cannot be used, with all its problems at once; one line each when printed."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class NoConfigError(ConfigError):
    """The file that was named is not there, or may not be read."""
