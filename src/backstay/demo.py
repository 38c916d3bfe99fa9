"""The demo: a simulated gateway is broken in one way after the other, and its client notices a gap at the most.

Everything is real but the gateway: the relay listens on a socket, the client connects to it, and what is shown comes
from the manager's log and from the client.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, groupby, islice
from statistics import median
from typing import Any, Protocol, Self

from backstay.config import Config
from backstay.demo_client import QuoteClient
from backstay.manager import Manager
from backstay.session.causes import Cause
from backstay.signals import calls
from backstay.simulator.faults import Faults
from backstay.simulator.server import Simulator

SYMBOLS = ("AAPL", "MSFT", "TSLA", "SPY", "IBM")
TICK_SECONDS = 0.1

DETECT_SECONDS = 30.0
RETURN_SECONDS = 60.0
"""Far beyond the worst that is promised: a demo on a busy machine may be slow, and still has to tell what it saw."""

TOLD_SECONDS = 5.0
"""For the 1102, which comes next to the first quote."""

LOST, BACK = 1100, 1102

RELAY = "demo"


@dataclass(frozen=True, slots=True)
class Cut:
    """One way to break a gateway. What `mend` does comes `after` seconds after the break was seen."""

    name: str
    what: str
    make: Callable[[Faults], object]
    mend: Callable[[Faults], object] = lambda _: None
    after: float = 0.0


def _refuse(faults: Faults) -> None:
    faults.refuse()
    faults.eof()


def _call_id_taken(faults: Faults) -> None:
    faults.client_id_in_use(1)
    faults.eof()


CUTS = (
    Cut("eof", "the gateway hangs up", lambda faults: faults.eof()),
    Cut("reset", "the line is reset", lambda faults: faults.reset()),
    Cut(
        "freeze",
        "the gateway freezes, socket open",
        lambda faults: faults.freeze(),
        lambda faults: faults.thaw(),
        1.0,
    ),
    Cut("refuse", "it is gone for 2 s, nothing listens", _refuse, lambda faults: faults.accept(), 2.0),
    Cut("bad_frame", "it sends a frame nobody can read", lambda faults: faults.bad_frame()),
    Cut("client_id_in_use", "it hangs up, calls our id taken", _call_id_taken),
    Cut("restart", "it restarts, which takes 1.5 s", lambda faults: faults.restart(1.5)),
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """How the manager saw a break or a dial that failed. `at`: monotonic seconds."""

    at: float
    cause: str
    code: int

    @property
    def sentence(self) -> str:
        """The cause in words."""
        return Cause(self.cause).row.sentence

    def __str__(self) -> str:
        return f"{self.cause} ({self.code})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one cut. `seen`: the loss first, then dials that failed; `told`: codes the client heard."""

    number: int
    cut: Cut
    seen: tuple[Sighting, ...]
    detect_seconds: float
    dark_seconds: float
    streams_back: int
    told: tuple[int, ...]
    closed: str | None

    @property
    def survived(self) -> bool:
        """Seen, mended, and without the client's socket."""
        return bool(self.seen) and self.streams_back == len(SYMBOLS) and self.closed is None

    @property
    def story(self) -> str:
        """What was seen, in the order of it."""
        return story(self.seen) or "not seen"


def story(seen: Sequence[Sighting]) -> str:
    """Sightings in words; the same thing in a row counts once."""
    return ", then ".join(step for step, _ in groupby(map(str, seen)))


