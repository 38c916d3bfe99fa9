"""The world of the scenarios: that of the schedules, with nothing left to chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from driver import ENDPOINTS, World
from driver_book import GATEWAY
from driver_client import Asked
from driver_gateway import Upstream

from backstay.session.settings import Settings
from backstay.session.vocabulary import Dial

T = TypeVar("T")

SAFELY = 120.0
"""Simulated seconds in which anything that is promised has happened."""


class Calm:
    """Chance that is none: the first of a choice, the middle of a range, and neither this nor that in a draw."""

    def random(self) -> float:
        return 0.7

    def choice(self, options: Sequence[T]) -> T:
        return options[0]

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2

    def randrange(self, _stop: int) -> int:
        return 0

    def randint(self, _low: int, high: int) -> int:
        return high


class QuietWorld(World):
    """Dials succeed and gateways behave, unless a line of the scenario says otherwise."""

    def __init__(self, settings: Settings, version: int) -> None:
        super().__init__(0, settings=settings, version=version)
        self.chance: Any = Calm()
        self.next_manners: list[str] = []
        self.dial_times: list[float] = []
        self.dialled: list[tuple[str, int]] = []
        self.owner = ("", 1.0)

    def owner_says(self) -> tuple[str, float]:
        return self.owner

    def _begin_dial(self, dial: Dial) -> None:
        self.dial_times.append(self.now)
        self.dialled.append((dial.host, dial.port))
        super()._begin_dial(dial)

    def _dialled(self, dial: Dial) -> None:
        super()._dialled(dial)
        assert self.socket is not None
        self.socket.chance = self.chance
        if self.next_manners:
            self.socket.manner = self.next_manners.pop(0)


@dataclass
class Stage:
    """What a scenario plays on. Its settings can be changed until the client comes."""

    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    version: int = 200
    made: QuietWorld | None = None
    asked: dict[int, Asked] = field(default_factory=dict[int, Asked])
    orders: dict[int, int] = field(default_factory=dict[int, int])
    owner: tuple[str, float] = ("", 1.0)

    @property
    def world(self) -> QuietWorld:
        if self.made is None:
            self.made = QuietWorld(
                Settings(**{"endpoints": ENDPOINTS, "gateway": GATEWAY, **self.settings}), self.version
            )
            self.made.owner = self.owner
        return self.made

    @property
    def gateway(self) -> Upstream:
        """The gateway's end of the present socket."""
        assert self.world.socket is not None, "there is no socket to the gateway"
        return self.world.socket

    def ask(self, number: int, name: int, *, flag: bool = False) -> None:
        """The client asks; the scenario calls it by `name`, whatever its request id is."""
        asked = self.world.client.ask(number, flag=flag)
        self.asked[name] = asked
        self.world.send(asked.payload)
        self.settle()

    def settle(self) -> None:
        """Let what is under way arrive."""
        self.world.run(0.2)

    def streams(self) -> set[int]:
        """The scenario's names of the streams that the gateway has on its present socket."""
        keys = set(self.gateway.streams)
        return {name for name, asked in self.asked.items() if (asked.number, asked.key) in keys}

    def order_id(self, name: int) -> int:
        return self.orders[name]
