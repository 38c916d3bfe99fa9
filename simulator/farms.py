"""Data farms: IB's servers behind TWS, and the notices about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class FarmKind(Enum):
    """What a farm delivers."""

    MARKET = "market data"
    HISTORY = "HMDS data"
    DEFINITION = "Sec-def data"


@dataclass(slots=True)
class Farm:
    """One farm and whether it delivers."""

    name: str
    kind: FarmKind
    up: bool = True


@dataclass(frozen=True, slots=True)
class FarmNotice:
    """The codes for a farm's states and the word TWS uses for it."""

    up: int
    broken: int
    words: str

    def text(self, name: str, *, up: bool) -> str:
        """Return the notice's text; the farm's name is behind the colon."""
        return f"{self.words} farm connection is {'OK' if up else 'broken'}:{name}"


FARM_NOTICES: Mapping[FarmKind, FarmNotice] = {
    FarmKind.MARKET: FarmNotice(2104, 2103, "Market data"),
    FarmKind.HISTORY: FarmNotice(2106, 2105, "HMDS data"),
    FarmKind.DEFINITION: FarmNotice(2158, 2157, "Sec-def data"),
}

HISTORY_FARM = "ushmds"
DEFINITION_FARM = "secdefil"

FARMS = (
    ("usfarm", FarmKind.MARKET),
    ("usfuture", FarmKind.MARKET),
    ("cashfarm", FarmKind.MARKET),
    ("usopt", FarmKind.MARKET),
    (HISTORY_FARM, FarmKind.HISTORY),
    (DEFINITION_FARM, FarmKind.DEFINITION),
)
"""The farms a session hears about at its start."""


def farm_kind(name: str) -> FarmKind:
    """Return what a farm of this name delivers; IB's names tell."""
    for known, kind in FARMS:
        if known == name:
            return kind
    if "hmds" in name:
        return FarmKind.HISTORY
    return FarmKind.DEFINITION if "secdef" in name else FarmKind.MARKET
