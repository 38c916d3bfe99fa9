"""Courses of the error budget: hours and days, a reading every two minutes."""

from __future__ import annotations

from deploy.watch.cases_model import KEEPER, Case, Course, Firing, Quiet, course

LABELS = KEEPER


def _spent(expected: str, unavailable: str) -> tuple[Course, ...]:
    return (
        course("connection_expected_seconds_total", expected),
        course("connection_unavailable_seconds_total", unavailable),
    )


def _fires(*windows: tuple[str, str]) -> tuple[Firing, ...]:
    return tuple(Firing(LABELS, shown, window) for window, shown in windows)


def _case(window: str, story: str, given: tuple[Course, ...], *, at: tuple[str, ...], **more: object) -> Case:
    return Case(alert="BackstayAvailabilityBudgetBurn", window=window, story=story, given=given, at=at, **more)  # type: ignore[arg-type]


WANTED = "0+120x2400"

BUDGET_CASES: tuple[Case, ...] = (
    _case(
        "1h",
        "lost half an hour ago, and for good",
        _spent(WANTED, "0x60 0+120x90"),
        at=("2h30m",),
        fires=_fires(("1h", "46.67%")),
    ),
    _case(
        "1h",
        "a process twenty minutes old has lost half of its time",
        _spent("0+120x10", "0+60x10"),
        at=("6m", "12m", "18m"),
        quiet=Quiet.YOUNG,
    ),
    _case(
        "1h",
        "down for an hour of maintenance: nobody wanted it",
        _spent("0+120x60 7200x30 7200+120x60", "0x200"),
        at=("2h", "2h10m", "3h", "3h10m"),
        quiet=Quiet.MAINTENANCE,
    ),
    _case(
        "1h",
        "six minutes lost half an hour ago: the short window has forgotten it",
        _spent(WANTED, "0x60 0+120x3 360x60"),
        at=("2h40m", "2h50m"),
        quiet=Quiet.BELOW,
    ),
    _case(
        "6h",
        "one minute in twenty is lost for hours",
        _spent(WANTED, "0+6x2400"),
        at=("8h",),
        fires=_fires(("6h", "5%")),
    ),
    _case(
        "6h",
        "a process two hours old has lost one minute in twenty",
        _spent("0+120x60", "0+6x60"),
        at=("30m", "1h", "1h30m", "2h"),
        quiet=Quiet.YOUNG,
    ),
    _case(
        "6h",
        "half an hour of maintenance within eight hours",
        _spent("0+120x120 14400x15 14400+120x120", "0x300"),
        at=("4h10m", "4h30m", "5h", "6h", "8h"),
        quiet=Quiet.MAINTENANCE,
    ),
    _case(
        "1d",
        "two per cent are lost for most of a day",
        _spent(WANTED, "0+2.4x2400"),
        at=("20h",),
        fires=_fires(("1d", "2%")),
    ),
    _case(
        "1d",
        "a process ten hours old has lost two per cent",
        _spent("0+120x300", "0+2.4x300"),
        at=("3h", "6h", "9h", "10h"),
        quiet=Quiet.YOUNG,
    ),
    _case(
        "1d",
        "ten minutes lost once a day",
        _spent(WANTED, "0x600 0+120x5 600x1800"),
        at=("21h", "22h", "24h", "30h"),
        quiet=Quiet.BELOW,
    ),
    _case(
        "3d",
        "one per cent is lost day after day",
        _spent(WANTED, "0+1.2x2400"),
        at=("50h",),
        fires=_fires(("3d", "1%")),
    ),
    _case(
        "3d",
        "a process thirty hours old has lost one per cent",
        _spent("0+120x900", "0+1.2x900"),
        at=("6h", "12h", "24h", "30h"),
        quiet=Quiet.YOUNG,
    ),
    _case(
        "3d",
        "a gateway that is away for four minutes every night",
        _spent(WANTED, "0x700 0+120x2 240x700 240+120x2 480x800"),
        at=("24h", "36h", "48h", "60h", "72h"),
        quiet=Quiet.BELOW,
    ),
)
