"""The command that shows what all this is good for."""

from __future__ import annotations

import os
import sys
from typing import Annotated

from backstay.commands import Option, say
from backstay.control.vocabulary import Exit

DEFAULT_ROUNDS = 7
"""Each way to break a gateway once."""


def demo(
    *,
    rounds: Annotated[int, Option("--rounds", "-n", metavar="N", least=1, text="How many cuts.")] = DEFAULT_ROUNDS,
    seconds: Annotated[
        float, Option("--seconds", metavar="S", least=0.0, text="How long quotes flow before each cut.")
    ] = 3.0,
) -> int:
    """Break a simulated gateway in seven ways under a client that streams quotes, and watch what the client notices.

    Starts a simulated gateway, a relay before it and a small TWS client, all in this process and over real sockets. One
    screen shows what broke, how it was seen and under which code of TWS, how long the client was without quotes, and
    that its socket never closed. Without a terminal it prints plain lines.

    Exit code 0 when every cut was survived. Needs no account, no configuration and no port. Ctrl-C ends it early.
    """
    from rich.console import Console  # noqa: PLC0415  # half a second that the other commands do not owe

    from backstay.demo import perform, summary  # noqa: PLC0415
    from backstay.demo_view import LineView, LiveView  # noqa: PLC0415

    lively = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    outcomes = perform(LiveView(Console()) if lively else LineView(), rounds=rounds, pause_seconds=seconds)
    say(summary(outcomes))
    return Exit.OK if all(outcome.survived for outcome in outcomes) else Exit.FAILED
