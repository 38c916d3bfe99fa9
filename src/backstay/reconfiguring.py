"""The configuration changed while the daemon runs: judged as a whole, told, taken over as far as it goes.

Any thread; one change at a time. Nothing waits for longer than names may take, and each connection in its turn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from backstay.errors import ConfigError
from backstay.metrics.listening import Address, ListenError
from backstay.names import Names
from backstay.reloading import Change, cut_off, difference, findings, move_endpoint, moved, take_over, with_client_id
from backstay.status import Move
from backstay.turns import Turns, replace_one, touched

if TYPE_CHECKING:
    from backstay.accounts import Accounts
    from backstay.config import Config
    from backstay.live import Live
    from backstay.manager import Manager
    from backstay.supervisor.specs import Log

SCHEMA = 1
"""Of the answers; new keys do not raise it."""

Result = Mapping[str, object]

GO_BACK = (
    "To go back: put the former configuration back in its place, and backstay reload.",
    "To go on: mend what keeps it down, and backstay reload; what has had no turn has it then.",
)


class RefusedChange(Exception):  # noqa: N818  # what an operator is told, by its code
    """Nothing has been changed. `code` is one of `backstay.control.vocabulary.FAILURES`."""

    def __init__(self, message: str, *, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class Reconfiguring:
    """See the module."""

    def __init__(
        self,
        manager: Manager,
        *,
        load: Callable[[], Config] | None,
        accounts: Accounts,
        log: Log,
        names: Names | None = None,
    ) -> None:
        """`load` reads the configuration again; it may raise ConfigError."""
        self._manager = manager
        self._load = load
        self._accounts = accounts
        self._log = log
        self._names = names or Names()
        self._changing = threading.Lock()

    def look(self) -> Result:
        """What a reload would change and whom it concerns. Raises RefusedChange, where a reload would."""
        with self._turn():
            return _told(self._ahead(self._judged()), None)

    def reload(self, tell: Callable[[], object]) -> Result:
        """Take over what has changed; `tell` is called before anything does. Raises RefusedChange."""
        with self._turn():
            try:
                new = self._judged()
                ahead, turns = self._ahead(new), Turns()
                if ahead.changes or ahead.connections:
                    tell()
                    turns = take_over(self._manager, new)
            except (RefusedChange, ListenError) as error:
                self._accounts.config_refused()
                self._log("configuration_refused", reason=str(error))
                raise RefusedChange(str(error)) from error
            if turns.failed:
                self._accounts.config_refused()
                self._log("configuration_stopped", changed=turns.changed, failed=turns.failed, left=turns.left)
            else:
                self._accounts.config_accepted(self._manager.config)
                if ahead.changes or ahead.connections:
                    keys = [one.key for one in ahead.changes]
                    self._log("configuration_reloaded", changes=keys, changed=turns.changed)
                else:
                    self._log("configuration_unchanged")
            return _told(ahead, turns)

    def _ahead(self, new: Config) -> _Ahead:
        manager = self._manager
        return _Ahead(difference(manager.config, new), touched(manager, new)[0], cut_off(manager, new))

    def begin(self, tell: Callable[[], object]) -> Result:
        """What `look` says, with a thread at it that does what `reload` does: what comes of it is in the log."""
        told = self.look()

        def work() -> None:
            try:
                self.reload(tell)
            except RefusedChange as error:
                if error.code == "busy":  # the others have been told
                    self._log("configuration_refused", reason=str(error))

        threading.Thread(target=work, name="reload", daemon=True).start()
        return {**told, "ordered": True}

    def move_endpoint(self, live: Live, address: Address, *, reason: str, tell: Callable[[], object]) -> None:
        """Let a connection dial another endpoint. Raises ValueError with the reason why it cannot."""
        if troubles := self._names.troubles([address.host]):
            raise ValueError(f"{address.host} has no address: {troubles[address.host]}")
        tell()
        move_endpoint(self._manager, live, address, reason=reason)

    def move_client_id(self, name: str, client_id: int, *, tell: Callable[[], object]) -> None:
        """Give a connection of the configuration another client id. Raises as above, and RefusedChange."""
        manager = self._manager
        if name not in manager.config.connections:
            raise ValueError(f"{name} is a client's: it chooses its client id itself")
        with self._turn():
            before = manager.config.connections[name].client_id
            new = with_client_id(manager.config, name, client_id)
            tell()
            replace_one(manager, new, name)
            if (live := manager._find(name)) is not None:  # the hall's own inside
                live.moved = moved(live.moved, Move("client-id", str(before), str(client_id), time.time()))

    @contextmanager
    def _turn(self) -> Generator[None]:
        if not self._changing.acquire(blocking=False):
            raise RefusedChange("the configuration is being reloaded already", code="busy")
        try:
            yield
        finally:
            self._changing.release()

    def _judged(self) -> Config:
        """The configuration as it reads now. Raises RefusedChange with all that speaks against it."""
        if self._load is None:
            text = "this daemon was not started from a configuration that can be read again"
            raise RefusedChange(text, code="not_offered")
        try:
            new = self._load()
        except ConfigError as error:
            raise RefusedChange(str(error)) from error
        if found := findings(self._manager, new, self._names):
            raise RefusedChange("\n".join(map(str, found)))
        return new


class _Ahead(NamedTuple):
    """What a configuration would change: keys, the connections it is brought to, and the clients that are cut off."""

    changes: Sequence[Change]
    connections: Sequence[str]
    cut: Sequence[str]


def _told(ahead: _Ahead, turns: Turns | None) -> Result:
    """`turns`: how far it went; None where it was only looked."""
    told: dict[str, object] = {"schema": SCHEMA, "applied": turns is not None, "complete": turns is not None}
    told |= {"changes": [asdict(one) for one in ahead.changes]}
    told |= {"connections": list(ahead.connections), "cut": list(ahead.cut)}
    if turns is None or not turns.failed:
        return told
    stopped = {"failed": turns.failed, "why": turns.why, "changed": list(turns.changed), "left": list(turns.left)}
    return {**told, "complete": False, "stopped": {**stopped, "todo": list(GO_BACK)}}
