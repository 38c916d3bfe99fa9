"""What a case of `promtool test rules` is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique

JOB = {"job": "backstay", "instance": "relay:9464"}
KEEPER = JOB | {"connection": "keeper"}


@unique
class Quiet(Enum):
    """Why an alert has to stay silent."""

    MAINTENANCE = "planned maintenance"
    YOUNG = "a young process"
    MISSED = "a missed scrape"
    BELOW = "below the limit"
    OTHER = "another trouble, with an alert of its own"


@dataclass(frozen=True, slots=True)
class Course:
    """The values of one series over time."""

    name: str
    values: str
    labels: Mapping[str, str] = field(default_factory=lambda: KEEPER)

    def __str__(self) -> str:
        inner = ",".join(f'{key}="{value}"' for key, value in self.labels.items())
        return f"{self.name}{{{inner}}}"


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that has to fire. `shown`: its value as its text shows it."""

    labels: Mapping[str, str]
    shown: str = ""
    window: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One course of things. Either it fires, or it is quiet for a reason, and then at each of the times."""

    alert: str
    story: str
    given: tuple[Course, ...]
    at: tuple[str, ...]
    fires: tuple[Firing, ...] = ()
    quiet: Quiet | None = None
    window: str = ""

    @property
    def key(self) -> str:
        """The alert it is about."""
        return f"{self.alert} ({self.window})" if self.window else self.alert

    @property
    def does_fire(self) -> bool:
        """Whether the alert it is about is among those that fire."""
        return any(one.window == self.window for one in self.fires)


def course(name: str, values: str, **labels: str) -> Course:
    """A series of the connection `keeper`."""
    return Course(f"backstay_{name}", values, KEEPER | labels)


def process(name: str, values: str, **labels: str) -> Course:
    """A series of the daemon as a whole."""
    return Course(f"backstay_{name}", values, JOB | labels)


def info(connection: str = "keeper", gateway: str = "paper", values: str = "1x200") -> Course:
    """What joins a connection with its gateway."""
    facts = {"connection": connection, "gateway": gateway, "host": "10.0.0.5", "port": "4002"}
    return Course("backstay_connection_info", values, JOB | facts)


def minutes(last: int) -> tuple[str, ...]:
    """Every minute up to the last: silence is not judged at one moment."""
    return tuple(f"{minute}m" for minute in range(1, last + 1))
