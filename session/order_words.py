"""The words about orders that a session hears and says: as in `vocabulary`, events are past, effects imperative."""

from __future__ import annotations

from dataclasses import dataclass

from backstay.session.intents import Intent, JournalPage


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
class AskOwner:
    """Ask the owner whether this order, which TWS never had, may be sent again; the answer is `OwnerSaid`."""

    epoch: int
    token: int
    intent: Intent


@dataclass(frozen=True, slots=True)
class OwnerSaid:
    """The owner's answer to the question of this token: why the order may not be sent again, or nothing if it may."""

    epoch: int
    token: int
    veto: str = ""
