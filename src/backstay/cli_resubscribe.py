"""The command that has streams asked for again: of those that change something, the one with an option of its own."""

from __future__ import annotations

from typing import Annotated

from backstay.cli_asking import AllOption, ConfigOption, ControlOption, JsonOption, NamesArgument, client_of
from backstay.cli_operate import (
    NoWaitOption,
    ReasonOption,
    Turn,
    WaitOption,
    _answer,
    described,
)
from backstay.commands import Option


def resubscribe(  # noqa: PLR0913  # each is an option
    names: NamesArgument = None,
    *,
    stale: Annotated[bool, Option("--stale", text="Only those that show nothing for a while.")] = False,
    everything: AllOption = False,
    reason: ReasonOption = "",
    no_wait: NoWaitOption = False,
    timeout: WaitOption = 60.0,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    control: ControlOption = None,
) -> int:
    """See its row."""
    arguments = {"reason": reason, "stale": stale}
    turn = Turn(
        "resubscribe", arguments, timeout=timeout, waits=not no_wait, together=False, yes=False, as_json=as_json
    )
    return _answer(turn, names or (), everything=everything, find=lambda: client_of(config, control))


described(resubscribe, "resubscribe")
