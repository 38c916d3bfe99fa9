"""What every group of faults needs: the world, and a way to become a command."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    from backstay.simulator.session import Session
    from backstay.simulator.world import World

Arguments = ParamSpec("Arguments")
Owner = TypeVar("Owner", bound="FaultGroup")

Command: TypeAlias = Callable[Concatenate[Owner, Arguments], None]

COMMANDS: dict[str, Callable[..., None]] = {}
"""Every fault by name: what ``POST /faults/NAME`` may call."""


def command(method: Command[Owner, Arguments]) -> Command[Owner, Arguments]:
    """Make a method a fault: callable from any thread, told to hooks, listed in ``COMMANDS``."""

    @functools.wraps(method)
    def run(self: Owner, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        def work() -> None:
            method(self, *args, **kwargs)
            self.world.records.tell("fault", None, method.__name__)

        self.world.loop.call(work)

    COMMANDS[method.__name__] = run
    return cast("Command[Owner, Arguments]", run)  # the wrapper names its first parameter, which a Callable can not


class FaultGroup:
    """A group of faults of one simulator."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def targets(self, client_id: int | None) -> "list[Session]":
        """Return the sockets a fault is for: one client's, or all."""
        return [session for session in self.world.peers if client_id is None or session.client_id == client_id]
