"""How the demo looks: one screen that lives on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from backstay.commands import say
from backstay.demo import SYMBOLS, Cut, Outcome, Stage, story

FRAMES_A_SECOND = 5

_STYLES = {"ready": "green", "waiting": "red", "stopped": "red", "parked": "red"}


class LineView:
    """A line for each thing that happens."""

    def __init__(self) -> None:
        self._rounds = 0

    def opened(self, stage: Stage, rounds: int) -> None:
        """Say what stands."""
        self._rounds = rounds
        say(f"client -> relay {stage.address} -> simulated gateway {stage.gateway}: {len(SYMBOLS)} streams")

    def cut(self, number: int, cut: Cut) -> None:
        """Say what is broken."""
        say(f"cut {number} of {self._rounds}, {cut.name}: {cut.what}")

    def ended(self, outcome: Outcome) -> None:
        """Say how it was seen and how it ended."""
        if outcome.seen:
            after, sentence = _seconds(outcome.detect_seconds), outcome.seen[0].sentence
            say(f"  seen after {after} as {outcome.story}: {sentence}")
        else:
            say("  not seen")
        told = ", ".join(map(str, outcome.told)) or "nothing"
        say(f"  no quotes for {_seconds(outcome.dark_seconds)}, {_fate(outcome)}; it was told {told}")

    def closed(self) -> None:
        """Nothing is held."""


class LiveView:
    """One screen: what flows now, and a row for each cut."""

    def __init__(self, console: Console) -> None:
        self._stage: Stage | None = None
        self._rounds = 0
        self._now: tuple[int, Cut, float] | None = None
        self._live = Live(  # last: it asks for the screen at once
            console=console,
            get_renderable=self._screen,
            refresh_per_second=FRAMES_A_SECOND,
            vertical_overflow="visible",
        )

    def opened(self, stage: Stage, rounds: int) -> None:
        """Take the screen."""
        self._stage, self._rounds = stage, rounds
        self._live.start(refresh=True)

    def closed(self) -> None:
        """Leave the last screen standing."""
        self._live.stop()

    def cut(self, number: int, cut: Cut) -> None:
        """Show a row that is not finished."""
        self._now = (number, cut, time.monotonic())

    def ended(self, outcome: Outcome) -> None:
        """Its row is now among those that are."""
        del outcome
        self._now = None

    def _screen(self) -> RenderableType:
        stage = self._stage
        if stage is None:
            return Text("starting a simulated gateway, a relay and a client ...", style="dim")
        return Group(self._header(stage), Text(""), self._rows(stage))

    def _header(self, stage: Stage) -> RenderableType:
        client, state = stage.client, stage.state
        line = Text.assemble(
            ("client", "bold"),
            " -> relay ",
            stage.address,
            " -> simulated gateway ",
            stage.gateway,
            ": ",
            (state, _STYLES.get(state, "yellow")),
        )
        prices = "  ".join(f"{symbol} {client.prices.get(symbol, '-')}" for symbol in SYMBOLS)
        socket = ("socket open", "green") if client.closed is None else (f"socket closed: {client.closed}", "red")
        quotes = Text.assemble(prices, "  ", (f"{client.quotes} quotes", "cyan"), "  ", socket)
        return Group(line, quotes)

    def _rows(self, stage: Stage) -> RenderableType:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for title in ("CUT", "WHAT BROKE", "SEEN AS (TWS CODE)", "AFTER", "NO QUOTES", "CLIENT"):
            table.add_column(title, no_wrap=title not in {"WHAT BROKE", "SEEN AS (TWS CODE)"})
        for outcome in stage.outcomes[-self._rounds_shown() :]:
            fate = Text(_fate(outcome), style="green" if outcome.survived else "red")
            after, dark = _seconds(outcome.detect_seconds), _seconds(outcome.dark_seconds)
            table.add_row(str(outcome.number), outcome.cut.what, outcome.story, after, dark, fate)
        if (now := self._now) is not None:
            number, cut, began = now
            waited, state = _seconds(time.monotonic() - began), Text(stage.state, style="yellow")
            table.add_row(str(number), cut.what, story(stage.seen), "", waited, state)
        return table

    def _rounds_shown(self) -> int:
        """As many as fit on the screen, two lines each at the worst."""
        return max(1, (self._live.console.height - 6) // 2)


def _fate(outcome: Outcome) -> str:
    if outcome.closed is not None:
        return f"socket closed: {outcome.closed}"
    return f"{outcome.streams_back} of {len(SYMBOLS)} back, socket open"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1.0 else f"{seconds:.1f} s"
