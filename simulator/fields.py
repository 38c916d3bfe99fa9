"""Reading the fields of a text request one after the other."""

import math
import re
from typing import Final

UNSET_INTEGER: Final = "2147483647"
UNSET_DOUBLE: Final = 1.7976931348623157e308

INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
"""A whole number of at most 64 bits; int() itself takes far more than a TWS would."""


class Unreadable(Exception):  # noqa: N818  (an answer, not a failure)
    """A request whose fields are too few or of the wrong type; answered with error 320."""


class Refused(Exception):  # noqa: N818  (an answer, not a failure)
    """A request TWS answers with an error; raised by handlers, sent by the session."""

    def __init__(self, request_id: int, code: int, reason: str) -> None:
        super().__init__(reason)
        self.request_id = request_id
        self.code = code
        self.reason = reason


class Fields:
    """The fields behind the message id; each read takes the next one and raises ``Unreadable`` when it can not."""

    __slots__ = ("_at", "_values")

    def __init__(self, payload: bytes) -> None:
        self._values = payload.decode("utf-8", "replace").split("\0")
        self._values.pop()
        self._at = 0

    @property
    def left(self) -> int:
        """How many fields have not been read."""
        return len(self._values) - self._at

    def peek(self, index: int) -> str | None:
        """A field counted from the next one on (or from the end, below 0), not taken; None when there is none."""
        at = self._at + index if index >= 0 else len(self._values) + index
        return self._values[at] if self._at <= at < len(self._values) else None

    def text(self) -> str:
        """The next field as it is."""
        if self._at >= len(self._values):
            raise Unreadable("too few fields")
        value = self._values[self._at]
        self._at += 1
        return value

    def integer(self) -> int:
        """The next field as a whole number; empty or unset is 0."""
        return read_integer(self.text())

    def number(self) -> float | None:
        """The next field as a number; empty or unset is None."""
        return read_number(self.text())

    def flag(self) -> bool:
        """The next field as a boolean."""
        return self.integer() != 0

    def skip(self, count: int = 1) -> None:
        """Pass over fields that decide nothing."""
        for _ in range(count):
            self.text()


def read_integer(value: str) -> int:
    """Return a whole number, 0 for empty or unset; ``Unreadable`` for anything else."""
    if value in ("", UNSET_INTEGER):
        return 0
    if not INTEGER.fullmatch(value):
        raise Unreadable(f"not a whole number: {value!r}")
    return int(value)


def read_number(value: str) -> float | None:
    """Return a price or quantity as a number, None for unset; ``Unreadable`` for anything else."""
    if not value:
        return None
    try:
        number = float(value)
    except ValueError as error:
        raise Unreadable(f"not a number: {value!r}") from error
    if not math.isfinite(number):
        raise Unreadable(f"not a number: {value!r}")
    return None if number == UNSET_DOUBLE else number


def show(number: float) -> str:
    """Return a number as TWS writes it: no exponent, no trailing zeros."""
    return f"{number:.8f}".rstrip("0").rstrip(".") if number % 1 else str(int(number))
