"""The words about orders that a session hears and says: as in `vocabulary`, events are past, effects imperative."""

from __future__ import annotations

from dataclasses import dataclass

from backstay.session.intents import JournalPage


@dataclass(frozen=True, slots=True)
class WrittenDown:
    """The page of this token is on disk."""

    token: int


@dataclass(frozen=True, slots=True)
class NotWrittenDown:
    """The page of this token is not on disk, or what was asked for could not be read."""

    token: int
    trouble: str


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What the journal has of this client."""

    token: int
    page: JournalPage


@dataclass(frozen=True, slots=True)
class WriteDown:
    """Have the journal keep this page; its answer is `WrittenDown` or `NotWrittenDown`."""

    token: int
    page: JournalPage


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the journal what it knows of the orders on this gateway; its answer is `LookedUp` or `NotWrittenDown`."""

    token: int
    gateway: str


@dataclass(frozen=True, slots=True)
class Identify:
    """Whose session this is, and the lowest order id it may use: a nextValidId below it is not passed on."""

    epoch: int
    client_id: int
    floor: int


@dataclass(frozen=True, slots=True)
class Conceal:
    """We are about to ask something of our own: the answer that `end` concludes is not for the client.

    `key`: the request id of ours, where the question has one. The client's own open orders are passed on.
    """

    epoch: int
    end: int
    key: int | None
