"""What operators can have done, one method a command of `backstay.control.vocabulary`, and who may not be told no.

Called in threads of the control socket. A command that changes something gives the order and answers at once with what
the connection was like before; whoever gave it waits by looking at the status. So nothing here waits for an actor.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from backstay.accounts import Accounts
from backstay.commanding import PARTS, give, restart_part, resubscribe
from backstay.config import Config
from backstay.config_values import HIGHEST_CLIENT_ID
from backstay.control.explaining import explain
from backstay.control.goals import SERVING_STATES
from backstay.holds import DRAINED, PAUSED, Hold, Holds
from backstay.live import drained_until, journal_trouble, line_of
from backstay.logs import EventLog
from backstay.manager import Manager
from backstay.meters import client_of
from backstay.metrics.blocks import OPERATOR_ACTIONS
from backstay.metrics.events import EventRing
from backstay.metrics.listening import Address, parse_address
from backstay.outlook import bundle, in_doubt, owed_requests, placed_orders, tree_of, unlisted, written_orders
from backstay.reconfiguring import Reconfiguring, RefusedChange
from backstay.session.lifecycle import Event
from backstay.session.vocabulary import Drain
from backstay.status import ConnectionStatus, status_as_dict

if TYPE_CHECKING:
    from backstay.control.server import CommandError, Handler
    from backstay.control.unix_socket import Peer

SCHEMA = 1
"""Of all answers; new keys do not raise it."""

MAX_REASON = 500
"""Characters of a reason that are kept; it is a sentence for the next person on duty."""

LONGEST_DRAIN_SECONDS = 3600.0
DRAIN_SECONDS = 30.0

Arguments = Mapping[str, object]
Result = Mapping[str, object]


class Operations:
    """See the module. `handler` may be called in any thread; so may what it returns."""

    def __init__(
        self, manager: Manager, *, holds: Holds, log: EventLog, events: EventRing, load: Callable[[], Config] | None
    ) -> None:
        """`load` reads the configuration again; it may raise ConfigError."""
        self.accounts = Accounts(manager.config)
        self._changes = Reconfiguring(manager, load=load, accounts=self.accounts, log=log)
        self._holding = threading.Lock()  # hold and order belong together: neither may overtake the other
        self._manager = manager
        self._holds = holds
        self._log = log
        self._events = events

    def handler(self, name: str) -> Handler | None:
        """What carries out this command; None: there is no such command."""
        method = HANDLERS.get(name)
        if method is None:
            return None

        def carry_out(arguments: Arguments, peer: Peer | None) -> Result:
            command = "" if arguments.get("dry_run") else name
            try:
                with self.accounts.action(command):
                    return method(self, arguments, peer)
            except Exception as error:
                if command in OPERATOR_ACTIONS and command != "reload":  # which tells more of itself
                    self._tell_refused(command, arguments, error, peer=peer)
                raise

        return carry_out

    # -- commands that change something --------------------------------------------------------------------------------

    def restart(self, arguments: Arguments, peer: Peer | None) -> Result:
        """A new socket for a connection."""
        name, reason = _name_and_reason(arguments, "part")
        part = arguments.get("part")
        hold = self._holds.get(name)
        if hold is not None:
            raise _error("refused", f"{name} is {hold.wanted} by an operator; backstay resume {name}")
        if part is None:
            return self._order(Event.RESTART, "restart", name, reason=reason, peer=peer)
        return self._restart_part(name, part, reason=reason, peer=peer)

    def _restart_part(self, name: str, part: object, *, reason: str, peer: Peer | None) -> Result:
        before, live, root = self._find(name), self._manager._find(name), self._manager.root
        if not isinstance(part, str) or part not in PARTS:
            raise _error("bad_request", f"part must be one of {', '.join(PARTS)}")
        if live is None or root is None:
            raise _unknown(name)
        self._tell(f"restart {part}", name, reason=reason, peer=peer)
        trouble = restart_part(root, live, part, reason=reason)
        if trouble is not None:
            raise _error("refused", f"{name}: {part}: {trouble}")
        return {"schema": SCHEMA, "command": "restart", "connection": name, "present": True, **_before(before)}

    def reset(self, arguments: Arguments, peer: Peer | None) -> Result:
        """Try again now."""
        name, reason = _name_and_reason(arguments)
        return self._order(Event.RESET, "reset", name, reason=reason, peer=peer)

    def pause(self, arguments: Arguments, peer: Peer | None) -> Result:
        """Hold a connection down."""
        name, reason = _name_and_reason(arguments)
        self._find(name)
        with self._holding:
            trouble = self._holds.put(name, Hold(PAUSED, reason, time.time()))
            return self._order(Event.PAUSE, "pause", name, reason=reason, peer=peer, warning=trouble)

    def drain(self, arguments: Arguments, peer: Peer | None) -> Result:
        """Hold a connection down once nothing is under way on it, or once that has taken too long."""
        name, reason = _name_and_reason(arguments, "seconds")
        seconds = _drain_seconds(arguments)
        before, live, root = self._find(name), self._manager._find(name), self._manager.root
        if live is None or root is None:
            raise _unknown(name)
        with self._holding:
            trouble = self._holds.put(name, Hold(DRAINED, reason, time.time()))
            give(root, live, Drain(reason, seconds))
        self._tell("drain", name, reason=reason, peer=peer)
        answer: dict[str, object] = {"schema": SCHEMA, "command": "drain", "connection": name, "present": True}
        return {**answer, **_before(before), "warning": trouble}

    def resume(self, arguments: Arguments, peer: Peer | None) -> Result:
        """Let a connection up again, or the next one of that name."""
        name, reason = _name_and_reason(arguments)
        held = self._holds.get(name) is not None
        there = any(one.name == name for one in self._manager.status().connections)
        if not there and not held:
            raise _unknown(name)
        with self._holding:
            trouble = self._holds.put(name, None)
            if there:
                return self._order(Event.RESUME, "resume", name, reason=reason, peer=peer, warning=trouble)
        self._manager._let_go(name)
        self._tell("resume", name, reason=reason, peer=peer)
        return {"schema": SCHEMA, "command": "resume", "connection": name, "warning": trouble, "present": False}

    def resubscribe(self, arguments: Arguments, peer: Peer | None) -> Result:
        """Streams asked for again, on the socket there is."""
        name, reason = _name_and_reason(arguments, "stale")
        stale = arguments.get("stale", False)
        if not isinstance(stale, bool):
            raise _error("bad_request", "stale must be true or false")
        before, live, root = self._find(name), self._manager._find(name), self._manager.root
        if before.state not in SERVING_STATES or live is None or root is None:
            raise _error("refused", f"{name} is {before.state}: its streams are asked for again once it is ready")
        if not resubscribe(root, live, stale=stale):
            raise _error("refused", f"{name} is being started: its streams are asked for again by that")
        self._tell("resubscribe", name, reason=reason, peer=peer)
        answer: dict[str, object] = {"schema": SCHEMA, "command": "resubscribe", "connection": name, "present": True}
        return {**answer, **_before(before), "warning": ""}

    def move(self, arguments: Arguments, peer: Peer | None) -> Result:
        """Another endpoint, or another client id."""
        name, reason = _name_and_reason(arguments, "endpoint", "client_id")
        endpoint, client_id = arguments.get("endpoint"), arguments.get("client_id")
        before = self._find(name)
        live = self._manager._find(name)  # the hall's own inside
        if live is None or (endpoint is None) == (client_id is None):
            raise _error("bad_request", "give an endpoint or a client_id")
        if (hold := self._holds.get(name)) is not None:
            raise _error("refused", f"{name} is {hold.wanted} by an operator; backstay resume {name}")
        to = str(endpoint) if endpoint is not None else f"client id {client_id}"
        tell = functools.partial(self._tell, "move", name, to=to, reason=reason, peer=peer)
        try:
            if endpoint is not None:
                self._changes.move_endpoint(live, _address(endpoint), reason=reason, tell=tell)
            else:
                self._changes.move_client_id(name, _client_id(client_id), tell=tell)
        except (ValueError, RefusedChange) as error:
            raise _error(getattr(error, "code", "refused"), _sentence(error)) from error
        answer: dict[str, object] = {"schema": SCHEMA, "command": "move", "connection": name, "present": True}
        epoch = before.epoch if endpoint is not None else 0  # one that began anew counts from the start
        return {**answer, "state": before.state, "epoch": epoch, "warning": ""}

    def reload(self, arguments: Arguments, peer: Peer | None) -> Result:
        """Take over what has changed in the configuration, or only tell it."""
        _only(arguments, "dry_run", "reason", "wait")
        dry_run, reason, wait = (
            arguments.get("dry_run", False),
            arguments.get("reason", ""),
            arguments.get("wait", True),
        )
        if not isinstance(dry_run, bool) or not isinstance(wait, bool) or not isinstance(reason, str):
            raise _error("bad_request", "dry_run and wait must be true or false, reason text")
        try:
            if dry_run:
                return self._changes.look()
            take = self._changes.reload if wait else self._changes.begin
            return take(lambda: self._tell("reload", "", reason=reason, peer=peer))
        except RefusedChange as error:
            raise _error(error.code, str(error)) from error

    def _order(
        self, event: Event, command: str, name: str, *, reason: str, peer: Peer | None, warning: str = ""
    ) -> Result:
        before = self._find(name)
        if not self._manager.order(name, event, reason):
            raise _error("refused", f"{name} takes no orders now: it is being started, or is ending")
        self._tell(command, name, reason=reason, peer=peer)
        answer: dict[str, object] = {"schema": SCHEMA, "command": command, "connection": name, "present": True}
        return {**answer, **_before(before), "warning": warning}

    def _tell(self, command: str, name: str, *, reason: str, peer: Peer | None, to: str = "") -> None:
        uid, pid = (peer.uid, peer.pid) if peer is not None else (None, None)
        self._log("operator_command", command=command, connection=name, to=to, reason=reason, uid=uid, pid=pid)

    def _tell_refused(self, command: str, arguments: Arguments, error: Exception, *, peer: Peer | None) -> None:
        uid, pid = (peer.uid, peer.pid) if peer is not None else (None, None)
        name, code, why = arguments.get("name"), getattr(error, "code", "internal"), str(error)
        self._log("operator_command_refused", command=command, connection=name, code=code, why=why, uid=uid, pid=pid)

    # -- commands that tell --------------------------------------------------------------------------------------------

    def explain(self, arguments: Arguments, _peer: Peer | None) -> Result:
        """Why it is as it is."""
        name = _name(arguments)
        status = self._manager.status()
        rows = (*status.connections, *status.held, *status.absent)
        one = next((one for one in rows if one.name == name), None)
        if one is None:
            raise _unknown(name)
        hold = self._holds.get(name)
        charge = self._manager.charge(one.name)
        journal = journal_trouble(charge, status.journal) if charge is not None else ""
        live = self._manager._find(name)
        until = drained_until(live) if live is not None else 0.0
        held = None if hold is None else {**asdict(hold), "until_wall": until}
        line = line_of(live) if live is not None else None
        lists = unlisted(charge) if charge is not None else ("", 0.0)
        doubts = self._manager._in_doubt(name) if charge is None else in_doubt(charge)
        told = explain(asdict(one), held, now=time.time(), journal=journal, line=line, unlisted=lists, in_doubt=doubts)
        return {"schema": SCHEMA, "connection": asdict(one), **told}

    def tree(self, arguments: Arguments, _peer: Peer | None) -> Result:
        """The supervision tree."""
        _only(arguments)
        root = self._manager.root
        if root is None:
            raise _error("refused", "the supervision tree does not stand")
        return {"schema": SCHEMA, "tree": tree_of(root, self._manager.names())}

    def events(self, arguments: Arguments, _peer: Peer | None) -> Result:
        """The last events, oldest first."""
        _only(arguments, "seconds")
        seconds = arguments.get("seconds")
        if seconds is None:
            found, _ = self._events.since(0)
        elif isinstance(seconds, int | float) and not isinstance(seconds, bool):
            found = tuple(self._events.of(time.time() - seconds))
        else:
            raise _error("bad_request", "seconds must be a number")
        events = [{"number": one.number, "wall": one.wall, "event": one.name, **one.fields} for one in found]
        return {"schema": SCHEMA, "events": events, "last": self._events.last}

    def requests(self, arguments: Arguments, _peer: Peer | None) -> Result:
        """What is owed to a client."""
        name = self._find(_name(arguments)).name
        charge = self._manager.charge(name)
        if charge is None:
            raise _unknown(name)
        return {"schema": SCHEMA, "connection": name, "requests": owed_requests(charge, time.monotonic())}

    def orders(self, arguments: Arguments, _peer: Peer | None) -> Result:
        """What a client has placed; of one that is not there, what the journal holds."""
        name = _name(arguments)
        charge = self._manager.charge(name)
        if charge is not None:
            return {"schema": SCHEMA, "connection": name, "orders": placed_orders(charge)}
        owner = client_of(self._manager.config, name)
        if owner is None:
            raise _unknown(name)
        try:
            found = written_orders(self._manager.keeping.recall(*owner))
        except LookupError as error:
            raise _error("refused", f"{name} is not there, and {error}") from error
        if not found:
            raise _unknown(name)
        return {"schema": SCHEMA, "connection": name, "orders": found}

    def dump(self, arguments: Arguments, _peer: Peer | None) -> Result:
        """Everything a bug report needs."""
        _only(arguments)
        config: Config = self._manager.config
        root = self._manager.root
        tree = tree_of(root, self._manager.names()) if root is not None else None
        events = self.events({}, None)["events"]
        return bundle(config, status=status_as_dict(self._manager.status()), tree=tree, events=events)

    def _find(self, name: str) -> ConnectionStatus:
        for one in self._manager.status().connections:
            if one.name == name:
                return one
        raise _unknown(name)


def _before(one: ConnectionStatus) -> dict[str, object]:
    """How a connection was when the order was taken: what goals are measured by."""
    return {"state": one.state, "epoch": one.epoch, "warning": ""}


def _name(arguments: Arguments, *others: str) -> str:
    _only(arguments, "name", *others)
    name = arguments.get("name")
    if not isinstance(name, str) or not name:
        raise _error("bad_request", "name must be that of a connection")
    return name


def _address(text: object) -> Address:
    try:
        return parse_address(str(text))
    except ValueError as error:
        raise _error("bad_request", f"endpoint: {error}") from error


def _client_id(given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= HIGHEST_CLIENT_ID:
        return given
    raise _error("bad_request", f"a client id is 0 to {HIGHEST_CLIENT_ID}")


def _drain_seconds(arguments: Arguments) -> float:
    seconds = arguments.get("seconds", DRAIN_SECONDS)
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds <= LONGEST_DRAIN_SECONDS:
        return seconds
    raise _error("bad_request", f"seconds must be 0 to {LONGEST_DRAIN_SECONDS:g}")


def _name_and_reason(arguments: Arguments, *others: str) -> tuple[str, str]:
    reason = arguments.get("reason", "")
    if not isinstance(reason, str):
        raise _error("bad_request", "reason must be text")
    return _name(arguments, "reason", *others), " ".join(reason.split())[:MAX_REASON]


def _sentence(error: Exception) -> str:
    """What pydantic says of a contradiction, or a parser of its text, without the frame around it."""
    details = error.errors(include_url=False) if isinstance(error, ValidationError) else ()
    return "; ".join(str(one.get("ctx", {}).get("error", one["msg"])) for one in details) or str(error)


def _only(arguments: Arguments, *known: str) -> None:
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise _error("bad_request", f"unknown arguments: {', '.join(unknown)}")


def _unknown(name: str) -> CommandError:
    return _error("unknown_connection", f"no connection {name!r}")


def _error(code: str, message: str) -> CommandError:
    from backstay.control.server import CommandError  # noqa: PLC0415  # whoever calls has imported it: see doors

    return CommandError(code, message)


HANDLERS: Mapping[str, Callable[[Any, Arguments, Any], Result]] = {
    "restart": Operations.restart,
    "pause": Operations.pause,
    "resume": Operations.resume,
    "drain": Operations.drain,
    "resubscribe": Operations.resubscribe,
    "reset": Operations.reset,
    "move": Operations.move,
    "reload": Operations.reload,
    "events": Operations.events,
    "explain": Operations.explain,
    "tree": Operations.tree,
    "requests": Operations.requests,
    "orders": Operations.orders,
    "dump": Operations.dump,
}
