"""A drain: a connection is held from the beginning, and paused once nothing is under way on it or that takes too long.

Any thread. It looks on in the thread of who calls `finish`; `resume` and `pause` end it, so that it never takes down
what an operator has just let up.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from backstay.control.goals import UP_STATES
from backstay.outlook import UNDECIDED, placed_orders
from backstay.session.lifecycle import Event

if TYPE_CHECKING:
    from backstay.holds import Hold, Holds
    from backstay.manager import Manager

LOOK_SECONDS = 0.05
"""Between two looks at whether a connection still waits for answers."""

UNFINISHED = "not everything had finished"


class Drains:
    """Those under way. `lifting` is held by who lets a connection up, so that no pause of a drain comes after it."""

    def __init__(self, manager: Manager, holds: Holds) -> None:
        self.lifting = threading.Lock()
        self._manager = manager
        self._holds = holds
        self._until: dict[str, tuple[Hold, float]] = {}

    def until_wall(self, name: str) -> float:
        """When the drain of this connection ends at the latest, in seconds since 1970; 0: it is not being drained."""
        found = self._until.get(name)
        return found[1] if found is not None and self._holds.get(name) == found[0] else 0.0

    def begin(self, name: str, hold: Hold, seconds: float) -> str:
        """Hold it. Returns why the hold will not survive the process; raises ValueError: there can be no hold."""
        trouble = self._holds.put(name, hold)
        if self._holds.get(name) != hold:
            raise ValueError(trouble)
        self._until[name] = hold, hold.since_wall + seconds
        return trouble

    def finish(self, name: str, hold: Hold, seconds: float) -> tuple[bool, str]:
        """Wait for quiet, then pause: whether it was quiet, and why it is not paused, empty where it is."""
        try:
            quiet = self._wait_quiet(name, hold, seconds)
            reason = hold.reason or "drain by an operator"
            with self.lifting:
                if self._holds.get(name) != hold:
                    return quiet, f"the drain of {name} was ended by another order of an operator"
                if self._manager.order(name, Event.PAUSE, reason if quiet else f"{reason}; {UNFINISHED}"):
                    return quiet, ""
            return quiet, f"{name} takes no orders now: it is being started, or is ending"
        finally:
            if self._until.get(name, (None, 0.0))[0] == hold:
                self._until.pop(name, None)

    def _wait_quiet(self, name: str, hold: Hold, seconds: float) -> bool:
        """Wait until no read and no order is without its answer on a connection that could bring one."""
        deadline, pause_between = time.monotonic() + seconds, threading.Event()  # never set; nobody tells of answers
        while self._holds.get(name) == hold and self._owes_an_answer(name):
            if time.monotonic() >= deadline:
                return False
            pause_between.wait(LOOK_SECONDS)
        return True

    def _owes_an_answer(self, name: str) -> bool:
        charge = self._manager.charge(name)
        row = next((one for one in self._manager.status().connections if one.name == name), None)
        if charge is None or row is None or row.state not in UP_STATES:
            return False
        return row.reads > 0 or any(order["state"] in UNDECIDED for order in placed_orders(charge))