class View(Protocol):
    """Where the demo is shown. Called in the demo's thread."""

    def opened(self, stage: Stage, rounds: int) -> None:
        """Everything stands, quotes flow."""
        ...

    def cut(self, number: int, cut: Cut) -> None:
        """This is being broken now."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """This became of it."""
        ...

    def closed(self) -> None:
        """That was all; everything stands for a moment longer."""
        ...


class Stage:
    """Simulator, manager and client of one demo. A context manager."""

    def __init__(self) -> None:
        self.simulator = Simulator(tick_seconds=TICK_SECONDS)
        self.outcomes: list[Outcome] = []
        self._sightings: list[Sighting] = []
        self._news = threading.Condition()
        self._over = False

    def __enter__(self) -> Self:
        self.simulator.start()
        self.manager = Manager(_config(self.simulator.port), log=self._hear)
        try:
            self.manager.start()
            self.client = QuoteClient(self.manager.address(RELAY), SYMBOLS)
            self.client.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop()
        self._close()

    @property
    def address(self) -> str:
        """Where the relay listens."""
        return "{}:{}".format(*self.manager.address(RELAY))

    @property
    def gateway(self) -> str:
        """Where the simulated gateway listens."""
        return "{}:{}".format(*self.simulator.address)

    @property
    def state(self) -> str:
        """The state of the connection to the gateway."""
        connections = self.manager.status().connections
        return connections[0].state if connections else "stopped"

    @property
    def seen(self) -> tuple[Sighting, ...]:
        """What the manager has seen since the last break."""
        with self._news:
            return tuple(self._sightings)

    def give_up(self) -> None:
        """End every wait at once: somebody has seen enough. Any thread."""
        with self._news:
            self._over = True
            self._news.notify_all()
        self.client.give_up()

    def play(self, number: int, cut: Cut) -> Outcome | None:
        """Break the gateway once and wait until the client has its quotes again; None if that was given up."""
        client, faults = self.client, self.simulator.faults
        with self._news:
            self._sightings.clear()
        client.begin_watch()
        began = time.monotonic()
        cut.make(faults)
        with self._news:
            self._news.wait_for(lambda: self._sightings or self._over, DETECT_SECONDS)
        detected = time.monotonic()
        client.wait_closed(cut.after)
        cut.mend(faults)
        back = client.wait_for_quotes(detected, RETURN_SECONDS)
        client.wait_for_told(BACK, TOLD_SECONDS)
        if self._over:
            return None
        seen = self.seen
        outcome = Outcome(
            number=number,
            cut=cut,
            seen=seen,
            detect_seconds=(seen[0].at if seen else detected) - began,
            dark_seconds=client.watch.longest_gap,
            streams_back=back,
            told=tuple(code for code in client.watch.told if code in (LOST, BACK)),
            closed=client.closed,
        )
        self.outcomes.append(outcome)
        return outcome

    def _hear(self, event: str, /, **fields: Any) -> None:
        if event in ("connection_lost", "connect_failed"):
            with self._news:
                self._sightings.append(Sighting(time.monotonic(), fields["cause"], fields["code"]))
                self._news.notify_all()

    def _close(self) -> None:
        self.manager.stop()
        self.simulator.stop()


def perform(view: View, *, rounds: int, pause_seconds: float) -> tuple[Outcome, ...]:
    """Play so many cuts, one way after the other, with quotes flowing for `pause_seconds` before each.

    Ctrl-C ends it early; returns what there was until then. Main thread only, because of the signals: the play itself
    is in a thread of its own, since an exception out of nowhere would leave its locks in a state nobody knows.
    """
    with calls() as wishes, Stage() as stage, ThreadPoolExecutor(1, "demo") as pool:
        playing = pool.submit(_play, view, stage, rounds=rounds, pause_seconds=pause_seconds)
        playing.add_done_callback(lambda _: wishes.put("played"))
        wishes.next()
        stage.give_up()
        return playing.result()


def _play(view: View, stage: Stage, *, rounds: int, pause_seconds: float) -> tuple[Outcome, ...]:
    stage.client.wait_for_quotes(0.0, RETURN_SECONDS)
    view.opened(stage, rounds)
    try:
        for number, cut in enumerate(islice(cycle(CUTS), rounds), start=1):
            if stage.client.wait_closed(pause_seconds):
                break
            view.cut(number, cut)
            outcome = stage.play(number, cut)
            if outcome is None:
                break
            view.ended(outcome)
    finally:
        view.closed()
    return tuple(stage.outcomes)


def summary(outcomes: Sequence[Outcome]) -> str:
    """The last line."""
    if not outcomes:
        return "Nothing was cut."
    survived = sum(outcome.survived for outcome in outcomes)
    dark = [outcome.dark_seconds for outcome in outcomes]
    closed = next((outcome.closed for outcome in outcomes if outcome.closed is not None), None)
    fate = "never closed" if closed is None else f"closed ({closed})"
    gaps = f"it was without quotes for {median(dark):.1f} s in the median, {max(dark):.1f} s at most"
    return f"{survived} of {len(outcomes)} cuts survived: the client's socket {fate}; {gaps}."


def _config(port: int) -> Config:
    return Config.model_validate(
        {
            "gateways": {RELAY: {"endpoints": [f"127.0.0.1:{port}"]}},
            "relays": {RELAY: {"gateway": RELAY, "listen": "127.0.0.1:0", "read_only": True}},
            "http": {"enabled": False},
            # As quick as allowed, so that nobody has to wait 25 s for a frozen gateway; and each cut is a first one.
            "pulse": {"idle_seconds": 1.0, "probe_seconds": 1.1, "probes": 2},
            "lifecycle": {"stable_seconds": 0.1},
        }
    )
