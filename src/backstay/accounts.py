"""What the process as a whole counts for its metrics: operators' commands, and the configuration it runs with.

Written by threads of the control socket and by the one that reloads; a lock keeps them from counting over one another.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from backstay.config import Config
from backstay.metrics.blocks import OPERATOR_ACTIONS


class Accounts:
    """See the module. Any thread."""

    def __init__(self, config: Config) -> None:
        self._lock = threading.Lock()
        self.actions: dict[str, int] = dict.fromkeys(OPERATOR_ACTIONS, 0)
        self.failures: dict[str, int] = dict.fromkeys(OPERATOR_ACTIONS, 0)
        self.config_accepted(config)

    @contextmanager
    def action(self, name: str) -> Generator[None]:
        """A command of an operator, for as long as it takes; what it raises is its failure. Others are not counted."""
        counted = name in self.actions
        if counted:
            with self._lock:
                self.actions[name] += 1
        try:
            yield
        except BaseException:
            if counted:
                with self._lock:
                    self.failures[name] += 1
            raise

    def config_accepted(self, config: Config) -> None:
        """The process runs with this configuration from now on."""
        self.accepted = True
        self.accepted_wall = time.time()
        self.hash = hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]

    def config_refused(self) -> None:
        """A configuration was to be loaded, and could not be."""
        self.accepted = False
