"""`backstay` with two mistakes in it, for alerts that only a mistake of backstay's own can bring about.

    python live_planted.py run --simulator --config backstay.toml

They are in the journal, on which no connection depends, and come with a file in the current folder: with `crash` it
fails, once; with `hang` it hangs for as long as the file lies there, and the watchdog, which would replace it, looks
away. Its patience with those who do not answer or do not read is shorter, as the times of the rules are.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

from backstay.actors.journal import Journal
from backstay.cli import main
from backstay.relay import guests
from backstay.session.settings import VerifySettings
from backstay.supervisor.watchdog import Stuck, Watchdog

CRASH, HANG = Path("crash"), Path("hang")
LOOK_SECONDS = 0.1

FASTER = 10
"""As the rules: a stream is asked for twelve times in four minutes, and who does not read is cut off in one."""


class PlantedError(Exception):
    """It was meant to happen."""


def hurry() -> None:
    """Divide all times of patience with gateways that do not answer, and with clients that do not read."""
    guests.STALL_SECONDS /= FASTER
    given = [field.default for field in fields(VerifySettings)]
    VerifySettings.__init__.__defaults__ = tuple(  # type: ignore[attr-defined]  # what a function has
        value / FASTER if isinstance(value, float) else value for value in given
    )


def plant() -> None:
    """Put both in, before anything is started."""
    receive, check = Journal.receive, Watchdog.check
    released = threading.Event()

    def mistaken(journal: Journal, message: Any) -> None:
        if CRASH.exists():
            CRASH.unlink()
            raise PlantedError("on purpose")
        while HANG.exists():
            released.wait(LOOK_SECONDS)
        receive(journal, message)

    def blind(watchdog: Watchdog) -> list[Stuck]:
        return [] if HANG.exists() else check(watchdog)

    setattr(Journal, "receive", mistaken)  # noqa: B010  # type checkers keep classes from being changed
    setattr(Watchdog, "check", blind)  # noqa: B010


if __name__ == "__main__":
    hurry()
    plant()
    sys.exit(main())
